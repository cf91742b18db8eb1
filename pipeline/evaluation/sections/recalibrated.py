"""Recalibration of a model's predictions: fitted on validation, run by run, applied to all splits.

A run is a fold and a seed, a training of its own. Nothing is fitted on test. Where a run cannot be
recalibrated (few validation episodes of a class, classes that are told apart, risks that do not
rise with the predictions) its predictions stay as they are, with the reason.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import polars as pl

from pipeline.evaluation.predictions import seeds
from pipeline.evaluation.statistics.metrics import Flags, Floats
from pipeline.evaluation.statistics.recalibration import fit_recalibration, recalibrated
from pipeline.stage.privacy import warn
from pipeline.stage.sections import Method, RunParameters

Line = tuple[float, float]  # intercept and slope
Fitted = list[RunParameters]
FALLS = "the risk does not rise with the predictions on validation: the slope is not above 0"
SEPARATED = "no finite fit: the predictions tell the classes of validation apart, or are all alike"
METHODS: tuple[Method, ...] = ("platt", "temperature")


def fit(
    label: Flags, score: Floats, fitted_by: Callable[[Flags, Floats], Line], smallest: int
) -> Line | str:
    """Intercept and slope by validation episodes (n,); else why there are none.

    >>> score, platt = np.array([0.1, 0.8, 0.4, 0.9]), partial(fit_recalibration, method="platt")
    >>> fit(score < 0.5, score, platt, 0) == SEPARATED, fit(score < 9, score, platt, 0)
    (True, 'validation has one class only')
    """
    sides = int(label.sum()), int((~label).sum())
    if min(sides) == 0:
        return "validation has one class only"
    if min(sides) < smallest:
        return f"fewer than {smallest} positive or negative validation episodes"
    intercept, slope = fitted_by(label, score)
    if np.isnan(slope) or np.isnan(intercept):
        return SEPARATED
    return (intercept, slope) if slope > 0 else FALLS


def fit_runs(frames: Sequence[pl.DataFrame], method: Method, smallest: int) -> Fitted:
    """What is fitted of every run, fold by fold; `frames`: predictions, a table per fold."""
    fitted: Fitted = []
    for number, frame in enumerate(frames):
        for seed in seeds(frame):
            part = frame.filter(seed=seed, split="val")
            label, score = part["label"].to_numpy() == 1, part["probability"].to_numpy()
            found = fit(label, score, partial(fit_recalibration, method=method), smallest)
            run: RunParameters = {
                "seed": seed, "fold": number, "slope": None, "intercept": None, "reason": None
            }  # fmt: skip
            if isinstance(found, str):
                fitted.append({**run, "reason": found})
            else:
                fitted.append({**run, "intercept": found[0], "slope": found[1]})
    return fitted


def line(run: RunParameters) -> Line:
    """Intercept and slope of a run: 0 and 1 where none could be fitted."""
    intercept, slope = run["intercept"], run["slope"]
    return (0.0, 1.0) if intercept is None or slope is None else (intercept, slope)


def apply(frames: Sequence[pl.DataFrame], fitted: Fitted) -> list[pl.DataFrame]:
    """The tables with the probabilities of every run recalibrated; other columns and rows alike."""
    made = []
    for number, frame in enumerate(frames):
        probability, seed = frame["probability"].to_numpy().copy(), frame["seed"].to_numpy()
        for run in fitted:
            if run["fold"] == number and run["reason"] is None:
                rows = seed == run["seed"]
                probability[rows] = recalibrated(probability[rows], *line(run))
        made.append(frame.with_columns(probability=pl.Series(probability)))
    return made


def recalibrate(
    frames: Sequence[pl.DataFrame], method: Method, task: str, smallest: int
) -> tuple[list[pl.DataFrame], Fitted]:
    """`apply` of `fit_runs`; says on the screen of which runs the predictions stay as they are."""
    fitted = fit_runs(frames, method, smallest)
    for reason in dict.fromkeys(run["reason"] for run in fitted if run["reason"]):
        warn("%s: not recalibrated, in some run or all: %s", task, reason)
    return apply(frames, fitted), fitted
