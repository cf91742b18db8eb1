"""One binary task of a result: everything that its predictions say, on all episodes and complete.

`measure` makes the whole section of a task from the predictions and from the files beside them.
What stands beside the metrics (ceiling, single models, missing modalities) is computed by one
function, for all test episodes and for those that have all modalities of the config.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from typing_extensions import TypedDict

from pipeline.evaluation.predictions import SPLITS, by_name, name_parts, read_task, runs, samples
from pipeline.evaluation.sections.comparisons import Oracle, ceiling, comparisons, read_oracle
from pipeline.evaluation.sections.coverage import NOT_GIVEN, Presence, coverage
from pipeline.evaluation.sections.curves import curves
from pipeline.evaluation.sections.missing import Scenario, missing, read_folds_absent
from pipeline.evaluation.sections.subgroups import sensitivity, subgroups
from pipeline.evaluation.sections.suppression import shown_counts, why_no_metrics
from pipeline.evaluation.sections.threshold import threshold
from pipeline.evaluation.statistics.bootstrap import (
    Resampling,
    over_folds,
    over_runs,
    per_run,
    per_seed,
    replicate,
)
from pipeline.evaluation.statistics.calibration import slope_and_intercept
from pipeline.evaluation.statistics.figures import LOSS, NOTHING, SHARE
from pipeline.evaluation.statistics.metrics import METRICS, SHARES, Floats, unit_weights
from pipeline.evaluation.statistics.sample import Ids, Sample
from pipeline.stage.curves import TaskCurves
from pipeline.stage.result import Measured
from pipeline.stage.sections import (
    Calibration,
    Ceiling,
    Comparisons,
    Complete,
    Metric,
    Metrics,
    Missing,
    Run,
    SplitMetrics,
)
from pipeline.stage.tables import read_table

NO_METRIC: Metric = {**NOTHING, "sd": None}


@dataclass(frozen=True)
class Beside:
    """Files that say more about the evaluated episodes of a task; each may be absent.

    `singles`, `baselines`: predictions of single-modality models and of baselines on statistics,
    each named by its target; `truth`: folder of the known truth, there
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
    baselines: Sequence[str] = ()


@dataclass(frozen=True)
class Others:
    """What a task's test predictions are compared with, as far as there is any.

    `oracle`: the best reachable predictions; `singles`, `baselines`: name → its tables, per fold;
    `absent`: (modality, rate) → (S, n) predictions of the same test episodes.
    """

    oracle: Oracle | None = None
    singles: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    baselines: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    absent: dict[Scenario, Floats] = field(default_factory=dict)


class Against(TypedDict):
    """The test episodes beside what they are compared with."""

    ceiling: Ceiling | None
    comparisons: Comparisons
    missing: list[Missing] | None


class MeasuredTask(Measured):
    """All sections of a binary task."""

    comparisons: Comparisons
    missing: list[Missing] | None


def measure(
    frames: list[pl.DataFrame],
    target: str,
    beside: Beside,
    resampling: Resampling,
    smallest: int,
    presence: Presence = NOT_GIVEN,
) -> tuple[MeasuredTask, TaskCurves]:
    """Everything that is computed from the predictions of a task, and the test's curves.

    `frames`: a checked table of predictions per fold; `target`: modalities_model_task, of one task.
    """
    run, split = runs(frames), {name: samples(frames, name) for name in SPLITS}
    test, others = split["test"], read_others(frames, target, beside)
    metrics = {s: split_metrics(split[s], run, resampling, smallest) for s in SPLITS}
    against = compared(test, others, resampling, smallest)
    groups = sensible = None
    if beside.episodes:
        groups = subgroups(test, read_table(beside.episodes), resampling, smallest)
    if beside.without:
        sensible = sensitivity(test, beside.without, resampling, smallest)
    measured: MeasuredTask = {
        "metrics": per_split(metrics),
        "ceiling": against["ceiling"],
        "comparisons": against["comparisons"],
        "calibration": calibration(test, resampling),
        "threshold": threshold(split, run, resampling, smallest),
        "subgroups": groups,
        "sensitivity": sensible or [],
        "missing": against["missing"],
        "coverage": coverage(frames, presence, smallest),
        "complete": complete(frames, others, presence, resampling, smallest),
    }
    best = others.oracle.sample if others.oracle else None
    return measured, curves(target, metrics["test"]["reason"], test, best, resampling, smallest)


def read_others(frames: list[pl.DataFrame], target: str, beside: Beside) -> Others:
    """Reads what the predictions of a target are compared with."""
    modalities, _, task = name_parts(target).values()
    test, oracle = samples(frames, "test"), None
    if beside.truth:
        oracle = read_oracle(beside.truth, beside.truth_of or task, modalities, test)
    singles, baselines = (_of_task(paths, task) for paths in (beside.singles, beside.baselines))
    absent = read_folds_absent(beside.absent, frames) if beside.absent else {}
    return Others(oracle, singles, baselines, absent)


def _of_task(paths: Sequence[str], task: str) -> dict[str, list[pl.DataFrame]]:
    """Target → its predictions, a table per fold, of those files that are of this task."""
    return {
        name: read_task(files, task)
        for name, files in sorted(by_name(paths).items())
        if name_parts(name)["task"] == task
    }


def compared(
    test: Sample, others: Others, resampling: Resampling, smallest: int, within: Ids | None = None
) -> Against:
    """Ceiling, single models and missing modalities on the test episodes, or `within` them alone.

    `within`: ids; the population's ceiling is then null, as it is that of all episodes.
    """
    part = test.among(within)
    inside = slice(None) if within is None else np.isin(test.episode, within)
    absent = {scenario: values[:, inside] for scenario, values in others.absent.items()}
    best = ceiling(part, others.oracle, resampling, smallest, within) if others.oracle else None
    return {
        "ceiling": best,
        "comparisons": comparisons(
            others.singles, part, resampling, smallest, within, others.baselines
        ),
        "missing": missing(part, absent, resampling),
    }


def complete(
    frames: list[pl.DataFrame],
    others: Others,
    presence: Presence,
    resampling: Resampling,
    smallest: int,
) -> Complete:
    """The same on the episodes that have all modalities of the config.

    The best single model is chosen on complete episodes of validation, too. With too few in test
    all but the metrics are null; `reason` says why.
    """
    section: Complete = {
        "reason": presence.why_unknown, "metrics": None, "ceiling": None, "comparisons": None,
        "missing": None,
    }  # fmt: skip
    if section["reason"]:
        return section
    metrics: dict[str, SplitMetrics] = {}
    for name in SPLITS:
        kept, why = presence.within(samples(frames, name), smallest)
        metrics[name] = (
            withheld(why) if why else split_metrics(kept, runs(frames), resampling, smallest)
        )
    section["metrics"] = per_split(metrics)
    section["reason"] = metrics["test"]["reason"]
    if section["reason"]:
        return section
    against = compared(
        samples(frames, "test"), others, resampling, smallest, within=presence.complete
    )
    if metrics["val"]["reason"]:  # withheld for the model, so for the others, too
        compared_with = against["comparisons"]
        for other in (*compared_with["singles"].values(), *compared_with["baselines"].values()):
            other["validation_auroc"] = None
    return {**section, **against}


def split_metrics(
    part: Sample, names: list[Run], resampling: Resampling, smallest: int
) -> SplitMetrics:
    """Counts and metrics of one split; null metrics with a `reason` where a class is missing.

    `names`: seed and fold of each run.
    """
    if reason := why_no_metrics(part, smallest):
        return {**withheld(reason), **shown_counts(part, smallest)}

    def each_run(weights: Floats) -> Floats:  # (B, runs, metrics)
        return np.stack([per_run(m, part, weights) for m in METRICS.values()], axis=2)

    by_run = each_run(unit_weights(part.label))[0]
    drawn = replicate(part, lambda weights: over_folds(each_run(weights), part.folds), resampling)
    figures = {
        name: over_runs(
            drawn.at(place).within(SHARE if name in SHARES else LOSS), by_run[:, place], names
        )
        for place, name in enumerate(METRICS)
    }
    return {
        **shown_counts(part, smallest),
        "reason": None,
        "discarded_resamples": drawn.discarded,
        "auroc": figures["auroc"],
        "auprc": figures["auprc"],
        "brier": figures["brier"],
        "log_loss": figures["log_loss"],
    }


def per_split(metrics: Mapping[str, SplitMetrics]) -> Metrics:
    """Metrics by split, in their order."""
    return {
        "train": metrics["train"], "fusion": metrics["fusion"], "val": metrics["val"],
        "test": metrics["test"],
    }  # fmt: skip


def withheld(reason: str) -> SplitMetrics:
    """The metrics of a split of which nothing may be shown."""
    return {
        "n": None, "patients": None, "positives": None, "prevalence": None,
        "reason": reason, "discarded_resamples": 0,
        "auroc": NO_METRIC, "auprc": NO_METRIC, "brier": NO_METRIC, "log_loss": NO_METRIC,
    }  # fmt: skip


def calibration(part: Sample, resampling: Resampling) -> Calibration:
    """Calibration slope and intercept in the large, mean over runs, with intervals."""
    if part.fewest < resampling.least:
        return {"slope": NOTHING, "intercept": NOTHING}
    drawn = replicate(part, per_seed(slope_and_intercept, part), resampling)  # (…, 2)
    return {"slope": drawn.estimate(0), "intercept": drawn.estimate(1)}
