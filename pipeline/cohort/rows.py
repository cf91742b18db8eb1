"""The eligible episodes of a task as arrays: what every model is trained and scored on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.cohort.definitions import VERSION
from pipeline.stage.tables import Contract, read_table

PREDICTIONS = Contract(
    columns={
        "episode_id": pl.Int64,
        "subject_id": pl.Int64,
        "seed": pl.Int64,
        "split": pl.String,
        "label": pl.Int8,
        "probability": pl.Float64,
    },
    key=("episode_id", "seed"),
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

# Several tasks of ICU stays by one model; of the binary tasks their eligible stays
UNIMED = Contract(
    columns={"task": pl.String, **PREDICTIONS.columns},
    key=("task", *PREDICTIONS.key),
    definitions=VERSION,
)

# The diagnoses of eligible stays of val and test: a probability for each group of the vocabulary
UNIMED_DIAGNOSES = Contract(
    columns={
        "episode_id": pl.Int64,
        "subject_id": pl.Int64,
        "seed": pl.Int64,
        "split": pl.String,
        "probability": pl.Array,  # of Float64, as wide as the vocabulary
    },
    key=("episode_id", "seed"),
    definitions=VERSION,
)


@dataclass(frozen=True)
class TaskRows:
    """Eligible episodes in the order of their ids: four arrays of one length."""

    episode: np.ndarray
    subject: np.ndarray
    split: np.ndarray
    label: np.ndarray

    def of(self, split: str) -> np.ndarray:
        """Row numbers of a split."""
        return np.flatnonzero(self.split == split)


def read_rows(episodes: str | Path, labels: str | Path) -> TaskRows:
    """Joins the episodes with the task's labels and keeps the eligible ones.

    The split is that of the labels where they have one (a task that draws its own, as published),
    else that of the episodes.
    """
    known = read_table(labels).filter("eligible")
    table = read_table(episodes, ["episode_id", "subject_id", "split"])
    if "split" in known.columns:
        table = table.drop("split")
    table = table.join(known, on="episode_id")
    table = table.sort("episode_id")
    episode, subject, split, label = (
        table[name].to_numpy() for name in ("episode_id", "subject_id", "split", "label")
    )
    return TaskRows(episode, subject, split, label.astype(int))


def predictions(rows: TaskRows, seed: int, probability: np.ndarray) -> pl.DataFrame:
    """One row per episode: what a model says, in the form that evaluation reads."""
    return pl.DataFrame(
        {
            "episode_id": rows.episode,
            "subject_id": rows.subject,
            "seed": np.full(len(rows.episode), seed),
            "split": rows.split,
            "label": rows.label.astype(np.int8),
            "probability": probability.astype(np.float64).round(7),
        }
    )
