"""Selects the radiology reports of each episode known before its prediction time.

python -m pipeline.note.notes --query pipeline/note/notes.sql --episodes … --notes notes.parquet
    --availability '{…}' --output …

The query is `notes.sql`, or, as Wang et al. 2024 select reports, `notes_published.sql` (with
--admissions instead of --availability).
"""

from collections.abc import Mapping
from pathlib import Path

import duckdb
import polars as pl

from pipeline.stage.availability import add_query_arguments, query_of
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect
from pipeline.stage.privacy import shown_part, tell
from pipeline.stage.tables import Contract, write_table

NOTES = Contract(
    {"episode_id": pl.Int64, "note_id": pl.String, "minute": pl.Int32},
    key=("episode_id", "minute", "note_id"),
    units={"minute": "minutes since clock zero: the admission, or the arrival in the ICU"},
)


def vector_contract(size: int) -> Contract:
    """The table of vectors of reports: note_id and `size` float32."""
    vector = pl.Array(pl.Float32, size)
    return Contract({"note_id": pl.String, "vector": vector}, key=("note_id",))


def select_notes(
    database: duckdb.DuckDBPyConnection, query: str, tables: Mapping[str, str | Path]
) -> pl.DataFrame:
    """The reports of the episodes (`NOTES`, `stood_in`) by a query on tables: name → parquet."""
    for table, path in tables.items():
        database.execute(f"CREATE VIEW {table} AS FROM '{path}'")
    return database.sql(query).pl()


def main() -> None:
    """Runs the query, writes the reports of the episodes."""
    options = parser(__doc__)
    options.add_argument("--episodes", required=True)
    options.add_argument("--notes", required=True, help="cleaned reports")
    add_query_arguments(options)
    options.add_argument("--output", required=True)
    add_resource_arguments(options)
    arguments = options.parse_args()
    text = query_of(arguments, "notes")
    with connect(arguments.threads, arguments.memory_mb, arguments.temp) as database:
        paths = {name: getattr(arguments, name) for name in ("episodes", "notes", "admissions")}
        there = {name: path for name, path in paths.items() if path}
        notes = select_notes(database, text, there)
    write_table(notes, arguments.output, NOTES)
    episodes, stood_in = notes["episode_id"].n_unique(), notes["stood_in"].sum()
    tell("%s reports of %s episodes", notes.height, episodes)
    tell("%s of them have no storetime: their charttime counts",
         shown_part(int(stood_in), notes.height))  # fmt: skip


if __name__ == "__main__":
    run(main)
