"""Small counts of real patients are not shown (MIMIC's data use agreement asks for aggregates).

A result hides small groups, and with them as many others as it takes that they do not follow from
the totals of its own tables. The kit of a result has many more tables of the same episodes: there
other counts are rounded, too (`rounded_count`; so do OpenSAFELY and the ONS against differencing),
shares are computed from the rounded counts, and their intervals moved `outward`. What the result
shows exactly and by the same rule (groups, its own threshold) the kit shows exactly.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any, cast

import numpy as np

from pipeline.cohort.attrition import merged
from pipeline.evaluation.statistics.figures import NOTHING
from pipeline.evaluation.statistics.metrics import Floats
from pipeline.evaluation.statistics.sample import Sample
from pipeline.stage.sections import Condition, Counts, Estimate

Shown = int | str
Rounded = float | int | str
HIDDEN = "hidden"
COMPLEMENT = "hidden, so that the counts of a small group do not follow from the total"
NO_COUNTS: Counts = {"n": None, "patients": None, "positives": None, "prevalence": None}


def shown(count: int, threshold: int) -> Shown:
    """The count, or "<threshold" where it is 1 or more and below; a threshold of 0 shows all.

    >>> shown(0, 10), shown(9, 10), shown(10, 10), shown(9, 0)
    (0, '<10', 10, 9)
    """
    return f"<{threshold}" if 0 < count < threshold else count


def shown_part(count: int, total: int, threshold: int) -> Shown:
    """A part of a total that is shown, too: ">total − threshold" where the rest is small.

    >>> shown_part(1230, 1234, 10), shown_part(4, 1234, 10), shown_part(1230, 1234, 0)
    ('>1224', '<10', 1230)
    """
    few_left = 0 < total - count < threshold <= count
    return f">{total - threshold}" if few_left else shown(count, threshold)


def shown_each(counts: dict[str, int], threshold: int) -> dict[str, Shown]:
    """Every count of a mapping as far as it may be shown."""
    return {name: shown(count, threshold) for name, count in counts.items()}


def shown_counts(sample: Sample, threshold: int) -> Counts:
    """Episodes, patients, positives and prevalence of a sample, as far as they may be shown.

    Few negatives would follow from n and many positives, so these are shown as ">n − threshold";
    where positives are not shown exactly, the prevalence is null.
    """
    n, positives = sample.counts["n"], sample.counts["positives"]
    result: Counts = {
        "n": shown(n, threshold),
        "patients": shown(sample.counts["patients"], threshold),
        "positives": shown(positives, threshold),
        "prevalence": None,
    }
    if 0 < n - positives < threshold <= n:
        result["positives"] = f">{n - threshold}"
    if n and (result["n"], result["positives"]) == (n, positives):
        result["prevalence"] = positives / n
    return result


def why_no_metrics(sample: Sample, threshold: int) -> str | None:
    """Why a sample has no metrics; None where it has.

    Fewer than `threshold` positives or negatives (in a fold) have none: from the digits of a metric
    they could be counted.

    >>> import numpy as np
    >>> some = Sample(np.arange(37), np.arange(37), np.zeros(37, dtype=bool), np.zeros((1, 37)))
    >>> why_no_metrics(some, 10)
    'one class only: 0 of 37 positive'
    """
    within = " in a fold" if sample.folds > 1 else ""
    if not len(sample.label):
        return "no episodes in this split"
    if sample.label.all() or not sample.label.any():
        counts = shown_counts(sample, threshold)
        return f"one class only: {counts['positives']} of {counts['n']} positive"
    if sample.fewest < threshold:
        return f"fewer than {threshold} positive or negative episodes{within}"
    return None if sample.two_classes else f"one class only{within}"


def sides_of(sample: Sample) -> tuple[int, int]:
    """Positives and negatives of a sample."""
    counts = sample.counts
    return counts["positives"], counts["n"] - counts["positives"]


def hides(sample: Sample, threshold: int) -> bool:
    """Whether positives or negatives of a sample are too few to be shown."""
    return any(0 < side < threshold for side in sides_of(sample))


def hidden(
    sides: Mapping[str, tuple[float, ...]], smallest: int, also: Collection[str] = ()
) -> set[str]:
    """The groups of one attribute whose counts are not shown.

    `sides`: group → (positives, negatives), or any other counts by class. Hidden are groups with 1
    to `smallest` − 1 of a class, and, as the totals of all groups are known, the next smallest ones
    until at least two are hidden and no 1 to `smallest` − 1 of a class are left for the hidden ones
    together. `also`: groups that are hidden elsewhere. Empty groups are never hidden.

    >>> sorted(hidden({"A": (300, 900), "B": (40, 200), "C": (3, 30), "D": (90, 300)}, 10))
    ['B', 'C']
    >>> hidden({"A": (300, 900), "B": (3, 20)}, 0)
    set()
    >>> sorted(hidden({"A": (300,), "B": (4,), "C": (0,)}, 10)), hidden({"A": (300,)}, 10, {"A"})
    (['A', 'B'], {'A'})
    """
    if not smallest:
        return set()
    there = [name for name, side in sides.items() if sum(side)]
    ascending = sorted(there, key=lambda name: (min(sides[name]), sum(sides[name]), name))
    secret = [name for name in ascending
              if name in also or any(0 < side < smallest for side in sides[name])]  # fmt: skip
    others = [name for name in ascending if name not in secret]
    while secret and others:
        together = [sum(of) for of in zip(*(sides[name] for name in secret), strict=True)]
        if len(secret) > 1 and not any(0 < side < smallest for side in together):
            break
        secret.append(others.pop(0))
    return set(secret)


def rounded_count(count: float, threshold: int, secret: bool = False) -> Rounded:
    """A count of a kit: 1 to `threshold` − 1 as "<threshold", others as multiples of it.

    A threshold of 0 shows all. `secret`: of a group that is hidden.

    >>> [rounded_count(n, 10) for n in (0, 9, 10, 15, 1234)], rounded_count(1234, 0)
    ([0, '<10', 10, 20, 1230], 1234)
    >>> rounded_count(50, 10, secret=True), rounded_count(50, 0, secret=True)
    ('hidden', 50)
    """
    if not threshold:
        return int(count) if float(count).is_integer() else count
    if secret:
        return HIDDEN
    if 0 < count < threshold:
        return f"<{threshold}"
    return math.floor(count / threshold + 0.5) * threshold


def known_count(count: Rounded | None) -> float:
    """The number behind a shown count; NaN where it is hidden."""
    return math.nan if count is None or isinstance(count, str) else float(count)


def shown_share(part: Rounded, whole: Rounded) -> float | None:
    """The share of two shown counts; None where one is hidden, or the whole is 0.

    >>> shown_share(20, 80), shown_share("<10", 80), shown_share(0, 0)
    (0.25, None, None)
    """
    top, bottom = known_count(part), known_count(whole)
    return None if math.isnan(top) or math.isnan(bottom) or bottom == 0 else top / bottom


def outward(
    low: Floats, high: Floats, whole: float, threshold: float | Floats
) -> tuple[Floats, Floats]:
    """The ends of intervals, moved outward to multiples of `threshold` / `whole`.

    Percentiles of exact counts, and the middle between them, would tell what the value rounds.

    >>> [end.round(3) for end in outward(np.array([0.26]), np.array([0.41]), 100, 10)]
    [array([0.2]), array([0.5])]
    """
    step = threshold / whole
    return np.floor(np.round(low / step, 9)) * step, np.ceil(np.round(high / step, 9)) * step


def from_counts(
    exact: Mapping[str, Any], part: Rounded, whole: Rounded, threshold: int
) -> Estimate:
    """A share as that of two shown counts where few are hidden; else as it is.

    Its interval holds the value, which is of rounded counts, and is moved `outward`.

    >>> exact = {"value": 0.26, "low": 0.18, "high": 0.33}
    >>> from_counts(exact, 30, 100, 10), from_counts(exact, 30, 100, 0)["value"]
    ({'value': 0.3, 'low': 0.1, 'high': 0.4}, 0.26)
    """
    low, high, share = exact["low"], exact["high"], shown_share(part, whole)
    if not threshold:
        return {"value": exact["value"], "low": low, "high": high}
    if share is None:
        return NOTHING
    if low is None or high is None:
        return {"value": share, "low": None, "high": None}
    ends = outward(np.array(low), np.array(high), known_count(whole), threshold)
    lower, upper = (float(end.clip(0, 1).round(9)) for end in ends)
    return {"value": share, "low": min(lower, share), "high": max(upper, share)}


def shown_attrition(conditions: list[dict[str, Any]], threshold: int) -> list[Condition]:
    """The cohort's conditions, those that few failed merged, with counts as they may be shown.

    A threshold of 0 shows all.
    """
    told = merged(conditions, threshold) if threshold else conditions
    rows = [
        {key: shown(value, threshold) if type(value) is int else value for key, value in row}
        for row in (condition.items() for condition in told)
    ]
    return cast(list[Condition], rows)
