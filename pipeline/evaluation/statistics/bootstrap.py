"""Intervals by bootstrap over patients (and training seeds), and paired differences under it.

Patients (subject_id), not episodes, are drawn with replacement: admissions of one patient are
alike, and drawing them one by one would make the intervals too narrow. A resample is a row of
integer weights, so a statistic that takes (B, n) weights is computed on many resamples by one
matrix operation. The draws depend on the seed and on the set of patients only: statistics of the
same episodes see the same resamples, and so do the two sides of a difference. How training seeds
come in is told in `pipeline.evaluation.statistics.figures`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.statistics.figures import (
    ANY,
    GAP,
    NO_DIFFERENCE,
    NOTHING,
    SHARE,
    Bounds,
    Figures,
)
from pipeline.evaluation.statistics.metrics import Flags, Floats, auroc, unit_weights
from pipeline.evaluation.statistics.sample import Sample
from pipeline.evaluation.statistics.significance import SEEDS
from pipeline.stage.result import Bootstrap
from pipeline.stage.sections import Difference, Estimate, Metric, Run

CELLS = 1_000_000  # weights held at a time: 8 MB for each array of a statistic

Statistic = Callable[[Floats], Floats]  # weights (B, n) → (B, S, …): a figure of each seed
Measure = Callable[[Flags, Floats, Floats], Floats]  # label (n,), score (n,), weights (B, n) → B, …


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


def described(resampling: Resampling, seeds: int) -> Bootstrap:
    """How the intervals of figures of so many seeds were made, for the record.

    >>> described(Resampling(1000), 1)
    {'unit': 'subject_id', 'level': 0.95, 'resamples': 1000, 'seed': 0, 'training_noise': False}
    """
    return {
        "unit": "subject_id",
        "level": 0.95,
        "resamples": resampling.count,
        "seed": resampling.seed,
        "training_noise": seeds >= SEEDS,
    }


def replicate(
    sample: Sample, statistic: Statistic, resampling: Resampling, bounds: Bounds = ANY
) -> Figures:
    """The statistic of each seed on the sample, and its mean on every resample of the patients.

    A resample in which one class is missing (in one of the folds) has no AUROC; it is discarded for
    every statistic, so that all of them rest on the same resamples. The sample must hold both
    classes. Patients are drawn once for all folds. The statistic lies between `bounds`.
    """
    values, kept = [], 0
    for weights in resamples(sample.subject, resampling):
        both = np.ones(len(weights), dtype=bool)
        for rows in sample.blocks:
            positives = weights[:, rows] @ sample.label[rows].astype(np.float64)
            both &= (positives > 0) & (positives < weights[:, rows].sum(axis=1))
        kept += int(both.sum())
        values.append(statistic(weights if both.all() else weights[both]))
    each = statistic(unit_weights(sample.label))[0]
    discarded = resampling.count - kept
    drawn = Figures.drawn(each, np.concatenate(values), resampling.seed)
    return replace(drawn, discarded=discarded, bounds=bounds)


def over_runs(figure: Figures, by_run: Floats, names: list[Run]) -> Metric:
    """A metric: mean over its runs with its interval, their standard deviation, and each run.

    `figure`: the metric, by seed. `by_run`: (F · S,) fold by fold; `names`: seed and fold of each.

    >>> figure = Figures(np.array([0.6, 0.8]), np.ones(9))
    >>> runs = [{"seed": 0, "fold": 0}, {"seed": 1, "fold": 0}]
    >>> metric = over_runs(figure, figure.each, runs)
    >>> round(metric["value"], 3), round(metric["sd"], 3), metric["by_run"][1]
    (0.7, 0.141, {'seed': 1, 'fold': 0, 'value': 0.8})
    """
    metric: Metric = {**figure.estimate(), "sd": None}
    if len(by_run) > 1:
        pairs = zip(names, by_run.tolist(), strict=True)
        metric["sd"] = float(by_run.std(ddof=1))
        metric["by_run"] = [{**run, "value": value} for run, value in pairs]
    return metric


def per_run(measure: Measure, sample: Sample, weights: Floats) -> Floats:
    """A measure of every run, fold by fold and in each seed by seed: (B, n) → (B, runs, …)."""
    each = [
        measure(sample.label[rows], score[rows], weights[:, rows])
        for rows in sample.blocks
        for score in sample.probability
    ]
    return np.stack(each, axis=1)


def over_folds(by_run: Floats, folds: int) -> Floats:
    """The mean over folds of each seed: (B, F · S, …) → (B, S, …).

    >>> over_folds(np.array([[0.0, 1.0, 2.0, 3.0]]), 2)
    array([[1., 2.]])
    """
    rows, runs, *shape = by_run.shape
    mean: Floats = by_run.reshape(rows, folds, runs // folds, *shape).mean(axis=1)
    return mean


def per_seed(measure: Measure, sample: Sample) -> Statistic:
    """A measure of each seed, mean over its folds, as a function of the weights."""
    return lambda weights: over_folds(per_run(measure, sample, weights), sample.folds)


def auroc_estimate(sample: Sample, resampling: Resampling) -> Estimate:
    """AUROC, mean over runs, with its interval; null where one class is missing."""
    if sample.fewest < resampling.least:
        return NOTHING
    return replicate(sample, per_seed(auroc, sample), resampling, SHARE).estimate()


def differences(first: Sample, second: Sample, resampling: Resampling) -> Figures | None:
    """Paired difference first − second of the AUROC.

    The samples hold the same episodes and as many seeds, but for the oracle: one is never trained.
    Both sides of a replicate see the same patients. None where one class is missing.
    """
    if first.fewest < resampling.least:
        return None
    one, two = per_seed(auroc, first), per_seed(auroc, second)
    return replicate(first, lambda weights: one(weights) - two(weights), resampling, GAP)


def auroc_difference(first: Sample, second: Sample, resampling: Resampling) -> Difference:
    """Paired difference first − second of the AUROC with its interval; see `differences`."""
    drawn = differences(first, second, resampling)
    return drawn.difference() if drawn else NO_DIFFERENCE
