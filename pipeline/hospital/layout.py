"""The layout of MIMIC's files, folders, columns and order per release, and a streaming writer.

Sources: the column lists of MIMIC-IV 3.1, 2.2 and 1.0, MIMIC-CXR-JPG 2.1.0, MIMIC-IV-Note 2.2.
"""

import gzip
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

TABLES = {
    "hosp/patients": "subject_id gender anchor_age anchor_year anchor_year_group dod",
    "hosp/admissions": (
        "subject_id hadm_id admittime dischtime deathtime admission_type admit_provider_id "
        "admission_location discharge_location insurance language marital_status race edregtime "
        "edouttime hospital_expire_flag"
    ),
    "hosp/transfers": "subject_id hadm_id transfer_id eventtype careunit intime outtime",
    "hosp/labevents": (
        "labevent_id subject_id hadm_id specimen_id itemid order_provider_id charttime storetime "
        "value valuenum valueuom ref_range_lower ref_range_upper flag priority comments"
    ),
    "hosp/microbiologyevents": (
        "microevent_id subject_id hadm_id micro_specimen_id order_provider_id chartdate charttime "
        "spec_itemid spec_type_desc test_seq storedate storetime test_itemid test_name org_itemid "
        "org_name isolate_num quantity ab_itemid ab_name dilution_text dilution_comparison "
        "dilution_value interpretation comments"
    ),
    "hosp/services": "subject_id hadm_id transfertime prev_service curr_service",
    "hosp/prescriptions": (
        "subject_id hadm_id pharmacy_id poe_id poe_seq order_provider_id starttime stoptime "
        "drug_type drug formulary_drug_cd gsn ndc prod_strength form_rx dose_val_rx dose_unit_rx "
        "form_val_disp form_unit_disp doses_per_24_hrs route"
    ),
    "hosp/procedures_icd": "subject_id hadm_id seq_num chartdate icd_code icd_version",
    "hosp/hcpcsevents": "subject_id hadm_id chartdate hcpcs_cd seq_num short_description",
    "hosp/d_icd_procedures": "icd_code icd_version long_title",
    "hosp/diagnoses_icd": "subject_id hadm_id seq_num icd_code icd_version",
    "hosp/d_labitems": "itemid label fluid category",
    "hosp/d_icd_diagnoses": "icd_code icd_version long_title",
    "icu/icustays": "subject_id hadm_id stay_id first_careunit last_careunit intime outtime los",
    "icu/chartevents": (
        "subject_id hadm_id stay_id caregiver_id charttime storetime itemid value valuenum "
        "valueuom warning"
    ),
    "icu/inputevents": (
        "subject_id hadm_id stay_id caregiver_id starttime endtime storetime itemid amount "
        "amountuom rate rateuom orderid linkorderid ordercategoryname secondaryordercategoryname "
        "ordercomponenttypedescription ordercategorydescription patientweight totalamount "
        "totalamountuom isopenbag continueinnextdept statusdescription originalamount originalrate"
    ),
    "icu/outputevents": (
        "subject_id hadm_id stay_id caregiver_id charttime storetime itemid value valueuom"
    ),
    "icu/procedureevents": (
        "subject_id hadm_id stay_id caregiver_id starttime endtime storetime itemid value valueuom "
        "location locationcategory orderid linkorderid ordercategoryname ordercategorydescription "
        "patientweight isopenbag continueinnextdept statusdescription ORIGINALAMOUNT ORIGINALRATE"
    ),
    "icu/d_items": (
        "itemid label abbreviation linksto category unitname param_type lownormalvalue "
        "highnormalvalue"
    ),
    "note/radiology": "note_id subject_id hadm_id note_type note_seq charttime storetime text",
    "note/discharge": "note_id subject_id hadm_id note_type note_seq charttime storetime text",
    "note/radiology_detail": "note_id subject_id field_name field_value field_ordinal",
    "note/discharge_detail": "note_id subject_id field_name field_value field_ordinal",
    "cxr/metadata": (
        "dicom_id subject_id study_id PerformedProcedureStepDescription ViewPosition Rows Columns "
        "StudyDate StudyTime ProcedureCodeSequence_CodeMeaning ViewCodeSequence_CodeMeaning "
        "PatientOrientationCodeSequence_CodeMeaning"
    ),
    "cxr/split": "dicom_id study_id subject_id split",
    "cxr/chexpert": "subject_id study_id",
    "cxr/negbio": "subject_id study_id",
}
FINDINGS = [
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum",
    "Fracture", "Lung Lesion", "Lung Opacity", "No Finding", "Pleural Effusion", "Pleural Other",
    "Pneumonia", "Pneumothorax", "Support Devices",
]  # fmt: skip
IN_CORE = {"hosp/patients", "hosp/admissions", "hosp/transfers"}  # core/ in release 1.0
NEW_IN_2 = {"caregiver_id", "admit_provider_id", "order_provider_id", "poe_id", "poe_seq",
            "formulary_drug_cd"}  # fmt: skip
CXR = "mimic-cxr-jpg/2.1.0"
REPEATED = ("icu/chartevents", "note/radiology", "cxr/metadata")
REPEATS = 0.005  # share of their rows that are written twice
Stream = BinaryIO | gzip.GzipFile


def columns(table: str, release: str) -> list[str]:
    """The columns of a table in the order of the release.

    >>> columns("hosp/admissions", "1.0")[-4:]
    ['ethnicity', 'edregtime', 'edouttime', 'hospital_expire_flag']
    """
    names = TABLES[table].split()
    if table in ("cxr/chexpert", "cxr/negbio"):
        names += FINDINGS
    if release != "1.0":
        return names
    return ["ethnicity" if name == "race" else name for name in names if name not in NEW_IN_2]


def location(table: str, release: str) -> str:
    """The path of a table below the root of the hospital.

    >>> location("icu/d_items", "3.1"), location("hosp/patients", "1.0")
    ('mimiciv/3.1/icu/d_items.csv.gz', 'mimiciv/1.0/core/patients.csv')
    """
    folder, name = table.split("/")
    if folder == "cxr":
        return f"{CXR}/mimic-cxr-2.0.0-{name}.csv.gz"
    if folder == "note":
        return f"mimic-iv-note/2.2/note/{name}.csv.gz"
    if release == "1.0":
        return f"mimiciv/1.0/{'core' if table in IN_CORE else folder}/{name}.csv"
    return f"mimiciv/{release}/{folder}/{name}.csv.gz"


class Writer:
    """Appends frames to the csv files of one hospital; memory holds one chunk at a time.

    Columns that a frame lacks are written empty; rows of patients that are not `kept` are dropped.
    `again`: table → the generator that draws which of its rows are written twice.
    Gzip headers carry no name and no time: the same rows give the same bytes.
    """

    def __init__(self, root: Path, release: str) -> None:
        self.root, self.release = root, release
        self.kept = pl.Series("subject_id", [], pl.Int64)
        self.again: dict[str, np.random.Generator] = {}
        self.streams: dict[str, Stream] = {}
        self.raw: list[BinaryIO] = []
        self.rows: dict[str, int] = {}

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (*self.streams.values(), *self.raw):
            stream.close()

    def _open(self, table: str) -> Stream:
        path = self.root / location(table, self.release)
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = path.open("wb")
        if path.suffix != ".gz":
            return raw
        self.raw.append(raw)
        return gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=1, mtime=0)

    def write(self, table: str, frame: pl.DataFrame) -> None:
        """Appends the frame's rows to the table (header first)."""
        first = table not in self.streams
        if first:
            self.streams[table] = self._open(table)
        if table in self.again:  # drawn for all rows, whoever is kept
            twice = frame.filter(pl.Series(self.again[table].random(frame.height) < REPEATS))
            frame = pl.concat([frame, twice])
        if self.release == "1.0" and "race" in frame.columns:
            frame = frame.rename({"race": "ethnicity"})
        if "subject_id" in frame.columns:
            frame = frame.filter(pl.col("subject_id").is_in(self.kept.implode()))
        names = columns(table, self.release)
        have = set(frame.columns)
        ready = frame.select(
            pl.col(name) if name in have else pl.lit(None, pl.String).alias(name) for name in names
        )
        text = ready.write_csv(None, include_header=first, datetime_format="%Y-%m-%d %H:%M:%S")
        self.streams[table].write(text.encode())
        self.rows[table] = self.rows.get(table, 0) + ready.height
