"""What is odd in new data: items and tokens that training never had, and a shift of risks."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from pipeline.evaluation.sections.suppression import shown
from pipeline.stage.prediction import Reference, Shift, Unknown, Unseen

LEAST_PSI = 100  # episodes
EXAMPLES = 5


def shown_share(part: int, whole: int, least: int, *people: int, digits: int = 4) -> float | None:
    """The share of a part, as far as few cannot be counted from it; None of nothing.

    `people`: how many patients are on either side.

    >>> shown_share(20, 80, 10), shown_share(72, 80, 10), shown_share(20, 80, 10, 3, 70)
    (0.25, None, None)
    """
    if not whole or any(0 < side < least for side in (part, whole - part, *people)):
        return None
    return round(part / whole, digits)


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
            "share": shown_share(rows, totals[table], least), "examples": examples,
        })  # fmt: skip
    return told


def unseen_tokens(tokens: pl.Series, known: pl.DataFrame, least: int) -> Unseen:
    """Tokens of the record that no training episode had."""
    total = tokens.len()
    new = total - int(tokens.is_in(known["token"].implode()).sum())
    return {"kind": "tokens", "total": shown(total, least),
            "share": shown_share(new, total, least, digits=6)}  # fmt: skip


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
            "share": shown_share(new, total, least, digits=6)}  # fmt: skip


def shift(risk: np.ndarray, seed: int, training: Reference, threshold: float | None,
          least: int = 0) -> Shift:  # fmt: skip
    """The risks (n,), at least one, beside those of training; of fewer than `least` nothing."""
    quantiles = np.array(training["quantiles"])
    below = np.searchsorted(np.sort(risk), quantiles, side="right") / len(risk)
    few, percent = len(risk) < least, np.arange(1, 100) / 100
    called = 0 if threshold is None else int((risk >= threshold).sum())
    return {
        "seed": seed,
        "mean": None if few else round(float(risk.mean()), 6),
        "training_mean": training["mean"],
        "psi": psi(risk, quantiles) if len(risk) >= LEAST_PSI else None,
        "ks": None if few else round(float(np.abs(below - percent).max()), 4),
        "positive": None if few or threshold is None else shown_share(called, len(risk), least),
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
