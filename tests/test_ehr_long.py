"""The long table: when a value was known, to the minute; what runs in which hour; whose it is; what
was known before the patient's arrival."""

import json
import logging
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from episodes_at_hand import RULE, STORED, TIME, ZERO, at
from hospital_files import HABITS, files, icu_stays, table

from pipeline.ehr import long as stage
from pipeline.stage.errors import InputError

LONG_KEY = list(stage.LONG.key)
TEXT = pl.String
WHOSE = dict.fromkeys(("subject_id", "hadm_id", "stay_id", "itemid"), pl.Int64)
CHARTED = WHOSE | {"charttime": TIME, "storetime": TIME}
RUNNING = WHOSE | dict.fromkeys(("starttime", "endtime", "storetime"), TIME)
RUNNING |= {"statusdescription": TEXT, "ordercategoryname": TEXT}
SCHEMAS = {
    "chartevents": CHARTED | {"value": TEXT, "valuenum": pl.Float64},
    "outputevents": CHARTED | {"value": pl.Float64},
    "labevents": CHARTED | {"specimen_id": pl.Int64, "value": TEXT, "valuenum": pl.Float64},
    "microbiologyevents": {
        **CHARTED,
        "chartdate": TIME,
        "spec_itemid": pl.Int64,
        "spec_type_desc": TEXT,
    },
    "procedureevents": RUNNING,
    "inputevents": RUNNING
    | dict.fromkeys(("amount", "rate", "patientweight"), pl.Float64)
    | dict.fromkeys(("amountuom", "rateuom"), TEXT),
}
HR, PULSE_ALARM, GCS, WBC_CHART, FOLEY, VENTILATION, DRUG, LACTATE, SWAB = (
    220045, 220046, 223900, 220546, 226559, 225792, 221906, 50813, 70070
)  # fmt: skip
SBP, CELSIUS = 220179, 223762
ITEMS = [
    (HR, "Heart Rate", "chartevents", "Routine Vital Signs"),
    (PULSE_ALARM, "HR Alarm", "chartevents", None),
    (GCS, "GCS - Verbal Response", "chartevents", "Neurological"),
    (WBC_CHART, "WBC", "chartevents", "Labs"),
    (223761, "Temperature Fahrenheit", "chartevents", "Routine Vital Signs"),
    (SBP, "Non Invasive Blood Pressure systolic", "chartevents", "Routine Vital Signs"),
    (CELSIUS, "Temperature Celsius", "chartevents", "Routine Vital Signs"),
    (226707, "Height", "chartevents", "General"),
    (226531, "Admission Weight (lbs.)", "chartevents", "General"),
    (FOLEY, "Foley", "outputevents", "Output"),
    (VENTILATION, "Invasive Ventilation", "procedureevents", "Ventilation"),
    (DRUG, "Norepinephrine", "inputevents", "Medications"),
]
RATE = f"input {DRUG} Norepinephrine rate mcg/kg/min"
ROUTE = f"input {DRUG} Norepinephrine route"
AMOUNT = f"input {DRUG} Norepinephrine amount mg"
VENTILATED = f"procedure {VENTILATION} Invasive Ventilation"
STATIC = {
    "age": 70,
    **dict.fromkeys(("insurance", "language", "marital_status", "race"), "Other"),
    **dict.fromkeys(("admission_type", "admission_location", "first_careunit"), "Unit"),
    "sex": "F",
    "hours_to_icu": 3.25,
}


def stay(number=1, start=ZERO, end=None, subject=10, hadm=5, **change):
    row = {"episode_id": number, "stay_id": number, "subject_id": subject, "hadm_id": hadm}
    row |= {"start": start, "end": end or start + timedelta(hours=90)}
    row |= {"clock_zero": start, "observed_from": start - timedelta(hours=6), **change}
    return STATIC | row | {"prediction_time": row["clock_zero"] + timedelta(hours=48)}


def read(charttime, itemid=HR, number=80.0, **change):
    """A reading of stay 1, stored when it was charted."""
    row = {"subject_id": 10, "hadm_id": 5, "stay_id": 1, "charttime": charttime}
    row |= {"storetime": charttime, "itemid": itemid, "valuenum": number, "value": "text"}
    return row | change


def drawn(charttime, value=2.0, **change):
    return read(charttime, LACTATE, value) | {"stay_id": None} | change


def runs(starttime, endtime, itemid=DRUG, **change):
    """An infusion (or procedure) of stay 1, stored once it is over."""
    row = {"subject_id": 10, "hadm_id": 5, "stay_id": 1, "itemid": itemid}
    row |= {"starttime": starttime, "endtime": endtime, "storetime": endtime}
    row |= {"statusdescription": "FinishedRunning", "ordercategoryname": "01-Drips"}
    row |= {"amount": 4.0, "amountuom": "mg", "rate": 0.1, "rateuom": "mcg/kg/min"}
    return row | change


def frame(rows, schema):
    return pl.DataFrame([{c: r.get(c) for c in schema} for r in rows], schema=schema, orient="row")


def stage_main(monkeypatch, folder, output, rule=RULE, threads=1, unit="stay"):
    given = {"episodes": folder / "episodes.parquet", "source": folder, "unit": unit}
    given |= {"availability": json.dumps(rule), "output": output, "temp": folder / "temp"}
    flags = [str(word) for key, value in given.items() for word in (f"--{key}", value)]
    monkeypatch.setattr(sys, "argv", ["long", *flags, "--threads", str(threads)])
    stage.main()
    return pl.read_parquet(output)


def write_episodes(path, rows):
    times = pl.col("start", "end", "clock_zero", "observed_from", "prediction_time").cast(TIME)
    pl.DataFrame(rows).with_columns(times).write_parquet(path)


def write_tables(folder, episodes, tables):
    """Tiny source tables (by name), items and episodes."""
    for name, schema in SCHEMAS.items():
        frame(tables.get(name, []), schema).write_parquet(folder / f"{name}.parquet")
    names = ["itemid", "label", "linksto", "category"]
    items = pl.DataFrame(ITEMS, schema=names, orient="row")
    items.write_parquet(folder / "d_items.parquet")
    labs = pl.DataFrame({"itemid": [LACTATE], "label": ["Lactate"], "fluid": ["Blood"]})
    labs.write_parquet(folder / "d_labitems.parquet")
    write_episodes(folder / "episodes.parquet", episodes)


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Runs the stage on tiny source tables (by name); its rows with a time, unless `static`."""

    def run(episodes=None, rule=RULE, threads=1, static=False, **tables):
        write_tables(tmp_path, episodes or [stay()], tables)
        table = stage_main(monkeypatch, tmp_path, tmp_path / "long.parquet", rule, threads)
        return table.filter(pl.col("t").is_null() == static)

    return run


def times(table, variable=None):
    return table.filter(pl.col("variable") == variable if variable else pl.lit(True))["t"].to_list()


def test_readings_count_from_the_start_on_and_before_48_hours(build):
    moments = [at(0, -1), at(), at(3, 59), at(4), at(47, 59), at(48), at(48, 1)]
    kept = build(chartevents=[read(moment) for moment in moments])
    assert times(kept) == [0.0, 3.983333, 4.0, 47.983333]
    assert kept.row(0) == (1, 0.0, "HR", "80")


def test_what_is_stored_later_is_known_later(build):
    late = [read(at(3), storetime=at(4)), read(at(3, 30), storetime=at(3, 59))]
    assert times(build(chartevents=late)) == [3.983333, 4.0]
    assert times(build(chartevents=[read(at(40), storetime=at(48))])) == []
    assert times(build(outputevents=[read(at(3), FOLEY, storetime=at(9)) | {"value": 1.5}])) == [9]


def test_what_is_stored_ahead_is_not_known_before_its_charted_time(build):
    early = {"storetime": at(4, -20), "value": 50.0}
    assert times(build(outputevents=[read(at(4), FOLEY) | early])) == [4.0]


def test_charttime_stands_in_for_a_missing_storetime_and_is_counted(build, caplog):
    caplog.set_level(logging.INFO, "pipeline")
    rows = [drawn(at(hour), storetime=None) for hour in range(1, 13)]
    assert times(build(labevents=[*rows, drawn(at(20))])) == [*range(1, 13), 20]
    assert "lab: 13 values, all but <10 of them without storetime" in caplog.text
    only_stored = RULE | {"labs": ["storetime"]}
    assert times(build(labevents=[*rows, drawn(at(20))], rule=only_stored)) == [20]


def test_small_counts_are_hidden_in_the_log(build, caplog):
    caplog.set_level(logging.INFO, "pipeline")
    build(chartevents=[read(at(1), storetime=None)])
    assert "chart: <10 values, <10 of them without storetime" in caplog.text


def test_after_the_stay_nothing_is_of_it(build):
    left = stay(end=at(10))
    rows = {"labevents": [drawn(at(9, 59)), drawn(at(10)), drawn(at(9), storetime=at(10, 1))]}
    kept = build([left], **rows, procedureevents=[runs(at(8), at(12), VENTILATION)])
    assert times(kept, "lab 50813 Lactate") == [9.983333]
    assert times(kept, VENTILATED) == [8, 9]


def test_a_lab_drawn_before_the_stay_counts_when_it_is_known_in_it(build):
    labs = [
        drawn(at(-2), 1.0, storetime=at(0, 30)),
        drawn(at(-2), 2.0, storetime=at(0, -1)),  # known before
        drawn(at(-6, -1), 3.0, storetime=at(1)),  # before the observation
    ]
    assert build(labevents=labs).select("t", "value").rows() == [(0.5, "1")]


def test_labs_without_admission_are_of_the_stay_they_fall_into(build):
    episodes = [stay(1, end=at(20)), stay(2, at(100), hadm=6), stay(3, subject=20, hadm=7)]
    labs = [drawn(at(hour), hadm_id=None) for hour in (5, 30, 110)]
    labs += [drawn(at(6), hadm_id=6), drawn(at(7), subject_id=20, hadm_id=None)]
    kept = build(episodes, labevents=labs)
    assert kept.select("episode_id", "t").rows() == [(1, 5), (2, 10), (3, 7)]


def test_a_lab_without_admission_is_of_the_latest_whose_observation_had_begun(build):
    """And of both its stays, though the first is not over; at the edge itself of the later."""
    second = {"start": at(30), "hadm": 6, "observed_from": at(24)}
    episodes = [stay(1), stay(2, at(10), observed_from=at(-6)), stay(3, **second)]
    values = {20: 1.0, 23.9: 2.0, 24: 3.0, 40: 4.0}
    labs = [drawn(at(hour), value, hadm_id=None) for hour, value in values.items()]
    owners = build(episodes, labevents=labs).select("episode_id", "value").rows()
    assert owners == [(1, "1"), (1, "2"), (2, "1"), (2, "2"), (3, "4")]
    assert before(build(episodes, labevents=labs, static=True), 3) == {
        "lab 50813 Lactate": ("3", 6.0)
    }


def test_two_stays_of_an_admission_share_labs_by_time_and_charts_by_stay(build):
    episodes = [stay(1, end=at(10)), stay(2, at(20), observed_from=at(-6))]
    charts = [read(at(5)), read(at(25), stay_id=2), read(at(26), stay_id=None)]
    labs = [drawn(at(5)), drawn(at(9), storetime=at(21)), drawn(at(15))]
    kept = build(episodes, chartevents=charts, labevents=labs)
    assert kept.select("episode_id", "t", "variable").rows() == [
        (1, 5, "HR"),
        (1, 5, "lab 50813 Lactate"),
        (2, 1, "lab 50813 Lactate"),
        (2, 5, "HR"),
        (2, 6, "HR"),
    ]


def test_an_infusion_stands_in_every_hour_that_it_touches(build):
    kept = build(inputevents=[runs(at(1, 30), at(3, 15))])
    assert times(kept, RATE) == times(kept, ROUTE) == [1.5, 2, 3]
    assert set(kept.filter(variable=RATE)["value"]) == {"0.1"}
    assert set(kept.filter(variable=ROUTE)["value"]) == {"01-Drips"}
    assert kept.filter(variable=AMOUNT).select("t", "value").rows() == [(3.25, "4")]


@pytest.mark.parametrize(
    ("starttime", "endtime", "running", "amount"),
    [
        (at(1), at(3), [1, 2], [3]),  # ends on the edge: not in the hour that follows
        (at(1, 59), at(2), [1.983333], [2]),
        (at(2), at(2), [2], [2]),  # a push
        (at(3), at(2), [3], [3]),  # an end before the start: known at the start
        (at(46, 30), at(48), [46.5, 47], []),  # its amount is known too late
        (at(46, 30), at(60), [46.5, 47], []),
        (at(46, 30), None, [46.5, 47], []),
        (at(48), at(50), [], []),
        (at(-3), at(1, 30), [0, 1], [1.5]),  # began before the stay
        (at(-3), at(0), [], [0]),
        (at(-3), at(-1), [], []),
    ],
)
def test_edges_of_intervals(build, starttime, endtime, running, amount):
    kept = build(inputevents=[runs(starttime, endtime)])
    assert times(kept, RATE) == times(kept, ROUTE) == running
    assert times(kept, AMOUNT) == amount


def test_what_began_in_an_earlier_stay_of_the_admission_runs_on(build):
    episodes = [stay(1, end=at(10)), stay(2, at(12)), stay(3, at(12), subject=11, hadm=8)]
    rows = [runs(at(8), at(14), VENTILATION), runs(at(13), at(14), VENTILATION, stay_id=2)]
    kept = build(episodes, procedureevents=rows)
    assert kept.select("episode_id", "t").rows() == [(1, 8), (1, 9), (2, 0), (2, 1)]


@pytest.mark.parametrize("void", [{"statusdescription": "Rewritten"}, {"amount": 0.0}])
def test_a_void_row_runs_until_its_end_and_gives_nothing(build, void):
    kept = build(inputevents=[runs(at(1), at(2, 30), **void)])
    assert times(kept, RATE) == times(kept, ROUTE) == [1, 2]
    assert times(kept, AMOUNT) == []


def test_units_of_an_item_are_kept_apart(build):
    rows = [runs(at(1), at(1, 5)), runs(at(2), at(2, 5), amountuom="dose", rate=None)]
    kept = build(inputevents=rows)
    assert times(kept, AMOUNT) == [1.083333]
    assert times(kept, f"input {DRUG} Norepinephrine amount dose") == [2.083333]


def test_units_are_converted_and_merged(build):
    rows = [
        read(at(1), 223761, 98.6),
        read(at(2), 226707, 70.0),
        read(at(3), 226531, 200.0),
        read(at(4), HR, None, value="99"),  # a merged variable is a number
    ]
    assert build(chartevents=rows).select("variable", "value").rows() == [
        ("temperature", "37"),
        ("height", "177.8"),
        ("weight", "90.7185"),
    ]


def test_text_counts_where_there_is_no_number(build):
    rows = [
        read(at(1), GCS, 5.0, value="Oriented"),
        read(at(2), GCS, None, value=" Confused "),
        read(at(3), GCS, None, value="___"),
        read(at(4), GCS, None, value=" "),
        read(at(5), GCS, None, value=None),
        read(at(6), PULSE_ALARM, 0.05),
        read(at(7), WBC_CHART, 9.0),  # a copy of a lab
        read(at(8), PULSE_ALARM, float("inf"), value=None),
    ]
    assert build(chartevents=rows).select("variable", "value").rows() == [
        ("chart 223900 GCS - Verbal Response", "5"),
        ("chart 223900 GCS - Verbal Response", "Confused"),
        ("chart 220046 HR Alarm", "0.05"),
    ]


def test_verbal_of_the_intubated_is_a_variable_of_its_own(build):
    rows = [
        read(at(1), GCS, 1.0, value="No Response-ETT"),
        read(at(2), GCS, 1.0, value="No Response"),
        read(at(3), GCS, None, value="No Response-ETT"),
        read(at(4), HR, 80.0, value="No Response-ETT"),  # of another item the words mean nothing
        read(at(5), GCS, 0.0, value="No Response-ETT"),  # as releases before 2.0 have it
        read(at(6), GCS, 0.0, value="0"),  # outside the limits
    ]
    assert build(chartevents=rows).select("t", "variable", "value").rows() == [
        (1, "chart 223900 GCS - Verbal Response intubated", "No Response-ETT"),
        (2, "chart 223900 GCS - Verbal Response", "1"),
        (3, "chart 223900 GCS - Verbal Response intubated", "No Response-ETT"),
        (4, "HR", "80"),
        (5, "chart 223900 GCS - Verbal Response intubated", "No Response-ETT"),
    ]


def test_numbers_outside_the_limits_are_dropped_and_counted(build, caplog):
    caplog.set_level(logging.INFO, "pipeline")
    wrong = [(HR, v) for v in (999, 0, -5, 1e7, 9.9, 300.1)] * 2
    wrong += [(SBP, 0.0), (CELSIUS, 98.6), (223761, 37.0), (226707, 5.0), (226531, 9999.0)]
    right = [(HR, 10), (HR, 300), (SBP, 20.0), (CELSIUS, 37.0), (223761, 77.0), (223761, 113.0)]
    right += [(226707, 40.0), (PULSE_ALARM, 1e7)]  # of other items no limits are known
    rows = [read(at(0, k), item, float(value)) for k, (item, value) in enumerate(wrong + right)]
    labs = [drawn(at(2), 0.05), drawn(at(3), 41.0), drawn(at(4), 40.0)]
    kept = build(chartevents=[*rows, *rows], labevents=labs)  # each twice: counted once
    assert kept.height == len(right) + 1
    assert sorted(kept.filter(variable="temperature")["value"]) == ["25", "37", "45"]
    assert times(kept, "lab 50813 Lactate") == [4]
    expected = "HR 12, SBP <10, height <10, lab 50813 Lactate <10, temperature <10, weight <10"
    assert f"outside the limits of a living body: {expected}" in caplog.text


def test_numbers_outside_the_limits_before_the_arrival_are_counted_once_too(build, caplog):
    caplog.set_level(logging.INFO, "pipeline")
    wrong = [read(at(0, k), number=999.0 + k // 20) for k in range(11)]
    wrong += [read(at(3, 30 + k), number=999.0) for k in range(4)]
    right = [read(at(0), number=80.0)]
    found = build([stay(**ARRIVES_LATE)], chartevents=[*wrong, *wrong, *right], static=True)
    assert before(found) == {"HR": ("80", 3.0)}
    assert "outside the limits of a living body: HR 15" in caplog.text


@pytest.fixture(scope="module")
def charted_at(tmp_path_factory):
    """The long table of a hospital's ICU stays, of what was charted alone, under some habits."""

    def run(**habits):
        root = files(300, films=False, habits=replace(HABITS, **habits))
        folder = tmp_path_factory.mktemp("hospital")
        source = {name: frame([], schema) for name, schema in SCHEMAS.items()}
        source["chartevents"] = table("icu/chartevents", root)
        source |= {"d_items": table("icu/d_items", root)}
        source["d_labitems"] = table("hosp/d_labitems", root)
        for name, rows in source.items():
            rows.write_parquet(folder / f"{name}.parquet")
        times = {"intime": "start", "outtime": "end", "arrival": "clock_zero"}
        stays = icu_stays(root).drop_nulls("arrival").rename(times)
        stays = stays.with_columns(pl.lit(value).alias(name) for name, value in STATIC.items())
        until = pl.col("clock_zero") + pl.duration(hours=48)
        stays.with_columns(
            episode_id="stay_id", observed_from="start", prediction_time=until
        ).write_parquet(folder / "episodes.parquet")
        with pytest.MonkeyPatch.context() as patch:
            made = stage_main(patch, folder, folder / "long.parquet")
        return made.drop_nulls("t")

    return run


def test_impossible_values_of_a_hospital_change_no_value(charted_at):
    """With the habit some 2 % of heart rates, pressures and temperatures are typing errors."""
    assert charted_at().equals(charted_at(impossible_values=False))


def test_the_intubated_of_a_hospital_are_not_unresponsive(charted_at):
    verbal = "chart 223900 GCS - Verbal Response"
    plain, usual = charted_at(intubated_gcs=False), charted_at()
    tube = usual.filter(variable=f"{verbal} intubated")
    assert tube.height > 200 and tube["value"].unique().to_list() == ["No Response-ETT"]
    numbers = usual.filter(variable=verbal)
    assert numbers.height + tube.height == plain.filter(variable=verbal).height
    assert numbers.join(plain, on=LONG_KEY, how="anti").is_empty()  # no 1 was made of a tube


def test_limits_of_merged_variables_are_those_of_the_signals():
    known = {"HR": "heart_rate", "SBP": "sbp_cuff", "DBP": "dbp_cuff", "RR": "respiratory_rate",
             "temperature": "temperature", "SpO2": "spo2"}  # fmt: skip
    limits = ("low", "high")
    for variable, signal in known.items():
        one = stage.merged().filter(variable=variable).select(limits).unique()
        assert one.equals(stage.catalogue().filter(signal=signal).select(limits).unique())
    rest = set(stage.merged()["variable"]) - set(known)
    assert rest == {"height", "weight"}


def test_a_specimen_is_known_when_taken_or_at_the_end_of_its_day(build):
    swab = read(at(3), None, storetime=at(72), spec_itemid=SWAB, spec_type_desc="SWAB")
    dated = swab | {"charttime": None, "chartdate": datetime(2150, 3, 1), "hadm_id": None}
    kept = build(microbiologyevents=[swab, swab, dated])
    assert kept.select("t", "variable", "value").rows() == [
        (3, f"micro {SWAB} SWAB", "taken"),
        (16, f"micro {SWAB} SWAB", "taken"),
    ]


def test_time_invariant_values_have_no_time(build):
    kept = build([stay(race="___", language=None)], static=True)
    assert dict(kept.select("variable", "value").rows()) == {
        name: str(value) for name, value in STATIC.items() if name not in ("race", "language")
    }


def test_of_values_stored_together_the_newest_is_the_last(build):
    together = at(3, 59)
    rows = [
        read(at(hour), number=v, storetime=together) for hour, v in ((1, 99), (2, 99), (3, 100))
    ]
    kept = build(chartevents=[*rows, *rows])
    assert kept["value"].to_list() == ["99", "99", "100"]
    assert kept["t"].is_between(3.983333, 3.9834).all()


ARRIVES_LATE = {"clock_zero": at(3)}


def before(table, number=1):
    """Variable → (value, hours since) of what a stay's patient brought with her."""
    own = table.filter(pl.col("t").is_null(), pl.col("episode_id") == number)
    value = dict(own.select("variable", "value").rows())
    names = [name.removeprefix("before: ") for name in value if name.startswith("before: ")]
    ages = [name for name in value if name.startswith("hours since: ")]
    assert sorted(ages) == [f"hours since: {name}" for name in sorted(names)]
    return {n: (value[f"before: {n}"], float(value[f"hours since: {n}"])) for n in names}


def test_hours_count_from_the_arrival_and_what_was_known_before_it_is_kept(build):
    moments = [at(1), at(2, 30), at(2, 59), at(3), at(3, 1), at(50, 59), at(51)]
    rows = {"chartevents": [read(m, number=60.0 + k) for k, m in enumerate(moments)]}
    kept = build([stay(**ARRIVES_LATE)], **rows)
    assert kept.select("t", "value").rows() == [(0.0, "63"), (0.016667, "64"), (47.983333, "65")]
    assert before(build([stay(**ARRIVES_LATE)], static=True, **rows)) == {"HR": ("62", 0.016667)}


def test_before_the_arrival_is_before_the_icu_too(build):
    rows = {
        "chartevents": [read(at(-5), number=50.0), read(at(-7), 220046, 9.0)],  # unobserved
        "labevents": [drawn(at(-4), 1.5, storetime=at(-3)), drawn(at(-2), 3.5, hadm_id=None)],
        "outputevents": [read(at(-6), FOLEY) | {"value": 1.5}],
    }
    assert before(build(static=True, **rows)) == {
        "HR": ("50", 5.0),
        "lab 50813 Lactate": ("3.5", 2.0),
        f"output {FOLEY} Foley": ("1.5", 6.0),
    }
    nothing = [drawn(at(-2), subject_id=11), drawn(at(-2), hadm_id=6), drawn(at(-6, -1))]
    assert before(build(labevents=nothing, static=True)) == {}


def test_what_is_stored_after_the_arrival_was_not_known_before_it(build):
    late = {"storetime": at(3)}
    rows = {"chartevents": [read(at(1), number=70.0), read(at(2), number=99.0, **late)]}
    rows |= {"labevents": [drawn(at(-1), **late)]}
    assert before(build([stay(**ARRIVES_LATE)], static=True, **rows)) == {"HR": ("70", 2.0)}
    kept = build([stay(**ARRIVES_LATE)], **rows)
    assert kept.select("t", "value").rows() == [(0.0, "99"), (0.0, "2")]
    off = RULE | {"enforced": False}
    found = before(build([stay(**ARRIVES_LATE)], rule=off, static=True, **rows))
    assert found == {"HR": ("99", 1.0), "lab 50813 Lactate": ("2", 4.0)}


def test_the_age_of_a_value_counts_from_its_measurement_not_from_when_it_was_known(build):
    stored = {"storetime": at(2)}
    rows = {
        "labevents": [drawn(at(-2), 2.5, **stored), drawn(at(0), 3.5, storetime=at(1))],
        "chartevents": [read(at(0, 30), **stored)],
        "inputevents": [runs(at(1), at(2, 30), storetime=at(2, 45))],
    }
    rule = RULE | {"infusions": STORED[:1]}
    assert before(build([stay(**ARRIVES_LATE)], rule, static=True, **rows)) == {
        "lab 50813 Lactate": ("2.5", 5.0),  # known last, drawn 5 hours before
        "HR": ("80", 2.5),
        RATE: ("0.1", 2.0),
        AMOUNT: ("4", 0.5),
    }


def test_the_last_number_of_a_signal_is_that_known_last_of_several_the_newest(build):
    together = {"storetime": at(2)}
    rows = [
        read(at(1), number=70.0, **together),
        read(at(1, 30), number=60.0, **together),
        read(at(0, 30), number=99.0, storetime=at(1, 59)),
        read(at(1), 223761, 98.6),
        read(at(2), 223761, 100.4),
        read(at(1), GCS, 4.0, value="Confused"),
        read(at(2), GCS, None, value="No Response-ETT"),  # no number
        read(at(2), WBC_CHART, 9.0),  # a copy of a lab
    ]
    assert before(build([stay(**ARRIVES_LATE)], chartevents=rows, static=True)) == {
        "HR": ("60", 1.5),
        "temperature": ("38", 1.0),
        f"chart {GCS} GCS - Verbal Response": ("4", 2.0),
    }


def test_a_later_stay_knows_what_the_earlier_one_showed_and_no_other_admission(build):
    episodes = [stay(1, end=at(10)), stay(2, at(20), observed_from=at(-6)), stay(3, at(9), hadm=6)]
    charts = [read(at(5), number=60.0), read(at(25), number=70.0, stay_id=2)]
    table = build(episodes, chartevents=charts, static=True)
    assert before(table) == before(table, 3) == {}
    assert before(table, 2) == {"HR": ("60", 15.0)}


def test_infusions_over_before_the_arrival_leave_rate_and_amount(build):
    name = RATE.removesuffix(" mcg/kg/min")
    rows = [
        runs(at(0, 30), at(1), rate=0.2),
        runs(at(1), at(2, 30), rate=0.3, amount=7.0),
        runs(at(2), at(2, 15), rate=9.0, rateuom="x", statusdescription="Rewritten"),
        runs(at(-7), at(2), rate=9.0, rateuom="y", amountuom="y"),  # before the observation
        runs(at(1, 30), at(2), VENTILATION),
    ]
    table = [stay(**ARRIVES_LATE)], {"inputevents": rows[:4], "procedureevents": rows[4:]}
    found = before(build(table[0], static=True, **table[1]))
    assert found == {f"{name} mcg/kg/min": ("0.3", 2.0), AMOUNT: ("7", 0.5)}
    assert times(build(table[0], **table[1])) == []


def test_what_runs_on_at_the_arrival_is_there_from_hour_zero(build):
    """From theatre on a vasopressor and ventilated; in another stay, too."""
    rows = {
        "inputevents": [runs(at(1), at(4, 30)), runs(at(2), None, stay_id=9, rate=0.5)],
        "procedureevents": [runs(at(1), at(5), VENTILATION), runs(at(4), at(5), VENTILATION)],
    }
    kept = build([stay(**ARRIVES_LATE, end=at(6))], **rows)
    assert times(kept, VENTILATED) == [0, 1]
    rates = kept.filter(variable=RATE).select(pl.col("t").round(3), "value").rows()
    assert rates == [(0, "0.1"), (0, "0.5"), (1, "0.1"), (1, "0.5"), (2, "0.5")]
    assert kept.filter(variable=AMOUNT).select("t", "value").rows() == [(1.5, "4")]
    found = before(build([stay(**ARRIVES_LATE, end=at(6))], static=True, **rows))
    assert found == {RATE: ("0.5", 1.0)}


def test_a_patient_who_comes_after_the_stay_has_no_hours(build):
    gone = [stay(end=at(2), **ARRIVES_LATE)]
    rows = {"chartevents": [read(at(1)), read(at(4))], "inputevents": [runs(at(1), at(9))]}
    assert times(build(gone, **rows)) == []


def test_names_of_what_was_before_are_those_of_no_other_variable(build):
    """One with any null t is time-invariant as a whole: a shared name would take it from X."""
    hours, static = (build([stay(**ARRIVES_LATE)], static=s, **history()) for s in (False, True))
    assert not set(static["variable"]) & set(hours["variable"])
    assert len(set(static["variable"]) - set(STATIC)) == 2 * 5  # HR, lactate, urine, rate, amount
    others = [*stage.merged()["variable"], *STATIC, *hours["variable"]]
    assert not [name for name in others if name.startswith(("before: ", "hours since: "))]


@pytest.mark.parametrize("zero", [0, 3])
def test_the_hours_do_not_depend_on_what_was_over_before_them(build, zero):
    """X takes what it took: it is the same without all that was known before the arrival."""
    late = [stay(clock_zero=at(zero))]
    rest = {
        name: [r for r in rows if (r.get("endtime") or r["storetime"]) >= at(zero)]
        for name, rows in history().items()
    }
    assert sum(map(len, rest.values())) < sum(map(len, history().values()))
    whole = build(late, **history())
    assert whole.height > 250 and whole.equals(build(late, **rest))
    assert before(build(late, static=True, **history())) and not before(
        build(late, static=True, **{name: rest[name] for name in ("chartevents", "labevents")})
    )


def history():
    """Sources in which every hour has something, stored at once and late."""
    hours = range(-2, 52)
    late = timedelta(minutes=100)
    return {
        "chartevents": [read(at(h), number=h + 60.0, storetime=at(h) + late) for h in hours],
        "labevents": [drawn(at(h, 20), 0.5 * h + 3, storetime=at(h) + late) for h in hours],
        "outputevents": [read(at(h), FOLEY) | {"value": float(h)} for h in hours],
        "procedureevents": [runs(at(h, 10), at(h + 5), VENTILATION) for h in hours[::4]],
        "inputevents": [runs(at(h, 5), at(h + 3, 30), rate=float(h + 3)) for h in hours[::3]],
    }


def until(rows, hour):
    """The same sources as one would have found them at `hour`, the future made up otherwise."""
    now, kept = at(hour), []
    for row in rows:
        began = row.get("starttime") or max(row["storetime"], row["charttime"])
        if began >= now:
            continue
        if row.get("endtime") and row["endtime"] >= now:
            row = row | {"endtime": now + timedelta(hours=30), "amount": 0.0}
            row |= {"statusdescription": "Rewritten", "storetime": None}
        kept.append(row)
    return kept


@pytest.mark.parametrize("hour", [1, 4, 12, 47])
def test_what_becomes_known_later_changes_nothing_before(build, hour):
    whole = build(**history()).filter(pl.col("t") < hour)
    then = build(**{name: until(rows, hour) for name, rows in history().items()})
    assert whole.height >= 5 * hour
    assert then.filter(pl.col("t") < hour).equals(whole)


def test_with_the_rule_off_values_are_known_when_charted(build):
    off = RULE | {"enforced": False}
    assert times(build(chartevents=[read(at(3), storetime=at(60))], rule=off)) == [3]


def test_a_rule_that_names_no_time_is_refused(build):
    with pytest.raises(InputError, match=r"availability\.labs\.0: .*'storetime' or 'charttime'"):
        build(rule=RULE | {"labs": ["dischtime"]})


def test_bytes_repeat_whatever_the_threads_and_chunks(build, tmp_path, monkeypatch):
    episodes = [stay(number, hadm=number, subject=number) for number in (30, 4, 200)]
    tables = {
        name: [row | {"subject_id": n, "hadm_id": n, "stay_id": n} for n in (30, 4) for row in rows]
        for name, rows in history().items()
    }
    found = []
    for threads, chunk in ((1, 1000), (2, 1000), (2, 1)):
        monkeypatch.setattr(stage, "CHUNK", chunk)
        table = build(episodes, threads=threads, **tables)
        found.append((table, (tmp_path / "long.parquet").read_bytes()))
    assert found[0][1] == found[1][1]
    assert found[2][0].equals(found[0][0])
    everything = pl.read_parquet(tmp_path / "long.parquet")
    assert everything.equals(everything.sort(stage.LONG.key))
    assert not list((tmp_path / "temp").iterdir())


def test_no_stays_is_an_empty_table(build, tmp_path):
    build([stay()])
    path = tmp_path / "episodes.parquet"
    nobody = pl.read_parquet(path).clear()
    nobody.write_parquet(path)
    command = ["pipeline.ehr.long", "--episodes", path, "--source", tmp_path, "--unit", "stay"]
    command += ["--availability", json.dumps(RULE), "--output", tmp_path / "empty.parquet"]
    subprocess.run([sys.executable, "-m", *map(str, command)], check=True)
    assert pl.read_parquet(tmp_path / "empty.parquet").schema == stage.LONG.columns


def extract(mimic_demo, table, folder):
    file = next(Path(mimic_demo).glob(f"*/{table}.csv.gz"))
    command = ["pipeline.extract.tables", "--table", table, "--source-file", file]
    command += ["--output", folder / f"{table}.parquet", "--temp", folder]
    subprocess.run([sys.executable, "-m", *map(str, command)], check=True, capture_output=True)


def test_the_open_demo_comes_out(mimic_demo, tmp_path, monkeypatch):
    for name in [*stage.TABLES, "icustays", "admissions"]:
        extract(mimic_demo, name, tmp_path)
    charts = pl.read_parquet(tmp_path / "chartevents.parquet")
    first = charts.filter(itemid=HR).group_by("stay_id").agg(first=pl.col("charttime").min())
    admitted = pl.read_parquet(tmp_path / "admissions.parquet", columns=["hadm_id", "admittime"])
    stays = pl.read_parquet(tmp_path / "icustays.parquet").join(first, on="stay_id")
    stays = stays.join(admitted, on="hadm_id")
    rows = stays.select(
        pl.col("stay_id").alias("episode_id"), "subject_id", "hadm_id", "stay_id",
        pl.col("intime").alias("start"), pl.col("outtime").alias("end"),
        pl.max_horizontal("intime", "first").alias("clock_zero"),
        pl.min_horizontal("admittime", "intime").alias("observed_from"),
        *(pl.lit(value).alias(name) for name, value in STATIC.items()),
    )  # fmt: skip
    end = pl.col("clock_zero") + pl.duration(hours=48)
    rows = rows.with_columns(end.alias("prediction_time"))
    rows.write_parquet(tmp_path / "episodes.parquet")
    found = stage_main(monkeypatch, tmp_path, tmp_path / "long.parquet", threads=2)
    assert found["episode_id"].n_unique() == 140
    assert found.height > 190_000
    median = found.filter(pl.col("variable") == "temperature")["value"].cast(pl.Float64).median()
    assert 36 < median < 38
    assert found["t"].max() < 48 and found["t"].min() >= 0
    assert VENTILATED in found["variable"].to_list()
    assert not set(found.filter(pl.col("t").is_null())["variable"]) & set(
        found.drop_nulls("t")["variable"]
    )
    compare_before(found, rows, charts, "HR", HR)
    compare_before(found, rows, charts, "chart 223835 Inspired O2 Fraction", 223835)
    labs = pl.read_parquet(tmp_path / "labevents.parquet")
    compare_before(found, rows, labs, "lab 50912 Creatinine", 50912)


def compare_before(found, episodes, source, name, item):
    """What the stage kept of a signal is its last number by the plain definition, and how old."""
    own = source.filter(pl.col("itemid") == item).drop_nulls("valuenum")
    known = pl.max_horizontal(pl.coalesce("storetime", "charttime"), "charttime")
    both = episodes.join(own, on="subject_id", suffix="_own").with_columns(known.alias("known"))
    both = both.filter(
        pl.col("hadm_id_own").fill_null(pl.col("hadm_id")) == pl.col("hadm_id"),
        pl.col("charttime") >= pl.col("observed_from").min().over("hadm_id"),
        pl.col("known") < pl.col("clock_zero"),
    ).sort("episode_id", "known", "charttime", "valuenum")
    last = both.unique("episode_id", keep="last", maintain_order=True).select(
        "episode_id",
        value="valuenum",
        hours=((pl.col("clock_zero") - pl.col("charttime")).dt.total_seconds() / 3600).round(6),
    )
    parts = [
        found.filter(variable=f"{prefix}: {name}").select("episode_id", pl.col("value").cast(float))
        for prefix in ("before", "hours since")
    ]
    kept = parts[0].join(parts[1].rename({"value": "hours"}), on="episode_id").sort("episode_id")
    assert last.height > 20 and kept.equals(last)
