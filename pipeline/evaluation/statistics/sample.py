"""Predictions of some episodes as arrays, and how the predictions of two models are paired."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.cohort.rows import ALL_SEEDS
from pipeline.evaluation.statistics.metrics import Flags, Floats
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import shown, shown_part

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """Predictions of n episodes by S seeds, sorted by fold and episode.

    `episode`, `subject`: (n,) identifiers; `label`: (n,) True for positive; `probability`: (S, n).
    `fold`: (n,) fold of each row, from 0, where there are several `folds`: then an episode may have
    a row in each. A run is a model of its own: one fold and one seed. `seeds`: the (S,) training
    seeds, where they are known.
    """

    episode: Ids
    subject: Ids
    label: Flags
    probability: Floats
    fold: Ids | None = None
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

    def rows(self, index: Ids) -> "Sample":
        """The episodes at these positions, which must be in ascending order."""
        fold = None if self.fold is None else self.fold[index]
        chosen = self.episode[index], self.subject[index], self.label[index]
        return Sample(*chosen, self.probability[:, index], fold, self.folds, self.seeds)

    def among(self, episodes: Ids | None) -> "Sample":
        """Those that are among `episodes` (ids); all where that is None."""
        if episodes is None:
            return self
        return self.rows(np.flatnonzero(np.isin(self.episode, episodes)))

    def scored(self, probability: Floats) -> "Sample":
        """The same episodes with other predictions, of shape (seeds, n)."""
        seeds = self.seeds if len(probability) == len(self.probability) else None
        return replace(self, probability=probability, seeds=seeds)


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
    positions: list[list[Ids]] = [[], []]
    for here, there in zip(first.blocks, second.blocks, strict=True):
        _, at_first, at_second = np.intersect1d(
            first.episode[here], second.episode[there], assume_unique=True, return_indices=True
        )
        positions[0].append(at_first + here.start)
        positions[1].append(at_second + there.start)
    one, two = first.rows(np.concatenate(positions[0])), second.rows(np.concatenate(positions[1]))
    common = len(one.label)
    left_out = {"model": len(first.label) - common, "other": len(second.label) - common}
    if differing := int((one.label != two.label).sum()):
        raise InputError(
            f"{name}: {shown(differing)} label(s) differ from those of the evaluated predictions; "
            "make both tables from the same labels"
        )
    return one, two, left_out


def same_episodes(first: Sample, second: Sample, path: str, first_path: str) -> None:
    """Raises `InputError` where two models (named by a path) differ in episodes, labels or seeds.

    A difference between them would then mix models with patients, or with trainings.
    """
    if first.folds != second.folds:
        raise InputError(
            f"{path}: {second.folds} fold(s), but {first.folds} of {first_path}; "
            "give a table per fold of every model"
        )
    if not np.array_equal(first.episode, second.episode):
        raise InputError(
            f"{path}: its test episodes "
            f"({shown_part(len(second.episode), len(first.episode))}) are not the "
            f"{shown(len(first.episode))} of {first_path}; models are compared on "
            "the same episodes only"
        )
    if not np.array_equal(first.label, second.label):
        raise InputError(
            f"{path}: test labels differ from those of {first_path}; "
            "make both tables from the same labels"
        )
    same_seeds(first, second, path)


def same_seeds(first: Sample, second: Sample, path: str) -> None:
    """Raises `InputError` where two models have not the same seeds: they are compared by seed.

    A mean over all seeds is compared with each of the other's.
    """
    if (ALL_SEEDS,) in (first.seeds, second.seeds):
        return
    if len(first.probability) != len(second.probability):
        raise InputError(
            f"{path}: {len(second.probability)} training seed(s), but {len(first.probability)} of "
            "the model beside it; models are compared with the same seeds"
        )
    if None not in (first.seeds, second.seeds) and first.seeds != second.seeds:
        raise InputError(
            f"{path}: training seeds {second.seeds}, but {first.seeds} of the model beside it; "
            "models are compared with the same seeds"
        )
