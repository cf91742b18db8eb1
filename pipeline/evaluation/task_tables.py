"""Predictions of several tasks in one table: read task by task, and held against the labels."""

from collections.abc import Mapping, Sequence

import polars as pl

from pipeline.cohort.rows import UNIMED
from pipeline.evaluation.diagnosis_tables import SPLITS, Fold
from pipeline.evaluation.folds import as_folds
from pipeline.evaluation.predictions import checked
from pipeline.stage.errors import InputError
from pipeline.stage.tables import check, read_table

DIAGNOSES = "diagnoses"  # a task of this kind has many labels; the others are binary


def is_diagnoses(task: str) -> bool:
    """Whether a task is the ranking of diagnosis groups.

    >>> is_diagnoses("diagnoses_48h"), is_diagnoses("shock_4h")
    (True, False)
    """
    return task.rsplit("_", 1)[0] == DIAGNOSES


def read_tasks(paths: Sequence[str]) -> dict[str, list[pl.DataFrame]]:
    """The checked predictions of each binary task, a table per fold, tasks as they come by name.

    Raises `InputError` where a table breaks the contract or folds differ in their tasks.
    """
    tables = [check(read_table(path), UNIMED, path) for path in paths]
    names = [table["task"].unique().sort().to_list() for table in tables]
    for path, own in zip(paths, names, strict=True):
        if own != names[0]:
            raise InputError(f"{path}: tasks {', '.join(own)}, but {', '.join(names[0])} before")
    return {task: as_folds([_one(t, task, p) for t, p in zip(tables, paths, strict=True)], paths)
            for task in names[0]}  # fmt: skip


def _one(table: pl.DataFrame, task: str, path: str) -> pl.DataFrame:
    return checked(table.filter(task=task).drop("task"), f"{path}, task {task}")


def hold_against_labels(frames: list[pl.DataFrame], labels: str, task: str) -> None:
    """Raises `InputError` unless every prediction is of an eligible stay and has its label.

    Nor may an eligible stay lack predictions: then a stay was dropped (first fold's, all splits).
    """
    eligible = read_table(labels).filter("eligible").select("episode_id", true="label")
    for frame in frames:
        facts = frame.select("episode_id", "label").unique()
        found = facts.join(eligible, on="episode_id", how="left")
        if wrong := found.filter(pl.col("label").ne_missing(pl.col("true"))).height:
            raise InputError(f"{labels}: {wrong} stay(s) predicted for {task} are not eligible "
                             "or have another label; make both from the same cohort")  # fmt: skip
    if missing := eligible.height - frames[0]["episode_id"].n_unique():
        raise InputError(f"{labels}: {missing} eligible stay(s) without a prediction for {task}")


def hold_diagnoses(folds: list[Fold], labels: str, task: str, episodes: str) -> None:
    """Raises `InputError` where diagnoses are predicted of stays that are not eligible.

    Nor may an eligible stay of val or test lack predictions; `episodes`: with the first fold's
    split.
    """
    eligible = read_table(labels).filter("eligible").select("episode_id")
    for fold in folds:
        stays = fold.frame.select("episode_id").unique()
        if wrong := stays.join(eligible, on="episode_id", how="anti").height:
            raise InputError(f"{labels}: {wrong} stay(s) predicted for {task} are not eligible")
    split = read_table(episodes, ["episode_id", "split"]).filter(pl.col("split").is_in(SPLITS))
    due = split.join(eligible, on="episode_id", how="semi")
    if missing := due.join(folds[0].frame, on="episode_id", how="anti").height:
        raise InputError(f"{labels}: {missing} eligible stay(s) without a prediction for {task}")


def required(asked: Mapping[str, str], tasks: Mapping[str, object], diagnoses: bool) -> None:
    """Raises `InputError` unless the labels given are of the tasks that were predicted."""
    binary = {task for task in asked if not is_diagnoses(task)}
    if binary != set(tasks) or diagnoses != any(map(is_diagnoses, asked)):
        predicted = [*tasks, *["diagnoses"] * diagnoses]
        raise InputError(
            f"--labels of {', '.join(asked)}, but predictions are of {', '.join(predicted)}"
        )
