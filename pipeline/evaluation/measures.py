"""Everything that a result says about predictions: metrics, ceiling, comparisons, subgroups, …"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pipeline.evaluation.bootstrap import (
    NOTHING,
    Resampling,
    over_folds,
    over_runs,
    per_run,
    per_seed,
    replicate,
)
from pipeline.evaluation.calibration import slope_and_intercept
from pipeline.evaluation.comparison import ceiling, comparisons, read_oracle
from pipeline.evaluation.curves import curves
from pipeline.evaluation.figures import LOSS, SHARE
from pipeline.evaluation.folds import by_name, runs, samples
from pipeline.evaluation.metrics import METRICS, SHARES, Floats, unit_weights
from pipeline.evaluation.missing import missing, read_folds_absent
from pipeline.evaluation.predictions import SPLITS, Sample
from pipeline.evaluation.sensitivity import sensitivity
from pipeline.evaluation.subgroups import subgroups
from pipeline.evaluation.suppression import shown_counts, why_no_metrics
from pipeline.evaluation.threshold import threshold
from pipeline.stage.errors import InputError
from pipeline.stage.result import SCHEMA_VERSION
from pipeline.stage.tables import read_table

DIGITS = 6


@dataclass(frozen=True)
class Beside:
    """Files that say more about the evaluated episodes; each may be absent.

    `singles`: predictions of single-modality models; `truth`: folder of the known truth, there
    under the name `truth_of` where that is not the task's; `episodes`: demographics; `without`:
    the marks of the task's sensitivity analyses; `absent`: predictions with a modality missing, per
    fold.
    """

    singles: Sequence[str] = ()
    truth: str | None = None
    episodes: str | None = None
    without: str | None = None
    absent: Sequence[str] = ()
    truth_of: str | None = None


def parts(target: str) -> dict[str, str]:
    """Modalities, model and task of a target `{modalities}_{model}_{task}`.

    >>> parts("ecn_early_mortality")
    {'modalities': 'ecn', 'model': 'early', 'task': 'mortality'}
    """
    pieces = target.split("_", 2)
    if len(pieces) < 3 or not all(pieces):
        raise InputError(f"--target {target}: expected modalities_model_task, as in e_unimodal_x")
    return dict(zip(("modalities", "model", "task"), pieces, strict=True))


def split_metrics(
    part: Sample, names: list[dict[str, int]], resampling: Resampling, smallest: int
) -> dict[str, Any]:
    """Counts and metrics of one split; null metrics with a `reason` where a class is missing.

    `names`: seed and fold of each run.
    """
    result = {**shown_counts(part, smallest), "reason": why_no_metrics(part, smallest)}
    if result["reason"]:
        nothing = {name: {**NOTHING, "sd": None} for name in METRICS}
        return {**result, "discarded_resamples": 0, **nothing}

    def each_run(weights: Floats) -> Floats:  # (B, runs, metrics)
        return np.stack([per_run(m, part, weights) for m in METRICS.values()], axis=2)

    by_run = each_run(unit_weights(part.label))[0]
    found = replicate(part, lambda weights: over_folds(each_run(weights), part.folds), resampling)
    result["discarded_resamples"] = found.discarded
    for position, name in enumerate(METRICS):
        figure = found.at(position).within(SHARE if name in SHARES else LOSS)
        result[name] = over_runs(figure, by_run[:, position], names)
    return result


def calibration(part: Sample, resampling: Resampling) -> dict[str, Any]:
    """Calibration slope and intercept in the large, mean over runs, with intervals."""
    if part.fewest < resampling.least:
        return {"slope": dict(NOTHING), "intercept": dict(NOTHING)}
    found = replicate(part, per_seed(slope_and_intercept, part), resampling)  # (…, 2)
    return {"slope": found.estimate(0), "intercept": found.estimate(1)}


def measure(
    frames: list[pl.DataFrame], target: str, beside: Beside, resampling: Resampling, smallest: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Everything that is computed from predictions: parts of the result, and the test's curves.

    `frames`: a checked table of predictions per fold.
    """
    names, run = parts(target), runs(frames)
    split = {name: samples(frames, name) for name in SPLITS}
    test, truth = split["test"], beside.truth
    known = (beside.truth_of or names["task"], names["modalities"])
    oracle = read_oracle(truth, *known, test) if truth else None
    measured = {
        "metrics": {s: split_metrics(split[s], run, resampling, smallest) for s in SPLITS},
        "ceiling": None,
        "comparisons": comparisons(by_name(beside.singles), test, resampling, smallest),
        "calibration": calibration(test, resampling),
        "threshold": threshold(split, run, resampling, smallest),
        **_more(frames, test, beside, resampling, smallest),
    }
    if truth and oracle:
        measured["ceiling"] = ceiling(truth, known, test, oracle, resampling, smallest)
    drawn: dict[str, Any] = {"roc": None, "pr": None, "calibration": None}
    reason = measured["metrics"]["test"]["reason"]
    if not reason:
        drawn = curves(test, oracle, resampling, smallest)
    head = {"schema_version": SCHEMA_VERSION, "target": target, "split": "test", "reason": reason}
    return measured, head | drawn


def _more(
    frames: list[pl.DataFrame], test: Sample, beside: Beside, resampling: Resampling, smallest: int
) -> dict[str, Any]:
    """Subgroups and missing modalities, null where a file is absent; sensitivity analyses."""
    more: dict[str, Any] = {"subgroups": None, "sensitivity": [], "missing": None}
    if beside.episodes:
        table = read_table(beside.episodes)
        more["subgroups"] = subgroups(test, table, resampling, smallest)
    if beside.without:
        more["sensitivity"] = sensitivity(test, beside.without, resampling, smallest)
    if beside.absent:
        more["missing"] = missing(test, read_folds_absent(beside.absent, frames), resampling)
    return more


def rounded(value: Any) -> Any:
    """The value with every float in it rounded to DIGITS, and NaN as None.

    >>> rounded({"auroc": [0.12345678, float("nan"), -0.0], "n": 7})
    {'auroc': [0.123457, None, 0.0], 'n': 7}
    """
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, DIGITS) + 0.0
    return value
