"""Tables larger than memory, read and written in parts; no part splits the rows of an episode."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
from pyarrow.parquet import ParquetFile, ParquetWriter

from pipeline.stage.errors import InputError
from pipeline.stage.files import whole
from pipeline.stage.progress import JobProgress
from pipeline.stage.tables import ROW_GROUP, Contract, check, reading

ROWS = 2_000_000  # of a part: some hundred MB while it is worked on
KEY = "episode_id"
LEVEL = pl.CompatLevel.oldest()  # texts as Arrow's plain strings, which every reader knows


def in_parts(batches: Iterable[pa.RecordBatch], rows: int = ROWS) -> Iterator[pl.DataFrame]:
    """Frames of about `rows` rows, cut where the episode changes.

    The batches must come in the order of episodes, whatever the order within one.

    >>> batches = pa.table({"episode_id": [1, 1, 2, 3, 3, 3]}).to_batches(max_chunksize=2)
    >>> [part["episode_id"].to_list() for part in in_parts(batches, rows=3)]
    [[1, 1, 2], [3, 3, 3]]
    """
    waiting: list[pl.DataFrame] = []
    for batch in batches:
        waiting.append(pl.DataFrame(batch))
        if sum(frame.height for frame in waiting) >= rows:
            together = pl.concat(waiting)
            cut = together[KEY].search_sorted(together[KEY][-1])
            if cut:
                yield together[:cut]
            waiting = [together[cut:]]
    if waiting and (rest := pl.concat(waiting)).height:
        yield rest


def read_parts(path: str | Path, columns: list[str] | None = None) -> Iterator[pl.DataFrame]:
    """The parts of a parquet table in the order of episodes; `InputError` if it cannot be read."""
    with reading(path, pa.ArrowException), ParquetFile(path) as file:
        progress = JobProgress(f"reading {Path(path).name}", file.metadata.num_rows)
        for part in in_parts(file.iter_batches(batch_size=ROW_GROUP, columns=columns)):
            yield part
            progress.add(part.height)


def query_parts(database: duckdb.DuckDBPyConnection, query: str) -> Iterator[pl.DataFrame]:
    """The parts of a query's answer, which it must give in the order of episodes."""
    return in_parts(database.sql(query).to_arrow_reader(ROW_GROUP))


def write_parts(parts: Iterable[pl.DataFrame], path: str | Path, contract: Contract) -> int:
    """Checks and writes one part after the other, as `write_table` does; returns the rows.

    The same bytes for the same parts, whole or not at all. `InputError` where parts are not in the
    order of episodes: the whole is then in the order of the contract.
    """
    schema = pl.DataFrame(schema=contract.columns).to_arrow(compat_level=LEVEL).schema
    rows, last = 0, None
    with whole(path) as file, ParquetWriter(file, schema, compression="zstd") as writer:
        for part in parts:
            checked = check(part, contract, str(path))
            if checked.is_empty():
                continue
            if last is not None and checked[KEY][0] <= last:
                raise InputError(f"{path}: parts are not in the order of {KEY}")
            last, rows = checked[KEY][-1], rows + checked.height
            writer.write_table(checked.to_arrow(compat_level=LEVEL), row_group_size=ROW_GROUP)
    return rows
