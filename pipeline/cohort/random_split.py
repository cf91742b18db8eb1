"""The published protocol's split: admissions at random, not grouped by patient.

It is there to show what grouping is worth (wang2024.md 6.1): a patient may be in train and in test,
and another cohort moves everybody. It belongs to a task, not to the episodes: it is drawn among
those that are eligible (complete cases; for longstay of 72 h or more), so that an admission may be
trained on in one task and tested in another.

`{"random_state": 0, "val": 0.15, "test": 0.15}`: scikit-learn draws the test share from those, then
the val share from the rest: 72.25 / 12.75 / 15 %.
"""

from dataclasses import asdict, dataclass

import polars as pl

from pipeline.cohort.inputs import settings
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import shown


@dataclass(frozen=True)
class RandomSplit:
    """Seed, share of the eligible episodes that is tested, share of the rest that validates."""

    random_state: int
    val: float
    test: float

    def __post_init__(self) -> None:
        if type(self.random_state) is not int or self.random_state < 0:
            raise InputError("split: random_state must be a whole number from 0 on")
        for name in ("val", "test"):
            share = asdict(self)[name]
            if not isinstance(share, int | float) or not 0 < share < 1:
                raise InputError(f"split: the share of {name} must be a number between 0 and 1")


def parse(text: str) -> RandomSplit:
    """A split from JSON.

    >>> parse('{"random_state": 0, "val": 0.15, "test": 0.15}')
    RandomSplit(random_state=0, val=0.15, test=0.15)
    """
    keys = ("random_state", "val", "test")
    return RandomSplit(**settings(text, "--split", needed=keys, optional=()))


def divide(labelled: pl.DataFrame, split: RandomSplit) -> pl.DataFrame:
    """The episodes of a task with their `split`: train, val or test; null where not eligible.

    `labelled`: one row each with subject_id, episode_id and eligible. Raises `InputError` where
    there are too few for three splits; where none is eligible, none is drawn.

    >>> stays = {"subject_id": [1] * 21, "episode_id": range(21), "eligible": [True] * 20 + [False]}
    >>> found = divide(pl.DataFrame(stays), RandomSplit(0, 0.15, 0.15))["split"]
    >>> found.drop_nulls().value_counts().sort("split").rows()
    [('test', 3), ('train', 14), ('val', 3)]
    """
    from sklearn.model_selection import train_test_split  # takes seconds to import

    # ASSUME the order of the rows: subject_id, hadm_id
    ordered = labelled.sort("subject_id", "episode_id").drop("split", strict=False)
    row = ordered["eligible"].arg_true()
    if row.is_empty():
        return ordered.with_columns(split=pl.lit(None, pl.String))
    seed = split.random_state
    try:
        rest, test = train_test_split(row.to_list(), test_size=split.test, random_state=seed)
        _, val = train_test_split(rest, test_size=split.val, random_state=seed)
    except ValueError as error:
        eligible = f"{shown(row.len())} eligible episodes"
        raise InputError(f"split: {eligible} are too few for {split}") from error
    place = pl.int_range(pl.len())
    name = (
        pl.when(place.is_in(test)).then(pl.lit("test"))
        .when(place.is_in(val)).then(pl.lit("val"))
        .when("eligible").then(pl.lit("train"))
    )  # fmt: skip
    return ordered.with_columns(name.alias("split"))
