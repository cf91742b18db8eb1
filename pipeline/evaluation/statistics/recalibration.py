"""Recalibration of probabilities, and the smooth curve of calibration.

Platt scaling (1999) is a logistic regression of the outcome on the logit of the probability, with
slope and intercept; temperature scaling (Guo et al. 2017) has a slope alone, 1 / T. Both keep the
order of the probabilities, so no ranking changes.

The smooth curve is the same regression on a restricted cubic spline of the logit with four knots
(Harrell 2015). The mean distance of the curve from the predictions is the integrated calibration
index (Austin & Steyerberg 2019).
"""

from typing import Literal

import numpy as np
from scipy.special import expit

from pipeline.evaluation.statistics.calibration import line, logistic, logits
from pipeline.evaluation.statistics.metrics import Flags, Floats, unit_weights

KNOTS = (0.05, 0.35, 0.65, 0.95)  # quantiles of the logit


def fit_recalibration(
    label: Flags, score: Floats, method: Literal["platt", "temperature"]
) -> tuple[float, float]:
    """Intercept and slope of logit p' = intercept + slope · logit p; NaN without a finite fit.

    Maximum likelihood, no penalty. Of temperature scaling the intercept is 0.

    >>> label, score = np.arange(8) < 4, np.array([0.9, 0.8, 0.8, 0.2, 0.8, 0.2, 0.2, 0.1])
    >>> [round(value, 3) + 0.0 for value in fit_recalibration(label, score, "platt")]
    [0.0, 0.781]
    """
    odds = logits(score)
    if method == "platt":
        return fit_line(label, odds)
    fitted = logistic(odds[None], np.zeros(len(odds)), label, unit_weights(label))
    return 0.0, float(fitted[0, 0])


def fit_line(label: Flags, value: Floats) -> tuple[float, float]:
    """Intercept and slope of the log odds of the label (n,) by a value (n,); NaN without a fit."""
    design, middle, spread = line(value)
    slope, intercept = logistic(design, np.zeros(len(value)), label, unit_weights(label))[0]
    return float(intercept - slope * middle / spread), float(slope / spread)


def recalibrated(score: Floats, intercept: float, slope: float) -> Floats:
    """Probabilities with logit p' = intercept + slope · logit p, of p clipped as in the fit.

    Predictions are written with 7 digits: 0 and 1 are rounded ones, and change like their
    neighbours. A line that changes nothing leaves all as they are.

    >>> recalibrated(np.array([0.0, 1e-7, 0.5, 1.0]), 0.0, 0.1).round(2)
    array([0.17, 0.17, 0.5 , 0.83])
    >>> recalibrated(np.array([0.0, 0.2, 1.0]), 0.0, 1.0)
    array([0. , 0.2, 1. ])
    """
    if (intercept, slope) == (0.0, 1.0):
        return score
    made: Floats = expit(intercept + slope * logits(score))
    return made


def spline(odds: Floats, knots: Floats) -> Floats:
    """The restricted cubic spline (4, n) of log odds: 1, themselves, and two terms that are linear
    beyond the outer knots.

    Harrell's terms, divided by the squared distance of the outer knots.
    """
    first, second, last = knots[0], knots[-2], knots[-1]
    cubes = np.maximum(odds - knots[:, None], 0) ** 3  # (4, n)
    terms = [
        cube - (cubes[-2] * (last - knot) - cubes[-1] * (second - knot)) / (last - second)
        for knot, cube in zip(knots[:-2], cubes, strict=False)
    ]
    return np.stack([np.ones_like(odds), odds, *(term / (last - first) ** 2 for term in terms)])


def smooth(label: Flags, score: Floats, weights: Floats, risk: Floats) -> Floats:
    """The smooth share of positives at each `risk` (m,) under each of (B, n) weights: (B, m).

    The knots are those of the sample, whatever the weights. NaN where they coincide (scores of few
    values), or without a finite fit.

    >>> random = np.random.default_rng(0)
    >>> score = random.uniform(0.05, 0.95, 10_000)
    >>> at = np.array([0.2, 0.8])
    >>> smooth(random.random(10_000) < score, score, np.ones((1, 10_000)), at).round(1)
    array([[0.2, 0.8]])
    """
    design, middle, spread = line(logits(score))
    knots = np.quantile(design[0], KNOTS)
    if np.any(np.diff(knots) <= 0):
        return np.full((len(weights), len(risk)), np.nan)
    # columns that are orthogonal on the sample: nearly collinear ones count as separated classes
    own, other = (spline(odds, knots) for odds in (design[0], (logits(risk) - middle) / spread))
    basis, change = np.linalg.qr(own.T)
    size = np.sqrt(len(score))
    beta = logistic(size * basis.T, np.zeros(len(score)), label, weights)
    curve: Floats = expit(size * beta @ np.linalg.solve(change.T, other))
    return curve
