"""The eligible episodes of a task as arrays: what every model is trained and scored on."""

import argparse
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.cohort import attrition
from pipeline.cohort.counts import ENLARGE, twice_hidden
from pipeline.cohort.definitions import VERSION
from pipeline.cohort.settings import NAMES
from pipeline.stage.errors import InputError
from pipeline.stage.tables import Contract, read_table

ALL_SEEDS = -1  # in place of a training seed: the mean over all of them
OF_EPISODES = {
    "episode_id": pl.Int64,
    "subject_id": pl.Int64,
    "seed": pl.Int64,
    "split": pl.String,
}

# Predictions of binary tasks by one model: of each task its eligible episodes
PREDICTIONS = Contract(
    columns={"task": pl.String, **OF_EPISODES, "label": pl.Int8, "probability": pl.Float64},
    key=("task", "episode_id", "seed"),
    definitions=VERSION,
)

# Predictions of the test episodes with one modality made missing in a share of them
ABSENT = Contract(
    columns={
        "episode_id": pl.Int64,
        "seed": pl.Int64,
        "modality": pl.String,
        "rate": pl.Float64,
        "probability": pl.Float64,
    },
    key=("episode_id", "seed", "modality", "rate"),
    units={"modality": "letter of the modality", "rate": "share of episodes that lack it"},
    definitions=VERSION,
)

# Predictions of a task of many labels: eligible episodes of val and test, a probability per label
MANY_PREDICTIONS = Contract(
    columns={**OF_EPISODES, "probability": pl.Array},  # of Float64, as wide as the vocabulary
    key=("episode_id", "seed"),
    definitions=VERSION,
)


@dataclass(frozen=True)
class TaskRows:
    """The eligible episodes of a task, in the order of their ids: four arrays of one length."""

    task: str
    episode: np.ndarray
    subject: np.ndarray
    split: np.ndarray
    label: np.ndarray

    def of(self, split: str) -> np.ndarray:
        """Row numbers of a split."""
        return np.flatnonzero(self.split == split)


def add_row_arguments(arguments: argparse.ArgumentParser) -> None:
    """Arguments of every stage that fits models on the rows of one task, a model per seed."""
    arguments.add_argument("--task", required=True, help="its name")
    arguments.add_argument("--episodes", required=True)
    arguments.add_argument("--labels", required=True)
    arguments.add_argument("--seeds", type=int, nargs="+", required=True)


def read_rows(episodes: str | Path, labels: str | Path, task: str) -> TaskRows:
    """Joins the episodes of either unit with the task's labels and keeps the eligible ones.

    The split is that of the labels where they have one (a task that draws its own, as published),
    else that of the episodes.
    """
    eligible = read_table(labels).filter("eligible")
    table = read_table(episodes, ["episode_id", "subject_id", "split"])
    if "split" in eligible.columns:
        table = table.drop("split")
    table = table.join(eligible, on="episode_id").sort("episode_id")
    episode, subject, split, label = (
        table[name].to_numpy() for name in ("episode_id", "subject_id", "split", "label")
    )
    return TaskRows(task, episode, subject, split, label.astype(int))


def check_classes(rows: TaskRows, here: np.ndarray, who: str, *fitted: Collection[str]) -> None:
    """`InputError`, with counts per split, where a training set is all of one class.

    `here` (N,) boolean: the episodes that have what the model reads; `who`: what that is, empty
    where all count. `fitted`: the splits of each training set; where nobody in one of them is here
    the reader of the data says so.
    """
    for splits in fitted:
        part = here & np.isin(rows.split, list(splits))
        if not part.any() or len(np.unique(rows.label[part])) > 1:
            continue
        counts = [
            {"split": name, "episodes": int(of.sum()), "positives": int(rows.label[of].sum())}
            for name in NAMES
            if (of := here & (rows.split == name)).any()
        ]
        raise InputError(
            f"task {rows.task}: the episodes of {' and '.join(splits)}"
            f"{f' that have {who}' if who else ''} are all of one class, so that no model can be "
            f"fitted; {ENLARGE}\n"
            f"{attrition.as_text(twice_hidden(counts))}"
        )


def rounded(probability: np.ndarray) -> np.ndarray:
    """Probabilities as tables of predictions hold them."""
    return probability.astype(np.float64).round(7)


def predictions(rows: TaskRows, seed: int, probability: np.ndarray) -> pl.DataFrame:
    """The predictions of one seed (contract `PREDICTIONS`); `probability` (N,)."""
    return pl.DataFrame(
        {
            "task": rows.task,
            "episode_id": rows.episode,
            "subject_id": rows.subject,
            "seed": np.full(len(rows.episode), seed),
            "split": rows.split,
            "label": rows.label.astype(np.int8),
            "probability": rounded(probability),
        }
    )
