"""Reports of an episode: cleaned once, then those known by the prediction time, to the minute."""

import json
import logging
import sys
import unicodedata
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from episodes_at_hand import RULE, TIME, admission, at, stay

from pipeline.note import clean, notes
from pipeline.stage.errors import InputError

FOLDER = Path(notes.__file__).parent
REPORT = {
    "note_id": pl.String,
    "subject_id": pl.Int64,
    "hadm_id": pl.Int64,
    "charttime": TIME,
    "storetime": TIME,
}


def report(name, charttime, **change):
    row = {"note_id": name, "subject_id": 10, "hadm_id": 1, "charttime": charttime}
    return row | {"storetime": charttime} | change


def run(monkeypatch, stage, **given):
    flags = [str(word) for key, value in given.items() for word in (f"--{key}", value)]
    monkeypatch.setattr(sys, "argv", ["stage", *flags])
    stage.main()
    return pl.read_parquet(given["output"])


@pytest.fixture
def select(tmp_path, monkeypatch):
    """Runs the selection on these reports."""

    def stage(reports, episodes=None, rule=RULE):
        times = pl.col("start", "clock_zero", "observed_from", "prediction_time").cast(TIME)
        rows = pl.DataFrame(episodes or [admission()]).with_columns(times)
        rows.write_parquet(tmp_path / "episodes.parquet")
        pl.DataFrame(reports, schema=REPORT).write_parquet(tmp_path / "clean.parquet")
        return run(
            monkeypatch,
            notes,
            query=FOLDER / "notes.sql",
            episodes=tmp_path / "episodes.parquet",
            notes=tmp_path / "clean.parquet",
            availability=json.dumps(rule),
            output=tmp_path / "notes.parquet",
        )

    return stage


def names(table):
    return "".join(table["note_id"])


def test_reports_charted_in_the_observation_and_known_before_the_prediction_time(select):
    second = timedelta(seconds=1)
    reports = [
        report("a", at(-6) - second),
        report("b", at(-6)),
        report("c", at(0, -1), storetime=at(0) - second),
        report("d", at(40), storetime=at(48) - second),
        report("e", at(40), storetime=at(48)),
        report("f", at(48) - second),
        report("g", at(48)),
        report("h", at(47), storetime=at(40)),  # stored ahead of its time
    ]
    kept = select(reports, [admission(observed_from=at(-6))]).sort("note_id")
    assert kept.select("note_id", "minute").rows() == [
        ("b", -360), ("c", -1), ("d", 2879), ("f", 2879), ("h", 2820)
    ]  # fmt: skip


def test_charttime_stands_in_for_a_missing_storetime_and_is_counted(select, caplog):
    caplog.set_level(logging.INFO, "pipeline")
    reports = [report("a", at(1), storetime=None), report("b", at(2))]
    assert names(select(reports)) == "ab"
    assert "<10 of them have no storetime" in caplog.text
    assert names(select(reports, rule=RULE | {"notes": ["storetime"]})) == "b"


def test_a_report_without_admission_goes_to_one_admission_and_never_to_another_patient(select):
    episodes = [admission(1), admission(2, start=at(30), observed_from=at(24)), admission(3, 20)]
    times = {"a": 5, "b": 24, "c": 24.5, "d": 47, "e": 78, "f": 79}
    kept = select([report(name, at(h), hadm_id=None) for name, h in times.items()], episodes)
    owners = kept.group_by("episode_id").agg(pl.col("note_id").sort()).sort("episode_id")
    assert owners.rows() == [(1, ["a"]), (2, ["b", "c", "d"])]


def test_minutes_of_a_stay_count_from_the_patients_arrival_and_earlier_reports_stay_known(select):
    hours = {"a": -1, "b": 2, "c": 7, "d": 50, "e": 51}
    kept = select([report(name, at(hour)) for name, hour in hours.items()], [stay(arrival=at(3))])
    assert kept.select("note_id", "minute").rows() == [
        ("a", -240), ("b", -60), ("c", 240), ("d", 2820)
    ]  # fmt: skip


def test_the_seconds_of_clock_zero_do_not_move_a_horizon(select):
    start = at() + timedelta(seconds=50)
    late = {"a": 4 * 3600 - 1, "b": 4 * 3600}
    reports = [
        report(name, start, storetime=start + timedelta(seconds=seconds))
        for name, seconds in late.items()
    ]
    kept = select(reports, [stay(start=start)])
    assert kept.select("note_id", "minute").rows() == [("a", 239), ("b", 240)]


def test_two_stays_of_an_admission_share_reports_each_by_its_own_clock(select):
    stays = [stay(1), stay(2, start=at(50), observed_from=at(-6))]
    reports = [report("a", at(-2)), report("b", at(47, 59)), report("c", at(60), hadm_id=None)]
    assert select(reports, stays).select("episode_id", "note_id", "minute").rows() == [
        (1, "a", -120), (1, "b", 2879), (2, "a", -3120), (2, "b", -121), (2, "c", 600)
    ]  # fmt: skip


def test_a_report_of_an_admission_without_an_episode_is_nobodys(select):
    stays = [stay(1), stay(2, hadm=2, start=at(30), observed_from=at(24)), stay(3, 20, 3)]
    assert select([report("a", at(30), hadm_id=9)], stays).is_empty()
    tie = [stay(1), stay(2, hadm=2)]
    assert select([report("a", at(1), hadm_id=None)], tie).height == 1


def test_a_report_of_another_admission_of_the_patient_is_not_taken(select):
    kept = select([report("a", at(30), hadm_id=1)], [admission(1), admission(2, start=at(24))])
    assert kept["episode_id"].to_list() == [1]


def test_a_perfect_report_one_minute_late_changes_nothing_but_shows_with_the_rule_off(select):
    reports = [report("a", at(1)), report("b", at(47), hadm_id=None)]
    late = [
        report("x", at(48, 1)),
        report("y", at(48, 1), hadm_id=None),
        report("z", at(20), storetime=at(48, 1)),
    ]
    assert select(reports + late).equals(select(reports))
    off = select(reports + late, rule=RULE | {"enforced": False})
    assert sorted(names(off)) == ["a", "b", "x", "y", "z"]


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Runs the published selection on these reports of one admission, discharged after 40 hours."""

    def stage(reports, discharged=40):
        times = pl.col("start", "clock_zero", "observed_from", "prediction_time").cast(TIME)
        pl.DataFrame([admission()]).with_columns(times).write_parquet(tmp_path / "episodes.parquet")
        pl.DataFrame(reports, schema=REPORT).write_parquet(tmp_path / "clean.parquet")
        row = {"subject_id": [10], "hadm_id": [1], "dischtime": [at(discharged)]}
        pl.DataFrame(row).write_parquet(tmp_path / "admissions.parquet")
        paths = {
            "episodes": "episodes",
            "notes": "clean",
            "admissions": "admissions",
            "output": "out",
        }
        given = {flag: tmp_path / f"{name}.parquet" for flag, name in paths.items()}
        return run(monkeypatch, notes, query=FOLDER / "notes_published.sql", **given)

    return stage


def test_published_reports_are_charted_in_the_window_before_discharge_whenever_stored(published):
    reports = [
        report("a", at()),
        report("b", at(0, 1), storetime=at(90)),
        report("c", at(39, 59)),
        report("d", at(40)),
        report("e", at(1), storetime=None),
        report("f", at(1), hadm_id=None),
        report("g", at(1), subject_id=20),
    ]
    assert published(reports).select("note_id", "minute").rows() == [("b", 1), ("c", 2399)]
    late = [report("h", at(48)), report("i", at(48, 1))]
    assert names(published(late, discharged=90)) == "h"


@pytest.mark.parametrize(
    ("name", "needed"), [("notes.sql", "availability"), ("notes_published.sql", "admissions")]
)
def test_a_query_without_what_it_needs_is_refused(monkeypatch, tmp_path, name, needed):
    paths = {name: tmp_path / name for name in ("episodes", "notes", "output")}
    with pytest.raises(InputError, match=f"{name} needs --{needed}$"):
        run(monkeypatch, notes, query=FOLDER / name, **paths)


@pytest.fixture
def cleaned(tmp_path, monkeypatch):
    """Runs the cleaning on these texts (name → text) and gives name → words."""

    def stage(texts, **change):
        rows = [report(name, at(1)) | {"text": text} | change for name, text in texts.items()]
        table = pl.DataFrame(rows, schema={**REPORT, "text": pl.String})
        table.write_parquet(tmp_path / "radiology.parquet")
        kept = run(
            monkeypatch,
            clean,
            radiology=tmp_path / "radiology.parquet",
            output=tmp_path / "clean.parquet",
        )
        return dict(kept.select("note_id", "words").rows())

    return stage


def test_words_are_lower_case_letters_of_any_number_without_layout_or_removed_names(cleaned):
    text = (
        "FINDINGS:\nNo pleural\teffusion, cardiomediastinal 12 cm. ___ year-old R hydropneumothorax"
    )
    assert cleaned({"a": text}) == {
        "a": "findings no pleural effusion cardiomediastinal cm year old r hydropneumothorax",
    }


def test_accents_stay_within_words_however_they_are_written(cleaned):
    one, two = "Naïve Sjögren ÅNGSTRÖM", unicodedata.normalize("NFD", "Naïve Sjögren ÅNGSTRÖM")
    assert one != two
    words = cleaned({"a": one, "b": two, "c": "β-blocker, 3µg"})
    assert words == {
        "a": "naïve sjögren ångström", "b": "naïve sjögren ångström", "c": "β blocker µg"
    }  # fmt: skip


def test_reports_without_a_word_or_a_time_are_dropped_and_counted(cleaned, caplog):
    caplog.set_level(logging.INFO, "pipeline")
    texts = {"a": "clear lungs", "b": "", "c": None, "d": "___ 12 / 3 \n", "e": "_ 5."}
    assert cleaned(texts) == {"a": "clear lungs"}
    assert "<10 reports; <10 without a word or a time are dropped" in caplog.text
    assert cleaned({"a": "clear lungs"}, charttime=None) == {}
