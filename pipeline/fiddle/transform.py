"""Makes FIDDLE's features of any episodes, by what was learnt from the training ones.

    python -m pipeline.fiddle.transform --long long.parquet --episodes episodes.parquet
        --fitted fitted.json --output X.parquet --static S.parquet --features features.parquet

Sparse: a row per one. Episodes go through in parts, so memory does not grow with their number.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.fiddle.columns import STATIC, columns_of
from pipeline.fiddle.discretise import ones
from pipeline.fiddle.fitted import FEATURES, Fitted, read_fitted
from pipeline.fiddle.rows import COLUMNS, Rows, choose, chunks, open_long, read_rows
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect
from pipeline.stage.errors import InputError
from pipeline.stage.files import whole
from pipeline.stage.privacy import tell
from pipeline.stage.progress import JobProgress
from pipeline.stage.tables import ROW_GROUP, Contract, read_table, write_table

PART = 1024  # episodes at a time; fixed, for the bytes depend on it
S = Contract({"episode_id": pl.Int64, "feature": pl.Int32}, key=("episode_id", "feature"))
X = Contract(
    {"episode_id": pl.Int64, "bin": pl.Int16, "feature": pl.Int32},
    key=("episode_id", "bin", "feature"),
)


def transform(
    database: duckdb.DuckDBPyConnection,
    long: pl.DataFrame | str | Path,
    ids: np.ndarray,
    fitted: Fitted,
) -> Iterator[tuple[pa.Table, pa.Table, int]]:
    """S and X of these ids, part by part in their order; and how many values had no feature.

    A row per one; an id without rows has at most the delta_time of what was never recorded.
    """
    open_long(database, long)
    known = pl.DataFrame(
        [(one.name, one.kind == STATIC) for one in fitted.variables],
        schema={"variable": pl.String, "static": pl.Boolean}, orient="row",
    )  # fmt: skip
    size = len(ids) if fitted.published else PART  # the flaw of `misplaced` looks back
    for part in chunks(np.unique(ids), max(size, 1)):
        choose(database, part)
        rows = read_rows(database, known, fitted.options, fitted.published)
        keys, unseen = keys_of(rows, len(part), fitted)
        yield (
            table_of(keys["S"], part, 1, fitted.sizes()["S"], S),
            table_of(keys["X"], part, fitted.options.bins, fitted.sizes()["X"], X),
            unseen,
        )


def keys_of(rows: Rows, ids: int, fitted: Fitted) -> tuple[dict[str, np.ndarray], int]:
    """Per table the ones (K,) as cell · features + feature, ascending; and the values without."""
    ones_of: dict[str, list[np.ndarray]] = {"S": [], "X": []}
    unseen = 0
    for place, variable in enumerate(fitted.variables):
        table = "S" if variable.kind == STATIC else "X"
        size, bins = fitted.sizes()[table], 1 if table == "S" else fitted.options.bins
        columns = columns_of(rows, place, variable.kind, ids, fitted.options)
        for column, learnt in zip(columns, variable.columns, strict=True):
            if not len(column.cells):
                continue
            cells, feature, without = ones(
                column, learnt.encoder, rows.texts, fitted.options.ordinal,
                ids * bins if fitted.published else None,
            )  # fmt: skip
            number = np.array(learnt.features, np.int64)[feature]
            ones_of[table].append((cells * size + number)[number >= 0])
            unseen += without if column.text is not None else 0
    empty = np.empty(0, np.int64)
    return {
        table: np.sort(np.concatenate([empty, *keys])) for table, keys in ones_of.items()
    }, unseen


def table_of(
    keys: np.ndarray, ids: np.ndarray, bins: int, size: int, contract: Contract
) -> pa.Table:
    """The ones of a table in the columns of its contract; a one that repeats is a defect."""
    if (keys[1:] == keys[:-1]).any():
        raise InputError("fiddle: a feature is there twice in a cell")
    cell = keys // max(size, 1)
    feature, row = keys - cell * size, cell // bins
    bin_ = cell - row * bins
    columns = {"episode_id": ids[row], "bin": bin_.astype(np.int16),
               "feature": feature.astype(np.int32)}  # fmt: skip
    return pa.table({name: columns[name] for name in contract.columns})


def schema(contract: Contract) -> pa.Schema:
    """The contract's columns in Arrow's types."""
    return pl.DataFrame(schema=dict(contract.columns)).to_arrow().schema


def main() -> None:
    """Parses the arguments, writes S and X part by part, and the features."""
    command = parser(__doc__)
    command.add_argument("--long", required=True, help=COLUMNS)
    command.add_argument("--episodes", required=True, help="episode_id; parquet")
    command.add_argument("--fitted", required=True, help="of pipeline.fiddle.fit, json")
    command.add_argument("--output", required=True, help="X, parquet")
    command.add_argument("--static", required=True, help="S, parquet")
    command.add_argument("--features", required=True, help="names and aliases, parquet")
    add_resource_arguments(command)
    arguments = command.parse_args()
    ids = read_table(arguments.episodes, ["episode_id"])["episode_id"].to_numpy()
    fitted = read_fitted(arguments.fitted)
    count = {"S": 0, "X": 0, "unseen": 0}
    with ExitStack() as stack:
        database = stack.enter_context(
            connect(arguments.threads, arguments.memory_mb, arguments.temp)
        )
        parts = [stack.enter_context(whole(path)) for path in (arguments.static, arguments.output)]
        writers = [
            stack.enter_context(pq.ParquetWriter(part, schema(contract), compression="zstd"))
            for part, contract in zip(parts, (S, X), strict=True)
        ]
        progress = JobProgress("making FIDDLE's features", -(-len(ids) // PART))
        made = transform(database, arguments.long, ids, fitted)
        for static, series, unseen in progress.each(made):
            writers[0].write_table(static, row_group_size=ROW_GROUP)
            writers[1].write_table(series, row_group_size=ROW_GROUP)
            for name, more in zip(count, (len(static), len(series), unseen), strict=True):
                count[name] += more
    write_table(fitted.table(), arguments.features, FEATURES)
    log_sizes(fitted, len(ids), count)


def log_sizes(fitted: Fitted, ids: int, count: dict[str, int]) -> None:
    """Says shapes, densities and how many values have no feature."""
    sizes, bins = fitted.sizes(), fitted.options.bins
    tell(f"N = %s episodes, L = {bins} bins, D = {sizes['X']}, d = {sizes['S']}", ids)
    for name, cells in (("S", ids * sizes["S"]), ("X", ids * bins * sizes["X"])):
        tell("%s: %s ones, density %.4f", name, count[name], count[name] / max(cells, 1))
    tell(
        "%s value(s) of a category without a feature of its own: fitting had not seen it, or had"
        " filtered it out, or found it equal to another",
        count["unseen"],
    )


if __name__ == "__main__":
    run(main)
