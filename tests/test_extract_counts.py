"""What a copy holds beside what its release is known to hold: every difference is named."""

import csv
import gzip
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import REPOSITORY
from test_extract_preflight import hospital
from test_extract_release import admissions, header_of, put

from pipeline.extract import counts
from pipeline.extract.contracts import TABLES
from pipeline.extract.release import locate, table_path, version_of
from pipeline.extract.tables import extract

SMALL = ("patients", "admissions", "icustays", "d_items", "diagnoses_icd")


def tables(source, folder, names):
    """The extracted tables: name → parquet."""
    found = {name: folder / f"{name}.parquet" for name in names}
    for name, path in found.items():
        extract(name, table_path(source, name), path, temp=folder / "temp")
    return found


def test_every_known_count_has_a_source_and_is_of_a_table_or_a_cohort():
    text = (REPOSITORY / "pipeline/extract/counts.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    keys = [(row["dataset"], row["version"], row["count"]) for row in rows]
    assert len(keys) == len(set(keys)) == len(rows) > 90
    for row in rows:
        assert row["source"] and int(row["expected"]) > 0
        name = counts.COHORTS.get(row["count"], (row["count"],))[0]
        assert TABLES[name].dataset == row["dataset"]
    for version in ("1.0", "2.0", "2.1", "2.2", "3.0", "3.1", "demo 2.2"):
        tables_known = [name for name, own in TABLES.items() if own.dataset == "mimic_iv"]
        assert set(tables_known) <= counts.known()["mimic_iv"][version].keys()


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("mimiciv/3.1", ["546028", "MIMIC-IV 3.1"]),
        ("mimiciv/2.2", ["431231", "MIMIC-IV 2.2"]),
        ("mimiciv/3.2", ["546028", "MIMIC-IV 3.1 (the nearest to 3.2)"]),
        ("mimiciv", ["546028", "MIMIC-IV 3.1 (the nearest to 3.x)"]),
        ("mimic-iv-demo/2.2", ["275", "MIMIC-IV demo 2.2"]),
    ],
)
def test_a_release_is_compared_with_itself_or_with_the_nearest(tmp_path, folder, expected):
    admissions(tmp_path / folder / "hosp", "English")
    source = {"root": None, "mimic_iv": str(tmp_path / folder)}
    found = counts.expected_option(source, "admissions", 1.0)
    assert found == ["--expected-rows", expected[0], "--expected-in", expected[1]]
    assert counts.expected_option(source, "admissions", 0.5) == []


def test_films_and_reports_have_known_counts_and_what_cannot_be_told_has_none(tmp_path):
    source = hospital(tmp_path)
    assert counts.expected_option(source, "cxr_metadata", 1.0)[1] == "377110"
    assert counts.expected_option(source, "radiology", 1.0)[1] == "2321355"
    unnamed = tmp_path / "elsewhere"
    put(unnamed / "hosp/patients.csv.gz", header_of("patients") + "\n")
    assert counts.expected_option({"mimic_iv": str(unnamed)}, "patients", 1.0) == []
    assert counts.expected_option({"root": str(tmp_path / "none")}, "patients", 1.0) == []


def test_a_copy_without_films_or_reports_is_counted_as_far_as_it_goes(tmp_path):
    hospital(tmp_path)
    source = {"root": None, "mimic_iv": str(tmp_path / "mimiciv/3.1"), "mimic_cxr_jpg": None}
    there = counts.tables_in(source, "ecn")
    assert "chartevents" in there and not {"cxr_metadata", "radiology"} & set(there)
    (tmp_path / "mimiciv/3.1/icu/chartevents.csv.gz").unlink()
    assert "chartevents" not in counts.tables_in(source, "ecn")


def test_extraction_says_at_once_and_where_the_user_looks_that_rows_are_missing(tmp_path):
    admissions(tmp_path / "3.1/hosp", "English")
    command = [
        *(sys.executable, "-m", "pipeline.extract.tables", "--table", "admissions"),
        *("--source-file", str(tmp_path / "3.1/hosp/admissions.csv.gz")),
        *("--output", str(tmp_path / "admissions.parquet"), "--temp", str(tmp_path / "temp")),
        *("--expected-in", "MIMIC-IV 3.1", "--expected-rows"),
    ]

    def printed(rows):
        done = subprocess.run(
            [*command, rows], cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
        return done.stdout, done.stderr

    out, log = printed("546028")
    assert (
        out == "warning: admissions: 546,028 expected in MIMIC-IV 3.1, <10 found: copy it again\n"
    )
    assert out.removeprefix("warning: ") in log
    out, log = printed("1")
    assert out == "" and "as many rows as MIMIC-IV 3.1 has" in log


def test_the_open_demo_has_what_is_known_of_it_and_a_changed_copy_has_not(mimic_demo, tmp_path):
    source = {"root": None, "mimic_iv": str(mimic_demo)}
    assert version_of(locate(source, "mimic_iv")) == "demo 2.x"
    rows = counts.compare(source, tables(source, tmp_path / "whole", SMALL))
    known = [(name, expected, found) for _, name, expected, found in rows if expected is not None]
    assert [name for name, _, _ in known] == list(SMALL)
    assert all(expected == found for _, expected, found in known)

    copy = tmp_path / "mimic-iv-demo" / "2.2"
    shutil.copytree(mimic_demo / "hosp", copy / "hosp")
    shutil.copytree(mimic_demo / "icu", copy / "icu")
    lines = rows_of(copy / "icu/icustays.csv.gz")
    put(copy / "icu/icustays.csv", "".join(lines[:-3]))  # the last three rows were not copied
    (copy / "icu/icustays.csv.gz").unlink()
    lines = rows_of(copy / "hosp/patients.csv.gz")
    put(copy / "hosp/patients.csv.gz", "".join([*lines, f"2{lines[-1][1:]}"]))
    source = {"root": None, "mimic_iv": str(copy)}
    output = tmp_path / "counts.md"
    paths = tables(source, tmp_path / "short", SMALL)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pipeline.extract.counts", "--output", str(output)),
            *("--source", f'{{"mimic_iv": "{copy}"}}', "--tables", *map(str, paths.values())),
        ],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    short = "icustays: 140 expected in MIMIC-IV demo 2.2, 137 found (-2.14 %): copy it again"
    more = "patients: 100 expected in MIMIC-IV demo 2.2, 101 found (+1.00 %): more than that"
    text = output.read_text()
    assert text.startswith("3 of 5 known counts are as expected\n")
    for line in (short, more):
        assert line in done.stderr and f"* {line}" in text
    assert text.count("\n* ") == 2
    assert output.stat().st_mode & 0o077 == 0


def rows_of(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines(keepends=True)


def test_where_nothing_can_be_compared_it_says_so(tmp_path):
    admissions(tmp_path / "mimiciv/3.1/hosp", "English")
    source = {"root": str(tmp_path)}
    paths = tables(source, tmp_path, ["admissions"])
    found = counts.count(paths)
    assert found["admissions"] == 1 and "admissions with an ICU stay" not in found
    rows = [("–", name, None, number) for name, number in found.items()]
    text = counts.as_markdown(rows, [], "nothing to compare with: a sample of the subjects")
    assert text.startswith("nothing to compare with: a sample of the subjects\n")
    assert "| admissions | – | <10 |" in text and "as expected" not in text
