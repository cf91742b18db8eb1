"""Correlations of one variable with others, given third ones, under many sets of case weights.

Both sides are freed of what is linear in the controls; what is left of them is correlated. All of
it follows from the weighted products of the columns, one matrix of them per row of weights.
"""

import numpy as np

from pipeline.evaluation.statistics.metrics import Floats

DETERMINED = 1e-6  # share of a variance left by the controls below which nothing is left


def ranks(values: Floats) -> Floats:
    """The place of each value between 0 and 1, equal values sharing theirs: (n,).

    >>> ranks(np.array([0.2, 0.9, 0.2]))
    array([0.33333333, 0.83333333, 0.33333333])
    """
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    shared: Floats = ((np.cumsum(count) - count / 2) / len(values))[place]
    return shared


def partial_correlations(one: Floats, others: Floats, controls: Floats, weights: Floats) -> Floats:
    """Correlation of `one` (n,) with each of `others` (n, k), given `controls` (n, c): (B, k).

    `weights`: (B, n). NaN where the controls determine one of the two sides.

    >>> x = np.array([0.0, 1.0, 2.0, 3.0])
    >>> both = np.stack([x**2, -x], axis=1)
    >>> partial_correlations(x, both, np.empty((4, 0)), np.ones((1, 4))).round(3)
    array([[ 0.958, -1.   ]])
    >>> partial_correlations(x, both, x[:, None], np.ones((1, 4)))
    array([[nan, nan]])
    """
    ones = np.ones((len(one), 1))
    columns = _standardised(np.column_stack([controls, one, others]))
    columns = np.concatenate([ones, columns], axis=1)  # (n, p): intercept, controls, one, others
    first, size = controls.shape[1] + 1, columns.shape[1]
    products = (columns[:, :, None] * columns[:, None, :]).reshape(len(one), -1)
    gram = (weights @ products).reshape(-1, size, size) / weights.sum(axis=1)[:, None, None]
    left = _residual(gram, first)
    variance = np.diagonal(left, axis1=1, axis2=2)
    known = variance > DETERMINED * _variances(gram, first)
    scale = np.sqrt(np.where(known, variance, 1.0))
    found: Floats = np.clip(left[:, 0, 1:] / (scale[:, :1] * scale[:, 1:]), -1, 1)
    return np.where(known[:, :1] & known[:, 1:], found, np.nan)


def _standardised(columns: Floats) -> Floats:
    """Columns of mean 0 and standard deviation 1; constant ones are 0."""
    spread = columns.std(axis=0)
    moved: Floats = (columns - columns.mean(axis=0)) / np.where(spread > 1e-12, spread, 1.0)
    return np.where(spread > 1e-12, moved, 0.0)


def _residual(gram: Floats, first: int) -> Floats:
    """Covariances of the columns from `first` on, given those before: (B, p, p) → (B, m, m)."""
    inner, mixed = gram[:, :first, :first], gram[:, :first, first:]
    solved = np.linalg.pinv(inner, rcond=1e-9, hermitian=True) @ mixed
    left: Floats = gram[:, first:, first:] - mixed.transpose(0, 2, 1) @ solved
    return left


def _variances(gram: Floats, first: int) -> Floats:
    """Variances of the columns from `first` on, of unconditional columns: (B, m)."""
    mean = gram[:, 0, first:]
    raw = np.diagonal(gram[:, first:, first:], axis1=1, axis2=2)
    return np.maximum(raw - mean**2, 1e-12)
