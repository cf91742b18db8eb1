"""The long table: all that was known of each admission or ICU stay, as FIDDLE reads it.

    python -m pipeline.ehr.long --episodes results/corrected/stay/episodes.parquet --unit stay
        --source results/source --availability '{…}' --output long.parquet

One row per value: t is the time at which it was known, in hours from clock zero, so that one table
serves every horizon T as t < T. Time-invariant values have no t. Among them is what was known
before clock zero, which FIDDLE (t from 0 on) would not see: of each signal the last number,
`before: HR`, and how many hours before clock zero it was measured, `hours since: HR`.

Inputs and merged variables (`long_items.csv`: item → variable, value · scale + shift) as listed by
Tang et al. 2020 (FIDDLE), here with their units converted. Values outside the limits of
`long_items.csv` and `signals.csv` are dropped and counted; so is Fahrenheit charted as Celsius, as
mimic-code's vitalsign.sql drops it. Of what Tang et al. read, datetimeevents (dates, some of them
planned) and the laboratory's flags (they follow from value and range) are left out.

The rows of a full release are more than memory holds: `long.sql` streams them to files by chunks
of episodes, then each chunk is sorted (`long_chunk.sql`) and appended to the output.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl

from pipeline.ehr.signals import INTUBATED, NUMBERS, catalogue
from pipeline.stage.availability import Availability, add_availability_argument, observed
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect, sql_beside, watched
from pipeline.stage.parts import write_parts
from pipeline.stage.privacy import shown, shown_part, tell
from pipeline.stage.progress import JobProgress
from pipeline.stage.tables import Contract

TABLES = ["chartevents", "outputevents", "labevents", "microbiologyevents", "procedureevents",
          "inputevents", "d_items", "d_labitems"]  # fmt: skip
CHARTED = {"vitals": "charttime", "outputs": "charttime", "labs": "charttime",
           "procedures": "starttime", "infusions": "starttime"}  # fmt: skip
LONG = Contract(
    {"episode_id": pl.Int64, "t": pl.Float64, "variable": pl.String, "value": pl.String},
    key=("episode_id", "t", "variable", "value"),
    nullable=("t",),
    units={"t": "hours since clock zero; null: time-invariant"},
)
PARTS = ("readings", "states", "rates", "amounts", "earlier", "registered")
CHUNK = 1000  # episodes: of stays about 1.6 million rows of 48 hours
UNITS = {  # the fields of long.sql: an admission has no stay, and no columns of its own
    "admission": {"stay": "CAST(NULL AS BIGINT)", "of_unit": ""},
    "stay": {
        "stay": "stay_id",
        "of_unit": ", first_careunit, as_text(hours_to_icu) AS hours_to_icu",
    },
}
AS_TEXT = """
    CREATE MACRO as_text(number) AS CASE
        WHEN NOT isfinite(number) THEN NULL
        WHEN number = trunc(number) AND abs(number) < 1e15
        THEN CAST(TRY_CAST(number AS BIGINT) AS VARCHAR)
        ELSE CAST(number AS VARCHAR)
    END
"""  # the shortest text that reads as the number


def query(availability: Availability, unit: str, part: str) -> str:
    """One part of `long.sql` for a unit, under an availability rule.

    With the rule off everything is known when it is charted.
    """
    if availability.enforced:
        rule = {f"known_{kind}": availability.known_from(kind) for kind in CHARTED}
        rule |= {f"stands_in_{kind}": availability.stands_in(kind) for kind in CHARTED}
    else:
        rule = {f"known_{kind}": time for kind, time in CHARTED.items()}
        rule |= {f"stands_in_{kind}": "FALSE" for kind in CHARTED}
    rule["admissions"] = observed()
    return sql_beside(__file__, "long.sql").format(part=part, **UNITS[unit], **rule)


def merged() -> pl.DataFrame:
    """The chart's items that are one variable, with their conversion and its limits.

    >>> merged().filter(variable="height").select("itemid", "scale", "low", "high").rows()
    [(226707, 2.54, 90.0, 250.0), (226730, 1.0, 90.0, 250.0)]
    """
    numbers = dict.fromkeys(("scale", "shift", "low", "high"), pl.Float64)
    return pl.read_csv(Path(__file__).with_name("long_items.csv"), schema_overrides=numbers)


def stage_rows(
    database: duckdb.DuckDBPyConnection,
    availability: Availability,
    unit: str,
    folder: Path,
) -> None:
    """Streams all rows to parquet files below `folder`, one folder per chunk of episodes."""
    database.register("merged", merged().to_arrow())
    database.register("catalogue", catalogue().to_arrow())
    database.execute(";".join((AS_TEXT, INTUBATED, NUMBERS)))
    database.execute(f"CREATE TABLE items AS {sql_beside(__file__, 'long_names.sql')}")
    for part in PARTS:
        database.execute(
            f"COPY ({query(availability, unit, part)}) TO '{folder}' (FORMAT parquet, "
            f"PARTITION_BY (chunk), OVERWRITE_OR_IGNORE, FILENAME_PATTERN '{part}_{{i}}')",
            {"episodes": CHUNK},
        )


def log_sources(database: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Logs how many values each source gave, how many of them have no storetime, and how many are
    outside the limits of their variable: each once, as in `pipeline.ehr.events`."""
    files = {"files": f"{folder}/*/*.parquet"}
    counts = database.sql(
        "SELECT source, count(*), count_if(stood_in) FROM read_parquet($files) "
        "WHERE value IS NOT NULL GROUP BY source ORDER BY source",
        params=files,
    ).fetchall()
    for source, rows, guessed in counts:
        tell("%s: %s values, %s of them without storetime", source, rows,
             shown_part(guessed, rows))  # fmt: skip
    dropped = database.sql(
        "SELECT name, count(DISTINCT (episode_id, date_trunc('minute', begun), outside)) "
        "FROM read_parquet($files) JOIN (SELECT DISTINCT item, name FROM items) USING (item) "
        "WHERE outside IS NOT NULL GROUP BY name ORDER BY name",
        params=files,
    ).fetchall()
    by_name = ", ".join(f"{name} {shown(rows)}" for name, rows in dropped)
    tell("dropped, outside the limits of a living body: %s", by_name or "none")


def sorted_chunks(
    database: duckdb.DuckDBPyConnection, chunks: list[Path]
) -> Iterator[pl.DataFrame]:
    """The rows of one chunk after the other, each with the name of its variable.

    Chunks hold episodes in their order, so the whole is in the order of the contract's key.
    """
    text = sql_beside(__file__, "long_chunk.sql")
    names = database.sql("SELECT DISTINCT item, name FROM items").pl()
    name = pl.concat_str("prefix", "name", "aspect", ignore_nulls=True)
    for chunk in JobProgress("writing the long table", len(chunks)).each(chunks):
        rows = database.sql(text, params={"files": f"{chunk}/*.parquet"}).pl()
        yield rows.join(names, on="item", how="left").with_columns(variable=name)


def main() -> None:
    """Parses the arguments, stages the rows of all episodes, writes them chunk by chunk."""
    command = parser(__doc__)
    add = command.add_argument
    add("--episodes", required=True)
    add("--unit", choices=list(UNITS), required=True, help="what the episodes are")
    add("--source", required=True, help="folder of the source tables")
    add_availability_argument(command)
    add("--output", required=True)
    add_resource_arguments(command)
    arguments = command.parse_args()
    with (
        connect(arguments.threads, arguments.memory_mb, arguments.temp) as database,
        tempfile.TemporaryDirectory(dir=arguments.temp, prefix="long-") as folder,
    ):
        database.execute(f"CREATE VIEW episodes AS FROM '{arguments.episodes}'")
        for table in TABLES:
            database.execute(f"CREATE VIEW {table} AS FROM '{arguments.source}/{table}.parquet'")
        with watched(database, "reading what was charted"):
            stage_rows(database, arguments.availability, arguments.unit, Path(folder))
        chunks = sorted(Path(folder).glob("chunk=*"), key=lambda path: int(path.name[6:]))
        if chunks:
            log_sources(database, Path(folder))
        rows = write_parts(sorted_chunks(database, chunks), arguments.output, LONG)
        count = "SELECT count(DISTINCT variable) FROM read_parquet($file)"
        ((variables,),) = database.sql(count, params={"file": arguments.output}).fetchall()
    tell("%s rows of %s variables", rows, variables)


if __name__ == "__main__":
    run(main)
