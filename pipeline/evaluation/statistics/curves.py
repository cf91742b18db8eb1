"""ROC and precision-recall curves of weighted episodes, at stated places of a grid."""

import numpy as np

from pipeline.evaluation.statistics.metrics import Flags, Floats

GRID = np.linspace(0, 1, 101)
EXACT = 1e-9  # tolerance for "recall of exactly this grid point"


def roc(label: Flags, score: Floats, weights: Floats, at: Floats = GRID) -> Floats:
    """True positive rate at each false positive rate `at` (K,), linear between thresholds: (B, K).

    >>> label, score = np.array([True, True, False]), np.array([0.9, 0.2, 0.5])
    >>> roc(label, score, np.ones((1, 3)))[0, [0, 99, 100]]
    array([0.5, 0.5, 1. ])
    """
    true, false = rates(label, score, weights)
    # rows are laid behind one another, 2 apart, so that one interpolation serves all of them
    shift = 2.0 * np.arange(len(weights))[:, None]
    return np.interp((at + shift).ravel(), (false + shift).ravel(), true.ravel()).reshape(
        len(weights), len(at)
    )


def precision_recall(label: Flags, score: Floats, weights: Floats, at: Floats = GRID) -> Floats:
    """Precision at the highest threshold that reaches each recall `at` (K,): (B, K).

    A step curve; the area under it is the average precision. At recall 0: that of recall .01.

    >>> label, score = np.array([True, True, False]), np.array([0.9, 0.2, 0.5])
    >>> precision_recall(label, score, np.ones((1, 3)))[0, [0, 50, 51, 100]].round(3)
    array([1.   , 1.   , 0.667, 0.667])
    """
    true, false = rates(label, score, weights)
    shift = 2.0 * np.arange(len(weights))[:, None]
    wanted = (np.maximum(at, GRID[1]) - EXACT + shift).ravel()
    place = np.searchsorted((true + shift).ravel(), wanted)
    positives = (weights @ label).repeat(len(at))
    negatives = (weights @ ~label).repeat(len(at))
    hits, alarms = true.ravel()[place] * positives, false.ravel()[place] * negatives
    return (hits / (hits + alarms)).reshape(len(weights), len(at))


def rates(label: Flags, score: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Share of positives and of negatives at or above each threshold, from none to all: (B, T)."""
    order = np.argsort(-score, kind="stable")
    descending = score[order]
    last = np.append(np.flatnonzero(np.diff(descending)), len(order) - 1)  # ends of tied groups
    rates = []
    for side in (label, ~label):
        sums = np.cumsum(weights[:, order] * side[order], axis=1)[:, last]
        rates.append(np.pad(sums / sums[:, -1:], ((0, 0), (1, 0))))
    return rates[0], rates[1]
