"""Flaws of the published data side (wang2024.md 6) are there, and not on the corrected side.

Each test names its flaw. The corrected side has more tests of its own: see test_cohort_*.py,
test_ehr_events.py, test_ehr_bins.py, test_note_doc2vec.py.
"""

import json
import sys
from datetime import datetime, timedelta

import duckdb
import polars as pl
import pytest
from episodes_at_hand import cohort_of, split_by

from pipeline.cohort.attrition import reasons
from pipeline.cohort.counts import count_conditions
from pipeline.cohort.episodes import select_episodes
from pipeline.cohort.labels import label_task
from pipeline.cohort.rows import read_rows
from pipeline.cohort.settings import RandomSplit
from pipeline.cohort.split import draw
from pipeline.ehr import bins as bins_stage
from pipeline.ehr import events as events_stage
from pipeline.ehr import published as published_stage
from pipeline.ehr.signals import catalogue, classes, vocabulary
from pipeline.ehr.tokens import tokenise
from pipeline.stage.errors import InputError

ZERO = datetime(2150, 3, 1, 8, 0)
SHARES = {"train": 0.35, "fusion": 0.25, "val": 0.10, "test": 0.30}
HASH, RANDOM = split_by("a", SHARES), RandomSplit(random_state=0, val=0.15, test=0.15)
CORRECTED = cohort_of(min_age=18, window_hours=48, icu_within_hours=48, ids=None)
PUBLISHED = cohort_of(None, 48, None, None, definition="published")


def at(hours=0, minutes=0):
    return ZERO + timedelta(hours=hours, minutes=minutes)


def table(rows, **usual):
    frame = pl.DataFrame([{**usual, **row} for row in rows], infer_schema_length=None)
    times = [name for name in frame.columns if name.endswith(("time", "_from", "start"))]
    return frame.with_columns(pl.col(times).cast(pl.Datetime("us")))


def hospital(admissions, in_icu=None, filmed=None):
    """Admissions 1, 2, …, of a patient each if not said: ICU after an hour, a film with labels."""
    admissions = [{"subject_id": k, "hadm_id": k, **a} for k, a in enumerate(admissions, 1)]
    subjects = sorted({a["subject_id"] for a in admissions})
    home = {"admittime": at(), "dischtime": at(96), "deathtime": None, "edregtime": None}
    home |= {"hospital_expire_flag": 0, "discharge_location": "HOME"}
    home |= dict.fromkeys(("insurance", "language", "marital_status", "race"), "OTHER")
    home |= {"admission_type": "URGENT", "admission_location": "PHYSICIAN REFERRAL"}
    icu = [
        {
            "subject_id": a["subject_id"],
            "hadm_id": a["hadm_id"],
            **{"intime": at(1), "outtime": at(60)},
        }
        for a in admissions
        if in_icu is None or a["hadm_id"] in in_icu
    ]
    person = {"gender": "F", "anchor_age": 60, "anchor_year": 2150, "dod": None}
    patients = [{"subject_id": s} for s in subjects]
    return {
        "patients": table(patients, **person, anchor_year_group="2011 - 2013").with_columns(
            pl.col("dod").cast(pl.Date)
        ),
        "admissions": table(admissions, **home),
        "icustays": table(icu, first_careunit="MICU").with_row_index("stay_id"),
        "chexpert": pl.DataFrame(
            {"subject_id": subjects if filmed is None else filmed}, schema={"subject_id": pl.Int64}
        ),
    }


def cohort(sources, settings, split=HASH):
    with duckdb.connect() as database:
        return select_episodes(database, sources, settings, split, 2022)[0].sort("episode_id")


def ids(sources, settings):
    return cohort(sources, settings)["episode_id"].to_list()


def table_of_labels(task, sources, episodes, definition, with_film=None, split=None):
    """The labels; `with_film`: the episodes of the published film table, all if not said."""
    tables = {name: sources[name] for name in ("admissions", "patients")}
    filmed = episodes if with_film is None else episodes.filter(pl.col("hadm_id").is_in(with_film))
    present = {"cxr": filmed} if definition == "published" else {}
    with duckdb.connect() as database:
        found = label_task(
            database, task, {**tables, "episodes": episodes}, definition, present, split
        )
    return found.sort("episode_id")


def labels(task, sources, episodes, definition, with_film=None):
    return table_of_labels(task, sources, episodes, definition, with_film)["label"].to_list()


def test_flaw_1_patients_in_train_and_test():
    sources = hospital([{"subject_id": k // 4} for k in range(400)])
    by_hash = cohort(sources, CORRECTED)
    at_random = table_of_labels(
        "mortality", sources, cohort(sources, PUBLISHED, None), "published", split=RANDOM
    )
    splits = [
        table.group_by("subject_id").agg(pl.n_unique("split"))["split"]
        for table in (by_hash, at_random)
    ]
    assert splits[0].max() == 1
    assert (splits[1] > 1).mean() > 0.5


def stays_of(count, eligible=True):
    stays = {"subject_id": [k // 3 for k in range(count)], "episode_id": range(count)}
    return pl.DataFrame(stays).with_columns(eligible=eligible)


def test_the_random_split_has_its_shares_and_does_not_depend_on_the_order_of_rows():
    stays = stays_of(2000)
    found = draw(stays, RANDOM)
    assert dict(found["split"].value_counts().rows()) == {"train": 1445, "val": 255, "test": 300}
    shuffled = draw(stays.sample(fraction=1, shuffle=True, seed=1), RANDOM)
    assert shuffled.equals(found)
    assert not draw(stays, RandomSplit(random_state=1, val=0.15, test=0.15)).equals(found)


def test_the_published_split_is_drawn_after_the_join_and_the_filter_of_the_task():
    """As if those who are not eligible had never been there; so each task has its own."""
    admissions = [{"dischtime": at(60 + k % 5 * 10)} for k in range(300)]  # 2 of 5 before 72 h
    sources = hospital(admissions)
    episodes = cohort(sources, PUBLISHED, None)
    assert episodes["split"].null_count() == episodes.height
    filmed = [k for k in range(1, 301) if k % 3]
    found = {
        task: table_of_labels(task, sources, episodes, "published", filmed, RANDOM)
        for task in ("mortality", "longstay")
    }
    sizes = {}
    for task, table in found.items():
        left = table.filter("eligible")
        assert table.filter(~pl.col("eligible"))["split"].null_count() == 300 - left.height
        alone = draw(left, RANDOM)
        assert left.sort("episode_id")["split"].equals(alone.sort("episode_id")["split"])
        sizes[task] = dict(left["split"].value_counts().rows())
    assert sizes["mortality"] == {"train": 144, "val": 26, "test": 30}
    assert sizes["longstay"] == {"train": 86, "val": 16, "test": 18}
    both = found["mortality"].join(found["longstay"], on="episode_id").filter("eligible_right")
    assert (both["split"] != both["split_right"]).any()


def test_models_take_the_split_of_the_labels_where_a_task_draws_its_own(tmp_path):
    episodes, labels = tmp_path / "episodes.parquet", tmp_path / "labels.parquet"
    ids = {"episode_id": [1, 2, 3], "subject_id": [7, 8, 9]}
    own = {"episode_id": [1, 2, 3], "eligible": [True, True, False], "label": [0, 1, None]}
    pl.DataFrame(own | {"split": ["test", "train", None]}).write_parquet(labels)
    pl.DataFrame(ids | {"split": [None] * 3}).write_parquet(episodes)
    assert read_rows(episodes, labels, "mortality").split.tolist() == ["test", "train"]
    pl.DataFrame(own).write_parquet(labels)
    pl.DataFrame(ids | {"split": ["val", "fusion", "val"]}).write_parquet(episodes)
    assert read_rows(episodes, labels, "mortality").split.tolist() == ["val", "fusion"]


def test_too_few_episodes_for_a_random_split_are_refused():
    with pytest.raises(InputError, match="<10 eligible episodes are too few"):
        draw(stays_of(1), RANDOM)
    nobody = draw(stays_of(3, eligible=False), RANDOM)  # refused as a cohort of none
    assert nobody["split"].null_count() == 3


def test_flaw_2_readmission_looked_up_inside_the_cohort_alone():
    back = {"subject_id": 1, "admittime": at(200), "dischtime": at(300)}
    sources = hospital([{}, back], in_icu=[1])  # the second stay is without an ICU
    for settings, definition, expected in (
        (PUBLISHED, "published", [0]),
        (CORRECTED, "corrected", [1]),
    ):
        episodes = cohort(sources, settings)
        assert labels("readmission", sources, episodes, definition) == expected


def test_flaw_2_readmission_looked_up_among_those_with_a_film_alone():
    """The label comes from the table of films: a return without one within 48 h is none."""
    back = [{"subject_id": 1, "admittime": at(h), "dischtime": at(h + 90)} for h in (200, 600)]
    sources = hospital([{}, *back])
    episodes = cohort(sources, PUBLISHED, None)
    expected = {(1, 2, 3): [1, 1, 0], (1, 3): [1, None, 0], (1,): [0, None, None]}
    for filmed, found in expected.items():
        assert labels("readmission", sources, episodes, "published", filmed) == found
    late = {"subject_id": 1, "admittime": at(2000), "dischtime": at(2090)}
    sources = hospital([{}, back[0], late])
    episodes = cohort(sources, PUBLISHED, None)
    assert labels("readmission", sources, episodes, "published") == [1, 0, 0]
    assert labels("readmission", sources, episodes, "published", [1, 3]) == [0, None, 0]


def test_flaw_2_overlapping_admissions_and_the_dead():
    overlap = {"subject_id": 1, "admittime": at(90), "dischtime": at(200)}
    died = {"dischtime": at(96), "deathtime": at(96), "hospital_expire_flag": 1}
    sources = hospital([{}, overlap, {**died, "discharge_location": "DIED"}])
    everybody = cohort(sources, cohort_of(None, 48, None, None))
    assert labels("readmission", sources, everybody, "published") == [1, 0, 0]
    assert labels("readmission", sources, everybody, "corrected") == [0, 0, None]


def test_published_readmission_to_the_minute_and_longstay_and_mortality():
    late = [{"subject_id": 1, "admittime": at(96 + 720, m), "dischtime": at(2000)} for m in (0, 1)]
    for next_one, expected in zip(late, (1, 0), strict=True):
        sources = hospital([{}, next_one])
        episodes = cohort(sources, PUBLISHED)
        assert labels("readmission", sources, episodes, "published")[0] == expected
    ends = [at(71, 59), at(72), at(168), at(168, 1), None]
    sources = hospital([{"dischtime": end} for end in ends])
    episodes = cohort(sources, PUBLISHED)
    assert labels("longstay", sources, episodes, "published") == [None, 0, 0, 1, None]
    where = ["DIED", "HOME", None]
    sources = hospital([{"discharge_location": w, "hospital_expire_flag": 1} for w in where])
    assert labels("mortality", sources, cohort(sources, PUBLISHED), "published") == [1, 0, 0]


def test_flaw_3_deaths_and_discharges_before_the_prediction_time():
    died = {"dischtime": at(20), "deathtime": at(20), "hospital_expire_flag": 1}
    sources = hospital([{**died, "discharge_location": "DIED"}, {"dischtime": at(30)}, {}])
    assert labels("mortality", sources, cohort(sources, PUBLISHED), "published") == [1, 0, 0]
    for task in ("mortality", "longstay", "readmission"):
        found = labels(task, sources, cohort(sources, CORRECTED), "corrected")
        assert found[:2] == [None, None]


SYSTOLIC, SODIUM = 1, 2


@pytest.fixture
def tokens(tmp_path, monkeypatch):
    """Runs a protocol's stages on systolic pressures (subject, hour, value); tokens per subject."""

    def stage(module, **flags):
        words = [str(word) for key, value in flags.items() for word in (f"--{key}", value)]
        monkeypatch.setattr(sys, "argv", [module.__name__, *words])
        module.main()

    def write(readings):
        items = {"itemid": [SYSTOLIC], "label": ["Non Invasive Blood Pressure systolic"]}
        pl.DataFrame(items | {"linksto": ["chartevents"]}).write_parquet(
            tmp_path / "d_items.parquet"
        )
        sodium = {"itemid": [SODIUM], "label": ["Sodium"], "fluid": ["Blood"]}
        pl.DataFrame(sodium).write_parquet(tmp_path / "d_labitems.parquet")
        rows = [
            {"subject_id": s, "hadm_id": s, "charttime": at(hour), "storetime": stored or at(hour),
             "itemid": SYSTOLIC, "value": str(value), "valuenum": float(value)}
            for s, hour, value, *rest in readings for stored in [rest[0] if rest else None]
        ]  # fmt: skip
        chart = table(rows)
        chart.write_parquet(tmp_path / "chartevents.parquet")
        labs = chart.clear().with_columns(specimen_id=pl.lit(1))
        labs.write_parquet(tmp_path / "labevents.parquet")
        chart.clear().with_columns(value=pl.lit(0.0)).write_parquet(
            tmp_path / "outputevents.parquet"
        )
        runs = {"starttime": at(), "endtime": at(), "storetime": at()}
        runs |= {"subject_id": 1, "hadm_id": 1, "itemid": 9, "statusdescription": "", "amount": 1.0}
        runs |= {"rate": 1.0, "rateuom": "", "patientweight": 1.0}
        for name in ("procedureevents", "inputevents"):
            table([runs]).clear().write_parquet(tmp_path / f"{name}.parquet")

    def run(protocol, readings):
        write(readings)
        subjects = sorted({s for s, *_ in readings})
        sources = hospital([{"subject_id": s, "hadm_id": s, "edregtime": at(-6)} for s in subjects])
        sources["patients"].write_parquet(tmp_path / "patients.parquet")
        output = tmp_path / f"{protocol}.parquet"
        settings = {"corrected": CORRECTED, "published": PUBLISHED}[protocol]
        cohort(sources, settings).write_parquet(tmp_path / "episodes.parquet")
        given = {"source": tmp_path, "output": output, "temp": tmp_path}
        if protocol == "published":
            paths = {"episodes": tmp_path / "episodes.parquet", "demographics": tmp_path / "d"}
            stage(published_stage, **given, **paths)
            return pl.read_parquet(output)
        stored = {kind: ["storetime", "charttime"] for kind in ("vitals", "outputs", "labs")}
        started = {kind: ["starttime"] for kind in ("procedures", "infusions")}
        rule = json.dumps({"enforced": True, **stored, **started})
        stage(events_stage, **given, episodes=tmp_path / "episodes.parquet", availability=rule)
        events = pl.read_parquet(output)
        stage(bins_stage, **given, split=json.dumps({"salt": HASH.salt, **SHARES}))
        return tokenise(events, pl.read_parquet(output), vocabulary())

    return run


def numbers(found, protocol, subject):
    """minute → bin of the systolic pressures of a subject."""
    own = pl.col("token") - vocabulary(protocol).offsets()["sbp_cuff"]
    return dict(sorted(found.filter(episode_id=subject).select("minute", own).rows()))


def of_split(name, count):
    """Subjects of a split."""
    sources = hospital([{}] * 400)
    found = cohort(sources, CORRECTED).filter(split=name)["subject_id"]
    return found.to_list()[:count]


def test_flaw_4_hypotension_is_erased(tokens):
    one, other = of_split("train", 2)
    readings = [(one, 1, 95), (one, 2, 135), (one, 3, 60), (other, 1, 100), (other, 2, 120)]
    published = numbers(tokens("published", readings), "published", one)
    assert published == {60: 0, 120: 199, 180: 100}  # 60 mmHg reads as 115, the mean
    corrected = numbers(tokens("corrected", readings), "corrected", one)
    assert corrected[180] < corrected[60] < corrected[120]


def test_flaw_5_values_of_test_patients_move_the_bins_of_all(tokens):
    train, test = of_split("train", 2), of_split("test", 1)[0]
    known = [(s, hour, 100 + 5 * hour) for s in train for hour in range(1, 5)]
    for protocol, moves in (("published", True), ("corrected", False)):
        few = tokens(protocol, [*known, (test, 1, 110)])
        many = tokens(protocol, [*known, (test, 1, 110), (test, 2, 139)])
        before, after = (numbers(found, protocol, train[0]) for found in (few, many))
        assert (before != after) == moves


def test_flaw_12_emergency_department_and_storetime(tokens):
    one, other = of_split("train", 2)
    readings = [(one, -2, 100), (one, 5, 110), (one, 40, 120, at(49)), (other, 1, 130)]
    published = numbers(tokens("published", readings), "published", one)
    corrected = numbers(tokens("corrected", readings), "corrected", one)
    assert list(published) == [5 * 60, 40 * 60]  # stored after the prediction time, yet read
    assert list(corrected) == [-2 * 60, 5 * 60]


def test_flaw_12_signals_that_the_paper_lacks():
    missing = set(catalogue()["signal"]) - set(catalogue("published")["signal"])
    assert missing == {
        "gcs_verbal_intubated",  # there a text of gcs_verbal like the others
        "sbp_arterial", "dbp_arterial", "mbp_arterial", "temperature", "peep", "fio2", "urine",
        "lactate", "bilirubin", "inr", "ph", "pao2", "norepinephrine", "epinephrine",
        "phenylephrine", "dopamine", "vasopressin", "angiotensin", "invasive_ventilation",
        "non_invasive_ventilation", "vasopressor",
    }  # fmt: skip
    assert set(classes()) - set(classes("published")) == {"sex"}


def test_flaw_13_the_cohort_looks_ahead():
    sources = hospital([{}, {}, {}], filmed=[1, 2])
    late = pl.when(pl.col("hadm_id") == 2).then(at(60)).otherwise("intime")
    sources["icustays"] = sources["icustays"].with_columns(intime=late.cast(pl.Datetime("us")))
    assert ids(sources, PUBLISHED) == [1, 2]  # 2 enters the ICU after 48 h, 3 is never filmed
    assert ids(sources, CORRECTED) == [1, 3]


def test_the_published_cohort_needs_the_chexpert_table():
    sources = hospital([{}])
    del sources["chexpert"]
    assert ids(sources, CORRECTED) == [1]
    with pytest.raises(InputError, match=r"published\.sql asks for .*chexpert"):
        ids(sources, PUBLISHED)


def test_the_published_cohort_has_no_age_limit_unless_asked():
    sources = hospital([{}, {}])
    age = pl.when(pl.col("subject_id") == 1).then(12).otherwise(60)
    sources["patients"] = sources["patients"].with_columns(anchor_age=age)
    assert ids(sources, PUBLISHED) == [1, 2]
    assert ids(sources, cohort_of(18, 48, None, None, definition="published")) == [2]


def test_the_published_age_is_that_of_the_anchor_year_whatever_the_admission():
    later = {"admittime": at(24 * 365 * 3), "dischtime": at(24 * 365 * 3 + 96)}
    sources = hospital([{}, {"subject_id": 1, **later}])
    assert cohort(sources, PUBLISHED)["age"].to_list() == [60, 60]
    assert cohort(sources, CORRECTED)["age"].to_list() == [60, 63]


def test_the_published_cohort_and_long_stay_say_that_they_look_ahead(caplog):
    sources = hospital([{}] * 3)
    with duckdb.connect() as database:
        episodes, rows = select_episodes(database, sources, PUBLISHED, HASH, 2022)
    ahead = ["of patients with a film in the CheXpert table", "with an ICU stay"]
    assert reasons(rows) == ahead
    assert all(f"looks ahead, beyond the prediction time: {text}" in caplog.text for text in ahead)
    with duckdb.connect() as database:
        tables = {"admissions": sources["admissions"], "episodes": episodes}
        labelled = label_task(database, "longstay", tables, "published")
    assert reasons(count_conditions(labelled)) == ["stay of 72 h or more"]
