"""Selects the films of each episode that were taken by its prediction time.

python -m pipeline.cxr.films --episodes … --metadata results/source/cxr_metadata.parquet
    --views antero-posterior --availability '{…}' --output films.parquet

As published by Wang et al. 2024 (`films_published.sql`): --definition published --admissions …
"""

import argparse
import json

import polars as pl

from pipeline.common.availability import cut, known_from
from pipeline.common.command import log, parser, run
from pipeline.common.database import add_resource_arguments, connect, sql_beside
from pipeline.common.errors import InputError
from pipeline.common.tables import Contract, write_table

FILMS = Contract(
    {
        "episode_id": pl.Int64,
        "dicom_id": pl.String,
        "subject_id": pl.Int64,
        "study_id": pl.Int64,
        "minute": pl.Int32,
    },
    key=("episode_id", "minute", "dicom_id"),
    units={"minute": "minutes since admission"},
)


QUERIES = {"corrected": "films.sql", "published": "films_published.sql"}
NEEDS = {"corrected": "availability", "published": "admissions"}


def query(given: argparse.Namespace) -> str:
    """The query of the definition, under the availability rule where there is one."""
    if not getattr(given, NEEDS[given.definition]):
        raise InputError(f"--definition {given.definition} needs --{NEEDS[given.definition]}")
    text = sql_beside(__file__, QUERIES[given.definition])
    if not given.availability:
        return text
    known = known_from(given.availability, "films")
    return text.format(cut=cut(given.availability), known_films=known)


def main() -> None:
    """Parses the arguments, runs the query, writes the films."""
    arguments = parser(__doc__)
    arguments.add_argument("--definition", choices=list(QUERIES), default="corrected")
    arguments.add_argument("--episodes", required=True)
    arguments.add_argument("--metadata", required=True)
    arguments.add_argument("--views", nargs="+", required=True, help="code meanings, lower case")
    arguments.add_argument("--availability", type=json.loads, help="JSON, see config")
    arguments.add_argument("--admissions", help="of the source")
    arguments.add_argument("--output", required=True)
    add_resource_arguments(arguments)
    given = arguments.parse_args()
    text = query(given)
    paths = {"cxr_metadata": given.metadata}
    paths |= {table: getattr(given, table) for table in ("episodes", "admissions")}
    with connect(given.threads, given.memory_mb, given.temp) as database:
        for table, path in paths.items():
            if path:
                database.execute(f"CREATE VIEW {table} AS FROM '{path}'")
        films = database.sql(text, params={"views": given.views}).pl()
    write_table(films, given.output, FILMS)
    log.info("%d films of %d episodes", films.height, films["episode_id"].n_unique())


if __name__ == "__main__":
    run(main)
