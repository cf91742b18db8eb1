"""Prediction tables: their contract, and one split of them as arrays that pair by episode."""

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.cohort.rows import PREDICTIONS
from pipeline.evaluation.metrics import Flags, Floats
from pipeline.stage.errors import InputError
from pipeline.stage.tables import check, read_table

SPLITS = ("train", "fusion", "val", "test")


@dataclass(frozen=True)
class Sample:
    """Predictions of n episodes by S seeds, sorted by fold and episode.

    `episode`, `subject`: (n,) identifiers; `label`: (n,) True for positive; `probability`: (S, n).
    `fold`: (n,) fold of each row, from 0, where there are several `folds`: then an episode may have
    a row in each. A run is a model of its own: one fold and one seed. `seeds`: the (S,) training
    seeds, where they are known.
    """

    episode: NDArray[np.int64]
    subject: NDArray[np.int64]
    label: Flags
    probability: Floats
    fold: NDArray[np.int64] | None = None
    folds: int = 1
    seeds: tuple[int, ...] | None = None

    @property
    def blocks(self) -> list[slice]:
        """The rows of each fold."""
        if self.fold is None:
            return [slice(0, len(self.label))]
        ends = np.searchsorted(self.fold, np.arange(self.folds + 1)).tolist()
        return [slice(start, end) for start, end in pairwise(ends)]

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of episodes, of patients and of positive episodes, whatever the fold."""
        episodes, patients = np.unique(self.episode), np.unique(self.subject)
        positives = np.unique(self.episode[self.label])
        return {"n": len(episodes), "patients": len(patients), "positives": len(positives)}

    @property
    def fewest(self) -> int:
        """Episodes of the rarer class, in the fold that has the fewest of them."""
        sides = (side[block].sum() for block in self.blocks for side in (self.label, ~self.label))
        return int(min(sides))

    @property
    def two_classes(self) -> bool:
        """Whether both positive and negative episodes are present, in every fold."""
        return self.fewest > 0

    def rows(self, index: NDArray[np.int64]) -> "Sample":
        """The episodes at these positions, which must be in ascending order."""
        fold = None if self.fold is None else self.fold[index]
        chosen = self.episode[index], self.subject[index], self.label[index]
        return Sample(*chosen, self.probability[:, index], fold, self.folds, self.seeds)

    def among(self, episodes: NDArray[np.int64] | None) -> "Sample":
        """Those that are among `episodes` (ids); all where that is None."""
        if episodes is None:
            return self
        return self.rows(np.flatnonzero(np.isin(self.episode, episodes)))

    def saying(self, probability: Floats) -> "Sample":
        """The same episodes with other predictions, of shape (seeds, n)."""
        seeds = self.seeds if len(probability) == len(self.probability) else None
        return replace(self, probability=probability, seeds=seeds)


def read_predictions(path: str | Path) -> pl.DataFrame:
    """Reads a table of predictions and checks it; see `checked`."""
    return checked(read_table(path), str(path))


def checked(frame: pl.DataFrame, path: str) -> pl.DataFrame:
    """The table of predictions `path`, checked row by row and as a whole.

    Raises `InputError` where the contract is broken, a probability is outside [0, 1], a label is
    neither 0 nor 1, an episode has another split, label or subject under another seed, or a seed
    lacks episodes that others have.
    """
    frame = check(frame, PREDICTIONS, path)
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
        seeds=tuple(frame["seed"].unique().sort().to_list()),
    )


def pair(first: Sample, second: Sample, name: str) -> tuple[Sample, Sample, dict[str, int]]:
    """The episodes that both samples have, and how many of each are left out.

    Raises `InputError` where the label of an episode differs: then the two are not predictions of
    one task on one cohort. `name` is the second table's, for the message.
    """
    if first.folds != second.folds:
        raise InputError(
            f"{name}: {second.folds} fold(s), but {first.folds} of the evaluated predictions; "
            "give a table per fold of both"
        )
    positions: list[list[NDArray[np.int64]]] = [[], []]
    for here, there in zip(first.blocks, second.blocks, strict=True):
        found = np.intersect1d(
            first.episode[here], second.episode[there], assume_unique=True, return_indices=True
        )
        positions[0].append(found[1] + here.start)
        positions[1].append(found[2] + there.start)
    one, two = first.rows(np.concatenate(positions[0])), second.rows(np.concatenate(positions[1]))
    common = len(one.label)
    left_out = {"model": len(first.label) - common, "other": len(second.label) - common}
    if differing := int((one.label != two.label).sum()):
        raise InputError(
            f"{name}: {differing} label(s) differ from those of the evaluated predictions; "
            "make both tables from the same labels"
        )
    return one, two, left_out
