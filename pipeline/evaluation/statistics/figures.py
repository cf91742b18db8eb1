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
* Seeds disagree on single patients, too. That part of s² comes from the test patients drawn: the
  resamples of the patients hold it, by the mean over seeds. What they show of it is taken off s².
* A figure that lies in [0, 1], or a difference of two in [−1, 1], keeps to it in every replicate:
  the noise that is added knows no bounds.
* A seed is drawn with all its folds, and for all models of a comparison at once. Models on
  embeddings of the same encoders share a training by seed; models trained on their own do not.
  Differences seed by seed are right for both: where nothing is shared they cost degrees of freedom.
* Fewer than `SEEDS` seeds say too little about s²: the interval then holds patients alone, and no
  verdict rests on it.

The training patients are taken as they are: another training set would move the figures too.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
from scipy.special import ndtr, stdtrit

from pipeline.evaluation.statistics.metrics import Floats
from pipeline.evaluation.statistics.significance import SEEDS, p_value
from pipeline.stage.sections import Difference, Estimate

PERCENTILES = (2.5, 97.5)
DIGITS = 6  # of every number that is written
T = TypeVar("T")
EXACT = 1e6  # degrees of freedom from which on Student's t is the normal distribution
Bounds = tuple[float, float]
ANY: Bounds = (-np.inf, np.inf)
SHARE: Bounds = (0.0, 1.0)
GAP: Bounds = (-1.0, 1.0)  # of two shares
LOSS: Bounds = (0.0, np.inf)

NOTHING: Estimate = {"value": None, "low": None, "high": None}
NO_DIFFERENCE: Difference = {**NOTHING, "seed_sd": None}


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


def known(number: float) -> float | None:
    """The number with None for NaN.

    >>> known(0.5), known(float("nan"))
    (0.5, None)
    """
    return None if np.isnan(number) else float(number)


def estimate(value: float, replicates: Floats) -> Estimate:
    """A value and the interval of its (B,) replicates; null where there is none."""
    low, high = interval(replicates)
    return {"value": known(value), "low": known(float(low)), "high": known(float(high))}


def with_seeds(
    patients: Floats, each: Floats, random_seed: int, apart: Floats | None = None
) -> Floats:
    """Replicates (B, …) over patients with the noise of training added: see the module.

    `patients`: the mean over seeds on each resample of the patients, (B, …). `each`: every seed on
    the sample itself, (S, …). `apart`: how far each seed is from that mean on each resample,
    (B, S, …); None: not known, and nothing is taken off (the interval is then rather too wide).
    With fewer than `SEEDS` seeds, `patients` as they are.
    """
    seeds = len(each)
    if seeds < SEEDS or not len(patients):
        return patients
    random = np.random.default_rng([random_seed, seeds])
    share = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=len(patients)) / seeds
    noise = np.tensordot(share, each - each.mean(axis=0), axes=1) * np.sqrt(seeds / (seeds - 1))
    spread = each.var(axis=0, ddof=1) / seeds
    varied, shown = spread > 0, np.zeros_like(spread)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        of_patients = np.nanvar(patients, axis=0)
        if apart is not None:  # the mean of S deviations is 0: S − 1 of them are free
            shown = np.nanvar(apart, axis=0).sum(axis=0) / (seeds - 1) / seeds
    of_training = np.maximum(spread - shown, 0.0)
    share_left = np.divide(of_training, spread, out=np.zeros_like(spread), where=varied)
    freedom = np.full(spread.shape, np.inf)
    # the estimate of what is left is as uncertain as the spread that it is taken from
    np.divide((seeds - 1) * (of_patients + of_training) ** 2, spread**2, out=freedom, where=varied)
    return heavier(patients + noise * np.sqrt(share_left), freedom)


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
    patients; `random_seed`: of the draws of seeds; `discarded`: resamples with one class only;
    `bounds`: what the figures lie between; `apart`: see `with_seeds`.
    """

    each: Floats
    patients: Floats
    random_seed: int = 0
    discarded: int = 0
    bounds: Bounds = ANY
    apart: Floats | None = None

    @classmethod
    def drawn(cls, each: Floats, by_seed: Floats, random_seed: int) -> "Figures":
        """The figures of every seed on the sample (S, …) and on each resample (B, S, …)."""
        mean = by_seed.mean(axis=1)
        # fewer seeds than a verdict needs: the deviations would not be used
        apart = by_seed - mean[:, None] if len(each) >= SEEDS else None
        return cls(each, mean, random_seed, apart=apart)

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
        """The figures on each resample of patients and seeds, within their bounds: (B, …)."""
        made = with_seeds(self.patients, self.each, self.random_seed, self.apart)
        return made if self.bounds == ANY else np.clip(made, *self.bounds)

    def at(self, *place: int) -> "Figures":
        """One of the figures."""
        index: Any = (..., *place)
        return self.of(lambda figures: figures[index], self.bounds)

    def of(self, change: Callable[[Floats], Floats], bounds: Bounds = ANY) -> "Figures":
        """Other figures that are a linear function of these; it acts on the last axes.

        They lie between `bounds`.

        >>> both = Figures(np.array([[0.8, 0.7]]), np.array([[0.9, 0.7], [0.8, 0.8]]))
        >>> both.of(lambda f: f[..., 0] - f[..., 1]).patients.round(3)
        array([0.2, 0. ])
        """
        apart = None if self.apart is None else change(self.apart)
        each, patients = change(self.each), change(self.patients)
        return replace(self, each=each, patients=patients, bounds=bounds, apart=apart)

    def within(self, bounds: Bounds) -> "Figures":
        """The same figures, known to lie between the bounds."""
        return replace(self, bounds=bounds)

    def estimate(self, *place: int) -> Estimate:
        """The figure at this place with its interval; null where there is none."""
        return estimate(float(self.value[place]), self._drawn(place))

    def difference(self, *place: int) -> Difference:
        """The same of a difference, with its standard deviation between seeds (null of one)."""
        sd = self.at(*place).each.std(ddof=1) if self.seeds > 1 else float("nan")
        return {**self.estimate(*place), "seed_sd": known(float(sd))}

    def p(self, *place: int) -> float:
        """Two-sided p of the figure at this place, for the hypothesis that it is 0."""
        return p_value(self._drawn(place))

    def _drawn(self, place: tuple[int, ...]) -> Floats:
        index: Any = (..., *place)
        drawn: Floats = self.replicates[index]
        return drawn


def rounded(value: T, digits: int = DIGITS) -> T:
    """The value with every float in it rounded to so many digits, and NaN as None.

    >>> rounded({"auroc": [0.12345678, float("nan"), -0.0], "n": 7})
    {'auroc': [0.123457, None, 0.0], 'n': 7}
    """
    made: Any = value
    if isinstance(value, dict):
        made = {key: rounded(part, digits) for key, part in value.items()}
    elif isinstance(value, list):
        made = [rounded(part, digits) for part in value]
    elif isinstance(value, float):
        made = None if math.isnan(value) else round(value, digits) + 0.0
    return cast(T, made)
