"""The published protocol on a whole hospital: the stages against a plain reading of its files."""

import gzip
import json
import sys
from collections import Counter
from functools import cached_property
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hospital_files import files
from published_reference import SIZES, Published
from sklearn.model_selection import train_test_split

from pipeline.cohort import episodes as episodes_stage
from pipeline.cohort import labels as labels_stage
from pipeline.cohort.settings import RandomSplit
from pipeline.cxr import films as films_stage
from pipeline.ehr import published as tokens_stage
from pipeline.ehr.signals import vocabulary
from pipeline.extract.tables import extract
from pipeline.hospital.layout import location
from pipeline.stage.database import connect

COHORT = {"min_age": None, "window_hours": 48, "icu_within_hours": None, "ids": None}
COHORT |= {"films": None, "definition": "published"}
SPLIT = RandomSplit(random_state=0, val=0.15, test=0.15)
TABLES = [
    "hosp/patients", "hosp/admissions", "icu/icustays", "cxr/chexpert", "icu/chartevents",
    "hosp/labevents", "icu/procedureevents", "icu/d_items", "hosp/d_labitems", "cxr/metadata",
]  # fmt: skip


NAMES = {"cxr/metadata": "cxr_metadata"}


class Stages:
    """The stages of the published protocol on a hospital, and the reference beside them."""

    def __init__(self, root, release, folder):
        self.reference, self.folder = Published(root, release), folder
        for name in TABLES:
            if not (root / location(name, release)).is_file():  # the open demo has no films
                continue
            output = folder / f"{NAMES.get(name, name.split('/')[1])}.parquet"
            extract(output.stem, root / location(name, release), output, temp=folder)

    def path(self, name):
        return str(self.folder / f"{name}.parquet")

    def run(self, stage, **flags):
        lists = {key: value if isinstance(value, list) else [value] for key, value in flags.items()}
        words = [str(word) for key, values in lists.items() for word in (f"--{key}", *values)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [stage.__name__, *words, "--temp", str(self.folder)])
            stage.main()

    @cached_property
    def episodes(self):
        tables = ("patients", "admissions", "icustays", "chexpert")
        given = {"tables": [self.path(name) for name in tables], "cohort": json.dumps(COHORT)}
        given["last-year"] = 2019 if self.reference.release == "1.0" else 2022
        output = self.path("episodes")
        attrition = self.folder / "attrition.json"
        self.run(episodes_stage, **given, output=output, attrition=attrition)
        return pl.read_parquet(output)

    @cached_property
    def films(self):
        assert self.episodes.height
        flags = {name: self.path(name) for name in ("episodes", "admissions")}
        flags |= {"metadata": self.path("cxr_metadata"), "views": "antero-posterior"}
        flags |= {"query": Path(films_stage.__file__).with_name("films_published.sql")}
        flags |= {"availability": "null", "output": self.path("films")}
        self.run(films_stage, **flags)
        return pl.read_parquet(self.path("films"))

    def labels(self, task):
        present = {"cxr": self.films}
        with connect(1, 500, self.folder) as database:
            tables = ("episodes", "admissions", "patients")
            sources = {name: pl.read_parquet(self.path(name)) for name in tables}
            found = labels_stage.label_task(database, task, sources, "published", present, SPLIT)
        return found.filter("eligible")

    def tokens(self, threads=1):
        assert self.episodes.height
        flags = {"episodes": self.path("episodes"), "source": self.folder, "threads": threads}
        flags |= {"output": self.path("tokens"), "demographics": self.path("demographics")}
        self.run(tokens_stage, **flags)
        return pl.read_parquet(self.path("tokens"))


@pytest.fixture(scope="module", params=["1.0", "3.1"])
def stages(request, tmp_path_factory):
    root = files(250, films=False, release=request.param)
    return Stages(root, request.param, tmp_path_factory.mktemp("stages"))


def test_the_cohort_is_that_of_the_plain_reading(stages):
    expected = [int(row["hadm_id"]) for row in stages.reference.admissions]
    found = stages.episodes
    assert found["episode_id"].to_list() == sorted(expected)
    assert found.height > 100
    assert (found["observed_from"] == found["start"]).all()
    late = (found["prediction_time"] - found["start"]).dt.total_hours()
    assert (late == 48).all()
    last = 2019 if stages.reference.release == "1.0" else 2022
    assert found["first_year"].is_between(2008, last).all()
    assert (found["last_year"] - found["first_year"]).is_between(0, 2).all()
    ages = {int(row["subject_id"]): int(row["anchor_age"]) for row in stages.reference.patients}
    assert found["age"].to_list() == [ages[subject] for subject in found["subject_id"]]


@pytest.mark.parametrize("task", ["mortality", "longstay", "readmission"])
def test_labels_are_those_of_the_plain_reading(stages, task):
    filmed = {int(hadm) for hadm in stages.reference.films()}
    assert set(stages.films["episode_id"]) == filmed
    labels = getattr(stages.reference, task)()
    expected = {hadm: label for hadm, label in labels.items() if hadm in filmed}
    found = stages.labels(task)
    assert dict(found.select("episode_id", "label").rows()) == expected
    assert set(expected.values()) == {0, 1}
    order = [int(row["hadm_id"]) for row in stages.reference.admissions]
    order = [hadm for hadm in order if hadm in expected]
    rest, test = train_test_split(order, test_size=0.15, random_state=0)
    train, val = train_test_split(rest, test_size=0.15, random_state=0)
    names = {"train": train, "val": val, "test": test}
    splits = {hadm: name for name, members in names.items() for hadm in members}
    assert dict(found.select("episode_id", "split").rows()) == splits


def test_tokens_are_those_of_the_plain_reading(stages):
    words = vocabulary("published")
    assert [rows for _, _, rows, _ in words.blocks] == list(SIZES.values())
    found, expected = stages.tokens(), stages.reference.tokens()
    assert found["known"].equals(found["minute"].alias("known"))
    assert found["until"].null_count() == found.height
    found = set(found.select("episode_id", "minute", "token").rows())
    assert len(expected) > 10_000
    assert found == expected
    starts = list(words.offsets().values())
    kinds = Counter(sum(start <= token for start in starts) for _, _, token in expected)
    assert len(kinds) > 30  # nearly every signal occurs


def test_tokens_are_the_same_bytes_for_any_threads(stages):
    stages.tokens(1)
    once = (stages.folder / "tokens.parquet").read_bytes()
    stages.tokens(2)
    assert (stages.folder / "tokens.parquet").read_bytes() == once


def test_demographics_have_the_classes_of_the_paper_and_no_sex(stages):
    stages.tokens()
    codes = pl.read_parquet(stages.path("demographics"))
    assert codes.columns == ["episode_id", "age", "insurance", "language", "marital_status", "race"]
    assert codes["episode_id"].to_list() == stages.episodes["episode_id"].to_list()
    for column, size in zip(codes.columns[1:], [9, 3, 2, 5, 8], strict=True):
        assert codes[column].is_between(0, size - 1).all()
        assert codes[column].n_unique() > 1


@pytest.mark.slow
def test_the_open_demo_is_read_like_the_plain_reading(mimic_demo, tmp_path):
    """Real charting, real oddities; that every patient has a film is made up."""
    (tmp_path / "mimiciv").mkdir()
    (tmp_path / "mimiciv/2.2").symlink_to(mimic_demo)
    chexpert = tmp_path / location("cxr/chexpert", "2.2")
    chexpert.parent.mkdir(parents=True)
    patients = pl.read_csv(mimic_demo / "hosp/patients.csv.gz", columns=["subject_id"])
    with gzip.open(chexpert, "wb") as stream:
        patients.with_columns(study_id=1).write_csv(stream)
    stages = Stages(tmp_path, "2.2", tmp_path)
    assert stages.episodes.height == 128
    assert set(stages.tokens().rows()) == stages.reference.tokens()
    for task in ("mortality", "longstay"):  # there are no films, and so no readmission
        found = labels_stage.label_task(
            duckdb.connect(), task,
            {name: pl.read_parquet(stages.path(name)) for name in ("episodes", "admissions")},
            "published",
        ).filter("eligible")  # fmt: skip
        found = dict(found.select("episode_id", "label").rows())
        assert found == getattr(stages.reference, task)()
