"""The preflight names everything that is missing for the asked target, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections import namedtuple

import pytest
from test_extract_release import header_of, put

from pipeline.extract import costs, preflight, release
from pipeline.extract.contracts import FILM_LIST, TABLES, tables_for
from pipeline.stage.errors import InputError


def hospital(root):
    """Every table that a target may need, by its header alone, and a films folder."""
    folders = {"mimic_iv": "mimiciv/3.1", "mimic_cxr_jpg": "mimic-cxr-jpg/2.1.0"}
    for name in tables_for("ecn"):
        contract = TABLES[name]
        base = root / folders.get(contract.dataset, "mimic-iv-note/2.2") / contract.folders[0]
        put(base / f"{contract.file}.csv.gz", header_of(name) + "\n")
    (root / "mimic-cxr-jpg/2.1.0/files/p10").mkdir(parents=True)
    return {"root": str(root), "mimic_iv": None, "mimic_cxr_jpg": None, "mimic_note": None}


def put_table(source, results, name):
    """A table as if it was made: with Snakemake's record of what it was made of."""
    put(results / "source" / f"{name}.parquet", "made")
    path = release.table_path(source, name)
    output = f"results/source/{name}.parquet".encode()
    record = results.parent / ".snakemake/metadata" / urlsafe_b64encode(output).decode()
    put(record, json.dumps({"input": ["pipeline/extract/tables.py", str(path)]}))


def test_complete_source_has_no_problems(tmp_path):
    assert preflight.problems("ecn", hospital(tmp_path / "data"), tmp_path / "results") == []


@pytest.mark.parametrize("put_there", [os.mkfifo, os.mkdir])
def test_a_pipe_or_a_folder_in_the_place_of_a_table_is_refused_and_not_waited_for(
    tmp_path, put_there
):
    source = hospital(tmp_path)
    path = tmp_path / "mimiciv/3.1/hosp/labevents.csv.gz"
    path.unlink()
    put_there(path)
    (line,) = preflight.problems("e", source, tmp_path)
    assert line.startswith(f"{path}: not a file (table labevents, for e")


@pytest.mark.parametrize("folder", ["files", "."])
def test_films_may_lie_flat(tmp_path, folder):
    source, root = hospital(tmp_path), tmp_path / "mimic-cxr-jpg/2.1.0"
    (root / "files/p10").rmdir()
    assert any("no films here" in line for line in preflight.problems("c", source, tmp_path))
    (root / folder / "a-b.jpg").touch()
    assert preflight.problems("c", source, tmp_path) == []


def test_modalities_that_the_source_lacks_are_named_with_the_table_and_no_path(tmp_path):
    source = hospital(tmp_path)
    assert preflight.lacking_modalities("ecn", source) == {}
    (tmp_path / "mimic-cxr-jpg/2.1.0/files/p10").rmdir()  # to be counted no film need be there
    assert preflight.lacking_modalities("ecn", source) == {}
    next(tmp_path.rglob("mimic-cxr-2.0.0-metadata.csv.gz")).unlink()
    shutil.rmtree(tmp_path / "mimic-iv-note")
    reason = "the source has no table {} that can be read"
    expected = {"c": reason.format("cxr_metadata"), "n": reason.format("radiology")}
    assert preflight.lacking_modalities("ecn", source) == expected


def test_all_missing_parts_are_named_at_once_with_their_paths(tmp_path):
    source, root = hospital(tmp_path), tmp_path / "mimiciv/3.1"
    (root / "hosp/labevents.csv.gz").unlink()
    put(root / "icu/chartevents.csv.gz", header_of("chartevents", storetime="x", itemid="y") + "\n")
    put(root / "hosp/admissions.csv.gz", header_of("admissions", race="z") + "\n")
    (root / "hosp/patients.csv.gz").write_bytes(b"")
    (root / "icu/d_items.csv.gz").write_bytes(b"not gzip")
    (tmp_path / "mimic-cxr-jpg/2.1.0/files/p10").rmdir()
    (tmp_path / "mimic-iv-note/2.2/note/radiology.csv.gz").unlink()
    with pytest.raises(InputError) as caught:
        preflight.check("ecn", source, tmp_path / "results")
    message = str(caught.value)
    for expected in (
        f"{root}/hosp/labevents.csv.gz: missing table labevents (for e)",
        f"{root}/icu/chartevents.csv.gz: column storetime of chartevents",
        f"{root}/icu/chartevents.csv.gz: column itemid of chartevents",
        f"{root}/hosp/admissions.csv.gz: column race or ethnicity of admissions",
        f"{root}/hosp/patients.csv.gz: the file is empty",
        f"{root}/icu/d_items.csv.gz: not a gzip file",
        f"{tmp_path}/mimic-cxr-jpg/2.1.0/files: no films here",
        f"{tmp_path}/mimic-iv-note/2.2/note/radiology.csv.gz: missing table radiology (for n)",
    ):
        assert expected in message
    assert message.startswith("8 problem(s)")


def test_en_target_needs_no_films(tmp_path):
    source = hospital(tmp_path)
    films = tmp_path / "mimic-cxr-jpg"
    films.rename(tmp_path / "elsewhere")
    assert preflight.problems("en", source, tmp_path / "results") == []
    lines = preflight.problems("c", source, tmp_path / "results")
    assert len(lines) == 3 and all(line.startswith(str(films)) for line in lines)


def test_the_list_of_films_needs_their_metadata_but_no_film(tmp_path):
    source, films = hospital(tmp_path), tmp_path / "mimic-cxr-jpg/2.1.0"
    (films / "files/p10").rmdir()
    (films / "files").rmdir()
    (tmp_path / "mimic-iv-note/2.2/note/radiology.csv.gz").unlink()
    asked = (FILM_LIST, "corrected")
    assert preflight.problems(asked, source, tmp_path / "results") == []
    assert preflight.estimate(asked, source, tmp_path / "results").films == 0
    charts = tmp_path / "mimiciv/3.1/icu/chartevents.csv.gz"
    charts.rename(tmp_path / "elsewhere.gz")  # without it nobody knows when ICU patients arrive
    assert preflight.problems(asked, source, tmp_path / "results") == []
    (line,) = preflight.problems((*asked, "stay"), source, tmp_path / "results")
    assert line.startswith(f"{charts}: missing table chartevents")
    metadata = films / "mimic-cxr-2.0.0-metadata.csv.gz"
    metadata.unlink()
    put(films / "mimic-cxr-2.0.0-metadata.csv", "dicom_id\n")
    (line, *_) = preflight.problems(asked, source, tmp_path / "results")
    assert "mimic-cxr-2.0.0-metadata.csv: column subject_id of cxr_metadata" in line


def test_too_little_disk_names_what_is_needed(tmp_path, monkeypatch):
    source = hospital(tmp_path)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _: usage(9e8, 8e8, 1e8))
    (line,) = preflight.problems("e", source, tmp_path / "not/yet/made")
    assert "0.5 GB of disk are needed, 0.1 GB are free" in line


def test_estimate_grows_with_the_files_and_shrinks_with_the_sample(tmp_path, monkeypatch):
    source, results = hospital(tmp_path), tmp_path / "results"
    none = preflight.estimate("e", source, results)
    chartevents = tmp_path / "mimiciv/3.1/icu/chartevents.csv.gz"
    with chartevents.open("ab") as file:
        file.truncate(4_000_000_000)  # sparse: no such space is used
    full = preflight.estimate("e", source, results)
    assert full.disk - none.disk == pytest.approx(4e9 * 0.75 * 1.5, rel=0.01)
    assert full.seconds > 4e9 / costs.GZ_PER_SECOND
    tenth = preflight.estimate("e", source, results, sample=0.1)
    assert tenth.disk - none.disk == pytest.approx((full.disk - none.disk) / 10, rel=0.01)
    put_table(source, results, "chartevents")
    again = preflight.estimate("e", source, results)
    assert again.disk - none.disk < 1e6 and again.seconds < 1
    assert preflight.estimate("ec", source, results).films > 0
    monkeypatch.setattr(preflight, "estimate", lambda *_: costs.Cost("all", 0.0, films=7))
    assert "<10 films included" in preflight.report("ec", source, results)[-1]


def test_planning_imports_nothing_heavy():
    code = (
        "import sys\nfrom pipeline.extract import counts, preflight, release\n"
        "from pipeline.plan import estimate, targets, wiring\n"
        "print(sorted({'duckdb', 'polars', 'numpy', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_command_line_fails_with_every_line_on_stderr(tmp_path):
    command = [sys.executable, "-m", "pipeline.extract.preflight", "--modalities", "en"]
    source = f'{{"root": "{tmp_path}"}}'
    done = subprocess.run(
        [*command, "--source", source, "--results", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "MIMIC-IV: not found" in done.stderr and "radiology.csv.gz" in done.stderr
    assert "mimic-cxr-jpg" not in done.stderr
