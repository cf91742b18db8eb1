"""The model at one threshold: that of the paper's option `-r`, and the operating points of a kit.

As many are predicted positive on validation as are positive among the training patients: the
threshold is chosen per run on *validation* predictions and applied to the test episodes. (The
published code chose those of its unimodal models on the test set.) Intervals say how the measures
vary with the test patients; the threshold itself is held fixed.

Operating points fix sensitivity, specificity or the share of alerts on validation instead, by the
same choice among scores: of the positives, of the negatives, of all.
"""

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

from pipeline.evaluation.sections.suppression import hides, why_no_metrics
from pipeline.evaluation.statistics.bootstrap import (
    Resampling,
    Statistic,
    over_folds,
    replicate,
)
from pipeline.evaluation.statistics.figures import NOTHING, SHARE
from pipeline.evaluation.statistics.metrics import Flags, Floats
from pipeline.evaluation.statistics.sample import Sample
from pipeline.stage.sections import Run, RunThreshold, Threshold

RULE = (
    "share of positives on validation = prevalence of the training patients; of the thresholds "
    "between two predictions the one that comes nearest, equal predictions on one side of it"
)
TRAINING = ("train", "fusion", "val")
Aim = Literal["sensitivity", "specificity", "alert_rate"]
Measured = Literal["sensitivity", "specificity", "precision", "f1", "share_positive"]
MEASURES: tuple[Measured, ...] = get_args(Measured)
NPV = len(MEASURES)  # place of the negative predictive value, after them
CELLS = ("true_positive", "false_positive", "false_negative", "true_negative")


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
    """The MEASURES and the NPV of calls (S, n) under weights (B, n): (B, S, 6); NaN if undefined.

    >>> label, called = np.array([True, True, False, False]), np.array([[True, False, True, False]])
    >>> at_threshold(label, called, np.ones((1, 4)))
    array([[[0.5, 0.5, 0.5, 0.5, 0.5, 0.5]]])
    """
    true = (weights * label) @ called.T.astype(np.float64)
    named = weights @ called.T.astype(np.float64)
    positive = (weights @ label)[:, None]
    n = weights.sum(axis=1)[:, None]
    spared = n - positive - named + true  # negatives that are not called
    pairs = (
        (true, positive),
        (spared, n - positive),
        (true, named),
        (2 * true, named + positive),
        (named, n),
        (spared, n - named),
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
    chosen = by_prevalence(parts, runs)
    made: Threshold = {
        "rule": RULE, "reason": why_not(parts, chosen, smallest), "by_run": [],
        "sensitivity": NOTHING, "specificity": NOTHING, "precision": NOTHING, "f1": NOTHING,
        "share_positive": NOTHING,
    }  # fmt: skip
    if made["reason"]:
        return made
    test = parts["test"]
    drawn = replicate(test, at_calls(test, calls_of(test, cuts(chosen))), resampling, SHARE)
    made["by_run"] = chosen
    for place, name in enumerate(MEASURES):
        made[name] = drawn.estimate(place)
    return made


def at_calls(part: Sample, calls: list[Flags]) -> Statistic:
    """`at_threshold` of calls, an array (S, rows) per fold, as a statistic: mean over folds."""

    def each_seed(weights: Floats) -> Floats:  # (B, S, 6)
        each = [
            at_threshold(part.label[rows], called, weights[:, rows])
            for rows, called in zip(part.blocks, calls, strict=True)
        ]
        return over_folds(np.concatenate(each, axis=1), part.folds)

    return each_seed


def cells(part: Sample, calls: list[Flags]) -> Floats:
    """Episodes in each of CELLS, run by run: (runs, 4)."""
    each = []
    for rows, called in zip(part.blocks, calls, strict=True):
        label = part.label[rows]
        each += [
            [
                (one & label).sum(), (one & ~label).sum(),
                (~one & label).sum(), (~one & ~label).sum(),
            ]
            for one in called
        ]  # fmt: skip
    return np.array(each, dtype=np.float64)


def confusion(part: Sample, calls: list[Flags]) -> Floats:
    """Episodes in each of CELLS: the sum over folds, the mean over seeds: (4,)."""
    by_run = cells(part, calls)
    summed: Floats = by_run.reshape(part.folds, -1, len(CELLS)).sum(axis=0).mean(axis=0)
    return summed


def fixed_on(val: Sample, what: Aim, aim: float) -> Floats:
    """The threshold of each run, (runs,), that fixes a measure on validation as nearly as it can.

    NaN where validation has none of those whom it is measured among.
    """
    each = []
    for rows in val.blocks:
        label = val.label[rows]
        among = {"sensitivity": label, "specificity": ~label, "alert_rate": np.ones_like(label)}
        share = 1 - aim if what == "specificity" else aim
        scores = val.probability[:, rows][:, among[what]]
        each += [choose(score, share) if len(score) else np.nan for score in scores]
    return np.array(each)


def cuts(chosen: list[RunThreshold]) -> Floats:
    """The thresholds of the runs: (runs,)."""
    return np.array([run["threshold"] for run in chosen])


def _empty(part: Sample) -> bool:
    return any(rows.start == rows.stop for rows in part.blocks)


def by_prevalence(parts: Mapping[str, Sample], runs: list[Run]) -> list[RunThreshold]:
    """Threshold, prevalence of the training patients and share on validation, run by run.

    Empty without validation episodes.
    """
    if _empty(parts["val"]):
        return []
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


def calls_of(part: Sample, cut: Floats) -> list[Flags]:
    """Who is called at the thresholds (runs,): an array (seeds, rows) per fold."""
    value = cut.reshape(part.folds, -1)
    return [
        part.probability[:, rows] >= value[fold][:, None] for fold, rows in enumerate(part.blocks)
    ]


def why_not(parts: Mapping[str, Sample], chosen: list[RunThreshold], smallest: int) -> str | None:
    """Why there is no threshold; None where there is one."""
    if not chosen:
        return "no validation episodes to choose it on"
    if reason := why_no_metrics(parts["test"], smallest):
        return reason
    if any(hides(parts[split], smallest) for split in TRAINING):
        return f"fewer than {smallest} positive or negative training patients in a split"
    return why_few(parts, cuts(chosen), smallest)


def why_few(parts: Mapping[str, Sample], cut: Floats, smallest: int) -> str | None:
    """Why nothing is shown at the runs' thresholds (runs,); None where something is."""
    if _small(calls_of(parts["val"], cut), smallest):
        return f"fewer than {smallest} validation episodes on one side of it"
    held = cells(parts["test"], calls_of(parts["test"], cut))
    if np.any((held > 0) & (held < smallest)):
        return f"a cell of the confusion table holds fewer than {smallest} test episodes"
    return None


def _small(calls: list[Flags], smallest: int) -> bool:
    """Whether 1 to `smallest` − 1 episodes are on one side, in one of the arrays (runs, n)."""
    counts = [count for called in calls for count in (called.sum(axis=1), (~called).sum(axis=1))]
    return any(bool(((count > 0) & (count < smallest)).any()) for count in counts)
