"""How much a model loses when a modality is missing from a share of the test episodes."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.cohort.rows import ABSENT
from pipeline.evaluation.predictions import seeds
from pipeline.evaluation.statistics.bootstrap import Resampling, per_seed, replicate
from pipeline.evaluation.statistics.figures import GAP, SHARE
from pipeline.evaluation.statistics.metrics import Floats, auroc
from pipeline.evaluation.statistics.sample import Sample
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import shown
from pipeline.stage.sections import Missing
from pipeline.stage.tables import check, read_table

Scenario = tuple[str, float]


def read_absent(path: str | Path, frame: pl.DataFrame) -> dict[Scenario, Floats]:
    """Predictions with a modality missing: (modality, rate) → (S, n), the test episodes of `frame`.

    `frame`: the predictions with everything. Raises `InputError` where the contract is broken, a
    probability or rate is impossible, or a scenario lacks test episodes or seeds, or has others.
    """
    table = check(read_table(path), ABSENT, str(path))
    wrong = {
        "probability is outside [0, 1]": ~pl.col("probability").is_between(0, 1),
        "rate is not above 0 and at most 1": ~((pl.col("rate") > 0) & (pl.col("rate") <= 1)),
    }
    for what, condition in wrong.items():
        if rows := table.filter(condition).height:
            raise InputError(f"{path}: {what} in {shown(rows)} row(s)")
    expected = frame.filter(split="test").select("episode_id", "seed").sort("seed", "episode_id")
    order = ("modality", "rate", "seed", "episode_id")
    probability, shape = {}, (len(seeds(frame)), -1)
    for (modality, rate), part in table.sort(order).group_by(
        "modality", "rate", maintain_order=True
    ):
        if not part.select("episode_id", "seed").equals(expected):
            raise InputError(
                f"{path}: episodes or seeds of modality {modality}, rate {rate} are not those of "
                "the test predictions; make both tables from one model"
            )
        values = part["probability"].to_numpy().reshape(shape)
        probability[(str(modality), float(str(rate)))] = values
    return probability


def read_folds_absent(
    paths: Iterable[str | Path], frames: list[pl.DataFrame]
) -> dict[Scenario, Floats]:
    """`read_absent` of every fold, beside one another: (modality, rate) → (S, n of all folds)."""
    paths = list(paths)
    if len(paths) != len(frames):
        raise InputError(f"--absent: {len(paths)} table(s), expected {len(frames)}, one per fold")
    folds = [read_absent(path, frame) for path, frame in zip(paths, frames, strict=True)]
    for path, fold in zip(paths, folds, strict=True):
        if fold.keys() != folds[0].keys():
            raise InputError(f"{path}: other modalities or rates than in {paths[0]}")
    return {key: np.concatenate([fold[key] for fold in folds], axis=1) for key in folds[0]}


def missing(
    test: Sample, absent: dict[Scenario, Floats], resampling: Resampling
) -> list[Missing] | None:
    """AUROC per modality and rate, and its paired difference to the prediction with everything.

    Rate 0 is the model itself. None where the test episodes allow no AUROC, or nothing was tried.
    """
    if test.fewest < resampling.least or not absent:
        return None
    scenarios: list[Scenario] = []
    for modality in sorted({modality for modality, _ in absent}):
        scenarios += [(modality, 0.0), *(key for key in sorted(absent) if key[0] == modality)]

    def each(weights: Floats) -> Floats:  # (B, S, 1 + scenarios): the model itself comes first
        samples = [test, *(test.scored(values) for values in absent.values())]
        return np.stack([per_seed(auroc, one)(weights) for one in samples], axis=2)

    drawn = replicate(test, each, resampling, SHARE)
    lost = drawn.of(lambda figures: figures - figures[..., :1], GAP)
    place = {key: number for number, key in enumerate(absent, start=1)}
    return [
        {
            "modality": modality,
            "rate": rate,
            "auroc": drawn.estimate(i),
            "minus_complete": lost.difference(i),
        }
        for modality, rate in scenarios
        for i in [place.get((modality, rate), 0)]
    ]
