"""Files of MEDS: parquet and JSON, each held against the schema of the package `meds`.

Texts are Arrow's `string`, `text_value` its `large_string`; the same bytes for the same rows.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from flexible_schema import PyArrowSchema, SchemaValidationError, TableValidationError
from pyarrow.parquet import ParquetWriter

from pipeline.stage.errors import InputError
from pipeline.stage.files import whole
from pipeline.stage.parts import LEVEL
from pipeline.stage.tables import ROW_GROUP

Schema = type[PyArrowSchema]


def in_groups(batches: Iterable[pa.RecordBatch], rows: int = ROW_GROUP) -> Iterator[pa.Table]:
    """Tables of exactly `rows` rows, the last of fewer, wherever the batches are cut.

    >>> batches = pa.table({"a": [1, 2, 3, 4, 5]}).to_batches(max_chunksize=3)
    >>> [group["a"].to_pylist() for group in in_groups(batches, rows=2)]
    [[1, 2], [3, 4], [5]]
    """
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        waiting.append(batch)
        count += batch.num_rows
        if count < rows:
            continue
        together = pa.Table.from_batches(waiting)
        full = count - count % rows
        for start in range(0, full, rows):
            yield together.slice(start, rows).combine_chunks()
        waiting, count = together.slice(full).to_batches(), count - full
    if count:
        yield pa.Table.from_batches(waiting).combine_chunks()


def write_batches(
    batches: Iterable[pa.RecordBatch], columns: pa.Schema, path: str | Path, schema: Schema
) -> int:
    """Writes rows as they come, zstd, row groups of a fixed size; the number of rows.

    `columns`: of the batches, also where there are none. `schema`: of MEDS; `InputError` where the
    rows are not of it.
    """
    rows = 0
    first = aligned(columns.empty_table(), schema, path, empty=True)
    with whole(path) as part, ParquetWriter(part, first.schema, compression="zstd") as writer:
        for group in in_groups(batches):
            writer.write_table(aligned(group, schema, path), row_group_size=ROW_GROUP)
            rows += group.num_rows
    return rows


def write_frame(frame: pl.DataFrame, path: str | Path, schema: Schema) -> None:
    """Writes a table in the order of its columns; `InputError` where it is not of the schema."""
    table = frame.sort(frame.columns).to_arrow(compat_level=LEVEL)
    write_batches(table.to_batches(), table.schema, path, schema)


def aligned(table: pa.Table, schema: Schema, path: str | Path, empty: bool = False) -> pa.Table:
    """The table with MEDS' types and order of columns; `InputError` where it cannot have them.

    >>> from meds import DataSchema
    >>> time = pa.array([0], pa.timestamp("us"))
    >>> table = pa.table({"code": ["A"], "subject_id": [1], "time": time})
    >>> aligned(table, DataSchema, "0.parquet").column_names
    ['subject_id', 'time', 'code']
    >>> aligned(table.drop_columns("code"), DataSchema, "0.parquet")
    Traceback (most recent call last):
    pipeline.stage.errors.InputError: 0.parquet: not MEDS: Missing required columns: code
    """
    try:
        made: pa.Table = schema.align(table.schema.empty_table() if empty else table)
    except (SchemaValidationError, TableValidationError) as error:
        told = " ".join(str(error).split())
        raise InputError(f"{path}: not MEDS: {told}") from error
    return made


def checked_json(value: dict[str, Any], schema: Any, path: str | Path) -> dict[str, Any]:
    """The metadata of a data set, held against its schema; `InputError` where it is not of it."""
    try:
        schema.validate(value)
    except SchemaValidationError as error:
        raise InputError(f"{path}: not MEDS: {error}") from error
    return value
