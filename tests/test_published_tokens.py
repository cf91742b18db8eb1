"""Published tokens on a few rows each: window edges, ranges, means, bins, texts, procedures."""

import sys
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pytest

from pipeline.ehr import published as stage
from pipeline.ehr.signals import catalogue, vocabulary
from pipeline.ehr.steps import read_steps
from pipeline.stage.errors import InputError

ZERO = datetime(2150, 3, 1, 8, 0)
TIME = pl.Datetime("us")
CHART = {"hadm_id": pl.Int64, "charttime": TIME, "storetime": TIME, "itemid": pl.Int64}
CHART |= {"value": pl.String, "valuenum": pl.Float64}
SCHEMAS = {
    "chartevents": CHART,
    "labevents": CHART,
    "procedureevents": {
        "hadm_id": pl.Int64,
        "itemid": pl.Int64,
        "starttime": TIME,
        "endtime": TIME,
    },
}
HEART_RATE, SYSTOLIC, EYES, MOTOR, SODIUM, URINE_SODIUM, EEG = range(1, 8)
ITEMS = [
    (HEART_RATE, "Heart Rate", "chartevents"),
    (SYSTOLIC, "Non Invasive Blood Pressure systolic", "chartevents"),
    (EYES, "GCS - Eye Opening", "chartevents"),
    (MOTOR, "GCS - Motor Response", "chartevents"),
    (EEG, "EEG", "procedureevents"),
    (99, "Arterial Blood Pressure systolic", "chartevents"),
]
LABS = [(SODIUM, "Sodium", "Blood"), (URINE_SODIUM, "Sodium", "Urine")]
FIRST = vocabulary("published").offsets()


def at(hours=0, minutes=0, seconds=0):
    return ZERO + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def read(minutes, number=80.0, itemid=HEART_RATE, episode=1, **change):
    """A reading or lab of an admission; its text is its number."""
    row = {"hadm_id": episode, "charttime": at(0, minutes), "storetime": at(90), "itemid": itemid}
    return row | {"value": str(number), "valuenum": number} | change


def words(minutes, text, itemid=EYES, **change):
    return read(minutes, None, itemid, value=text, **change)


def runs(start, end, **change):
    row = {"hadm_id": 1, "itemid": EEG, "starttime": at(0, start)}
    return row | {"endtime": None if end is None else at(0, end)} | change


def episode(number):
    usual = {"age": 64, "sex": "F", "insurance": None, "language": "ENGLISH"}
    usual |= {"marital_status": None, "race": "WHITE"}
    row = {"episode_id": number, "subject_id": 10, "hadm_id": number, "start": at()}
    return row | {"prediction_time": at(48)} | usual


@pytest.fixture
def tokens(tmp_path, monkeypatch):
    """Runs the stage on rows of source tables (by name), admissions 1 and 2."""

    def run(**tables):
        for name, schema in SCHEMAS.items():
            rows = [{c: row.get(c) for c in schema} for row in tables.get(name, [])]
            pl.DataFrame(rows, schema=schema).write_parquet(tmp_path / f"{name}.parquet")
        items = pl.DataFrame(ITEMS, schema=["itemid", "label", "linksto"], orient="row")
        items.write_parquet(tmp_path / "d_items.parquet")
        labs = pl.DataFrame(LABS, schema=["itemid", "label", "fluid"], orient="row")
        labs.write_parquet(tmp_path / "d_labitems.parquet")
        text = {"insurance": pl.String, "marital_status": pl.String}
        times = pl.col("start", "prediction_time").cast(TIME)
        rows = pl.DataFrame([episode(1), episode(2)], schema_overrides=text).with_columns(times)
        rows.write_parquet(tmp_path / "episodes.parquet")
        given = {"episodes": tmp_path / "episodes.parquet", "source": tmp_path, "temp": tmp_path}
        given |= {name: tmp_path / f"{name}.parquet" for name in ("output", "demographics")}
        flags = [str(word) for key, value in given.items() for word in (f"--{key}", value)]
        monkeypatch.setattr(sys, "argv", ["published", *flags])
        stage.main()
        return pl.read_parquet(tmp_path / "output.parquet")

    return run


def bins(table, signal="heart_rate", episode=1):
    """minute → row within the signal, of one episode."""
    own = pl.col("token") - FIRST[signal]
    rows = {name: block for name, *block in vocabulary("published").blocks}[signal][1]
    found = table.filter(pl.col("episode_id") == episode, own.is_between(0, rows - 1))
    return dict(found.select("minute", own).rows())


def test_the_window_is_from_admission_to_48_hours_by_charttime_to_the_minute(tokens):
    times = [-1, 0, 1, 48 * 60, 48 * 60 + 1]
    made = tokens(
        chartevents=[read(m) for m in times],
        labevents=[read(m, itemid=SODIUM) for m in times],
        procedureevents=[runs(m, 9999) for m in times],
    )
    for signal in ("heart_rate", "sodium", "eeg"):
        assert list(bins(made, signal)) == [1, 48 * 60]


def test_rows_of_other_admissions_or_none_are_not_taken(tokens):
    others = [3, None]
    made = tokens(
        chartevents=[read(5, episode=e) for e in others],
        labevents=[read(5, itemid=SODIUM, episode=e) for e in others],
        procedureevents=[runs(5, 9, hadm_id=e) for e in others],
    )
    assert made.height == 0


def test_values_lie_in_200_equal_bins_from_the_lowest_to_the_highest(tokens):
    values = {1: 100.0, 2: 100.19, 3: 100.21, 4: 120.0, 5: 139.9, 6: 140.0}
    made = tokens(chartevents=[read(m, v, SYSTOLIC) for m, v in values.items()])
    assert bins(made, "sbp_cuff") == {1: 0, 2: 0, 3: 1, 4: 99, 5: 199, 6: 199}
    # one range for all episodes of the label
    made = tokens(chartevents=[read(1, 100.0, SYSTOLIC), read(1, 140.0, SYSTOLIC, episode=2)])
    assert bins(made, "sbp_cuff", 2) == {1: 199}


@pytest.mark.parametrize("digits", [0, 1, 8])
def test_bins_are_those_of_pandas_cut(tokens, digits):
    """A third party's equal bins, which the published code calls; many shares lie on an edge."""
    values = np.random.default_rng(digits).uniform(90, 140, 500).round(digits)
    values[:2] = 90, 140
    made = tokens(chartevents=[read(m, v, SYSTOLIC) for m, v in enumerate(values.tolist(), 1)])
    expected = pd.cut(pd.Series((values - 90) / 50), 200, labels=False)
    assert bins(made, "sbp_cuff") == dict(enumerate(expected.tolist(), 1))


def test_a_label_with_one_value_is_all_in_bin_0(tokens):
    assert bins(tokens(chartevents=[read(1, 77.0), read(2, 77.0)])) == {1: 0, 2: 0}


def test_a_vital_beyond_its_range_gets_the_mean_bin_of_its_admission_and_label(tokens):
    rows = [read(1, 90.0, SYSTOLIC), read(2, 100.0, SYSTOLIC), read(3, 89.9, SYSTOLIC)]
    rows += [read(4, None, SYSTOLIC), read(5, 140.1, SYSTOLIC), read(6, float("nan"), SYSTOLIC)]
    rows += [read(7, 100.0, SYSTOLIC, value="error")]
    rows += [read(1, 140.0, SYSTOLIC, episode=2), read(1, 200.0)]
    made = tokens(chartevents=rows)
    mean = 20  # of bins 0 and 39: 19.5, to the even one
    assert bins(made, "sbp_cuff") == {1: 0, 2: 39, **dict.fromkeys(range(3, 8), mean)}


def test_the_mean_is_that_of_the_bins_not_the_bin_of_the_mean(tokens):
    rows = [read(1, 92.76, SYSTOLIC), read(2, 93.01, SYSTOLIC), read(3, 60.0, SYSTOLIC)]
    rows += [read(1, 90.0, SYSTOLIC, episode=2), read(2, 140.0, SYSTOLIC, episode=2)]
    rows += [read(3, (92.76 + 93.01) / 2, SYSTOLIC, episode=2)]
    made = tokens(chartevents=rows)
    assert bins(made, "sbp_cuff") == {1: 11, 2: 12, 3: 12}
    assert bins(made, "sbp_cuff", 2)[3] == 11  # the bin of the mean


def test_without_a_value_of_the_admission_it_gets_the_mean_bin_of_the_label(tokens):
    rows = [read(1, 90.0, SYSTOLIC), read(2, 130.0, SYSTOLIC), read(3, 70.0, SYSTOLIC, episode=2)]
    made = tokens(chartevents=rows)
    assert bins(made, "sbp_cuff", 2) == {3: 100}  # of 0 and 199: 99.5, to the even one
    # with none in any episode it is no token
    assert tokens(chartevents=rows[2:]).height == 0


def test_labs_are_numbers_of_the_column_value_of_blood_whatever_their_size(tokens):
    rows = [read(1, 1.0, SODIUM, valuenum=None), read(2, 999.0, SODIUM, valuenum=5.0)]
    rows += [read(m, 140.0, SODIUM, value=v) for m, v in enumerate(["___", "NEG", None, "nan"], 3)]
    rows += [read(9, 5000.0, URINE_SODIUM)]
    assert bins(tokens(labevents=rows), "sodium") == {1: 0, 2: 199}


def test_scores_are_codes_of_their_texts_in_alphabetical_order(tokens):
    rows = [words(1, "To Speech"), words(2, "None"), words(3, "Spontaneously"), words(4, "To Pain")]
    rows += [words(5, "None"), words(6, None, valuenum=3.0)]
    rows += [words(1, "Abnormal extension", MOTOR), words(2, "Abnormal Flexion", MOTOR)]
    made = tokens(chartevents=rows)
    assert bins(made, "gcs_eye") == {1: 3, 2: 0, 3: 1, 4: 2, 5: 0}
    assert bins(made, "gcs_motor") == {1: 1, 2: 0}


def test_more_texts_than_categories_are_refused_without_showing_one(tokens):
    with pytest.raises(InputError, match=r"more texts than categories.*gcs_eye") as error:
        tokens(chartevents=[words(m, f"secret {m}") for m in range(1, 6)])
    assert "secret" not in str(error.value)


def test_a_procedure_runs_from_its_start_to_before_its_end(tokens):
    steps = [read(m) for m in (9, 10, 11, 19, 20)]
    made = tokens(chartevents=steps, procedureevents=[runs(10, 20)])
    assert list(bins(made, "eeg")) == [10, 11, 19]
    # its start is an event time; without an end, or with one at the start, it never runs
    made = tokens(chartevents=[read(50)], procedureevents=[runs(5, 60), runs(7, 7), runs(8, None)])
    assert list(bins(made, "eeg")) == [5, 7, 8, 50]
    assert tokens(procedureevents=[runs(7, 7), runs(8, None)]).height == 0


def test_a_time_has_a_set_of_tokens(tokens):
    rows = [read(1), read(1), read(1, 81.0), read(2, 180.0)]
    made = tokens(chartevents=rows, procedureevents=[runs(0.5, 9), runs(0.6, 9)])
    assert made.filter(minute=1).height == 3  # two heart rates, one EEG
    assert made.rows() == sorted(made.rows())


def test_an_empty_sequence_is_one_step_of_demographics_at_time_0(tokens, tmp_path):
    tokens(chartevents=[read(60)])
    paths = (tmp_path / "output.parquet", tmp_path / "demographics.parquet")
    batch = read_steps(*paths, np.array([1, 2]), 48, np.inf).batch(np.array([0, 1]))
    assert batch["lengths"].tolist() == [1, 1]
    assert batch["time_bin"].tolist() == [4, 0]  # trunc(1 / 48 · 200)
    assert batch["token"].tolist() == [0]
    assert batch["demographics"].shape == (2, 5)


def test_the_lists_are_those_of_the_paper():
    listed = catalogue("published")
    assert listed["kind"].value_counts().sort("kind").rows() == [
        ("chart", 9),
        ("interval", 10),
        ("lab", 22),
    ]
    corrected = catalogue()
    shared = listed.join(corrected, on=["signal", "kind", "source", "label"])
    assert shared.height == 41  # one name for one label in both protocols


def codes(column, *values):
    rows = [episode(k) | {column: value} for k, value in enumerate(values)]
    frame = pl.DataFrame(rows, infer_schema_length=None)
    text = pl.col("insurance", "language", "marital_status", "race").cast(pl.String)
    return stage.demographics(frame.with_columns(text), stage.CODES)[column].to_list()


def test_demographic_codes_are_alphabetical():
    assert codes("insurance", "Medicaid", "Medicare", "Other", None) == [0, 1, 2, 2]
    assert codes("language", "?", "ENGLISH", None) == [0, 1, 0]
    status = ["DIVORCED", "MARRIED", "SINGLE", "WIDOWED", None]
    assert codes("marital_status", *status) == [0, 1, 2, 3, 4]
    ethnicity = ["AMERICAN INDIAN/ALASKA NATIVE", "ASIAN", "BLACK/AFRICAN AMERICAN"]
    ethnicity += ["HISPANIC/LATINO", "OTHER", "UNABLE TO OBTAIN", "UNKNOWN", "WHITE"]
    assert codes("race", *ethnicity) == list(range(8))
    assert codes("race", "PORTUGUESE", "WHITE - RUSSIAN", None) == [4, 7, 4]
    assert codes("age", 19, 20, 64, 91) == [0, 1, 5, 8]
