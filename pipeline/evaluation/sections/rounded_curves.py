"""ROC and precision-recall curves of real data: of counts rounded to tens, without small cells.

A curve at every threshold, beside the exact number of positives, would tell how many of each
outcome lie above each threshold. So thresholds are taken where the false positives (of ROC) or the
true ones (of precision-recall) reach multiples of ten, and the other count is rounded. Where one of
the four cells holds 1 to 9 episodes nothing is shown. The ends of bands are moved outward.
"""

import numpy as np

from pipeline.evaluation.sections.suppression import known_count, outward, rounded_count
from pipeline.evaluation.statistics.bootstrap import Resampling, over_folds, replicate
from pipeline.evaluation.statistics.curves import GRID, precision_recall, rates, roc
from pipeline.evaluation.statistics.figures import SHARE, interval, known
from pipeline.evaluation.statistics.metrics import Flags, Floats, unit_weights
from pipeline.evaluation.statistics.sample import Sample
from pipeline.stage.curves import Line, Points


def points(
    label: Flags, score: Floats, by_recall: bool, smallest: int
) -> tuple[Floats, Floats, Floats]:
    """Points of one run near the places of GRID, by its recall or by its false positive rate.

    Its places; its precisions or true positive rates there, NaN where they are hidden; and what a
    step of `smallest` episodes is worth: each (101,).

    >>> label, score = np.arange(100) % 2 == 0, np.linspace(1, 0, 100)
    >>> rate, recall, step = points(label, score, by_recall=False, smallest=10)
    >>> recall[np.isclose(rate, 0.4)][:1], recall[np.isclose(rate, 0)][:1], step[:1]
    (array([0.4]), array([nan]), array([0.2]))
    """
    true, false = rates(label, score, unit_weights(label))
    positives, negatives = int(label.sum()), int((~label).sum())
    hits, alarms = np.rint(true[0] * positives), np.rint(false[0] * negatives)
    whole = positives if by_recall else negatives
    wanted = np.minimum(_shown(GRID * whole, smallest), whole)
    wanted[-1] = whole
    at = (np.searchsorted(hits, wanted) if by_recall
          else np.searchsorted(alarms, wanted, side="right") - 1)  # fmt: skip
    hit, alarm = hits[at], alarms[at]
    few = np.zeros(len(GRID), dtype=bool)
    for cell in (hit, alarm, positives - hit, negatives - alarm):
        few |= (cell > 0) & (cell < smallest)
    (all_hits, all_alarms), hit, alarm, wanted = (
        _shown(np.asarray(count), smallest)
        for count in ((positives, negatives), hit, alarm, wanted)
    )
    called = hit + alarm
    few |= called == 0 if by_recall else False
    part, among = (hit, np.maximum(called, 1)) if by_recall else (hit, np.full(len(GRID), all_hits))
    place = np.where(few, wanted, hit if by_recall else alarm)
    place = place / (all_hits if by_recall else all_alarms)
    return place, np.where(few, np.nan, part / among), smallest / among


def _shown(counts: Floats, smallest: int) -> Floats:
    """Counts rounded as they are shown; 0 where few are."""
    return np.array([np.nan_to_num(known_count(rounded_count(round(n), smallest)))
                     for n in counts])  # fmt: skip


def rounded_curve(
    sample: Sample, by_recall: bool, resampling: Resampling, smallest: int
) -> tuple[Line, Points, Points, Points]:
    """Places of the curve, each once, its values there, mean over runs, and the ends of its band.

    Null where a cell of any run is small. The places are recalls (`by_recall`: values are
    precisions) or false positive rates (values are true positive rates).
    """
    runs = [(rows, score[rows]) for rows in sample.blocks for score in sample.probability]
    found = [points(sample.label[rows], score, by_recall, smallest) for rows, score in runs]
    places, values, steps = (np.stack(part) for part in zip(*found, strict=True))
    x, y = places.mean(axis=0), values.mean(axis=0)
    order = np.lexsort((np.isnan(y), x))  # of places that are alike one that is shown
    kept = order[np.unique(x[order].round(9), return_index=True)[1]]
    x, y, places, step = x[kept], y[kept], places[:, kept], steps.max(axis=0)[kept]
    measure = precision_recall if by_recall else roc

    def each_seed(weights: Floats) -> Floats:
        drawn = [measure(sample.label[rows], score, weights[:, rows], at)
                 for (rows, score), at in zip(runs, places, strict=True)]  # fmt: skip
        return over_folds(np.stack(drawn, axis=1), sample.folds)

    low, high = outward(*interval(replicate(sample, each_seed, resampling, SHARE).replicates), 1.0,
                        step)  # fmt: skip
    low, high = np.fmin(low.clip(0, 1), y), np.fmax(high.clip(0, 1), y)
    value, lower, upper = (
        [None if np.isnan(at) else known(end) for at, end in zip(y, of, strict=True)]
        for of in (y, low, high)
    )
    return x.tolist(), value, lower, upper
