"""Mean attention of each task over modality tokens and over earlier tasks, over runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json

KINDS = ("modality", "task")  # over tokens S, X, n, c; over the tasks before it
Weights = dict[str, dict[str, float]]


def read_attention(
    paths: Sequence[str], seeds: list[int], smallest: int = 0
) -> list[dict[str, Weights]]:
    """The weights of every run, fold by fold and seed by seed; empty where the model has none.

    A task of fewer than `smallest` test stays in a run has none there: they would be seen.
    """
    runs = []
    for path in paths:
        found = read_json(path).get("seeds") or {}
        if found and set(found) != {str(seed) for seed in seeds}:
            raise InputError(
                f"{path}: attention of seeds {', '.join(found)}, but the predictions are of "
                f"{', '.join(map(str, seeds))}"
            )
        runs += [_of_many(found[str(seed)], smallest) for seed in seeds if found]
    return runs


def _of_many(run: dict[str, Any], smallest: int) -> dict[str, Weights]:
    stays = run.get("stays") or {}
    return {
        kind: {
            task: weights
            for task, weights in (run.get(kind) or {}).items()
            if stays.get(task, 0) >= smallest
        }
        for kind in KINDS
    }


def attention(runs: list[dict[str, Weights]]) -> dict[str, Any] | None:
    """Mean and standard deviation of every weight over the runs that have it; None without any.

    >>> one, two = ({"modality": {"shock_4h": {"S": w}}, "task": {}} for w in (0.2, 0.4))
    >>> {key: round(n, 3) for key, n in attention([one, two])["modality"]["shock_4h"]["S"].items()}
    {'value': 0.3, 'sd': 0.141}
    """
    if not runs:
        return None
    found: dict[str, Any] = {}
    for kind in KINDS:
        own = [run.get(kind) or {} for run in runs]
        named = dict.fromkeys(task for run in sorted(own, key=len, reverse=True) for task in run)
        each = {task: [run[task] for run in own if task in run] for task in named}
        found[kind] = {
            task: {key: _over_runs([weights[key] for weights in many]) for key in many[0]}
            for task, many in each.items()
        }
    return found if any(found.values()) else None


def _over_runs(values: list[float]) -> dict[str, float | None]:
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"value": float(np.mean(values)), "sd": sd}
