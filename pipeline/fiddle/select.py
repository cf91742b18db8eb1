"""The post-filter: features that vary, and of equal or complementary ones the first.

Correlations of ±1 between binary columns are equality and complement. Equal columns have the same
sum of hashes over their ones; so neither a dense matrix nor a pair of columns is ever looked at.
(The original accepts |r| > 1 - 1e-5, too: beyond 200,000 cells that takes in columns that differ
in a cell. Here equal means equal.)
"""

import numpy as np
import polars as pl


def hashes(cells: np.ndarray) -> np.ndarray:
    """(C,) UInt64: a number for each cell that looks random (splitmix64).

    >>> len(set(hashes(np.arange(1000)).tolist()))
    1000
    """
    mixed = (cells.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def measure(cells: np.ndarray, feature: np.ndarray, features: int, bins: int) -> pl.DataFrame:
    """Of each of a column's features: count of ones, their hash, ids with a 1, ids without a 0.

    `cells` and `feature` (K,): the ones of the column, by cell; a cell is id · bins + bin.

    >>> measure(np.array([0, 1, 2]), np.array([0, 0, 1]), 2, bins=2).drop("hash").rows()
    [(2, 1, 1), (1, 1, 0)]
    """
    order = np.argsort(feature, kind="stable")
    feature, cells = feature[order], cells[order]
    begin = np.searchsorted(feature, np.arange(features + 1))
    total = np.append(np.uint64(0), np.cumsum(hashes(cells)))  # wraps, so differences are exact
    row = cells // bins
    first = np.flatnonzero(
        np.append(True, (row[1:] != row[:-1]) | (feature[1:] != feature[:-1]))[: len(row)]
    )
    full = np.diff(np.append(first, len(row))) == bins
    return pl.DataFrame(
        {
            "count": np.diff(begin),
            "hash": total[begin[1:]] - total[begin[:-1]],
            "some": np.bincount(feature[first], minlength=features),
            "always": np.bincount(feature[first][full], minlength=features),
        },
        schema={"count": pl.Int64, "hash": pl.UInt64, "some": pl.Int64, "always": pl.Int64},
    )


def select(measured: pl.DataFrame, ids: int, bins: int, theta_2: float) -> pl.DataFrame:
    """Keeps of measured features (name, count, hash, some, always; in order) those that tell.

    A feature is 1 somewhere for more than theta_2 of the ids, and 0 somewhere, too (with one bin:
    variance above theta_2(1 - theta_2)). Returns place (in `measured`), name, aliases: of
    equal columns the first; `~{name}` is an alias that is 1 where the kept one is 0.

    >>> hash = pl.Series([3, 3, int(hashes(np.arange(2)).sum() - np.uint64(3))], dtype=pl.UInt64)
    >>> measured = pl.DataFrame({"name": ["a", "b", "c"], "count": 1, "hash": hash, "some": 1,
    ...                          "always": 0})
    >>> select(measured, ids=2, bins=1, theta_2=0).rows()
    [(0, 'a', ['b', '~{c}'])]
    """
    compared = either_way(measured.with_row_index("place"), ids * bins)
    varying = (pl.col("some") / ids > theta_2) & ((ids - pl.col("always")) / ids > theta_2)
    other_way = pl.col("flipped") != pl.col("flipped").first()
    alias = (
        pl.when(other_way).then(pl.concat_str(pl.lit("~{"), "name", pl.lit("}"))).otherwise("name")
    )
    return (
        compared.filter(varying)
        .group_by("key", "ones", maintain_order=True)
        .agg(pl.col("place").first(), pl.col("name").first(), alias.slice(1).alias("aliases"))
        .sort("place")
        .select("place", "name", "aliases")
    )


def either_way(measured: pl.DataFrame, cells: int) -> pl.DataFrame:
    """With key, ones: hash and count of a column or of its complement, `flipped` if of the latter.

    The smaller hash is taken, so a column and its complement have the same key.
    """
    whole = hashes(np.arange(cells)).sum() if cells else np.uint64(0)
    hash_ = measured["hash"].to_numpy()
    flipped = whole - hash_ < hash_
    return measured.with_columns(
        key=np.where(flipped, whole - hash_, hash_),
        ones=pl.when(pl.Series(flipped)).then(cells - pl.col("count")).otherwise("count"),
        flipped=pl.Series(flipped),
    )
