"""The published protocol's split: admissions at random, not grouped by patient.

It is there to show what grouping is worth (wang2024.md 6.1): a patient may be in train and in test,
and another cohort moves everybody. `{"random_state": 0, "val": 0.15, "test": 0.15}`: scikit-learn
draws the test share from all episodes, then the val share from the rest: 72.25 / 12.75 / 15 %.
"""

from dataclasses import asdict, dataclass

import polars as pl

from pipeline.cohort import split as by_hash
from pipeline.cohort.inputs import settings
from pipeline.common.errors import InputError


@dataclass(frozen=True)
class RandomSplit:
    """Seed, share of all episodes that is tested, share of the rest that validates."""

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


def parse(text: str) -> RandomSplit | by_hash.Split:
    """A split from JSON: at random where a random_state is given, else by hash of the patient.

    >>> parse('{"random_state": 0, "val": 0.15, "test": 0.15}')
    RandomSplit(random_state=0, val=0.15, test=0.15)
    """
    keys = ("random_state", "val", "test")
    if '"random_state"' not in text:
        return by_hash.parse(text)
    return RandomSplit(**settings(text, "--split", needed=keys, optional=()))


def divide(episodes: pl.DataFrame, split: RandomSplit) -> pl.DataFrame:
    """The episodes with a column `split`: train, val or test.

    `episodes`: one row each with subject_id and hadm_id. Raises `InputError` where there are too
    few for three splits.

    >>> stays = pl.DataFrame({"subject_id": [1] * 20, "hadm_id": range(20)})
    >>> divide(stays, RandomSplit(0, 0.15, 0.15))["split"].value_counts().sort("split").rows()
    [('test', 3), ('train', 14), ('val', 3)]
    """
    from sklearn.model_selection import train_test_split  # takes seconds to import

    # ASSUME the order in which the published code holds its admissions: subject_id, hadm_id; and
    # that it draws among all of the cohort, before a task or a missing modality leaves any out
    ordered = episodes.sort("subject_id", "hadm_id")
    seed = split.random_state
    try:
        rest, test = train_test_split(
            range(ordered.height), test_size=split.test, random_state=seed
        )
        _, val = train_test_split(rest, test_size=split.val, random_state=seed)
    except ValueError as error:
        raise InputError(f"split: {ordered.height} episodes are too few for {split}") from error
    row = pl.int_range(pl.len())
    name = pl.when(row.is_in(test)).then(pl.lit("test")).when(row.is_in(val)).then(pl.lit("val"))
    return ordered.with_columns(name.otherwise(pl.lit("train")).alias("split"))
