"""P-values of bootstrapped differences, their correction for how many there are, and verdicts."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import numpy as np

from pipeline.evaluation.statistics.metrics import Floats
from pipeline.stage.comparison import Verdict

# Differences below it are called equivalent. Fixed before any result was seen: chosen afterwards it
# could make any difference equivalent, or none
MARGIN = 0.02
P = TypeVar("P", float, float | None)
SEEDS = 5  # training seeds that a verdict needs
TOO_FEW: Final = "too few seeds"


def undecided_for(seeds: int) -> str:
    """Why there is no verdict, where too few seeds were trained; else empty.

    >>> undecided_for(1), undecided_for(5)
    ('not decided: 1 seed, 5 needed', '')
    """
    if seeds >= SEEDS:
        return ""
    return f"not decided: {seeds} seed{'s' * (seeds != 1)}, {SEEDS} needed"


def p_value(replicates: Floats) -> float:
    """Two-sided bootstrap p of (B,) replicates of a difference, for the hypothesis that it is 0.

    Twice the smaller share of the replicates on either side of 0, a 0 counting on both. One is
    added to numerator and denominator: a finite number of resamples never proves that p is 0
    (Davison & Hinkley 1997, section 4.2). NaN replicates do not count; without any, p is 1.

    >>> p_value(np.arange(1.0, 1000.0)), p_value(np.zeros(9)), p_value(np.array([-1.0, 1.0, 2.0]))
    (0.002, 1.0, 1.0)
    """
    known = replicates[~np.isnan(replicates)]
    smaller = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return min(1.0, 2 * (smaller + 1) / (len(known) + 1))


def holm(p_values: Sequence[P]) -> list[P]:
    """Holm's correction: the k-th smallest of m p-values times m − k + 1, never decreasing.

    Controls the chance of one false rejection or more, whatever the dependence of the tests
    (Holm 1979). None stays None and is not counted.

    >>> holm([0.01, 0.04, None, 0.03])
    [0.03, 0.06, None, 0.06]
    """
    order = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected = list(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(order):
        largest = max(largest, min(1.0, p * (len(order) - rank)))
        corrected[i] = largest
    return corrected


def verdict(difference: Mapping[str, Any], margin: float = MARGIN) -> Verdict:
    """What the interval says, in this order of questions: negligible? better or worse? else open.

    An interval of fewer than `SEEDS` seeds holds no training noise: nothing follows from it.

    >>> [verdict({"low": low, "high": high, "seeds": seeds}) for low, high, seeds in
    ...  [(-0.01, 0.019, 5), (0.01, 0.05, 5), (-0.05, -0.01, 5), (-0.05, 0.01, 5), (0.1, 0.2, 1)]]
    ['equivalent', 'better', 'worse', 'undecided', 'too few seeds']
    """
    low, high = difference["low"], difference["high"]
    if difference["seeds"] < SEEDS:
        return TOO_FEW
    if low is None or high is None:
        return "undecided"
    if -margin < low and high < margin:
        return "equivalent"
    return "better" if low > 0 else "worse" if high < 0 else "undecided"
