"""Tables with contracts: columns, types, key, nullability, checked whenever one is written."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.stage import digests
from pipeline.stage.errors import InputError
from pipeline.stage.files import whole
from pipeline.stage.privacy import shown

DEFINITIONS = "definitions_version"
ROW_GROUP = 128 * 1024  # a fixed size keeps the bytes independent of the number of threads


@dataclass(frozen=True)
class Contract:
    """What a table promises to the next room.

    `columns`: name → Polars type, in order. `key`: columns that identify a row, also the order of
    the rows; empty where rows have no key (then all columns order them). `nullable`: columns that
    may be null. `units`: column → unit, for readers. `definitions`: the version of what the rows
    are about, written beside them; see `pipeline.cohort.definitions`.
    """

    columns: Mapping[str, pl.DataType | type[pl.DataType]]
    key: tuple[str, ...] = ()
    nullable: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    definitions: int | None = None


def check(frame: pl.DataFrame, contract: Contract, name: str) -> pl.DataFrame:
    """The frame in the contract's column order and in a total row order.

    Raises `InputError` naming the table and the column where a column or type is off, a value that
    must be known is null, or the key repeats.

    >>> episodes = Contract({"episode_id": pl.Int64, "age": pl.Int64}, key=("episode_id",))
    >>> check(pl.DataFrame({"age": [70, 30], "episode_id": [2, 1]}), episodes, "episodes").rows()
    [(1, 30), (2, 70)]
    >>> check(pl.DataFrame({"age": [70, 30], "episode_id": [1, 1]}), episodes, "episodes")
    Traceback (most recent call last):
    pipeline.stage.errors.InputError: episodes: key (episode_id) repeats in <10 row(s)
    """
    missing = [column for column in contract.columns if column not in frame.columns]
    if missing:
        raise InputError(f"{name}: column(s) {', '.join(missing)} missing")
    frame = frame.select(list(contract.columns))
    schema = frame.schema  # made anew whenever it is asked for
    for column, dtype in contract.columns.items():
        if schema[column] != dtype:
            raise InputError(f"{name}: {column} is {schema[column]}, expected {dtype}")
        if column not in contract.nullable and frame[column].null_count():
            nulls = frame[column].null_count()
            raise InputError(f"{name}: {column} is null in {shown(nulls)} row(s)")
    order = contract.key or list(contract.columns)
    if not in_order(frame, order):
        frame = frame.sort(order)
    if contract.key and (repeats := frame.height - frame.select(contract.key).n_unique()):
        raise InputError(
            f"{name}: key ({', '.join(contract.key)}) repeats in {shown(repeats)} row(s)"
        )
    return frame


def in_order(frame: pl.DataFrame, columns: Sequence[str]) -> bool:
    """Whether the rows are sorted by the columns, nulls first: a tenth of the cost of sorting.

    >>> in_order(pl.DataFrame({"a": [1, 1, 2], "b": [None, 3, 0]}), ["a", "b"])
    True
    """
    falls, equal = pl.lit(False), pl.lit(True)
    for name in columns:
        own, before = pl.col(name), pl.col(name).shift()
        lower = (own < before).fill_null(own.is_null() & before.is_not_null())
        falls, equal = falls | equal & lower, equal & own.eq_missing(before)
    return not frame.select(falls.slice(1).any()).item()


def write_table(frame: pl.DataFrame, path: str | Path, contract: Contract) -> None:
    """Checks the contract, then writes zstd parquet: the same bytes for the same rows."""
    checked = check(frame, contract, str(path))
    version = {DEFINITIONS: str(contract.definitions)} if contract.definitions else None
    with whole(path) as part:
        checked.write_parquet(part, compression="zstd", row_group_size=ROW_GROUP, metadata=version)


def read_table(path: str | Path, columns: list[str] | None = None) -> pl.DataFrame:
    """Reads a parquet table; `InputError` with its name where it is damaged or cannot be read."""
    digests.check(path)
    with reading(path):
        return pl.read_parquet(path, columns=columns)


def read_values(
    path: str | Path, episodes: np.ndarray, columns: list[str] | None = None
) -> np.ndarray:
    """The numbers of `episodes` (N,) ids, any order, from a table with a row per episode_id.

    (N, F) float64 of its other columns, or of these, NaN where null. `InputError` where an episode
    is not in the table.
    """
    table = read_table(path, None if columns is None else ["episode_id", *columns])
    rows = pl.DataFrame({"episode_id": episodes}).join(
        table.with_columns(in_table=True), on="episode_id", how="left", maintain_order="left"
    )
    if lacking := rows["in_table"].null_count():
        raise InputError(f"{path}: {shown(lacking)} episode(s) missing; delete it to make it again")
    return rows.drop("episode_id", "in_table").cast(pl.Float64).fill_null(math.nan).to_numpy()


def one_version(versions: Mapping[str, int], what: str) -> int:
    """The version of definitions that all files share; `InputError` where there are two.

    >>> one_version({"a.json": 2, "b.json": 2}, "a table")
    2
    >>> one_version({"a.json": 2, "b.json": 1}, "a table")
    Traceback (most recent call last):
    pipeline.stage.errors.InputError: a table cannot mix versions of the definitions: b.json has \
version 1; a.json has version 2. Make the older ones again, or leave them out
    """
    found: dict[int, list[str]] = {}
    for path, version in versions.items():
        found.setdefault(version, []).append(str(path))
    if len(found) > 1:
        each = [
            f"{', '.join(paths[:3])}{f' and {len(paths) - 3} more' if len(paths) > 3 else ''} "
            f"{'has' if len(paths) == 1 else 'have'} version {version}"
            for version, paths in sorted(found.items())
        ]
        raise InputError(f"{what} cannot mix versions of the definitions: {'; '.join(each)}. "
                         "Make the older ones again, or leave them out")  # fmt: skip
    return next(iter(found), 1)


def version_of_tables(paths: Sequence[str | Path]) -> int:
    """The version of definitions that all these tables are of; 1 where a table names none."""
    versions = {}
    for path in paths:
        with reading(path):
            versions[str(path)] = int(pl.read_parquet_metadata(path).get(DEFINITIONS, 1))
    return one_version(versions, "a comparison")


@contextmanager
def reading(path: str | Path, *more: type[Exception]) -> Iterator[None]:
    """Turns what Polars (and `more`, of another reader) says of a table into an `InputError`."""
    kinds: tuple[type[Exception], ...] = (OSError, pl.exceptions.PolarsError, *more)
    try:
        yield
    except kinds as error:
        digests.check(path)  # of a table that is read in parts
        kind = type(error).__name__
        raise InputError(f"{path}: not a readable parquet table ({kind})") from error
