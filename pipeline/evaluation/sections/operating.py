"""Operating points: the model at thresholds that fix something on validation, measured on test."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from pipeline.evaluation.sections.suppression import (
    from_counts,
    rounded_count,
    why_no_metrics,
)
from pipeline.evaluation.sections.threshold import (
    CELLS,
    MEASURES,
    NPV,
    Aim,
    at_calls,
    by_prevalence,
    calls_of,
    confusion,
    cuts,
    fixed_on,
    why_few,
    why_not,
)
from pipeline.evaluation.statistics.bootstrap import Resampling, replicate
from pipeline.evaluation.statistics.figures import NOTHING, SHARE
from pipeline.evaluation.statistics.metrics import Floats
from pipeline.evaluation.statistics.sample import Sample
from pipeline.stage.kit import Confusion, OperatingPoint
from pipeline.stage.sections import Estimate, Run

AIMS: tuple[tuple[Aim, float], ...] = (
    ("sensitivity", 0.8), ("sensitivity", 0.9), ("specificity", 0.9), ("specificity", 0.95),
    ("alert_rate", 0.05), ("alert_rate", 0.1), ("alert_rate", 0.2),
)  # fmt: skip
WORDS = {"sensitivity": "sensitivity", "specificity": "specificity", "alert_rate": "alert rate"}
PARTS = {  # measure → the cells that it is the share of, and all that it is a share of
    "sensitivity": ((0,), (0, 2)),
    "specificity": ((3,), (1, 3)),
    "ppv": ((0,), (0, 1)),
    "npv": ((3,), (2, 3)),
    "alert_rate": ((0, 1), (0, 1, 2, 3)),
}
PLACES = {  # measure → its place in `at_threshold`
    "sensitivity": MEASURES.index("sensitivity"),
    "specificity": MEASURES.index("specificity"),
    "ppv": MEASURES.index("precision"),
    "npv": NPV,
    "alert_rate": MEASURES.index("share_positive"),
}


def operating_points(
    parts: Mapping[str, Sample], runs: list[Run], resampling: Resampling, smallest: int
) -> list[OperatingPoint]:
    """The section of a kit: each of AIMS, and the result's own threshold.

    `parts`: samples by split; `runs`: seed and fold of each run.
    """
    made = []
    for what, aim in AIMS:
        words = f"{WORDS[what]} {aim:.2f} on validation, as nearly as the scores allow"
        cut = fixed_on(parts["val"], what, aim)
        point = _empty(what, aim, words, _why_not(parts, cut, smallest))
        made.append(_measured(point, parts["test"], cut, runs, resampling, smallest))
    chosen = by_prevalence(parts, runs)
    words = (
        "as many called on validation as are positive among the training patients (the result's)"
    )
    point = _empty("result", None, words, why_not(parts, chosen, smallest))
    made.append(_measured(point, parts["test"], cuts(chosen), runs, resampling, 0))
    return made


def _empty(what: str, aim: float | None, words: str, reason: str | None) -> OperatingPoint:
    return cast(OperatingPoint, {
        "chosen_by": what, "aim": aim, "words": words, "reason": reason, "by_run": [],
        "confusion": None, **dict.fromkeys(PARTS, NOTHING),
    })  # fmt: skip


def _why_not(parts: Mapping[str, Sample], cut: Floats, smallest: int) -> str | None:
    """Why there are no figures at the thresholds of the runs; None where there are."""
    if np.isnan(cut).any():
        return "no validation episodes to choose it on"
    if reason := why_no_metrics(parts["val"], smallest):
        return f"validation: {reason}"
    return why_no_metrics(parts["test"], smallest) or why_few(parts, cut, smallest)


def _measured(
    point: OperatingPoint, test: Sample, cut: Floats, runs: list[Run], resampling: Resampling,
    smallest: int,
) -> OperatingPoint:  # fmt: skip
    """The point with its thresholds, confusion matrix and rates.

    `smallest`: cells are rounded to it; 0 of the result's own point, which the result shows as it
    is, or not at all where a cell is small.
    """
    if point["reason"]:
        return point
    calls = calls_of(test, cut)
    counts = [rounded_count(float(n), smallest) for n in confusion(test, calls)]
    drawn = replicate(test, at_calls(test, calls), resampling, SHARE)
    point["by_run"] = [
        {**run, "threshold": float(value)} for run, value in zip(runs, cut, strict=True)
    ]
    point["confusion"] = cast(Confusion, dict(zip(CELLS, counts, strict=True)))
    for name, place in PLACES.items():
        rate = _rate_of(counts, name, drawn.estimate(place), smallest)
        point[name] = rate  # type: ignore[literal-required]
    return point


def _rate_of(counts: list[Any], name: str, exact: Estimate, smallest: int) -> Estimate:
    """A rate by the shown counts of the cells, where few are hidden; else as it is."""
    part, whole = (sum(counts[cell] for cell in cells) for cells in PARTS[name])
    return from_counts(exact, part, whole, smallest)
