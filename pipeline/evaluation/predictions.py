"""Tables of predictions of binary tasks: read, checked, and one split of them as arrays.

A table holds the tasks of one model in one fold. A run is a fold and a seed: every metric is
computed within a run and then averaged, so that predictions of different models are never ranked
against each other.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.cohort.rows import PREDICTIONS
from pipeline.evaluation.statistics.sample import Sample
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import shown, shown_part
from pipeline.stage.sections import Run
from pipeline.stage.tables import check, read_table

SPLITS = ("train", "fusion", "val", "test")


def name_parts(target: str) -> dict[str, str]:
    """Modalities, model and task of a target `{modalities}_{model}_{task}`.

    >>> name_parts("ecn_early_mortality")
    {'modalities': 'ecn', 'model': 'early', 'task': 'mortality'}
    """
    pieces = target.split("_", 2)
    if len(pieces) < 3 or not all(pieces):
        raise InputError(f"{target}: expected modalities_model_task, as in e_unimodal_mortality")
    return dict(zip(("modalities", "model", "task"), pieces, strict=True))


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


def read_tasks(paths: Sequence[str]) -> dict[str, list[pl.DataFrame]]:
    """The checked predictions of each task of a model, a table per fold; tasks by name.

    Raises `InputError` where a table breaks the contract or folds differ in their tasks.
    """
    tables = [_read(path) for path in paths]
    names = [table["task"].unique().sort().to_list() for table in tables]
    for path, tasks in zip(paths, names, strict=True):
        if tasks != names[0]:
            raise InputError(f"{path}: tasks {', '.join(tasks)}, but {', '.join(names[0])} before")
    return {task: as_folds([_one(t, task, p) for t, p in zip(tables, paths, strict=True)], paths)
            for task in names[0]}  # fmt: skip


def read_task(paths: Sequence[str], task: str) -> list[pl.DataFrame]:
    """The checked predictions of one task, a table per fold; `InputError` where there are none."""
    tasks = read_tasks(paths)
    if task not in tasks:
        raise InputError(f"{paths[0]}: no predictions of {task}; those of its target hold "
                         f"{', '.join(tasks) or 'no binary task'}")  # fmt: skip
    return tasks[task]


def _read(path: str) -> pl.DataFrame:
    return check(read_table(path), PREDICTIONS, path)


def _one(table: pl.DataFrame, task: str, path: str) -> pl.DataFrame:
    """One task of a table, checked row by row and as a whole.

    Raises `InputError` where a probability is outside [0, 1], a label is neither 0 nor 1, an
    episode has another split, label or subject under another seed, or a seed lacks episodes that
    others have.
    """
    frame, name = table.filter(task=task).drop("task"), f"{path}, task {task}"
    wrong = {
        "probability is outside [0, 1]": ~pl.col("probability").is_between(0, 1),
        "label is neither 0 nor 1": ~pl.col("label").is_in([0, 1]),
        f"split is none of {', '.join(SPLITS)}": ~pl.col("split").is_in(SPLITS),
    }
    for what, condition in wrong.items():
        if rows := frame.filter(condition).height:
            raise InputError(f"{name}: {what} in {shown(rows)} row(s)")
    facts = frame.select("episode_id", "subject_id", "split", "label").unique()
    episodes, trained = frame["episode_id"].n_unique(), frame["seed"].n_unique()
    if facts.height != episodes:
        raise InputError(f"{name}: subject_id, split or label of an episode differ between seeds")
    if frame.height != episodes * trained:
        raise InputError(
            f"{name}: {shown_part(frame.height, episodes * trained)} rows, expected "
            f"{shown(episodes)} episodes × {trained} seeds; every seed must predict every episode"
        )
    return frame


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
            f"{', '.join(map(str, paths))}: {shown(shared)} patient(s) are tested in several "
            "folds; give each fold once, in one order"
        )
    return frames


def seeds(frame: pl.DataFrame) -> list[int]:
    """The training seeds of a table, ascending: the order of a sample's predictions."""
    return frame["seed"].unique().sort().to_list()


def runs(frames: list[pl.DataFrame]) -> list[Run]:
    """Seed and fold of every run, in the order of `per_run`.

    >>> runs([pl.DataFrame({"seed": [0, 1]})])
    [{'seed': 0, 'fold': 0}, {'seed': 1, 'fold': 0}]
    """
    return [{"seed": s, "fold": f} for f, frame in enumerate(frames) for s in seeds(frame)]


def sample(frame: pl.DataFrame, split: str) -> Sample:
    """One split of a checked table, as arrays.

    >>> frame = pl.DataFrame({"episode_id": [1, 1, 2, 2], "subject_id": [7, 7, 8, 8],
    ...     "seed": [0, 1, 0, 1], "split": ["test"] * 4, "label": [1, 1, 0, 0],
    ...     "probability": [0.9, 0.8, 0.2, 0.1]})
    >>> sample(frame, "test").probability
    array([[0.9, 0.2],
           [0.8, 0.1]])
    """
    part = frame.filter(split=split).sort("seed", "episode_id")
    seeds = frame["seed"].n_unique()
    one = part.head(part.height // seeds)
    return Sample(
        episode=one["episode_id"].to_numpy(),
        subject=one["subject_id"].to_numpy(),
        label=one["label"].to_numpy() == 1,
        probability=part["probability"].to_numpy().reshape(seeds, one.height),
        seeds=tuple(frame["seed"].unique().sort().to_list()),
    )


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


def hold_against_labels(frames: list[pl.DataFrame], labels: str, task: str) -> None:
    """Raises `InputError` unless every prediction is of an eligible stay and has its label.

    Nor may an eligible stay lack predictions: then a stay was dropped (first fold's, all splits).
    """
    eligible = read_table(labels).filter("eligible").select("episode_id", true="label")
    for frame in frames:
        facts = frame.select("episode_id", "label").unique()
        joined = facts.join(eligible, on="episode_id", how="left")
        if wrong := joined.filter(pl.col("label").ne_missing(pl.col("true"))).height:
            raise InputError(
                f"{labels}: {shown(wrong)} stay(s) predicted for {task} are not eligible or have "
                "another label; make both from the same cohort"
            )
    if missing := eligible.height - frames[0]["episode_id"].n_unique():
        raise InputError(
            f"{labels}: {shown(missing)} eligible stay(s) without a prediction for {task}"
        )
