"""Selects the radiology reports of each episode that were known by its prediction time.

python -m pipeline.note.notes --episodes … --notes notes.parquet --availability '{…}' --output …

As published by Wang et al. 2024 (`notes_published.sql`): --definition published --admissions …
"""

import argparse
import json

import polars as pl

from pipeline.common.availability import cut, known_from, stands_in
from pipeline.common.command import log, parser, run
from pipeline.common.database import add_resource_arguments, connect, sql_beside
from pipeline.common.errors import InputError
from pipeline.common.tables import Contract, write_table

NOTES = Contract(
    {"episode_id": pl.Int64, "note_id": pl.String, "minute": pl.Int32},
    key=("episode_id", "minute", "note_id"),
    units={"minute": "minutes since admission"},
)


QUERIES = {"corrected": "notes.sql", "published": "notes_published.sql"}
NEEDS = {"corrected": "availability", "published": "admissions"}


def query(given: argparse.Namespace) -> str:
    """The query of the definition, under the availability rule where there is one."""
    if not getattr(given, NEEDS[given.definition]):
        raise InputError(f"--definition {given.definition} needs --{NEEDS[given.definition]}")
    text = sql_beside(__file__, QUERIES[given.definition])
    if not given.availability:
        return text
    return text.format(
        cut=cut(given.availability),
        known_notes=known_from(given.availability, "notes"),
        stands_in_notes=stands_in(given.availability, "notes"),
    )


def main() -> None:
    """Parses the arguments, runs the query, writes the reports of the episodes."""
    arguments = parser(__doc__)
    arguments.add_argument("--definition", choices=list(QUERIES), default="corrected")
    arguments.add_argument("--episodes", required=True)
    arguments.add_argument("--notes", required=True, help="cleaned reports")
    arguments.add_argument("--availability", type=json.loads, help="JSON, see config")
    arguments.add_argument("--admissions", help="of the source")
    arguments.add_argument("--output", required=True)
    add_resource_arguments(arguments)
    given = arguments.parse_args()
    text = query(given)
    with connect(given.threads, given.memory_mb, given.temp) as database:
        for table in ("episodes", "notes", "admissions"):
            if path := getattr(given, table):
                database.execute(f"CREATE VIEW {table} AS FROM '{path}'")
        notes = database.sql(text).pl()
    write_table(notes, given.output, NOTES)
    log.info("%d reports of %d episodes", notes.height, notes["episode_id"].n_unique())
    log.info("%d of them have no storetime: charttime counts", notes["stood_in"].sum())


if __name__ == "__main__":
    run(main)
