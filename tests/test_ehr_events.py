"""EHR events: what was known by the prediction time, to the minute, and whose it is."""

import json
import logging
import math
import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from episodes_at_hand import RULE, TIME, admission, at

from pipeline.cohort.definitions import item_ids
from pipeline.ehr import events as stage
from pipeline.ehr.signals import catalogue, vocabulary
from pipeline.ehr.statistics import describe
from pipeline.ehr.tokens import tokenise
from pipeline.stage.errors import InputError

CHARTED = {
    "subject_id": pl.Int64,
    "hadm_id": pl.Int64,
    "charttime": TIME,
    "storetime": TIME,
    "itemid": pl.Int64,
}
RUNNING = {
    "hadm_id": pl.Int64,
    "itemid": pl.Int64,
    "starttime": TIME,
    "endtime": TIME,
    "storetime": TIME,
    "statusdescription": pl.String,
}
SCHEMAS = {
    "chartevents": {**CHARTED, "value": pl.String, "valuenum": pl.Float64},
    "outputevents": {**CHARTED, "value": pl.Float64},
    "labevents": {
        **CHARTED,
        "specimen_id": pl.Int64,
        "value": pl.String,
        "valuenum": pl.Float64,
    },
    "procedureevents": RUNNING,
    "inputevents": {
        **RUNNING,
        "amount": pl.Float64,
        "rate": pl.Float64,
        "rateuom": pl.String,
        "patientweight": pl.Float64,
    },
}
HEART_RATE, CELSIUS, FAHRENHEIT, FOLEY_URINE = 220045, 223762, 223761, 226559
INTUBATION, NOREPINEPHRINE, LACTATE, URINE_GLUCOSE, GLUCOSE = 224385, 221906, 50813, 51478, 50931
GCS_VERBAL, FIO2, LAB_FIO2, OXYGEN, SPECIMEN = 223900, 223835, 50816, 50821, 52033
VOID, WENT_IN, CAME_OUT = 226560, 227488, 227489
PHENYLEPHRINE, VASOPRESSIN, ANGIOTENSIN, ANGIOTENSIN_NG = 221749, 222315, 229709, 229764
ITEMS = [
    (HEART_RATE, "Heart Rate", "chartevents"),
    (CELSIUS, "Temperature Celsius", "chartevents"),
    (FAHRENHEIT, "Temperature Fahrenheit", "chartevents"),
    (FOLEY_URINE, "Foley", "outputevents"),
    (INTUBATION, "Intubation", "procedureevents"),
    (NOREPINEPHRINE, "Norepinephrine", "inputevents"),
    (229999, "Norepinephrine", "chartevents"),  # same words, another table
    (229631, "Phenylephrine (200/250)_OLD_1", "inputevents"),
    (GCS_VERBAL, "GCS - Verbal Response", "chartevents"),
    (FIO2, "Inspired O2 Fraction", "chartevents"),
    (225309, "ART BP Systolic", "chartevents"),
    (224690, "Respiratory Rate (Total)", "chartevents"),
    (VOID, "Void", "outputevents"),
    (WENT_IN, "GU Irrigant Volume In", "outputevents"),
    (CAME_OUT, "GU Irrigant/Urine Volume Out", "outputevents"),
]
BOUNDS = pl.DataFrame({"signal": ["heart_rate"], "low": [0.0], "high": [200.0]})
LABS = [
    (LACTATE, "Lactate", "Blood"),
    (GLUCOSE, "Glucose", "Blood"),
    (URINE_GLUCOSE, "Glucose", "Urine"),
    (LAB_FIO2, "Oxygen", "Blood"),
    (OXYGEN, "pO2", "Blood"),
    (SPECIMEN, "Specimen Type", "Blood"),
]


def read(charttime, itemid=HEART_RATE, value=80.0, **change):
    """A reading or lab of admission 1, stored when it was charted."""
    row = {"subject_id": 10, "hadm_id": 1, "charttime": charttime, "storetime": charttime}
    return row | {"itemid": itemid, "valuenum": value} | change


def runs(starttime, endtime, itemid=INTUBATION, **change):
    """A procedure or infusion of admission 1, stored once it is over (as 84 % are)."""
    row = {"hadm_id": 1, "itemid": itemid, "starttime": starttime, "endtime": endtime}
    return row | {"storetime": endtime, "statusdescription": "FinishedRunning"} | change


def frame(rows, schema):
    return pl.DataFrame([{c: r.get(c) for c in schema} for r in rows], schema=schema, orient="row")


@pytest.fixture
def select(tmp_path, monkeypatch):
    """Runs the stage on tiny source tables (by name) and gives its table."""

    def run(episodes=None, rule=RULE, **tables):
        for name, schema in SCHEMAS.items():
            frame(tables.get(name, []), schema).write_parquet(tmp_path / f"{name}.parquet")
        items = pl.DataFrame(ITEMS, schema=["itemid", "label", "linksto"], orient="row")
        items.write_parquet(tmp_path / "d_items.parquet")
        labs = pl.DataFrame(LABS, schema=["itemid", "label", "fluid"], orient="row")
        labs.write_parquet(tmp_path / "d_labitems.parquet")
        times = pl.col("clock_zero", "observed_from", "prediction_time").cast(TIME)
        rows = pl.DataFrame(episodes or [admission()]).with_columns(times)
        rows.write_parquet(tmp_path / "episodes.parquet")
        output = tmp_path / "events.parquet"
        given = {"episodes": tmp_path / "episodes.parquet", "source": tmp_path}
        given |= {"availability": json.dumps(rule), "output": output, "temp": tmp_path}
        flags = [str(word) for key, value in given.items() for word in (f"--{key}", value)]
        monkeypatch.setattr(sys, "argv", ["events", *flags])
        stage.main()
        return pl.read_parquet(output)

    return run


def minutes(table):
    return table["minute"].to_list()


SECOND = timedelta(seconds=1)
POINTS = {"chartevents": HEART_RATE, "outputevents": FOLEY_URINE, "labevents": LACTATE}
LASTING = {"procedureevents": INTUBATION, "inputevents": NOREPINEPHRINE}


def test_a_reading_in_full(select):
    assert select(chartevents=[read(at())]).row(0, named=True) == {
        "episode_id": 1,
        "minute": 0,
        "end_minute": None,
        "kind": "chart",
        "signal": "heart_rate",
        "value": 80.0,
        "void": False,
        "known": 0,
    }


@pytest.mark.parametrize("table", POINTS)
def test_edges_of_readings(select, table):
    """From observed_from on, before the prediction time, and known before it: to the second."""
    times = [at(-6) - SECOND, at(-6), at(48) - SECOND, at(48)]
    rows = [read(time, POINTS[table], 20.0) for time in times]
    rows += [read(at(40), POINTS[table], 21.0, storetime=time) for time in (at(48), at(49))]
    rows += [read(at(41), POINTS[table], 22.0, storetime=at(48) - SECOND)]
    rows += [read(at(48), POINTS[table], 23.0, storetime=at(47))]  # stored ahead of its time
    rows = [row | {"value": row["valuenum"]} for row in rows]
    kept = select([admission(observed_from=at(-6))], **{table: rows})
    assert minutes(kept) == [-6 * 60, 41 * 60, 48 * 60 - 1]


@pytest.mark.parametrize("table", LASTING)
def test_edges_of_intervals(select, table):
    """An end at the prediction time is not known before it."""
    starts = [at(-6) - SECOND, at(-6), at(48) - SECOND, at(48)]
    rows = [runs(time, at(60), LASTING[table], amount=1.0) for time in starts]
    ends = [at(48) - SECOND, at(48)]
    rows += [runs(at(40, m), end, LASTING[table], amount=1.0) for m, end in enumerate(ends)]
    kept = select([admission(observed_from=at(-6))], **{table: rows})
    assert kept.select("minute", "end_minute").rows() == [
        (-6 * 60, None), (2400, 48 * 60 - 1), (2401, None), (48 * 60 - 1, None)
    ]  # fmt: skip


@pytest.mark.parametrize("void", [{"statusdescription": "Rewritten"}, {"amount": 0.0}])
def test_an_infusion_that_turns_out_void_runs_until_its_end_is_known(select, void):
    ends = [at(48) - SECOND, at(48), None]
    rows = [
        runs(at(1, m), end, NOREPINEPHRINE, **{"amount": 1.0} | void) for m, end in enumerate(ends)
    ]
    kept = select(inputevents=rows).select("minute", "end_minute", "void")
    assert kept.rows() == [(60, 48 * 60 - 1, True), (61, None, False), (62, None, False)]


def test_charttime_stands_in_for_a_missing_storetime_and_is_counted(select, caplog):
    caplog.set_level(logging.INFO, "pipeline")
    labs = [read(at(h), LACTATE, 2.0, storetime=None) for h in (3, 4, 49)]
    kept = select(labevents=[*labs, read(at(5), LACTATE, 2.0)])
    assert minutes(kept) == [180, 240, 300]
    assert "<10 of them have no storetime" in caplog.text
    only_stored = RULE | {"labs": ["storetime"]}
    assert minutes(select(labevents=[*labs, read(at(5), LACTATE, 2.0)], rule=only_stored)) == [300]


def test_a_duplicate_with_a_storetime_is_no_guess(select, caplog):
    caplog.set_level(logging.INFO, "pipeline")
    assert select(chartevents=[read(at(3)), read(at(3), storetime=None)]).height == 1
    assert "0 of them have no storetime" in caplog.text


def test_emergency_department_readings_count_from_observed_from_on(select):
    arrived = admission(observed_from=at(-6))
    vitals = [read(at(-6)), read(at(-6, 1)), read(at(-1))]
    labs = [read(at(-5), LACTATE, 3.0, hadm_id=None), read(at(-7), LACTATE, 9.0, hadm_id=None)]
    kept = select([arrived], chartevents=vitals, labevents=labs)
    assert minutes(kept) == [-6 * 60, -6 * 60 + 1, -5 * 60, -60]


def test_a_lab_without_admission_goes_to_the_one_whose_observation_it_falls_into(select):
    episodes = [
        admission(1, 10),
        admission(2, 10, at(30), observed_from=at(24)),  # overlaps the window of the first
        admission(3, 20),
    ]
    drawn = {v: at(h) for v, h in {2: 5, 3: 24, 4: 24.5, 5: 47, 6: 70, 7: 78, 8: 79}.items()}
    labs = [read(time, LACTATE, float(value), hadm_id=None) for value, time in drawn.items()]
    kept = select(episodes, labevents=labs)
    owners = dict(kept.select(pl.col("value").cast(pl.Int64), "episode_id").rows())
    assert owners == {2: 1, 3: 2, 4: 2, 5: 2, 6: 2}  # 7, 8: at the second's prediction time, later
    assert kept.height == len(owners)  # none is counted twice
    assert 3 not in kept["episode_id"]


def test_a_lab_of_another_admission_of_the_patient_is_not_taken(select):
    episodes = [admission(1, 10), admission(2, 10, at(24))]
    kept = select(episodes, labevents=[read(at(30), LACTATE, 2.0, hadm_id=1)])
    assert kept["episode_id"].to_list() == [1]


def test_intervals_are_known_from_their_start_and_their_end_only_after_it(select):
    rows = [
        runs(at(0, -1), at(2)),  # began before the observation
        runs(at(1), at(5)),
        runs(at(10), at(47, 59)),
        runs(at(11), at(48, 1)),
        runs(at(48), at(60)),
        runs(at(48, 1), at(60)),
        runs(at(20), None, storetime=None),
    ]
    kept = select(procedureevents=rows)
    assert kept.select("minute", "end_minute").rows() == [
        (60, 300),
        (600, 48 * 60 - 1),
        (660, None),
        (20 * 60, None),
    ]
    assert kept["value"].null_count() == kept.height


def test_rewritten_and_empty_infusions_are_out(select):
    given = {"itemid": NOREPINEPHRINE, "amount": 4.0}
    rows = [
        runs(at(1), at(5), **given),
        runs(at(2), at(5), **given, statusdescription="Rewritten"),
        runs(at(3), at(5), **(given | {"amount": 0.0})),
        runs(at(4), at(5), **given, statusdescription=None),
    ]
    kept = select(
        inputevents=rows,
        procedureevents=[runs(at(6), at(7), statusdescription="Rewritten")],
        chartevents=[read(at(7), 229999)],  # the label of an infusion in another table
    )
    kept = stage.at_horizon(kept, math.inf)
    assert kept.select("signal", "minute").rows() == [("vasopressor", 60), ("vasopressor", 240)]


def test_fahrenheit_becomes_celsius(select):
    rows = [read(at(1), FAHRENHEIT, 98.6), read(at(2), CELSIUS, 37.0)]
    kept = select(chartevents=rows)
    assert kept["signal"].unique().to_list() == ["temperature"]
    assert kept["value"].to_list() == [37.0, 37.0]


def test_physiological_limits_are_inclusive(select):
    inside = [(HEART_RATE, 10.0), (HEART_RATE, 300.0), (FAHRENHEIT, 77.0), (FAHRENHEIT, 113.0)]
    outside = [(HEART_RATE, 9.9), (HEART_RATE, 999.0), (FAHRENHEIT, 113.1), (CELSIUS, 0.0)]
    outside += [(HEART_RATE, None), (HEART_RATE, float("nan"))]
    rows = [read(at(1, m), *what) for m, what in enumerate(inside + outside)]
    assert minutes(select(chartevents=rows)) == [60, 61, 62, 63]


def test_values_outside_the_limits_are_counted_once_each_and_small_counts_hidden(select, caplog):
    caplog.set_level(logging.INFO, "pipeline")
    wrong = [read(at(1, m), HEART_RATE, v) for m, v in enumerate([999.0, 0.0, -5.0, 1e7] * 3)]
    fahrenheit = [read(at(2), CELSIUS, 98.6), read(at(3), CELSIUS, 37.0)]
    kept = select(chartevents=[*wrong, *wrong, *fahrenheit])
    assert kept["value"].to_list() == [37.0]  # dropped, not converted: as mimic-code does
    assert "outside the limits of signals.csv: heart_rate 12, temperature <10" in caplog.text


def test_verbal_of_the_intubated_is_no_number(select):
    said = [(1.0, "No Response-ETT"), (1.0, "No Response"), (5.0, "Oriented"), (1.0, None)]
    said += [(0.0, "1.0 ET/Trach"), (None, "No Response-ETT"), (3.0, "Letters")]
    rows = [
        read(at(k), GCS_VERBAL, number) | {"value": text}
        for k, (number, text) in enumerate(said, 1)
    ]
    kept = select(chartevents=rows)
    assert kept.select("signal", "minute", "value").sort("signal", "minute").rows() == [
        ("gcs_verbal", 120, 1.0),
        ("gcs_verbal", 180, 5.0),
        ("gcs_verbal", 240, 1.0),
        ("gcs_verbal", 420, 3.0),
        ("gcs_verbal_intubated", 60, 1.0),
        ("gcs_verbal_intubated", 300, 1.0),
        ("gcs_verbal_intubated", 360, 1.0),
    ]
    tokens = tokenise(kept, BOUNDS, vocabulary()).sort("minute")["token"]
    assert tokens[0] not in tokens.to_list()[1:4] and tokens[0] == tokens[4] == tokens[5]
    assert tokens[0] == vocabulary().offsets()["gcs_verbal_intubated"]
    made = describe(kept, people(1), 48).row(0, named=True)
    assert (made["gcs_verbal_min"], made["gcs_verbal_max"]) == (1.0, 5.0)
    assert made["gcs_verbal_mean"] == 2.5  # of 1, 5, 1, 3
    assert made["gcs_verbal_intubated_charted"] == 3


def people(*numbers):
    """Episodes with demographics, as the statistics read them."""
    unknown = dict.fromkeys(("insurance", "language", "marital_status", "race"), "?")
    rows = [admission(number, age=60, sex="F", **unknown) for number in numbers]
    return pl.DataFrame(rows)


def test_vasopressors_are_those_of_the_task_shock_and_angiotensin(select):
    query = Path(stage.__file__).parents[1] / "cohort" / "views" / "vasopressors.sql"
    listed = catalogue().filter(signal="vasopressor")
    more = [ANGIOTENSIN, ANGIOTENSIN_NG]
    assert item_ids(query.read_text()) + more == sorted(listed["itemid"])
    rates = catalogue().filter(pl.col("itemid").is_not_null(), pl.col("kind") == "chart")
    assert sorted(rates["itemid"]) == sorted(listed["itemid"])
    kept = select(inputevents=[runs(at(1), at(2), 229631, amount=1.0)])
    assert kept["signal"].to_list() == ["vasopressor"]


@pytest.mark.parametrize(("table", "item"), [("chartevents", FIO2), ("labevents", LAB_FIO2)])
def test_fio2_is_one_signal_in_percent_however_it_is_charted(select, table, item):
    """As mimic-code's bg and ventilator_setting: what is neither is a typing error."""
    values = [0.21, 0.4, 1.0, 21.0, 40.0, 100.0, 0.1, 1.2, 19.0, 101.0, 0.0]
    kept = select(**{table: [read(at(1, m), item, v) for m, v in enumerate(values)]})
    assert kept.select("kind", "signal").unique().rows() == [("chart", "fio2")]
    assert kept["value"].to_list() == [21.0, 40.0, 100.0, 21.0, 40.0, 100.0]


def test_the_second_arterial_line_and_the_ventilators_rate_are_the_same_signals(select):
    rows = [read(at(1), 225309, 110.0), read(at(2), 224690, 22.0)]
    assert select(chartevents=rows)["signal"].to_list() == ["sbp_arterial", "respiratory_rate"]


def test_pao2_is_that_of_arterial_specimens(select):
    kinds = {1: "ART.", 2: "VEN.", 3: "MIX.", 4: None}
    rows = [read(at(k), OXYGEN, 80.0 + k, specimen_id=k) for k in (*kinds, 5, None) if k]
    rows += [read(at(k), SPECIMEN, None, specimen_id=k) | {"value": text}
             for k, text in kinds.items()]  # fmt: skip
    rows += [read(at(7), OXYGEN, 99.0), read(at(8), LACTATE, 2.0)]
    kept = select(labevents=rows).select("signal", "value").sort("value")
    assert kept.rows() == [("lactate", 2.0), ("pao2", 81.0)]


def output(charttime, item, value, **change):
    return read(charttime, item, **change) | {"value": value}


def test_urine_of_one_time_is_the_sum_of_all_ways_less_what_went_in(select):
    rows = [output(at(1), FOLEY_URINE, 100.0), output(at(1), VOID, 50.0),
            output(at(2), CAME_OUT, 1150.0), output(at(2), WENT_IN, 1000.0),
            output(at(3), WENT_IN, 300.0), output(at(4), FOLEY_URINE, 9999.0),
            output(at(4), VOID, 20.0)]  # fmt: skip
    kept = select(outputevents=[*rows, *rows])
    assert kept["signal"].unique().to_list() == ["urine"]
    assert kept.sort("minute")["value"].to_list() == [150.0, 150.0, -300.0, 20.0]
    assert not kept["void"].any()


def test_urine_without_a_part_that_is_stored_later_stands_until_then(select):
    rows = [output(at(1), CAME_OUT, 1150.0, storetime=at(2)),
            output(at(1), WENT_IN, 1000.0, storetime=at(9)),
            output(at(1), VOID, 30.0, storetime=at(60))]  # fmt: skip
    kept = select(outputevents=rows).sort("known")
    names = ("value", "known", "void", "end_minute")
    assert kept.select(names).rows() == [(1150.0, 120, True, 540), (150.0, 540, False, None)]
    for hours, value in ((3, [1150.0]), (9, [1150.0]), (10, [150.0]), (math.inf, [150.0])):
        assert stage.at_horizon(kept, hours)["value"].to_list() == value
    bounds = pl.DataFrame({"signal": ["urine"], "low": [0.0], "high": [500.0]})
    tokens = tokenise(kept, bounds, vocabulary()).sort("known")
    assert tokens.select("known", "until").rows() == [(120, 540), (540, None)]
    assert describe(kept, people(1), 48).row(0, named=True)["urine_sum_absolute_difference"] == 0


@pytest.mark.parametrize(
    ("item", "rate", "unit", "weight", "signal", "value"),
    [
        (NOREPINEPHRINE, 0.2, "mcg/kg/min", 80.0, "norepinephrine", 0.2),
        (NOREPINEPHRINE, 0.0002, "mg/kg/min", 80.0, "norepinephrine", 0.2),
        (NOREPINEPHRINE, 0.2, "mg/kg/min", 1.0, "norepinephrine", 0.2),
        (PHENYLEPHRINE, 160.0, "mcg/min", 80.0, "phenylephrine", 2.0),
        (VASOPRESSIN, 2.4, "units/hour", 80.0, "vasopressin", 2.4),
        (VASOPRESSIN, 0.04, "units/min", 80.0, "vasopressin", 2.4),
        (ANGIOTENSIN_NG, 20.0, "ng/kg/min", 80.0, "angiotensin", 20.0),
        (ANGIOTENSIN, 0.02, "mcg/kg/min", 80.0, "angiotensin", 20.0),
    ],
)
def test_the_rate_of_a_vasopressor_is_read_at_its_start(
    select, item, rate, unit, weight, signal, value
):
    infusion = runs(at(1), at(2), item, amount=1.0, rate=rate, rateuom=unit, patientweight=weight)
    kept = select(inputevents=[infusion]).sort("kind")
    assert kept["signal"].to_list() == [signal, "vasopressor"]
    assert kept.select("minute", "value", "known", "void").row(0) == (60, value, 60, False)


def test_a_rate_of_an_unknown_unit_is_counted_and_that_of_a_void_infusion_goes_with_it(
    select, caplog
):
    caplog.set_level(logging.INFO, "pipeline")
    runs_of = {"itemid": NOREPINEPHRINE, "amount": 1.0, "rate": 0.1, "rateuom": "mcg/kg/min"}
    rows = [runs(at(1), at(3), **runs_of),
            runs(at(2), at(4), **{**runs_of, "statusdescription": "Rewritten", "rate": 0.5}),
            runs(at(3), at(50), **{**runs_of, "amount": 0.0, "rate": 0.7}),
            runs(at(4), at(5), **{**runs_of, "rate": None}),
            *[runs(at(5, m), at(6), **runs_of | {"rateuom": "?"}) for m in range(12)]]  # fmt: skip
    kept = select(inputevents=rows).filter(signal="norepinephrine")
    names = ("minute", "value", "void", "end_minute")
    assert kept.sort("minute").select(names).rows() == [
        (60, 0.1, False, None), (120, 0.5, True, 240), (180, 0.7, False, None)]  # fmt: skip
    assert stage.at_horizon(kept, 4)["value"].sort().to_list() == [0.1, 0.5, 0.7]
    assert stage.at_horizon(kept, 5)["value"].sort().to_list() == [0.1, 0.7]
    assert "outside the limits of signals.csv: norepinephrine 12" in caplog.text


def test_a_reading_twice_is_one_reading_and_two_values_of_a_minute_are_two(select):
    kept = select(chartevents=[read(at(1)), read(at(1)), read(at(1), value=90.0)])
    assert kept["value"].to_list() == [80.0, 90.0]


def test_glucose_in_urine_is_not_glucose_in_blood(select):
    labs = [read(at(1), GLUCOSE, 100.0), read(at(2), URINE_GLUCOSE, 1000.0)]
    assert select(labevents=labs)["value"].to_list() == [100.0]


def known_tables():
    return {
        "chartevents": [read(at(1)), read(at(40))],
        "labevents": [read(at(2), LACTATE, 1.5), read(at(3), LACTATE, 1.5, hadm_id=None)],
        "outputevents": [read(at(4), FOLEY_URINE) | {"value": 50.0}],
        "procedureevents": [runs(at(5), at(60))],
        "inputevents": [runs(at(6), at(7), NOREPINEPHRINE, amount=1.0)],
    }


def planted():
    """Perfect predictors, one minute too late in every way."""
    late, early = at(48, 1), at(20)
    return {
        "chartevents": [read(late, value=300.0), read(early, value=299.0, storetime=late)],
        "labevents": [
            read(late, LACTATE, 40.0),
            read(late, LACTATE, 39.0, hadm_id=None),
            read(early, LACTATE, 38.0, storetime=late),
        ],
        "outputevents": [
            read(late, FOLEY_URINE) | {"value": 5000.0},
            read(early, FOLEY_URINE, storetime=late) | {"value": 4999.0},
        ],
        "procedureevents": [runs(late, at(50))],
        "inputevents": [runs(late, at(50), NOREPINEPHRINE, amount=9.0)],
    }


def test_perfect_predictors_a_minute_after_the_prediction_time_change_nothing(select):
    known, traps = known_tables(), planted()
    without = select(**known)
    with_traps = select(**{name: known[name] + traps[name] for name in known})
    assert without.height == 7
    assert with_traps.equals(without)


def test_with_the_rule_off_the_planted_predictors_appear(select):
    known, traps = known_tables(), planted()
    off = RULE | {"enforced": False}
    without = select(rule=off, **known)
    with_traps = select(rule=off, **{name: known[name] + traps[name] for name in known})
    assert with_traps.height == without.height + sum(len(rows) for rows in traps.values())


def test_a_rule_that_names_no_time_is_refused(select):
    with pytest.raises(InputError, match=r"availability\.labs\.0: .*'storetime' or 'charttime'"):
        select(rule=RULE | {"labs": ["dischtime"]})
    with pytest.raises(InputError, match=r"availability\.vitals is missing: list time columns"):
        select(rule={k: v for k, v in RULE.items() if k != "vitals"})


def test_no_events_at_all_is_an_empty_table(select):
    assert select().schema == stage.EVENTS.columns
