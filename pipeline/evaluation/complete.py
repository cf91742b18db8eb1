"""What is measured on all episodes, once more on those that have all modalities of the config."""

from typing import Any

import numpy as np
import polars as pl

from pipeline.evaluation.bootstrap import NOTHING, Resampling
from pipeline.evaluation.comparison import ceiling, comparisons, read_oracle
from pipeline.evaluation.coverage import Presence
from pipeline.evaluation.diagnoses import diagnoses
from pipeline.evaluation.diagnosis_tables import SPLITS as RANKED
from pipeline.evaluation.diagnosis_tables import Fold
from pipeline.evaluation.folds import by_name, runs, samples
from pipeline.evaluation.measures import Beside, parts, split_metrics
from pipeline.evaluation.metrics import METRICS
from pipeline.evaluation.missing import missing, read_folds_absent
from pipeline.evaluation.predictions import SPLITS, Sample

PARTS = ("metrics", "ceiling", "comparisons", "missing")


def complete(
    frames: list[pl.DataFrame],
    target: str,
    beside: Beside,
    presence: Presence,
    resampling: Resampling,
    smallest: int,
) -> dict[str, Any]:
    """The result's field `complete`: metrics, ceiling, comparisons and missing modalities.

    The same code on fewer episodes: the best single model is chosen on complete episodes of
    validation, too. With too few in test all but the metrics are null; `reason` says why.
    """
    nothing: dict[str, Any] = {"reason": presence.why_unknown, **dict.fromkeys(PARTS)}
    if nothing["reason"]:
        return nothing
    run, metrics, split = runs(frames), {}, {}
    for name in SPLITS:
        split[name], why = presence.within(samples(frames, name), smallest)
        measured = split_metrics(split[name], run, resampling, smallest)
        metrics[name] = withheld(why) if why else measured
    found = {**nothing, "metrics": metrics, "reason": metrics["test"]["reason"]}
    if found["reason"]:
        return found
    found |= _beside(frames, target, beside, presence, split["test"], resampling, smallest)
    if metrics["val"]["reason"]:  # withheld for the model, so for the singles, too
        for single in found["comparisons"]["singles"].values():
            single["validation_auroc"] = None
    return found


def withheld(reason: str) -> dict[str, Any]:
    """The metrics of a split of which nothing may be said."""
    counts = dict.fromkeys(("n", "patients", "positives", "prevalence"))
    nothing = {name: {**NOTHING, "sd": None} for name in METRICS}
    return {**counts, "reason": reason, "discarded_resamples": 0, **nothing}


def _beside(
    frames: list[pl.DataFrame],
    target: str,
    beside: Beside,
    presence: Presence,
    test: Sample,
    resampling: Resampling,
    smallest: int,
) -> dict[str, Any]:
    """Ceiling, comparisons and missing modalities of the complete test episodes."""
    names, truth = parts(target), beside.truth
    known = (beside.truth_of or names["task"], names["modalities"])
    oracle = read_oracle(truth, *known, test) if truth else None
    found: dict[str, Any] = {"ceiling": None, "missing": None}
    if truth and oracle:
        reachable = ceiling(truth, known, test, oracle, resampling, smallest)
        # the population's AUROC is that of all episodes
        found["ceiling"] = {**reachable, "population_auroc": None}
    own = presence.complete
    found["comparisons"] = comparisons(by_name(beside.singles), test, resampling, smallest, own)
    if beside.absent:
        inside = np.isin(samples(frames, "test").episode, own)
        absent = read_folds_absent(beside.absent, frames)
        fewer = {scenario: values[:, inside] for scenario, values in absent.items()}
        found["missing"] = missing(test, fewer, resampling)
    return found


def complete_diagnoses(
    folds: list[Fold],
    presence: Presence,
    resampling: Resampling,
    smallest: int,
    versions: pl.DataFrame,
) -> dict[str, Any]:
    """The same of the diagnoses: metrics of the complete stays of val and test.

    `versions`: as for `diagnoses`.
    """
    nothing: dict[str, Any] = {"reason": presence.why_unknown, "metrics": None}
    if nothing["reason"]:
        return nothing
    for name in RANKED:
        own = pl.concat(fold.frame.filter(split=name).select("episode_id") for fold in folds)
        if why := presence.why_not(own["episode_id"].to_numpy(), smallest):
            return {**nothing, "reason": f"{name}: {why}"}
    run = runs([fold.frame for fold in folds])
    measured, _ = diagnoses(folds, run, resampling, smallest, versions, presence.complete)
    metrics = measured["metrics"]
    return {"reason": metrics["test"]["reason"], "metrics": metrics}
