"""Tools that nobody here wrote read the hospital as MIMIC-IV: mimic-code's concepts and PyHealth.

Neither is installed with this project; each test says what it needs where that is absent:

* MIMIC_CODE_CONCEPTS: the folder `mimic-iv/concepts_duckdb` of MIT-LCP/mimic-code;
* PYHEALTH_PYTHON: a Python (3.12 or newer) with PyHealth, in an environment of its own.
"""

import json
import os
import re
import subprocess
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from hospital_files import admissions, files, icu_stays, table, written

from pipeline.hospital.layout import CXR, TABLES, location
from pipeline.hospital.settings import Habits

FIRST_DAY = ("bg", "bg_art", "gcs", "lab", "rrt", "sofa", "urine_output", "vitalsign", "weight")


def asked_for(variable, words):
    """The path that an environment variable names; skips where there is none."""
    path = Path(os.environ.get(variable, ""))
    if variable not in os.environ or not path.exists():
        pytest.skip(f"{variable} names no {words}")
    return path


@pytest.fixture(scope="module")
def concepts():
    """The hospital's files as schemas mimiciv_hosp and mimiciv_icu, and all concepts of them."""
    folder = asked_for("MIMIC_CODE_CONCEPTS", "folder of mimic-code's concepts for DuckDB")
    with duckdb.connect() as database:
        for schema in ("hosp", "icu", "derived"):
            database.execute(f"CREATE SCHEMA mimiciv_{schema}")
        for name in TABLES:
            schema, own = name.split("/")
            if schema in ("hosp", "icu"):
                rows = f"read_csv('{files() / location(name, '3.1')}', sample_size = -1)"
                database.execute(f"CREATE TABLE mimiciv_{schema}.{own} AS FROM {rows}")
        listed = re.findall(r"^\.read (\S+)", (folder / "duckdb.sql").read_text(), re.MULTILINE)
        for name in listed:
            database.execute((folder / name).read_text())
        yield database


def derived(concepts, name):
    return concepts.table(f"mimiciv_derived.{name}").pl()


def test_every_stay_has_its_first_day(concepts):
    stays = set(table("icu/icustays")["stay_id"])
    for name in FIRST_DAY:
        made = derived(concepts, f"first_day_{name}")
        assert set(made["stay_id"]) == stays, name


def test_sofa_has_all_components_and_follows_what_the_ehr_shows(concepts):
    sofa = derived(concepts, "first_day_sofa").join(icu_stays(), on="stay_id")
    parts = ("respiration", "coagulation", "liver", "cardiovascular", "cns", "renal")
    first = pl.col("intime") == pl.col("intime").min().over("hadm_id")
    early = sofa.filter(first)
    for part in parts:
        assert early[part].is_not_null().mean() > (0.15 if part == "respiration" else 0.4), part
    both = early.join(admissions().select("hadm_id", "shown_e", "shock", "arf"), on="hadm_id")
    assert np.corrcoef(both["sofa"], both["shown_e"])[0, 1] > 0.4
    rates = both.filter(pl.col("cardiovascular") >= 3)
    assert rates.height > 50 and (rates["shock"] > 0).mean() > 0.6
    hourly = derived(concepts, "sofa")
    assert hourly["sofa_24hours"].max() >= 8 and hourly["respiration"].max() >= 3


def test_oasis_knows_ventilation_and_elective_surgery(concepts):
    oasis = derived(concepts, "oasis")
    assert oasis.height == table("icu/icustays").height
    scores = [name for name in oasis.columns if name.endswith("_score")]
    assert len(scores) == 10
    for name in scores:
        assert oasis[name].n_unique() > 1, name
        assert oasis[name].is_not_null().mean() > 0.7, name
    both = oasis.join(admissions().select("hadm_id", "dies", "shown_e"), on="hadm_id")
    assert np.corrcoef(both["oasis"], both["shown_e"])[0, 1] > 0.2


def test_ventilation_is_that_of_the_patients_with_a_tube(concepts):
    runs = derived(concepts, "ventilation").filter(ventilation_status="InvasiveVent")
    tubes = table("icu/procedureevents").filter(pl.col("itemid") == 225792)
    long = tubes.filter(pl.col("endtime") - pl.col("starttime") > pl.duration(hours=2))
    assert set(runs["stay_id"]) <= set(tubes["stay_id"])
    assert long["stay_id"].is_in(runs["stay_id"].implode()).mean() > 0.95


PYHEALTH = """
import json, sys
from pyhealth.datasets import MIMIC4Dataset

if __name__ == "__main__":
    root, cxr, note, cache, tables = sys.argv[1:]
    dataset = MIMIC4Dataset(ehr_root=root, note_root=note, cxr_root=cxr, cache_dir=cache,
                            **json.loads(tables))
    rows = dataset.global_event_df
    rows = rows.collect() if hasattr(rows, "collect") else rows
    counts = rows.group_by("event_type").len().rows()
    print("COUNTS", json.dumps(dict(counts)))
    print("PATIENTS", len(dataset.unique_patient_ids))
"""
LOADED = {
    "ehr_tables": ["diagnoses_icd", "procedures_icd", "prescriptions", "labevents",
                   "hcpcsevents"],
    "note_tables": ["discharge", "discharge_detail", "radiology", "radiology_detail"],
    "cxr_tables": ["metadata", "chexpert", "negbio", "split"],
}  # fmt: skip


def small():
    """A small hospital without repeated rows, which a join would multiply."""
    return files(40, habits=Habits(repeated_rows=False))


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    """Number of events per table as PyHealth reads a small hospital, and of patients."""
    python = asked_for("PYHEALTH_PYTHON", "Python with PyHealth")
    folder, root = tmp_path_factory.mktemp("pyhealth"), small()
    films = folder / "cxr"  # PyHealth writes a table of its own there
    films.mkdir()
    for path in (root / CXR).glob("*.csv.gz"):
        (films / path.name).symlink_to(path)
    script = folder / "load.py"
    script.write_text(PYHEALTH)
    roots = [root / "mimiciv/3.1", films, root / "mimic-iv-note/2.2", folder / "cache"]
    run = subprocess.run(
        [python, script, *map(str, roots), json.dumps(LOADED)],
        capture_output=True, text=True, cwd=folder,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    found = {line.split()[0]: line.split(" ", 1)[1] for line in run.stdout.splitlines()
             if line.startswith(("COUNTS", "PATIENTS"))}  # fmt: skip
    return json.loads(found["COUNTS"]), int(found["PATIENTS"])


def test_pyhealth_reads_every_table_of_its_mimic_iv_whole(events):
    counts, patients = events
    root = small()
    places = {name.split("/")[1]: name for name in TABLES}
    whole = ["patients", "admissions", "icustays", *LOADED["ehr_tables"], *LOADED["note_tables"]]
    for name in whole:
        assert counts[name] == written(places[name], root).height > 0, name
    for name in LOADED["cxr_tables"]:
        assert counts[name] > 0, name
    assert patients == written("hosp/patients", root).height
