"""Prediction tables: their contract, and one split of them as arrays that pair by episode."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.cohort.rows import PREDICTIONS
from pipeline.common.errors import InputError
from pipeline.common.tables import check, read_table
from pipeline.evaluation.metrics import Flags, Floats

SPLITS = ("train", "fusion", "val", "test")


@dataclass(frozen=True)
class Sample:
    """Predictions of n episodes by S seeds, sorted by episode.

    `episode`, `subject`: (n,) identifiers; `label`: (n,) True for positive; `probability`: (S, n).
    """

    episode: NDArray[np.int64]
    subject: NDArray[np.int64]
    label: Flags
    probability: Floats

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of episodes, of patients and of positive episodes."""
        patients = len(np.unique(self.subject))
        return {"n": len(self.label), "patients": patients, "positives": int(self.label.sum())}

    @property
    def two_classes(self) -> bool:
        """Whether both positive and negative episodes are present."""
        return bool(self.label.any() and not self.label.all())

    def rows(self, index: NDArray[np.int64]) -> "Sample":
        """The episodes at these positions."""
        chosen = self.probability[:, index]
        return Sample(self.episode[index], self.subject[index], self.label[index], chosen)


def read_predictions(path: str | Path) -> pl.DataFrame:
    """Reads a table of predictions and checks it, row by row and as a whole.

    Raises `InputError` where the contract is broken, a probability is outside [0, 1], a label is
    neither 0 nor 1, an episode has another split, label or subject under another seed, or a seed
    lacks episodes that others have.
    """
    frame = check(read_table(path), PREDICTIONS, str(path))
    if frame.is_empty():
        raise InputError(f"{path}: no predictions; the stage that made it had no episodes")
    wrong = {
        "probability is outside [0, 1]": ~pl.col("probability").is_between(0, 1),
        "label is neither 0 nor 1": ~pl.col("label").is_in([0, 1]),
        f"split is none of {', '.join(SPLITS)}": ~pl.col("split").is_in(SPLITS),
    }
    for what, condition in wrong.items():
        if rows := frame.filter(condition).height:
            raise InputError(f"{path}: {what} in {rows} row(s)")
    facts = frame.select("episode_id", "subject_id", "split", "label").unique()
    episodes, seeds = frame["episode_id"].n_unique(), frame["seed"].n_unique()
    if facts.height != episodes:
        raise InputError(f"{path}: subject_id, split or label of an episode differ between seeds")
    if frame.height != episodes * seeds:
        raise InputError(
            f"{path}: {frame.height} rows, expected {episodes} episodes × {seeds} seeds; "
            "every seed must predict every episode"
        )
    return frame


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
    )


def pair(first: Sample, second: Sample, name: str) -> tuple[Sample, Sample, dict[str, int]]:
    """The episodes that both samples have, and how many of each are left out.

    Raises `InputError` where the label of an episode differs: then the two are not predictions of
    one task on one cohort. `name` is the second table's, for the message.
    """
    common, here, there = np.intersect1d(
        first.episode, second.episode, assume_unique=True, return_indices=True
    )
    left_out = {"model": len(first.episode) - len(common), "other": len(second.episode)}
    left_out["other"] -= len(common)
    one, two = first.rows(here), second.rows(there)
    if differing := int((one.label != two.label).sum()):
        raise InputError(
            f"{name}: {differing} label(s) differ from those of the evaluated predictions; "
            "make both tables from the same labels"
        )
    return one, two, left_out
