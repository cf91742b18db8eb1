"""Sensitivity analyses: whom each leaves out, to the minute; the command; the hospital."""

import sys
from datetime import datetime, timedelta

import duckdb
import polars as pl
import pytest
from episodes_at_hand import cohort_of, split_by
from hospital_files import admissions as drawn
from hospital_files import table

from pipeline.cohort import without as stage
from pipeline.cohort.episodes import select_episodes
from pipeline.cohort.labels import label_task
from pipeline.stage.errors import InputError

ZERO = datetime(2150, 3, 1, 8, 0)
DNR, FULL, COMFORT = "DNR (do not resuscitate)", "Full code", "Comfort measures only"


def at(hours=0, minutes=0):
    return ZERO + timedelta(hours=hours, minutes=minutes)


def hospital(*changes):
    """Eligible episodes 1, 2, … of admissions 101, 102, …, predicted after 48 h."""
    usual = {"start": at(), "clock_zero": at(), "prediction_time": at(48)}
    usual |= {"end": at(96), "admittime": at(), "dischtime": at(96)}
    usual |= {"deathtime": None, "hospital_expire_flag": 0, "discharge_location": "HOME"}
    usual |= {"first_year": 2011, "last_year": 2013, "eligible": True}
    rows = [
        {"episode_id": i, "subject_id": i, "hadm_id": 100 + i, **usual, **change}
        for i, change in enumerate(changes, 1)
    ]
    frame = pl.DataFrame(rows, infer_schema_length=None)
    years = pl.col("first_year", "last_year").cast(pl.Int64)
    frame = frame.with_columns(pl.col("deathtime").cast(pl.Datetime("us")), years)
    own = ["admittime", "dischtime", "deathtime", "hospital_expire_flag", "discharge_location"]
    return frame.drop(own), frame.select("subject_id", "hadm_id", *own)


def charted(*rows):
    """Rows of chartevents: number of the admission, when, text, item, when stored (or at once)."""
    names = {"hadm_id": pl.Int64, "charttime": pl.Datetime("us"), "value": pl.String,
             "itemid": pl.Int64, "storetime": pl.Datetime("us")}  # fmt: skip
    usual = [(100 + row[0], *row[1:], *(223758, row[1])[len(row) - 3 :]) for row in rows]
    return pl.DataFrame(usual, names, orient="row")


def mark(task, made, charts=(), last_year=2022):
    """Analysis → the numbers of the episodes that it leaves out; and the counts for the log."""
    episodes, admissions = made
    sources = {"episodes": episodes, "admissions": admissions}
    with duckdb.connect() as database:
        database.register("chartevents", charted(*charts))
        marked, rows = stage.mark(database, task, sources, episodes, last_year)
    left = {name: marked.filter(name)["episode_id"].sort().to_list() for name in marked.columns[1:]}
    counted = {row["of the eligible"]: row["episodes"] for row in rows}
    assert [counted.pop(f"without: {name}") for name in left] == list(map(len, left.values()))
    return left, counted


HOSPICE = "discharges to a hospice, which are negatives"
LIMITED = {
    "mortality": "comfort measures or DNR charted by the prediction time",
    "mortality30": "comfort measures or DNR charted by the prediction time",
    "mortality_12h": "comfort measures or DNR charted before T = 12 h",
}


@pytest.mark.parametrize("task", ["mortality", "mortality_12h"])
def test_mortality_without_hospice_discharges(task):
    places = ["HOME", "HOSPICE", "DIED", None, "HOSPICE", "hospice-home"]
    made = hospital(*({"discharge_location": place} for place in places[:4]),
                    {"discharge_location": "HOSPICE", "eligible": False},
                    {"discharge_location": places[5]})  # fmt: skip
    left, _ = mark(task, made)
    assert left[HOSPICE] == [2, 6]
    assert left[LIMITED[task]] == []


@pytest.mark.parametrize("task", ["mortality", "mortality_12h"])
def test_who_is_sent_to_a_hospice_and_recorded_as_dead_is_a_positive_and_stays(task):
    there = {"discharge_location": "HOSPICE"}
    unknown = {**there, "hospital_expire_flag": None}
    left, _ = mark(task, hospital(there, {**there, "hospital_expire_flag": 1}, unknown,
                                  {**unknown, "deathtime": at(96)},
                                  {**there, "deathtime": at(96)}))  # fmt: skip
    assert left[HOSPICE] == [1, 3, 5]  # the flag decides where the two disagree, as for the label


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        (COMFORT, True),
        ("Comfort care", True),
        ("CMO", True),
        ("DNR / DNI", True),
        ("DNAR (DO NOT attempt resuscitation for cardiac arrest) ", True),
        ("Do not attempt resuscitation", True),
        ("Do not resuscitate (DNR/DNI)", True),
        (FULL, False),
        ("Full code  (attempt resuscitation)", False),
        ("Resuscitate (Full code)", False),
        ("DNI (do not intubate)", False),
        (None, False),
    ],
)
@pytest.mark.parametrize("item", [223758, 228687])
def test_which_texts_are_limits_of_treatment(text, limit, item):
    left, _ = mark("mortality", hospital({}), [(1, at(2), text, item)])
    assert left[LIMITED["mortality"]] == [1] * limit


@pytest.mark.parametrize(
    ("task", "hours"), [("mortality", 48), ("mortality30", 48), ("mortality_12h", 12)]
)
def test_a_limit_counts_from_when_it_is_known(task, hours):
    when, minute = at(hours), timedelta(minutes=1)
    charts = [
        (1, when, DNR),  # at the prediction time itself nothing is known before it
        (2, when - minute, DNR),
        (3, at(2), DNR, 223758, when + minute),  # charted by then, stored after it
        (4, at(2), DNR, 223758, when - minute),
        (5, at(2), DNR, 223758, None),
        (6, when + minute, DNR, 223758, None),
    ]
    assert mark(task, hospital(*[{}] * 6), charts)[0][LIMITED[task]] == [2, 4, 5]


@pytest.mark.parametrize(("task", "hours"), [("mortality", 48), ("mortality_12h", 12)])
def test_mortality_without_limits_of_treatment_charted_by_then(task, hours):
    when = at(hours, -1)
    left, counted = mark(
        task,
        hospital(*[{}] * 12),
        [
            (1, when, DNR),
            (2, when + timedelta(minutes=2), DNR),  # charted after the prediction
            (3, at(2), FULL),
            (4, at(2), "DNR / DNI"),
            (5, at(2), COMFORT, 228687),
            (6, at(2), "DNI (do not intubate)"),  # is resuscitated
            (7, at(2), None),  # the text is missing, as in the demo's copy
            (8, at(-5), DNR),  # in an earlier ICU stay of the admission
            (9, at(2), DNR),
            (9, at(3), FULL),  # a limit holds from its first charting on
            (10, at(2), COMFORT, 224859),  # another item, which has such words, too
            (11, at(2), None),
            (11, at(3), DNR),
        ],
    )
    assert left[LIMITED[task]] == [1, 4, 5, 8, 9, 11]
    assert left[HOSPICE] == []
    assert counted == {"with a code status charted by then of which the text is missing": 1}


def test_long_stay_without_early_deaths():
    dead = {"hospital_expire_flag": 1}
    made = hospital(
        {"dischtime": at(100)},
        {"dischtime": at(168), "deathtime": at(168), **dead},
        {"dischtime": at(168, 1), "deathtime": at(168, 1), **dead},
        {"dischtime": at(90), "deathtime": at(90), "hospital_expire_flag": None},
    )
    left, _ = mark("longstay", made)
    assert left == {"deaths within 168 h, which are negatives": [2, 4]}


@pytest.mark.parametrize("task", ["readmission", "readmission_unplanned"])
@pytest.mark.parametrize(("last", "out"), [(2022, [3, 4, 5]), (2019, [2, 3, 4, 5])])
def test_readmission_without_what_may_be_of_the_last_years_of_the_release(task, last, out):
    years = [(2014, 2016), (2016, 2018), (2018, 2020), (2022, 2022), (None, None)]
    made = hospital(*({"first_year": a, "last_year": b} for a, b in years))
    left, _ = mark(task, made, last_year=last)
    assert list(left.values()) == [out]  # whatever era the patient's anchor names


def test_an_eligible_episode_that_the_query_lacks_is_refused():
    episodes, admissions = hospital({}, {})
    with pytest.raises(InputError, match=r"task longstay: longstay\.sql lacks eligible episodes"):
        mark("longstay", (episodes, admissions.head(1)))


def command(monkeypatch, folder, charts, threads=1):
    episodes, admissions = hospital(*({"discharge_location": "HOSPICE"} for _ in range(20)), {})
    files = {"episodes": episodes, "labels": episodes, "admissions": admissions}
    files |= {"patients": admissions, "chartevents": charts}
    for name, frame in files.items():
        frame.write_parquet(folder / f"{name}.parquet")
    words = ["without", "--task", "mortality", "--last-year", "2022", "--threads", str(threads)]
    words += ["--output", f"{folder}/{threads}.parquet"]
    for name in ("episodes", "labels"):
        words += [f"--{name}", f"{folder}/{name}.parquet"]
    words += ["--tables"]
    words += [f"{folder}/{name}.parquet" for name in ("admissions", "patients", "chartevents")]
    monkeypatch.setattr(sys, "argv", words)
    stage.main()
    return folder / f"{threads}.parquet"


def test_outputs_and_log_of_the_command(monkeypatch, tmp_path, caplog):
    caplog.set_level("INFO")
    charts = charted(*((i, at(3), DNR) for i in range(1, 4)))
    output = command(monkeypatch, tmp_path, charts)
    found = pl.read_parquet(output)
    assert found.columns == ["episode_id", HOSPICE, LIMITED["mortality"]]
    assert found["episode_id"].to_list() == list(range(1, 22))
    assert [found[name].sum() for name in found.columns[1:]] == [20, 3]
    assert f"without: {HOSPICE}" in caplog.text
    assert f"without: {LIMITED['mortality']}" in caplog.text
    assert " 20\n" in caplog.text and "<10" in caplog.text
    shuffled = charts.sample(fraction=1, shuffle=True, seed=1)
    assert command(monkeypatch, tmp_path, shuffled, 2).read_bytes() == output.read_bytes()


def test_the_hospital_plants_limits_hospices_and_observations_that_tell_nothing_else():
    names = ("admissions", "patients")
    sources = {name: table(f"hosp/{name}") for name in names}
    rows = sources["admissions"]
    episodes = drawn().filter(pl.col("stay") > 48 * 60).select(
        "subject_id", "hadm_id", episode_id="hadm_id", start="admittime", split=pl.lit("test"),
        end="dischtime", clock_zero="admittime",
        prediction_time=pl.col("admittime") + pl.duration(hours=48),
    )  # fmt: skip
    sources["episodes"] = episodes
    charts = table("icu/chartevents")
    with duckdb.connect() as database:
        labels = label_task(database, "mortality", sources)
        database.register("chartevents", charts)
        marked, counted = stage.mark(database, "mortality", sources, labels, 2022)
        returns = label_task(database, "readmission", sources)
    limited = marked.filter(LIMITED["mortality"])
    chart = charts.filter(pl.col("itemid").is_in([223758, 228687]), pl.col("value") != "Full code")
    chart = chart.join(episodes, on="hadm_id").filter(
        pl.col("storetime") <= pl.col("prediction_time")
    )
    told = chart.filter(pl.col("value").str.contains("DNR|Comfort"))["hadm_id"].unique()
    assert set(limited["episode_id"]) == set(told) and len(told) > 20
    later = charts.filter(pl.col("value") == COMFORT)["hadm_id"].n_unique()
    assert later > chart.filter(pl.col("value") == COMFORT)["hadm_id"].n_unique()
    assert counted[-1]["episodes"] > 0  # without its text
    hospice = marked.filter(HOSPICE)["episode_id"]
    alive = rows.filter(pl.col("discharge_location") == "HOSPICE")
    assert set(hospice) <= set(alive["hadm_id"]) and len(hospice) > 10
    assert (alive["hospital_expire_flag"] == 0).all()
    for kind in (
        "count: readmissions for observation",
        "count: readmissions for surgery of the same day",
    ):
        assert returns.filter("eligible")[kind].sum() > 0


def test_open_demo(mimic_demo):
    names = {"patients": "hosp", "admissions": "hosp", "icustays": "icu"}
    shares = {"train": 0.35, "fusion": 0.25, "val": 0.10, "test": 0.30}
    cohort = cohort_of(min_age=18, window_hours=48, icu_within_hours="window", ids=None)
    charts = mimic_demo / "icu" / "chartevents.csv.gz"
    with duckdb.connect() as database:
        sources = {
            name: database.sql(f"FROM read_csv('{mimic_demo / folder / name}.csv.gz')").pl()
            for name, folder in names.items()
        }
        items = f"FROM read_csv('{charts}', types={{'value': 'VARCHAR', 'storetime': 'TIMESTAMP'}})"
        items += " WHERE itemid IN (223758, 228687)"
        sources["episodes"], _ = select_episodes(
            database, sources, cohort, split_by("a", shares), last_year=2019
        )
        database.execute(f"CREATE TABLE chartevents AS {items}")
        left, remarks = {}, {}
        for task in ("mortality", "readmission"):
            labels = label_task(database, task, sources)
            marked, rows = stage.mark(database, task, sources, labels, 2019)
            left[task] = [marked[name].sum() for name in marked.columns[1:]]
            remarks[task] = rows[-1]["episodes"]
        # from the definitions alone, among those in hospital at 48 h
        hospice, charted = database.sql("""
            WITH there AS (
                SELECT a.* FROM admissions AS a JOIN episodes AS e USING (hadm_id)
                WHERE a.dischtime > a.admittime + INTERVAL 2 DAY
            )
            SELECT
                count(*) FILTER (discharge_location = 'HOSPICE'),
                count(*) FILTER (hadm_id IN (
                    SELECT c.hadm_id FROM chartevents AS c JOIN there AS t USING (hadm_id)
                    WHERE coalesce(c.storetime, c.charttime) <= t.admittime + INTERVAL 2 DAY
                ))
            FROM there
        """).fetchall()[0]
        database.register("returns", labels)
        late = database.sql("""
            SELECT count(*) FROM returns AS r JOIN episodes AS e USING (episode_id)
            JOIN patients AS p ON p.subject_id = e.subject_id
            WHERE r.eligible AND CAST(right(anchor_year_group, 4) AS INT)
                + year(e.start) - anchor_year >= 2017
        """).fetchall()[0]
    assert left["mortality"] == [hospice, 0]  # the copy lacks the texts of the code status
    assert remarks["mortality"] == charted
    assert left["readmission"] == [*late]
    assert (hospice, charted, *late) == (4, 48, 17)
