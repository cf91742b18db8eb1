"""Admissions, movements between wards, and ICU stays, as rows of MIMIC's tables."""

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
    """Writes admissions; emergencies were in the ED before."""
    dies, emergency = pl.col("dies"), pl.col("ed") > 0
    rows = admissions.height
    origin = pl.when(emergency).then(pl.lit("EMERGENCY ROOM"))
    leaves_for = _pick(rng, LEAVES_FOR, rows)
    provider = ids.providers(rng, rows)
    # discharges to a hospice and types of admission are independent of all else
    rare = pl.Series(rng.random(rows))
    goal = pl.when(dies).then(pl.lit("DIED")).when(rare < 0.04).then(pl.lit("HOSPICE"))
    some = pl.Series(rng.random(rows))
    surgery = pl.when(some < 0.1).then(pl.lit("SURGICAL SAME DAY ADMISSION"))
    other = pl.when(some < 0.3).then(pl.lit("ELECTIVE")).otherwise(pl.lit("URGENT"))
    usual = pl.when(emergency).then(pl.lit("EW EMER.")).otherwise(other)
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

    ED, ward, ICU, for some a second ICU stay, discharge; ICU stays have the `eventtype` icu. The
    first lasts as long as its charting; patients who die in hospital die in the ICU.
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
    moves = pl.concat(
        pl.DataFrame({"row": row, "enter": enter, "leave": leave})
        .filter(pl.Series(there))
        .with_columns(pl.lit(kind).alias("eventtype"))
        for kind, there, enter, leave in parts
    )
    moves = moves.sort("row", "enter", "leave", maintain_order=True)
    return _in_units(rng, moves, admissions["patient"][0] // CHUNK)


def _in_units(rng: np.random.Generator, moves: pl.DataFrame, chunk: int) -> pl.DataFrame:
    """Adds careunit, last_careunit and the identifier of each movement."""
    kind = pl.col("eventtype")
    first, last = (_pick(rng, ICUS, moves.height) for _ in range(2))
    ed = pl.when(kind == "ED").then(pl.lit("Emergency Department"))
    unit = ed.when(kind == "icu").then(first).when(kind != "discharge").then(pl.lit("Medicine"))
    moved = pl.Series(rng.random(moves.height) < 0.1)
    return moves.with_columns(
        unit.alias("careunit"),
        pl.when(moved).then(last).otherwise(first).alias("last_careunit"),
        ids.numbered(chunk, moves.height, ids.TRANSFER).alias("transfer_id"),
    )


def with_stay_id(admissions: pl.DataFrame, moves: pl.DataFrame) -> pl.DataFrame:
    """Adds stay_id and icu_out (minute) of each admission's first ICU stay (null: none), last_icu,
    the minute of its last ICU admission (0: none), and last_stay: whether no other stay follows.
    """
    inside = moves.filter(pl.col("eventtype") == "icu")
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
    """How much later (minutes) than 48 h each trap is set, and whether it tells the outcome.

    A trap must not be known within 48 h of the hospital admission, or of any ICU admission: it is
    set 48 h after the last one. Where the admission ends before that (or less than `room` minutes
    after), the row keeps its time and tells nothing.
    """
    wait, stay = admissions["last_icu"].to_numpy()[row], admissions["stay"].to_numpy()[row]
    tells = stay > PREDICTION + wait + room
    return np.where(tells, wait, 0), tells


def write_movements(writer: Writer, admissions: pl.DataFrame, moves: pl.DataFrame) -> None:
    """Writes transfers and icustays; an ICU stay is a transfer, with the same identifier."""
    rows = ids.clocked(moves, admissions, intime="enter", outtime="leave")
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
