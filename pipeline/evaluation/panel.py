"""Several models of one task on the same test episodes, under the same resamples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipeline.evaluation.diagnosis_tables import read_diagnoses, stays
from pipeline.evaluation.predictions import read_tasks, samples, seeds
from pipeline.evaluation.provenance import cohort_fingerprint
from pipeline.evaluation.sections.coverage import Presence
from pipeline.evaluation.sections.diagnoses import counted, divided
from pipeline.evaluation.sections.suppression import NO_COUNTS, shown_counts, why_no_metrics
from pipeline.evaluation.statistics.bootstrap import Resampling, per_seed, replicate
from pipeline.evaluation.statistics.figures import GAP, SHARE, Figures
from pipeline.evaluation.statistics.metrics import Floats, auroc
from pipeline.evaluation.statistics.ranking import Stays, by_seed, recalls, resampled
from pipeline.evaluation.statistics.sample import Ids, Sample, same_episodes
from pipeline.stage.comparison import TestCounts
from pipeline.stage.errors import InputError
from pipeline.stage.sections import Difference, StayCounts

NO_FIGURES = Figures(np.zeros((1, 0)), np.zeros((0, 0)))
TEN = np.array([10])  # the k of Recall@10


@dataclass(frozen=True)
class Panel:
    """Predictions of a binary task by M models, by name, of the same n test episodes.

    `tests`, `validation`: their samples; `episodes`: a table per fold of each model, of episode_id,
    subject_id and split; `cohorts`: fingerprints of each model's episodes, splits and labels.
    """

    tests: Mapping[str, Sample]
    validation: Mapping[str, Sample]
    episodes: Mapping[str, Sequence[pl.DataFrame]]
    cohorts: Mapping[str, str]

    @property
    def first(self) -> Sample:
        """The first model's sample: episodes, subjects and labels are those of every model."""
        return next(iter(self.tests.values()))

    def among(self, episodes: Ids | None) -> "Panel":
        """Of these episodes alone (ids); of all where that is None."""
        tests = {name: part.among(episodes) for name, part in self.tests.items()}
        validation = {name: part.among(episodes) for name, part in self.validation.items()}
        return Panel(tests, validation, self.episodes, self.cohorts)


def read_panels(tables: Mapping[str, Sequence[str]]) -> dict[str, Panel]:
    """The models of every binary task; `tables`: name of a model → a table per fold.

    Raises `InputError` where two models differ in a task's test episodes, labels or seeds.
    """
    frames: dict[str, dict[str, list[pl.DataFrame]]] = {}  # task → model → a table per fold
    for name, paths in tables.items():
        for task, folds in read_tasks(list(paths)).items():
            frames.setdefault(task, {})[name] = folds
    panels = {task: _panel(models) for task, models in frames.items()}
    for task, panel in panels.items():
        first, *_ = (tables[name][0] for name in frames[task])
        for name, test in panel.tests.items():
            same_episodes(panel.first, test, tables[name][0], first)
    return panels


def _panel(models: Mapping[str, list[pl.DataFrame]]) -> Panel:
    return Panel(
        {name: samples(folds, "test") for name, folds in models.items()},
        {name: samples(folds, "val") for name, folds in models.items()},
        {name: [episodes_of(fold) for fold in folds] for name, folds in models.items()},
        {name: cohort_fingerprint(*folds) for name, folds in models.items()},
    )


def episodes_of(predictions: pl.DataFrame) -> pl.DataFrame:
    """The predicted episodes of a fold, each once, with patient and split."""
    return predictions.select("episode_id", "subject_id", "split").unique()


def same_cohort(panel: Panel, task: str) -> None:
    """Raises `InputError` where two models of a panel differ in episodes, splits or labels.

    Their test episodes may still be the same; but trained on other episodes they would be compared
    by their cohorts, not by what they are.
    """
    first, *others = panel.cohorts
    if differing := [name for name in others if panel.cohorts[name] != panel.cohorts[first]]:
        raise InputError(
            f"{task}: the episodes, splits or labels of {', '.join(differing)} are not those of "
            f"{first}; models are compared on one cohort and one split: make the predictions of "
            "all of them again with one config"
        )


def measured(
    panel: Panel, resampling: Resampling, smallest: int, presence: Presence | None = None
) -> tuple[Panel, TestCounts, Figures]:
    """The panel, counts of its test episodes, and the AUROC of its M models, figures (…, M).

    `presence`: of the episodes with all modalities alone. Without enough of them there are no
    figures, and a reason.
    """
    if presence is not None:
        why = presence.within(panel.first, smallest)[1]
        panel = panel.among(presence.complete)
        if why:
            return panel, {**NO_COUNTS, "reason": why}, NO_FIGURES
    reason = why_no_metrics(panel.first, smallest)
    counts: TestCounts = {**shown_counts(panel.first, smallest), "reason": reason}
    return panel, counts, NO_FIGURES if reason else aurocs(panel, resampling)


def aurocs(panel: Panel, resampling: Resampling) -> Figures:
    """Test AUROC of each of M models: figures (…, M), of one resample all with the same patients.

    So differences are paired. The panel must hold both classes.
    """
    statistics = [per_seed(auroc, test) for test in panel.tests.values()]

    def each(weights: Floats) -> Floats:
        by_seed = [statistic(weights) for statistic in statistics]  # (B, S), of an ensemble (B, 1)
        return np.stack(np.broadcast_arrays(*by_seed), axis=2)

    return replicate(panel.first, each, resampling, SHARE)


class Paired(Difference):
    """The difference of two figures of the same episodes, and its p-value."""

    first: str
    second: str
    seeds: int
    p: float


def differences(
    pairs: Sequence[tuple[str, str]], names: Sequence[str], figures: Figures
) -> list[Paired]:
    """first − second of each pair of names, with interval and p.

    `figures` (…, K) are those that are compared, named by `names`; no two differ by more than 1.

    >>> drawn = Figures(np.array([[0.9, 0.7]]), np.array([[0.8, 0.7], [0.9, 0.7], [0.9, 0.8]]))
    >>> (row,) = differences([("a", "b")], ["a", "b"], drawn)
    >>> row["first"], round(row["value"], 3), row["seeds"], row["p"]
    ('a', 0.2, 1, 0.5)
    """
    first = [names.index(one) for one, _ in pairs]
    second = [names.index(two) for _, two in pairs]
    between = figures.of(lambda each: each[..., first] - each[..., second], GAP)
    return [
        {
            "first": one,
            "second": two,
            "seeds": between.seeds,
            **between.difference(k),
            "p": between.p(k),
        }
        for k, (one, two) in enumerate(pairs)
    ]


@dataclass(frozen=True)
class RankingTables:
    """Where predictions of diagnoses lie: target → a table per fold; their truth, per fold."""

    targets: Mapping[str, Sequence[str]]
    groups: Sequence[str]
    vocabularies: Sequence[str]


def ranked(
    tables: RankingTables, resampling: Resampling, smallest: int, presence: Presence | None = None
) -> tuple[StayCounts | None, list[str], Figures]:
    """Counts of the test stays; names of M targets, and their Recall@10, figures (…, M).

    No counts where no target has diagnoses, no names without enough stays. `presence`: of the stays
    with all modalities alone.
    """
    first, columns = _recalls(tables)
    if not columns:
        return None, [], NO_FIGURES
    others: list[Stays] = []
    if presence:
        why = presence.why_not(np.concatenate([part.episode for part in first]), smallest)
        if why:
            nothing: StayCounts = {
                "n": None, "patients": None, "with_group": None, "labels_per_stay": None,
                "reason": why,
            }  # fmt: skip
            return nothing, [], NO_FIGURES
        _, others = divided(first, presence.complete)
        first, columns = _recalls(tables, presence.complete)
    counts = counted(first, smallest, others)
    if counts["reason"]:
        return counts, [], NO_FIGURES
    values = np.concatenate(list(columns.values()), axis=2)
    return counts, list(columns), resampled(values, first, resampling).within(SHARE)


def _recalls(
    tables: RankingTables, within: Ids | None = None
) -> tuple[list[Stays], dict[str, Floats]]:
    """The test stays, fold by fold, and each target's recall: name → (n, S, 1), by seed.

    Targets without diagnoses are passed over. Raises `InputError` where two differ in test stays or
    in their seeds. `within`: the stays that count; else all.
    """
    first: list[Stays] = []
    columns: dict[str, Floats] = {}
    trained: dict[str, list[int]] = {}  # path → seeds
    for name, paths in tables.targets.items():
        folds = read_diagnoses(list(paths), list(tables.groups), list(tables.vocabularies))
        parts = [stays(fold.among(within), "test") for fold in folds]
        if not parts:
            continue
        first, path = first or parts, paths[0]
        trained[path] = seeds(folds[0].frame)
        (before, of_first), *_ = trained.items()
        if not all(np.array_equal(a.episode, b.episode) for a, b in zip(first, parts, strict=True)):
            raise InputError(f"{path}: its test stays are not those of {before}; "
                             "models are compared on the same episodes only")  # fmt: skip
        if trained[path] != of_first:
            raise InputError(f"{path}: training seeds {trained[path]}, but {of_first} of "
                             f"{before}; models are compared with the same seeds")  # fmt: skip
        columns[name] = np.concatenate([by_seed(recalls(part, TEN)) for part in parts])
    return first, columns
