"""Readings and intervals of episodes, flat, from which a regular grid is made per horizon.

A bin lasts some hours; one begins at clock zero. A reading that can be the last of its bin at no
horizon is not kept, so that memory does not grow with how often a monitor is read.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch

from pipeline.ehr.signals import classes, vocabulary
from pipeline.ehr.steps import NEVER
from pipeline.ehr.tokens import demographics
from pipeline.stage.parts import read_parts
from pipeline.stage.tables import read_table
from pipeline.training.batches import Batch
from pipeline.training.items import offsets, take

EARLIEST = 24 * 60  # minutes before clock zero from which on readings are events (events.sql)
READ = tuple(name for name, kind, *_ in vocabulary().blocks if kind != "interval")
RUN = tuple(name for name, kind, *_ in vocabulary().blocks if kind == "interval")
COLUMNS = ["episode_id", "minute", "end_minute", "signal", "value", "void", "known"]


@dataclass(frozen=True)
class Bins:
    """Bins of `length` minutes, `before` minutes of them before clock zero, up to `window`."""

    length: int
    window: float

    @property
    def before(self) -> int:
        """Minutes before clock zero at which the first bin begins."""
        return -(-EARLIEST // self.length) * self.length

    def end(self, hours: float) -> float:
        """Minute at which the grid of a horizon ends."""
        return 60 * min(hours, self.window)

    def count(self, hours: float) -> int:
        """Bins up to a horizon; the last one may be cut by it.

        >>> Bins(120, 48).count(48), Bins(120, 48).count(5), Bins(60 * 48, 48).count(math.inf)
        (36, 15, 2)
        """
        return max(1, math.ceil((self.end(hours) + self.before) / self.length))


@dataclass
class Flat:
    """Rows of episodes in the order of time: `signal`, `minute`, `end`, `known`, `until`, `value`.

    Minutes are int32 from clock zero: of charting or start, of the end (`NEVER` where none is
    known), of knowledge, and until the row turns out void (`NEVER` of most). `start` (episodes +
    1): where the rows of each episode begin. Readings are ordered by signal first.
    """

    signal: np.ndarray
    minute: np.ndarray
    end: np.ndarray
    known: np.ndarray
    until: np.ndarray
    value: np.ndarray
    start: np.ndarray

    def batch(self, rows: np.ndarray, prefix: str) -> Batch:
        """The rows (R) of these episodes, and `owner` (R): the place of their episode in it."""
        place, count = take(self.start, rows)
        owner = torch.from_numpy(np.repeat(np.arange(len(rows)), count))
        tensors = {name: torch.from_numpy(column[place]) for name, column in vars(self).items()
                   if name != "start"}  # fmt: skip
        return {f"{prefix}_{name}": value for name, value in (tensors | {"owner": owner}).items()}


@dataclass
class Grid:
    """Episodes in a fixed order: readings, intervals, and codes of demographics (N, variables)."""

    readings: Flat
    intervals: Flat
    demographics: np.ndarray

    def batch(self, rows: np.ndarray) -> Batch:
        """reading_… and interval_… as in `Flat`; demographics (B, variables)."""
        return {
            **self.readings.batch(rows, "reading"),
            **self.intervals.batch(rows, "interval"),
            "demographics": torch.from_numpy(self.demographics[rows]),
        }

    def present(self) -> np.ndarray:
        """Every episode has this modality, if only its demographics (bool)."""
        return np.ones(len(self.demographics), bool)

    def known_by(self, hours: float) -> np.ndarray:
        """Every episode, by any horizon (bool)."""
        return self.present()


def fewest(readings: pl.DataFrame, length: int) -> pl.DataFrame:
    """The readings that are the last of their signal in a bin of `length` minutes at some horizon.

    Sorted by row, signal and time. Left out is one after which the same bin has another that was
    known by the same whole hour, as horizons are, and never turns out void.

    >>> frame = pl.DataFrame({"row": 0, "signal": 3, "minute": [5, 9, 30, 61],
    ...     "known": [6, 80, 31, 62], "until": [None, None, 40, None], "value": [1.0, 2, 3, 4]})
    >>> fewest(frame, 60)["value"].to_list()
    [1.0, 2.0, 3.0, 4.0]
    >>> fewest(frame.with_columns(until=None), 60)["value"].to_list()
    [3.0, 4.0]
    """
    cell = ["row", "signal", pl.col("minute") // length]
    hour = pl.col("known") // 60
    lasting = pl.when(pl.col("until").is_null()).then(hour).fill_null(NEVER)
    later = lasting.cum_min(reverse=True).shift(-1, fill_value=NEVER).over(cell)
    ordered = readings.sort("row", "signal", "minute", "known", "value")
    return ordered.filter(hour < later)


def narrow(rows: pl.DataFrame) -> pl.DataFrame:
    """The columns of `Flat` with the row of the episode, as narrow as they may be."""
    minutes = [
        pl.col("end_minute").fill_null(NEVER).alias("end"), pl.col("until").fill_null(NEVER),
        pl.col("minute"), pl.col("known"),
    ]  # fmt: skip
    whole = [pl.col("row").cast(pl.UInt32), pl.col("signal").cast(pl.Int16)]
    value = pl.col("value").cast(pl.Float32).fill_null(0)
    return rows.select(*whole, *(minute.cast(pl.Int32) for minute in minutes), value)


def read_events(events: str | Path, episodes: np.ndarray, length: int, before: float
                ) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:  # fmt: skip
    """Readings and intervals of `episodes` (ids) known before so many hours, part by part."""
    order = pl.DataFrame({"episode_id": episodes}).with_row_index("row")
    codes = pl.Enum([*READ, *RUN])
    is_reading = pl.col("signal") < len(READ)
    until = pl.when("void").then("end_minute").alias("until")
    for part in read_parts(events, COLUMNS):
        rows = part.join(order, on="episode_id").filter(pl.col("known") < 60 * before)
        if math.isinf(before):
            rows = rows.filter(~pl.col("void"))
        rows = rows.with_columns(pl.col("signal").cast(codes).to_physical(), until)
        intervals = rows.filter(~is_reading).with_columns(pl.col("signal") - len(READ))
        intervals = intervals.sort("row", "minute", "signal", "known", "end_minute", "until")
        yield narrow(fewest(rows.filter(is_reading), length)), narrow(intervals)


def flat(tables: list[pl.DataFrame], episodes: int) -> Flat:
    """Rows of all parts, in the order of the episodes."""
    names = ["row", "signal", "end_minute", "until", "minute", "known", "value"]
    none = narrow(pl.DataFrame(schema=dict.fromkeys(names, pl.Int32)))  # there may be no part
    rows = pl.concat([none, *tables]).sort("row", maintain_order=True)
    count = np.bincount(rows["row"].to_numpy(), minlength=episodes)
    columns = {name: rows[name].to_numpy() for name in rows.columns if name != "row"}
    return Flat(**columns, start=offsets(count))


def read_grid(events: str | Path, table: str | Path, episodes: np.ndarray, length: int,
              before: float) -> Grid:  # fmt: skip
    """The data of `episodes` (ids, any order). `table`: of episodes; `length`: minutes of a bin.

    What turns out void is kept for earlier horizons, unless `before`, hours, is infinite.
    """
    parts = list(read_events(events, episodes, length, before))
    size = len(episodes)
    order = pl.DataFrame({"episode_id": episodes})
    known = order.join(read_table(table), on="episode_id", how="left", maintain_order="left")
    codes = demographics(known).select(list(classes())).cast(pl.Int64)
    readings, intervals = ([part[k] for part in parts] for k in (0, 1))
    return Grid(flat(readings, size), flat(intervals, size), codes.to_numpy())
