"""The threshold of the paper's option `-r`, and what the model does at it.

As many are predicted positive on validation as are positive among the training patients: the
threshold is chosen per run on *validation* predictions and applied to the test episodes. (The
published code chose those of its unimodal models on the test set.) Intervals say how the measures
vary with the test patients; the threshold itself is held fixed.
"""

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

from pipeline.evaluation.sections.suppression import hides, why_no_metrics
from pipeline.evaluation.statistics.bootstrap import Resampling, over_folds, replicate
from pipeline.evaluation.statistics.figures import NOTHING, SHARE
from pipeline.evaluation.statistics.metrics import Flags, Floats
from pipeline.evaluation.statistics.sample import Sample
from pipeline.stage.sections import Run, RunThreshold, Threshold

RULE = (
    "share of positives on validation = prevalence of the training patients; of the thresholds "
    "between two predictions the one that comes nearest, equal predictions on one side of it"
)
TRAINING = ("train", "fusion", "val")
Measured = Literal["sensitivity", "specificity", "precision", "f1", "share_positive"]
MEASURES: tuple[Measured, ...] = get_args(Measured)


def choose(score: Floats, share: float) -> float:
    """The threshold at or above which `share` of the scores lie, as nearly as ties allow.

    It lies halfway between two neighbouring scores (below all of them: half the lowest), so that it
    is nobody's prediction. Somebody is always predicted positive. Of two thresholds that come
    equally near the higher one is taken.

    >>> choose(np.array([0.9, 0.8, 0.4, 0.1]), 0.5), choose(np.array([0.9, 0.4, 0.4, 0.4]), 0.5)
    (0.6000000000000001, 0.65)
    """
    value, count = np.unique(score, return_counts=True)
    value, reached = value[::-1], np.cumsum(count[::-1])
    best = int(np.argmin(np.abs(reached - share * len(score)).round(9)))
    return float((value[best] + np.append(value, 0.0)[best + 1]) / 2)


def at_threshold(label: Flags, called: Flags, weights: Floats) -> Floats:
    """The MEASURES of calls (S, n) under weights (B, n): (B, S, 5); NaN where undefined.

    >>> label, called = np.array([True, True, False, False]), np.array([[True, False, True, False]])
    >>> at_threshold(label, called, np.ones((1, 4)))
    array([[[0.5, 0.5, 0.5, 0.5, 0.5]]])
    """
    true = (weights * label) @ called.T.astype(np.float64)
    named = weights @ called.T.astype(np.float64)
    positive = (weights @ label)[:, None]
    n = weights.sum(axis=1)[:, None]
    pairs = (
        (true, positive),
        (n - positive - named + true, n - positive),
        (true, named),
        (2 * true, named + positive),
        (named, n),
    )
    return np.stack([_share(part, whole) for part, whole in pairs], axis=2)


def _share(part: Floats, whole: Floats) -> Floats:
    whole = np.broadcast_to(whole, part.shape)
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def threshold(
    parts: Mapping[str, Sample], runs: list[Run], resampling: Resampling, smallest: int
) -> Threshold:
    """Threshold of every run and the measures on test, mean over runs; null with a `reason`.

    `parts`: samples by split; `runs`: seed and fold of each run. Measures from whose digits one of
    1 to `smallest` − 1 episodes of the confusion table could be worked out are withheld.
    """
    chosen = [] if _empty(parts["val"]) else _by_run(parts, runs)
    made: Threshold = {
        "rule": RULE, "reason": _why_not(parts, chosen, smallest), "by_run": [],
        "sensitivity": NOTHING, "specificity": NOTHING, "precision": NOTHING, "f1": NOTHING,
        "share_positive": NOTHING,
    }  # fmt: skip
    if made["reason"]:
        return made
    test, calls = parts["test"], _calls(parts["test"], chosen)

    def each_seed(weights: Floats) -> Floats:  # (B, S, 5)
        each = [
            at_threshold(test.label[rows], called, weights[:, rows])
            for rows, called in zip(test.blocks, calls, strict=True)
        ]
        return over_folds(np.concatenate(each, axis=1), test.folds)

    drawn = replicate(test, each_seed, resampling, SHARE)
    made["by_run"] = chosen
    for place, name in enumerate(MEASURES):
        made[name] = drawn.estimate(place)
    return made


def _empty(part: Sample) -> bool:
    return any(rows.start == rows.stop for rows in part.blocks)


def _by_run(parts: Mapping[str, Sample], runs: list[Run]) -> list[RunThreshold]:
    """Threshold, prevalence of the training patients and share on validation, run by run."""
    each = []
    for fold, rows in enumerate(parts["val"].blocks):
        training = [parts[split].label[parts[split].blocks[fold]] for split in TRAINING]
        prevalence = float(np.concatenate(training).mean())
        each += [(prevalence, score) for score in parts["val"].probability[:, rows]]
    chosen: list[RunThreshold] = []
    for run, (prevalence, score) in zip(runs, each, strict=True):
        value = choose(score, prevalence)
        share = float((score >= value).mean())
        chosen.append(
            {**run, "threshold": value, "prevalence": prevalence, "share_on_validation": share}
        )
    return chosen


def _calls(part: Sample, chosen: list[RunThreshold]) -> list[Flags]:
    """Who is predicted positive: an array (seeds, rows) per fold."""
    value = np.array([run["threshold"] for run in chosen]).reshape(part.folds, -1)
    return [
        part.probability[:, rows] >= value[fold][:, None] for fold, rows in enumerate(part.blocks)
    ]


def _why_not(parts: Mapping[str, Sample], chosen: list[RunThreshold], smallest: int) -> str | None:
    """Why there is no threshold; None where there is one."""
    if not chosen:
        return "no validation episodes to choose it on"
    if reason := why_no_metrics(parts["test"], smallest):
        return reason
    if any(hides(parts[split], smallest) for split in TRAINING):
        return f"fewer than {smallest} positive or negative training patients in a split"
    if _small(_calls(parts["val"], chosen), smallest):
        return f"fewer than {smallest} validation episodes on one side of it"
    sides = [parts["test"].label, ~parts["test"].label]
    for rows, called in zip(parts["test"].blocks, _calls(parts["test"], chosen), strict=True):
        if _small([called[:, side[rows]] for side in sides], smallest):
            return f"a cell of the confusion table holds fewer than {smallest} test episodes"
    return None


def _small(calls: list[Flags], smallest: int) -> bool:
    """Whether 1 to `smallest` − 1 episodes are on one side, in one of the arrays (runs, n)."""
    counts = [count for called in calls for count in (called.sum(axis=1), (~called).sum(axis=1))]
    return any(bool(((count > 0) & (count < smallest)).any()) for count in counts)
