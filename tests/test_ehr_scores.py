"""SOFA and OASIS: points at the edges, what was known by the prediction time, what nobody measured.

And component by component against mimic-code's concepts on the open demo.
"""

import logging
from datetime import timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
from episodes_at_hand import TIME, ZERO, at
from test_ehr_long import SCHEMAS, WHOSE, frame, read, runs, stay

from pipeline.ehr import scores
from pipeline.stage.availability import Availability

REPOSITORY = Path(scores.__file__).parents[2]
STORED = ["storetime", "charttime"]
RULE = Availability(
    enforced=True, vitals=STORED, outputs=STORED, labs=STORED, notes=STORED, films=["film_time"],
    procedures=["starttime"], infusions=["starttime"],
)  # fmt: skip
TABLES = {
    **SCHEMAS,
    "labevents": SCHEMAS["labevents"] | {"specimen_id": pl.Int64},
    "inputevents": SCHEMAS["inputevents"] | {"patientweight": pl.Float64},
    "icustays": WHOSE | {"intime": TIME, "outtime": TIME},
    "admissions": {"subject_id": pl.Int64, "hadm_id": pl.Int64, "admittime": TIME},
    "services": {"hadm_id": pl.Int64, "transfertime": TIME, "curr_service": pl.String},
}
HEART, CUFF, LINE, RATE, CELSIUS, FAHRENHEIT = 220045, 220181, 220052, 220210, 223762, 223761
EYES, VERBAL, MOTOR, MODE, DEVICE, OXYGEN, FOLEY = (
    220739, 223900, 223901, 223849, 226732, 223835, 226559
)  # fmt: skip
PO2, SHARE, SPECIMEN, BILIRUBIN, CREATININE, PLATELETS = 50821, 50816, 52033, 50885, 50912, 51265
NORADRENALINE, ADRENALINE, DOPAMINE, DOBUTAMINE = 221906, 221289, 221662, 221653
HERE = {"subject_id": 10, "hadm_id": 5, "stay_id": 1, "intime": ZERO, "outtime": at(90)}
ADMITTED = {"subject_id": 10, "hadm_id": 5, "admittime": ZERO - timedelta(hours=10)}
T = 30  # hours; the window is from hour 6 on
NOW, HOUR_LATER = at(20), at(21)


def scored(score, hours=T, episode=None, **tables):
    """The points of stay 1, of which the source has these rows; and counts of what was read."""
    rows = {"icustays": [HERE], "admissions": [ADMITTED], **tables}
    with duckdb.connect() as database:
        for name, schema in TABLES.items():
            database.register(name, frame(rows.get(name, []), schema))
        one = stay(end=at(90), **{"admission_type": "EW EMER.", **(episode or {})})
        database.register("episodes", pl.DataFrame([one]).cast(dict.fromkeys(
            ("start", "end", "clock_zero", "observed_from", "prediction_time"), TIME)))  # fmt: skip
        query = (REPOSITORY / f"pipeline/ehr/scores_{score}.sql").read_text()
        table, seen = scores.describe(database, score, query, RULE, hours)
    assert table.height == 1
    return table.row(0, named=True) | seen


def charted(*numbers, itemid=HEART, when=NOW):
    return [read(when + timedelta(minutes=k), itemid, float(v)) for k, v in enumerate(numbers)]


def lab(itemid, number, when=NOW, specimen=1, **change):
    return read(when, itemid, number) | {"specimen_id": specimen, "stay_id": None} | change


def gas(po2, share=None, when=NOW, specimen=1, source="ART."):
    rows = [lab(PO2, po2, when, specimen), lab(SPECIMEN, None, when, specimen, value=source)]
    return rows + ([lab(SHARE, share, when, specimen)] if share else [])


def text(itemid, words, when):
    return read(when, itemid, None, value=words)


def drug(itemid, rate, start=NOW, end=HOUR_LATER, **change):
    return runs(start, end, itemid, **{"rate": rate, "patientweight": 80.0, **change})


@pytest.mark.parametrize(
    ("itemid", "component", "points"),
    [
        (PLATELETS, "coagulation", {150: 0, 149: 1, 99: 2, 49: 3, 19: 4}),
        (BILIRUBIN, "liver", {1.1: 0, 1.2: 1, 2.0: 2, 6.0: 3, 12.0: 4}),
        (CREATININE, "renal", {1.1: 0, 1.2: 1, 2.0: 2, 3.5: 3, 5.0: 4}),
    ],
)
def test_sofa_by_labs(itemid, component, points):
    for value, expected in points.items():
        row = scored("sofa", labevents=[lab(itemid, float(value))])
        assert (row[component], row["total"], row["without_value"]) == (expected, expected, 5)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([drug(NORADRENALINE, 0.11)], 4),
        ([drug(NORADRENALINE, 0.1)], 3),
        ([drug(NORADRENALINE, 1e-4, rateuom="mg/kg/min")], 3),  # 0.1 µg
        ([drug(NORADRENALINE, 2e-4, rateuom="mg/kg/min")], 4),
        ([drug(NORADRENALINE, 0.05, rateuom="mg/kg/min", patientweight=1.0)], 3),  # µg as it is
        ([drug(ADRENALINE, 0.2)], 4),
        ([drug(DOPAMINE, 15.0)], 3),
        ([drug(DOPAMINE, 15.1)], 4),
        ([drug(DOPAMINE, 5.0)], 2),
        ([drug(DOBUTAMINE, 40.0)], 2),
        ([drug(DOBUTAMINE, 40.0), drug(NORADRENALINE, 0.01)], 3),
        ([drug(NORADRENALINE, 0.3, at(2), at(5))], None),  # over before the 24 hours
        ([drug(NORADRENALINE, 0.3, at(2), at(7))], 4),
        ([drug(NORADRENALINE, 0.3, at(T), at(T + 2))], None),  # from T itself on
        ([drug(NORADRENALINE, 0.3, amount=0.0)], None),  # known to be void at its end
        ([drug(NORADRENALINE, 0.3, at(29), at(T + 1), amount=0.0)], 4),  # not known before T
        ([drug(NORADRENALINE, 0.3, statusdescription="Rewritten")], None),
    ],
)
def test_sofa_by_vasopressors(rows, expected):
    assert scored("sofa", inputevents=rows)["cardiovascular"] == expected


def test_sofa_by_pressure_is_the_mean_of_what_is_read_at_one_time():
    low, high = read(at(20), CUFF, 60.0), read(at(20), LINE, 90.0)
    assert scored("sofa", chartevents=[low])["cardiovascular"] == 1
    assert scored("sofa", chartevents=[low, high])["cardiovascular"] == 0
    assert scored("sofa", chartevents=[low, low, high])["cardiovascular"] == 0  # repeated row
    assert scored("sofa", chartevents=[read(at(20), CUFF, 0.0)])["cardiovascular"] is None


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (charted(4, itemid=EYES), 0),
        (charted(3, itemid=EYES), 1),
        (charted(1, itemid=EYES) + charted(5, itemid=MOTOR), 2),
        (charted(1, itemid=EYES) + charted(2, itemid=VERBAL) + charted(6, itemid=MOTOR), 3),
        (charted(1, itemid=EYES) + charted(1, itemid=VERBAL) + charted(1, itemid=MOTOR), 4),
        # a tube: neither the voice nor what is charted with it
        ([text(VERBAL, "No Response-ETT", at(20)) | {"valuenum": 1.0}], 0),
        (charted(1, itemid=EYES, when=at(11)) + charted(4, itemid=MOTOR, when=at(16, 59)), 2),
        (charted(1, itemid=EYES, when=at(3)) + charted(4, itemid=MOTOR, when=at(8)), 2),
        (charted(1, itemid=EYES, when=at(1)) + charted(4, itemid=MOTOR, when=at(8)), 1),
    ],
)
def test_sofa_by_the_coma_scale(rows, expected):
    assert scored("sofa", chartevents=rows)["cns"] == expected


TUBED = text(MODE, "CMV/ASSIST/AutoFlow", at(18))
MASK = text(DEVICE, "Venti mask ", at(19))


@pytest.mark.parametrize(
    ("labs", "chart", "expected"),
    [
        (gas(99.0, 25.0), [], 1),  # 396
        (gas(74.0, 25.0), [], 2),  # 296
        (gas(20.0, 25.0), [], 2),  # no support
        (gas(20.0, 25.0), [TUBED], 4),
        (gas(49.0, 25.0), [TUBED], 3),  # 196
        (gas(74.0, 25.0), [TUBED], 2),
        (gas(20.0, 25.0), [TUBED, MASK], 2),  # on the mask before the gas
        (gas(20.0, 25.0), [text(DEVICE, "Endotracheal tube", at(18))], 4),
        (gas(20.0, 25.0), [text(MODE, "CPAP/PSV", at(20))], 4),
        (gas(20.0, 25.0), [text(MODE, "Standby", at(18))], 2),
        (gas(20.0, 25.0, at(33 - 0.1)), [TUBED], None),  # known after T
        (gas(20.0, 25.0, at(20)), [text(MODE, "PRVC/AC", at(5))], 2),  # 15 hours ago
        (gas(20.0, 25.0, source="VEN."), [], None),
        (gas(20.0), [], None),  # of which oxygen?
        (gas(20.0), [read(at(17), OXYGEN, 0.4)], 2),
        (gas(90.0), [read(at(17), OXYGEN, 21.0), read(at(19), OXYGEN, 50.0)], 2),  # the last
        (gas(90.0), [read(at(15), OXYGEN, 50.0)], None),
        (gas(90.0), [read(at(19), OXYGEN, 7.0)], None),
        (gas(90.0, 21.0) + gas(20.0, 25.0, at(21), specimen=2), [], 2),
    ],
)
def test_sofa_by_arterial_oxygen(labs, chart, expected):
    assert scored("sofa", labevents=labs, chartevents=chart)["respiration"] == expected


def put_out(ml, when=NOW, itemid=FOLEY, **change):
    return read(when, itemid) | {"value": ml} | change


@pytest.mark.parametrize(
    ("rows", "hours", "expected"),
    [
        ([put_out(199.0)], T, 4),
        ([put_out(200.0), put_out(200.0)], T, 3),  # the second row repeats the first
        ([put_out(200.0), put_out(301.0, at(22))], T, 0),
        ([put_out(600.0), put_out(300.0, itemid=227488)], T, 3),  # irrigated with 300
        ([put_out(600.0), put_out(450.0, storetime=at(T))], T, 0),
        ([put_out(260.0, at(8))], 12, 0),  # half a day: 520 a day
        ([put_out(240.0, at(8))], 12, 3),
        ([put_out(10.0, at(3))], 11, None),  # too short to tell
    ],
)
def test_sofa_by_urine(rows, hours, expected):
    assert scored("sofa", hours, outputevents=rows)["renal"] == expected


OASIS = {
    HEART: ("heart_rate", {32: 4, 33: 0, 88: 0, 89: 1, 106: 1, 107: 3, 125: 3, 126: 6}),
    CUFF: ("pressure", {20: 4, 21: 3, 50: 3, 51: 2, 61: 2, 62: 0, 143: 0, 144: 3}),
    RATE: ("respiratory_rate", {5: 10, 6: 1, 12: 1, 13: 0, 22: 0, 23: 1, 30: 1, 31: 6, 44: 6,
                                45: 9}),
    CELSIUS: ("temperature", {33.21: 3, 33.22: 4, 35.93: 4, 35.94: 2, 36.39: 2, 36.4: 0, 36.88: 0,
                              36.89: 2, 39.88: 2, 39.89: 6}),
    FAHRENHEIT: ("temperature", {98.0: 0, 104.0: 6}),
}  # fmt: skip


@pytest.mark.parametrize("itemid", OASIS)
def test_oasis_by_vitals(itemid):
    component, points = OASIS[itemid]
    for value, expected in points.items():
        assert scored("oasis", chartevents=charted(value, itemid=itemid))[component] == expected


def test_oasis_takes_the_lowest_or_the_highest_whichever_is_worse():
    assert scored("oasis", chartevents=charted(60, 130, 80))["heart_rate"] == 6
    assert scored("oasis", chartevents=charted(110, 30, 80))["heart_rate"] == 4


@pytest.mark.parametrize("ml, points", [(671, 10), (672, 5), (1426, 5), (1427, 1), (2544, 1),
                                        (2545, 0), (6896, 0), (6897, 8)])  # fmt: skip
def test_oasis_by_urine(ml, points):
    assert scored("oasis", outputevents=[put_out(float(ml))])["urine"] == points


@pytest.mark.parametrize("age, points", [(23, 0), (24, 3), (53, 3), (54, 6), (77, 6), (78, 9),
                                         (89, 9), (91, 7)])  # fmt: skip
def test_oasis_by_age(age, points):
    assert scored("oasis", episode={"age": age})["age"] == points


@pytest.mark.parametrize("minutes, points", [(-60, 5), (10, 5), (11, 3), (296, 3), (297, 0),
                                             (1439, 0), (1440, 2), (18708, 1)])  # fmt: skip
def test_oasis_by_the_time_before_the_icu(minutes, points):
    admitted = ADMITTED | {"admittime": ZERO - timedelta(minutes=minutes)}
    assert scored("oasis", admissions=[admitted])["before_icu"] == points


def test_an_icu_stay_from_after_the_prediction_is_no_stay_yet():
    later = HERE | {"intime": at(T + 1)}
    assert scored("oasis", icustays=[later])["before_icu"] is None


@pytest.mark.parametrize(
    ("kind", "service", "when", "points"),
    [
        ("ELECTIVE", "CSURG", 0, 0),
        ("SURGICAL SAME DAY ADMISSION", "ORTHO", 0, 0),
        ("ELECTIVE", "MED", 0, 6),
        ("EW EMER.", "SURG", 0, 6),
        ("ELECTIVE", "SURG", T, 6),  # nobody knew yet
        (None, "SURG", 0, None),
    ],
)
def test_oasis_by_elective_surgery(kind, service, when, points):
    moved = {"hadm_id": 5, "transfertime": at(when), "curr_service": service}
    row = scored("oasis", episode={"admission_type": kind}, services=[moved])
    assert row["no_elective_surgery"] == points


@pytest.mark.parametrize(
    ("chart", "points"),
    [
        ([], 0),
        ([TUBED], 9),
        ([TUBED, MASK], 9),  # at some time of the 24 hours
        ([text(MODE, "NIV-ST", at(18))], 0),
        ([text(MODE, "VOL/AC", at(2))], 9),  # nobody charted another since
        ([text(MODE, "VOL/AC", at(2)), text(DEVICE, "None", at(5))], 0),
        ([text(MODE, "VOL/AC", at(18)) | {"storetime": at(T)}], 0),
        ([text(MODE, "VOL/AC", at(T))], 0),
    ],
)  # fmt: skip
def test_ventilation_is_by_the_last_mode_that_was_known(chart, points):
    assert scored("oasis", chartevents=chart)["ventilation"] == points


def test_what_is_known_at_the_prediction_time_or_charted_a_day_before_does_not_count():
    early = charted(150, when=at(5, 59))
    late = [read(at(29), HEART, 150.0, storetime=at(T)), *charted(150, when=at(T))]
    assert scored("oasis", chartevents=charted(80) + early + late)["heart_rate"] == 0
    assert scored("oasis", chartevents=charted(80) + charted(150, when=at(6)))["heart_rate"] == 6
    assert scored("oasis", chartevents=[read(at(29), HEART, 150.0, storetime=None)])["stood_in"]


def test_a_lab_without_admission_counts_where_it_was_drawn():
    mine = lab(CREATININE, 5.0, hadm_id=None)
    assert scored("sofa", labevents=[mine])["renal"] == 4
    assert scored("sofa", labevents=[mine | {"subject_id": 11}])["renal"] is None
    assert scored("sofa", labevents=[mine | {"hadm_id": 6}])["renal"] is None


def test_rows_before_the_observation_do_not_count():
    before = [lab(CREATININE, 5.0, at(-7))]
    assert scored("sofa", 4, labevents=before)["renal"] is None
    assert scored("sofa", 4, labevents=[lab(CREATININE, 5.0, at(-6))])["renal"] == 4


def test_what_nobody_measured_adds_nothing_and_is_counted(caplog):
    row = scored("sofa")
    assert (row["total"], row["without_value"]) == (0, 6)
    table = pl.DataFrame({"episode_id": range(20)}).with_columns(
        pl.lit(None if name == "liver" else 1).alias(name) for name in scores.COMPONENTS["sofa"]
    )
    table = scores.added(table, "sofa")
    with caplog.at_level(logging.INFO):
        scores.log_counts(table, "sofa", {"stood_in": 0, "outside": 12, "ventilated": 0})
    assert "respiration 0, coagulation 0, liver 20" in caplog.text
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [text.split(":")[0] for text in warned] == ["sofa"] * 2
    assert "no episode has a value of liver" in warned[0]
    assert "all count as not ventilated" in warned[1]


@pytest.mark.parametrize("score", scores.COMPONENTS)
def test_no_component_has_more_points_than_the_score_gives_it(score):
    """`COMPONENTS` is what the papers print."""
    worst = [*charted(80, when=at(1)), *charted(299), *charted(1, itemid=CUFF), TUBED,
             *charted(2, itemid=RATE), *charted(41, itemid=CELSIUS), *charted(1, itemid=EYES),
             *charted(1, itemid=VERBAL), *charted(1, itemid=MOTOR)]  # fmt: skip
    row = scored(score, episode={"age": 80}, chartevents=worst, outputevents=[put_out(1.0)],
                 admissions=[ADMITTED | {"admittime": ZERO}], inputevents=[drug(ADRENALINE, 1.0)],
                 labevents=[*gas(20.0, 100.0), lab(PLATELETS, 5.0), lab(BILIRUBIN, 20.0)],
                 )  # fmt: skip
    most = scores.COMPONENTS[score]
    assert {name: row[name] for name in most} == most
    assert row["total"] == sum(most.values()) == {"sofa": 24, "oasis": 75}[score]
