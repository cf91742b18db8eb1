"""Mean attention of each task over modality tokens and over earlier tasks, over runs."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json
from pipeline.stage.sections import Attention, Weight

Kind = Literal["modality", "task"]  # over tokens S, X, n, c; over the tasks before it
KINDS: tuple[Kind, ...] = ("modality", "task")
Weights = dict[str, dict[str, float]]  # task → token or earlier task → weight


def read_attention(
    paths: Sequence[str], seeds: list[int], smallest: int = 0
) -> list[dict[Kind, Weights]]:
    """The weights of every run, fold by fold and seed by seed; empty where the model has none.

    A task of fewer than `smallest` test stays in a run has none there: they would be seen.
    """
    runs = []
    for path in paths:
        by_seed = read_json(path).get("seeds") or {}
        if by_seed and set(by_seed) != {str(seed) for seed in seeds}:
            raise InputError(
                f"{path}: attention of seeds {', '.join(by_seed)}, but the predictions are of "
                f"{', '.join(map(str, seeds))}"
            )
        runs += [_of_many(by_seed[str(seed)], smallest) for seed in seeds if by_seed]
    return runs


def _of_many(run: dict[str, Any], smallest: int) -> dict[Kind, Weights]:
    stays = run.get("stays") or {}
    return {
        kind: {
            task: weights
            for task, weights in (run.get(kind) or {}).items()
            if stays.get(task, 0) >= smallest
        }
        for kind in KINDS
    }


def attention(runs: list[dict[Kind, Weights]]) -> Attention | None:
    """Mean and standard deviation of every weight over the runs that have it; None without any.

    >>> one, two = ({"modality": {"shock_4h": {"S": w}}, "task": {}} for w in (0.2, 0.4))
    >>> mean = attention([one, two])["modality"]["shock_4h"]["S"]
    >>> {key: round(number, 3) for key, number in mean.items()}
    {'value': 0.3, 'sd': 0.141}
    """
    mean: Attention = {"modality": {}, "task": {}}
    for kind in KINDS:
        weights = [run.get(kind) or {} for run in runs]
        # in the order of the run with most tasks
        tasks = dict.fromkeys(
            task for run in sorted(weights, key=len, reverse=True) for task in run
        )
        for task in tasks:
            having = [run[task] for run in weights if task in run]
            mean[kind][task] = {key: _over_runs([run[key] for run in having]) for key in having[0]}
    return mean if any(mean.values()) else None


def _over_runs(values: list[float]) -> Weight:
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"value": float(np.mean(values)), "sd": sd}
