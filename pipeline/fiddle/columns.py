"""The columns of a variable before they are discretised: one value per cell that has any.

A cell is an id in a bin: row · bins + bin. A variable that is not frequent is one column, the last
value in each bin. A frequent one (numeric, recorded about once per bin) is carried forward and
described by mask, delta_time, value and statistics. A time-invariant one has one cell per id.
All is causal: a cell depends on records of its bin and of earlier ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.fiddle.options import Options
from pipeline.fiddle.rows import Rows

STATIC, SPARSE, FREQUENT = "static", "sparse", "frequent"
MASK, DELTA, VALUE = "mask", "delta_time", "value"


@dataclass(frozen=True)
class Column:
    """One value in each of `cells` (C,), which ascend.

    `number` (C,): NaN where the value is text; None for a mask, which has no value. `text` (C,):
    places in the texts of the rows; None where the number was computed.
    """

    part: str
    cells: np.ndarray
    number: np.ndarray | None
    text: np.ndarray | None


def columns_of(rows: Rows, variable: int, kind: str, ids: int, chosen: Options) -> Iterator[Column]:
    """The columns of one variable of a kind: STATIC, SPARSE or FREQUENT; `ids`: how many."""
    row, bin_, text = rows.of(variable)
    bins = 1 if kind == STATIC else chosen.bins
    cell = row.astype(np.int64) * bins + bin_
    if len(cell) and bin_.max() >= bins:  # a last step that the horizon cuts off is no bin
        cell, text = cell[bin_ < bins], text[bin_ < bins]
    if kind == FREQUENT:
        finite = np.isfinite(rows.numbers[text])  # a text that was never seen in fitting
        yield from carried(cell[finite], text[finite], rows.numbers, ids, chosen)
        return
    last = np.flatnonzero(np.append(cell[1:] != cell[:-1], True)[: len(cell)])
    yield Column(VALUE, cell[last], rows.numbers[text[last]], text[last])


def carried(
    cell: np.ndarray, text: np.ndarray, numbers: np.ndarray, ids: int, chosen: Options
) -> Iterator[Column]:
    """Mask, delta_time, value and statistics of a frequent variable's records (R,), in order.

    A statistic of a bin without a record is the value carried there, not the last statistic.

    >>> for one in carried(np.array([1, 1]), np.array([0, 1]), np.array([5.0, 9.0]), 1,
    ...                    Options(hours=3, statistics=("max", "mean"))):
    ...     print(one.part, one.cells, one.number)
    mask [1] None
    delta_time [0 1 2] [0. 0. 1.]
    value [1 2] [9. 9.]
    max [1 2] [9. 9.]
    mean [1 2] [7. 9.]
    """
    first = np.flatnonzero(np.append(True, cell[1:] != cell[:-1])[: len(cell)])
    last = np.append(first[1:], len(cell))[: len(first)] - 1
    recorded = cell[first]  # (K,) cells with a record
    yield Column(MASK, recorded, None, None)
    cells, source = filled(recorded, ids, chosen.bins)
    since = np.zeros(ids * chosen.bins)  # 0 where nothing was ever recorded
    since[cells] = cells - recorded[source]
    yield Column(DELTA, np.arange(ids * chosen.bins), since, None)
    number, now = numbers[text], since[cells] == 0
    value = number[last][source]
    yield Column(VALUE, cells, value, text[last][source])
    for name in chosen.statistics:
        here = statistic(name, number, first, last)[source] if len(first) else value
        yield Column(name, cells, np.where(now, here, value), None)


def filled(recorded: np.ndarray, ids: int, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Forward fill: the cells that have a value, and which of the `recorded` cells each repeats.

    >>> filled(np.array([1, 4]), ids=2, bins=3)
    (array([1, 2, 4, 5]), array([0, 0, 1, 1]))
    """
    source = np.full((ids, bins), -1)
    source.reshape(-1)[recorded] = np.arange(len(recorded))
    carry = np.maximum.accumulate(source, axis=1).reshape(-1)
    cells = np.flatnonzero(carry >= 0)
    return cells, carry[cells]


def statistic(name: str, number: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Of each run first … last of the numbers: its min, max or mean.

    >>> statistic("mean", np.array([1.0, 2, 7]), np.array([0, 2]), np.array([1, 2]))
    array([1.5, 7. ])
    """
    if name == "mean":
        total = np.add.reduceat(number.astype(np.longdouble), first)  # no rounding on the way
        return total.astype(float) / (last - first + 1)
    return (np.minimum if name == "min" else np.maximum).reduceat(number, first)
