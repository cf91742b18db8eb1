"""Mean attention of each task over modality tokens and over earlier tasks, over runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.common.errors import InputError
from pipeline.common.files import read_json

KINDS = ("modality", "task")  # over tokens S, X, n, c; over the tasks before it
Weights = dict[str, dict[str, float]]


def read_attention(paths: Sequence[str], seeds: list[int]) -> list[dict[str, Weights]]:
    """The weights of every run, fold by fold and seed by seed; empty where the model has none."""
    runs = []
    for path in paths:
        found = read_json(path).get("seeds") or {}
        if found and set(found) != {str(seed) for seed in seeds}:
            raise InputError(
                f"{path}: attention of seeds {', '.join(found)}, but the predictions are of "
                f"{', '.join(map(str, seeds))}"
            )
        runs += [found[str(seed)] for seed in seeds if found]
    return runs


def attention(runs: list[dict[str, Weights]]) -> dict[str, Any] | None:
    """Mean and standard deviation over runs of every weight; None where there are no runs.

    >>> one, two = ({"modality": {"shock_4h": {"S": w}}, "task": {}} for w in (0.2, 0.4))
    >>> {key: round(n, 3) for key, n in attention([one, two])["modality"]["shock_4h"]["S"].items()}
    {'value': 0.3, 'sd': 0.141}
    """
    if not runs:
        return None
    return {
        kind: {
            task: {key: _over_runs([run[kind][task][key] for run in runs]) for key in weights}
            for task, weights in (runs[0].get(kind) or {}).items()
        }
        for kind in KINDS
    }


def _over_runs(values: list[float]) -> dict[str, float | None]:
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"value": float(np.mean(values)), "sd": sd}
