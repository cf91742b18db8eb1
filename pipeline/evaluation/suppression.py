"""Small counts of real patients are not shown (MIMIC's data use agreement asks for aggregates)."""

from typing import Any

from pipeline.evaluation.predictions import Sample

Shown = int | str


def shown(count: int, threshold: int) -> Shown:
    """The count, or "<threshold" where it is 1 or more and below; a threshold of 0 shows all.

    >>> shown(0, 10), shown(9, 10), shown(10, 10), shown(9, 0)
    (0, '<10', 10, 9)
    """
    return f"<{threshold}" if 0 < count < threshold else count


def shown_each(counts: dict[str, int], threshold: int) -> dict[str, Any]:
    """Every count of a mapping as far as it may be shown."""
    return {name: shown(count, threshold) for name, count in counts.items()}


def shown_counts(sample: Sample, threshold: int) -> dict[str, Any]:
    """Episodes, patients, positives and prevalence of a sample, as far as they may be shown.

    Few negatives would follow from n and many positives, so these are given as ">n − threshold";
    where positives are not given exactly, the prevalence is null.
    """
    counts = sample.counts
    result = shown_each(counts, threshold)
    n, positives = counts["n"], counts["positives"]
    if 0 < n - positives < threshold <= n:
        result["positives"] = f">{n - threshold}"
    exact = n > 0 and [result["n"], result["positives"]] == [n, positives]
    return {**result, "prevalence": positives / n if exact else None}


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


def hides(sample: Sample, threshold: int) -> bool:
    """Whether positives or negatives of a sample are too few to be shown."""
    counts = sample.counts
    sides = counts["positives"], counts["n"] - counts["positives"]
    return any(0 < side < threshold for side in sides)


def shown_attrition(conditions: list[dict[str, Any]], threshold: int) -> list[dict[str, Any]]:
    """The cohort's conditions with every whole number in them as far as it may be shown."""
    return [
        {key: shown(value, threshold) if type(value) is int else value for key, value in row}
        for row in (condition.items() for condition in conditions)
    ]
