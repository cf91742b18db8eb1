"""Recall@10 of several models on the same test stays, under the same resamples of patients."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.evaluation.bootstrap import Resampling
from pipeline.evaluation.coverage import Presence
from pipeline.evaluation.diagnoses import by_seed, counted, divided, recalls, resampled
from pipeline.evaluation.diagnosis_tables import Stays, read_diagnoses, stays
from pipeline.evaluation.figures import SHARE, Figures
from pipeline.evaluation.folds import seeds
from pipeline.evaluation.metrics import Floats
from pipeline.evaluation.ranking import Whole
from pipeline.stage.errors import InputError

FIRST = np.array([10])


def of_targets(
    tables: Mapping[str, list[str]],
    groups: list[str],
    vocabularies: list[str],
    within: Whole | None = None,
) -> tuple[list[Stays], dict[str, Floats]]:
    """The test stays, fold by fold, and each target's recall: name → (n, S, 1), by seed.

    Targets without diagnoses are passed over. Raises `InputError` where two differ in test stays or
    in their seeds. `within`: the stays that count; else all.
    """
    first: list[Stays] = []
    columns: dict[str, Floats] = {}
    trained: list[list[int]] = []
    for name, paths in tables.items():
        folds = read_diagnoses(paths, groups, vocabularies)
        parts = [stays(fold.among(within), "test") for fold in folds]
        if not parts:
            continue
        first = first or parts
        if not all(np.array_equal(a.episode, b.episode) for a, b in zip(first, parts, strict=True)):
            raise InputError(
                f"{paths[0]}: its test stays are not those of {tables[next(iter(columns))][0]}; "
                "models are compared on the same episodes only"
            )
        trained.append(seeds(folds[0].frame))
        if trained[-1] != trained[0]:
            raise InputError(f"{paths[0]}: training seeds {trained[-1]}, but {trained[0]} of "
                             f"{tables[next(iter(columns))][0]}; "
                             "models are compared with the same seeds")  # fmt: skip
        columns[name] = np.concatenate([by_seed(recalls(part, FIRST)) for part in parts])
    return first, columns


def diagnoses_panel(
    tables: Mapping[str, list[str]],
    groups: list[str],
    vocabularies: list[str],
    resampling: Resampling,
    smallest: int,
    presence: Presence | None = None,
) -> tuple[dict[str, Any] | None, tuple[list[str], Figures]]:
    """Counts of the test stays; names of M targets, and their recall (…, M).

    `tables`: target → a table per fold; None where no target has diagnoses. Without enough stays
    there are no names. `presence`: of the stays with all modalities alone.
    """
    nothing: tuple[list[str], Figures] = ([], Figures(np.zeros((1, 0)), np.zeros((0, 0))))
    first, columns = of_targets(tables, groups, vocabularies)
    if not columns:
        return None, nothing
    others: list[Stays] = []
    if presence:
        reason = presence.why_not(np.concatenate([part.episode for part in first]), smallest)
        if reason:
            return {**dict.fromkeys(counted(first, smallest)), "reason": reason}, nothing
        _, others = divided(first, presence.complete)
        first, columns = of_targets(tables, groups, vocabularies, presence.complete)
    test = counted(first, smallest, others)
    if test["reason"]:
        return test, nothing
    values = np.concatenate(list(columns.values()), axis=2)
    return test, (list(columns), resampled(values, first, resampling).within(SHARE))
