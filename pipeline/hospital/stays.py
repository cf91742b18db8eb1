"""Who was where: patients, admissions, the ways between the wards, ICU stays."""

import numpy as np
import polars as pl

from pipeline.hospital import ids
from pipeline.hospital.layout import Writer
from pipeline.hospital.settings import CHARTED, CHUNK, HOUR, PREDICTION

ICUS = [
    "Medical Intensive Care Unit (MICU)",
    "Surgical Intensive Care Unit (SICU)",
    "Cardiac Vascular Intensive Care Unit (CVICU)",
    "Neuro Stepdown",
]
LEAVES_FOR = ["HOME", "HOME HEALTH CARE", "SKILLED NURSING FACILITY", "REHAB"]


def _pick(rng: np.random.Generator, values: list[str], rows: int) -> pl.Series:
    return pl.Series(values).gather(pl.Series(rng.integers(0, len(values), rows)))


def write_admissions(writer: Writer, rng: np.random.Generator, admissions: pl.DataFrame) -> None:
    """admissions; those who come as emergencies were in the ED before."""
    dies, emergency = pl.col("dies"), pl.col("ed") > 0
    rows = admissions.height
    origin = pl.when(emergency).then(pl.lit("EMERGENCY ROOM"))
    leaves_for = _pick(rng, LEAVES_FOR, rows)
    provider = ids.providers(rng, rows)
    # independent of all else
    rare = pl.Series(rng.random(rows))
    goal = pl.when(dies).then(pl.lit("DIED")).when(rare < 0.04).then(pl.lit("HOSPICE"))
    some = pl.Series(rng.random(rows))
    surgery = pl.when(some < 0.1).then(pl.lit("SURGICAL SAME DAY ADMISSION"))
    usual = pl.when(emergency).then(pl.lit("EW EMER.")).otherwise(pl.lit("URGENT"))
    registered, left = pl.col("admittime") - pl.duration(minutes="ed"), pl.duration(minutes=25)
    full = admissions.with_columns(
        pl.when(dies).then("dischtime").alias("deathtime"),
        pl.when(some < 0.06)
        .then(pl.lit("EU OBSERVATION"))
        .otherwise(surgery.otherwise(usual))
        .alias("admission_type"),
        provider.alias("admit_provider_id"),
        origin.otherwise(pl.lit("TRANSFER FROM HOSPITAL")).alias("admission_location"),
        goal.otherwise(leaves_for).alias("discharge_location"),
        pl.when(emergency).then(registered).alias("edregtime"),
        pl.when(emergency).then(pl.col("admittime") + left).alias("edouttime"),
        dies.cast(pl.Int64).alias("hospital_expire_flag"),
    )
    if writer.release != "3.1":
        known = pl.when(pl.col("language") == "English").then(pl.lit("ENGLISH"))
        full = full.with_columns(known.otherwise(pl.lit("?")).alias("language"))
    writer.write("hosp/admissions", full)


def movements(rng: np.random.Generator, admissions: pl.DataFrame) -> pl.DataFrame:
    """Where each patient was: row, eventtype, careunit, last_careunit, enter, leave (minutes).

    ED, ward, ICU, for some a second ICU stay, discharge; an ICU stay is known by `eventtype` icu.
    The first lasts as long as it is charted; who dies in hospital dies in the ICU.
    """
    icu, stay, ed = (admissions[name].to_numpy() for name in ("icu", "stay", "ed"))
    dies, row = admissions["dies"].to_numpy(), np.arange(admissions.height)
    half = np.maximum(icu + (stay - icu) // 2, CHARTED)
    back = np.where((icu >= 0) & (rng.random(len(row)) < 0.1), half + 5 * HOUR, -1)
    back = np.where(back < stay - HOUR, back, -1)
    out = np.maximum(icu + (stay - icu) * 0.95, np.minimum(stay, CHARTED))
    out = np.where(back >= 0, half, np.where(dies, stay, out)).astype(int)
    away = np.where(back >= 0, back, stay)
    parts = [
        ("ED", ed > 0, -ed, np.full(len(row), 25)),
        ("admit", row >= 0, 0 * row, np.where(icu >= 0, icu, stay)),
        ("icu", icu >= 0, icu, out),
        ("transfer", (icu >= 0) & (out < away), out, away),
        ("icu", back >= 0, back, stay),
        ("discharge", row >= 0, stay, stay),
    ]
    ways = pl.concat(
        pl.DataFrame({"row": row, "enter": enter, "leave": leave})
        .filter(pl.Series(there))
        .with_columns(pl.lit(kind).alias("eventtype"))
        for kind, there, enter, leave in parts
    )
    ways = ways.sort("row", "enter", "leave", maintain_order=True)
    return _in_units(rng, ways, admissions["patient"][0] // CHUNK)


def _in_units(rng: np.random.Generator, ways: pl.DataFrame, chunk: int) -> pl.DataFrame:
    """Adds careunit, last_careunit and the identifier of each way."""
    kind = pl.col("eventtype")
    first, last = (_pick(rng, ICUS, ways.height) for _ in range(2))
    ed = pl.when(kind == "ED").then(pl.lit("Emergency Department"))
    unit = ed.when(kind == "icu").then(first).when(kind != "discharge").then(pl.lit("Medicine"))
    moved = pl.Series(rng.random(ways.height) < 0.1)
    return ways.with_columns(
        unit.alias("careunit"),
        pl.when(moved).then(last).otherwise(first).alias("last_careunit"),
        ids.numbered(chunk, ways.height, ids.TRANSFER).alias("transfer_id"),
    )


def with_stay_id(admissions: pl.DataFrame, ways: pl.DataFrame) -> pl.DataFrame:
    """Adds stay_id and icu_out (minute) of the first ICU stay of each admission (null: none).

    And last_icu, the minute of the last ICU admission (0: none), last_stay: no other stay follows.
    """
    inside = ways.filter(pl.col("eventtype") == "icu")
    stays = inside.group_by("row").agg(
        pl.col("transfer_id").first().alias("stay_id"),
        pl.col("leave").first().alias("icu_out"),
        pl.col("enter").last().alias("last_icu"),
    )
    rows = admissions.with_columns(pl.int_range(pl.len()).alias("row"))
    rows = rows.join(stays, on="row", how="left", maintain_order="left").drop("row")
    rows = rows.with_columns(pl.col("last_icu").fill_null(0))
    return rows.with_columns((pl.col("last_icu") == pl.col("icu")).alias("last_stay"))


def postponed(
    admissions: pl.DataFrame, row: np.ndarray, room: int
) -> tuple[np.ndarray, np.ndarray]:
    """How much later (minutes) a trap at 48 h is set, and whether it tells the outcome then.

    What tells is not known within 48 h of any ICU admission, as it is not within 48 h of the
    hospital's: it waits for the last one. Where the stay ends before that (less than `room` minutes
    after) it is what it would be without a trap, at its old time.
    """
    wait, stay = admissions["last_icu"].to_numpy()[row], admissions["stay"].to_numpy()[row]
    tells = stay > PREDICTION + wait + room
    return np.where(tells, wait, 0), tells


def write_movements(writer: Writer, admissions: pl.DataFrame, ways: pl.DataFrame) -> None:
    """transfers and icustays: an ICU stay is a transfer, with the same identifier."""
    rows = ids.clocked(ways, admissions, intime="enter", outtime="leave")
    icu, leaves = pl.col("eventtype") == "icu", pl.col("eventtype") == "discharge"
    stays = rows.filter(icu).with_columns(
        pl.col("transfer_id").alias("stay_id"),
        pl.col("careunit").alias("first_careunit"),
        ((pl.col("leave") - pl.col("enter")) / (24 * HOUR)).alias("los"),
    )
    kind = pl.when(icu).then(pl.lit("transfer")).otherwise("eventtype")
    rows = rows.with_columns(
        kind.alias("eventtype"), pl.when(~leaves).then("outtime").alias("outtime")
    )
    writer.write("hosp/transfers", rows)
    writer.write("icu/icustays", stays)
