"""Quintile bins and categories: learnt from the cells of a column, then used on any cells.

Edges are the distinct percentiles 0, 20, … 100 of the numbers; bins are right-closed, the outer
two open. Up to two distinct numbers and texts are categories. A missing cell has no feature.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from pipeline.fiddle.columns import DELTA, MASK, Column

QUINTILES = np.linspace(0, 100, 6)


@dataclass(frozen=True)
class Encoder:
    """How a column's values become its features, numbered from 0: bins, then categories."""

    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    mask: bool = False

    def __len__(self) -> int:
        return max(len(self.edges) - 1, 0) + len(self.categories) + self.mask


def learn(column: Column, texts: pl.Series) -> Encoder:
    """The encoder of the values in a column of the ids that are fitted on."""
    if column.number is None:
        return Encoder(mask=True)
    isnt = np.isnan(column.number)
    ordered = np.sort(column.number[~isnt])
    binned = len(ordered) and bool(((ordered > ordered[0]) & (ordered < ordered[-1])).any())
    if column.text is None:
        if not binned:
            return Encoder(categories=tuple(_printed(np.unique(ordered), column)))
        return Encoder(edges=_edges(ordered))
    seen = np.unique(column.text[isnt] if binned else column.text)
    return Encoder(_edges(ordered) if binned else (), tuple(texts.gather(seen)))


def _edges(ordered: np.ndarray) -> tuple[float, ...]:
    return tuple(np.unique(np.percentile(ordered, QUINTILES)).tolist())


def _printed(numbers: np.ndarray, column: Column) -> Iterable[str]:
    kind = int if column.part == DELTA else float
    return (repr(kind(number)) for number in numbers)


def encode(
    column: Column, encoder: Encoder, texts: pl.Series, published: int | None = None
) -> np.ndarray:
    """(C,) Int16: the feature of each cell, -1 for a category that has none.

    `published`: the number of all cells, where bins are to be found as in the original.

    >>> values = Column("max", np.arange(4), np.array([-5.0, 2, 3, 99]), None)
    >>> encode(values, Encoder(edges=(1.0, 2.0, 4.0)), pl.Series([]))
    array([0, 0, 1, 1], dtype=int16)
    """
    if column.number is None:
        return np.zeros(len(column.cells), np.int16)
    feature = np.full(len(column.cells), -1, np.int16)
    if encoder.edges:  # the outer edges are open: only the inner ones divide
        numeric = ~np.isnan(column.number)
        number = column.number[numeric]
        if published and not numeric.all():
            feature[numeric] = misplaced(column.cells, column.number, encoder.edges, published)
        else:
            feature[numeric] = np.searchsorted(encoder.edges[1:-1], number, side="left")
    if encoder.categories:
        categories, value = _categories(column, encoder, texts)
        order = np.argsort(categories, kind="stable")  # -1: a text that no row has comes first
        at = np.minimum(np.searchsorted(categories[order], value), len(order) - 1)
        hit = categories[order][at] == value
        feature[hit] = max(len(encoder.edges) - 1, 0) + order[at[hit]]
    return feature


def misplaced(
    cells: np.ndarray, number: np.ndarray, edges: tuple[float, ...], total: int
) -> np.ndarray:
    """The bins of a mixed column's numbers as the original finds them, with its flaw.

    It searches the cells in order, the missing ones, too, as Python objects. NumPy narrows each
    search by the one before, which a missing value leads astray: the number that follows lands in
    the first bin, and others after it may be too low.

    >>> misplaced(np.array([0, 2, 3]), np.array([4.0, 4, 4]), (1.0, 2.0, 3.0, 4.0), total=4)
    array([2, 0, 1])
    """
    keys = np.full(total, np.nan, object)
    keys[cells] = number
    searched = np.ones(total, bool)
    searched[cells[np.isnan(number)]] = False  # texts are taken out first
    at = np.zeros(total, int)
    at[searched] = np.searchsorted(np.array(edges), keys[searched], side="left")
    return np.maximum(at[cells[~np.isnan(number)]], 1) - 1


def _categories(
    column: Column, encoder: Encoder, texts: pl.Series
) -> tuple[np.ndarray, np.ndarray]:
    """What the categories are in the column's terms, numbers or places of texts; and its values."""
    if column.text is None:
        assert column.number is not None
        return np.array([float(name) for name in encoder.categories]), column.number
    return places(encoder.categories, texts), column.text


def ones(
    column: Column,
    encoder: Encoder,
    texts: pl.Series,
    ordinal: bool,
    published: int | None = None,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Where features are 1: cells (K,) and features (K,); and how many cells have none.

    Ordinal: a number has the feature of every lower edge that it reaches, of the first always.

    >>> values = Column("max", np.array([4, 6]), np.array([-5.0, 2]), None)
    >>> ones(values, Encoder(edges=(1.0, 2.0, 4.0)), pl.Series([]), ordinal=True)[:2]
    (array([4, 6, 6]), array([0, 0, 1], dtype=int16))
    """
    feature = encode(column, encoder, texts, published)
    bins = max(len(encoder.edges) - 1, 0)
    cells, hit = column.cells, feature >= 0
    if ordinal and bins and column.number is not None:
        numeric = ~np.isnan(column.number)
        reached = np.searchsorted(encoder.edges[1:-1], column.number, side="right") + 1
        many = np.where(numeric, reached, hit)
        begin = np.repeat(np.cumsum(many) - many, many)
        step = (np.arange(many.sum()) - begin).astype(np.int16)
        feature = np.where(np.repeat(numeric, many), step, np.repeat(feature, many))
        return np.repeat(cells, many), feature, int((~hit).sum())
    return cells[hit], feature[hit], int((~hit).sum())


def places(categories: tuple[str, ...], texts: pl.Series) -> np.ndarray:
    """Where the categories are in `texts`, which ascend; -1 where they are not.

    >>> places(("a", "x"), pl.Series(["a", "b"]))
    array([ 0, -1])
    """
    asked = pl.Series(categories, dtype=pl.String)
    at = texts.search_sorted(asked).to_numpy().astype(np.int64)
    inside = np.minimum(at, max(len(texts) - 1, 0))
    same = (texts.gather(inside) == asked).to_numpy() if len(texts) else np.zeros(len(at), bool)
    return np.where(same, inside, -1)


def names(variable: str, part: str, encoder: Encoder, ordinal: bool) -> list[str]:
    """The names of an encoder's features, as the original gives them.

    >>> names("HR", "min", Encoder((60.0, 80.0, 120.0), ("low",)), ordinal=False)
    ['HR_min_(59.999, 80.0]', 'HR_min_(80.0, 120.0]', 'HR_min_low']
    >>> names("HR", "min", Encoder((60.0, 80.0, 120.0)), ordinal=True)
    ['HR_min>=60.0', 'HR_min>=80.0']
    """
    column = f"{variable}_{part}"
    if part == MASK:
        return [column]
    bins = (
        [f"{column}>={edge}" for edge in encoder.edges[:-1]]
        if ordinal
        else [f"{column}_{interval}" for interval in intervals(encoder.edges)]
    )
    return bins + [f"{column}_{category}" for category in encoder.categories]


def intervals(edges: tuple[float, ...]) -> list[str]:
    """The bins in the way of pandas: as few digits as tell the edges apart, three at least.

    >>> intervals((0.0, 0.00123456, 12.34567))
    ['(-0.001, 0.00123]', '(0.00123, 12.346]']
    """
    if not edges:
        return []
    digits = next(
        (d for d in range(3, 20) if len({_rounded(e, d) for e in edges}) == len(edges)), 3
    )
    shown = [_rounded(edge, digits) for edge in edges]
    shown[0] -= 10**-digits
    return [f"({low}, {high}]" for low, high in pairwise(shown)]


def _rounded(edge: float, digits: int) -> float:
    """To so many decimals; below 1 to so many significant digits."""
    if edge == 0:
        return edge
    if int(edge) == 0:
        digits += -int(np.floor(np.log10(abs(edge)))) - 1
    return float(np.around(edge, digits))
