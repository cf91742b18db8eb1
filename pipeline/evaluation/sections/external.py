"""What a model's risks are worth among the patients of another source, and after a refit there.

The figures are those of a result, by the same functions and resamples. A refit of intercept and
slope is fitted on k patients, drawn at random a hundred times, and judged on the others; the risks
of home are judged on the same others. Draws are not chosen by what they hold, which would favour
those with many outcomes: a k is tried where ten of each class are expected on both sides.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from pipeline.evaluation.sections.binary import split_metrics
from pipeline.evaluation.sections.calibrated import grid_of, smooth_curve
from pipeline.evaluation.sections.recalibrated import fit
from pipeline.evaluation.sections.suppression import why_no_metrics
from pipeline.evaluation.sections.threshold import MEASURES, at_calls, calls_of, cells
from pipeline.evaluation.statistics.bootstrap import Resampling, per_seed, replicate
from pipeline.evaluation.statistics.calibration import in_the_large, in_the_large_of, line_of, slope
from pipeline.evaluation.statistics.figures import NOTHING, PERCENTILES, SHARE, known
from pipeline.evaluation.statistics.metrics import Flags, Floats, brier, unit_weights
from pipeline.evaluation.statistics.recalibration import fit_recalibration, recalibrated, smooth
from pipeline.evaluation.statistics.sample import Sample
from pipeline.stage.external import AtThreshold, CalibrationThere, Judged, Refit, Spread, Validated
from pipeline.stage.sections import Run

SIZES = (50, 100, 200, 500, 1000)  # patients of a refit
DRAWS = 100
LEAST = 10  # expected of each class among the drawn patients, and among the others
RATES = {"sensitivity": "sensitivity", "specificity": "specificity", "ppv": "precision",
         "alert_rate": "share_positive"}  # fmt: skip


def validated(
    part: Sample, thresholds: Sequence[float | None], resampling: Resampling, smallest: int
) -> Validated:
    """Metrics, calibration, and the model at the `thresholds` of its seeds, of some episodes."""
    names: list[Run] = [{"seed": seed, "fold": 0} for seed in part.seeds or ()]
    metrics = split_metrics(part, names, resampling, smallest)
    return {
        "metrics": metrics,
        "calibration": calibration(part, resampling, metrics["reason"]),
        "threshold": at_thresholds(part, thresholds, resampling, smallest),
    }


def ici_and_curve(label: Flags, score: Floats, weights: Floats, grid: Floats) -> Floats:
    """(B, 1 + m): the integrated calibration index under each of (B, n) weights, and the smooth
    curve at the risks of the grid (m,); NaN without a curve.

    >>> score, one, grid = np.linspace(0.1, 0.9, 1000), np.ones((1, 1000)), np.array([0.2])
    >>> label = np.random.default_rng(0).random(1000) < score
    >>> ici_and_curve(label, score, one, grid).round(1), ici_and_curve(label, score / 2, one, grid)
    (array([[0. , 0.2]]), array([[0.2..., 0.3...]]))
    """
    curve = smooth(label, score, weights, np.concatenate([score, grid]))
    gap = np.abs(curve[:, : len(score)] - score)
    distance = np.einsum("bn,bn->b", weights, gap) / weights.sum(axis=1)
    return np.column_stack([distance, curve[:, len(score) :]])


def calibration(part: Sample, resampling: Resampling, reason: str | None) -> CalibrationThere:
    """Intercept, slope, calibration in the large and ICI; null where there is a `reason`."""
    if reason:
        return {"slope": NOTHING, "intercept": NOTHING, "in_the_large": NOTHING, "ici": NOTHING,
                "smooth": None}  # fmt: skip
    grid = grid_of(part)
    large = {score.tobytes(): in_the_large_of(part.label, score) for score in part.probability}

    def each(label: Flags, score: Floats, weights: Floats) -> Floats:  # (B, 4 + POINTS)
        free, fixed = line_of(label, score, weights), large[score.tobytes()](weights)
        return np.column_stack([free, fixed, ici_and_curve(label, score, weights, grid)])

    drawn = replicate(part, per_seed(each, part), resampling)
    return {"slope": drawn.estimate(1), "intercept": drawn.estimate(0),
            "in_the_large": drawn.estimate(2), "ici": drawn.within(SHARE).estimate(3),
            "smooth": smooth_curve(drawn.of(lambda all_of: all_of[..., 4:], SHARE), grid)
            }  # fmt: skip


def at_thresholds(
    part: Sample, thresholds: Sequence[float | None], resampling: Resampling, smallest: int
) -> AtThreshold:
    """Rates at the threshold of each seed; withheld where a cell of the table is small."""
    cut = [value for value in thresholds if value is not None]
    made: AtThreshold = {
        "reason": None, "thresholds": cut, "sensitivity": NOTHING, "specificity": NOTHING,
        "ppv": NOTHING, "alert_rate": NOTHING,
    }  # fmt: skip
    if not cut or len(cut) < len(thresholds):
        return {**made, "reason": "the result has no threshold", "thresholds": []}
    calls = calls_of(part, np.array(cut))
    held = cells(part, calls)
    made["reason"] = why_no_metrics(part, smallest)
    if not made["reason"] and np.any((held > 0) & (held < smallest)):
        made["reason"] = f"a cell of the confusion table holds fewer than {smallest} episodes"
    if made["reason"]:
        return made
    drawn = replicate(part, at_calls(part, calls), resampling, SHARE)
    for name, measure in RATES.items():
        made[name] = drawn.estimate(MEASURES.index(measure))  # type: ignore[literal-required]
    return made


def refits(part: Sample, seed: int, smallest: int, sizes: Sequence[int] = SIZES) -> list[Refit]:
    """Calibration before and after a refit on each number of patients; `seed`: of the draws."""
    return [refit(part, size, seed, smallest) for size in sizes]


def why_not(part: Sample, size: int, smallest: int) -> str | None:
    """Why a refit on so many patients is not tried; None where it is.

    >>> part = Sample(np.arange(300), np.arange(300), np.arange(300) < 30, np.full((1, 300), 0.1))
    >>> why_not(part, 50, 0), why_not(part, 150, 0)
    ('fewer than 10 positive or negative episodes expected among the patients drawn', None)
    >>> why_not(part, 500, 0)
    'no more patients than are drawn'
    """
    if reason := why_no_metrics(part, smallest):
        return reason
    share = size / part.counts["patients"]
    if share >= 1:
        return "no more patients than are drawn"
    fewest = "fewer than %d positive or negative episodes expected among the %s"
    if part.fewest * share < LEAST:
        return fewest % (LEAST, "patients drawn")
    return fewest % (LEAST, "others") if part.fewest * (1 - share) < LEAST else None


def refit(part: Sample, size: int, seed: int, smallest: int) -> Refit:
    """A refit on `size` patients, drawn `DRAWS` times."""
    made: Refit = {
        "patients": size, "reason": why_not(part, size, smallest), "draws": 0, "unfitted": 0,
        "before": None, "after": None, "smooth": None,
    }  # fmt: skip
    if made["reason"]:
        return made
    random = np.random.default_rng([seed, size])
    patients, grid = np.unique(part.subject), _range_after(part)
    figures = np.empty((DRAWS, 2, 4 + len(grid)))
    for draw in range(DRAWS):
        drawn = np.isin(part.subject, random.choice(patients, size, replace=False))
        figures[draw], unfitted = _judged(part, drawn, grid)
        made["unfitted"] += unfitted
    # a draw whose others have no line, before or after, tells nothing of either
    figures = figures[~np.isnan(figures[:, :, :4]).any(axis=(1, 2))]
    made["draws"] = len(figures)
    if not len(figures):
        return {**made, "reason": "of no draw the others have a calibration line"}
    made["before"], made["after"] = (_spread(figures[:, place]) for place in (0, 1))
    curves = figures[:, 1, 4:]
    if not np.isnan(curves).any():
        low, high = np.percentile(curves, PERCENTILES, axis=0)
        made["smooth"] = {"risk": grid.tolist(), "observed": np.median(curves, axis=0).tolist(),
                          "low": low.tolist(), "high": high.tolist()}  # fmt: skip
    return made


def _range_after(part: Sample) -> Floats:
    """The risks at which curves after a refit are drawn: the range that a fit on all would give."""
    made = []
    for score in part.probability:
        found = fit(part.label, score, partial(fit_recalibration, method="platt"), 0)
        made.append(score if isinstance(found, str) else recalibrated(score, *found))
    return grid_of(part.scored(np.array(made)))


def _judged(part: Sample, drawn: Flags, grid: Floats) -> tuple[Floats, int]:
    """Slope, in the large, Brier, ICI and the curve, (2, 4 + m), of the others before and after;
    how many seeds have no line."""
    platt, unfitted = partial(fit_recalibration, method="platt"), 0
    label, each = part.label[~drawn], []
    for score in part.probability:
        found = fit(part.label[drawn], score[drawn], platt, 0)
        unfitted += isinstance(found, str)
        after = score[~drawn] if isinstance(found, str) else recalibrated(score[~drawn], *found)
        each.append([_figures(label, score[~drawn], grid), _figures(label, after, grid)])
    return np.mean(each, axis=0), unfitted


def _figures(label: Flags, score: Floats, grid: Floats) -> Floats:
    one = unit_weights(label)
    figures = [of(label, score, one)[:1] for of in (slope, in_the_large, brier)]
    return np.concatenate([*figures, ici_and_curve(label, score, one, grid)[0]])


def _spread(figures: Floats) -> Judged:
    """The median and the percentiles of draws, (draws, 4 or more). A mean would follow the few
    draws whose slope is near 0: after a refit the slope is a ratio."""

    def of(values: Floats) -> Spread:
        low, high = np.percentile(values, PERCENTILES)
        return {"median": known(np.median(values)), "low": known(low), "high": known(high)}

    return {"slope": of(figures[:, 0]), "in_the_large": of(figures[:, 1]),
            "brier": of(figures[:, 2]), "ici": of(figures[:, 3])}  # fmt: skip
