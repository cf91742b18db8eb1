"""Predictions of several folds: one table each, and one sample of all of them.

A run is a fold and a seed. Every metric is computed within a run and then averaged, so predictions
of different models are never ranked against each other.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.evaluation.predictions import Sample, read_predictions, sample
from pipeline.stage.errors import InputError


def read_folds(paths: Iterable[str | Path]) -> list[pl.DataFrame]:
    """Reads one table of predictions per fold and checks each, and that they are folds."""
    paths = list(paths)
    return as_folds([read_predictions(path) for path in paths], paths)


def as_folds(frames: list[pl.DataFrame], paths: Sequence[str | Path]) -> list[pl.DataFrame]:
    """The tables of `paths`, checked to be folds of one model.

    Raises `InputError` where seeds differ between folds, or a patient is in several test sets.
    """
    for path, frame in zip(paths[1:], frames[1:], strict=True):
        if seeds(frame) != seeds(frames[0]):
            raise InputError(f"{path}: seeds {seeds(frame)}, but {seeds(frames[0])} in {paths[0]}")
    tested = pl.concat(
        frame.filter(split="test").select(pl.col("subject_id").unique()) for frame in frames
    )
    if shared := tested.height - tested["subject_id"].n_unique():
        raise InputError(
            f"{', '.join(map(str, paths))}: {shared} patient(s) are tested in several folds; "
            "give each fold once, in one order"
        )
    return frames


def seeds(frame: pl.DataFrame) -> list[int]:
    """The training seeds of a table, ascending: the order of a sample's predictions."""
    return frame["seed"].unique().sort().to_list()


def runs(frames: list[pl.DataFrame]) -> list[dict[str, int]]:
    """Seed and fold of every run, in the order of `bootstrap.per_run`.

    >>> runs([pl.DataFrame({"seed": [0, 1]})])
    [{'seed': 0, 'fold': 0}, {'seed': 1, 'fold': 0}]
    """
    return [{"seed": s, "fold": f} for f, frame in enumerate(frames) for s in seeds(frame)]


def samples(frames: list[pl.DataFrame], split: str) -> Sample:
    """One split of every fold as one sample, fold by fold."""
    parts = [sample(frame, split) for frame in frames]
    if len(parts) == 1:
        return parts[0]
    return Sample(
        episode=np.concatenate([part.episode for part in parts]),
        subject=np.concatenate([part.subject for part in parts]),
        label=np.concatenate([part.label for part in parts]),
        probability=np.concatenate([part.probability for part in parts], axis=1),
        fold=np.arange(len(parts)).repeat([len(part.label) for part in parts]),
        folds=len(parts),
        seeds=parts[0].seeds,
    )


def by_name(paths: Iterable[str]) -> dict[str, list[str]]:
    """Tables by the name of their file: those of one model in several folds, in the order given.

    >>> by_name(["a/e_unimodal_x.parquet", "c_unimodal_x.parquet", "b/e_unimodal_x.parquet"])
    {'e_unimodal_x': ['a/e_unimodal_x.parquet', 'b/e_unimodal_x.parquet'], \
'c_unimodal_x': ['c_unimodal_x.parquet']}
    """
    named: dict[str, list[str]] = {}
    for path in paths:
        named.setdefault(Path(path).stem, []).append(path)
    return named
