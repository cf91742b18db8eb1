"""Fits the bins of numeric signals on the training subjects of the source.

    python -m pipeline.ehr.bins --source results/source --split '{…}' --output bins.parquet

200 rows per signal: row 0 means no value, 1 underflow, 2 … 198 equal widths between the 0.5th and
99.5th percentile of the training readings, 199 overflow. Rows that are there twice count once.
With a split by era nothing of the late era is read.
"""

import polars as pl

from pipeline.cohort import eras
from pipeline.cohort.settings import Fold
from pipeline.ehr.signals import ARTERIAL, BINS, NUMBERS, catalogue
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect, sql_beside, watched
from pipeline.stage.privacy import tell
from pipeline.stage.settings import json_argument
from pipeline.stage.tables import Contract, write_table

CHARTED = {"chartevents": "charttime", "outputevents": "charttime", "labevents": "charttime",
           "inputevents": "starttime"}  # fmt: skip
INNER = BINS - 3  # without "no value", underflow and overflow
BOUNDS = Contract(
    {"signal": pl.String, "low": pl.Float64, "high": pl.Float64, "readings": pl.Int64},
    key=("signal",),
)


def bin_of(value: pl.Expr, low: pl.Expr, high: pl.Expr) -> pl.Expr:
    """The bin of a value: 1 below `low`, 199 from `high` on, equal widths between.

    >>> frame = pl.DataFrame({"v": [-1.0, 0.0, 0.5, 1.0, 9.0], "low": 0.0, "high": 1.0})
    >>> frame.select(bin_of(pl.col("v"), pl.col("low"), pl.col("high"))).to_series().to_list()
    [1, 2, 100, 199, 199]
    """
    # times INNER / width, not by width: dividing by a column that happens to be constant rounds
    # otherwise in Polars, and a reading on an edge would fall into either bin
    per_unit = INNER / pl.max_horizontal(high - low, pl.lit(1e-9))
    inner = ((value - low) * per_unit).floor().clip(-1, INNER)
    return (inner + 2).cast(pl.Int32)


def main() -> None:
    """Parses the arguments, runs `bins.sql`, writes one row per signal."""
    command = parser(__doc__)
    command.add_argument("--source", required=True, help="folder of the source tables")
    parse_split = json_argument("split", Fold)
    command.add_argument("--split", type=parse_split, required=True, help="JSON: salt and shares")
    command.add_argument("--eras", nargs="+", default=[], help=eras.HELP)
    command.add_argument("--output", required=True)
    add_resource_arguments(command)
    arguments = command.parse_args()
    query = sql_beside(__file__, "bins.sql")
    tables = ["patients", "chartevents", "outputevents", "labevents", "inputevents", "d_items",
              "d_labitems"]  # fmt: skip
    times = CHARTED if arguments.split.by == "era" else {}
    with connect(arguments.threads, arguments.memory_mb, arguments.temp) as database:
        eras.prepare_fit(database, arguments.split, arguments.eras)
        names = catalogue()
        signals = pl.Enum(names["signal"].unique().sort())  # a byte, not a text, in every row
        database.register("catalogue", names.cast({"signal": signals}).to_arrow())
        for table in tables:
            early = f"WHERE trained_on(subject_id, {time})" if (time := times.get(table)) else ""
            path = f"{arguments.source}/{table}.parquet"
            database.execute(f"CREATE VIEW {table} AS FROM '{path}' {early}")
        database.execute(";".join((NUMBERS, ARTERIAL)))
        with watched(database, "reading all that was charted"):
            bounds = database.sql(query).pl()
    write_table(bounds, arguments.output, BOUNDS)
    tell(f"bins of {bounds.height} signals from %s readings", bounds["readings"].sum())


if __name__ == "__main__":
    run(main)
