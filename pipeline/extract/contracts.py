"""Column contracts of the source tables, as data: which tables, where they lie, which columns.

A contract names the columns that the workflow reads, whatever else the file holds, and the DuckDB
type that each must have. Sources: the table descriptions of MIMIC-IV 1.0–3.1, MIMIC-CXR-JPG
2.0.0–2.1.0 and MIMIC-IV-Note 2.2. Times are local to the hospital and shifted per subject.
Imports nothing heavy: it is used while the workflow is planned.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.stage.errors import InputError

# DICOM StudyTime is HHMMSS.fraction, but read as a number it has lost its leading zeros
# (91238.187 is 09:12:38.187); a time that cannot be read becomes null, never a wrong time.
FILM_TIME = """
    CASE WHEN length(split_part(study_time, '.', 1)) <= 6 THEN try_strptime(
        study_date || lpad(split_part(study_time, '.', 1), 6, '0')
        || '.' || coalesce(nullif(left(split_part(study_time, '.', 2), 6), ''), '0'),
        '%Y%m%d%H%M%S.%f'
    ) END
"""


FILM_LIST = "film list"  # of films to download: `c` without its films


@dataclass(frozen=True)
class SourceTable:
    """The contract of one source table.

    `dataset`: the key of its data set in `release.DATASETS`. `folders`: where it lies there, the
    newest layout first. `file`: its name without `.csv.gz` or `.csv`.
    `columns`: name → DuckDB type, in the order of the output. `found_as`: the names that a column
    has in files, where they differ from its own. `derived`: name → SQL over the columns.
    `needed_by`: "core" (every target), a modality's letter, an encoder that reads more, "stay" (the
    ICU stays), a protocol that reads more, FILM_LIST, or "any film" (a cohort of patients with
    one). A task's query and a clinical score ask for tables by their names.
    `key`: the columns that identify a row, as in mimic-code's constraints; without a key rows may
    repeat (labevents and chartevents have too many rows to check).
    `multiline`: whether it holds free text with line breaks in quotes; such a file cannot be read
    in parallel.
    """

    dataset: str
    folders: tuple[str, ...]
    file: str
    columns: Mapping[str, str]
    needed_by: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    found_as: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    derived: Mapping[str, str] = field(default_factory=dict)
    multiline: bool = False


def _columns(text: str) -> dict[str, str]:
    """`"hadm_id BIGINT, value VARCHAR"` as a mapping.

    >>> _columns("hadm_id BIGINT, value VARCHAR")
    {'hadm_id': 'BIGINT', 'value': 'VARCHAR'}
    """
    return dict(part.split() for part in text.split(","))


_HOSP, _CORE, _ICU = ("hosp",), ("hosp", "core"), ("icu",)  # 1.0 had core/
_STAY = "subject_id BIGINT, hadm_id BIGINT, stay_id BIGINT"
_CHARTED = "charttime TIMESTAMP, storetime TIMESTAMP, itemid BIGINT"
_RUNNING = "starttime TIMESTAMP, endtime TIMESTAMP, storetime TIMESTAMP, itemid BIGINT"

TABLES: Mapping[str, SourceTable] = {
    "patients": SourceTable(
        "mimic_iv",
        _CORE,
        "patients",
        _columns(
            "subject_id BIGINT, gender VARCHAR, anchor_age BIGINT, anchor_year BIGINT, "
            "anchor_year_group VARCHAR, dod DATE"
        ),
        ("core",),
        key=("subject_id",),
    ),
    "admissions": SourceTable(
        "mimic_iv",
        _CORE,
        "admissions",
        _columns(
            "subject_id BIGINT, hadm_id BIGINT, admittime TIMESTAMP, dischtime TIMESTAMP, "
            "deathtime TIMESTAMP, admission_type VARCHAR, admission_location VARCHAR, "
            "discharge_location VARCHAR, insurance VARCHAR, language VARCHAR, "
            "marital_status VARCHAR, race VARCHAR, edregtime TIMESTAMP, edouttime TIMESTAMP, "
            "hospital_expire_flag BIGINT"
        ),
        ("core",),
        key=("hadm_id",),
        found_as={"race": ("race", "ethnicity")},
    ),
    "icustays": SourceTable(
        "mimic_iv",
        _ICU,
        "icustays",
        _columns(
            f"{_STAY}, first_careunit VARCHAR, last_careunit VARCHAR, "
            "intime TIMESTAMP, outtime TIMESTAMP, los DOUBLE"
        ),
        ("core",),
        key=("stay_id",),
    ),
    "chartevents": SourceTable(
        "mimic_iv",
        _ICU,
        "chartevents",
        _columns(f"{_STAY}, {_CHARTED}, value VARCHAR, valuenum DOUBLE, valueuom VARCHAR"),
        ("e", "stay"),
    ),
    # labevents.value may be text or '___' (de-identified); valuenum is null then
    "labevents": SourceTable(
        "mimic_iv",
        _HOSP,
        "labevents",
        _columns(
            "labevent_id BIGINT, subject_id BIGINT, hadm_id BIGINT, specimen_id BIGINT, "
            "itemid BIGINT, charttime TIMESTAMP, storetime TIMESTAMP, value VARCHAR, "
            "valuenum DOUBLE, valueuom VARCHAR, flag VARCHAR"
        ),
        ("e",),
    ),
    "inputevents": SourceTable(
        "mimic_iv",
        _ICU,
        "inputevents",
        _columns(
            f"{_STAY}, {_RUNNING}, amount DOUBLE, amountuom VARCHAR, rate DOUBLE, "
            "rateuom VARCHAR, orderid BIGINT, linkorderid BIGINT, ordercategoryname VARCHAR, "
            "ordercategorydescription VARCHAR, patientweight DOUBLE, statusdescription VARCHAR"
        ),
        ("e",),
    ),
    "outputevents": SourceTable(
        "mimic_iv",
        _ICU,
        "outputevents",
        _columns(f"{_STAY}, {_CHARTED}, value DOUBLE, valueuom VARCHAR"),
        ("e",),
    ),
    "procedureevents": SourceTable(
        "mimic_iv",
        _ICU,
        "procedureevents",
        _columns(
            f"{_STAY}, {_RUNNING}, value DOUBLE, valueuom VARCHAR, ordercategoryname VARCHAR, "
            "statusdescription VARCHAR"
        ),
        ("e",),
    ),
    "d_items": SourceTable(
        "mimic_iv",
        _ICU,
        "d_items",
        _columns(
            "itemid BIGINT, label VARCHAR, abbreviation VARCHAR, linksto VARCHAR, "
            "category VARCHAR, unitname VARCHAR, param_type VARCHAR"
        ),
        ("e",),
        key=("itemid",),
    ),
    "d_labitems": SourceTable(
        "mimic_iv",
        _HOSP,
        "d_labitems",
        _columns("itemid BIGINT, label VARCHAR, fluid VARCHAR, category VARCHAR"),
        ("e",),
        key=("itemid",),
    ),
    # the file keeps "2.0.0" in its name in release 2.1.0
    "cxr_metadata": SourceTable(
        "mimic_cxr_jpg",
        (".",),
        "mimic-cxr-2.0.0-metadata",
        _columns(
            "dicom_id VARCHAR, subject_id BIGINT, study_id BIGINT, view_position VARCHAR, "
            "rows BIGINT, columns BIGINT, study_date VARCHAR, study_time VARCHAR, "
            "view_code_sequence_code_meaning VARCHAR"
        ),
        ("c", FILM_LIST, "any film"),
        key=("dicom_id",),
        found_as={
            "view_position": ("viewposition",),
            "study_date": ("studydate",),
            "study_time": ("studytime",),
            "view_code_sequence_code_meaning": ("viewcodesequence_codemeaning",),
        },
        derived={"film_time": FILM_TIME},
    ),
    "radiology": SourceTable(
        "mimic_note",
        ("note", "."),
        "radiology",
        _columns(
            "note_id VARCHAR, subject_id BIGINT, hadm_id BIGINT, note_type VARCHAR, "
            "note_seq BIGINT, charttime TIMESTAMP, storetime TIMESTAMP, text VARCHAR"
        ),
        ("n",),
        key=("note_id",),
        multiline=True,
    ),
    # read by no modality: tasks, FIDDLE, clinical scores and the published protocol's cohort
    "transfers": SourceTable(
        "mimic_iv",
        _CORE,
        "transfers",
        _columns(
            "subject_id BIGINT, hadm_id BIGINT, transfer_id BIGINT, eventtype VARCHAR, "
            "careunit VARCHAR, intime TIMESTAMP, outtime TIMESTAMP"
        ),
        key=("transfer_id",),
    ),
    "services": SourceTable(
        "mimic_iv",
        _HOSP,
        "services",
        _columns(
            "subject_id BIGINT, hadm_id BIGINT, transfertime TIMESTAMP, prev_service VARCHAR, "
            "curr_service VARCHAR"
        ),
    ),
    "microbiologyevents": SourceTable(
        "mimic_iv",
        _HOSP,
        "microbiologyevents",
        _columns(
            "microevent_id BIGINT, subject_id BIGINT, hadm_id BIGINT, micro_specimen_id BIGINT, "
            "chartdate TIMESTAMP, charttime TIMESTAMP, spec_itemid BIGINT, "
            "spec_type_desc VARCHAR, storedate TIMESTAMP, storetime TIMESTAMP, "
            "test_itemid BIGINT, test_name VARCHAR, org_itemid BIGINT, org_name VARCHAR"
        ),
        ("fiddle",),
    ),
    "diagnoses_icd": SourceTable(
        "mimic_iv",
        _HOSP,
        "diagnoses_icd",
        _columns(
            "subject_id BIGINT, hadm_id BIGINT, seq_num BIGINT, icd_code VARCHAR, "
            "icd_version BIGINT"
        ),
        (),
        key=("hadm_id", "seq_num", "icd_code", "icd_version"),
    ),
    "d_icd_diagnoses": SourceTable(
        "mimic_iv",
        _HOSP,
        "d_icd_diagnoses",
        _columns("icd_code VARCHAR, icd_version BIGINT, long_title VARCHAR"),
        (),
        key=("icd_code", "icd_version"),
    ),
    "chexpert": SourceTable(
        "mimic_cxr_jpg",
        (".",),
        "mimic-cxr-2.0.0-chexpert",
        _columns("subject_id BIGINT, study_id BIGINT"),
        ("published",),
        key=("study_id",),
    ),
}


def table(name: str) -> SourceTable:
    """The contract of a table; an `InputError` lists the known tables where it has none."""
    if name not in TABLES:
        raise InputError(f"no source table {name}: expected one of {', '.join(TABLES)}")
    return TABLES[name]


def tables_for(asked: Iterable[str]) -> list[str]:
    """The tables that are asked for by their name or by what needs them, and the core ones.

    >>> tables_for("n"), tables_for(["diagnoses_icd"])[-1]
    (['patients', 'admissions', 'icustays', 'radiology'], 'diagnoses_icd')
    """
    needs = {"core", *asked}
    return [
        name for name, contract in TABLES.items() if needs.intersection({name, *contract.needed_by})
    ]


def names_in_file(contract: SourceTable, header: Iterable[str]) -> dict[str, str | None]:
    """Column of the contract → its name in the file, in lower case; None where it is missing.

    >>> names = names_in_file(TABLES["admissions"], ["subject_id", "ETHNICITY"])
    >>> names["subject_id"], names["race"], names["hadm_id"]
    ('subject_id', 'ethnicity', None)
    """
    in_file = {name.lower() for name in header}
    names = {}
    for column in contract.columns:
        possible = contract.found_as.get(column, (column,))
        names[column] = next((name for name in possible if name in in_file), None)
    return names
