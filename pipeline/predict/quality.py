"""What is odd in new data: units, items and tokens that training never had, and a shift of risks.

Signals are looked at before values outside the limits of a living body are dropped: what is charted
in another unit is often outside them. `units.csv` lists units that are mistaken for those of the
catalogue, by molar mass or definition; those of a factor below 2 are not in it, for disease changes
a signal as much. A slip is told where a tenth of a signal's readings or more lie outside the range
that 99 % of training have, the other unit brings half of them back, and their median becomes an
ordinary value.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.evaluation.sections.suppression import shown
from pipeline.stage.prediction import Reference, Shift, Unit, Unknown, Unseen

OTHER_UNITS = "units.csv"
ENOUGH, UNEXPLAINED, HALF = 0.1, 0.5, 0.5  # shares of readings
SAMPLE = 500  # readings of a signal in a part of which the median is taken
LEAST_PSI = 100  # episodes
EXAMPLES = 5


class UnitCheck:
    """Compares readings with those of training, part by part: `look` is a reader of events."""

    def __init__(self, signals: pl.DataFrame) -> None:
        """`signals`: `reference.SIGNALS`."""
        self.signals = signals.drop_nulls("median").with_columns(pl.col("signal").cast(pl.String))
        self.other = pl.read_csv(Path(__file__).with_name(OTHER_UNITS)).cast(
            {"scale": pl.Float64, "shift": pl.Float64}
        )
        self.counts: list[pl.DataFrame] = []
        self.explained: list[pl.DataFrame] = []
        self.sample: list[pl.DataFrame] = []

    def look(self, part: pl.DataFrame) -> None:
        """Counts the readings of a part of events, `outside` ones included."""
        rows = part.select(pl.col("signal").cast(pl.String), "value").drop_nulls()
        rows = rows.filter(pl.col("value").is_finite()).join(self.signals, on="signal")
        value, unlike = pl.col("value"), ~pl.col("value").is_between("lowest", "highest")
        self.counts.append(
            rows.group_by("signal").agg(pl.len().alias("n"), unlike.sum().alias("unlike"))
        )
        odd = rows.filter(unlike)
        self.sample.append(odd.select("signal", "value").group_by("signal").head(SAMPLE))
        back = (value * pl.col("scale") + pl.col("shift")).is_between("low", "high")
        tried = odd.join(self.other, on="signal")
        self.explained.append(tried.group_by("signal", "looks_like").agg(back.sum().alias("back")))

    def found(self, least: int) -> list[Unit]:
        """The signals whose unit looks wrong; those of less than `least` unlike readings are
        not told."""
        if not self.counts:
            return []
        total = pl.concat(self.counts).group_by("signal").agg(pl.all().sum())
        odd = (
            pl.concat(self.sample).group_by("signal").agg(pl.col("value").median().alias("middle"))
        )
        rows = total.join(self._best(odd), on="signal", how="left").join(self.signals, on="signal")
        rows = rows.join(odd, on="signal", how="left")
        rows = rows.sort("signal").with_columns(share=pl.col("unlike") / pl.col("n"))
        told: list[Unit] = []
        for row in rows.filter(pl.col("unlike") >= max(least, 1)).to_dicts():
            part = (row["back"] or 0) / row["unlike"]
            known = part >= HALF
            if row["share"] < (ENOUGH if known else UNEXPLAINED):
                continue
            told.append({
                "signal": row["signal"],
                "readings": shown(row["n"], least),
                "unlike": round(row["share"], 4),
                "looks_like": row["looks_like"] if known else None,
                "explained": round(part, 4) if known else None,
                "median": round(row["middle"], 4),
                "training_median": row["median"],
            })  # fmt: skip
        return told

    def _best(self, odd: pl.DataFrame) -> pl.DataFrame:
        """The unit that brings most back, of those that make an ordinary value of the median of
        the unlike readings (signal, middle): signal, looks_like, back."""
        back = pl.concat(self.explained).group_by("signal", "looks_like").agg(pl.col("back").sum())
        back = back.join(self.other, on=["signal", "looks_like"]).join(odd, on="signal")
        ordinary = pl.col("middle") * pl.col("scale") + pl.col("shift")
        back = back.join(self.signals, on="signal").filter(ordinary.is_between("lower", "upper"))
        back = back.sort("back", "looks_like", descending=[True, False])
        best = back.unique("signal", keep="first", maintain_order=True)
        return best.select("signal", "looks_like", "back")

    def seen(self) -> set[str]:
        """Signals that have a reading."""
        return {name for part in self.counts for name in part["signal"]}


def unknown_items(found: pl.DataFrame, known: pl.DataFrame, labels: Mapping[int, str], least: int
                  ) -> list[Unknown]:  # fmt: skip
    """Charted items that training never had, by table. `found`: table, itemid, rows; `known`:
    `reference.KNOWN_ITEMS`."""
    new = found.join(known, on=["table", "itemid"], how="anti")
    totals = dict(found.group_by("table").agg(pl.col("rows").sum()).rows())
    told: list[Unknown] = []
    for (table,), part in new.sort("table", "itemid").group_by("table", maintain_order=True):
        rows = int(part["rows"].sum())
        often = part.filter(pl.col("rows") >= max(least, 1)).sort("rows", descending=True)
        examples = [f"{item} {labels.get(item, '(in no dictionary)')}"
                    for item in often["itemid"].head(EXAMPLES)]  # fmt: skip
        told.append({
            "table": str(table), "items": shown(part.height, least), "rows": shown(rows, least),
            "share": round(rows / totals[table], 4), "examples": examples,
        })  # fmt: skip
    return told


def unseen_tokens(tokens: pl.Series, known: pl.DataFrame, least: int) -> Unseen:
    """Tokens of the record that no training episode had."""
    total = tokens.len()
    new = total - int(tokens.is_in(known["token"].implode()).sum())
    return {"kind": "tokens", "total": shown(total, least),
            "share": round(new / total, 6) if total else None}  # fmt: skip


def unseen_words(texts: Sequence[str], vocabulary: Mapping[str, int], least: int) -> Unseen:
    """Words of reports that are not in the vocabulary of Doc2Vec.

    >>> unseen_words(["heart is big", "lung"], {"heart": 0, "is": 1, "lung": 2}, 0)["share"]
    0.25
    """
    total = new = 0
    for text in texts:
        words = text.split()
        total += len(words)
        new += sum(word not in vocabulary for word in words)
    return {"kind": "words", "total": shown(total, least),
            "share": round(new / total, 6) if total else None}  # fmt: skip


def shift(risk: np.ndarray, seed: int, training: Reference, threshold: float | None,
          least: int = 0) -> Shift:  # fmt: skip
    """The risks (n,), at least one, beside those of training; of fewer than `least` nothing."""
    quantiles = np.array(training["quantiles"])
    below = np.searchsorted(np.sort(risk), quantiles, side="right") / len(risk)
    few, percent = len(risk) < least, np.arange(1, 100) / 100
    called = 0 if threshold is None else int((risk >= threshold).sum())
    unknown = few or threshold is None or any(
        0 < side < least for side in (called, len(risk) - called)
    )  # fmt: skip
    return {
        "seed": seed,
        "mean": None if few else round(float(risk.mean()), 6),
        "training_mean": training["mean"],
        "psi": psi(risk, quantiles) if len(risk) >= LEAST_PSI else None,
        "ks": None if few else round(float(np.abs(below - percent).max()), 4),
        "positive": None if unknown else round(called / len(risk), 4),
    }


def psi(risk: np.ndarray, quantiles: np.ndarray) -> float:
    """Population stability index of risks (n,) over the tenths of training.

    `quantiles` (99,): the percentiles of training. An empty tenth counts as half a case.

    >>> draw = np.random.default_rng(0).random(5000)
    >>> psi(draw, np.arange(1, 100) / 100) < 0.02 < 0.25 < psi(draw / 2, np.arange(1, 100) / 100)
    True
    """
    edges = np.unique(quantiles[9::10][:9])
    expected = np.diff(np.searchsorted(quantiles, edges, side="right"), prepend=0, append=100) / 100
    counts = np.bincount(np.searchsorted(edges, risk), minlength=len(edges) + 1)
    actual = np.maximum(counts, 0.5) / len(risk)
    expected = np.maximum(expected, 0.005)
    return round(float(((actual - expected) * np.log(actual / expected)).sum()), 4)
