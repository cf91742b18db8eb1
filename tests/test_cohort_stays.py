"""ICU stays as episodes: which count, their clock and columns; odd rows; same bytes."""

import json
import sys
from datetime import datetime, timedelta

import duckdb
import polars as pl
import pytest

from pipeline.cohort import attrition
from pipeline.cohort import stays as stage
from pipeline.cohort.episodes import Cohort
from pipeline.cohort.split import Split, split_of
from pipeline.cohort.stays import select_stays
from pipeline.stage.errors import InputError

ZERO = datetime(2150, 3, 1, 8, 0)
COHORT = Cohort(min_age=18, window_hours=48, icu_within_hours=48, ids=None)
SPLIT = Split("a", {"train": 0.35, "fusion": 0.25, "val": 0.10, "test": 0.30})


def at(hours=0, minutes=0):
    return ZERO + timedelta(hours=hours, minutes=minutes)


def table(rows, **defaults):
    frame = pl.DataFrame([{**defaults, **row} for row in rows], infer_schema_length=None)
    times = [name for name in frame.columns if name.endswith("time")]
    return frame.with_columns(pl.col(times).cast(pl.Datetime("us")))


def beat(stay, charttime, itemid=220045):
    return {"stay_id": stay, "charttime": charttime, "itemid": itemid}


def hospital(stays, admissions=({},), patients=({},), charted=None):
    """Stays of admission 101 of patient 1, 60 years old, in the ICU from hour 1 to 60.

    `charted`: rows of chartevents; else a heart rate of each stay at its intime.
    """
    stays = [{"stay_id": i, **stay} for i, stay in enumerate(stays, 1001)]
    admissions = [{"subject_id": i, "hadm_id": 100 + i, **a} for i, a in enumerate(admissions, 1)]
    patients = [{"subject_id": i, **patient} for i, patient in enumerate(patients, 1)]
    names = ("insurance", "language", "marital_status", "race", "admission_type")
    text = dict.fromkeys((*names, "admission_location"), "Other")
    if charted is None:
        charted = [beat(stay["stay_id"], stay.get("intime", at(1))) for stay in stays]
    return {
        "patients": table(
            patients,
            gender="F",
            anchor_age=60,
            anchor_year=2150,
            anchor_year_group="2011 - 2013",
            dod=None,
        ).with_columns(pl.col("dod").cast(pl.Date)),
        "admissions": table(
            admissions, admittime=at(), dischtime=at(96), deathtime=None, edregtime=None, **text
        ),
        "icustays": table(
            stays, subject_id=1, hadm_id=101, intime=at(1), outtime=at(60), first_careunit="MICU"
        ),
        "chartevents": table(charted),
    }


def select(sources, cohort=COHORT, split=SPLIT, last_year=2022):
    with duckdb.connect() as database:
        database.register("chartevents", sources["chartevents"])
        own = {name: table for name, table in sources.items() if name != "chartevents"}
        found, rows = select_stays(database, own, cohort, split, last_year)
    return found.sort("episode_id"), rows


def test_one_stay_in_full():
    admission = {"edregtime": at(-3), "race": "White", "admission_location": None}
    found, rows = select(hospital([{"intime": at(1, 6)}], [admission]))
    assert found.schema == stage.STAYS.columns
    assert found.to_dicts() == [
        {
            "episode_id": 1001,
            "subject_id": 1,
            "hadm_id": 101,
            "stay_id": 1001,
            "start": at(1, 6),
            "end": at(60),
            "clock_zero": at(1, 6),
            "observed_from": at(-3),
            "prediction_time": at(49, 6),
            "split": split_of(1, SPLIT),
            "age": 60,
            "sex": "F",
            "insurance": "OTHER",
            "language": "OTHER",
            "marital_status": "OTHER",
            "race": "WHITE",
            "first_year": 2011,
            "last_year": 2013,
            "admission_type": "OTHER",
            "admission_location": None,
            "first_careunit": "MICU",
            "hours_to_icu": 1.1,
        }
    ]
    assert [row["condition"] for row in rows] == [
        "ICU stays of the source",
        "that end after they begin",
        "with a charted heart rate (its first is the patient's arrival)",
        "of admissions with times that are possible",
        "that overlap no stay under another admission",
        "aged 18 or over at admission",
    ]


@pytest.mark.parametrize(
    ("charted", "expected"),
    [
        ([beat(1001, at(4, 10))], at(4, 10)),  # a bed, hours before the patient
        ([beat(1001, at(9)), beat(1001, at(4, 10)), beat(1001, at(50))], at(4, 10)),  # the earliest
        ([beat(1001, at(0, 30)), beat(1001, at(4, 10))], at(1)),  # before intime: it counts
        ([beat(1001, at(1))], at(1)),
        ([beat(1002, at(2)), beat(None, at(2)), beat(1001, at(5))], at(5)),  # of other stays
        ([beat(1001, at(2), 220210), beat(1001, at(5))], at(5)),  # a respiratory rate
        ([beat(1001, None), beat(1001, at(7))], at(7)),
        ([beat(1001, at(99))], at(99)),  # after outtime: of no task, but no error
    ],
)
def test_the_clock_starts_when_the_patient_is_there(charted, expected):
    found, _ = select(hospital([{}], charted=charted))
    assert found["clock_zero"].to_list() == [expected]
    assert found["prediction_time"].to_list() == [expected + timedelta(hours=48)]
    # which rows belong to the stay, and how long after the admission it began, do not move
    assert found.select("start", "end", "hours_to_icu").row(0) == (at(1), at(60), 1.0)


def test_a_stay_without_any_heart_rate_is_left_out_and_counted(caplog):
    caplog.set_level("INFO")
    sources = hospital([{}] * 14, charted=[beat(1001, at(2)), beat(1002, at(2), 220210)])
    found, rows = select(sources)
    assert found["episode_id"].to_list() == [1001]
    assert [row["episodes"] for row in rows] == [14, 14, 1, 1, 1, 1]
    assert "13 ICU stays without a heart rate (not used)" in caplog.text


def test_first_heart_rates_outside_the_stay_are_counted(caplog):
    caplog.set_level("INFO")
    early = [beat(number, at(0, 59)) for number in range(1001, 1012)]
    late = [beat(number, at(60, 1)) for number in range(1012, 1024)]
    select(hospital([{}] * 24, charted=[*early, *late, beat(1024, at(1))]))
    assert "11 ICU stays whose first heart rate lies before intime" in caplog.text
    assert "12 ICU stays whose first heart rate lies after outtime" in caplog.text


def test_every_stay_of_an_admission_is_an_episode_however_short_or_late():
    stays = [
        {},
        {"intime": at(100), "outtime": at(100, 1)},
        {"intime": at(-1, 30), "outtime": at(2)},  # received before the admission was entered
    ]
    found, rows = select(hospital(stays))
    assert found["episode_id"].to_list() == [1001, 1002, 1003]
    assert found["hours_to_icu"].to_list() == [1.0, 100.0, -0.5]
    assert rows[-1] == {
        "condition": "aged 18 or over at admission",
        "episodes": 3,
        "subjects": 1,
    }


def test_stays_without_a_time_or_that_end_before_they_begin_are_counted(caplog):
    caplog.set_level("INFO")
    stays = [
        {},
        {"intime": None},
        {"outtime": None},
        {"outtime": at(1)},  # ends as it begins
        {"outtime": at(1, 1)},
        {"outtime": at(0)},
        {"hadm_id": 999},  # of no admission
        {"subject_id": 2},  # of another patient than the admission
    ]
    found, rows = select(hospital([*stays, *[{"intime": None}] * 11]))
    assert found["episode_id"].to_list() == [1001, 1005]
    assert [row["episodes"] for row in rows] == [17, 2, 2, 2, 2, 2]
    assert "12 ICU stays without intime (not used)" in caplog.text
    assert "<10 ICU stays without outtime (not used)" in caplog.text
    assert "<10 ICU stays that end before they begin, or as they do (not used)" in caplog.text
    assert "<10 ICU stays whose subject_id, hadm_id are not in admissions (not used)" in caplog.text
    assert "begin before their admission" not in caplog.text


def test_age_is_that_at_admission():
    patients = [{"anchor_age": 17}, {"anchor_age": 17, "anchor_year": 2149}, {"anchor_age": 18}]
    admissions = [{}, {}, {"admittime": datetime(2149, 12, 31)}]
    stays = [{"subject_id": i, "hadm_id": 100 + i} for i in (1, 2, 3)]
    found, rows = select(hospital(stays, admissions, patients))
    assert found.select("subject_id", "age").rows() == [(2, 18)]
    assert [row["episodes"] for row in rows] == [3, 3, 3, 3, 3, 1]
    everybody = Cohort(min_age=None, window_hours=48, icu_within_hours=48, ids=None)
    found, rows = select(hospital(stays, admissions, patients), everybody)
    assert found.height == 3 and len(rows) == 5


@pytest.mark.parametrize(
    ("registered", "expected"),
    [(at(-24), at(-24)), (at(-24, -1), at()), (at(0, 1), at()), (None, at()), (at(), at())],
)
def test_emergency_department_within_a_day(registered, expected):
    found, _ = select(hospital([{}], [{"edregtime": registered}]))
    assert found["observed_from"].to_list() == [expected]


@pytest.mark.parametrize(("intime", "expected"), [(at(-2), at(-2)), (at(2), at())])
def test_a_stay_is_observed_from_intime_if_the_admission_was_registered_later(intime, expected):
    found, _ = select(hospital([{"intime": intime}]))
    assert found["observed_from"].to_list() == [expected]


def test_years_ages_and_films_are_those_of_the_admission(caplog):
    patients = [
        {"anchor_year": 2145, "anchor_year_group": "2011 - 2013", "anchor_age": 88},
        {"anchor_year": 2149, "anchor_year_group": "2017 - 2019"},
        {"anchor_year_group": "2014 - 2016"},
    ]
    admissions = [{"edregtime": at(-2)}, {"edregtime": at(-2)}, {"edregtime": at(-2)}]
    stays = [{"subject_id": i, "hadm_id": 100 + i} for i in (1, 2, 3)]
    sources = hospital(stays, admissions, patients)
    found, _ = select(sources, last_year=2019)
    assert found["age"].to_list() == [91, 61, 60]
    years = found.select("first_year", "last_year").rows()
    assert years == [(2016, 2018), (2018, 2019), (2014, 2016)]
    covered = Cohort(18, 48, "window", None, films="covered")
    found, rows = select(sources, covered)
    assert found["subject_id"].to_list() == [1, 3] and attrition.reasons(rows) == []
    sources["films"] = pl.DataFrame({"subject_id": [2]})
    found, rows = select(sources, Cohort(18, 48, "window", None, films="any"))
    assert found["subject_id"].to_list() == [2]
    assert attrition.reasons(rows) == ["of patients with a film at any time"]


def test_stays_of_impossible_times_and_of_two_places_at_once_are_left_out(caplog):
    caplog.set_level("INFO")
    admissions = [{}, {"subject_id": 1}, {"subject_id": 1}, {"dischtime": None}]
    stays = [
        {},
        {"hadm_id": 102, "intime": at(59), "outtime": at(80)},  # one of the two is wrong
        {"hadm_id": 103, "intime": at(80), "outtime": at(90)},
        {"subject_id": 4, "hadm_id": 104},
        {"subject_id": 1, "hadm_id": 103, "intime": at(85), "outtime": at(95)},  # same admission
    ]
    found, rows = select(hospital(stays, admissions, [{}] * 4))
    assert found["episode_id"].to_list() == [1003, 1005]
    assert [row["episodes"] for row in rows][2:5] == [5, 4, 2]
    assert "<10 ICU stays of admissions without dischtime (left out)" in caplog.text
    assert "overlap a stay of the same patient under another admission (left out)" in caplog.text


def test_list_of_admissions(tmp_path):
    ids = tmp_path / "mine.csv"
    ids.write_text("hadm_id,why\n102,x\n999,x\n")
    stays = [{}, {"subject_id": 2, "hadm_id": 102}, {"subject_id": 2, "hadm_id": 102}]
    sources = hospital(stays, [{}, {}], [{}, {}])
    cohort = Cohort(min_age=18, window_hours=48, icu_within_hours=48, ids=str(ids))
    found, rows = select(sources, cohort)
    assert found["episode_id"].to_list() == [1002, 1003]
    assert rows[5] == {"condition": "of admissions on the list mine.csv", "episodes": 2,
                       "subjects": 1}  # fmt: skip


def test_a_patient_is_in_one_split_and_folds_turn_it():
    stays = [{"subject_id": i, "hadm_id": 100 + i} for i in range(1, 201) for _ in range(2)]
    sources = hospital(stays, [{}] * 200, [{}] * 200)
    found, _ = select(sources)
    assert found.group_by("subject_id").agg(pl.col("split").n_unique())["split"].max() == 1
    assert found["split"].to_list() == [split_of(i, SPLIT) for i in found["subject_id"]]
    turned, _ = select(sources, split=Split("a", SPLIT.shares, fold=1, folds=3))
    assert (turned["split"] != found["split"]).any()


def test_nobody_left_shows_the_table():
    with pytest.raises(InputError, match="no ICU stay is left\ncondition") as error:
        select(hospital([{}], patients=[{"anchor_age": 3}]))
    assert "aged 18 or over at admission" in str(error.value)


def test_a_stay_twice_or_a_missing_column_is_named():
    with pytest.raises(InputError, match=r"icustays: stay_id repeats in 1 row"):
        select(hospital([{"stay_id": 5}, {"stay_id": 5}]))
    sources = hospital([{}])
    sources["icustays"] = sources["icustays"].drop("outtime")
    with pytest.raises(InputError, match=r"icustays: column\(s\) outtime missing"):
        select(sources)


def command(monkeypatch, tmp_path, sources, threads):
    out = tmp_path / f"{threads}"
    arguments = ["stays", "--threads", str(threads), "--memory-mb", "500"]
    for name, frame in sources.items():
        frame.write_parquet(tmp_path / f"{name}.parquet")
        arguments += [f"--{name}", str(tmp_path / f"{name}.parquet")]
    arguments += ["--cohort", json.dumps(COHORT.settings), "--last-year", "2022"]
    arguments += ["--split", json.dumps({"salt": "a", **SPLIT.shares})]
    arguments += ["--output", str(out / "stays.parquet"), "--attrition", str(out / "a.json")]
    monkeypatch.setattr(sys, "argv", arguments)
    stage.main()
    return out / "stays.parquet", out / "a.json"


def test_same_bytes_for_any_threads_and_row_order(monkeypatch, tmp_path):
    stays = [{"subject_id": i, "hadm_id": 100 + i} for i in range(1, 301)]
    sources = hospital(stays, [{}] * 300, [{}] * 300)
    once = [path.read_bytes() for path in command(monkeypatch, tmp_path, sources, 1)]
    shuffled = {k: v.sample(fraction=1, shuffle=True, seed=1) for k, v in sources.items()}
    assert [p.read_bytes() for p in command(monkeypatch, tmp_path, shuffled, 2)] == once
    assert pl.read_parquet(tmp_path / "1" / "stays.parquet")["episode_id"].is_sorted()


def test_open_demo(mimic_demo, caplog):
    caplog.set_level("INFO")
    folders = {"patients": "hosp", "admissions": "hosp", "icustays": "icu"}
    sources = {
        name: duckdb.sql(f"FROM read_csv('{mimic_demo / folder / name}.csv.gz')").pl()
        for name, folder in folders.items()
    }
    path = mimic_demo / "icu" / "chartevents.csv.gz"
    sources["chartevents"] = duckdb.sql(f"FROM read_csv('{path}') WHERE itemid = 220045").pl()
    found, rows = select(sources)
    assert [(row["episodes"], row["subjects"]) for row in rows] == [(140, 100)] * 6
    # by SQL written from the definition alone: 37 are charted before intime, 103 after it
    assert "37 ICU stays whose first heart rate lies before intime" in caplog.text
    assert (found["clock_zero"] > found["start"]).sum() == 103
    assert (found["end"] > found["prediction_time"]).sum() == 72
    assert found.null_count().select(pl.exclude(stage.STAYS.nullable)).row(0) == (0,) * 13
