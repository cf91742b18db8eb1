"""Time and memory of FIDDLE at the size of MIMIC: 10,000 stays of 48 h, 4,000 variables.

    python benchmarks/fiddle.py /tmp/fiddle [--stays 10000] [--threads 2] [--memory-mb 8000]

Makes a long table in the folder (100 numeric variables about every hour, 3,900 rare ones: numbers,
categories, both), runs the two stages and prints a line of JSON.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
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
    long, episodes = folder / "long.parquet", folder / "episodes.parquet"
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


def timed(name: str, *arguments: str) -> dict[str, float]:
    """Wall and CPU seconds of a stage, in a process of its own."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    subprocess.run([sys.executable, "-m", f"pipeline.fiddle.{name}", *arguments], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {f"{name}_s": round(time.time() - started, 1), f"{name}_cpu_s": round(cpu, 1),
            "peak_mb": after.ru_maxrss // 1024}  # fmt: skip


def main() -> None:
    """Makes the table where it is not there, times fit and transform."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--stays", type=int, default=10_000)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--memory-mb", type=int, default=8000)
    given = arguments.parse_args()
    long, episodes = make(given.folder, given.stays, given.threads)
    shared = ["--long", str(long), "--episodes", str(episodes), "--threads", str(given.threads),
              "--memory-mb", str(given.memory_mb), "--temp", str(given.folder)]  # fmt: skip
    fitted, x = given.folder / "fitted.json", given.folder / "X.parquet"
    found = {"stays": given.stays, "rows": pl.scan_parquet(long).select(pl.len()).collect().item()}
    found |= timed("fit", *shared, "--fitted-on", "train", "--output", str(fitted))
    fit_peak = found["peak_mb"]
    found |= timed(
        "transform", *shared, "--fitted", str(fitted), "--output", str(x),
        "--static", str(given.folder / "S.parquet"),
        "--features", str(given.folder / "features.parquet"),
    )  # fmt: skip
    found |= {"fit_peak_mb": fit_peak, "x_mb": x.stat().st_size >> 20}
    found["ones"] = pl.scan_parquet(x).select(pl.len()).collect().item()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
