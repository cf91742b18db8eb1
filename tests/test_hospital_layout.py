"""Files as those of MIMIC: folders, names, columns, identifiers, times; the same for a seed."""

import csv
import gzip
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from hospital_files import admissions, digests, files, films, table, text
from PIL import Image

from pipeline.hospital.films import VIEWS
from pipeline.hospital.layout import FINDINGS, TABLES, columns, location
from pipeline.hospital.settings import CHUNK

RELEASES = ["3.1", "2.2", "1.0"]
MIMIC_IV = [name for name in TABLES if name.split("/")[0] in ("hosp", "icu")]


def some(release):
    """A hospital of a few patients in the layout of a release; 3.1 is the one of all tests."""
    return files() if release == "3.1" else files(40, False, release)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", list(TABLES))
def test_every_table_is_written_with_all_its_columns(name, release):
    lines = csv.reader(text(name, some(release), release).splitlines())
    header = next(lines)
    assert header == columns(name, release)
    assert len(next(lines)) == len(header)


def test_old_layout_has_core_ethnicity_plain_csv_and_no_caregivers():
    written = {path for path in digests(some("1.0")) if path.startswith("mimiciv")}
    assert written == {location(name, "1.0") for name in MIMIC_IV}
    for name in ("patients", "admissions", "transfers"):
        assert f"mimiciv/1.0/core/{name}.csv" in written
    headers = {path: (some("1.0") / path).open().readline().strip().split(",") for path in written}
    assert "ethnicity" in headers["mimiciv/1.0/core/admissions.csv"]
    names = {column for header in headers.values() for column in header}
    assert not names & {"race", "caregiver_id", "admit_provider_id", "order_provider_id"}


@pytest.mark.parametrize("release", ["3.1", "2.2"])
def test_new_layouts_have_hosp_and_icu_and_gzip(release):
    written = {path for path in digests(some(release)) if path.startswith("mimiciv")}
    assert written == {f"mimiciv/{release}/{name}.csv.gz" for name in MIMIC_IV}
    spelt = table("hosp/admissions", some(release), release)["language"].drop_nulls().unique()
    assert ("English" in spelt) == (release == "3.1")
    assert ("ENGLISH" in spelt) == (release == "2.2")


def test_films_and_notes_lie_where_their_releases_have_them():
    written = digests(files())
    for name in ("metadata", "split", "chexpert", "negbio"):
        assert f"mimic-cxr-jpg/2.1.0/mimic-cxr-2.0.0-{name}.csv.gz" in written
    for name in ("radiology", "discharge"):
        assert f"mimic-iv-note/2.2/note/{name}.csv.gz" in written
    films = {path for path in written if path.endswith(".jpg")}
    shape = r"mimic-cxr-jpg/2\.1\.0/files/(p1\d)/\1\d{6}/s5\d{7}/([0-9a-f]{8}-){4}[0-9a-f]{8}\.jpg"
    assert all(re.fullmatch(shape, path) for path in films)
    assert {path.split("/")[3] for path in films} == {f"p{k}" for k in range(10, 20)}


def test_every_film_of_the_metadata_is_a_grey_jpeg_of_the_stated_size():
    on_disk = {path for path in digests(files()) if path.endswith(".jpg")}
    assert set(films()["path"]) == on_disk
    assert films().height == table("cxr/metadata").height  # each falls into one admission
    for path, rows, cols in films().head(20)["path", "Rows", "Columns"].iter_rows():
        with Image.open(files() / path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "L", (cols, rows))


@pytest.mark.parametrize("name", MIMIC_IV)
def test_columns_are_those_of_the_open_demo_in_their_order(name, open_data):
    path = open_data / "mimic-iv-demo" / f"{name}.csv.gz"
    if not path.is_file():
        pytest.skip(f"no {path.name} in the open demo")
    with gzip.open(path, "rt") as file:
        assert next(csv.reader(file)) == columns(name, "2.2") == columns(name, "3.1")


@pytest.mark.parametrize("name", MIMIC_IV)
def test_values_look_like_those_of_the_open_demo(name, open_data):
    """Where demo and hospital both fill a column, both hold numbers, or both times, or text."""
    path = open_data / "mimic-iv-demo" / f"{name}.csv.gz"
    if not path.is_file():
        pytest.skip(f"no {path.name} in the open demo")
    real = pl.read_csv(path, n_rows=5000, infer_schema=False)
    made = pl.read_csv(files() / location(name, "3.1"), n_rows=5000, infer_schema=False)
    for column in real.columns:
        kinds = [kind_of(frame[column].drop_nulls().to_list()) for frame in (real, made)]
        assert None in kinds or kinds[0] == kinds[1] or column in ("value", "icd_code"), column


def kind_of(values):
    """number, time, date or text; None where nothing is filled in."""
    shapes = {
        "number": r"-?\d+(\.\d+)?(e-?\d+)?",
        "time": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?",
        "date": r"\d{4}-\d\d-\d\d",
    }
    for kind, shape in shapes.items():
        if values and all(re.fullmatch(shape, value) for value in values):
            return kind
    return "text" if values else None


SECONDS = "%Y-%m-%d %H:%M:%S"


@pytest.mark.parametrize("name", list(TABLES))
def test_times_are_written_to_the_second_and_in_shifted_years(name):
    rows = pl.read_csv(files() / location(name, "3.1"), infer_schema=False)
    dated = "%Y-%m-%d" if name in ("hosp/procedures_icd", "hosp/hcpcsevents") else SECONDS
    for column in [c for c in rows.columns if c.endswith(("time", "date"))]:
        for value in rows[column].drop_nulls().unique().head(300):
            assert 2105 < datetime.strptime(value, dated).year < 2215
    if "dod" in rows.columns:
        assert rows["dod"].drop_nulls().str.contains(r"^2[12]\d\d-\d\d-\d\d$").all()


IDENTIFIERS = [  # table, column, range, whether each occurs once
    ("hosp/patients", "subject_id", 10_000_000, 20_000_000, True),
    ("hosp/admissions", "hadm_id", 20_000_000, 30_000_000, True),
    ("icu/icustays", "stay_id", 30_000_000, 40_000_000, True),
    ("hosp/transfers", "transfer_id", 30_000_000, 40_000_000, True),
    ("hosp/labevents", "labevent_id", 1, 200_000_000, True),
    ("hosp/labevents", "specimen_id", 0, 100_000_000, False),
    ("hosp/microbiologyevents", "microevent_id", 1, 10_000_000, True),
    ("hosp/microbiologyevents", "micro_specimen_id", 0, 10_000_000, True),
    ("icu/chartevents", "caregiver_id", 1, 100_000, False),
    ("icu/inputevents", "orderid", 0, 10_000_000, True),
    ("icu/procedureevents", "orderid", 0, 10_000_000, True),
    ("cxr/metadata", "study_id", 50_000_000, 60_000_000, False),
]


@pytest.mark.parametrize(("name", "column", "low", "high", "once"), IDENTIFIERS)
def test_identifiers_lie_in_the_ranges_of_mimic_and_do_not_repeat(name, column, low, high, once):
    found = table(name)[column].drop_nulls()
    assert found.len() > 0 and found.is_between(low, high, closed="left").all()
    assert not once or found.is_unique().all()


@pytest.mark.parametrize(
    ("name", "column", "shape"),
    [
        ("note/radiology", "note_id", r"1\d{7}-(RR|AR)-\d+"),
        ("note/discharge", "note_id", r"1\d{7}-DS-\d+"),
        ("cxr/metadata", "dicom_id", r"([0-9a-f]{8}-){4}[0-9a-f]{8}"),
    ],
)
def test_names_of_notes_and_films_do_not_repeat(name, column, shape):
    found = table(name)[column]
    assert found.str.contains(f"^{shape}$").all() and found.is_unique().all()


REFERENCES = [
    ("hosp/admissions", "subject_id", "hosp/patients"),
    ("hosp/transfers", "hadm_id", "hosp/admissions"),
    ("hosp/diagnoses_icd", "hadm_id", "hosp/admissions"),
    ("icu/icustays", "hadm_id", "hosp/admissions"),
    ("icu/chartevents", "stay_id", "icu/icustays"),
    ("icu/inputevents", "stay_id", "icu/icustays"),
    ("icu/outputevents", "stay_id", "icu/icustays"),
    ("icu/procedureevents", "stay_id", "icu/icustays"),
    ("icu/chartevents", "itemid", "icu/d_items"),
    ("icu/inputevents", "itemid", "icu/d_items"),
    ("icu/outputevents", "itemid", "icu/d_items"),
    ("icu/procedureevents", "itemid", "icu/d_items"),
    ("hosp/labevents", "itemid", "hosp/d_labitems"),
    ("hosp/diagnoses_icd", "icd_code", "hosp/d_icd_diagnoses"),
    ("hosp/services", "hadm_id", "hosp/admissions"),
    ("hosp/prescriptions", "hadm_id", "hosp/admissions"),
    ("hosp/procedures_icd", "hadm_id", "hosp/admissions"),
    ("hosp/procedures_icd", "icd_code", "hosp/d_icd_procedures"),
    ("hosp/hcpcsevents", "hadm_id", "hosp/admissions"),
    ("note/radiology_detail", "note_id", "note/radiology"),
    ("note/discharge_detail", "note_id", "note/discharge"),
    ("cxr/metadata", "subject_id", "hosp/patients"),
    ("cxr/chexpert", "study_id", "cxr/metadata"),
    ("note/radiology", "subject_id", "hosp/patients"),
    ("note/discharge", "hadm_id", "hosp/admissions"),
]


@pytest.mark.parametrize(("name", "column", "target"), REFERENCES)
def test_what_is_referred_to_exists(name, column, target):
    used = table(name)[column].drop_nulls().cast(pl.String)
    assert used.is_in(table(target)[column].cast(pl.String).implode()).all()
    assert column == "hadm_id" or table(name)[column].null_count() == 0


def test_items_are_those_of_mimic(open_data):
    dictionaries = ("icu/d_items", "hosp/d_labitems", "hosp/d_icd_diagnoses",
                    "hosp/d_icd_procedures")  # fmt: skip
    for name in dictionaries:
        path = open_data / "mimic-iv-demo" / f"{name}.csv.gz"
        if not path.is_file():
            pytest.skip(f"no {path.name} in the open demo")
        real = pl.read_csv(path, infer_schema=False)
        made = pl.read_csv(files() / location(name, "3.1"), infer_schema=False)
        told = ["itemid", "label"] if "itemid" in real.columns else ["icd_code", "long_title"]
        assert made.select(told).join(real.select(told), on=told, how="anti").is_empty()


def test_same_seed_and_size_give_the_same_bytes_on_any_number_of_threads(tmp_path):
    made = """if 1:
        import sys
        from pathlib import Path
        from pipeline.hospital import make, settings, truth, truth_stay
        truth.ceilings = truth_stay.ceilings = lambda *_: {}
        make.make(Path(sys.argv[1]), settings.Settings(40))"""
    other = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    where = {"cwd": Path(__file__).parents[1], "env": {**os.environ, **other}}
    subprocess.run([sys.executable, "-c", made, str(tmp_path)], check=True, **where)
    assert digests(tmp_path) == digests(files(40))


def test_another_seed_gives_other_rows_in_every_table():
    one, other = digests(files(40)), digests(files(40, seed=1))
    same = {path for path in one.keys() & other.keys() if one[path] == other[path]}
    names = ("labitems", "icd_diagnoses", "icd_procedures")
    dictionaries = {location(f"hosp/d_{name}", "3.1") for name in names}
    constant = dictionaries | {location("icu/d_items", "3.1"), "truth/ceilings.json"}
    assert same == constant
    assert len(one) > 50


def test_a_bigger_hospital_has_the_same_patients_first():
    """Also where the smaller one ends within a chunk: rows, films and truth."""
    small, large = files(40), files()
    assert CHUNK > 40
    for name in TABLES:
        few, many = text(name, small).splitlines(True), text(name, large).splitlines(True)
        if name.split("/")[1].startswith("d_"):
            assert few == many
        elif name.startswith("note"):  # free text has line breaks
            assert table(name, small).join(table(name, large), on="note_id", how="anti").is_empty()
        else:
            assert set(few) <= set(many) and len(few) < len(many)
    few, many = digests(small), digests(large)
    pictures = {path for path in few if path.endswith(".jpg")}
    assert pictures and all(few[path] == many[path] for path in pictures)
    few, many = (
        pl.read_parquet(root / "truth/oracle_mortality.parquet") for root in (small, large)
    )
    assert few.equals(many.head(few.height).select(few.columns))


def test_views_and_findings_are_in_the_words_of_mimic_cxr():
    codes = films().select("ViewPosition", "ViewCodeSequence_CodeMeaning").unique()
    assert dict(codes.iter_rows()) == VIEWS
    for labeller in ("cxr/chexpert", "cxr/negbio"):
        assert table(labeller).columns == ["subject_id", "study_id", *FINDINGS]
    assert set(table("cxr/split")["split"]) == {"train", "validate", "test"}
    by_patient = table("cxr/split").group_by("subject_id").agg(pl.col("split").n_unique())
    assert by_patient["split"].max() == 1
    assert table("cxr/split")["dicom_id"].to_list() == table("cxr/metadata")["dicom_id"].to_list()
    assert admissions().height == table("hosp/admissions").height
