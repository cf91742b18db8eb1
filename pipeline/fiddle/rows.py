"""Reads the rows of some ids out of a long table, compact and in order.

The long table: episode_id Int64, t Float64 (hours; null: time-invariant), variable String, value
String. A row whose value is null is no record.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from pipeline.fiddle.options import Options
from pipeline.stage.database import sql_beside
from pipeline.stage.errors import InputError

LONG = {"episode_id": pl.Int64, "t": pl.Float64, "variable": pl.String, "value": pl.String}
COLUMNS = "long table, parquet: episode_id Int64, t (hours, null: time-invariant), variable, value"
VARIABLES = """
SELECT variable, bool_or(l.t IS NULL) AS static
FROM long AS l JOIN ids AS i USING (episode_id)
WHERE l.value IS NOT NULL AND (l.t IS NULL OR l.t >= 0 AND l.t < $hours)
GROUP BY variable ORDER BY variable
"""
ROWS = """
SELECT
    k.place, k.row, CAST(coalesce(floor(k.t / $step), 0) AS INTEGER) AS bin, x.text
FROM known AS k JOIN texts AS x USING (value)
ORDER BY k.place, k.row, k.t NULLS FIRST, k.position
"""


@dataclass(frozen=True)
class Rows:
    """Records sorted by variable, id, time and, within one time, place in the long table.

    `texts` (T,): the distinct values in the order of their characters; `numbers` (T,) Float64: what
    they parse to, NaN where they do not. `begin` (V + 1,): where each variable's rows begin in
    `row`, `bin` and `text` (R,) Int32: place of the id, bin, place of the value in `texts`.
    """

    texts: pl.Series
    numbers: np.ndarray
    begin: np.ndarray
    row: np.ndarray
    bin: np.ndarray
    text: np.ndarray

    def of(self, variable: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row, bin and text of one variable's records."""
        part = slice(self.begin[variable], self.begin[variable + 1])
        return self.row[part], self.bin[part], self.text[part]


def open_long(database: duckdb.DuckDBPyConnection, long: pl.DataFrame | str | Path) -> None:
    """Makes the view `long` of a table or a parquet file, with the rows' `position`."""
    if isinstance(long, pl.DataFrame):
        database.register("given_long", long.with_row_index("position").to_arrow())
        database.execute("CREATE OR REPLACE VIEW long AS FROM given_long")
        return
    try:
        schema = pl.read_parquet_schema(long)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{long}: not a readable parquet table") from error
    for column, dtype in LONG.items():
        if schema.get(column) != dtype:
            raise InputError(f"{long}: {column} is {schema.get(column)}, expected {dtype}")
    path = str(long).replace("'", "''")
    database.execute(
        "CREATE OR REPLACE VIEW long AS SELECT *, file_row_number AS position"
        f" FROM read_parquet('{path}', file_row_number = true)"
    )


def choose(database: duckdb.DuckDBPyConnection, ids: np.ndarray) -> None:
    """Makes the table `ids`: these ids, numbered in their order."""
    table = pl.DataFrame({"episode_id": pl.Series(ids, dtype=pl.Int64)})
    database.register("ids", table.with_row_index("row").cast({"row": pl.Int32}).to_arrow())


def variables(database: duckdb.DuckDBPyConnection, hours: float) -> pl.DataFrame:
    """variable String in order, static Boolean (some t is null): what the ids' rows name."""
    return database.sql(VARIABLES, params={"hours": hours}).pl()


def read_rows(
    database: duckdb.DuckDBPyConnection, known: pl.DataFrame, chosen: Options, published: bool
) -> Rows:
    """The rows of the `known` variables (variable, static) and of the ids last chosen."""
    database.register("variables", known.with_row_index("place").to_arrow())
    text = sql_beside(__file__, "rows.sql")
    view, table = text.replace("$hours", repr(float(chosen.hours))).replace(
        "$published", str(published).lower()).split(";")  # fmt: skip
    database.execute(view)
    database.execute(table)
    texts = database.sql("SELECT value FROM texts ORDER BY text").pl()["value"]
    placed = database.sql(ROWS, params={"step": chosen.step}).fetchnumpy()
    begin = np.searchsorted(placed["place"], np.arange(known.height + 1))
    columns = (np.ascontiguousarray(placed[name], np.int32) for name in ("row", "bin", "text"))
    return Rows(texts, as_numbers(texts), begin, *columns)


def as_numbers(texts: pl.Series) -> np.ndarray:
    """What the texts parse to, NaN for those that are no finite number.

    >>> as_numbers(pl.Series(["7", " 1e2", "inf", "low"]))
    array([  7., 100.,  nan,  nan])
    """
    numbers = texts.str.strip_chars().cast(pl.Float64, strict=False)
    return numbers.set(~numbers.is_finite(), None).to_numpy(writable=True)


def chunks(ids: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """The ids in parts of at most `size`.

    >>> [part.tolist() for part in chunks(np.arange(3), 2)]
    [[0, 1], [2]]
    """
    for begin in range(0, len(ids), size):
        yield ids[begin : begin + size]
