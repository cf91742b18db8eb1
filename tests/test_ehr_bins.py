"""Bins: fitted on the training subjects of the source, whatever the cohort; robust to outliers."""

import json
import sys

import polars as pl
import pytest

from pipeline.cohort.settings import Fold
from pipeline.cohort.split import split_of
from pipeline.ehr import bins as stage
from pipeline.ehr.bins import INNER, bin_of
from pipeline.ehr.signals import BINS

SPLIT = {"salt": "bins", "train": 0.5, "fusion": 0.2, "val": 0.1, "test": 0.2}
RULE = Fold(**SPLIT)
SUBJECTS = range(10_000_000, 10_000_200)
TRAIN = [s for s in SUBJECTS if split_of(s, RULE) == "train"]
OTHERS = [s for s in SUBJECTS if split_of(s, RULE) != "train"]
HEART_RATE, FAHRENHEIT, URINE, LACTATE, EEG, WENT_IN = 1, 2, 3, 4, 5, 6
OXYGEN, SPECIMEN, NOREPINEPHRINE = 50821, 52033, 221906
ITEMS = [
    (HEART_RATE, "Heart Rate", "chartevents"),
    (FAHRENHEIT, "Temperature Fahrenheit", "chartevents"),
    (URINE, "Foley", "outputevents"),
    (WENT_IN, "GU Irrigant Volume In", "outputevents"),
    (EEG, "EEG", "procedureevents"),
]
INFUSIONS = {"subject_id": pl.Int64, "itemid": pl.Int64, "rate": pl.Float64, "rateuom": pl.String,
             "amount": pl.Float64, "statusdescription": pl.String}  # fmt: skip


@pytest.fixture
def fit(tmp_path, monkeypatch):
    """Runs the stage on readings (subject, itemid, value) per table, a minute apart, each `times`
    times; gives signal → its row."""

    def run(subjects=SUBJECTS, times=1, **tables):
        pl.DataFrame({"subject_id": subjects}).write_parquet(tmp_path / "patients.parquet")
        pl.DataFrame(ITEMS, schema=["itemid", "label", "linksto"], orient="row").write_parquet(
            tmp_path / "d_items.parquet"
        )
        labs = {"itemid": [LACTATE, OXYGEN], "label": ["Lactate", "pO2"], "fluid": "Blood"}
        pl.DataFrame(labs).write_parquet(tmp_path / "d_labitems.parquet")
        for table in ("chartevents", "outputevents", "labevents"):
            value = "value" if table == "outputevents" else "valuenum"
            columns = {"subject_id": pl.Int64, "itemid": pl.Int64, value: pl.Float64}
            rows = pl.DataFrame(tables.get(table, []), schema=columns, orient="row")
            minute = pl.duration(minutes=pl.int_range(pl.len()))
            rows = rows.with_columns((pl.datetime(2150, 1, 1) + minute).alias("charttime"))
            if table == "outputevents":
                more = pl.DataFrame(
                    tables.get("at_the_same_minutes", []), schema=columns, orient="row"
                )
                rows = pl.concat([rows, more.with_columns(rows["charttime"].head(more.height))])
            if table == "labevents":  # every second specimen is arterial
                rows = rows.with_row_index("specimen_id").with_columns(
                    value=pl.lit(None, pl.String)
                )
                kinds = rows.filter(pl.col("specimen_id") % 2 == 0)
                kinds = kinds.with_columns(itemid=pl.lit(SPECIMEN, pl.Int64), value=pl.lit("ART."))
                rows = pl.concat([rows, kinds])
            rows = pl.concat([rows] * times)
            rows.write_parquet(tmp_path / f"{table}.parquet")
        drugs = pl.DataFrame(tables.get("inputevents", []), schema=INFUSIONS, orient="row")
        minute = pl.duration(minutes=pl.int_range(pl.len()))
        drugs = drugs.with_columns(
            starttime=pl.datetime(2150, 1, 1) + minute, patientweight=pl.lit(80.0)
        )
        drugs.write_parquet(tmp_path / "inputevents.parquet")
        output = tmp_path / "bins.parquet"
        given = ["--source", tmp_path, "--split", json.dumps(SPLIT), "--output", output]
        monkeypatch.setattr(sys, "argv", ["bins", *map(str, given), "--temp", str(tmp_path)])
        stage.main()
        return {row["signal"]: row for row in pl.read_parquet(output).to_dicts()}

    return run


def spread(subjects, itemid, low, high, count=1000):
    """Readings of evenly spread values, dealt to the subjects in turn."""
    step = (high - low) / (count - 1)
    return [(subjects[k % len(subjects)], itemid, low + k * step) for k in range(count)]


def assign(value, row):
    bounds = pl.DataFrame({"value": [float(value)], "low": row["low"], "high": row["high"]})
    return bounds.select(bin_of(pl.col("value"), pl.col("low"), pl.col("high"))).item()


def test_rows_that_are_there_twice_count_once(fit):
    rows = [*spread(TRAIN, HEART_RATE, 40, 140), *[(TRAIN[0], HEART_RATE, 120.0)] * 500]
    once = fit(chartevents=rows, outputevents=spread(TRAIN, URINE, 0, 500))
    assert once["heart_rate"]["readings"] == 1500  # equal values at other times are readings
    assert fit(chartevents=rows, outputevents=spread(TRAIN, URINE, 0, 500), times=2) == once
    assert fit(chartevents=rows + rows[::3], outputevents=spread(TRAIN, URINE, 0, 500)) != once


def test_readings_of_other_subjects_change_nothing(fit):
    own = spread(TRAIN, HEART_RATE, 40, 140)
    alone = fit(chartevents=own)
    assert alone["heart_rate"]["readings"] == 1000
    assert fit(chartevents=own + spread(OTHERS, HEART_RATE, 200, 290)) == alone
    assert fit(chartevents=own, subjects=[*SUBJECTS, *range(10_000_200, 10_000_300)]) == alone


def test_a_signal_that_only_others_have_has_no_bins(fit):
    rows = spread(TRAIN, HEART_RATE, 40, 140)
    labs = spread(OTHERS, LACTATE, 1, 5)
    assert list(fit(chartevents=rows, labevents=labs)) == ["heart_rate"]


def test_one_outlier_does_not_squeeze_the_others(fit):
    rows = spread(TRAIN, HEART_RATE, 60, 100)
    plain = fit(chartevents=rows)["heart_rate"]
    outlying = fit(chartevents=[*rows, (TRAIN[0], HEART_RATE, 300.0)])["heart_rate"]
    assert outlying["high"] == pytest.approx(plain["high"], abs=0.2)
    used = {assign(value, outlying) for _, _, value in rows}
    assert len(used) == INNER + 2  # every bin from underflow to overflow
    assert assign(300, outlying) == BINS - 1


def test_impossible_values_are_left_out_and_units_converted(fit):
    good = spread(TRAIN, FAHRENHEIT, 95, 104)
    bad = [(TRAIN[0], FAHRENHEIT, v) for v in (0.0, 37.0, 999.0)]
    row = fit(chartevents=good + bad)["temperature"]
    assert row["readings"] == 1000
    assert (row["low"], row["high"]) == pytest.approx((35.0, 40.0), abs=0.05)


def test_scores_and_outputs_are_fitted_and_intervals_are_not(fit):
    rows = fit(outputevents=spread(TRAIN, URINE, 0, 500), chartevents=[(TRAIN[0], EEG, 1.0)])
    assert list(rows) == ["urine"]


def test_urine_of_a_minute_is_one_reading_without_what_went_in(fit):
    out = [(TRAIN[0], URINE, 1100.0 + k) for k in range(100)]
    went_in = [(TRAIN[0], WENT_IN, 1000.0)] * 100
    rows = fit(outputevents=out)["urine"]
    assert (rows["readings"], rows["low"] > 1099) == (100, True)
    both = fit(outputevents=out, at_the_same_minutes=went_in)
    assert both["urine"]["readings"] == 100
    assert 99 < both["urine"]["low"] < both["urine"]["high"] < 200


def test_pao2_is_that_of_arterial_specimens_alone(fit):
    rows = [(TRAIN[0], OXYGEN, 90.0 if k % 2 == 0 else 40.0) for k in range(100)]
    found = fit(labevents=rows)["pao2"]
    assert (found["low"], found["high"], found["readings"]) == (90.0, 90.0, 50)


def test_rates_in_their_units_without_void_infusions(fit):
    runs = [(TRAIN[0], NOREPINEPHRINE, 0.2, "mcg/kg/min", 1.0, "FinishedRunning")]
    void = [(TRAIN[0], NOREPINEPHRINE, 3.0, "mcg/kg/min", 1.0, "Rewritten"),
            (TRAIN[0], NOREPINEPHRINE, 4.0, "mcg/kg/min", 0.0, "FinishedRunning"),
            (TRAIN[0], NOREPINEPHRINE, 5.0, "drops", 1.0, "FinishedRunning")]  # fmt: skip
    milligrams = [(TRAIN[0], NOREPINEPHRINE, 0.0002, "mg/kg/min", 1.0, "FinishedRunning")]
    found = fit(inputevents=runs + void + milligrams)["norepinephrine"]
    assert (found["low"], found["high"], found["readings"]) == (0.2, 0.2, 2)


def test_a_constant_signal_keeps_below_equal_and_above_apart(fit):
    row = fit(labevents=[(TRAIN[k], LACTATE, 2.0) for k in range(20)])["lactate"]
    assert (row["low"], row["high"]) == (2.0, 2.0)
    assert [assign(v, row) for v in (1.9, 2.0, 2.1)] == [1, 2, BINS - 1]


def test_edges_of_the_bins():
    row = {"low": 0.0, "high": float(INNER)}  # bins of width 1
    below, first, second, last, above = 1, 2, 3, BINS - 2, BINS - 1
    edges = {-1e9: below, -0.001: below, 0: first, 0.999: first, 1: second}
    edges |= {INNER - 0.001: last, INNER: above, 1e9: above}
    assert {value: assign(value, row) for value in edges} == edges


def test_equal_values_lie_in_one_bin_and_larger_ones_never_lower(fit):
    row = fit(chartevents=spread(TRAIN, HEART_RATE, 40, 140))["heart_rate"]
    values = [40 + k / 7 for k in range(700)]
    found = [assign(value, row) for value in values]
    assert found == sorted(found)
    assert assign(77.7, row) == assign(77.7, row)
