"""Train, fusion, validation and test by a salted hash of the patient.

A patient's split depends on subject_id, salt and shares alone: adding patients or changing the
cohort moves nobody, and no patient is in two splits (wang2024.md 6.1). A hash cannot stratify;
balance is reported in the tasks' attrition instead. The fusion share is training data that the
modality encoders never see; the fusion head is fitted on it (wang2024.md 6.9).

Folds: in fold k of K every patient's number is turned by k/K of the circle, so that K tests follow
one another round it. No patient is tested twice as long as the test share is at most 1/K.

By era (`pipeline.cohort.eras`) the hash divides early patients into train, fusion and validation,
and all others are test.

The published protocol splits admissions at random, not grouped by patient (`RandomSplit`), which
shows what grouping is worth (wang2024.md 6.1): a patient may be in train and in test, and another
cohort moves everybody. It belongs to a task, not to the episodes: it is drawn among those that are
eligible (complete cases; for longstay of 72 h or more), so that an admission may be trained on in
one task and tested in another.
"""

import hashlib

import duckdb
import polars as pl

from pipeline.cohort.settings import Fold, RandomSplit
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import shown


def create_macro(database: duckdb.DuckDBPyConnection, split: Fold) -> None:
    """Makes the SQL function `split_of(subject_id)` known to the connection.

    u = (md5_number_lower(salt || ':' || subject_id) / 2^64 + fold / folds) mod 1 lies in [0, 1);
    the first split whose upper end exceeds u is the patient's. By era the connection must have a
    table `early` of patients (`pipeline.cohort.eras`).

    >>> split = Fold(salt="a", train=0.5, fusion=0.25, val=0.125, test=0.125)
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
    if split.by == "era":
        parts.insert(0, "WHEN (subject_id IN (SELECT patient FROM early)) IS NOT TRUE THEN 'test'")
    database.execute(
        f"CREATE OR REPLACE MACRO split_of(subject_id) AS CASE {' '.join(parts)} ELSE '{last}' END"
    )


def split_of(subject_id: int, split: Fold) -> str:
    """The same function in Python, for one patient: how the hash is defined, without DuckDB.

    By era it is that of an early patient; late ones are test.

    >>> split_of(10000032, Fold(salt="b", train=0.5, fusion=0.25, val=0.125, test=0.125))
    'fusion'
    """
    digest = hashlib.md5(f"{split.salt}:{subject_id}".encode(), usedforsecurity=False).digest()
    u = (int.from_bytes(digest[8:], "little") / 2**64 + split.turn) % 1
    return next((name for name, end in split.upper_ends[:-1] if u < end), split.upper_ends[-1][0])


def draw(labelled: pl.DataFrame, split: RandomSplit) -> pl.DataFrame:
    """The episodes of a task with their `split`: train, val or test; null where not eligible.

    `labelled`: one row each with subject_id, episode_id and eligible. scikit-learn draws the test
    share, then the val share from the rest: of .15 and .15 that makes 72.25 / 12.75 / 15 %. Raises
    `InputError` where there are too few for three splits; where none is eligible, none is drawn.

    >>> stays = {"subject_id": [1] * 21, "episode_id": range(21), "eligible": [True] * 20 + [False]}
    >>> drawn = draw(pl.DataFrame(stays), RandomSplit(random_state=0, val=0.15, test=0.15))["split"]
    >>> drawn.drop_nulls().value_counts().sort("split").rows()
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
