"""Calibration on test of the model's own probabilities, and after Platt and temperature scaling.

All three are measured on the same resamples, so that their differences are paired. The smooth curve
is a function of the risks' order and spacing alone, which a line in the logit keeps: it is fitted
once per run and read at the recalibrated risks.
"""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from pipeline.evaluation.predictions import samples
from pipeline.evaluation.sections.curves import bin_members, observed
from pipeline.evaluation.sections.recalibrated import (
    METHODS,
    Fitted,
    Line,
    apply,
    fit_runs,
    line,
)
from pipeline.evaluation.sections.suppression import (
    Rounded,
    from_counts,
    hidden,
    rounded_count,
    why_no_metrics,
)
from pipeline.evaluation.statistics.bootstrap import Resampling, over_folds, replicate
from pipeline.evaluation.statistics.calibration import in_the_large_of, slope
from pipeline.evaluation.statistics.figures import (
    GAP,
    NO_DIFFERENCE,
    NOTHING,
    SHARE,
    Figures,
    interval,
)
from pipeline.evaluation.statistics.metrics import CLIP, Flags, Floats, brier
from pipeline.evaluation.statistics.recalibration import recalibrated, smooth
from pipeline.evaluation.statistics.sample import Sample
from pipeline.stage.kit import CalibratedBy, Histogram, RiskGroup, Smooth, Way

WAYS: tuple[Way, ...] = ("none", *METHODS)
POINTS = 41  # of the smooth curve
EDGE = 0.01  # quantiles of risk between which it is drawn
BINS = 20  # of the histogram
NAMES = ("slope", "in_the_large", "brier", "ici", "e_max")


def calibrated(
    frames: Sequence[pl.DataFrame], resampling: Resampling, smallest: int
) -> list[CalibratedBy]:
    """The section of a kit: `none`, `platt`, `temperature`; `frames`: the model's own predictions,
    a checked table per fold."""
    fitted: dict[str, Fitted] = {way: fit_runs(frames, way, smallest) for way in METHODS}
    raw = samples(list(frames), "test")
    tests = {"none": raw}
    tests |= {way: samples(apply(frames, fitted[way]), "test") for way in METHODS}
    reason = why_no_metrics(raw, smallest)
    if reason:
        return [_empty(way, fitted.get(way, []), reason) for way in WAYS]
    grids: dict[str, Floats] = {way: grid_of(tests[way]) for way in WAYS}
    drawn = _drawn(raw, fitted, grids, resampling)
    made = []
    for place, way in enumerate(WAYS):
        one = _empty(way, fitted.get(way, []), _why_not_fitted(fitted.get(way, [])))
        if one["reason"]:
            made.append(one)
            continue
        _measure(one, drawn, place)
        one["groups"] = _groups(tests[way], resampling, smallest)
        one["smooth"] = _smooth(drawn, place, grids[way])
        one["histogram"] = _histogram(tests[way], smallest)
        made.append(one)
    return made


def _why_not_fitted(by_run: Fitted) -> str | None:
    """Why a way left all risks as they are; None where a run was fitted, or nothing is."""
    reasons = [run["reason"] for run in by_run]
    return f"not fitted: {reasons[0]}" if reasons and all(reasons) else None


def _empty(way: Way, by_run: Fitted, reason: str | None
           ) -> CalibratedBy:  # fmt: skip
    return {
        "method": way, "by_run": by_run, "reason": reason, "slope": NOTHING,
        "in_the_large": NOTHING, "brier": NOTHING, "ici": NOTHING, "e_max": NOTHING,
        "brier_minus_none": NO_DIFFERENCE, "ici_minus_none": NO_DIFFERENCE, "groups": [],
        "smooth": None, "histogram": None,
    }  # fmt: skip


def grid_of(test: Sample) -> Floats:
    """The risks (POINTS,) at which a smooth curve is drawn."""
    low, high = np.quantile(test.probability, (EDGE, 1 - EDGE))
    return np.linspace(low, high, POINTS)


def _drawn(
    raw: Sample, fitted: dict[str, Fitted], grids: dict[str, Floats], resampling: Resampling
) -> Figures:
    """NAMES and the smooth curve of each way, (…, 3, 5 + POINTS)."""
    none = [(0.0, 1.0)] * (raw.folds * len(raw.probability))
    by_run = list(zip(none, *([line(run) for run in fitted[way]] for way in METHODS), strict=True))
    runs = [(rows, score[rows]) for rows in raw.blocks for score in raw.probability]
    large = [
        [in_the_large_of(raw.label[rows], recalibrated(score, *one)) for one in lines]
        for (rows, score), lines in zip(runs, by_run, strict=True)
    ]

    def each_seed(weights: Floats) -> Floats:
        figures = [
            _of_run(raw.label[rows], score, lines, [*grids.values()], of, weights[:, rows])
            for (rows, score), lines, of in zip(runs, by_run, large, strict=True)
        ]
        return over_folds(np.stack(figures, axis=1), raw.folds)

    return replicate(raw, each_seed, resampling)


def _of_run(
    label: Flags, score: Floats, lines: Sequence[Line], grids: Sequence[Floats],
    large: Sequence[Callable[[Floats], Floats]], weights: Floats,
) -> Floats:  # fmt: skip
    """The same of one run under each of (B, n) weights: (B, 3, 5 + POINTS).

    `lines`: intercept and slope of each way; `grids`: risks of each way at which it is drawn;
    `large`: calibration in the large of each way by the weights.
    """
    back = [recalibrated(grid, -a / b, 1 / b) for grid, (a, b) in zip(grids, lines, strict=True)]
    curve = smooth(label, score, weights, np.concatenate([score, *back]))
    fitted, drawn = curve[:, : len(score)], curve[:, len(score) :]
    low, high = np.quantile(score, (EDGE, 1 - EDGE))
    inside = (score >= low) & (score <= high)
    own = slope(label, score, weights)
    total, made = weights.sum(axis=1), []
    for place, (intercept, factor) in enumerate(lines):
        risk = recalibrated(score, intercept, factor)
        gap = np.abs(fitted - risk)
        figures = [
            _slope_after(own, factor, label, risk, weights),
            large[place](weights),
            brier(label, risk, weights),
            np.einsum("bn,bn->b", weights, gap) / total,
            np.where(weights[:, inside] > 0, gap[:, inside], 0.0).max(axis=1),
        ]
        here = drawn[:, place * POINTS : (place + 1) * POINTS]
        made.append(np.concatenate([np.stack(figures, axis=1), here], axis=1))
    return np.stack(made, axis=1)


def _slope_after(own: Floats, factor: float, label: Flags, risk: Floats, weights: Floats) -> Floats:
    """The calibration slope (B,) of `risk`, by that of the scores where no logit is clipped."""
    clipped = (risk < CLIP) | (risk > 1 - CLIP)
    if factor == 1 or not clipped.any():
        return own / factor
    return slope(label, risk, weights)


def _measure(made: CalibratedBy, drawn: Figures, place: int) -> None:
    """Fills in NAMES of one way, and their differences to none."""
    made["slope"], made["in_the_large"] = (drawn.estimate(place, column) for column in (0, 1))
    made["brier"], made["ici"], made["e_max"] = (
        drawn.within(SHARE).estimate(place, column) for column in (2, 3, 4)
    )
    if place:
        minus = drawn.of(lambda figures: figures - figures[..., :1, :], GAP)
        made["brier_minus_none"] = minus.difference(place, NAMES.index("brier"))
        made["ici_minus_none"] = minus.difference(place, NAMES.index("ici"))


def _smooth(drawn: Figures, place: int, grid: Floats) -> Smooth | None:
    return smooth_curve(drawn.of(lambda figures: figures[..., place, len(NAMES) :], SHARE), grid)


def smooth_curve(curve: Figures, grid: Floats) -> Smooth | None:
    """A curve (POINTS,) at the risks of the grid with its band; None where it has none."""
    low, high = interval(curve.replicates)
    if np.isnan(curve.value).any() or np.isnan(low).any():
        return None
    return {
        "risk": grid.tolist(), "observed": curve.value.tolist(), "low": low.tolist(),
        "high": high.tolist(),
    }  # fmt: skip


def _groups(test: Sample, resampling: Resampling, smallest: int) -> list[RiskGroup]:
    members = bin_members(test, smallest)  # (S, bins, n)
    size, cases = members.sum(axis=2).mean(axis=0), (members @ test.label).mean(axis=0)
    risk = np.einsum("skn,sn->sk", members, test.probability) / members.sum(axis=2)
    drawn = replicate(test, lambda weights: observed(members, test.label, weights), resampling,
                      SHARE)  # fmt: skip
    made: list[RiskGroup] = []
    for place in range(len(size)):
        n, positive = (rounded_count(float(of[place]), smallest) for of in (size, cases))
        share = from_counts(drawn.estimate(place), positive, n, smallest)
        made.append({"n": n, "mean_risk": float(risk[:, place].mean()), "observed": share})
    return made


def _histogram(test: Sample, smallest: int) -> Histogram:
    edges = np.linspace(0, 1, BINS + 1)
    counts = {}
    for side in (True, False):
        of = [np.histogram(score[test.label == side], edges)[0] for score in test.probability]
        counts[side] = np.mean(of, axis=0)
    sides = {str(bar): (float(counts[True][bar]), float(counts[False][bar])) for bar in range(BINS)}
    secret = hidden(sides, smallest)

    def shown(side: bool) -> list[Rounded]:
        return [
            rounded_count(float(n), smallest, str(bar) in secret)
            for bar, n in enumerate(counts[side])
        ]

    return {"edges": edges.tolist(), "negatives": shown(False), "positives": shown(True)}
