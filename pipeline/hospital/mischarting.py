"""Charted values that mislead: the habits `intubated_gcs` and `impossible_values`."""

import numpy as np
import polars as pl

from pipeline.hospital.settings import PREDICTION
from pipeline.hospital.treatments import VENTILATED

HEART_RATE, SYSTOLIC, FAHRENHEIT, CELSIUS, VERBAL = 220045, 220179, 223761, 223762, 223900
INTUBATED = "No Response-ETT"
TYPED = [999.0, 0.0, -5.0, 1e7]  # for a heart rate
SHARE = 0.02  # of a signal's readings that are followed by one with a typing error


def intubated(rows: pl.DataFrame, admissions: pl.DataFrame) -> pl.DataFrame:
    """Charted rows; during invasive ventilation the verbal response is "No Response-ETT", a 1.

    It depends on the ventilation alone, whose times are those of `procedure_rows`, and of
    `arrivals` for patients who come ventilated.
    """
    names = ("arf_at", "stay", "tube_from", "tube_to")
    begin, stay, came, left = (admissions[name].to_numpy() for name in names)
    row, minute = rows["row"].to_numpy(), rows["minute"].to_numpy()
    end = np.minimum(begin + VENTILATED, stay)
    inside = (begin[row] >= 0) & (begin[row] <= minute) & (minute <= end[row])
    inside |= (came[row] >= 0) & (came[row] <= minute) & (minute <= left[row])
    tube = pl.Series(inside) & (rows["itemid"] == VERBAL)
    return rows.with_columns(
        valuenum=pl.when(tube).then(1.0).otherwise("valuenum"),
        value=pl.when(tube).then(pl.lit(INTUBATED)).otherwise("value"),
    )


def impossible(rng: np.random.Generator, rows: pl.DataFrame) -> pl.DataFrame:
    """Additional rows, a minute after some of `rows`, with values that no living body shows.

    Heart rates of `TYPED`, systolic pressures of 0, and Fahrenheit under the item of Celsius.
    """
    item = pl.col("itemid")
    early = rows.filter(
        item.is_in([HEART_RATE, SYSTOLIC, FAHRENHEIT]), pl.col("stored") <= PREDICTION
    )
    some = early.filter(pl.Series(rng.random(early.height) < SHARE))
    typed = pl.Series(rng.choice(TYPED, some.height))
    number = (
        pl.when(item == HEART_RATE).then(typed).when(item == SYSTOLIC).then(0.0)
    ).otherwise("valuenum")  # fmt: skip
    under = pl.when(item == FAHRENHEIT).then(CELSIUS).otherwise("itemid")
    unit = pl.when(item == FAHRENHEIT).then(pl.lit("°C")).otherwise("valueuom")
    return some.with_columns(
        pl.col("minute") + 1, itemid=under.cast(pl.Int64), valueuom=unit, valuenum=number
    ).with_columns(value=_as_text(pl.col("valuenum")))


def _as_text(number: pl.Expr) -> pl.Expr:
    """Numbers as MIMIC writes them: without a point where they are whole."""
    whole = number.round() == number
    return (
        pl.when(whole).then(number.cast(pl.Int64).cast(pl.String)).otherwise(number.cast(pl.String))
    )
