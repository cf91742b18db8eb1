"""Train, fusion, validation and test by a salted hash of the patient.

A patient's split depends on subject_id, salt and shares alone: adding patients or changing the
cohort moves nobody, and no patient is in two splits (wang2024.md 6.1). A hash cannot stratify;
balance is reported in the tasks' attrition instead. The fusion share is training data that the
modality encoders never see; the fusion head is fitted on it (wang2024.md 6.9).

Folds: in fold k of K every patient's number is turned by k/K of the circle, so that K tests follow
one another round it. No patient is tested twice as long as the test share is at most 1/K.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

import duckdb

from pipeline.cohort.inputs import settings
from pipeline.stage.errors import InputError

NAMES = ("train", "fusion", "val", "test")  # also the order in which the shares are cumulated


@dataclass(frozen=True)
class Split:
    """A salt and the share of the patients in each split of `NAMES`; the shares sum to 1.

    `fold` of `folds`: which cross-validation fold it is; fold 0 is the split without folds.
    """

    salt: str
    shares: Mapping[str, float]
    fold: int = 0
    folds: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.salt, str) or not self.salt:
            raise InputError("split: salt must be a text that is not empty")
        if set(self.shares) != set(NAMES):
            given = ", ".join(self.shares) or "none"
            raise InputError(f"split: shares must be {', '.join(NAMES)}; given: {given}")
        for name, share in self.shares.items():
            if not isinstance(share, int | float) or not share > 0:
                raise InputError(f"split: the share of {name} must be a number above 0")
        if abs((total := math.fsum(self.shares.values())) - 1) > 1e-9:
            raise InputError(f"split: the shares sum to {total:.12g}, expected 1")
        self._check_folds()

    def _check_folds(self) -> None:
        whole = all(isinstance(n, int) and not isinstance(n, bool) for n in (self.fold, self.folds))
        if not whole or not 0 <= self.fold < self.folds:
            raise InputError("split: fold must be a whole number from 0 to folds - 1")
        if self.shares["test"] * self.folds > 1 + 1e-9:
            raise InputError(
                f"split: the test share {self.shares['test']:.4g} is more than 1/{self.folds}, so"
                f" that patients would be tested in several of {self.folds} folds"
            )

    @property
    def turn(self) -> float:
        """By how much of the circle this fold turns the patients' numbers."""
        return self.fold / self.folds

    @property
    def upper_ends(self) -> list[tuple[str, float]]:
        """Each split and the end of its part of [0, 1), in the order of `NAMES`.

        >>> Split("a", {"train": 0.5, "fusion": 0.25, "val": 0.125, "test": 0.125}).upper_ends
        [('train', 0.5), ('fusion', 0.75), ('val', 0.875), ('test', 1.0)]
        """
        return list(zip(NAMES, accumulate(self.shares[name] for name in NAMES), strict=True))


def parse(text: str) -> Split:
    """A split from JSON: `{"salt": text, "train": share, "fusion": …, "val": …, "test": …}`.

    Optional: `"fold": k, "folds": K`, both or neither.
    """
    value = settings(text, "--split", needed=("salt", *NAMES), optional=("fold", "folds"))
    if ("fold" in value) != ("folds" in value):
        raise InputError("--split: fold and folds go together")
    folds = {name: value[name] for name in ("fold", "folds") if name in value}
    return Split(value["salt"], {name: value[name] for name in NAMES}, **folds)


def create_macro(database: duckdb.DuckDBPyConnection, split: Split) -> None:
    """Makes the SQL function `split_of(subject_id)` known to the connection.

    u = (md5_number_lower(salt || ':' || subject_id) / 2^64 + fold / folds) mod 1 lies in [0, 1);
    the first split whose upper end exceeds u is the patient's.

    >>> split = Split("a", {"train": 0.5, "fusion": 0.25, "val": 0.125, "test": 0.125})
    >>> with duckdb.connect() as database:
    ...     create_macro(database, split)
    ...     database.sql("SELECT split_of(10000032)").fetchall(), split_of(10000032, split)
    ([('test',)], 'test')
    """
    salt = split.salt.replace("'", "''")
    number = f"md5_number_lower('{salt}:' || CAST(subject_id AS BIGINT))"
    # exponent form: DuckDB reads 0.6 as a decimal, 6.0e-01 as the very double that Python holds
    u = f"({number} / {2.0**64:.17e} + {split.turn:.17e}) % 1.0e0"
    parts = [f"WHEN {u} < {end:.17e} THEN '{name}'" for name, end in split.upper_ends[:-1]]
    last = split.upper_ends[-1][0]
    database.execute(
        f"CREATE OR REPLACE MACRO split_of(subject_id) AS CASE {' '.join(parts)} ELSE '{last}' END"
    )


def split_of(subject_id: int, split: Split) -> str:
    """The same function in Python, for one patient: how the hash is defined, without DuckDB.

    >>> split_of(10000032, Split("b", {"train": 0.5, "fusion": 0.25, "val": 0.125, "test": 0.125}))
    'fusion'
    """
    digest = hashlib.md5(f"{split.salt}:{subject_id}".encode(), usedforsecurity=False).digest()
    u = (int.from_bytes(digest[8:], "little") / 2**64 + split.turn) % 1
    return next((name for name, end in split.upper_ends[:-1] if u < end), split.upper_ends[-1][0])
