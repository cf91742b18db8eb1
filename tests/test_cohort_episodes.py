"""Episodes: who is in the cohort, to the minute; odd source rows; same bytes for any threads."""

import json
import sys
from datetime import date, datetime, timedelta

import duckdb
import polars as pl
import pytest

from pipeline.cohort import attrition
from pipeline.cohort import episodes as stage
from pipeline.cohort.episodes import Cohort, select_episodes
from pipeline.cohort.split import Split
from pipeline.stage.errors import InputError

ZERO = datetime(2150, 3, 1, 8, 0)
COHORT = Cohort(min_age=18, window_hours=48, icu_within_hours=48, ids=None)
SPLIT = Split("a", {"train": 0.35, "fusion": 0.25, "val": 0.10, "test": 0.30})
TIMES = ("admittime", "dischtime", "deathtime", "edregtime", "intime", "outtime")


def at(hours=0, minutes=0):
    return ZERO + timedelta(hours=hours, minutes=minutes)


def table(rows, **defaults):
    frame = pl.DataFrame([{**defaults, **row} for row in rows], infer_schema_length=None)
    times = [name for name in TIMES if name in frame.columns]
    return frame.with_columns(pl.col(times).cast(pl.Datetime("us")))


def hospital(admissions=({},), stays=None, patients=None):
    """One patient per admission, 60 years old, in an ICU after an hour, but for what is given."""
    admissions = [{"subject_id": i, "hadm_id": 100 + i, **a} for i, a in enumerate(admissions, 1)]
    subjects = sorted({a["subject_id"] for a in admissions})
    if stays is None:
        stays = [{k: a[k] for k in ("subject_id", "hadm_id")} for a in admissions]
    stays = [{"subject_id": s.get("hadm_id", 0) - 100, **s} for s in stays]
    patients = patients or [{"subject_id": s} for s in subjects]
    text = dict.fromkeys(("insurance", "language", "marital_status", "race"), "Other")
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
            stays or [{"subject_id": 0, "hadm_id": 0}], stay_id=7, intime=at(1), outtime=at(60)
        ),
    }


def select(sources, cohort=COHORT, split=SPLIT, last_year=2022):
    with duckdb.connect() as database:
        return select_episodes(database, sources, cohort, split, last_year)


def ids_of(sources, cohort=COHORT):
    return select(sources, cohort)[0].sort("episode_id")["episode_id"].to_list()


def test_one_episode_in_full():
    sources = hospital([{"edregtime": at(-3), "language": None, "race": "White"}])
    found, rows = select(sources)
    assert found.to_dicts() == [
        {
            "episode_id": 101,
            "subject_id": 1,
            "hadm_id": 101,
            "stay_id": 7,
            "start": at(),
            "clock_zero": at(),
            "observed_from": at(-3),
            "prediction_time": at(48),
            "split": found["split"][0],
            "age": 60,
            "sex": "F",
            "insurance": "OTHER",
            "language": None,
            "marital_status": "OTHER",
            "race": "WHITE",
            "first_year": 2011,
            "last_year": 2013,
        }
    ]
    assert [row["condition"] for row in rows] == [
        "admissions of the source",
        "with times that are possible",
        "aged 18 or over at admission",
        "with an ICU stay",
        "in an ICU within 48 h of admission",
    ]


def test_icu_by_the_prediction_time_to_the_minute():
    stays = [
        {"hadm_id": 101, "intime": at(48, -1)},
        {"hadm_id": 102, "intime": at(48)},
        {"hadm_id": 103, "intime": at(48, 1)},
        {"hadm_id": 104, "intime": None},
        {"hadm_id": 105, "intime": at(-2)},  # boarded there before the admission was entered
    ]
    sources = hospital([{}] * 6, stays)
    found, rows = select(sources)
    assert sorted(found["episode_id"]) == [101, 102, 105]
    assert [row["episodes"] for row in rows] == [6, 6, 6, 4, 3]


def icu_within(hours, window=48, **more):
    return Cohort(min_age=None, window_hours=window, icu_within_hours=hours, ids=None, **more)


def test_the_window_is_the_latest_entry_into_an_icu_and_more_looks_ahead(caplog):
    stays = [{"hadm_id": 101, "intime": at(24)}, {"hadm_id": 102, "intime": at(30)}]
    sources = hospital([{}] * 3, stays)
    for hours, window, kept in (("window", 24, [101]), ("window", 48, [101, 102]), (12, 24, [])):
        if kept:
            found, rows = select(sources, icu_within(hours, window))
            assert sorted(found["episode_id"]) == kept
            assert rows[-1]["condition"] == f"in an ICU within {window} h of admission"
            assert attrition.reasons(rows) == []
    assert "looks ahead" not in caplog.text
    found, rows = select(sources, icu_within(30, window=24))  # silent, it once was
    assert sorted(found["episode_id"]) == [101, 102]
    assert attrition.reasons(rows) == ["in an ICU within 30 h of admission"]
    assert "the cohort looks ahead" in caplog.text and "an ICU within 30 h" in caplog.text
    assert "in an ICU within 30 h of admission (looks ahead)" in attrition.as_text(rows)


def test_without_the_condition_nobody_is_asked_for_an_icu(caplog):
    found, rows = select(hospital([{}] * 2, [{"hadm_id": 101, "intime": at(90)}]), icu_within(None))
    assert found.sort("episode_id")["stay_id"].to_list() == [7, None]
    assert [row["condition"] for row in rows] == [
        "admissions of the source",
        "with times that are possible",
    ]
    assert "looks ahead" not in caplog.text


def years_of(group, later, last_year=2022):
    """The years of an admission so many years after the anchor year, in a release up to a year."""
    patient = {"subject_id": 1, "anchor_year": 2150 - later, "anchor_year_group": group}
    found, _ = select(hospital(patients=[patient]), last_year=last_year)
    return found.select("first_year", "last_year").row(0)


@pytest.mark.parametrize(
    ("group", "later", "last_year", "years"),
    [
        ("2011 - 2013", 0, 2022, (2011, 2013)),
        ("2011 - 2013", 5, 2022, (2016, 2018)),  # an era of the patient says 2011 - 2013
        ("2017 - 2019", 1, 2019, (2018, 2019)),  # a release ends
        ("2017 - 2019", 1, 2022, (2018, 2020)),
        ("2017 - 2019", 4, 2019, (2019, 2019)),  # the whole range lies beyond: never empty
        ("2020 - 2022", 2, 2022, (2022, 2022)),
        (None, 3, 2022, (None, None)),
        ("unknown", 3, 2022, (None, None)),
    ],
)
def test_years_are_those_of_the_admission_and_of_the_release(group, later, last_year, years):
    assert years_of(group, later, last_year) == years


@pytest.mark.parametrize(("age", "later", "found"), [(88, 1, 89), (88, 2, 91), (91, 0, 91),
                                                     (91, 9, 91), (85, 20, 91)])  # fmt: skip
def test_ages_above_89_are_91_as_the_source_has_them(age, later, found):
    patient = {"subject_id": 1, "anchor_year": 2150 - later, "anchor_age": age}
    assert select(hospital(patients=[patient]))[0]["age"].to_list() == [found]


def test_a_cohort_of_admissions_that_the_films_cover_is_known_at_admission(caplog):
    admissions = [{"edregtime": ed} for ed in (at(-3), None, at(-30), at(-3), at(-3), at(-3))]
    groups = ["2011 - 2013"] * 3 + ["2008 - 2010", "2017 - 2019", "2014 - 2016"]
    later = [0, 0, 0, 1, 0, 1]  # 2009 - 2011 and 2015 - 2017 may be of the years
    patients = [
        {"subject_id": i, "anchor_year_group": group, "anchor_year": 2150 - k}
        for i, (group, k) in enumerate(zip(groups, later, strict=True), 1)
    ]
    cohort = Cohort(None, 48, "window", None, films="covered")
    found, rows = select(hospital(admissions, patients=patients), cohort)
    assert sorted(found["episode_id"]) == [101, 104, 106]
    steps = {row["condition"]: row["episodes"] for row in rows}
    assert steps["admitted through the emergency department"] == 4
    assert steps["in years of the films (2011 to 2016)"] == 3
    assert attrition.reasons(rows) == [] and "looks ahead" not in caplog.text


def test_a_cohort_of_patients_with_any_film_looks_ahead(caplog):
    cohort = Cohort(None, 48, "window", None, films="any")
    sources = hospital([{}] * 3)
    sources["films"] = pl.DataFrame({"subject_id": [2, 2, 9]})
    found, rows = select(sources, cohort)
    assert found["episode_id"].to_list() == [102]
    assert attrition.reasons(rows) == ["of patients with a film at any time"]
    assert "the cohort looks ahead" in caplog.text
    with pytest.raises(InputError, match="films: any asks for the films' metadata"):
        select(hospital(), cohort)


def test_impossible_times_are_counted_apart_and_left_out(caplog):
    caplog.set_level("INFO")
    admissions = [
        {},
        {"dischtime": None},
        {"dischtime": at(0, -1)},
        {"deathtime": at(0, -1)},
        {},  # dod: the day before
        {},  # dod: the day of the admission
        {"deathtime": at(), "dischtime": at()},
    ]
    patients = [{"subject_id": i} for i in range(1, 8)]
    patients[4]["dod"], patients[5]["dod"] = date(2150, 2, 28), date(2150, 3, 1)
    found, rows = select(hospital(admissions, patients=patients))
    assert sorted(found["episode_id"]) == [101, 106, 107]
    assert rows[1] == {"condition": "with times that are possible", "episodes": 3, "subjects": 3}
    for oddity in (
        "admissions without dischtime",
        "admissions discharged before they began",
        "admissions with a deathtime before they began",
        "admissions of patients whose dod is an earlier day",
    ):
        assert f"odd in the source: <10 {oddity} (impossible times)" in caplog.text
    assert "left out" not in caplog.text  # under the published protocol they stay in


def test_overlapping_stays_under_two_admissions_are_counted(caplog):
    caplog.set_level("INFO")
    admissions = [{"subject_id": 1, "hadm_id": 101}, {"subject_id": 1, "hadm_id": 102}]
    overlap = [{"hadm_id": 101}, {"hadm_id": 102, "intime": at(59), "outtime": at(70)}]
    for stays, told in ((overlap, True), ([overlap[0], {**overlap[1], "intime": at(60)}], False)):
        caplog.clear()
        stays = [{"subject_id": 1, **stay} for stay in stays]
        select(hospital(admissions, stays), icu_within(96, 96))
        assert ("stays that overlap a stay of the same patient" in caplog.text) == told


def test_first_stay_wins_and_ties_go_to_the_lower_id():
    stays = [
        {"hadm_id": 101, "stay_id": 3, "intime": at(9)},
        {"hadm_id": 101, "stay_id": 8, "intime": at(2)},
        {"hadm_id": 101, "stay_id": 5, "intime": at(2)},
    ]
    assert select(hospital(stays=stays))[0]["stay_id"].to_list() == [5]
    assert select(hospital(stays=stays[::-1]))[0]["stay_id"].to_list() == [5]


@pytest.mark.parametrize(
    ("edregtime", "observed_from"),
    [
        (at(-24), at(-24)),
        (at(-24, -1), at()),
        (at(0), at()),
        (at(0, 1), at()),
        (None, at()),
    ],
)
def test_emergency_department_counts_for_24_hours(edregtime, observed_from):
    found, _ = select(hospital([{"edregtime": edregtime}]))
    assert found["observed_from"].to_list() == [observed_from]


def test_no_emergency_department_if_not_asked():
    cohort = Cohort(min_age=18, window_hours=12, icu_within_hours=12, ids=None, ed_hours=0)
    found, _ = select(hospital([{"edregtime": at(-1)}]), cohort)
    assert found["observed_from"].to_list() == [at()]
    assert found["prediction_time"].to_list() == [at(12)]


def test_age_moves_with_the_years_since_the_anchor():
    years = [(2151, 17), (2150, 17), (2149, 19), (2149, 18)]  # the admissions are in 2150
    patients = [
        {"subject_id": i, "anchor_year": year, "anchor_age": age}
        for i, (year, age) in enumerate(years, 1)
    ]
    sources = hospital([{}] * 4, patients=patients)
    assert select(sources)[0].sort("episode_id")["age"].to_list() == [20, 19]
    nobody_too_young = Cohort(min_age=None, window_hours=48, icu_within_hours=48, ids=None)
    assert sorted(select(sources, nobody_too_young)[0]["age"]) == [16, 17, 19, 20]


def test_split_by_patient_and_unmoved_by_more_patients():
    admissions = [{"subject_id": i // 3, "hadm_id": i} for i in range(300, 600)]
    stays = [{"subject_id": a["subject_id"], "hadm_id": a["hadm_id"]} for a in admissions]
    found, _ = select(hospital(admissions, stays))
    assert found.group_by("subject_id").agg(pl.col("split").n_unique())["split"].max() == 1
    assert found["split"].n_unique() == 4
    fewer, _ = select(hospital(admissions[::7], stays))
    both = fewer.join(found, on="episode_id", suffix="_all")
    assert both.height == len(admissions[::7])
    assert (both["split"] == both["split_all"]).all()


@pytest.mark.parametrize(("name", "key"), [("admissions", "hadm_id"), ("patients", "subject_id")])
def test_duplicated_ids_are_named_and_counted(name, key):
    sources = hospital([{}] * 5)
    sources[name] = pl.concat([sources[name], sources[name].head(2)])
    with pytest.raises(InputError, match=rf"^{name}: {key} repeats in 2 row"):
        select(sources)


def test_missing_column_is_named():
    sources = hospital()
    sources["icustays"] = sources["icustays"].drop("intime")
    with pytest.raises(InputError, match=r"^icustays: column\(s\) intime missing"):
        select(sources)


def test_odd_rows_are_counted_in_the_log(caplog):
    caplog.set_level("INFO")
    stays = [{"hadm_id": 101}, {"hadm_id": 102}, {"hadm_id": 999}]
    sources = hospital([{}, {"dischtime": at(0, -1)}, {}], stays)
    sources["patients"] = sources["patients"].filter(pl.col("subject_id") < 3)
    assert ids_of(sources) == [101]
    for oddity in (
        "admissions discharged before they began",
        "admissions whose subject_id is not in patients",
        "ICU stays whose subject_id, hadm_id are not in admissions",
    ):
        assert f"odd in the source: <10 {oddity}" in caplog.text


def test_stay_of_another_patient_does_not_count():
    stays = [{"hadm_id": 101}, {"hadm_id": 102, "subject_id": 1}]
    assert ids_of(hospital([{}, {}], stays)) == [101]


def csv(tmp_path, text):
    path = tmp_path / "ward.csv"
    path.write_text(text)
    return Cohort(min_age=18, window_hours=48, icu_within_hours=48, ids=str(path))


def test_cohort_of_a_csv(tmp_path, caplog):
    caplog.set_level("INFO")
    cohort = csv(tmp_path, "name,hadm_id\nx,102.0\ny, 103 \nz,\nx,102\n,999\n")
    found, rows = select(hospital([{}] * 4), cohort)
    assert sorted(found["episode_id"]) == [102, 103]
    assert rows[2] == {"condition": "on the list ward.csv", "episodes": 2, "subjects": 2}
    assert "<10 ids of the list that are not in admissions" in caplog.text
    assert "999" not in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stay_id\n102\n", "column hadm_id missing"),
        ("hadm_id;x\n102;1\n", "column hadm_id missing"),
        ("hadm_id\n102\nsecret-7\n", "no whole number in 1 row"),
        ("", "not a readable csv"),
    ],
)
def test_unusable_csv(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as error:
        select(hospital(), csv(tmp_path, text))
    assert "ward.csv" in str(error.value) and "secret" not in str(error.value)


def test_absent_csv():
    cohort = Cohort(min_age=18, window_hours=48, icu_within_hours=48, ids="nowhere.csv")
    with pytest.raises(InputError, match=r"nowhere\.csv: not a readable csv"):
        select(hospital(), cohort)


def test_empty_cohort_shows_where_it_was_lost():
    stays = [{"hadm_id": 100 + i, "intime": at(49)} for i in range(1, 13)]
    with pytest.raises(InputError, match="no episode is left") as error:
        select(hospital([{}] * 15, stays[:9]))
    lines = [line.split() for line in str(error.value).splitlines()[2:]]
    assert [line[-2:] for line in lines] == [["15", "15"]] * 3 + [["<10"] * 2, ["0", "0"]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min_age": "18"}, "min_age must be a whole number from 0 on or null"),
        ({"window_hours": None}, "window_hours must be a whole number from 0 on$"),
        ({"window_hours": -1}, "window_hours"),
        ({"ids": 5}, "ids must be a path or null"),
        ({"icu_within_hours": "day"}, 'from 0 on, "window" or null'),
        ({"films": "all"}, "films must be covered or any or null"),
        ({"min_aeg": 18}, "min_aeg unknown"),
    ],
)
def test_bad_cohort_settings(change, message):
    value = {"min_age": 18, "window_hours": 48, "icu_within_hours": 48, "ids": None, **change}
    with pytest.raises(InputError, match=message):
        stage.parse_cohort(json.dumps(value))
    with pytest.raises(InputError, match="--cohort: not JSON"):
        stage.parse_cohort("{min_age: 18}")


def command(monkeypatch, tmp_path, sources, threads):
    """Runs the stage's main on the sources; the bytes of its two outputs."""
    out = tmp_path / f"threads{threads}"
    arguments = ["episodes", "--threads", str(threads), "--memory-mb", "500"]
    for name, frame in sources.items():
        frame.write_parquet(tmp_path / f"{name}.parquet")
        arguments += [f"--{name}", str(tmp_path / f"{name}.parquet")]
    cohort = {"min_age": 18, "window_hours": 48, "icu_within_hours": 48, "ids": None}
    arguments += ["--cohort", json.dumps(cohort), "--last-year", "2022"]
    arguments += ["--split", json.dumps({"salt": SPLIT.salt, **SPLIT.shares})]
    arguments += ["--output", str(out / "episodes.parquet")]
    arguments += ["--attrition", str(out / "attrition.json")]
    monkeypatch.setattr(sys, "argv", arguments)
    stage.main()
    return [(out / name).read_bytes() for name in ("episodes.parquet", "attrition.json")]


def test_same_bytes_for_any_threads_and_row_order(monkeypatch, tmp_path):
    admissions = [{"subject_id": i % 997, "hadm_id": 1000 + i} for i in range(6000)]
    stays = [
        {"subject_id": a["subject_id"], "hadm_id": a["hadm_id"], "stay_id": i, "intime": at(i % 60)}
        for i, a in enumerate(admissions * 2)
    ]
    sources = hospital(admissions, stays)
    once = command(monkeypatch, tmp_path, sources, 1)
    shuffled = {
        name: frame.sample(fraction=1, shuffle=True, seed=1) for name, frame in sources.items()
    }
    assert command(monkeypatch, tmp_path, shuffled, 2) == once


def test_no_output_of_an_empty_cohort(monkeypatch, tmp_path):
    with pytest.raises(InputError):
        command(monkeypatch, tmp_path, hospital(stays=[{"hadm_id": 101, "intime": at(50)}]), 1)
    assert not (tmp_path / "threads1").exists()


def test_open_demo(mimic_demo):
    folders = {"patients": "hosp", "admissions": "hosp", "icustays": "icu"}
    with duckdb.connect() as database:
        sources = {
            name: database.sql(f"FROM read_csv('{mimic_demo / folder / name}.csv.gz')").pl()
            for name, folder in folders.items()
        }
    found, rows = select(sources, last_year=2019)
    assert [(row["episodes"], row["subjects"]) for row in rows] == [
        (275, 100),
        (275, 100),
        (275, 100),
        (128, 100),
        (112, 92),
    ]
    assert found.height == 112
    # the years of an admission, from the definition alone
    outside = """
        WITH visit AS (
            SELECT
                hadm_id, anchor_age, CAST(anchor_year_group[:4] AS INT) AS lowest,
                CAST(anchor_year_group[-4:] AS INT) AS highest,
                date_part('year', admittime) - anchor_year AS later
            FROM a, p WHERE a.subject_id = p.subject_id
        )
        SELECT
            hadm_id, least(lowest + later, 2019), least(highest + later, 2019),
            lowest + later > highest, if(anchor_age + later > 89, 91, anchor_age + later)
        FROM visit
    """
    a, p = sources["admissions"], sources["patients"]  # noqa: F841
    expected = {row[0]: row[1:] for row in duckdb.sql(outside).fetchall()}
    rows = found.select("hadm_id", "first_year", "last_year", "age").rows()
    assert all(
        (first, last, age) == (*expected[k][:2], expected[k][3]) for k, first, last, age in rows
    )
    assert (
        sum(expected[k][2] for k, *_ in rows) == 18
    )  # in none of the years that the patient's era names
