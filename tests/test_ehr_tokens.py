"""Tokens and steps: what the encoder reads at each event time; demographics; batches."""

import numpy as np
import polars as pl
import pytest

from pipeline.ehr.events import EVENTS
from pipeline.ehr.signals import BINS, CLASSES, Vocabulary, vocabulary
from pipeline.ehr.steps import read_steps
from pipeline.ehr.tokens import DEMOGRAPHICS, TOKENS, demographics, tokenise
from pipeline.stage.tables import check

WORDS = Vocabulary(
    (
        ("heart_rate", "chart", BINS, True),
        ("gcs_eye", "chart", 4, False),
        ("lactate", "lab", BINS, True),
        ("eeg", "interval", 1, False),
        ("crrt", "interval", 1, False),
    )
)
GCS, LACTATE, EEG, CRRT = BINS, BINS + 4, 2 * BINS + 4, 2 * BINS + 5
BOUNDS = pl.DataFrame({"signal": ["heart_rate"], "low": [0.0], "high": [197.0], "readings": [9]})


def reading(minute, signal="heart_rate", value=50.0, episode=1, known=None):
    """Known at once, unless told."""
    kind = "lab" if signal == "lactate" else "chart"
    return (episode, minute, None, kind, signal, value, False, minute if known is None else known)


def interval(minute, end, signal="eeg", episode=1, void=False, known=None):
    known = minute if known is None else known
    return (episode, minute, end, "interval", signal, None, void, known)


def tokens(*events):
    """(episode, minute, token) of events that were known at once."""
    return tokenised(*events).select("episode_id", "minute", "token")


def tokenised(*events):
    table = tokenise(pl.DataFrame(events, schema=dict(EVENTS.columns), orient="row"), BOUNDS, WORDS)
    return check(table, TOKENS, "tokens")


def at_minutes(*events, token=EEG):
    """The minutes at which the token is there."""
    return tokens(*events).filter(token=token)["minute"].to_list()


def test_a_reading_is_its_bin_and_a_score_its_category():
    made = tokens(reading(3), reading(4, "gcs_eye", 1.0), reading(5, "gcs_eye", 4.0))
    assert made.rows() == [(1, 3, 52), (1, 4, GCS), (1, 5, GCS + 3)]


def test_a_signal_never_seen_in_training_has_no_token_and_makes_no_step():
    assert tokens(reading(1, "lactate"), reading(2)).rows() == [(1, 2, 52)]
    assert tokens(reading(1, "lactate")).height == 0


def test_two_readings_in_one_bin_and_minute_are_one_token():
    assert tokens(
        reading(1, value=50.1), reading(1, value=50.2), reading(1, value=60.0)
    ).rows() == [
        (1, 1, 52),
        (1, 1, 62),
    ]


def test_an_interval_runs_from_its_start_to_before_its_end():
    steps = [reading(minute) for minute in (9, 10, 11, 19, 20, 21)]
    assert at_minutes(*steps, interval(10, 20)) == [10, 11, 19]


def test_an_interval_without_known_end_runs_on():
    steps = [reading(minute) for minute in (9, 11, 2880)]
    assert at_minutes(*steps, interval(10, None)) == [10, 11, 2880]


def test_an_interval_over_within_its_minute_is_seen_once():
    assert at_minutes(reading(10), reading(11), interval(10, 10)) == [10]


def test_the_start_of_an_interval_is_a_step_at_which_others_run():
    made = tokens(interval(5, 60), interval(30, 40, "crrt"))
    assert made.rows() == [(1, 5, EEG), (1, 30, EEG), (1, 30, CRRT)]


def test_intervals_of_another_episode_do_not_run_here():
    assert at_minutes(reading(11, episode=2), interval(10, None)) == [10]


def test_intervals_that_overlap_give_one_token():
    assert at_minutes(reading(15), interval(10, 20), interval(12, None)) == [10, 12, 15]


def test_a_token_is_known_once_its_step_is_and_its_interval():
    """An interval that is stored late is known of earlier steps only then."""
    rows = [reading(20, known=40), interval(10, None, known=30), interval(5, 60, "crrt", known=90)]
    assert tokenised(*rows).select("minute", "token", "known").rows() == [
        (5, CRRT, 90), (10, EEG, 30), (10, CRRT, 90), (20, 52, 40), (20, EEG, 40), (20, CRRT, 90)
    ]  # fmt: skip


def test_of_what_tells_the_same_token_the_first_counts_and_void_ones_before_it():
    rows = [reading(10, known=50), reading(10, value=50.2, known=40)]
    rows += [interval(10, 30, void=True), interval(10, 90, known=60)]
    rows += [interval(10, 35, void=True, known=20), interval(10, 25, void=True, known=70)]
    assert tokenised(*rows).rows() == [
        (1, 10, 52, 40, None), (1, 10, EEG, 10, 30), (1, 10, EEG, 20, 35), (1, 10, EEG, 60, None)
    ]  # fmt: skip


def episode(**change):
    usual = {"episode_id": 1, "age": 64, "sex": "F", "insurance": "Medicare"}
    usual |= {"language": "English", "marital_status": "MARRIED", "race": "WHITE - RUSSIAN"}
    return usual | change


def codes(column, *values):
    rows = [episode(episode_id=k, **{column: value}) for k, value in enumerate(values)]
    return demographics(pl.DataFrame(rows))[column].to_list()


def test_demographic_classes_with_a_class_for_what_is_not_listed():
    assert codes("age", 18, 19, 20, 29, 30, 89, 90, 104) == [0, 0, 1, 1, 2, 7, 8, 8]
    assert codes("sex", "F", "M") == [0, 1]
    assert codes("insurance", "Medicare", "Medicaid", "Private", None) == [0, 1, 2, 2]
    assert codes("language", "ENGLISH", "English", "?", None) == [0, 0, 1, 1]
    assert codes("marital_status", "SINGLE", "WIDOWED", None) == [1, 2, 4]
    races = ["BLACK/AFRICAN AMERICAN", "HISPANIC OR LATINO", "ASIAN - CHINESE", "UNKNOWN", None]
    assert codes("race", *races) == [1, 2, 3, 7, 7]


def test_every_demographic_code_lies_within_its_classes():
    odd = [episode(episode_id=k, **dict.fromkeys(list(CLASSES)[1:], v)) for k, v in enumerate("?Z")]
    table = demographics(pl.DataFrame(odd))
    assert all(table[column].max() < count for column, count in CLASSES.items())


@pytest.fixture
def data(tmp_path):
    """Loads tokens (episode, minute, token) of the episodes asked for."""

    def read(rows, episodes, window_hours=48):
        rows = [(*row, row[1], None) for row in rows]
        table = pl.DataFrame(rows, schema=TOKENS.columns, orient="row")
        table.write_parquet(tmp_path / "tokens.parquet")
        statics = [(e, *[e % n for n in CLASSES.values()]) for e in sorted(episodes)]
        pl.DataFrame(statics, schema=DEMOGRAPHICS.columns, orient="row").write_parquet(
            tmp_path / "demographics.parquet"
        )
        paths = (tmp_path / "tokens.parquet", tmp_path / "demographics.parquet")
        return read_steps(*paths, np.array(episodes), window_hours, np.inf)

    return read


def test_steps_follow_time_whatever_the_order_of_the_rows(data):
    rows = [(1, 600, 7), (1, 0, 5), (1, 600, 3), (2, 30, 9)]
    batch = data(rows, [1, 2]).batch(np.array([0, 1]))
    assert batch["lengths"].tolist() == [2, 1]
    assert batch["token"].tolist() == [5, 3, 7, 9]
    assert batch["bag"].tolist() == [0, 1, 3]
    assert batch["time_bin"].tolist() == [0, 41, 2]  # trunc(minute / 2880 · 200)


def test_time_bins_stay_in_the_table_before_admission_and_at_the_end(data):
    rows = [(1, minute, 1) for minute in (-360, 14, 15, 2879, 2880)]
    assert data(rows, [1]).batch(np.array([0]))["time_bin"].tolist() == [0, 0, 1, 199, 199]


def test_an_episode_without_events_is_one_step_of_demographics_alone(data):
    loaded = data([(1, 600, 7), (3, 600, 8)], [1, 2, 3])
    batch = loaded.batch(np.array([0, 1, 2]))
    assert batch["lengths"].tolist() == [1, 1, 1]
    assert batch["time_bin"].tolist() == [41, 0, 41]
    assert batch["token"].tolist() == [7, 8]
    assert batch["bag"].tolist() == [0, 1, 1]  # the second bag is empty
    assert loaded.present().all()


def test_batches_follow_the_rows_asked_for(data):
    rows = [(e, minute, 10 * e + minute) for e in (1, 2, 3) for minute in range(e)]
    loaded = data(rows, [3, 1, 2])  # rows 0, 1, 2
    batch = loaded.batch(np.array([2, 0]))
    assert batch["lengths"].tolist() == [2, 3]
    assert batch["token"].tolist() == [20, 21, 30, 31, 32]
    assert batch["demographics"][:, 0].tolist() == [2, 3]


def test_the_vocabulary_has_the_lists_of_the_paper_and_the_additions():
    words = vocabulary()
    of_kind = {k: [b for b in words.blocks if b[1] == k] for k in ("chart", "lab", "interval")}
    assert [len(blocks) for blocks in of_kind.values()] == [23, 27, 13]
    kinds = [block[1] for block in words.blocks]
    assert kinds == sorted(kinds, key=list(of_kind).index)  # chart before lab before interval
    ends = np.cumsum([rows for _, _, rows, _ in words.blocks])
    assert list(words.offsets().values()) == [0, *ends[:-1]]
    assert words.size == ends[-1]
