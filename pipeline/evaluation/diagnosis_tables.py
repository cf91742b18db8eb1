"""Predicted and true diagnosis groups of ICU stays as arrays: read, checked, fold by fold."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from pipeline.cohort.rows import MANY_PREDICTIONS
from pipeline.evaluation.predictions import seeds
from pipeline.evaluation.statistics.metrics import Floats
from pipeline.evaluation.statistics.ranking import Stays, Whole
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import shown
from pipeline.stage.tables import check, read_table

SPLITS = ("val", "test")


@dataclass(frozen=True)
class Fold:
    """One fold's table: predictions, what is true, and how frequent each group is in training.

    `frame`: checked predictions; `groups`: episode_id and group; `share`: (G,).
    """

    frame: pl.DataFrame
    groups: pl.DataFrame
    share: Floats

    def among(self, episodes: Whole | None) -> "Fold":
        """The stays among `episodes` (ids); all where that is None."""
        if episodes is None:
            return self
        kept = self.frame.filter(pl.col("episode_id").is_in(episodes.tolist()))
        return Fold(kept, self.groups, self.share)


def checked(frame: pl.DataFrame, path: str, size: int) -> pl.DataFrame:
    """The table of predictions of `path`, of `size` groups.

    Raises `InputError` where a row is not of this width, outside [0, 1] or of another split, or a
    seed lacks stays that others have.
    """
    wanted = pl.Array(pl.Float64, size)
    if frame.schema["probability"] != wanted:
        raise InputError(f"{path}: probability is {frame.schema['probability']}, expected {wanted}")
    lowest, highest = pl.col("probability").arr.min(), pl.col("probability").arr.max()
    wrong = {
        "probability is outside [0, 1]": ~((lowest >= 0) & (highest <= 1)),
        f"split is none of {', '.join(SPLITS)}": ~pl.col("split").is_in(SPLITS),
    }
    for what, condition in wrong.items():
        if rows := frame.filter(condition.fill_null(True)).height:
            raise InputError(f"{path}: {what} in {shown(rows)} row(s)")
    facts = frame.select("episode_id", "subject_id", "split").unique().height
    if frame.height != facts * frame["seed"].n_unique():
        raise InputError(f"{path}: every seed must predict every stay once, in one split")
    return frame


def read_fold(path: str, groups: str, vocabulary: str) -> Fold | None:
    """One table of predictions with its truth; None where diagnoses were not among the tasks.

    Raises `InputError` where the contract is broken, the vocabulary is not 0 … G − 1, or
    predictions do not keep to it (`checked`).
    """
    frame = check(read_table(path), MANY_PREDICTIONS, path)
    if frame.is_empty():
        return None
    known = read_table(vocabulary).sort("group")
    size = known.height
    if known["group"].to_list() != list(range(size)):
        raise InputError(f"{vocabulary}: groups are not 0 to {size - 1}, each once")
    frame = checked(frame, path, size)
    true = read_table(groups, ["episode_id", "group"])
    if outside := true.filter(~pl.col("group").is_between(0, size - 1)).height:
        raise InputError(f"{groups}: {outside} group(s) are not in {vocabulary}")
    return Fold(frame, true, known["share"].to_numpy())


def read_diagnoses(
    paths: Sequence[str], groups: Sequence[str], vocabularies: Sequence[str]
) -> list[Fold]:
    """Every fold's table; empty where diagnoses were not among the tasks.

    Raises `InputError` where folds differ in seeds, or a patient is tested in several.
    """
    if not len(paths) == len(groups) == len(vocabularies):
        raise InputError(
            f"--diagnoses {len(paths)}, --groups {len(groups)}, --vocabulary {len(vocabularies)}: "
            "expected one table each per fold"
        )
    read = [read_fold(*fold) for fold in zip(paths, groups, vocabularies, strict=True)]
    folds = [fold for fold in read if fold is not None]
    if folds and len(folds) < len(read):
        raise InputError(f"--diagnoses: {len(read) - len(folds)} of {len(read)} tables are empty")
    if any(seeds(fold.frame) != seeds(folds[0].frame) for fold in folds):
        raise InputError(f"{', '.join(paths)}: the seeds of the folds differ")
    tested = [f.frame.filter(split="test")["subject_id"].unique() for f in folds]
    if folds and (shared := len(pl.concat(tested)) - pl.concat(tested).n_unique()):
        raise InputError(
            f"{', '.join(paths)}: {shown(shared)} patient(s) are tested in several folds"
        )
    return folds


def stays(fold: Fold, split: str) -> Stays:
    """One split of a fold, as arrays."""
    part = fold.frame.filter(split=split).sort("seed", "episode_id")
    runs = len(seeds(fold.frame))
    one = part.head(part.height // runs).select("episode_id", "subject_id")
    pairs = one.with_row_index("row").join(fold.groups, on="episode_id").sort("row", "group")
    shape = (runs, one.height, len(fold.share))
    return Stays(
        episode=one["episode_id"].to_numpy(),
        subject=one["subject_id"].to_numpy(),
        score=part["probability"].to_numpy().reshape(shape),
        row=pairs["row"].cast(pl.Int64).to_numpy(),
        group=pairs["group"].cast(pl.Int64).to_numpy(),
        share=fold.share,
    )


def hold_diagnoses(folds: list[Fold], labels: str, task: str, episodes: str) -> None:
    """Raises `InputError` where diagnoses are predicted of stays that are not eligible.

    Nor may an eligible stay of val or test lack predictions; `episodes`: with the first fold's
    split.
    """
    eligible = read_table(labels).filter("eligible").select("episode_id")
    for fold in folds:
        stays = fold.frame.select("episode_id").unique()
        if wrong := stays.join(eligible, on="episode_id", how="anti").height:
            raise InputError(
                f"{labels}: {shown(wrong)} stay(s) predicted for {task} are not eligible"
            )
    split = read_table(episodes, ["episode_id", "split"]).filter(pl.col("split").is_in(SPLITS))
    due = split.join(eligible, on="episode_id", how="semi")
    if missing := due.join(folds[0].frame, on="episode_id", how="anti").height:
        raise InputError(
            f"{labels}: {shown(missing)} eligible stay(s) without a prediction for {task}"
        )
