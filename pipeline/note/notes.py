"""Selects the radiology reports of each episode that were known by its prediction time.

python -m pipeline.note.notes --episodes … --notes notes.parquet --availability '{…}' --output …
"""

import json

import polars as pl

from pipeline.common.availability import cut, known_from, stands_in
from pipeline.common.command import log, parser, run
from pipeline.common.database import add_resource_arguments, connect, sql_beside
from pipeline.common.tables import Contract, write_table

NOTES = Contract(
    {"episode_id": pl.Int64, "note_id": pl.String, "minute": pl.Int32},
    key=("episode_id", "minute", "note_id"),
    units={"minute": "minutes since admission"},
)


def main() -> None:
    """Parses the arguments, runs `notes.sql`, writes the reports of the episodes."""
    arguments = parser(__doc__)
    arguments.add_argument("--episodes", required=True)
    arguments.add_argument("--notes", required=True, help="cleaned reports")
    arguments.add_argument(
        "--availability", type=json.loads, required=True, help="JSON, see config"
    )
    arguments.add_argument("--output", required=True)
    add_resource_arguments(arguments)
    given = arguments.parse_args()
    query = sql_beside(__file__, "notes.sql").format(
        cut=cut(given.availability),
        known_notes=known_from(given.availability, "notes"),
        stands_in_notes=stands_in(given.availability, "notes"),
    )
    with connect(given.threads, given.memory_mb, given.temp) as database:
        database.execute(f"CREATE VIEW episodes AS FROM '{given.episodes}'")
        database.execute(f"CREATE VIEW notes AS FROM '{given.notes}'")
        notes = database.sql(query).pl()
    write_table(notes, given.output, NOTES)
    log.info("%d reports of %d episodes", notes.height, notes["episode_id"].n_unique())
    log.info("%d of them have no storetime: charttime counts", notes["stood_in"].sum())


if __name__ == "__main__":
    run(main)
