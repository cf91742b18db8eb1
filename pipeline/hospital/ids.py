"""Identifiers and clock times as MIMIC writes them.

Identifiers lie in MIMIC's ranges, are unique, carry no information, and do not depend on the size
of the hospital: the rows of a chunk are numbered, and the numbers scattered over the range.
"""

import numpy as np
import polars as pl

from pipeline.hospital.settings import CHUNK

RANGE = 9_999_991  # prime; identifiers lie in base … base + RANGE − 1
PER_PATIENT = 26  # numbers set aside per patient and kind of identifier
MAX_PATIENTS = RANGE // PER_PATIENT
SUBJECT, ADMISSION, TRANSFER, STUDY = 10_000_000, 20_000_000, 30_000_000, 50_000_000


def scatter(index: np.ndarray, base: int) -> np.ndarray:
    """Spreads indices below `RANGE` over the range, without collisions.

    >>> scatter(np.arange(3), SUBJECT).tolist()
    [11442695, 17806832, 14170978]
    """
    return base + (index * 6_364_137 + 1_442_695) % RANGE


def numbered(chunk: int, rows: int, base: int) -> pl.Series:
    """Identifiers of `rows` rows of a chunk."""
    room = CHUNK * PER_PATIENT
    if rows > room:
        raise ValueError(f"{rows} identifiers in one chunk, at most {room} are set aside")
    return pl.Series(scatter(chunk * room + np.arange(rows), base))


def numbered_runs(chunk: int, rows: pl.DataFrame, base: int) -> pl.Series:
    """One identifier for each run of equal rows of a chunk.

    >>> numbered_runs(0, pl.DataFrame({"minute": [5, 5, 9]}), 0).to_list()
    [1442695, 1442695, 7806832]
    """
    run = rows.to_struct("run").rle_id()
    return numbered(chunk, run.n_unique(), base).gather(run)


def caregivers(rng: np.random.Generator, rows: int) -> pl.Series:
    """Caregivers of the ICU: numbers of up to five digits."""
    return pl.Series("caregiver_id", rng.integers(1, 99_999, rows))


def providers(rng: np.random.Generator, rows: int) -> pl.Series:
    """Providers of the hospital, such as P38TIQ."""
    number = pl.Series(rng.integers(10, 100, rows)).cast(pl.String)
    letters = pl.Series(["AFC", "HDB", "TIQ", "RNE", "XLG", "WZM", "KUS"])
    return "P" + number + letters.gather(pl.Series(rng.integers(0, len(letters), rows)))


def clocked(rows: pl.DataFrame, admissions: pl.DataFrame, **minutes: str) -> pl.DataFrame:
    """Adds the identifiers of admission `row`, and clock times: `time="minute"` from a minute.

    >>> from datetime import datetime
    >>> who = {"subject_id": 1, "hadm_id": 2, "stay_id": 3, "admittime": datetime(2150, 1, 1)}
    >>> rows = pl.DataFrame({"row": [0], "minute": [90]})
    >>> clocked(rows, pl.DataFrame([who]), charttime="minute")["charttime"].item()
    datetime.datetime(2150, 1, 1, 1, 30)
    """
    who = admissions.select(
        pl.int_range(pl.len()).alias("row"), "subject_id", "hadm_id", "stay_id", "admittime"
    )
    joined = rows.join(who, on="row", how="left", maintain_order="left")
    return joined.with_columns(
        (pl.col("admittime") + pl.duration(minutes=minute)).alias(name)
        for name, minute in minutes.items()
    )
