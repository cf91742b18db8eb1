"""When the patients of early ICU stays come to their bed: the habit `late_arrival`.

The patient arrives at the minute `icu`: charting, treatments, traps and the truth are based on it.
With the habit some beds are assigned hours before (`bed`: intime in the files), and some patients
are charted for the first time before the bed is assigned (`monitored`). Clock zero of a stay, the
later of intime and the first heart rate, is always `icu`; a few stays have no heart rate
(`silent`).

Who is late depends on no latent, so leaving prevalent stays out moves no ceiling. Some of the late
come from theatre, ventilated and on phenylephrine. Both begin before the arrival and end before any
onset of the model (4.5 hours after it): their times tell them from shock and ARF, so the habit does
not change what the oracle knows.
"""

import numpy as np
import polars as pl

from pipeline.hospital.settings import HOUR, PREDICTION

LATE, MONITORED, SILENT = 0.2, 0.26, 0.01  # shares of early stays (MONITORED: as in the demo)
THEATRE = 0.4  # share of late patients who come from theatre
WAIT = HOUR, 6 * HOUR  # minutes from the bed to the patient: from, to
AHEAD = 60  # minutes that the monitor is ahead of intime, at most
HEART_RATE, PHENYLEPHRINE, VENTILATION, PEEP = 220045, 221749, 225792, 220339


def arrivals(rng: np.random.Generator, admissions: pl.DataFrame, habit: bool) -> pl.DataFrame:
    """Adds bed, monitored (minutes; −1 without an ICU stay), silent (bool), and of patients from
    theatre the times of vasopressor and tube: pressor_from, pressor_to, tube_from, tube_to (else
    −1).

    Without the habit all patients arrive when the bed is assigned, and are monitored from then on.
    """
    icu = admissions["icu"].to_numpy()
    kind, theatre = rng.random((2, len(icu)))
    wait = np.minimum(rng.integers(*WAIT, len(icu)), icu - 5)  # the bed is in this hospital
    ahead = np.minimum(rng.integers(1, AHEAD, len(icu)), icu)
    early = (icu >= 0) & (icu < PREDICTION) & habit
    late = early & (kind < LATE) & (wait >= HOUR)
    before = early & (kind >= LATE) & (kind < LATE + MONITORED)
    bed = np.where(late, icu - wait, icu)
    columns = {
        "bed": bed,
        "monitored": np.where(before, icu - ahead, icu),
        "silent": early & (kind > 1 - SILENT),
    }
    for name, most in (("pressor", 90), ("tube", 180)):
        times = rng.integers(bed, np.maximum(icu, bed + 1)), icu + rng.integers(10, most, len(icu))
        ends = zip(("from", "to"), times, strict=True)
        columns |= {f"{name}_{e}": np.where(late & (theatre < THEATRE), at, -1) for e, at in ends}
    return admissions.with_columns(pl.Series(name, values) for name, values in columns.items())


def on_time(stays: pl.DataFrame) -> pl.DataFrame:
    """Later stays: their patients arrive when the bed is assigned."""
    never = dict.fromkeys(("pressor_from", "pressor_to", "tube_from", "tube_to"), -1)
    return stays.with_columns(bed="icu", monitored="icu", silent=False, **never)


def as_written(moves: pl.DataFrame, admissions: pl.DataFrame) -> pl.DataFrame:
    """The movements between wards, with the time of the bed in place of the arrival."""
    times = admissions.select(pl.int_range(pl.len()).alias("row"), "icu", "bed")
    kind, inside = pl.col("eventtype"), pl.col("icu") >= 0
    first = (kind == "icu") & (pl.col("enter") == pl.col("icu"))
    return (
        moves.join(times, on="row", how="left", maintain_order="left")
        .with_columns(
            pl.when(first).then("bed").otherwise("enter").alias("enter"),
            pl.when((kind == "admit") & inside).then("bed").otherwise("leave").alias("leave"),
        )
        .drop("icu", "bed")
    )


def theatre_intervals(admissions: pl.DataFrame, name: str, item: int) -> pl.DataFrame:
    """`pressor` or `tube` of patients from theatre: row, itemid, start, end (minutes)."""
    rows = admissions.with_row_index("row").filter(pl.col(f"{name}_from") >= 0)
    return rows.select(
        pl.col("row").cast(pl.Int64),
        pl.lit(item, pl.Int64).alias("itemid"),
        pl.col(f"{name}_from").alias("start"),
        pl.col(f"{name}_to").alias("end"),
    )


def theatre_chart(rng: np.random.Generator, admissions: pl.DataFrame) -> pl.DataFrame:
    """PEEP of patients from theatre, charted between bed and arrival; columns as `peep_rows`."""
    row = np.repeat(np.flatnonzero(admissions["tube_from"].to_numpy() >= 0), 2)
    bed, icu = (admissions[name].to_numpy()[row] for name in ("bed", "icu"))
    minute = rng.integers(bed, icu)
    value = rng.integers(5, 9, len(row)).astype(float)
    return pl.DataFrame(
        {
            "row": row,
            "minute": minute,
            "stored": minute + 3,
            "itemid": np.full(len(row), PEEP),
            "valueuom": ["cmH2O"] * len(row),
            "valuenum": value,
            "value": value.astype(int).astype(str),
        }
    )
