"""Recall@10 of several models on the same test stays, under the same resamples of patients."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.common.errors import InputError
from pipeline.evaluation.bootstrap import Resampling
from pipeline.evaluation.diagnoses import counted, fold_mean, recalls, resampled
from pipeline.evaluation.diagnosis_tables import Stays, read_diagnoses, stays
from pipeline.evaluation.metrics import Floats

FIRST = np.array([10])


def of_targets(
    tables: Mapping[str, list[str]], groups: list[str], vocabularies: list[str]
) -> tuple[list[Stays], dict[str, Floats]]:
    """The test stays, fold by fold, and each target's recall: name → (n, 1), mean over seeds.

    Targets without diagnoses are passed over. Raises `InputError` where two differ in test stays.
    """
    first: list[Stays] = []
    columns: dict[str, Floats] = {}
    for name, paths in tables.items():
        parts = [stays(fold, "test") for fold in read_diagnoses(paths, groups, vocabularies)]
        if not parts:
            continue
        first = first or parts
        if not all(np.array_equal(a.episode, b.episode) for a, b in zip(first, parts, strict=True)):
            raise InputError(
                f"{paths[0]}: its test stays are not those of {tables[next(iter(columns))][0]}; "
                "models are compared on the same episodes only"
            )
        columns[name] = np.concatenate([recalls(part, FIRST).mean(axis=0) for part in parts])
    return first, columns


def diagnoses_panel(
    tables: Mapping[str, list[str]],
    groups: list[str],
    vocabularies: list[str],
    resampling: Resampling,
    smallest: int,
) -> tuple[dict[str, Any] | None, tuple[list[str], Floats, Floats]]:
    """Counts of the test stays; names, recall (M,) and its replicates (B, M), mean over seeds.

    `tables`: target → a table per fold; None where no target has diagnoses. Without enough stays
    there are no names.
    """
    first, columns = of_targets(tables, groups, vocabularies)
    nothing: tuple[list[str], Floats, Floats] = ([], np.zeros(0), np.zeros((0, 0)))
    if not columns:
        return None, nothing
    test = counted(first, smallest)
    if test["reason"]:
        return test, nothing
    values = np.hstack(list(columns.values()))
    sizes = [len(part.episode) for part in first]
    at = fold_mean(values, np.ones((1, len(values))), sizes)[0]
    return test, (list(columns), at, resampled(values, first, resampling))
