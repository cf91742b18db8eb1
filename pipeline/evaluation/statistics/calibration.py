"""Calibration slope and intercept of probabilities, under many sets of case weights at once.

Both are logistic regressions of the outcome on the logit of the predicted probability (Cox 1958;
the "weak calibration" of Van Calster et al. 2016):

* slope: coefficient b of logit P(positive) = a + b · logit(p); 1 is right, below 1 the predictions
  are too extreme;
* intercept: coefficient a with b fixed at 1 ("calibration in the large"); 0 is right, below 0 the
  predictions are too high on average.
"""

from collections.abc import Callable

import numpy as np
from numpy.polynomial import chebyshev
from scipy.special import expit

from pipeline.evaluation.statistics.metrics import CLIP, Flags, Floats, unit_weights

ITERATIONS = 30
TOLERANCE = 1e-8
STEP = 2.0  # longest Newton step per coefficient: badly calibrated scores must not overshoot
NODES, REACH = 16, 1.0  # of the polynomial: points, and how far from the sample's intercept
FLAT = 1e-12  # curvature per unit weight below which the two classes count as separated


def slope_and_intercept(label: Flags, score: Floats, weights: Floats) -> Floats:
    """(B, 2): calibration slope and intercept in the large under each of (B, n) weights.

    NaN where there is no finite solution (separated classes, a constant score for the slope).

    >>> label = np.array([True, False, False, False])
    >>> slope_and_intercept(label, np.full(4, 0.5), np.ones((1, 4))).round(3)
    array([[   nan, -1.099]])
    """
    return np.stack([slope(label, score, weights), in_the_large(label, score, weights)], axis=1)


def slope(label: Flags, score: Floats, weights: Floats) -> Floats:
    """(B,): the calibration slope under each of (B, n) weights; NaN without a finite solution."""
    return line_of(label, score, weights)[:, 1]


def line_of(label: Flags, score: Floats, weights: Floats) -> Floats:
    """(B, 2): intercept and slope of logit P(positive) = a + b · logit(p) under (B, n) weights.

    NaN without a finite solution.

    >>> label, score = np.arange(8) < 4, np.array([0.9, 0.8, 0.8, 0.2, 0.8, 0.2, 0.2, 0.1])
    >>> line_of(label, score, np.ones((1, 8))).round(3) + 0.0
    array([[0.   , 0.781]])
    """
    design, middle, spread = line(logits(score))
    fitted = logistic(design, np.zeros(len(score)), label, weights)
    steep = fitted[:, 0] / spread
    return np.stack([fitted[:, 1] - steep * middle, steep], axis=1)


def in_the_large(label: Flags, score: Floats, weights: Floats) -> Floats:
    """(B,): the intercept with slope 1 under each of (B, n) weights; NaN with one class."""
    return in_the_large_of(label, score)(weights)


def in_the_large_of(label: Flags, score: Floats) -> Callable[[Floats], Floats]:
    """The same as a function of the weights, for many blocks of them.

    What is expected at an intercept is a smooth function of it. Near the solution of the sample
    itself it is taken from Chebyshev's polynomial through NODES points, of which the weights are
    the only thing that differs between resamples; elsewhere by `logistic`. (Exact to 1e-9, and a
    hundred times faster.)
    """
    one, odds = np.ones((1, len(score))), logits(score)
    centre = logistic(one, odds, label, unit_weights(label))[0, 0]
    if np.isnan(centre):
        return lambda weights: np.full(len(weights), np.nan)
    nodes = chebyshev.chebpts1(NODES)
    expected = expit(odds[:, None] + centre + REACH * nodes)  # (n, NODES)
    fitted = np.linalg.solve(chebyshev.chebvander(nodes, NODES - 1), expected.T).T
    parts = np.concatenate([fitted, label[:, None].astype(np.float64)], axis=1)

    def solved(weights: Floats) -> Floats:
        sums = (weights @ parts).T  # (NODES + 1, B)
        fit, positive = sums[:-1], sums[-1]
        rising, at = chebyshev.chebder(fit), np.zeros(len(weights))
        for _ in range(ITERATIONS):
            gap = chebyshev.chebval(at, fit, tensor=False) - positive
            step = gap / np.maximum(chebyshev.chebval(at, rising, tensor=False), FLAT)
            at = np.clip(at - step, -1, 1)
            if np.all((np.abs(step) < TOLERANCE) | (np.abs(at) == 1)):
                break
        made: Floats = centre + REACH * at
        far = (np.abs(at) == 1) | (np.abs(step) >= TOLERANCE)
        if far.any():
            made[far] = logistic(one, odds, label, weights[far])[:, 0]
        return made

    return solved


def logits(score: Floats) -> Floats:
    """Log odds of probabilities, which are clipped to [CLIP, 1 − CLIP]."""
    clipped = np.clip(score, CLIP, 1 - CLIP)
    odds: Floats = np.log(clipped / (1 - clipped))
    return odds


def line(logit: Floats) -> tuple[Floats, float, float]:
    """The design (2, n) of a line, well conditioned, and the mean and spread that it is made with.

    Its first row is the standardised logit: a coefficient on it is `spread` times the slope.
    """
    middle, spread = float(logit.mean()), float(logit.std()) or 1.0
    return np.stack([(logit - middle) / spread, np.ones_like(logit)]), middle, spread


def logistic(design: Floats, offset: Floats, label: Flags, weights: Floats) -> Floats:
    """Logistic regressions under each of (B, n) weights: design (k, n), offset (n,) → (B, k).

    NaN without a finite solution. Begun at the solution of the sample itself, as resamples end
    near it.
    """
    zeros = np.zeros((1, len(design)))
    near = _logistic(design, offset, label, np.ones((1, len(label))), zeros)
    start = np.broadcast_to(np.nan_to_num(near), (len(weights), len(design)))
    return _logistic(design, offset, label, weights, start)


def _logistic(
    design: Floats, offset: Floats, label: Flags, weights: Floats, start: Floats
) -> Floats:
    """Weighted logistic regressions by Newton's method: design (k, n), weights (B, n) → (B, k).

    `start`: (B, k), where the search begins.
    """
    products = (design[:, None] * design[None]).reshape(-1, design.shape[1])  # (k², n)
    total = weights.sum(axis=1)[:, None]
    beta = start.copy()
    step = np.full_like(beta, np.inf)
    flat = np.zeros(len(weights), dtype=bool)
    for _ in range(ITERATIONS):
        expected = 0.5 + 0.5 * np.tanh((offset + beta @ design) / 2)  # (B, n), never overflows
        gradient = (weights * (label - expected)) @ design.T / total
        hessian = (weights * expected * (1 - expected)) @ products.T / total
        hessian = hessian.reshape(len(weights), len(design), len(design))
        flat = np.linalg.det(hessian) < FLAT
        hessian[flat] = np.eye(len(design))
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        beta += np.clip(step, -STEP, STEP)
        if np.all(np.abs(step[~flat]) < TOLERANCE):
            break
    solved = ~flat & np.all(np.abs(step) < TOLERANCE, axis=1)
    return np.where(solved[:, None], beta, np.nan)
