"""Calibration slope and intercept of probabilities, under many sets of case weights at once.

Both are logistic regressions of the outcome on the logit of the predicted probability (Cox 1958;
the "weak calibration" of Van Calster et al. 2016):

* slope: coefficient b of logit P(positive) = a + b · logit(p); 1 is right, below 1 the predictions
  are too extreme;
* intercept: coefficient a with b fixed at 1 ("calibration in the large"); 0 is right, below 0 the
  predictions are too high on average.
"""

import numpy as np

from pipeline.evaluation.statistics.metrics import CLIP, Flags, Floats

ITERATIONS = 30
TOLERANCE = 1e-8
STEP = 2.0  # longest Newton step per coefficient: badly calibrated scores must not overshoot
FLAT = 1e-12  # curvature per unit weight below which the two classes count as separated


def slope_and_intercept(label: Flags, score: Floats, weights: Floats) -> Floats:
    """(B, 2): calibration slope and intercept in the large under each of (B, n) weights.

    NaN where there is no finite solution (separated classes, a constant score for the slope).

    >>> label = np.array([True, False, False, False])
    >>> slope_and_intercept(label, np.full(4, 0.5), np.ones((1, 4))).round(3)
    array([[   nan, -1.099]])
    """
    clipped = np.clip(score, CLIP, 1 - CLIP)
    logit = np.log(clipped / (1 - clipped))
    one, spread = np.ones_like(logit), logit.std() or 1.0
    design = np.stack([(logit - logit.mean()) / spread, one])  # well conditioned, same slope
    slope = _resampled(design, np.zeros_like(logit), label, weights)[:, 0] / spread
    intercept = _resampled(one[None], logit, label, weights)[:, 0]
    return np.stack([slope, intercept], axis=1)


def _resampled(design: Floats, offset: Floats, label: Flags, weights: Floats) -> Floats:
    """`_logistic`, begun at the solution of the sample itself, as resamples end near it."""
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
