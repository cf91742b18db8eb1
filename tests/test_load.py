"""The load benchmarks: a release of MIMIC's form, copied; and what counts as growing faster."""

import json
import sys

import pytest
from checkout import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benchmarks"))

import duckdb
import full_run
import load
import load_page
import numpy as np
import polars as pl
import release
from workflow_runs import Cost, Job, costs, together_mb

from pipeline.hospital.ids import scatter
from pipeline.stage.files import write_json

SIZE = release.Size(patients=60, copies=3, denser=4, again=2, filmed=20)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    return release.make(folder, SIZE), folder / "hospital"


def read(root, path):
    return pl.read_csv(root / f"{path}.csv.gz", infer_schema=False)


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("hosp/patients", "subject_id"),
        ("hosp/admissions", "hadm_id"),
        ("icu/icustays", "stay_id"),
        ("hosp/labevents", "labevent_id"),
    ],
)
def test_every_copy_has_ids_of_its_own_in_the_ranges_of_mimic(made, table, key):
    large, small = (read(root / "mimiciv/3.1", table) for root in made)
    assert large.columns == small.columns
    assert large.height == SIZE.copies * small.height == large[key].n_unique()
    assert large.head(small.height).equals(small)
    if key != "labevent_id":
        assert set(large[key].str.slice(0, 1)) == set(small[key].str.slice(0, 1))
        assert set(large[key].str.len_bytes()) == {8}


def test_readings_are_denser_and_keep_their_stays(made):
    large, small = (read(root / "mimiciv/3.1", "icu/chartevents") for root in made)
    assert large.height == SIZE.copies * SIZE.denser * small.height
    stays = read(made[0] / "mimiciv/3.1", "icu/icustays").select("subject_id", "hadm_id", "stay_id")
    assert large.join(stays, on=stays.columns, how="anti").is_empty()
    beyond = large["itemid"].is_in(["900002", "900003"]).sum()
    assert beyond == large.height / 2


def test_more_reports_belong_to_people_who_were_never_admitted(made):
    large, small = (read(root / "mimic-iv-note/2.2", "note/radiology") for root in made)
    assert large.height == SIZE.copies * SIZE.again * small.height
    assert large["note_id"].n_unique() == SIZE.copies * SIZE.again * small["note_id"].n_unique()
    patients = read(made[0] / "mimiciv/3.1", "hosp/patients")
    others = large.join(patients, on="subject_id", how="anti")
    assert others.height == SIZE.copies * (SIZE.again - 1) * small.height
    assert others["hadm_id"].is_null().all()
    assert large["hadm_id"].is_not_null().sum() == SIZE.copies * small["hadm_id"].count()
    assert (large["note_id"].str.slice(0, 8) == large["subject_id"]).all()


def test_at_full_size_nobody_shares_a_number():
    size = full_run.SIZES["full"]
    assert size.again < release.PER_PATIENT
    people = pl.DataFrame({"subject_id": scatter(np.arange(size.patients), 10_000_000)})
    copies = [copy * size.numbers * release.PER_PATIENT for copy in (0, 1, size.copies - 1)]
    others = [
        f"SELECT {release.shifted('subject_id', by, size.numbers)} AS id "
        f"FROM people, range({size.again}) AS a(again)"
        for by in copies
    ]
    found = duckdb.sql(" UNION ALL ".join(others)).pl()
    assert found.height == found["id"].n_unique() == len(copies) * size.again * people.height
    assert found["id"].min() >= 10_000_000 and found["id"].max() < 20_000_000


def test_films_are_those_of_the_metadata_and_are_listed_with_their_sums(made):
    folder = made[0] / release.CXR
    films = {path.stem for path in folder.glob("files/p1?/p*/s*/*.jpg")}
    metadata = read(folder, "mimic-cxr-2.0.0-metadata")
    assert films == set(metadata["dicom_id"])
    assert 5 < metadata["subject_id"].n_unique() <= SIZE.filmed
    listed = (folder / "SHA256SUMS.txt").read_text().splitlines()
    assert len(listed) == len(films) + 1


def row(*seconds, peaks=(100, 100, 100)):
    sizes = zip((2000, 8000, 32000), seconds, peaks, strict=False)
    return {patients: Cost(cpu, cpu, peak) for patients, cpu, peak in sizes}


def test_start_up_does_not_count_as_growth():
    linear = row(5 + 2, 5 + 8, 5 + 32)
    assert load_page.start_up(linear) == pytest.approx(5)
    assert load_page.slope(linear) == pytest.approx(1)
    assert load_page.bend(linear) == pytest.approx(1)


def test_growth_above_linear_is_a_bend_and_noise_of_short_stages_is_none():
    assert load_page.bend(row(2, 8, 64)) == pytest.approx(56 / 24)
    assert load_page.slope(row(2, 8, 128)) == pytest.approx(2)
    assert load_page.bend(row(1, 2, 6.5)) is None
    assert load_page.bend(row(4, 40)) is None
    assert load_page.growth(row(1, 1, 1, peaks=(100, 200, 300))) == 1.5


def test_memory_of_jobs_that_run_at_once_is_added():
    after, during = Job("a", "x", 5, 5, 100, 0), Job("b", "y", 5, 5, 70, 4)
    assert together_mb([after, during, Job("c", "z", 1, 1, 90, 10)]) == 170


def test_a_stage_costs_what_its_jobs_cost_and_holds_what_the_largest_holds():
    shards = [Job("pipeline.cxr.decode", f"p1{n}.parquet", 2, 1, 90 + n, n) for n in range(3)]
    tables = [
        Job("pipeline.extract.tables", f"results/source/{table}.parquet", 2, 1, 50, 0)
        for table in ("admissions", "radiology")
    ]
    found = costs([*shards, *tables])
    assert found["cxr.decode"] == Cost(cpu=3, seconds=6, peak_mb=92)
    assert set(found) == {"cxr.decode", "extract.tables admissions", "extract.tables radiology"}


def test_what_was_not_measured_is_not_met_and_the_record_holds_the_hospitals(tmp_path, monkeypatch):
    cost = {"cpu": 9.0, "seconds": 9.0, "peak_mb": 300}
    made = {"patients": 2000, "target": load.WITH_FILMS, "rows": {"admissions": 2800},
            "stages": {"ehr.events": cost}}  # fmt: skip
    write_json(tmp_path / "2000/jobs.json", made)
    monkeypatch.setattr(load, "FULL_RUN", tmp_path / "none.json")
    load.write(load.SIZES["full"], tmp_path, tmp_path / "load.json")
    record = json.loads((tmp_path / "load.json").read_text())
    assert [one["met"] for one in record["asked"]] == [False, False]
    assert record["hospitals"] == [made] and "8,000, 32,000" in record["limit"]
    assert "ehr.events" in (tmp_path / "load.md").read_text()
