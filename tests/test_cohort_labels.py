"""Labels: who is eligible and has the outcome, to the minute; classes; the attrition of a task."""

import json
from datetime import date, datetime, timedelta

import duckdb
import polars as pl
import pytest
from episodes_at_hand import cohort_of, split_by
from labelling import label_by_command

from pipeline.cohort import counts, inputs, task
from pipeline.cohort import labels as stage
from pipeline.cohort.episodes import select_episodes
from pipeline.cohort.labels import label_task
from pipeline.cohort.settings import NAMES
from pipeline.stage.errors import InputError

ZERO = datetime(2150, 3, 1, 8, 0)
DAY = 24


def at(hours=0, minutes=0):
    return ZERO + timedelta(hours=hours, minutes=minutes)


def died(at_time, **change):
    """The columns of an admission that ends in death."""
    end = {"dischtime": at_time, "deathtime": at_time}
    return {**end, "hospital_expire_flag": 1, "discharge_location": "DIED", **change}


def hospital(admissions, patients=None):
    """Admissions (subject_id and hadm_id 101, 102, … if not given) and an episode for each."""
    usual = {"admittime": at(), "dischtime": at(96), "deathtime": None}
    usual |= {"hospital_expire_flag": 0, "discharge_location": "HOME"}
    usual |= {"admission_type": "EW EMER."}
    rows = [{"subject_id": i, "hadm_id": i, **usual, **a} for i, a in enumerate(admissions, 101)]
    frame = pl.DataFrame(rows, infer_schema_length=None)
    times = pl.col("admittime", "dischtime", "deathtime").cast(pl.Datetime("us"))
    frame = frame.with_columns(times, pl.col("hospital_expire_flag").cast(pl.Int64))
    episodes = frame.select(
        pl.col("hadm_id").alias("episode_id"),
        "subject_id",
        "hadm_id",
        pl.col("admittime").alias("start"),
        pl.col("dischtime").alias("end"),
        pl.col("admittime").alias("clock_zero"),
        (pl.col("admittime") + pl.duration(hours=48)).alias("prediction_time"),
        pl.Series("split", [NAMES[i % 4] for i in range(frame.height)]),
    )
    patients = patients or [{"subject_id": s} for s in frame["subject_id"].unique().sort()]
    known = [{"dod": None, "anchor_year_group": "2011 - 2013", **p} for p in patients]
    schema = {"subject_id": pl.Int64, "dod": pl.Date, "anchor_year_group": pl.String}
    return {
        "episodes": episodes,
        "admissions": frame,
        "patients": pl.DataFrame(known, schema=schema),
    }


def label(task, sources):
    with duckdb.connect() as database:
        return label_task(database, task, sources).sort("episode_id")


def labels_of(task, admissions, patients=None):
    """The label per admission, None where not eligible."""
    found = label(task, hospital(admissions, patients))
    assert (found["label"].is_not_null() == found["eligible"]).all()
    return found["label"].to_list()


def test_mortality_to_the_minute():
    assert labels_of(
        "mortality",
        [
            {"dischtime": at(48)},  # discharged exactly at the prediction time: not in hospital
            {"dischtime": at(48, 1)},
            died(at(48)),
            died(at(48, 1)),
            died(at(47, 59)),
            died(at(300)),
            # deathtime and dischtime may differ by slips of the pen: alive is judged by deathtime
            died(at(48), dischtime=at(50)),
            died(at(48, 1), dischtime=at(48)),
            {"dischtime": at(0, -5)},  # discharged before it began
            {"dischtime": None},
        ],
    ) == [None, 0, None, 1, None, 1, None, None, None, None]


def test_flag_wins_where_the_columns_on_death_disagree():
    sources = hospital(
        [
            died(at(96), hospital_expire_flag=0),
            died(at(96), discharge_location=None),
            died(at(96), deathtime=None),
            died(at(96), hospital_expire_flag=None),
            died(at(96), hospital_expire_flag=None, deathtime=None),
            {"hospital_expire_flag": None, "discharge_location": None},
            died(at(40), hospital_expire_flag=0),  # disagrees, but is not eligible: not counted
        ]
    )
    found = label("mortality", sources)
    assert found["label"].to_list() == [0, 1, 1, 1, 1, 0, None]
    assert [row["episodes"] for row in counts.count_remarks(found)] == [5, 5]


def test_longstay_to_the_minute():
    sources = hospital(
        [
            {"dischtime": at(168)},
            {"dischtime": at(168, 1)},
            {"dischtime": at(48)},
            died(at(100)),
            died(at(169)),
        ]
    )
    found = label("longstay", sources)
    assert found["label"].to_list() == [0, 1, None, 0, 1]


def test_readmission_within_720_hours_of_the_discharge():
    back = 96 + 30 * DAY
    for later, expected in ((at(back), 1), (at(back, 1), 0), (at(96 + DAY), 1)):
        stays = [{"subject_id": 1}, {"subject_id": 1, "admittime": later, "dischtime": later}]
        assert labels_of("readmission", stays)[0] == expected


def test_readmission_of_another_patient_or_an_earlier_one_is_none():
    earlier = {"subject_id": 1, "admittime": at(-20 * DAY), "dischtime": at(-15 * DAY)}
    other = {"subject_id": 2, "admittime": at(10 * DAY), "dischtime": at(20 * DAY)}
    assert labels_of("readmission", [{"subject_id": 1}, earlier, other]) == [0, 1, 0]


def test_same_day_and_overlapping_admissions_are_one_hospitalisation():
    # discharged on day 5 at 08:00; again at 23:59 that day; overlapping; the next on day 31
    chain = [
        {"subject_id": 1},
        {"subject_id": 1, "admittime": at(96 + 15, 59), "dischtime": at(10 * DAY)},
        {"subject_id": 1, "admittime": at(9 * DAY), "dischtime": at(9 * DAY + 49)},
    ]
    assert labels_of("readmission", chain) == [0, 0, 0]
    next_day = {"subject_id": 1, "admittime": at(96 + 16), "dischtime": at(10 * DAY)}
    assert labels_of("readmission", [chain[0], next_day]) == [1, 0]
    # 30 days count from the end of the whole hospitalisation, day 11
    late = {"subject_id": 1, "admittime": at(40 * DAY), "dischtime": at(50 * DAY)}
    assert labels_of("readmission", [*chain, late]) == [1, 1, 1, 0]
    assert labels_of("readmission", [chain[0], late]) == [0, 0]
    # two short admissions on different days within a long one
    inside = [
        {"subject_id": 1, "dischtime": at(20 * DAY)},
        {"subject_id": 1, "admittime": at(3 * DAY), "dischtime": at(6 * DAY)},
        {"subject_id": 1, "admittime": at(9 * DAY), "dischtime": at(12 * DAY)},
    ]
    assert labels_of("readmission", inside) == [0, 0, 0]


@pytest.mark.parametrize(
    ("later", "dod", "expected"),
    [
        ({}, None, 1),
        ({}, date(2150, 3, 6), 0),  # dead since the day before, as accounts of organ donors are
        ({}, date(2150, 3, 7), 1),
        ({"deathtime": at(6 * DAY, -1)}, None, 0),
        ({"deathtime": at(6 * DAY)}, None, 1),
        ({"dischtime": at(6 * DAY, -1)}, None, 0),  # when it began is not told
        ({"dischtime": None}, None, 1),  # the patient came; when she left is not told
    ],
)
def test_an_impossible_admission_is_no_return(later, dod, expected):
    back = {"subject_id": 1, "admittime": at(6 * DAY), "dischtime": at(7 * DAY), **later}
    sources = hospital([{"subject_id": 1}, back], [{"subject_id": 1, "dod": dod}])
    sources["episodes"] = sources["episodes"].head(1)
    found = label("readmission", sources)
    assert found["label"].to_list() == [expected]
    remarks = {row["count"]: row["episodes"] for row in counts.count_remarks(found)}
    told = "negatives with an admission of impossible times within 30 days (no return)"
    assert remarks[told] == 1 - expected


def test_an_impossible_admission_extends_no_hospitalisation():
    # on the day of the discharge, by the account of a donor: the true discharge counts
    account = {"subject_id": 1, "admittime": at(97), "dischtime": at(20 * DAY)}
    account |= {"deathtime": at(90), "hospital_expire_flag": 1}
    late = {"subject_id": 1, "admittime": at(40 * DAY), "dischtime": at(50 * DAY)}
    sources = hospital([{"subject_id": 1}, account, late])
    sources["episodes"] = sources["episodes"].filter(pl.col("episode_id") != 102)
    assert label("readmission", sources)["label"].to_list() == [0, 0]


def test_who_dies_in_hospital_or_after_a_transfer_is_not_eligible():
    transfer = {"subject_id": 2, "admittime": at(97), **died(at(200))}
    assert labels_of("readmission", [died(at(96)), {"subject_id": 2}, transfer]) == [None] * 3


def test_death_at_home_is_a_counted_negative():
    patients = [
        {"subject_id": 101, "dod": date(2150, 4, 4)},  # day 30 after the discharge on 5 March
        {"subject_id": 102, "dod": date(2150, 4, 5)},
        {"subject_id": 103, "anchor_year_group": "2020 - 2022"},
    ]
    found = label("readmission", hospital([{}] * 3, patients))
    assert found["label"].to_list() == [0, 0, 0]
    assert [row["episodes"] for row in counts.count_remarks(found)] == [0, 0, 1, 0]


def test_readmissions_for_observation_or_surgery_of_the_day_are_counted():
    back = {"admittime": at(10 * DAY), "dischtime": at(12 * DAY)}
    kinds = ["EU OBSERVATION", "OBSERVATION ADMIT", "DIRECT OBSERVATION", "AMBULATORY OBSERVATION",
             "SURGICAL SAME DAY ADMISSION", "EW EMER.", None]  # fmt: skip
    visits = [
        visit
        for i, kind in enumerate(kinds, 1)
        for visit in ({"subject_id": i}, {"subject_id": i, "admission_type": kind, **back})
    ]
    # a return after more than 30 days is none, whatever it is for; nor is a transfer on the day
    late = {"subject_id": 9, "admission_type": kinds[0], "admittime": at(60 * DAY)}
    transfer = {"subject_id": 10, "admission_type": kinds[0], "admittime": at(97)}
    visits += [{"subject_id": 9}, {**late, "dischtime": at(61 * DAY)}, {"subject_id": 10}]
    visits += [{**transfer, "dischtime": at(9 * DAY)}]
    found = label("readmission", hospital(visits))
    assert found["label"].sum() == 7
    remarks = {row["count"]: row["episodes"] for row in counts.count_remarks(found)}
    assert remarks["readmissions for observation"] == 4
    assert remarks["readmissions for surgery of the same day"] == 1


def test_deaths_within_30_days_of_the_prediction_count_by_whole_days():
    # predicted on 3 March at 08:00; day 30 is 2 April
    days = [date(2150, 4, 2), date(2150, 4, 3), date(2150, 3, 3), date(2150, 3, 2), None]
    patients = [{"subject_id": 101 + i, "dod": day} for i, day in enumerate(days)]
    patients += [{"subject_id": 106 + i} for i in range(3)]
    admissions = [{}] * 5
    admissions += [died(at(30 * DAY))]  # no dod: the day of deathtime, 31 March
    admissions += [died(at(30 * DAY), deathtime=None), died(at(40 * DAY))]
    found = label("mortality30", hospital(admissions, patients))
    assert found["label"].to_list() == [1, 0, 1, None, 0, 1, 1, 0]
    assert [row["episodes"] for row in counts.count_remarks(found)] == [1, 2, 0]
    # of a death in hospital and a later dod the earlier day counts, of an earlier dod that one
    slips = [{"subject_id": 101, "dod": days[1]}, {"subject_id": 102, "dod": days[0]}]
    found = label("mortality30", hospital([died(at(5 * DAY)), died(at(40 * DAY))], slips))
    assert found["label"].to_list() == [1, 1]
    assert [row["episodes"] for row in counts.count_remarks(found)] == [0, 0, 1]
    # who is discharged at the prediction time, or dies by then, is not asked about
    known = {"subject_id": 9, "dod": date(2150, 3, 9)}
    patients = [known, *({"subject_id": i} for i in (101, 102, 103))]
    ends = [{"dischtime": at(48)}, died(at(48)), died(at(48, 1))]
    assert labels_of("mortality30", ends, patients) == [None, None, 1]


def test_a_source_without_days_of_death_is_refused_in_one_line():
    with pytest.raises(InputError) as error:
        label("mortality30", hospital([{}, died(at(96))]))
    assert "\n" not in str(error.value)
    assert "task mortality30: the source cannot answer it: it needs days of death" in str(
        error.value
    )


def test_unplanned_readmissions_alone_count():
    back = {"admittime": at(10 * DAY), "dischtime": at(12 * DAY)}
    kinds = {"ELECTIVE": 0, "Elective": 0, "SURGICAL SAME DAY ADMISSION": 0, "URGENT": 1,
             "EW EMER.": 1, "EU OBSERVATION": 1, "DIRECT EMER.": 1, None: 1}  # fmt: skip
    visits = [
        visit
        for i, kind in enumerate(kinds, 1)
        for visit in ({"subject_id": i}, {"subject_id": i, "admission_type": kind, **back})
    ]
    found = label("readmission_unplanned", hospital(visits))
    assert found["label"].to_list()[::2] == list(kinds.values())
    remarks = {row["count"]: row["episodes"] for row in counts.count_remarks(found)}
    assert remarks["negatives with a planned readmission within 30 days"] == 3
    assert remarks["readmissions of unknown type"] == 1
    assert remarks["readmissions for observation"] == 1
    # of unknown type is the next hospitalisation, too, whatever the type of its later parts
    unknown = {"subject_id": 1, "admission_type": None, **back}
    part = {"subject_id": 1, "admission_type": "ELECTIVE", "admittime": at(12 * DAY)}
    part |= {"dischtime": at(13 * DAY)}
    found = label("readmission_unplanned", hospital([{"subject_id": 1}, unknown, part]))
    assert found["label"].to_list()[0] == 1
    assert found["count: readmissions of unknown type"].to_list()[0]
    # an emergency after a planned admission, within 30 days of the first discharge, is no outcome
    # of it, but of the planned one
    late = {"subject_id": 1, "admittime": at(20 * DAY), "dischtime": at(21 * DAY)}
    planned = {"subject_id": 1, "admission_type": "ELECTIVE", **back, "dischtime": at(13 * DAY)}
    assert labels_of("readmission_unplanned", [{"subject_id": 1}, planned, late]) == [0, 1, None]
    # a planned transfer on the day of the discharge is no return; the emergency after it is one
    transfer = {"subject_id": 1, "admission_type": "ELECTIVE", "admittime": at(97)}
    transfer |= {"dischtime": at(8 * DAY)}
    assert labels_of("readmission_unplanned", [{"subject_id": 1}, transfer, late]) == [1, 1, None]


def test_readmission_needs_patients():
    sources = hospital([{}])
    del sources["patients"]
    with pytest.raises(InputError, match=r"possible\.sql asks for a table .*patients"):
        label("readmission", sources)


def test_unknown_task_lists_the_known_ones():
    with pytest.raises(InputError, match="mortallity; expected of admissions"):
        label("mortallity", hospital([{}]))


def test_duplicated_admissions_are_named():
    sources = hospital([{}, {}])
    sources["admissions"] = pl.concat([sources["admissions"], sources["admissions"].head(1)])
    with pytest.raises(InputError, match="admissions: hadm_id repeats in <10 row"):
        label("mortality", sources)


def test_episodes_of_another_source_are_refused():
    sources = hospital([{}, {}])
    sources["admissions"] = sources["admissions"].head(1)
    with pytest.raises(InputError, match=r"<10 row\(s\) for <10 episodes"):
        label("mortality", sources)


@pytest.fixture
def new_task(monkeypatch, tmp_path):
    """Writes a query of one's own into a folder that stands in for the tasks'."""
    for module in (inputs, task):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(task, "FOLDER", tmp_path)
    (tmp_path / "tasks/admission").mkdir(parents=True)
    head = "-- Task of_mine: who?\n-- Kind: binary. Tables: episodes.\n"

    def write(text):
        (tmp_path / "tasks/admission/of_mine.sql").write_text(head + text)
        task.known.cache_clear()

    yield write
    task.known.cache_clear()
    task.find.cache_clear()


def test_a_new_task_is_one_query(new_task):
    new_task(
        'SELECT episode_id, hadm_id < 104 AS "condition: early", NULL AS "condition: unknown",'
        " hadm_id = 101 AS label FROM episodes"
    )
    found = label("of_mine", hospital([{}] * 5))
    assert not found["eligible"].any()
    assert [row["episodes"] for row in counts.count_conditions(found)] == [3, 0]


def test_unknown_label_of_an_eligible_episode_is_refused(new_task):
    new_task("SELECT episode_id, NULLIF(hadm_id = 101, FALSE) AS label FROM episodes")
    with pytest.raises(InputError, match=r"label is unknown in <10 eligible"):
        label("of_mine", hospital([{}] * 3))


def command(monkeypatch, tmp_path, sources, threads=1):
    return label_by_command(
        monkeypatch, tmp_path, stage, "mortality", sources, "admissions", threads
    )


def both_classes(copies=1):
    """Four negatives and four positives, one of each per split; two who left early."""
    return ([{}] * 4 + [died(at(96))] * 4 + [{"dischtime": at(40)}] * 2 + [{}] * 2) * copies


def test_outputs_of_the_command(monkeypatch, tmp_path):
    output, attrition = command(monkeypatch, tmp_path, hospital(both_classes()))
    found = pl.read_parquet(output)
    assert found.schema == stage.contract().columns
    assert found["episode_id"].to_list() == list(range(101, 113))
    assert found["label"].to_list() == [0] * 4 + [1] * 4 + [None] * 2 + [0] * 2
    table = json.loads(attrition.read_text())
    assert [(row["condition"], row["episodes"]) for row in table["conditions"]] == [
        ("admissions of the source", 1234),
        ("in hospital at the prediction time", 10),
        ("alive at the prediction time", 10),
    ]
    assert table["splits"] == [
        {"split": "train", "episodes": 2, "subjects": 2, "positives": 1},
        {"split": "fusion", "episodes": 2, "subjects": 2, "positives": 1},
        {"split": "val", "episodes": 3, "subjects": 3, "positives": 1},
        {"split": "test", "episodes": 3, "subjects": 3, "positives": 1},
    ]


def test_same_bytes_for_any_threads_and_row_order(monkeypatch, tmp_path):
    sources = hospital(both_classes(200))
    once = [path.read_bytes() for path in command(monkeypatch, tmp_path, sources, 1)]
    shuffled = {k: v.sample(fraction=1, shuffle=True, seed=1) for k, v in sources.items()}
    assert [p.read_bytes() for p in command(monkeypatch, tmp_path, shuffled, 2)] == once


def table_of(*episodes):
    return pl.DataFrame({"episode_id": episodes}, schema={"episode_id": pl.Int64})


def test_complete_cases_alone_are_eligible_if_asked():
    sources = hospital([{}, {}, {}, {"dischtime": at(40)}])
    present = {"cxr": table_of(101, 101, 102, 104), "note": table_of(102, 103, 104, 999)}
    with duckdb.connect() as database:
        found = label_task(database, "mortality", sources, present=present).sort("episode_id")
    assert found["eligible"].to_list() == [False, True, False, False]
    assert [(r["condition"], r["episodes"]) for r in counts.count_conditions(found)[2:]] == [
        ("with data of modality cxr", 2),
        ("with data of modality note", 1),
    ]


@pytest.mark.parametrize("text", ["ehr", "=a.parquet", "ehr="])
def test_a_table_without_its_modality_is_refused(text):
    with pytest.raises(InputError, match="expected modality=table"):
        stage.table_of_modality(text)


@pytest.mark.parametrize("split", ["train", "fusion"])
@pytest.mark.parametrize("kept", [0, 1])
def test_one_class_where_models_are_fitted_is_an_error(monkeypatch, tmp_path, split, kept):
    sources = hospital(both_classes(10))
    one_class = (pl.col("split") != split) | (
        pl.col("episode_id").is_in(
            label("mortality", sources).filter(label=kept)["episode_id"].implode()
        )
    )
    sources["episodes"] = sources["episodes"].filter(one_class)
    with pytest.raises(InputError, match=f"not both classes in {split}") as error:
        command(monkeypatch, tmp_path, sources)
    text = str(error.value)
    assert "admissions of the source               1,234       567" in text
    assert f"{split:9}" in text and "\ntest" in text
    assert not (tmp_path / "labels1").exists()


@pytest.mark.parametrize("split", ["val", "test"])
def test_one_class_where_models_are_tested_is_logged(monkeypatch, tmp_path, caplog, split):
    sources = hospital(both_classes())
    positives = label("mortality", sources).filter(label=1)["episode_id"]
    positive = pl.col("episode_id").is_in(positives.implode())
    sources["episodes"] = sources["episodes"].filter(~positive | (pl.col("split") != split))
    output, _ = command(monkeypatch, tmp_path, sources)
    assert output.exists()
    assert f"not both classes in {split}, so its metrics are null" in caplog.text


def test_nobody_eligible_shows_the_table_without_small_counts(monkeypatch, tmp_path):
    with pytest.raises(InputError, match="no episode is eligible") as error:
        command(monkeypatch, tmp_path, hospital([died(at(40), dischtime=at(50))] * 3))
    lines = [line.split() for line in str(error.value).splitlines()]
    assert lines[3][-2:] == ["0", "0"]  # the 3 are told with those who failed nothing else
    assert "<10" not in str(error.value)


def test_open_demo(mimic_demo):
    folders = {"patients": "hosp", "admissions": "hosp", "icustays": "icu"}
    cohort = cohort_of(min_age=18, window_hours=48, icu_within_hours=48, ids=None)
    shares = {"train": 0.35, "fusion": 0.25, "val": 0.10, "test": 0.30}
    with duckdb.connect() as database:
        sources = {
            name: database.sql(f"FROM read_csv('{mimic_demo / folder / name}.csv.gz')").pl()
            for name, folder in folders.items()
        }
        sources["episodes"], _ = select_episodes(
            database, sources, cohort, split_by("a", shares), last_year=2019
        )
    found = {
        name: label(name, sources).filter("eligible")["label"] for name in task.known("admission")
    }
    assert {name: (len(y), y.sum()) for name, y in found.items()} == {
        "mortality": (107, 10),
        "mortality30": (107, 13),
        "longstay": (107, 47),
        "readmission": (97, 16),
        "readmission_unplanned": (97, 15),
    }
    people, visits = sources["patients"], sources["admissions"]
    visits = visits.join(sources["episodes"].select("hadm_id"), on="hadm_id", how="semi")
    assert found["mortality30"].sum() == died_within_30_days(people, visits)
    planned = {"ELECTIVE", "SURGICAL SAME DAY ADMISSION"}
    assert found["readmission_unplanned"].sum() == sum(
        1 for kind in types_of_returns(sources["admissions"], visits) if kind not in planned
    )


def died_within_30_days(people, visits):  # by SQL written from the definition alone
    return duckdb.sql("""
        SELECT count(*) FROM visits JOIN people USING (subject_id)
        WHERE dischtime > admittime + INTERVAL 2 DAY
            AND coalesce(deathtime > admittime + INTERVAL 2 DAY, TRUE)
            AND date_diff('day', CAST(admittime + INTERVAL 2 DAY AS DATE), dod) BETWEEN 0 AND 30
    """).fetchall()[0][0]


def types_of_returns(every, visits):
    """The types of the first admissions, on a later day, within 30 days of a discharge alive."""
    return [row[0] for row in duckdb.sql("""
        SELECT next.admission_type
        FROM visits AS own JOIN every AS next USING (subject_id)
        WHERE own.dischtime > own.admittime + INTERVAL 2 DAY AND own.hospital_expire_flag = 0
            AND CAST(next.admittime AS DATE) > CAST(own.dischtime AS DATE)
            AND next.admittime <= own.dischtime + INTERVAL 30 DAY
            AND NOT EXISTS (  -- one between, or one that continues the visit
                SELECT 1 FROM every AS one WHERE one.subject_id = own.subject_id
                    AND one.hadm_id <> own.hadm_id
                    AND one.admittime BETWEEN own.admittime AND next.admittime - INTERVAL 1 SECOND
            )
    """).fetchall()]  # fmt: skip
