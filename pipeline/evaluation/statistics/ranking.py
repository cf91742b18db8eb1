"""Rankings of many labels at once: recall among the first k, and AUROC over labels.

A case (ICU stay) has scores of G labels (diagnosis groups), and a few of the labels are true.
True pairs are given as two arrays of one length: the row of the case and the label.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.statistics.bootstrap import Resampling, resamples
from pipeline.evaluation.statistics.figures import Figures
from pipeline.evaluation.statistics.metrics import Flags, Floats

Whole = NDArray[np.int64]
APART = 2.0  # scores lie in [0, 1]; groups laid 2 apart never meet, and one search serves all


@dataclass(frozen=True)
class Stays:
    """Stays of one split and fold, sorted by id: n stays, S seeds, G groups.

    `score` (S, n, G); `row`, `group`: pairs of a stay's row and a group that it truly has;
    `share` (G,) of the training stays that have each group.
    """

    episode: Whole
    subject: Whole
    score: Floats
    row: Whole
    group: Whole
    share: Floats

    @property
    def counts(self) -> Whole:
        """How many groups each stay has: (n,)."""
        return np.bincount(self.row, minlength=len(self.episode))

    def only(self, episodes: Whole) -> "Stays":
        """Those of these episodes."""
        kept = np.isin(self.episode, episodes)
        pairs, number = kept[self.row], np.cumsum(kept) - 1
        return Stays(
            episode=self.episode[kept],
            subject=self.subject[kept],
            score=self.score[:, kept],
            row=number[self.row[pairs]],
            group=self.group[pairs],
            share=self.share,
        )


def placed(
    pool: Floats, pool_group: Whole, value: Floats, value_group: Whole
) -> tuple[Whole, Whole]:
    """How many scores of the pool's same group lie below each value, and how many equal it.

    >>> pool, group = np.array([0.2, 0.5, 0.5, 0.9]), np.array([0, 0, 0, 1])
    >>> placed(pool, group, np.array([0.5, 0.5]), np.array([0, 1]))
    (array([1, 0]), array([2, 0]))
    """
    laid, asked = np.sort(pool + APART * pool_group), value + APART * value_group
    start = np.searchsorted(laid, APART * value_group, side="left")
    low = np.searchsorted(laid, asked, side="left")
    return low - start, np.searchsorted(laid, asked, side="right") - low


def recall(score: Floats, row: Whole, label: Whole, first: Whole) -> Floats:
    """Share of a case's true labels among its k highest scores: (n, K) for the K values of `first`.

    Equal scores share their ranks: a true label that competes with t − 1 others for j places counts
    j / t, what an order by lot would give on average. Cases without a true label are NaN.

    >>> score = np.array([[0.9, 0.5, 0.5, 0.1], [0.3, 0.2, 0.1, 0.0]])
    >>> recall(score, np.array([0, 0]), np.array([0, 1]), np.array([1, 2, 3]))
    array([[0.5 , 0.75, 1.  ],
           [ nan,  nan,  nan]])
    """
    n, labels = score.shape
    everyone = np.arange(n).repeat(labels)
    below, tied = placed(score.ravel(), everyone, score[row, label], row)
    above = labels - below - tied
    hits = np.clip((first[None] - above[:, None]) / tied[:, None], 0.0, 1.0)  # (pairs, K)
    each = [np.bincount(row, weights=column, minlength=n) for column in hits.T]
    sums: Floats = np.stack(each, axis=1).astype(np.float64)
    return _share(sums, np.bincount(row, minlength=n)[:, None].astype(np.float64))


def recalls(part: Stays, first: Whole) -> Floats:
    """Recall@k by every seed: (S, n, K)."""
    return np.stack([recall(score, part.row, part.group, first) for score in part.score])


def fold_mean(values: Floats, weights: Floats, sizes: Sequence[int]) -> Floats:
    """Weighted mean over each fold's stays, then over folds: (N, M), (B, N) → (B, M).

    NaN values do not count. `sizes`: stays of each fold, in the order of the rows.
    """
    ends = np.cumsum(sizes)
    means = []
    for rows in map(slice, ends - sizes, ends):
        known = ~np.isnan(values[rows])
        part = weights[:, rows] @ np.nan_to_num(values[rows])
        whole = weights[:, rows] @ known.astype(np.float64)
        means.append(np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0))
    return np.mean(means, axis=0)


def by_seed(values: Floats) -> Floats:
    """Values of stays by seed, (S, n, K), with the stays first: (n, S, K)."""
    return np.moveaxis(values, 0, 1)


def resampled(values: Floats, parts: Sequence[Stays], resampling: Resampling) -> Figures:
    """`fold_mean` of the stays' values (N, S, K) on the sample and on every resample: (…, K)."""
    subject = np.concatenate([part.subject for part in parts])
    sizes = [len(part.episode) for part in parts]
    _, *shape = values.shape

    def mean(weights: Floats) -> Floats:  # (B, S, K)
        return fold_mean(values.reshape(len(values), -1), weights, sizes).reshape(-1, *shape)

    drawn = [mean(weights) for weights in resamples(subject, resampling)]
    each = mean(np.ones((1, len(values))))[0]
    return Figures.drawn(each, np.concatenate(drawn), resampling.seed)


def reachable(counts: Whole, first: Whole) -> Floats:
    """The highest recall of k labels by a case with these numbers of true labels: (n, K).

    >>> reachable(np.array([2, 8, 0]), np.array([4]))
    array([[1. ],
           [0.5],
           [nan]])
    """
    most = np.minimum(first[None], counts[:, None]).astype(np.float64)
    return _share(most, counts[:, None].astype(np.float64))


def auroc_and_influence(
    score: Floats, row: Whole, label: Whole, usable: Flags, pooled: bool
) -> tuple[float, Floats]:
    """AUROC over labels and what each case adds to it: a value, and (n,) influences of mean 0.

    Macro: the mean of the AUROC of each `usable` label over cases. Micro (`pooled`): one ranking of
    all pairs of a case and a usable label. The influence is the derivative of the AUROC by the
    case's weight: with weights w it is the value + Σ (w_i − 1) · influence_i to first order. (The
    exact value of each of thousands of resamples would cost a ranking per label and resample.)
    """
    n, labels = score.shape
    true = np.zeros((n, labels), dtype=bool)
    true[row, label] = True
    case, which = (axis.ravel() for axis in np.indices((n, int(usable.sum()))))
    positive, value = true[:, usable].ravel(), score[:, usable].ravel()
    ranking = np.zeros_like(which) if pooled else which
    yes, no = positive, ~positive
    positives, negatives = np.bincount(ranking[yes]), np.bincount(ranking[no])
    below, tied = placed(value[no], ranking[no], value[yes], ranking[yes])
    won = (below + tied / 2) / negatives[ranking[yes]]  # share of negatives that a positive beats
    below, tied = placed(value[yes], ranking[yes], value[no], ranking[no])
    beaten = 1 - (below + tied / 2) / positives[ranking[no]]  # of positives that beat a negative
    each = np.bincount(ranking[yes], weights=won) / positives
    parts = np.zeros(len(case))
    parts[yes] = (won - each[ranking[yes]]) / positives[ranking[yes]]
    parts[no] = (beaten - each[ranking[no]]) / negatives[ranking[no]]
    return float(each.mean()), np.bincount(case, weights=parts, minlength=n) / len(each)


def _share(part: Floats, whole: Floats) -> Floats:
    whole = np.broadcast_to(whole, part.shape)
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)
