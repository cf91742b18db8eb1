"""AUROC, average precision, Brier score and log loss under many sets of case weights at once.

Every metric takes `label` (n,) boolean, `score` (n,) probabilities and `weights` (B, n), and gives
(B,): one value per row of weights. A bootstrap is then one call with the resamples' multiplicities
as rows. A row whose weight lies in one class only gives NaN for the two ranking metrics. Values
agree with scikit-learn's `roc_auc_score`, `average_precision_score`, `brier_score_loss` and
`log_loss`, ties and weights included.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Metric = Callable[[Flags, Floats, Floats], Floats]

# Log loss and logits clip probabilities to [CLIP, 1 − CLIP]: the resolution of the 32-bit softmax
# of the networks, and what scikit-learn uses for 32-bit probabilities. A certain error costs 15.9.
CLIP = float(np.finfo(np.float32).eps)


def auroc(label: Flags, score: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve: share of (positive, negative) pairs in order, a tie counting ½.

    >>> auroc(np.array([True, False, False]), np.array([0.6, 0.6, 0.2]), np.ones((1, 3)))
    array([0.75])
    """
    negatives, positives = np.sort(score[~label]), score[label]
    order = np.flatnonzero(~label)[np.argsort(score[~label], kind="stable")]
    below = _sum_before(weights[:, order])
    lower = below[:, np.searchsorted(negatives, positives, side="left")]
    lower += below[:, np.searchsorted(negatives, positives, side="right")]
    weight = weights[:, label]
    pairs = weight.sum(axis=1) * below[:, -1]
    return _ratio(np.einsum("bi,bi->b", weight, lower) / 2, pairs)


def average_precision(label: Flags, score: Floats, weights: Floats) -> Floats:
    """Average precision: precision at the threshold of each positive, averaged over positives.

    Equal scores share one threshold. No interpolation (area under the step curve).

    >>> average_precision(np.array([True, False, True]), np.array([0.9, 0.5, 0.2]), np.ones((1, 3)))
    array([0.83333333])
    """
    weight = weights[:, label]
    true = _sum_at_or_above(score[label], weight, score[label])
    false = _sum_at_or_above(score[~label], weights[:, ~label], score[label])
    called = true + false
    precision = np.divide(true, called, out=np.zeros_like(true), where=called > 0)
    total = np.where(weights[:, ~label].sum(axis=1) > 0, weight.sum(axis=1), 0.0)
    return _ratio(np.einsum("bi,bi->b", weight, precision), total)


def brier(label: Flags, score: Floats, weights: Floats) -> Floats:
    """Mean squared difference of probability and outcome.

    >>> brier(np.array([True, False]), np.array([0.8, 0.4]), np.ones((1, 2))).round(6)
    array([0.1])
    """
    return _ratio(weights @ (score - label) ** 2, weights.sum(axis=1))


def log_loss(label: Flags, score: Floats, weights: Floats) -> Floats:
    """Mean negative log likelihood in nats, probabilities clipped to [CLIP, 1 − CLIP].

    >>> log_loss(np.array([True, False]), np.array([1.0, 1.0]), np.ones((1, 2))).round(3)
    array([7.971])
    """
    clipped = np.clip(score, CLIP, 1 - CLIP)
    return _ratio(weights @ -np.log(np.where(label, clipped, 1 - clipped)), weights.sum(axis=1))


METRICS: dict[str, Metric] = {
    "auroc": auroc,
    "auprc": average_precision,
    "brier": brier,
    "log_loss": log_loss,
}
SHARES = ("auroc", "auprc", "brier")  # those that lie in [0, 1]


def unit_weights(label: Flags) -> Floats:
    """(1, n) ones: the weights of the sample itself."""
    return np.ones((1, len(label)))


def _sum_before(weights: Floats) -> Floats:
    """(B, n) → (B, n + 1): sum of the first k columns, for k = 0 … n."""
    sums = np.zeros((weights.shape[0], weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums


def _sum_at_or_above(score: Floats, weights: Floats, thresholds: Floats) -> Floats:
    """Weight of the cases whose score reaches each of k thresholds: (B, n) → (B, k)."""
    order = np.argsort(-score, kind="stable")
    reached = np.searchsorted(-score[order], -thresholds, side="right")
    return _sum_before(weights[:, order])[:, reached]


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
