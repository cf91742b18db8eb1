"""Synthetic hospitals made once for all tests of them, and readers of their files."""

import atexit
import gzip
import hashlib
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from pipeline.hospital import make, truth, truth_stay
from pipeline.hospital.layout import CXR, location
from pipeline.hospital.population import draw_chunk
from pipeline.hospital.settings import CHUNK, PREDICTION, Effects, Habits, Settings, Severity

PATIENTS = 1000
HABITS = Habits()
SEVERITY = Severity()


@cache
def files(
    patients=PATIENTS,
    films=True,
    release="3.1",
    seed=0,
    chain=1.0,
    habits=HABITS,
    severity=SEVERITY,
):
    """The root of a hospital; its ceilings (a population quantity) are left out."""
    root = Path(tempfile.mkdtemp(prefix="hospital"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    counted = truth.ceilings, truth_stay.ceilings
    truth.ceilings = truth_stay.ceilings = lambda *_: {}
    try:
        settings = Settings(patients, seed, films, release, Effects(chain=chain), habits, severity)
        make.make(root, settings)
    finally:
        truth.ceilings, truth_stay.ceilings = counted
    return root


@cache
def table(name, root=None, release="3.1"):
    """A table as it is read from its file, repeated rows once, see `written`."""
    return written(name, root, release).unique(maintain_order=True)


@cache
def written(name, root=None, release="3.1"):
    """Every row of a table: numbers where all values are, times to the second."""
    path = (root or files()) / location(name, release)
    texts = {"value": pl.String, "StudyDate": pl.String, "StudyTime": pl.String}
    rows = pl.read_csv(path, infer_schema_length=5000, schema_overrides=texts)
    times = [name for name in rows.columns if name.endswith("time")]
    return rows.with_columns(
        pl.col(times).cast(pl.String).str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us")
    )


def text(name, root, release="3.1"):
    """The file as it is on disk, unpacked."""
    packed = (root / location(name, release)).read_bytes()
    return (gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed).decode()


def digests(root):
    """SHA-256 of every file below the root."""
    found = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


@cache
def admissions(patients=PATIENTS, seed=0):
    """What really happened: one row per admission of the hospital, latents included."""
    settings = Settings(patients, seed)
    chunks = [draw_chunk(settings, k)[1] for k in range(-(-patients // CHUNK))]
    return pl.concat(chunks).filter(pl.col("patient") < patients)


def eligible(rows=None):
    """In an ICU by 48 h, alive and in hospital then: the episodes of the mortality task."""
    rows = admissions() if rows is None else rows
    return rows.filter(pl.col("icu").is_between(0, PREDICTION), pl.col("stay") > PREDICTION)


@cache
def icu_stays(root=None):
    """ICU stays with the patient's `arrival`, read from the files: the later of intime and the
    first heart rate; null where there is no heart rate."""
    rates = table("icu/chartevents", root).filter(pl.col("itemid") == 220045)
    first = rates.group_by("stay_id").agg(pl.col("charttime").min().alias("first"))
    stays = table("icu/icustays", root).join(first, on="stay_id", how="left", maintain_order="left")
    there = pl.max_horizontal("intime", "first")
    arrival = pl.when(pl.col("first").is_not_null()).then(there)
    return stays.with_columns(arrival.alias("arrival"))


def early_stays():
    """ICU stays that began within 48 h of admission: the first, charted from the EHR's latent."""
    stays = timed(icu_stays(), start="intime", end="outtime")
    stays = stays.sort("hadm_id", "start").unique("hadm_id", keep="first", maintain_order=True)
    return stays.filter(pl.col("start") < PREDICTION)


def later_stays():
    """The other ICU stays."""
    return icu_stays().join(early_stays(), on="stay_id", how="anti")


def timed(rows, **minutes):
    """Adds the minutes since admission of clock times; rows of admissions by hadm_id only."""
    known = admissions().select("hadm_id", "admittime")
    return rows.join(known, on="hadm_id", maintain_order="left").with_columns(
        (pl.col(time) - pl.col("admittime")).dt.total_minutes().alias(name)
        for name, time in minutes.items()
    )


def known_values(root=None):
    """Vitals and labs known by the prediction time, plausible and each once."""
    columns = ["hadm_id", "charttime", "storetime", "itemid", "valuenum"]
    names = ("icu/chartevents", "hosp/labevents")
    rows = pl.concat(table(name, root).select(columns) for name in names)
    rows = timed(rows.unique(maintain_order=True), minute="charttime", stored="storetime")
    typo = pl.col("itemid").is_in([220045, 220179]) & pl.col("valuenum").is_in(
        [999.0, 0.0, -5.0, 1e7]
    )
    return rows.filter(pl.col("stored") <= PREDICTION, pl.col("valuenum").is_not_null(), ~typo)


@cache
def films():
    """The films' table with hadm_id (by time, as MIMIC-CXR has none), minute and path."""
    who = admissions().select("subject_id", "hadm_id", "admittime", "dischtime", "ed")
    clock = pl.col("StudyTime").str.split(".").list.first().str.zfill(6)
    found = (
        table("cxr/metadata")
        .with_columns((pl.col("StudyDate") + clock).str.to_datetime("%Y%m%d%H%M%S").alias("time"))
        .join(who, on="subject_id")
        .filter(
            pl.col("time") >= pl.col("admittime") - pl.duration(minutes=pl.col("ed").clip(0)),
            pl.col("time") <= pl.col("dischtime"),
        )
    )
    subject, study = (pl.col(name).cast(pl.String) for name in ("subject_id", "study_id"))
    below = [f"{CXR}/files/p", subject.str.slice(0, 2), "/p", subject, "/s", study]
    path = pl.concat_str(*(pl.lit(x) if isinstance(x, str) else x for x in below))
    minute = (pl.col("time") - pl.col("admittime")).dt.total_minutes()
    return found.with_columns(
        minute.alias("minute"), (path + "/" + pl.col("dicom_id") + ".jpg").alias("path")
    )


def pixels(rows):
    """The films as arrays (N, 13, 8): means over 6 × 8 pixels."""
    images = np.stack([np.asarray(Image.open(files() / path), float) for path in rows["path"]])
    return images.reshape(len(images), 13, 6, 8, 8).mean(axis=(2, 4))


def known_reports(root=None):
    """Radiology reports with text, known by the prediction time."""
    rows = table("note/radiology", root).filter(pl.col("text").is_not_null())
    rows = timed(rows, minute="charttime", stored="storetime")
    return rows.filter(pl.col("stored") <= PREDICTION, pl.col("note_type") == "RR")


def r_squared(features, target, penalty=1.0):
    """R² of a ridge regression fitted on the first half of the rows, on the second half."""
    x = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-9)
    x = np.column_stack([x, np.ones(len(x))])
    half = len(x) // 2
    a, b = x[:half], x[half:]
    weights = np.linalg.solve(a.T @ a + penalty * np.eye(a.shape[1]), a.T @ target[:half])
    return 1 - ((b @ weights - target[half:]) ** 2).mean() / target[half:].var()
