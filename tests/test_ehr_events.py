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
    "labevents": {**CHARTED, "valuenum": pl.Float64},
    "procedureevents": RUNNING,
    "inputevents": {**RUNNING, "amount": pl.Float64},
}
HEART_RATE, CELSIUS, FAHRENHEIT, FOLEY_URINE = 220045, 223762, 223761, 226559
INTUBATION, NOREPINEPHRINE, LACTATE, URINE_GLUCOSE, GLUCOSE = 224385, 221906, 50813, 51478, 50931
GCS_VERBAL = 223900
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
]
BOUNDS = pl.DataFrame({"signal": ["heart_rate"], "low": [0.0], "high": [200.0]})
LABS = [
    (LACTATE, "Lactate", "Blood"),
    (GLUCOSE, "Glucose", "Blood"),
    (URINE_GLUCOSE, "Glucose", "Urine"),
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
    assert "2 of them have no storetime" in caplog.text
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


def test_vasopressors_are_those_of_the_task_shock(select):
    query = Path(stage.__file__).parents[1] / "cohort" / "views" / "vasopressors.sql"
    listed = catalogue().filter(signal="vasopressor")
    assert item_ids(query.read_text()) == sorted(listed["itemid"])
    kept = select(inputevents=[runs(at(1), at(2), 229631, amount=1.0)])
    assert kept["signal"].to_list() == ["vasopressor"]


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
