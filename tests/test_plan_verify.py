"""Every byte of a copy against its list of checksums: what differs, is missing, is not listed."""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
from checkout import REPOSITORY
from snakemake.logging import logger

from pipeline.extract.tables import extract
from pipeline.plan import checksums, configuration
from pipeline.plan import verify as stage
from pipeline.plan.checks import Checks
from pipeline.plan.checksums import compare, data_sets, read_sums
from pipeline.stage import owner
from pipeline.stage.errors import InputError

FILM = "files/p10/p10000032/s50414267/secret.jpg"
FILES = {"hosp/admissions.csv.gz": b"a" * 5_000_000, "icu/icustays.csv.gz": b"b", FILM: b"c" * 999}


@pytest.fixture
def copy(tmp_path):
    """A data set as PhysioNet has it, whole."""
    folder = tmp_path / "mimiciv" / "3.1"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    sums = [f"{hashlib.sha256(content).hexdigest()} {name}\n" for name, content in FILES.items()]
    (folder / "SHA256SUMS.txt").write_text("".join(sums))
    return folder


def run(folder, *more):
    source = json.dumps({"root": str(folder.parents[1])})
    command = [sys.executable, "-m", "pipeline.plan.verify", "--source", source, "--output"]
    command += [str(folder.parents[2] / "verify.txt"), "--results", str(folder.parents[2] / "r")]
    command += more
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def flip(path):
    """One bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_whole_copy_is_whole(copy):
    found = compare(copy, read_sums(copy / "SHA256SUMS.txt"), 2)
    assert (found.whole, found.differing, found.missing, found.unlisted) == (3, [], [], [])


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_is_found(copy, name):
    flip(copy / name)
    found = compare(copy, read_sums(copy / "SHA256SUMS.txt"), 2)
    assert (found.whole, found.differing, found.missing) == (2, [name], [])


def test_damage_missing_and_unlisted_files_are_named_and_films_counted(copy, tmp_path):
    flip(copy / FILM)
    (copy / "icu/icustays.csv.gz").unlink()
    (copy / "icu/icustays.csv").write_bytes(b"b")  # unpacked: nothing vouches for it
    done = run(copy)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stdout.splitlines()[1:7] == [
        f"MIMIC-IV, {copy}: files that are as listed in SHA256SUMS.txt: 1",
        "  films that differ from their checksum or cannot be read (copy them again): 1",
        "  files that are listed and not here: 1",
        "    icu/icustays.csv.gz",
        "  files that are in no list, so nothing vouches for them: 1",
        "    icu/icustays.csv",
    ]
    assert "secret" not in done.stdout + done.stderr
    output = copy.parents[2] / "verify.txt"
    assert output.read_text().splitlines() == [
        f"differing {copy / FILM}",
        f"missing {copy / 'icu/icustays.csv.gz'}",
        f"unlisted {copy / 'icu/icustays.csv'}",
    ]
    assert output.stat().st_mode & 0o077 == 0


@pytest.fixture(params=["d_labitems.csv", "d_labitems.csv.gz"])
def results(request, tmp_path, monkeypatch):
    """A table, as a job of the workflow makes it, and its source."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(owner.RUN, "1")
    monkeypatch.setattr(owner, "_held", None)
    owner.take("x")
    source, text = (
        tmp_path / request.param,
        b"itemid,label,fluid,category\n50912,Creatinine,Blood,\n",
    )
    source.write_bytes(gzip.compress(text) if source.suffix == ".gz" else text)
    table = tmp_path / "results/source/d_labitems.parquet"
    extract("d_labitems", source, table, temp=tmp_path / "temp")
    return table


def test_damage_to_a_table_is_found_and_it_is_set_aside(results):
    folder = results.parents[1]
    assert stage.verify_results(folder, 1) == (2, [])
    flip(results)
    whole, (line,) = stage.verify_results(folder, 1)
    assert whole == 1 and f"{results}: damaged" in line and not results.exists()


@pytest.mark.parametrize("look", ["--summary", "--dag", "--report", "--lint", "-n", None])
def test_only_a_command_that_runs_jobs_sets_damaged_results_aside(tmp_path, monkeypatch, look):
    monkeypatch.chdir(tmp_path)
    result = tmp_path / "results/x.json"
    result.parent.mkdir()
    result.write_text("{}")
    (result.parent / ".x.json.sha256").write_text(f"{'0' * 64}  x.json\n")
    command = ["snakemake", *([look] if look else ["--cores", "1"]), "--", "all"]
    monkeypatch.setattr(sys, "argv", command)
    lines = []
    monkeypatch.setattr(logger, "warning", lines.append)
    workflow = SimpleNamespace(is_main_process=True, is_rule=lambda name: name == "all")
    Checks(configuration.read(REPOSITORY / "config.yaml").dump()).requested(workflow)
    assert result.exists() == bool(look)
    expected = "a run sets it aside" if look else "It was set aside as x.json.damaged"
    assert any(line.startswith("results/x.json: damaged") and expected in line for line in lines)


def test_a_source_file_that_was_replaced_by_one_of_the_same_size_and_time_is_found(results):
    (source,) = results.parents[2].glob("d_labitems.*")
    status = source.stat()
    flip(source)
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    whole, (line,) = stage.verify_results(results.parents[1], 1)
    assert whole == 1 and f"'--forcerun {results} --'" in line
    assert results.exists()


def test_a_result_that_cannot_be_read_is_told_and_left(results, monkeypatch):
    def failing(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("pipeline.stage.digests.digest", failing)
    whole, (line,) = stage.verify_results(results.parents[1], 1)
    assert whole == 1 and line == f"{results}: cannot be read (Input/output error)"
    assert results.exists()


def test_a_file_of_a_data_set_that_cannot_be_read_is_no_whole_one(copy, monkeypatch):
    def failing(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(checksums, "digest", failing)
    assert compare(copy, read_sums(copy / "SHA256SUMS.txt"), 1).whole == 0


def test_what_is_missing_alone_is_said_and_no_failure(copy):
    (copy / FILM).unlink()  # nobody needs all films
    done = run(copy)
    assert done.returncode == 0 and "films that are listed and not here: 1" in done.stdout


def test_without_a_list_the_place_where_it_was_expected_is_named(copy):
    (copy / "SHA256SUMS.txt").unlink()
    done = run(copy)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {copy}/SHA256SUMS.txt: no readable list of checksums")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it lists no file"),
        ("<html>403</html>\n", "line 1 is no checksum"),
        (f"{'0' * 64} a\n{'0' * 63} b\n", "line 2 is no checksum"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path, text, why):
    (tmp_path / "SHA256SUMS.txt").write_text(text)
    with pytest.raises(InputError, match=why):
        read_sums(tmp_path / "SHA256SUMS.txt")


def test_lines_as_sha256sum_writes_them(tmp_path):
    (tmp_path / "sums").write_text(f"{'A' * 64} *./a b.csv\n\n{'0' * 64}  c\r\n")
    assert read_sums(tmp_path / "sums") == {"a b.csv": "a" * 64, "c": "0" * 64}


def test_no_data_set_at_all_is_refused_with_the_places(tmp_path):
    with pytest.raises(InputError, match=f"no data set there .*{tmp_path}"):
        data_sets({"root": str(tmp_path)})


def test_it_says_how_far_it_is(copy, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr("pipeline.stage.progress.FIRST", 0)
    monkeypatch.setattr(checksums, "MANY", 1)
    compare(copy, read_sums(copy / "SHA256SUMS.txt"), 1, "MIMIC-IV")
    assert "verifying MIMIC-IV: 100 %" in caplog.text  # of the bytes: the first file has nearly all


def test_the_copy_of_the_open_demo_differs_where_it_is_known_to(mimic_demo, tmp_path):
    copy = tmp_path / "mimic-iv-demo"
    shutil.copytree(mimic_demo, copy)
    found = compare(copy, read_sums(copy / "SHA256SUMS.txt"), 2)
    assert found.differing == ["icu/chartevents.csv.gz"]  # its texts were taken out
    assert found.whole > 20
    flip(copy / "hosp/labevents.csv.gz")
    found = compare(copy, read_sums(copy / "SHA256SUMS.txt"), 2)
    assert found.differing == ["hosp/labevents.csv.gz", "icu/chartevents.csv.gz"]
