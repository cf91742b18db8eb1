"""ROC, precision-recall and calibration curves as aggregates, with 95 % bands.

Points lie on fixed grids and bins, never on single patients. Several seeds or folds: the curve is
the mean over them at each grid point, in the sample and within each resample, like the metrics.
On real data ROC and precision-recall are of rounded counts, see `rounded_curves`.
"""

import numpy as np

from pipeline.evaluation.sections.rounded_curves import rounded_curve
from pipeline.evaluation.statistics.bootstrap import (
    Measure,
    Resampling,
    Statistic,
    per_seed,
    replicate,
)
from pipeline.evaluation.statistics.curves import GRID, precision_recall, roc
from pipeline.evaluation.statistics.figures import SHARE, interval
from pipeline.evaluation.statistics.metrics import Flags, Floats, unit_weights
from pipeline.evaluation.statistics.sample import Sample
from pipeline.stage.curves import CalibrationCurve, TaskCurves
from pipeline.stage.result import SCHEMA_VERSION

BINS = 10


def bin_members(sample: Sample, smallest: int) -> Floats:
    """Membership of episodes in bins of equal count by predicted risk: (S, bins, n) of 0 and 1.

    Deciles of each seed's own predictions, of all folds together (a risk means the same in each);
    equal predictions share a bin. Neighbouring bins are merged until each holds, under every seed,
    an episode and at least `smallest` positives and as many negatives (from a count and an observed
    share the cases could be counted).
    """
    scores = sample.probability
    edges = np.quantile(scores, np.arange(1, BINS) / BINS, axis=1).T  # (S, 9)
    bins = np.stack([np.searchsorted(e, s) for e, s in zip(edges, scores, strict=True)])
    members = (bins[:, None] == np.arange(BINS)[:, None]).astype(np.float64)  # (S, 10, n)
    sides = [members.sum(2), members @ sample.label, members @ ~sample.label]
    counts = np.stack(sides).min(axis=1)  # (3, 10), the smallest over seeds
    needed = np.array([1, smallest, smallest])
    group, groups, held = np.zeros(BINS, dtype=int), 0, np.zeros(3)
    for position in range(BINS):
        group[position] = groups
        held += counts[:, position]
        if np.all(held >= needed):
            groups, held = groups + 1, np.zeros(3)
    group = np.minimum(group, max(groups - 1, 0))  # what is left over joins the last full bin
    merged = [members[:, group == g].sum(axis=1) for g in range(max(groups, 1))]
    return np.stack(merged, axis=1)


def observed(members: Floats, label: Flags, weights: Floats) -> Floats:
    """Observed share of positives per bin and seed: members (S, bins, n) → (B, S, bins)."""
    inside = np.einsum("skn,bn->bsk", members, weights, optimize=True)
    positive = np.einsum("skn,bn->bsk", members, weights * label, optimize=True)
    return np.divide(positive, inside, out=np.full_like(inside, np.nan), where=inside > 0)


def _band(
    sample: Sample, curve: Statistic, resampling: Resampling
) -> tuple[list[float], list[float], list[float]]:
    """A curve, mean over seeds, and the lower and upper end of its band."""
    drawn = replicate(sample, curve, resampling, SHARE)
    low, high = interval(drawn.replicates)
    return drawn.value.tolist(), low.tolist(), high.tolist()


def _calibration(sample: Sample, resampling: Resampling, smallest: int) -> CalibrationCurve:
    members = bin_members(sample, smallest)
    size = members.sum(axis=2)  # (S, bins)
    predicted = np.einsum("skn,sn->sk", members, sample.probability) / size

    def share(weights: Floats) -> Floats:
        return observed(members, sample.label, weights)

    value, low, high = _band(sample, share, resampling)
    return {
        "n": size.mean(axis=0).tolist(),
        "predicted": predicted.mean(axis=0).tolist(),
        "observed": value,
        "low": low,
        "high": high,
    }


def curves(
    target: str,
    reason: str | None,
    sample: Sample,
    oracle: Sample | None,
    resampling: Resampling,
    smallest: int,
) -> TaskCurves:
    """ROC, precision-recall and calibration curve of the test episodes, with 95 % bands.

    `reason`: why there are none. `oracle`: the best reachable probabilities of these episodes,
    where they are known. `smallest`: no calibration bin holds fewer positives or negatives, and
    counts behind the others are rounded to it; 0 shows all.
    """
    drawn: TaskCurves = {
        "schema_version": SCHEMA_VERSION, "target": target, "split": "test", "reason": reason,
        "roc": None, "pr": None, "calibration": None,
    }  # fmt: skip
    if reason:
        return drawn
    best = None if oracle is None or oracle.fewest < resampling.least else oracle

    def reachable(curve: Measure) -> list[float] | None:
        if best is None:
            return None
        at = per_seed(curve, best)(unit_weights(best.label)).mean(axis=1)
        return at[0].tolist()

    if smallest:
        x, y, low, high = rounded_curve(sample, False, resampling, smallest)
        drawn["roc"] = {"fpr": x, "tpr": y, "low": low, "high": high, "oracle": None}
        x, y, low, high = rounded_curve(sample, True, resampling, smallest)
    else:
        y, low, high = _band(sample, per_seed(roc, sample), resampling)
        drawn["roc"] = {
            "fpr": GRID.tolist(), "tpr": y, "low": low, "high": high, "oracle": reachable(roc)
        }  # fmt: skip
        x = GRID.tolist()
        y, low, high = _band(sample, per_seed(precision_recall, sample), resampling)
    drawn["pr"] = {
        "recall": x, "precision": y, "low": low, "high": high,
        "oracle": None if smallest else reachable(precision_recall),
        "prevalence": float(sample.label.mean()),
    }  # fmt: skip
    drawn["calibration"] = _calibration(sample, resampling, smallest)
    return drawn
