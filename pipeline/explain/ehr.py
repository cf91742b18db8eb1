"""The EHR: occlusion of a signal in some hours, of the encoder `tokens` with its statistics.

A part is a signal in an eighth of the time until the prediction. Taken away, its readings become
the median of that signal in the training episodes, charted when they were charted; intervals and
texts, which have no value, vanish. Tokens change, and the statistics beside them are computed anew
from the changed events, by the code that made them. Demographics stay. That a value was
charted, and when, stays too: what the model makes of that is in no part.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch

from pipeline.ehr.bins import bin_of
from pipeline.ehr.events import at_horizon
from pipeline.ehr.signals import BINS, Vocabulary, vocabulary
from pipeline.ehr.statistics import describe
from pipeline.ehr.steps import Steps
from pipeline.ehr.summary import WithStatistics
from pipeline.explain.causes import BEFORE
from pipeline.explain.common import Explained
from pipeline.explain.model import Given
from pipeline.explain.parts import Items
from pipeline.explain.pictures import Shown, grouped
from pipeline.stage.explanations import Cells, Method, Named
from pipeline.stage.parts import read_parts
from pipeline.stage.tables import read_table
from pipeline.training.items import take

EIGHTHS = 8  # parts of the time until the prediction
METHOD: Method = {
    "name": "occlusion",
    "item": "episode",
    "part": "signal in an eighth of the time until the prediction",
    "baseline": "the signal's median over the training episodes' readings; of an interval or a "
    "text, its absence",
    "words": "The change of the log odds when the readings of a signal in some hours are replaced. "
    "One part is changed at a time: signals that say the same stand in for one another, and each "
    "then seems to count little. That a value was charted at all is not explained; of intervals "
    "and texts that is all there is.",
}


@dataclass(frozen=True)
class Grid:
    """Signals × eighths of the hours until the horizon; time is counted in the encoder's bins."""

    words: Vocabulary
    window: float
    hours: float

    @property
    def bins(self) -> int:
        """Bins of time until the horizon."""
        return max(1, math.ceil(BINS * self.hours / self.window))

    @property
    def names(self) -> list[str]:
        """The signals."""
        return [block[0] for block in self.words.blocks]

    @property
    def edges(self) -> list[float]:
        """Hours at which the eighths begin, and the end."""
        bins = -(-np.arange(EIGHTHS) * self.bins // EIGHTHS)
        return [*(bins * self.window / BINS).round(4).tolist(), self.hours]

    def eighth(self, time_bin: np.ndarray) -> np.ndarray:
        """The eighth of bins of time."""
        return np.clip(time_bin * EIGHTHS // self.bins, 0, EIGHTHS - 1)

    def eighth_of(self, minute: pl.Expr) -> pl.Expr:
        """The eighth of a minute, by the bins of `pipeline.ehr.steps`."""
        window = round(self.window * 60)
        bins = (minute.cast(pl.Int64) * BINS // window).clip(0, BINS - 1)
        return (bins * EIGHTHS // self.bins).clip(0, EIGHTHS - 1)

    @property
    def first_minutes(self) -> list[int]:
        """The first whole minute of each eighth but the first."""
        window = round(self.window * 60)
        bins = -(-np.arange(1, EIGHTHS) * self.bins // EIGHTHS)
        return (-(-bins * window // BINS)).tolist()


def in_eighths(events: pl.DataFrame, grid: Grid) -> pl.DataFrame:
    """Events with their `eighth`; an interval becomes a piece for each one in which it runs."""
    readings = events.filter(pl.col("kind") != "interval")
    parts = [readings.with_columns(eighth=grid.eighth_of(pl.col("minute")))]
    intervals = events.filter(pl.col("kind") == "interval")
    edges = [-(10**9), *grid.first_minutes, 10**9]
    end = pl.col("end_minute")
    for number in range(EIGHTHS):
        first, next_one = edges[number], edges[number + 1]
        starts = pl.col("minute").clip(lower_bound=first)
        within = (pl.col("minute") < next_one) & (end.is_null() | (end > first))
        brief = (pl.col("minute") >= first) & (pl.col("minute") < next_one)
        last = number == EIGHTHS - 1
        ends = end if last else pl.when(end.is_null() | (end > next_one)).then(next_one).otherwise(
            end)  # fmt: skip
        parts.append(intervals.filter(within | brief).with_columns(
            minute=starts.cast(pl.Int32), end_minute=ends.cast(pl.Int32), eighth=pl.lit(number)
        ))  # fmt: skip
    return pl.concat([part.cast({"eighth": pl.Int64}) for part in parts])


def medians(events: pl.DataFrame, words: Vocabulary) -> pl.DataFrame:
    """signal, median of its readings; none of what has no value or no reading."""
    valued = [name for name, kind, rows, _ in words.blocks if kind != "interval" and rows > 1]
    read = events.filter(pl.col("signal").is_in(valued)).drop_nulls("value")
    return read.group_by("signal").agg(pl.col("value").median().alias("median")).sort("signal")


def median_tokens(middle: pl.DataFrame, bounds: pl.DataFrame, words: Vocabulary) -> np.ndarray:
    """The token that stands for each signal's median (signals,); −1: taken away, it vanishes."""
    blocks = pl.DataFrame(
        {"signal": [b[0] for b in words.blocks], "numeric": [b[3] for b in words.blocks],
         "offset": list(words.offsets().values())}
    )  # fmt: skip
    table = blocks.join(middle, on="signal", how="left", maintain_order="left")
    table = table.join(bounds, on="signal", how="left", maintain_order="left")
    row = pl.when("numeric").then(bin_of(pl.col("median"), pl.col("low"), pl.col("high")))
    category = pl.col("median").round().cast(pl.Int32) - 1
    return table.select((pl.col("offset") + row.otherwise(category)).fill_null(-1)).to_series(
    ).cast(pl.Int64).to_numpy()  # fmt: skip


class Record:
    """The records of explained episodes, and what the model makes of them without some parts."""

    def __init__(self, given: Given, steps: Steps, rows: np.ndarray) -> None:
        self.given, self.steps, self.rows = given, steps, rows
        settings = given.settings
        before = math.inf if settings["before"] is None else float(settings["before"])
        self.hours = min(before, settings["window_hours"])
        self.grid = Grid(vocabulary(settings["signals"]), settings["window_hours"], self.hours)
        episodes = read_table(given.files["episodes"])
        self.episodes = pl.DataFrame({"episode_id": given.rows.episode[rows]}).join(
            episodes, on="episode_id", how="left", maintain_order="left")  # fmt: skip
        train = given.rows.episode[given.rows.of("train")]
        middle, self.events = self._read(train)
        self.tokens = median_tokens(middle, read_table(given.files["bins"]), self.grid.words)
        self.start, self.cell, self.token_place = self._parts()
        known = dict(zip(middle["signal"], middle["median"], strict=True))
        self.events = self.events.with_columns(
            median=pl.col("signal").replace_strict(known, default=None, return_dtype=pl.Float64)
        )

    def _read(self, train: np.ndarray) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Medians of the training episodes; the events of the explained ones, in eighths, with
        `item`."""
        own = pl.DataFrame({"episode_id": self.episodes["episode_id"]}).with_row_index("item")
        fitted = pl.DataFrame({"episode_id": train})
        mine, theirs = [], []
        columns = ["episode_id", "minute", "end_minute", "kind", "signal", "value", "void", "known"]
        for part in read_parts(self.given.files["events"], columns):
            known = at_horizon(part, self._horizon())
            mine.append(known.join(own, on="episode_id"))
            theirs.append(known.join(fitted, on="episode_id", how="semi"))
        return (medians(pl.concat(theirs), self.grid.words),
                in_eighths(pl.concat(mine), self.grid))  # fmt: skip

    def _horizon(self) -> float:
        """Hours up to which events count; infinite where they end at the prediction time anyway."""
        window = (pl.col("prediction_time") - pl.col("clock_zero")).dt.total_minutes()
        ends = self.episodes.select((window <= 60 * self.hours).all()).item()
        return math.inf if ends else self.hours

    def _parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`start` of `Items`, the cell (signal × eighth) of each part, and the place of each token
        of the data in its item (−1 elsewhere); adds `place` to the events."""
        grid, steps, count = self.grid, self.steps, len(self.rows)
        cells = len(grid.names) * EIGHTHS
        first = np.array(list(grid.words.offsets().values()))
        step, lengths = take(steps.episode_start, self.rows)
        token, sizes = take(steps.step_start, step)
        item = np.repeat(np.repeat(np.arange(count), lengths), sizes)
        signal = np.searchsorted(first, steps.token[token], side="right") - 1
        eighth = grid.eighth(np.repeat(steps.time_bin[step].astype(np.int64), sizes))
        of_tokens = item * cells + signal * EIGHTHS + eighth
        number = {name: place for place, name in enumerate(grid.names)}
        named = self.events.filter(pl.col("signal").is_in(list(number)))
        of_events = named.select(
            pl.col("item").cast(pl.Int64) * cells
            + pl.col("signal").replace_strict(number, return_dtype=pl.Int64) * EIGHTHS
            + pl.col("eighth")
        ).to_series().to_numpy()  # fmt: skip
        key = np.unique(np.concatenate([of_tokens, of_events]))
        start = np.searchsorted(key, np.arange(count + 1) * cells)
        place = np.full(len(steps.token), -1)
        place[token] = np.searchsorted(key, of_tokens) - start[item]
        at = np.searchsorted(key, of_events)
        self.events = named.with_columns(
            pl.Series("place", at - start[of_events // cells], dtype=pl.Int64)
        )
        return start, key % cells, place

    @torch.no_grad()
    def occluded(self, item: np.ndarray, removed: np.ndarray) -> np.ndarray:
        """Log odds (C,) of copies of items without the parts `removed` (C, widest)."""
        batch = self._tokens(item, removed)
        if isinstance(self.given.data, WithStatistics):
            batch["statistics"] = torch.from_numpy(self._statistics(item, removed))
        on_device = {name: value.to(self.given.device) for name, value in batch.items()}
        return self.given.log_odds(self.given.feature(on_device))

    def _tokens(self, item: np.ndarray, removed: np.ndarray) -> dict[str, torch.Tensor]:
        rows, steps = self.rows[item], self.steps
        batch = steps.batch(rows)
        step, lengths = take(steps.episode_start, rows)
        position, sizes = take(steps.step_start, step)
        copy = np.repeat(np.repeat(np.arange(len(item)), lengths), sizes)
        gone = removed[copy, self.token_place[position]]
        token = steps.token[position].astype(np.int64)
        first = np.array(list(self.grid.words.offsets().values()))
        middle = self.tokens[np.searchsorted(first, token, side="right") - 1]
        kept = torch.from_numpy(~(gone & (middle < 0)))
        told = np.where(gone, middle, token)
        before = torch.nn.functional.pad(kept.cumsum(0), (1, 0))
        batch["token"] = torch.from_numpy(told.astype(steps.token.dtype))[kept]
        batch["bag"] = before[batch["bag"]]
        return batch | {name: batch[name][kept] for name in ("known", "until")}

    def _statistics(self, item: np.ndarray, removed: np.ndarray) -> np.ndarray:
        """(C, 1, F), by the code that made them."""
        copies = pl.DataFrame({"item": item, "copy": np.arange(len(item))})
        events = copies.join(self.events.with_columns(pl.col("item").cast(pl.Int64)), on="item")
        gone = removed[events["copy"].to_numpy(), events["place"].to_numpy()]
        events = events.with_columns(pl.Series("gone", gone), episode_id="copy")
        events = events.filter(~pl.col("gone") | pl.col("median").is_not_null()).with_columns(
            value=pl.when("gone").then("median").otherwise("value")
        )
        episodes = self.episodes[item].with_columns(
            pl.Series("episode_id", np.arange(len(item)), dtype=pl.Int64)
        )
        table = describe(events, episodes, self.hours).drop("episode_id")
        return table.cast(pl.Float64).fill_null(math.nan).to_numpy().astype(np.float32)[:, None]

    def of_item(self, item: int) -> dict[str, Any]:
        """The signal and the eighth of each part of an item, and the hours."""
        cell = self.cell[self.start[item] : self.start[item + 1]]
        names = [self.grid.names[one] for one in cell // EIGHTHS]
        return {"signals": names, "eighths": cell % EIGHTHS, "edges": self.grid.edges}

    def causes(self) -> np.ndarray | None:
        """Which parts carry the planted cause (parts,); None where no truth is known."""
        truth = self.given.truth
        if truth is None or truth.why_none("e"):
            return None
        owner = np.repeat(np.arange(len(self.rows)), np.diff(self.start))
        signal, eighth = np.divmod(self.cell, EIGHTHS)
        edges, names = np.array(self.grid.edges), np.array(self.grid.names)
        facts = truth.onsets(self.episodes)
        since = facts["since"].to_numpy()[owner] / 60
        shows = truth.hours(since + edges[eighth], since + edges[eighth + 1])
        cause = np.isin(names[signal], truth.signals.filter(what="severity")["signal"]) & shows
        for what, before in BEFORE.items():
            told = np.isin(names[signal], truth.signals.filter(what=what)["signal"])
            onset = facts[what].cast(pl.Float64).fill_null(math.inf).to_numpy()[owner]
            cause |= told & ((onset - before) / 60 < edges[eighth + 1])
        return cause


class Pictures:
    """Signals × hours, and signals."""

    def __init__(self, record: Record, items: Items, suppress: int) -> None:
        self.record, self.items, self.shown = record, items, Shown(suppress)

    def __call__(self, value: np.ndarray) -> dict[str, Any]:
        """Both."""
        return {"cells": self.cells(value), "signals": self.signals(value)}

    def cells(self, value: np.ndarray) -> Cells:
        """Means over the episodes that have a cell."""
        items, grid = self.items, self.record.grid
        size = len(grid.names) * EIGHTHS
        subject, cell = items.subject[items.owner], self.record.cell
        pairs = np.unique(np.stack([cell, subject]), axis=1)
        patients = np.bincount(pairs[0], minlength=size).reshape(-1, EIGHTHS)
        count = np.bincount(cell, minlength=size).reshape(-1, EIGHTHS)

        def mean(weight: np.ndarray) -> np.ndarray:
            total = np.bincount(cell, weight, size).reshape(-1, EIGHTHS)
            return np.where(patients >= self.shown.least, total / np.maximum(count, 1), np.nan)

        strength = mean(np.abs(value))
        some = ~np.isnan(strength).all(axis=1)
        order = np.flatnonzero(some)
        order = order[np.argsort(-np.nanmean(strength[some], axis=1), kind="stable")]
        cause = None if items.cause is None else np.nan_to_num(mean(items.cause.astype(float)))
        return {
            "signals": [grid.names[one] for one in order],
            "edges": grid.edges,
            "mean": _rows(mean(value)[order]),
            "strength": _rows(strength[order]),
            "patients": [[self.shown(int(n)) for n in row] for row in patients[order]],
            "cause": None if cause is None else cause[order].tolist(),
        }

    def signals(self, value: np.ndarray) -> list[Named]:
        """Of each signal its parts added up per episode; the cause: in any of its hours."""
        items, grid = self.items, self.record.grid
        signal = self.record.cell // EIGHTHS
        key = items.owner * len(grid.names) + signal
        each, place = np.unique(key, return_inverse=True)
        total = np.bincount(place, value)
        cause = None if items.cause is None else np.bincount(place, items.cause) > 0
        names = np.array(grid.names)[each % len(grid.names)]
        subject = items.subject[each // len(grid.names)]
        return grouped(names.tolist(), subject, total, cause, self.shown)


def _rows(table: np.ndarray) -> list[list[float | None]]:
    return [[None if math.isnan(one) else one for one in row] for row in table.tolist()]


def explain(given: Given) -> Explained | str:
    """The records of a sample of the test episodes; why not, where the encoder cannot be."""
    steps = given.data.sequence if isinstance(given.data, WithStatistics) else given.data
    if not isinstance(steps, Steps):
        return f"explained is the encoder tokens alone, not {given.settings['encoder']}"
    if "events" not in given.files:
        return "the record is explained in the corrected protocol alone"
    if isinstance(given.data, WithStatistics) and len(given.data.hours) > 1:
        return "explained is a task of one horizon alone"
    test = given.rows.of("test")
    rows = test[given.drawn(len(test))]
    record = Record(given, steps, rows)
    some = given.rows
    items = Items(some.episode[rows], some.subject[rows], some.label[rows], record.start,
                  record.causes())  # fmt: skip
    cause = "signals whose values follow the planted severity, in the hours in which they do, and "\
        "what is charted or given from the onset of shock or respiratory failure on"  # fmt: skip
    return Explained(
        items=items, row=rows, of=len(test), occluded=record.occluded, method=METHOD,
        cause=None if items.cause is None else cause,
        why_none=given.truth.why_none("e") if given.truth else None,
        picture=Pictures(record, items, given.suppress), most=given.most,
        of_item=record.of_item,
    )  # fmt: skip
