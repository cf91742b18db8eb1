"""Which kind each variable is: time-invariant, frequent, or neither; or too rare to be kept."""

import numpy as np

from pipeline.fiddle.columns import FREQUENT, SPARSE, STATIC
from pipeline.fiddle.options import Options
from pipeline.fiddle.rows import Rows


def kinds_of(
    rows: Rows, static: np.ndarray, ids: int, chosen: Options, published: bool = False
) -> list[str]:
    """The kind of each variable; empty for one recorded in theta_1 of the ids or fewer.

    `static` (V,): time-invariant or not. Frequent: numeric, with at least theta_freq records per
    bin. The original counts every bin to the horizon, which each of its ids reaches. Here many
    leave earlier, and the bins after that would hide what was recorded every hour: only observed
    bins count.
    """
    bins = chosen.bins if published else observed(rows, static, ids, chosen.bins) / ids
    kinds = []
    for variable, fixed in enumerate(static.tolist()):
        row, _, text = rows.of(variable)
        if not len(row) or (1 + np.count_nonzero(row[1:] != row[:-1])) / ids <= chosen.theta_1:
            kinds.append("")
        elif fixed:
            kinds.append(STATIC)
        else:
            often = len(row) / ids >= chosen.theta_freq * bins
            numeric = often and not np.isnan(rows.numbers[text]).any()
            kinds.append(FREQUENT if numeric else SPARSE)
    return kinds


def observed(rows: Rows, static: np.ndarray, ids: int, bins: int) -> int:
    """How many bins the ids are observed in, all together; an id without timed records in none."""
    # ASSUME: an id is observed up to and including the bin of its last record of any
    # time-dependent variable.
    upto = np.zeros(ids, np.int64)
    for variable in np.flatnonzero(~static).tolist():
        row, bin_, _ = rows.of(variable)
        np.maximum.at(upto, row, bin_ + 1)
    return int(np.minimum(upto, bins).sum())  # a last step that the horizon cuts off is no bin
