"""A long table as FIDDLE reads it, of any number of ICU stays: 4,000 variables, 48 h each.

100 numeric variables about every hour, 3,900 rare ones: numbers, categories, both.
"""

from pathlib import Path

import duckdb
import polars as pl

FREQUENT, RARE, STATIC = 100, 3900, 10
LONG = """
COPY (
    SELECT
        CAST(s.range AS BIGINT) AS episode_id,
        (h.range + CAST(hash(s.range, h.range, v.range) % 60 AS DOUBLE) / 60) * 48 / 53 AS t,
        format('often {:03d}', v.range) AS variable,
        CAST(round(80 + 40 * sin(hash(h.range, s.range, v.range) % 1000), 1) AS VARCHAR) AS value
    FROM range($stays) AS s, range(53) AS h, range($frequent) AS v
    WHERE hash(s.range, h.range, v.range) % 20 > 0 AND s.range % 50 > 0
    UNION ALL
    SELECT
        CAST(s.range AS BIGINT), CAST(hash(k.range, s.range) % 2880 AS DOUBLE) / 60,
        format('rare {:04d}', v),
        CASE
            WHEN v % 3 = 0 OR v % 3 = 1 AND hash(k.range, v) % 4 = 0
            THEN format('state {}', hash(s.range, k.range, v) % (2 + v % 5))
            ELSE CAST(round(sqrt(hash(s.range, k.range) % 997), 1) AS VARCHAR)
        END
    FROM range($stays) AS s, range($each) AS k,
        LATERAL (SELECT CAST(hash(s.range, k.range, 7) % $rare AS INTEGER) AS v)
    UNION ALL
    SELECT
        CAST(s.range AS BIGINT), NULL, format('fixed {}', v.range),
        CAST(hash(s.range, v.range, 3) % (2 + 20 * v.range) AS VARCHAR)
    FROM range($stays) AS s, range($static) AS v
    ORDER BY ALL
) TO '{path}' (FORMAT parquet)
"""


def make(folder: Path, stays: int, threads: int) -> tuple[Path, Path]:
    """Long table and episodes, nine tenths of them train."""
    folder.mkdir(parents=True, exist_ok=True)
    long, episodes = folder / f"long-{stays}.parquet", folder / f"episodes-{stays}.parquet"
    if long.exists() and episodes.exists():
        return long, episodes
    settings: dict[str, str | bool | int | float | list[str]] = {
        "threads": threads,
        "preserve_insertion_order": False,
        "memory_limit": "8GB",
        "temp_directory": str(folder / "spill"),
    }
    sizes = {"stays": stays, "frequent": FREQUENT, "rare": RARE, "static": STATIC, "each": 300}
    with duckdb.connect(config=settings) as database:
        text = LONG.replace("{path}", str(long))
        for name, size in sizes.items():
            text = text.replace(f"${name}", str(size))
        database.execute(text)
    ids = pl.int_range(stays, eager=True)
    split = pl.when(pl.col("episode_id") % 10 == 0).then(pl.lit("test")).otherwise(pl.lit("train"))
    pl.DataFrame({"episode_id": ids}).with_columns(split=split).write_parquet(episodes)
    return long, episodes


def rows(table: Path) -> int:
    """The number of rows of a parquet table."""
    return int(pl.scan_parquet(table).select(pl.len()).collect().item())
