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


def scored(score, cases, hours=T):
    """The points of each case, in order: the rows of the source that one stay has.

    A case may change its `episode`, and has rows of tables as of stay 1, which is numbered anew.
    """
    tables, episodes = {name: [] for name in TABLES}, []
    for number, case in enumerate(cases, 1):
        own = {
            "subject_id": {10: number + 100},
            "hadm_id": {5: number + 200},
            "stay_id": {1: number},
        }
        rows = {"icustays": [HERE], "admissions": [ADMITTED], **case}
        one = stay(end=at(90), **{"admission_type": "EW EMER.", **rows.pop("episode", {})})
        one["episode_id"] = number
        for name, some in [("episodes", [one]), *rows.items()]:
            numbered = [row | {key: new.get(row[key], row[key]) for key, new in own.items()
                               if key in row} for row in some]  # fmt: skip
            (episodes if name == "episodes" else tables[name]).extend(numbered)
    with duckdb.connect(config={"threads": 1}) as database:
        for name, schema in TABLES.items():
            database.register(name, frame(tables[name], schema))
        times = ("start", "end", "clock_zero", "observed_from", "prediction_time")
        database.register("episodes", pl.DataFrame(episodes, infer_schema_length=None).cast(
            dict.fromkeys(times, TIME)))  # fmt: skip
        query = (REPOSITORY / f"pipeline/ehr/scores_{score}.sql").read_text()
        table, seen = scores.describe(database, score, query, RULE, hours)
    assert table["episode_id"].to_list() == [*range(1, len(cases) + 1)]
    return [row | seen for row in table.to_dicts()]


def points(score, component, cases, hours=T):
    """The points of one component in each case."""
    return [row[component] for row in scored(score, cases, hours)]


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


LABS = {
    PLATELETS: ("coagulation", {150: 0, 149: 1, 99: 2, 49: 3, 19: 4}),
    BILIRUBIN: ("liver", {1.1: 0, 1.2: 1, 2.0: 2, 6.0: 3, 12.0: 4}),
    CREATININE: ("renal", {1.1: 0, 1.2: 1, 2.0: 2, 3.5: 3, 5.0: 4}),
}


@pytest.mark.parametrize("itemid", LABS)
def test_sofa_by_labs(itemid):
    component, expected = LABS[itemid]
    rows = scored("sofa", [{"labevents": [lab(itemid, float(value))]} for value in expected])
    assert (
        [row[component] for row in rows] == [row["total"] for row in rows] == [*expected.values()]
    )
    assert {row["without_value"] for row in rows} == {5}


def test_sofa_by_vasopressors():
    cases = [
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
    ]
    made = points("sofa", "cardiovascular", [{"inputevents": rows} for rows, _ in cases])
    assert made == [expected for _, expected in cases]


def test_sofa_by_pressure_is_the_mean_of_what_is_read_at_one_time():
    low, high = read(NOW, CUFF, 60.0), read(NOW, LINE, 90.0)
    repeated, error = [low, low, high], [read(NOW, CUFF, 0.0)]
    cases = [{"chartevents": rows} for rows in ([low], [low, high], repeated, error)]
    assert points("sofa", "cardiovascular", cases) == [1, 0, 0, None]


def test_sofa_by_the_coma_scale():
    cases = [
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
    ]
    made = points("sofa", "cns", [{"chartevents": rows} for rows, _ in cases])
    assert made == [expected for _, expected in cases]


TUBED = text(MODE, "CMV/ASSIST/AutoFlow", at(18))
MASK = text(DEVICE, "Venti mask ", at(19))


def test_sofa_by_arterial_oxygen():
    cases = [
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
    ]
    rows = [{"labevents": labs, "chartevents": chart} for labs, chart, _ in cases]
    assert points("sofa", "respiration", rows) == [expected for *_, expected in cases]


def put_out(ml, when=NOW, itemid=FOLEY, **change):
    return read(when, itemid) | {"value": ml} | change


def test_sofa_by_urine():
    cases = [
        ([put_out(199.0)], 4),
        ([put_out(200.0), put_out(200.0)], 3),  # the second row repeats the first
        ([put_out(200.0), put_out(301.0, at(22))], 0),
        ([put_out(600.0), put_out(300.0, itemid=227488)], 3),  # irrigated with 300
        ([put_out(600.0), put_out(450.0, storetime=at(T))], 0),
    ]
    made = points("sofa", "renal", [{"outputevents": rows} for rows, _ in cases])
    assert made == [expected for _, expected in cases]


def test_urine_of_half_a_day_tells_the_day_and_of_less_nothing():
    some, less = [{"outputevents": [put_out(ml, at(8))]} for ml in (260.0, 240.0)]
    assert points("sofa", "renal", [some, less], hours=12) == [0, 3]  # 520 and 480 a day
    assert points("sofa", "renal", [less], hours=11) == [None]


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
    component, expected = OASIS[itemid]
    cases = [{"chartevents": charted(value, itemid=itemid)} for value in expected]
    assert points("oasis", component, cases) == [*expected.values()]


def test_oasis_takes_the_lowest_or_the_highest_whichever_is_worse():
    cases = [{"chartevents": charted(*values)} for values in ((60, 130, 80), (110, 30, 80))]
    assert points("oasis", "heart_rate", cases) == [6, 4]


def test_oasis_by_urine_age_and_the_time_before_the_icu():
    urine = {671: 10, 672: 5, 1426: 5, 1427: 1, 2544: 1, 2545: 0, 6896: 0, 6897: 8}
    cases = [{"outputevents": [put_out(float(ml))]} for ml in urine]
    assert points("oasis", "urine", cases) == [*urine.values()]
    ages = {23: 0, 24: 3, 53: 3, 54: 6, 77: 6, 78: 9, 89: 9, 91: 7}
    assert points("oasis", "age", [{"episode": {"age": age}} for age in ages]) == [*ages.values()]
    before = {-60: 5, 10: 5, 11: 3, 296: 3, 297: 0, 1439: 0, 1440: 2, 18708: 1}
    cases = [
        {"admissions": [ADMITTED | {"admittime": ZERO - timedelta(minutes=minutes)}]}
        for minutes in before
    ]
    later = {"icustays": [HERE | {"intime": at(T + 1)}]}  # is no stay yet
    assert points("oasis", "before_icu", [*cases, later]) == [*before.values(), None]


def test_oasis_by_elective_surgery():
    cases = [
        ("ELECTIVE", "CSURG", 0, 0),
        ("SURGICAL SAME DAY ADMISSION", "ORTHO", 0, 0),
        ("ELECTIVE", "MED", 0, 6),
        ("EW EMER.", "SURG", 0, 6),
        ("ELECTIVE", "SURG", T, 6),  # nobody knew yet
        (None, "SURG", 0, None),
    ]
    rows = [
        {
            "episode": {"admission_type": kind},
            "services": [{"hadm_id": 5, "transfertime": at(when), "curr_service": service}],
        }
        for kind, service, when, _ in cases
    ]
    assert points("oasis", "no_elective_surgery", rows) == [expected for *_, expected in cases]


def test_ventilation_is_by_the_last_mode_that_was_known():
    cases = [
        ([], 0),
        ([TUBED], 9),
        ([TUBED, MASK], 9),  # at some time of the 24 hours
        ([text(MODE, "NIV-ST", at(18))], 0),
        ([text(MODE, "VOL/AC", at(2))], 9),  # nobody charted another since
        ([text(MODE, "VOL/AC", at(2)), text(DEVICE, "None", at(5))], 0),
        ([text(MODE, "VOL/AC", at(18)) | {"storetime": at(T)}], 0),
        ([text(MODE, "VOL/AC", at(T))], 0),
    ]
    made = points("oasis", "ventilation", [{"chartevents": rows} for rows, _ in cases])
    assert made == [expected for _, expected in cases]


def test_what_is_known_at_the_prediction_time_or_charted_a_day_before_does_not_count():
    unknown = [*charted(150, when=at(5, 59)), read(at(29), HEART, 150.0, storetime=at(T)),
               *charted(150, when=at(T))]  # fmt: skip
    known = charted(150, when=at(6))
    cases = [{"chartevents": charted(80) + rows} for rows in (unknown, known)]
    assert points("oasis", "heart_rate", cases) == [0, 6]
    unstored = {"chartevents": [read(at(29), HEART, 150.0, storetime=None)]}
    assert [row["stood_in"] for row in scored("oasis", [unstored])] == [1]


def test_a_lab_counts_where_it_was_drawn_and_from_the_observation_on():
    mine = lab(CREATININE, 5.0, hadm_id=None)
    rows = [mine, mine | {"subject_id": 11}, mine | {"hadm_id": 6}]
    cases = [{"labevents": [row]} for row in rows]
    assert points("sofa", "renal", cases) == [4, None, None]
    cases = [{"labevents": [lab(CREATININE, 5.0, at(hour))]} for hour in (-7, -6)]
    assert points("sofa", "renal", cases, hours=4) == [None, 4]


def test_what_nobody_measured_adds_nothing_and_is_counted(caplog):
    (row,) = scored("sofa", [{}])
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
    blood = [*gas(20.0, 100.0), lab(PLATELETS, 5.0), lab(BILIRUBIN, 20.0)]
    case = {"episode": {"age": 80}, "chartevents": worst, "outputevents": [put_out(1.0)],
            "admissions": [ADMITTED | {"admittime": ZERO}], "labevents": blood,
            "inputevents": [drug(ADRENALINE, 1.0)]}  # fmt: skip
    (row,) = scored(score, [case])
    most = scores.COMPONENTS[score]
    assert {name: row[name] for name in most} == most
    assert row["total"] == sum(most.values()) == {"sofa": 24, "oasis": 75}[score]


# the open demo has no text of modes: its numeric codes stand for made-up ones, so that what is
# compared is how modes are read, not who was on a ventilator
MODES = {
    MODE: {11: "CPAP/PSV", 49: "CMV/ASSIST/AutoFlow", 2: "SIMV/PSV", 30: "PRVC/AC", 13: "CMV",
           51: "SIMV/PSV/AutoFlow", 10: "APRV", 53: "PSV/SBT"},
    229314: {9: "ASV", 5: "APV (cmv)", 7: "P-SIMV", 16: "VS", 13: "APRV", 14: "SIMV", 10: "P-CMV"},
}  # fmt: skip
READ = ("hosp/labevents", "hosp/services", "hosp/admissions", "hosp/patients", "icu/chartevents",
        "icu/inputevents", "icu/outputevents", "icu/icustays")  # fmt: skip
STAYS = """
    CREATE TABLE episodes AS
    SELECT
        i.*, i.stay_id AS episode_id, greatest(i.intime, h.first_rate) AS clock_zero,
        clock_zero + INTERVAL 48 HOUR AS prediction_time,
        least(i.intime, a.admittime) AS observed_from,
        p.anchor_age + year(a.admittime) - p.anchor_year AS age, a.admission_type
    FROM icustays AS i JOIN admissions AS a USING (hadm_id)
    JOIN patients AS p ON p.subject_id = i.subject_id
    JOIN (SELECT stay_id, min(charttime) AS first_rate FROM chartevents WHERE itemid = 220045
        GROUP BY stay_id) AS h ON h.stay_id = i.stay_id;
    CREATE TABLE stays AS
    SELECT
        stay_id, subject_id, hadm_id, clock_zero AS since, clock_zero + INTERVAL 24 HOUR AS t,
        intime, outtime, admission_type
    FROM episodes;
"""


@pytest.fixture(scope="module")
def demo(mimic_demo):
    """The open demo's tables in a database, its ICU stays as episodes, and the witness."""
    text = {"value": "VARCHAR", "valuenum": "DOUBLE", "storetime": "TIMESTAMP"}
    with duckdb.connect(config={"threads": 1}) as database:
        for table in READ:
            name = table.split("/")[1]
            types = f", types = {text}" if name in ("chartevents", "labevents") else ""
            rows = f"read_csv('{mimic_demo / table}.csv.gz', sample_size = -1{types})"
            database.execute(f"CREATE TABLE {name} AS FROM {rows}")
        for item, modes in MODES.items():
            for code, words in modes.items():
                setting = f"SET value = '{words}' WHERE itemid = {item} AND valuenum = {code}"
                database.execute(f"UPDATE chartevents {setting}")
        names = {name for modes in MODES.values() for name in modes.values()}
        database.register("invasive_modes", pl.DataFrame({"mode": sorted(names)}))
        database.execute(STAYS)
        database.execute(Path(__file__).with_name("witness_scores.sql").read_text())
        yield database


def differing(demo, score, rule):
    """Component → the stays in the ICU at 24 h in which it is not what mimic-code's concept has."""
    with demo.cursor() as database:
        query = (REPOSITORY / f"pipeline/ehr/scores_{score}.sql").read_text()
        ours, _ = scores.describe(database, score, query, rule, hours=24)
        database.execute("DROP MACRO intubated")
        there = database.sql("SELECT stay_id AS episode_id FROM stays WHERE outtime > t").pl()
    rows = there.join(ours, on="episode_id").join(demo.table("witness").pl(), on="episode_id")
    assert rows.height == 113
    return {
        name: rows.filter(pl.col(name).ne_missing(pl.col(f"{name}_right"))).select(
            "episode_id", ours=name, theirs=f"{name}_right")
        for name in scores.COMPONENTS[score]
    }  # fmt: skip


@pytest.mark.parametrize("score", scores.COMPONENTS)
def test_components_are_those_of_mimic_code_on_the_demo(demo, score):
    """By the same rows: all that was charted by then, whenever it was stored."""
    charttime = {kind: ["charttime"] for kind in ("vitals", "outputs", "labs")}
    apart = differing(demo, score, RULE.model_copy(update=charttime))
    more = {"respiration": 3, "ventilation": 5, "no_elective_surgery": 10}
    assert {name: rows.height for name, rows in apart.items()} == {
        name: more.get(name, 0) for name in scores.COMPONENTS[score]
    }
    if score == "oasis":
        # one charted mode is none to mimic-code, nor is one of the stay before
        assert apart["ventilation"].unique("ours").select("ours", "theirs").rows() == [(9, 0)]
        same_day = demo.sql("FROM stays WHERE admission_type = 'SURGICAL SAME DAY ADMISSION'").pl()
        assert set(apart["no_elective_surgery"]["episode_id"]) <= set(same_day["stay_id"])


def test_what_was_stored_later_is_what_the_availability_rule_changes_on_the_demo(demo):
    """The demo has times of storage of labs and urine alone."""
    sofa, oasis = (differing(demo, score, RULE) for score in scores.COMPONENTS)
    assert [sofa[name].height for name in ("coagulation", "liver", "renal")] == [1, 1, 0]
    assert oasis["urine"].height == 5
