"""A DuckDB connection that respects the job's threads, memory and disk."""

import argparse
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from pipeline.stage.progress import JobProgress


def add_resource_arguments(arguments: argparse.ArgumentParser) -> None:
    """Adds `--threads`, `--memory-mb` and `--temp` (where DuckDB spills) to a stage's arguments."""
    arguments.add_argument("--threads", type=int, default=1, help="DuckDB threads")
    arguments.add_argument("--memory-mb", type=int, default=2000, help="DuckDB memory limit, MB")
    arguments.add_argument("--temp", default=tempfile.gettempdir(), help="folder to spill to")


LOOK = 1.0  # seconds between two looks at a query's progress
OWN_SHARE = 0.7  # of the job's memory; the rest is for what is read out of the database


@contextmanager
def connect(threads: int, memory_mb: int, temp: str | Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A private in-memory database: `threads` threads, most of `memory_mb` MB, spilling to `temp`.

    >>> with connect(1, 500, tempfile.gettempdir()) as database:
    ...     database.execute("SELECT 1 + 1").fetchone()
    (2,)
    """
    Path(temp).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=temp, prefix="duckdb-") as spill:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "threads": threads,
            "memory_limit": f"{int(memory_mb * OWN_SHARE)}MB",
            "temp_directory": spill,
        }
        with duckdb.connect(":memory:", config=settings) as database:
            yield database


@contextmanager
def watched(database: duckdb.DuckDBPyConnection, name: str) -> Iterator[None]:
    """Says how far the query is that runs within, by DuckDB's own estimate (a csv: bytes read).

    >>> with connect(1, 500, tempfile.gettempdir()) as database, watched(database, "counting"):
    ...     database.execute("SELECT count(*) FROM range(10)").fetchone()
    (10,)
    """
    database.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")
    over = threading.Event()

    def watch() -> None:
        progress = JobProgress(name, 100)
        while not over.wait(LOOK):
            percent = database.query_progress()  # -1 between two queries
            if percent < progress.done:
                progress = JobProgress(name, 100)
            progress.reach(percent)

    beside = threading.Thread(target=watch)
    beside.start()
    try:
        yield
    finally:
        over.set()
        beside.join()


def in_training_share(subject: np.ndarray, share: float) -> np.ndarray:
    """Which rows (n,) are of a share of all patients, by a hash of their `subject_id` (n,).

    The same patients for every target; a smaller share is part of a larger one.

    >>> in_training_share(np.array([1, 2]), 1.0)
    array([ True,  True])
    """
    patients = pl.DataFrame({"subject_id": subject}).to_arrow()
    with duckdb.connect() as database:
        database.register("patients", patients)
        place = "md5_number_lower('training share:' || subject_id) / 2^64"
        places = database.sql(f"SELECT {place} AS place FROM patients").pl()
    return (places["place"] < share).to_numpy()


def sql_beside(module_file: str, name: str) -> str:
    """The text of the `.sql` file `name` in the folder of the module `module_file`."""
    return (Path(module_file).parent / name).read_text()
