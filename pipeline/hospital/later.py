"""Later ICU stays: of patients who come to the ICU after 48 h, or come back to it.

They are charted and treated like early stays, by their own clock. Nothing of them is known by the
prediction time of the admission. Shock and ARF have the same chances as in early stays; besides,
many patients come because of one of them: these stays are *prevalent*, with an onset soon after
their start.
"""

import numpy as np
import polars as pl

from pipeline.hospital import arrivals
from pipeline.hospital.model import chance, onsets
from pipeline.hospital.settings import PREDICTION, Effects

PREVALENT = 0.3  # share of later stays that begin with vasopressors, and likewise ventilation
BEGINS = {"shock": (20, 200), "arf": (10, 600)}  # minutes after the start: from, to


def later_stays(
    rng: np.random.Generator, admissions: pl.DataFrame, moves: pl.DataFrame, effects: Effects
) -> pl.DataFrame:
    """One row per later stay, with the columns of admissions; times in minutes since its start.

    `parent` is the row of its admission, `admittime` the start of the stay.
    ASSUME what happens in a later stay changes neither the death nor the length of the admission.
    """
    stays = moves.filter(pl.col("eventtype") == "icu").filter(
        (pl.col("enter") >= PREDICTION) | (pl.col("enter") > pl.col("enter").min().over("row"))
    )
    length = stays["leave"] - stays["enter"]
    frame = admissions[stays["row"]].with_columns(
        pl.col("admittime") + stays["enter"].cast(pl.Duration("us")) * (60 * 10**6),
        stays["row"].alias("parent"),
        stays["transfer_id"].alias("stay_id"),
        length.alias("stay"),
        length.alias("icu_out"),
        pl.lit(0, pl.Int64).alias("icu"),
        pl.lit(0, pl.Int64).alias("last_icu"),
        (pl.col("last_icu") == stays["enter"]).alias("last_stay"),
    )
    frame = arrivals.on_time(frame)
    return frame.with_columns(pl.Series(k, v) for k, v in _events(rng, frame, effects).items())


def _events(
    rng: np.random.Generator, stays: pl.DataFrame, effects: Effects
) -> dict[str, np.ndarray]:
    """shock, arf (0 or 1), shock_at, arf_at (minutes, −1 where never) of later stays."""
    n, z = stays.height, {m: stays[m].to_numpy() for m in "ecn"}
    z |= {"shock": np.zeros(n), "arf": np.zeros(n)}
    for event in ("shock", "arf"):
        z[event] = (rng.random(n) < chance(event, z, effects)).astype(float)
    length = stays["stay"].to_numpy()
    events = onsets(z, {event: rng.random(n) for event in BEGINS}, np.zeros(n), length)
    for event, (low, high) in BEGINS.items():
        begins, prevalent = rng.integers(low, high, n), rng.random(n) < PREVALENT
        prevalent &= begins < length
        events[event] = np.where(prevalent, 1.0, events[event])
        at = np.where(prevalent, begins, events[f"{event}_at"])
        events[f"{event}_at"] = at.round().astype(int)
    return events


def with_later_events(admissions: pl.DataFrame, later: pl.DataFrame) -> pl.DataFrame:
    """Admissions whose shock and arf tell whether these occurred in any ICU stay.

    >>> one = pl.DataFrame({"shock": [0.0, 1.0], "arf": [0.0, 0.0]})
    >>> two = pl.DataFrame({"parent": [0, 0], "shock": [0.0, 0.0], "arf": [1.0, 0.0]})
    >>> with_later_events(one, two).rows()
    [(0.0, 1.0), (1.0, 0.0)]
    """
    row = pl.int_range(pl.len())
    return admissions.with_columns(
        pl.max_horizontal(
            event,
            row.is_in(later.filter(pl.col(event) > 0)["parent"].unique().implode()).cast(
                pl.Float64
            ),
        ).alias(event)
        for event in ("shock", "arf")
    )
