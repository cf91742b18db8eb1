"""Episodes of both units: who is in the cohort, to the minute; clocks; odd rows; same bytes."""

import json
import sys
from datetime import date, datetime, timedelta

import duckdb
import polars as pl
import pytest
from episodes_at_hand import cohort_of, split_by

from pipeline.cohort import attrition
from pipeline.cohort import episodes as stage
from pipeline.cohort.episodes import select_episodes
from pipeline.cohort.settings import DefinedCohort
from pipeline.cohort.split import split_of
from pipeline.stage.errors import InputError
from pipeline.stage.settings import json_argument

ZERO = datetime(2150, 3, 1, 8, 0)
COHORT = cohort_of(min_age=18, window_hours=48, icu_within_hours=48, ids=None)
SPLIT = split_by("a", {"train": 0.35, "fusion": 0.25, "val": 0.10, "test": 0.30})
TIMES = ("admittime", "dischtime", "deathtime", "edregtime", "intime", "outtime", "charttime")
TEXTS = ("insurance", "language", "marital_status", "race", "admission_type", "admission_location")


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
    stays = [
        {"subject_id": s.get("hadm_id", 0) - 100, "stay_id": i, **s}
        for i, s in enumerate(stays or [{"hadm_id": 0}], 1001)
    ]
    patients = patients or [{"subject_id": s} for s in subjects]
    text = dict.fromkeys(TEXTS, "Other")
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
        "icustays": table(stays, intime=at(1), outtime=at(60), first_careunit="MICU"),
    }


def select(sources, cohort=COHORT, split=SPLIT, last_year=2022):
    with duckdb.connect() as database:
        return select_episodes(database, sources, cohort, split, last_year)


def beat(stay, charttime, itemid=220045):
    return {"stay_id": stay, "charttime": charttime, "itemid": itemid}


def select_stays(sources, charted=None, cohort=COHORT, split=SPLIT, last_year=2022):
    """The stays; `charted`: rows of chartevents, else a heart rate of each stay at its intime."""
    if charted is None:
        charted = [beat(*row) for row in sources["icustays"].select("stay_id", "intime").rows()]
    with duckdb.connect() as database:
        database.register("chartevents", table(charted))
        found, rows = select_episodes(database, sources, cohort, split, last_year, "stay")
    return found.sort("episode_id"), rows


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
            "stay_id": 1001,
            "start": at(),
            "end": at(96),
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
            "admission_type": "OTHER",
            "admission_location": "OTHER",
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
    return cohort_of(min_age=None, window_hours=window, icu_within_hours=hours, ids=None, **more)


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
    assert found.sort("episode_id")["stay_id"].to_list() == [1001, None]
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
    cohort = cohort_of(None, 48, "window", None, films="covered")
    found, rows = select(hospital(admissions, patients=patients), cohort)
    assert sorted(found["episode_id"]) == [101, 104, 106]
    steps = {row["condition"]: row["episodes"] for row in rows}
    assert steps["admitted through the emergency department"] == 4
    assert steps["in years of the films (2011 to 2016)"] == 3
    assert attrition.reasons(rows) == [] and "looks ahead" not in caplog.text


def test_a_cohort_of_patients_with_any_film_looks_ahead(caplog):
    cohort = cohort_of(None, 48, "window", None, films="any")
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
    cohort = cohort_of(min_age=18, window_hours=12, icu_within_hours=12, ids=None, ed_hours=0)
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
    nobody_too_young = cohort_of(min_age=None, window_hours=48, icu_within_hours=48, ids=None)
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
    with pytest.raises(InputError, match=rf"^{name}: {key} repeats in <10 row"):
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
    return cohort_of(min_age=18, window_hours=48, icu_within_hours=48, ids=str(path))


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
        ("stay\n102\n", "no column stay_id, hadm_id, subject_id among 1"),
        ("hadm_id;x\n102;1\n", "no column stay_id, hadm_id, subject_id among 1"),
        ("hadm_id,stay_id\n101,1001\n102,\n", "stay_id is empty in <10 row.* remove the column"),
        ("hadm_id\n102\nsecret-7\n", "no whole number in <10 row"),
        ("", "not a readable csv"),
    ],
)
def test_unusable_csv(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as error:
        select(hospital(), csv(tmp_path, text))
    assert "ward.csv" in str(error.value) and "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "admissions", "stays"),
    [
        ("hadm_id\n101\n", [101], [1001, 1002]),
        ("subject_id,why\n1,x\n77,x\n", [101, 102], [1001, 1002, 1003]),
        ("subject_id,hadm_id,stay_id\n1,101,1002\n", [101], [1002]),  # the finest of them
    ],
)
def test_a_csv_lists_stays_admissions_or_patients(tmp_path, text, admissions, stays):
    one = {"subject_id": 1}
    rows = [{"hadm_id": hadm, **one, "intime": at(hour), "outtime": at(hour + 3)}
            for hadm, hour in ((101, 1), (101, 5), (102, 41))]  # fmt: skip
    later = {"admittime": at(40), "dischtime": at(136)}
    sources = hospital([one, one | later, {}], [*rows, {"hadm_id": 103}])
    cohort = csv(tmp_path, text)
    assert ids_of(sources, cohort) == admissions
    assert select_stays(sources, cohort=cohort)[0]["stay_id"].to_list() == stays


def test_the_first_stay_of_a_patient_alone():
    """Of ICU stays the first; of admissions those without a stay under an earlier one."""
    one, later = {"subject_id": 1}, {"admittime": at(200), "dischtime": at(300)}
    stays = [{"hadm_id": 101}, {"hadm_id": 101, **one, "intime": at(61), "outtime": at(70)},
             {"hadm_id": 102, **one, "intime": at(201), "outtime": at(260)},
             {"hadm_id": 104, "intime": at(90), "outtime": at(95)}]  # fmt: skip
    sources = hospital([one, one | later, {}, {}], stays)
    first = cohort_of(icu_within_hours=None, first_stay=True)
    found, rows = select(sources, first)
    assert sorted(found["episode_id"]) == [101, 103, 104]
    told = "with no ICU stay of the patient under an earlier admission"
    assert rows[-1] == {"condition": told, "episodes": 3, "subjects": 3}  # it does not look ahead
    found, rows = select_stays(sources, cohort=first)
    assert found["stay_id"].to_list() == [1001, 1004]
    assert rows[-1]["condition"] == "that are the first of their patient"


def test_ages_and_types_of_admission_are_conditions_of_their_own():
    kinds = [{"admission_type": name} for name in ("Urgent", "ELECTIVE", "EW EMER.", None)]
    patients = [{"subject_id": s, "anchor_age": age} for s, age in enumerate((60, 60, 80, 60), 1)]
    sources = hospital(kinds, patients=patients)
    assert ids_of(sources, cohort_of(max_age=79)) == [101, 102, 104]
    found, rows = select(sources, cohort_of(max_age=60, admission_types=["urgent", "EW EMER."]))
    assert found["episode_id"].to_list() == [101]
    assert [(row["condition"], row["episodes"]) for row in rows][2:5] == [
        ("aged 18 or over at admission", 4),
        ("aged 60 or under at admission", 3),
        ("of the admission types URGENT, EW EMER.", 1),
    ]
    with pytest.raises(
        InputError, match=r"no admission of the type URGENTLY; .* EW EMER\., URGENT"
    ):
        select(sources, cohort_of(admission_types=["urgently"]))


def test_absent_csv():
    cohort = cohort_of(min_age=18, window_hours=48, icu_within_hours=48, ids="nowhere.csv")
    with pytest.raises(InputError, match=r"nowhere\.csv: not a readable csv"):
        select(hospital(), cohort)


def test_empty_cohort_shows_where_it_was_lost():
    stays = [{"hadm_id": 100 + i, "intime": at(49)} for i in range(1, 13)]
    with pytest.raises(InputError, match="no episode is left") as error:
        select(hospital([{}] * 15, stays[:9]))
    lines = [line.split() for line in str(error.value).splitlines()[2:]]
    assert [line[-2:] for line in lines] == [["15", "15"]] * 3 + [["0", "0"]]  # 9 between


def test_a_bad_setting_of_the_cohort_is_named():
    parse = json_argument("cohort", DefinedCohort)
    settings = {**COHORT.model_dump(), "window_hours": -1}
    with pytest.raises(InputError, match=r"config: cohort\.window_hours: "):
        parse(json.dumps(settings))


def command(monkeypatch, tmp_path, sources, threads, unit="admission"):
    """Runs the stage's main on the sources; the bytes of its two outputs."""
    out = tmp_path / f"threads{threads}"
    arguments = ["episodes", "--threads", str(threads), "--memory-mb", "500"]
    arguments += ["--unit", unit, "--tables"]
    for name, frame in sources.items():
        frame.write_parquet(tmp_path / f"{name}.parquet")
        arguments.append(str(tmp_path / f"{name}.parquet"))
    arguments += ["--cohort", COHORT.model_dump_json(), "--last-year", "2022"]
    arguments += ["--split", json.dumps(SPLIT.dump())]
    arguments += ["--output", str(out / "episodes.parquet")]
    arguments += ["--attrition", str(out / "attrition.json")]
    monkeypatch.setattr(sys, "argv", arguments)
    stage.main()
    return [(out / name).read_bytes() for name in ("episodes.parquet", "attrition.json")]


@pytest.mark.parametrize("unit", ["admission", "stay"])
def test_same_bytes_for_any_threads_and_row_order(monkeypatch, tmp_path, unit):
    patients = {"admission": 997, "stay": 6000}[unit]  # of stays each is of another patient
    admissions = [{"subject_id": i % patients, "hadm_id": 1000 + i} for i in range(6000)]
    stays = [
        {"subject_id": a["subject_id"], "hadm_id": a["hadm_id"], "stay_id": i, "intime": at(i % 60)}
        for i, a in enumerate(admissions * 2)
    ]
    sources = hospital(admissions, stays)
    if unit == "stay":
        beats = [beat(stay["stay_id"], at(2 + i % 7)) for i, stay in enumerate(stays)]
        sources["chartevents"] = table(beats)
    once = command(monkeypatch, tmp_path, sources, 1, unit)
    shuffled = {
        name: frame.sample(fraction=1, shuffle=True, seed=1) for name, frame in sources.items()
    }
    assert command(monkeypatch, tmp_path, shuffled, 2, unit) == once


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


def in_icu(*stays, admissions=({},), patients=None):
    """Stays 1001, 1002, … of admission 101 of patient 1, but for what is given."""
    stays = [{"hadm_id": 101, "subject_id": 1, **stay} for stay in stays]
    return hospital(admissions, stays, patients)


def of_patients(*numbers):
    """A stay of the admission of each of these patients."""
    return [{"subject_id": i, "hadm_id": 100 + i} for i in numbers]


def test_one_stay_in_full():
    admission = {"edregtime": at(-3), "race": "White", "admission_location": None}
    found, rows = select_stays(in_icu({"intime": at(1, 6)}, admissions=[admission]))
    assert found.schema == stage.STAYS.columns
    expected = select(in_icu({"intime": at(1, 6)}, admissions=[admission]))[0].row(0, named=True)
    assert found.to_dicts() == [
        {
            **expected,  # of the admission: demographics, years, split
            "episode_id": 1001,
            "start": at(1, 6),
            "end": at(60),
            "clock_zero": at(1, 6),
            "prediction_time": at(49, 6),
            "first_careunit": "MICU",
            "hours_to_icu": 1.1,
        }
    ]
    assert expected["observed_from"] == at(-3) and expected["split"] == split_of(1, SPLIT)
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
    found, _ = select_stays(in_icu({}), charted)
    assert found["clock_zero"].to_list() == [expected]
    assert found["prediction_time"].to_list() == [expected + timedelta(hours=48)]
    # which rows belong to the stay, and how long after the admission it began, do not move
    assert found.select("start", "end", "hours_to_icu").row(0) == (at(1), at(60), 1.0)


def test_a_stay_without_any_heart_rate_is_left_out_and_counted(caplog):
    caplog.set_level("INFO")
    charted = [beat(1001, at(2)), beat(1002, at(2), 220210)]
    found, rows = select_stays(in_icu(*[{}] * 14), charted)
    assert found["episode_id"].to_list() == [1001]
    assert [row["episodes"] for row in rows] == [14, 14, 1, 1, 1, 1]
    assert "13 ICU stays without a heart rate (not used)" in caplog.text


def test_first_heart_rates_outside_the_stay_are_counted(caplog):
    caplog.set_level("INFO")
    early = [beat(number, at(0, 59)) for number in range(1001, 1012)]
    late = [beat(number, at(60, 1)) for number in range(1012, 1024)]
    select_stays(in_icu(*[{}] * 24), [*early, *late, beat(1024, at(1))])
    assert "11 ICU stays whose first heart rate lies before intime" in caplog.text
    assert "12 ICU stays whose first heart rate lies after outtime" in caplog.text


def test_every_stay_of_an_admission_is_an_episode_however_short_or_late():
    stays = [
        {},
        {"intime": at(100), "outtime": at(100, 1)},
        {"intime": at(-1, 30), "outtime": at(2)},  # received before the admission was entered
    ]
    found, rows = select_stays(in_icu(*stays))
    assert found["episode_id"].to_list() == [1001, 1002, 1003]
    assert found["hours_to_icu"].to_list() == [1.0, 100.0, -0.5]
    assert found["observed_from"].to_list() == [at(), at(), at(-1, 30)]  # from intime, if earlier
    assert rows[-1] == {"condition": "aged 18 or over at admission", "episodes": 3, "subjects": 1}


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
    found, rows = select_stays(in_icu(*stays, *[{"intime": None}] * 11))
    assert found["episode_id"].to_list() == [1001, 1005]
    assert [row["episodes"] for row in rows] == [17, 2, 2, 2, 2, 2]
    assert "12 ICU stays without intime (not used)" in caplog.text
    assert "<10 ICU stays without outtime (not used)" in caplog.text
    assert "<10 ICU stays that end before they begin, or as they do (not used)" in caplog.text
    assert "<10 ICU stays whose subject_id, hadm_id are not in admissions (not used)" in caplog.text
    assert "begin before their admission" not in caplog.text


def test_stays_of_impossible_times_and_of_two_places_at_once_are_left_out(caplog):
    caplog.set_level("INFO")
    admissions = [{}, {"subject_id": 1}, {"subject_id": 1}, {"dischtime": None}]
    stays = [
        {},
        {"hadm_id": 102, "intime": at(59), "outtime": at(80)},  # one of the two is wrong
        {"hadm_id": 103, "intime": at(80), "outtime": at(90)},
        {"subject_id": 4, "hadm_id": 104},
        {"hadm_id": 103, "intime": at(85), "outtime": at(95)},  # same admission
    ]
    found, rows = select_stays(in_icu(*stays, admissions=admissions))
    assert found["episode_id"].to_list() == [1003, 1005]
    assert [row["episodes"] for row in rows][2:5] == [5, 4, 2]
    assert "<10 ICU stays of admissions without dischtime (left out)" in caplog.text
    assert "overlap a stay of the same patient under another admission" in caplog.text


def test_conditions_of_the_admission_hold_for_its_stays(tmp_path):
    patients = [
        {"anchor_year": 2145, "anchor_year_group": "2011 - 2013", "anchor_age": 88},
        {"anchor_year": 2149, "anchor_year_group": "2017 - 2019"},
        {"anchor_year_group": "2014 - 2016", "anchor_age": 17},
    ]
    patients = [{"subject_id": i, **patient} for i, patient in enumerate(patients, 1)]
    sources = hospital([{"edregtime": at(-2)}] * 3, of_patients(1, 2, 3), patients)
    found, rows = select_stays(sources, last_year=2019)
    assert found.select("subject_id", "age").rows() == [(1, 91), (2, 61)]
    assert found.select("first_year", "last_year").rows() == [(2016, 2018), (2018, 2019)]
    assert [row["episodes"] for row in rows] == [3, 3, 3, 3, 3, 2]
    found, rows = select_stays(sources, cohort=cohort_of(None, 48, "window", None, films="covered"))
    assert found["subject_id"].to_list() == [1, 3] and attrition.reasons(rows) == []
    sources["films"] = pl.DataFrame({"subject_id": [2]})
    found, rows = select_stays(sources, cohort=cohort_of(None, 48, "window", None, films="any"))
    assert found["subject_id"].to_list() == [2]
    assert attrition.reasons(rows) == ["of patients with a film at any time"]
    found, rows = select_stays(sources, cohort=csv(tmp_path, "hadm_id,why\n102,x\n999,x\n"))
    assert found["subject_id"].to_list() == [2]
    assert rows[5] == {"condition": "on the list ward.csv", "episodes": 1,
                       "subjects": 1}  # fmt: skip


def test_stays_are_in_the_split_of_their_patient_and_folds_turn_it():
    sources = hospital([{}] * 200, of_patients(*range(1, 201), *range(1, 201)))
    found, _ = select_stays(sources)
    assert found["split"].to_list() == [split_of(i, SPLIT) for i in found["subject_id"]]
    turned, _ = select_stays(sources, split=SPLIT.model_copy(update={"fold": 1, "folds": 3}))
    assert (turned["split"] != found["split"]).any()


def test_no_stay_left_or_a_stay_twice_is_named():
    with pytest.raises(InputError, match="no ICU stay is left\ncondition") as error:
        select_stays(in_icu({}, patients=[{"subject_id": 1, "anchor_age": 3}]))
    assert "aged 18 or over at admission" in str(error.value)
    with pytest.raises(InputError, match=r"icustays: stay_id repeats in <10 row"):
        select_stays(in_icu({"stay_id": 5}, {"stay_id": 5}))
    with pytest.raises(InputError, match="no published cohort of the unit stay"):
        select_stays(in_icu({}), cohort=cohort_of(18, 48, "window", None, definition="published"))


def test_stays_of_the_open_demo(mimic_demo, caplog):
    caplog.set_level("INFO")
    folders = {"patients": "hosp", "admissions": "hosp", "icustays": "icu"}
    sources = {
        name: duckdb.sql(f"FROM read_csv('{mimic_demo / folder / name}.csv.gz')").pl()
        for name, folder in folders.items()
    }
    path = mimic_demo / "icu" / "chartevents.csv.gz"
    beats = duckdb.sql(f"FROM read_csv('{path}') WHERE itemid = 220045").pl()
    found, rows = select_stays(sources, beats.select("stay_id", "charttime", "itemid").to_dicts())
    assert [(row["episodes"], row["subjects"]) for row in rows] == [(140, 100)] * 6
    # by SQL written from the definition alone: 37 are charted before intime, 103 after it
    assert "37 ICU stays whose first heart rate lies before intime" in caplog.text
    assert (found["clock_zero"] > found["start"]).sum() == 103
    assert (found["end"] > found["prediction_time"]).sum() == 72
    assert found.null_count().select(pl.exclude(stage.STAYS.nullable)).row(0) == (0,) * 13
