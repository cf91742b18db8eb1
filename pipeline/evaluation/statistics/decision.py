"""Net benefit of decisions by risk (Vickers & Elkin 2006), under many sets of case weights at once.

Whoever treats at a risk of p or more holds a false alarm for p / (1 − p) times as bad as a missed
case is; net benefit is TP / n − FP / n · p / (1 − p), in true positives per patient.
"""

import numpy as np

from pipeline.evaluation.statistics.metrics import Flags, Floats


def odds(thresholds: Floats) -> Floats:
    """What a false alarm costs at each threshold, in missed cases: p / (1 − p).

    >>> odds(np.array([0.2, 0.5]))
    array([0.25, 1.  ])
    """
    cost: Floats = thresholds / (1 - thresholds)
    return cost


def called(score: Floats, thresholds: Floats) -> Flags:
    """Who is treated at each threshold: scores (n,) → (T, n)."""
    treated: Flags = score >= thresholds[:, None]
    return treated


def net_benefit(hits: Floats, alarms: Floats, n: Floats, thresholds: Floats) -> Floats:
    """Net benefit (…, T) of so many true and false positives (…, T) among n (…, 1).

    >>> net_benefit(np.array([1.0]), np.array([2.0]), np.array([4.0]), np.array([0.2]))
    array([0.125])
    """
    benefit: Floats = (hits - alarms * odds(thresholds)) / n
    return benefit


def weighted_benefit(label: Flags, treated: Flags, thresholds: Floats, weights: Floats) -> Floats:
    """Net benefit of treating those `called` (T, n) under each of (B, n) weights: (B, T).

    >>> label, score, at = np.arange(3) < 1, np.array([0.9, 0.5, 0.1]), np.array([0.5])
    >>> weighted_benefit(label, called(score, at), at, np.ones((1, 3))).round(3)
    array([[0.]])
    """
    who, total = treated.T.astype(np.float64), weights.sum(axis=1)[:, None]
    hits = (weights * label) @ who
    with np.errstate(invalid="ignore"):  # a resample may have nobody: NaN
        return net_benefit(hits, weights @ who - hits, total, thresholds)
