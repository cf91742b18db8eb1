"""Percentile intervals by bootstrap over patients, and paired differences under it.

Patients (subject_id), not episodes, are drawn with replacement: admissions of one patient are
alike, and drawing them one by one would make the intervals too narrow. A resample is a row of
integer weights, so a statistic that takes (B, n) weights is computed on many resamples by one
matrix operation. The draws depend on the seed and on the set of patients only: statistics of the
same episodes see the same resamples, and so do the two sides of a difference.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics import Flags, Floats, auroc, unit_weights
from pipeline.evaluation.predictions import Sample

PERCENTILES = (2.5, 97.5)
CELLS = 1_000_000  # weights held at a time: 8 MB for each array of a statistic

Statistic = Callable[[Floats], Floats]
Measure = Callable[[Flags, Floats, Floats], Floats]  # label (n,), score (n,), weights (B, n) → B, …
Estimate = dict[str, float | None]
NOTHING: Estimate = {"value": None, "low": None, "high": None}


@dataclass(frozen=True)
class Resampling:
    """How many resamples are drawn, from which seed, and how few cases are too few.

    `least`: a ranking of fewer positive or negative episodes is not estimated (for real data: from
    its digits they could be counted).
    """

    count: int = 1000
    seed: int = 0
    least: int = 1


def resamples(
    subject: NDArray[np.int64], resampling: Resampling, cells: int = CELLS
) -> Iterator[Floats]:
    """Resamples of the patients as weights of their episodes, in blocks of shape (b, n).

    >>> (weights,) = resamples(np.array([10, 10, 20, 30]), Resampling(count=2))
    >>> weights
    array([[0., 0., 2., 1.],
           [3., 3., 0., 0.]])
    """
    _, patient = np.unique(subject, return_inverse=True)
    patients = int(patient.max(initial=-1)) + 1
    random = np.random.default_rng(resampling.seed)
    block = max(1, cells // max(1, len(subject)))
    for start in range(0, resampling.count, block):
        rows = min(block, resampling.count - start)
        drawn = random.integers(patients, size=(rows, patients))
        drawn += patients * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * patients).reshape(rows, patients)
        yield times[:, patient].astype(np.float64)


def replicate(sample: Sample, statistic: Statistic, resampling: Resampling) -> tuple[Floats, int]:
    """The statistic on every resample, (kept, …), and how many resamples were discarded.

    A resample in which one class is missing (in one of the folds) has no AUROC; it is discarded for
    every statistic, so that all of them rest on the same resamples. The sample must hold both
    classes. Patients are drawn once for all folds.
    """
    values, kept = [], 0
    for weights in resamples(sample.subject, resampling):
        both = np.ones(len(weights), dtype=bool)
        for rows in sample.blocks:
            positives = weights[:, rows] @ sample.label[rows].astype(np.float64)
            both &= (positives > 0) & (positives < weights[:, rows].sum(axis=1))
        kept += int(both.sum())
        values.append(statistic(weights if both.all() else weights[both]))
    return np.concatenate(values), resampling.count - kept


def interval(replicates: Floats) -> tuple[Floats, Floats]:
    """Percentile 95 % interval over the first axis; NaN replicates do not count.

    >>> [float(bound) for bound in interval(np.arange(1001.0))]
    [25.0, 975.0]
    """
    usable = ~np.isnan(replicates).all(axis=0)
    low, high = np.full((2, *replicates.shape[1:]), np.nan)
    if len(replicates) and usable.any():
        low, high = np.nanpercentile(replicates, PERCENTILES, axis=0)
    return low, high


def estimate(value: float, replicates: Floats) -> Estimate:
    """A value and the interval of its (B,) replicates; null where there is none."""
    low, high = interval(replicates)
    numbers = {"value": float(value), "low": float(low), "high": float(high)}
    return {key: None if np.isnan(number) else number for key, number in numbers.items()}


def over_runs(values: Floats, replicates: Floats, names: list[dict[str, int]]) -> dict[str, Any]:
    """A metric: mean over its runs with the interval of its (B,) replicates, spread, and each run.

    `names`: seed and fold of each run.

    >>> found = over_runs(np.array([0.6, 0.8]), np.ones(9), [{"seed": 0}, {"seed": 1}])
    >>> round(found["value"], 3), round(found["sd"], 3), found["by_run"][1]
    (0.7, 0.141, {'seed': 1, 'value': 0.8})
    """
    result: dict[str, Any] = {**estimate(values.mean(), replicates), "sd": None}
    if len(values) > 1:
        result["sd"] = float(values.std(ddof=1))
        pairs = zip(names, values.tolist(), strict=True)
        result["by_run"] = [{**run, "value": value} for run, value in pairs]
    return result


def per_run(measure: Measure, sample: Sample, weights: Floats) -> Floats:
    """A measure of every run, fold by fold and in each seed by seed: (B, n) → (B, runs, …)."""
    each = [
        measure(sample.label[rows], score[rows], weights[:, rows])
        for rows in sample.blocks
        for score in sample.probability
    ]
    return np.stack(each, axis=1)


def seed_mean(measure: Measure, sample: Sample) -> Statistic:
    """The mean of a measure over seeds and folds, as a function of the weights: (B, n) → (B, …)."""
    return lambda weights: per_run(measure, sample, weights).mean(axis=1)


def auroc_estimate(sample: Sample, resampling: Resampling) -> Estimate:
    """AUROC, mean over runs, with its interval; null where one class is missing."""
    if sample.fewest < resampling.least:
        return dict(NOTHING)
    statistic = seed_mean(auroc, sample)
    values, _ = replicate(sample, statistic, resampling)
    return estimate(statistic(unit_weights(sample.label))[0], values)


def differences(
    first: Sample, second: Sample, resampling: Resampling
) -> tuple[float, Floats] | None:
    """Paired difference first − second of the AUROC, and its (B,) replicates.

    The samples hold the same episodes. Each side is the mean over its runs; both sides of a
    replicate see the same patients. None where one class is missing.
    """
    if first.fewest < resampling.least:
        return None
    one, two = seed_mean(auroc, first), seed_mean(auroc, second)

    def difference(weights: Floats) -> Floats:
        return one(weights) - two(weights)

    values, _ = replicate(first, difference, resampling)
    return float(difference(unit_weights(first.label))[0]), values


def auroc_difference(first: Sample, second: Sample, resampling: Resampling) -> Estimate:
    """Paired difference first − second of the AUROC with its interval; see `differences`."""
    found = differences(first, second, resampling)
    return estimate(*found) if found else dict(NOTHING)
