"""Patients and their admissions: demographics, times and the course of each admission."""

import numpy as np
import polars as pl

from pipeline.hospital import ids
from pipeline.hospital.model import draw_course
from pipeline.hospital.settings import CHUNK, HOUR, Settings

MAX_ADMISSIONS = 8
ERAS = ["2008 - 2010", "2011 - 2013", "2014 - 2016", "2017 - 2019", "2020 - 2022"]
TRAITS: dict[str, dict[str | None, float]] = {  # value → share; None: unknown
    "gender": {"F": 0.46, "M": 0.54},
    "insurance": {"Medicare": 0.5, "Private": 0.3, "Medicaid": 0.15, "Other": 0.05},
    "language": {"English": 0.85, "Spanish": 0.06, "Russian": 0.03, "Chinese": 0.03, None: 0.03},
    "marital_status": {
        "MARRIED": 0.43,
        "SINGLE": 0.3,
        "WIDOWED": 0.14,
        "DIVORCED": 0.07,
        None: 0.06,
    },
    "race": {
        "WHITE": 0.62,
        "BLACK/AFRICAN AMERICAN": 0.13,
        "HISPANIC/LATINO - PUERTO RICAN": 0.06,
        "ASIAN": 0.03,
        "ASIAN - CHINESE": 0.03,
        "WHITE - RUSSIAN": 0.03,
        "UNKNOWN": 0.05,
        "OTHER": 0.05,
    },
}


def _ages(rng: np.random.Generator) -> np.ndarray:
    ages = np.clip(rng.normal(64, 16, CHUNK), 18, 91).astype(int)
    return np.where(ages > 89, 91, ages)  # as MIMIC writes them


def draw_patients(rng: np.random.Generator, chunk: int) -> pl.DataFrame:
    """One row per patient of the chunk: identity, demographics, era."""
    index = np.arange(chunk * CHUNK, (chunk + 1) * CHUNK)
    traits = {}
    for name, shares in TRAITS.items():
        chosen = rng.choice(len(shares), CHUNK, p=list(shares.values()))
        traits[name] = pl.Series(list(shares)).gather(pl.Series(chosen))
    return pl.DataFrame(
        {
            "patient": index,
            "subject_id": ids.scatter(index, ids.SUBJECT),
            "anchor_age": _ages(rng),
            "anchor_year": rng.integers(2110, 2190, CHUNK),
            "anchor_year_group": pl.Series(ERAS).gather(pl.Series(rng.integers(0, 5, CHUNK))),
            **traits,
        }
    )


def in_later_years(rng: np.random.Generator, patients: pl.DataFrame) -> pl.DataFrame:
    """Patients as in their file, some with an anchor years before their first admission.

    The year of the first admission is drawn within anchor_year_group. For some patients the anchor
    moves up to 8 years back, not before 2008: anchor_year moves as far, and anchor_year_group
    becomes that of the new year. anchor_age stays, as the age in anchor_year, so that the patient
    is older at the admissions. Admissions do not change.
    """
    starts = pl.Series([int(era[:4]) for era in ERAS])
    era = patients["anchor_year_group"].replace_strict(
        ERAS, range(len(ERAS)), return_dtype=pl.Int64
    )
    year = starts.gather(era).to_numpy() + rng.integers(0, 3, patients.height)
    back = np.where(rng.random(patients.height) < 0.4, rng.integers(1, 9, patients.height), 0)
    back = np.minimum(back, year - starts[0])
    anchored = pl.Series(ERAS).gather(pl.Series((year - back - starts[0]) // 3))
    return patients.with_columns(
        pl.col("anchor_year") - pl.Series(back), anchored.alias("anchor_year_group")
    )


def draw_chunk(settings: Settings, chunk: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Patients and admissions of one whole chunk of `CHUNK` patients.

    Admissions carry the latents and times (minutes since admission) that the writers turn into
    rows. A smaller hospital drops patients when it writes, so that all draws stay the same.
    """
    rng = np.random.default_rng([settings.seed, chunk, 0])
    patients = draw_patients(rng, chunk)
    years = patients["anchor_year"].to_numpy()
    start = (years - 1970).astype("datetime64[Y]").astype("datetime64[m]").astype("int64")
    start = start + rng.integers(0, 300 * 24 * HOUR, CHUNK)
    who, rounds = np.arange(CHUNK), []
    for number in range(MAX_ADMISSIONS):
        course = draw_course(rng, len(who), settings.effects)
        rounds.append(pl.DataFrame({"row": who, "number": number, "start": start[who], **course}))
        start[who] += (course["stay"] + course["gap"] * 24 * HOUR).astype("int64")
        who = who[course["again"]]
    admissions = pl.concat(rounds).join(patients.with_row_index("row"), on="row", how="inner")
    return _with_death(patients, admissions, rng), _named(admissions.drop("row"))


def _named(admissions: pl.DataFrame) -> pl.DataFrame:
    """Ids and clock times of admissions; rows ordered by patient and time."""
    admissions = admissions.sort("patient", "number")
    serial = admissions["patient"].to_numpy() * MAX_ADMISSIONS + admissions["number"].to_numpy()
    whole = pl.col("icu", "stay", "ed", "shock_at", "arf_at").round().cast(pl.Int64)
    return (
        admissions.with_columns(whole)
        .with_columns(
            pl.from_epoch(pl.col("start") * 60, time_unit="s").alias("admittime"),
            pl.Series("hadm_id", ids.scatter(serial, ids.ADMISSION)),
        )
        .with_columns((pl.col("admittime") + pl.duration(minutes="stay")).alias("dischtime"))
    )


def _with_death(
    patients: pl.DataFrame, admissions: pl.DataFrame, rng: np.random.Generator
) -> pl.DataFrame:
    """Adds `dod`: the death in hospital, or for some of the others a death in the year after."""
    last = (
        admissions.group_by("row")
        .agg((pl.col("start") + pl.col("stay")).max().alias("end"), pl.col("dies").any())
        .sort("row")
    )
    end = pl.from_epoch(pl.col("end").cast(pl.Int64) * 60, time_unit="s").cast(pl.Date)
    dies_later = rng.random(CHUNK) < 0.12
    days = pl.Series(rng.integers(5, 365, CHUNK))
    later = pl.when(pl.Series(dies_later)).then(end + pl.duration(days=pl.lit(days)))
    dod = pl.when(pl.col("dies")).then(end).otherwise(later).cast(pl.Date).alias("dod")
    return patients.with_columns(last.select(dod)["dod"])
