"""Everything that a result says about predictions: metrics, ceiling, comparisons, calibration."""

import math
from typing import Any

import numpy as np
import polars as pl

from pipeline.common.errors import InputError
from pipeline.evaluation.bootstrap import NOTHING, Resampling, estimate, replicate
from pipeline.evaluation.calibration import slope_and_intercept
from pipeline.evaluation.comparison import ceiling, comparisons, read_oracle
from pipeline.evaluation.curves import curves
from pipeline.evaluation.metrics import METRICS, Floats, per_seed, unit_weights
from pipeline.evaluation.predictions import SPLITS, Sample, sample
from pipeline.evaluation.suppression import shown_counts, why_no_curves, why_no_metrics

SCHEMA_VERSION = 1
DIGITS = 6


def parts(target: str) -> dict[str, str]:
    """Modalities, model and task of a target `{modalities}_{model}_{task}`.

    >>> parts("ecn_early_mortality")
    {'modalities': 'ecn', 'model': 'early', 'task': 'mortality'}
    """
    pieces = target.split("_", 2)
    if len(pieces) < 3 or not all(pieces):
        raise InputError(f"--target {target}: expected modalities_model_task, as in e_unimodal_x")
    return dict(zip(("modalities", "model", "task"), pieces, strict=True))


def split_metrics(part: Sample, resampling: Resampling, smallest: int) -> dict[str, Any]:
    """Counts and metrics of one split; null metrics with a `reason` where a class is missing."""
    result = {**shown_counts(part, smallest), "reason": why_no_metrics(part, smallest)}
    if result["reason"]:
        return {**result, "discarded_resamples": 0, **{name: dict(NOTHING) for name in METRICS}}

    def each_seed(weights: Floats) -> Floats:  # (B, metrics, S)
        values = (per_seed(m, part.label, part.probability, weights) for m in METRICS.values())
        return np.stack(list(values), axis=1)

    at = each_seed(unit_weights(part.label))[0]
    replicates, discarded = replicate(part, lambda w: each_seed(w).mean(axis=2), resampling)
    result["discarded_resamples"] = discarded
    for position, name in enumerate(METRICS):
        result[name] = estimate(at[position].mean(), replicates[:, position])
        if at.shape[1] > 1:
            result[name]["by_seed"] = at[position].tolist()
    return result


def calibration(part: Sample, resampling: Resampling) -> dict[str, Any]:
    """Calibration slope and intercept in the large, mean over seeds, with intervals."""
    if not part.two_classes:
        return {"slope": dict(NOTHING), "intercept": dict(NOTHING)}

    def seed_mean(weights: Floats) -> Floats:  # (B, 2)
        each = [slope_and_intercept(part.label, score, weights) for score in part.probability]
        return np.mean(each, axis=0)

    at = seed_mean(unit_weights(part.label))[0]
    replicates, _ = replicate(part, seed_mean, resampling)
    return {
        "slope": estimate(at[0], replicates[:, 0]),
        "intercept": estimate(at[1], replicates[:, 1]),
    }


def measure(
    frame: pl.DataFrame,
    target: str,
    singles: list[str],
    truth: str | None,
    resampling: Resampling,
    smallest: int,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Everything that is computed from predictions: parts of the result, and the test's curves."""
    names = parts(target)
    test = sample(frame, "test")
    oracle = read_oracle(truth, names["task"], names["modalities"], test) if truth else None
    measured = {
        "metrics": {s: split_metrics(sample(frame, s), resampling, smallest) for s in SPLITS},
        "ceiling": None,
        "comparisons": comparisons(singles, test, resampling, smallest),
        "calibration": calibration(test, resampling),
    }
    if truth and oracle:
        task = (names["task"], names["modalities"])
        measured["ceiling"] = ceiling(truth, task, test, oracle, resampling, smallest)
    drawn: dict[str, Any] = {"roc": None, "pr": None, "calibration": None}
    reason = why_no_curves(test, smallest)
    if not reason:
        drawn = curves(test, oracle, resampling, smallest)
    head = {"schema_version": SCHEMA_VERSION, "target": target, "split": "test", "reason": reason}
    return measured, head | drawn


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
