"""Figures that are means over training seeds, and intervals that hold patients and training.

A model trained again from another seed scores otherwise. The mean over S seeds differs from what
the method gives on average by that noise, whose variance is s²/S. Resampling patients alone leaves
it out: at a seed SD of .005 an interval that claims 5 % errs in 13 % of cases. So each replicate
draws patients *and* seeds:

* S seeds are drawn with replacement from the S at hand. Their deviations are stretched by
  √(S / (S − 1)): the variance of S drawn values is too small by (S − 1) / S.
* s² of few seeds is itself uncertain. Replicates take the quantiles of Student's t instead of the
  normal ones, with the degrees of freedom of Welch and Satterthwaite: S − 1 where training is all
  the noise, ever more where patients are.
* A seed is drawn with all its folds, and for all models of a comparison at once. Models on
  embeddings of the same encoders share a training by seed; models trained on their own do not.
  Differences seed by seed are right for both: where nothing is shared they cost degrees of freedom.
* Fewer than `SEEDS` seeds say too little about s²: the interval then holds patients alone, and no
  verdict rests on it.

The training patients are taken as they are: another training set would move the figures too.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import ndtr, stdtrit

from pipeline.evaluation.metrics import Floats
from pipeline.evaluation.significance import SEEDS, p_value

PERCENTILES = (2.5, 97.5)
EXACT = 1e6  # degrees of freedom from which on Student's t is the normal distribution

Estimate = dict[str, float | None]
NOTHING: Estimate = {"value": None, "low": None, "high": None}


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


def known(**numbers: float) -> Estimate:
    """The numbers with None for NaN.

    >>> known(value=0.5, low=float("nan"))
    {'value': 0.5, 'low': None}
    """
    return {key: None if np.isnan(number) else float(number) for key, number in numbers.items()}


def estimate(value: float, replicates: Floats) -> Estimate:
    """A value and the interval of its (B,) replicates; null where there is none."""
    low, high = interval(replicates)
    return known(value=value, low=float(low), high=float(high))


def with_seeds(patients: Floats, each: Floats, random_seed: int) -> Floats:
    """Replicates (B, …) over patients with the noise of training added: see the module.

    `patients`: the mean over seeds on each resample of the patients, (B, …). `each`: every seed on
    the sample itself, (S, …). With fewer than `SEEDS` seeds, `patients` as they are.
    """
    seeds = len(each)
    if seeds < SEEDS or not len(patients):
        return patients
    random = np.random.default_rng([random_seed, seeds])
    share = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=len(patients)) / seeds
    noise = np.tensordot(share, each - each.mean(axis=0), axes=1) * np.sqrt(seeds / (seeds - 1))
    of_training = each.var(axis=0, ddof=1) / seeds
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        of_patients = np.nanvar(patients, axis=0)
    freedom = np.full(of_training.shape, np.inf)
    np.divide(
        (seeds - 1) * (of_patients + of_training) ** 2,
        of_training**2,
        out=freedom,
        where=of_training > 0,
    )
    return heavier(patients + noise, freedom)


def heavier(replicates: Floats, freedom: Floats) -> Floats:
    """Replicates (B, …) whose deviations from their mean take Student's quantiles, not normal ones.

    A monotone change: what lies on the other side of the mean stays there. `freedom`: (…).

    >>> drawn = heavier(np.random.default_rng(0).normal(size=100_000), np.array(4.0))
    >>> round(float(np.quantile(drawn, 0.975)), 1)  # of Student's t: 2.78; normal: 1.96
    2.8
    """
    with warnings.catch_warnings():  # a figure that no resample has stays NaN
        warnings.simplefilter("ignore", RuntimeWarning)
        centre, scale = np.nanmean(replicates, axis=0), np.nanstd(replicates, axis=0)
    moved = (freedom < EXACT) & (scale > 0)
    if not moved.any():
        return replicates
    z = (replicates - centre) / np.where(scale > 0, scale, 1.0)
    student = -np.sign(z) * stdtrit(np.minimum(freedom, EXACT), ndtr(-np.abs(z)))
    return np.where(moved, centre + scale * student, replicates)


@dataclass(frozen=True)
class Figures:
    """Figures of a model, or of several, each the mean over S seeds (of their folds).

    `each`: (S, …) by seed on the sample; `patients`: (B, …) mean over seeds on each resample of the
    patients; `random_seed`: of the draws of seeds; `discarded`: resamples with one class only.
    """

    each: Floats
    patients: Floats
    random_seed: int = 0
    discarded: int = 0

    @property
    def seeds(self) -> int:
        """How many seeds the figures are means of."""
        return len(self.each)

    @property
    def value(self) -> Floats:
        """The figures: (…)."""
        mean: Floats = self.each.mean(axis=0)
        return mean

    @cached_property
    def replicates(self) -> Floats:
        """The figures on each resample of patients and seeds: (B, …)."""
        return with_seeds(self.patients, self.each, self.random_seed)

    def at(self, *place: int) -> "Figures":
        """One of the figures."""
        index: Any = (..., *place)
        return self.of(lambda figures: figures[index])

    def of(self, change: Callable[[Floats], Floats]) -> "Figures":
        """Other figures that are a linear function of these; it acts on the last axes.

        >>> both = Figures(np.array([[0.8, 0.7]]), np.array([[0.9, 0.7], [0.8, 0.8]]))
        >>> both.of(lambda f: f[..., 0] - f[..., 1]).patients.round(3)
        array([0.2, 0. ])
        """
        return Figures(change(self.each), change(self.patients), self.random_seed, self.discarded)

    def estimate(self, *place: int) -> Estimate:
        """The figure at this place with its interval; null where there is none."""
        return estimate(float(self.value[place]), self._drawn(place))

    def difference(self, *place: int) -> Estimate:
        """The same of a difference, with its standard deviation between seeds (null of one)."""
        sd = self.at(*place).each.std(ddof=1) if self.seeds > 1 else float("nan")
        return self.estimate(*place) | known(seed_sd=sd)

    def p(self, *place: int) -> float:
        """Two-sided p of the figure at this place, for the hypothesis that it is 0."""
        return p_value(self._drawn(place))

    def _drawn(self, place: tuple[int, ...]) -> Floats:
        index: Any = (..., *place)
        drawn: Floats = self.replicates[index]
        return drawn
