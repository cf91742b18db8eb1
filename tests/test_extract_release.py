"""Where data sets are found and how releases are told apart, on tiny trees made on the spot."""

import gzip
from pathlib import Path

import pytest

from pipeline.extract.contracts import TABLES
from pipeline.extract.release import (
    describe,
    films_folder,
    last_year,
    locate,
    table_path,
    versions,
)
from pipeline.stage.errors import InputError


def header_of(table, **renamed):
    """The header line of a table as its release writes it."""
    contract = TABLES[table]
    names = [contract.found_as.get(column, (column,))[0] for column in contract.columns]
    return ",".join(renamed.get(name, name) for name in names)


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        file.write(text)


def admissions(folder, language="", suffix=".csv.gz", **renamed):
    header = header_of("admissions", **renamed)
    row = [""] * len(header.split(","))
    row[header.split(",").index("language")] = language
    put(folder / f"admissions{suffix}", f"{header}\n{','.join(row)}\n")


def test_release_1_0_has_core_ethnicity_and_plain_csv(tmp_path):
    base = tmp_path / "mimiciv"
    admissions(base / "core", "ENGLISH", ".csv", race="ethnicity")
    put(base / "icu" / "icustays.csv", header_of("icustays") + "\n")
    source = {"root": str(tmp_path)}
    line = describe(locate(source, "mimic_iv"))
    assert "1.0" in line and "files csv" in line and "csv.gz" not in line
    assert table_path(source, "admissions") == base / "core" / "admissions.csv"
    assert table_path(source, "patients") == base / "core" / "patients.csv.gz"  # absent
    assert table_path(source, "labevents") == base / "hosp" / "labevents.csv.gz"  # absent


ZIPS = {  # the folders of PhysioNet's zip files
    "mimic_iv": "mimic-iv-clinical-database-demo-2.2",
    "mimic_cxr_jpg": "mimic-cxr-jpg-chest-radiographs-with-structured-labels-2.1.0",
    "mimic_note": "mimic-iv-note-deidentified-free-text-clinical-notes-2.2",
}


def test_folders_are_found_by_the_names_of_physionets_zip_files(tmp_path):
    for name in ("mimic-iv-clinical-database-demo-2.2", "mimic-iv-3.1"):
        (tmp_path / name / "hosp").mkdir(parents=True)
    put(tmp_path / ZIPS["mimic_cxr_jpg"] / "mimic-cxr-2.0.0-metadata.csv.gz", "x")
    (tmp_path / ZIPS["mimic_note"] / "note").mkdir(parents=True)
    found = {name: locate({"root": str(tmp_path)}, name) for name in ZIPS}
    expected = ZIPS | {"mimic_iv": "mimic-iv-3.1"}  # newer than the demo, which lies there, too
    assert {name: release.folder.name for name, release in found.items()} == expected
    assert all(release.found and release.version for release in found.values())


def test_of_a_csv_beside_a_csv_gz_it_is_told_which_is_read(tmp_path):
    folder = tmp_path / "mimiciv" / "3.1" / "hosp"
    admissions(folder)
    source = {"root": str(tmp_path)}
    assert "both" not in describe(locate(source, "mimic_iv"))
    admissions(folder, suffix=".csv")
    line = describe(locate(source, "mimic_iv"))
    assert "both .csv.gz and .csv are there of admissions.csv: the .csv.gz is read" in line
    assert table_path(source, "admissions") == folder / "admissions.csv.gz"


@pytest.mark.parametrize(
    ("language", "version"), [("English", "3.x"), ("?", "2.x"), ("ENGLISH", "2.x"), ("", "2.0 or")]
)
def test_release_without_version_folder_is_told_by_facts(tmp_path, language, version):
    admissions(tmp_path / "mimic-iv" / "hosp", language)
    line = describe(locate({"root": str(tmp_path)}, "mimic_iv"))
    assert version in line and "csv.gz" in line


@pytest.mark.parametrize(
    ("folder", "language", "group", "year"),
    [
        ("mimiciv/3.1", "ENGLISH", "2011 - 2013", 2022),
        ("mimiciv/2.2", "English", "2020 - 2022", 2019),  # the name decides
        ("mimic-iv-demo-2.2", "ENGLISH", "2011 - 2013", 2019),
        ("mimiciv/10.0", "English", "2011 - 2013", 2022),
        ("mimic-iv", "English", "2011 - 2013", 2022),
        ("mimic-iv", "?", "2011 - 2013", 2019),
        ("mimic-iv", "", "2020 - 2022", 2022),  # no language: the anchor years tell
        ("mimic-iv", "", "2017 - 2019", 2019),
    ],
)
def test_the_last_year_of_a_release(tmp_path, folder, language, group, year):
    hosp = tmp_path / folder / "hosp"
    admissions(hosp, language)
    put(hosp / "patients.csv", f"{header_of('patients')}\n1,F,60,2150,{group},\n")
    assert last_year({"root": str(tmp_path)}) == year


def test_the_last_year_of_what_is_not_there_yet_is_that_of_the_newest_release(tmp_path):
    assert last_year({"root": str(tmp_path)}) == 2022


@pytest.mark.parametrize(
    "folder",
    ["mimiciv/2.2", "mimiciv", "mimic-iv/2.2", "mimic_iv", "mimic-iv-2.2", "MIMIC-IV/2.2", "."],
)
def test_layouts_under_root(tmp_path, folder):
    admissions(tmp_path / folder / "hosp", "ENGLISH")
    source = {"root": str(tmp_path), "mimic_iv": None}
    assert table_path(source, "admissions") == tmp_path / folder / "hosp" / "admissions.csv.gz"
    assert ("2.2" if "2.2" in folder else "2.x") in describe(locate(source, "mimic_iv"))


def test_newest_version_is_taken_and_the_others_are_named(tmp_path):
    for version in ("2.2", "3.1", "10.0"):
        admissions(tmp_path / "mimiciv" / version / "hosp")
    found = locate({"root": str(tmp_path)}, "mimic_iv")
    assert found.version == "10.0"
    assert str(tmp_path / "mimiciv" / "2.2") in describe(found)


def test_datasets_on_several_disks(tmp_path):
    admissions(tmp_path / "a" / "mimiciv" / "3.1" / "hosp")
    put(tmp_path / "b" / "cxr" / "2.1.0" / "mimic-cxr-2.0.0-metadata.csv.gz", "x\n")
    put(tmp_path / "c" / "text" / "radiology.csv", "x\n")
    source = {
        "root": str(tmp_path / "a"),
        "mimic_cxr_jpg": str(tmp_path / "b" / "cxr"),
        "mimic_note": str(tmp_path / "c" / "text"),
    }
    assert films_folder(source) == tmp_path / "b" / "cxr" / "2.1.0" / "files"
    assert table_path(source, "radiology") == tmp_path / "c" / "text" / "radiology.csv"
    assert table_path(source, "patients").is_relative_to(tmp_path / "a" / "mimiciv" / "3.1")


def test_expected_paths_where_nothing_is(tmp_path):
    source = {"root": str(tmp_path)}
    expected = {
        "patients": "mimiciv/3.1/hosp/patients.csv.gz",
        "chartevents": "mimiciv/3.1/icu/chartevents.csv.gz",
        "cxr_metadata": "mimic-cxr-jpg/2.1.0/mimic-cxr-2.0.0-metadata.csv.gz",
        "radiology": "mimic-iv-note/2.2/note/radiology.csv.gz",
    }
    for table, path in expected.items():
        assert table_path(source, table) == tmp_path / path
    own = {"root": None, "mimic_note": str(tmp_path / "notes")}
    assert table_path(own, "radiology") == Path(own["mimic_note"], "note", "radiology.csv.gz")


def test_source_without_any_path():
    with pytest.raises(InputError, match="neither root nor mimic_iv is set"):
        locate({"root": None}, "mimic_iv")


def test_releases_of_a_source_by_title(tmp_path):
    source = {"root": str(tmp_path)}
    assert versions(source) == {}
    admissions(tmp_path / "mimiciv/3.1/hosp", "English")
    put(tmp_path / "mimic-iv-note/2.2/note/radiology.csv.gz", header_of("radiology"))
    assert versions(source) == {"MIMIC-IV": "3.1", "MIMIC-IV-Note": "2.2"}
    own = {"root": None, "mimic_note": str(tmp_path / "mimic-iv-note")}
    assert versions(own) == {"MIMIC-IV-Note": "2.2"}
