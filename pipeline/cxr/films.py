"""Selects the films of each episode that were taken by its prediction time.

python -m pipeline.cxr.films --episodes … --metadata results/source/cxr_metadata.parquet
    --views antero-posterior --availability '{…}' --output films.parquet

As published by Wang et al. 2024 (`films_published.sql`): --definition published --admissions …
Of ICU stays (`films_stay.sql`): --definition stay; minutes count from the stay's start.
"""

import polars as pl

from pipeline.common.availability import add_definition_arguments, query_of
from pipeline.common.command import log, parser, run
from pipeline.common.database import add_resource_arguments, connect
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
    units={"minute": "minutes since the episode's start"},
)


def main() -> None:
    """Parses the arguments, runs the query, writes the films."""
    arguments = parser(__doc__)
    arguments.add_argument("--episodes", required=True)
    arguments.add_argument("--metadata", required=True)
    arguments.add_argument("--views", nargs="+", required=True, help="code meanings, lower case")
    add_definition_arguments(arguments)
    arguments.add_argument("--output", required=True)
    add_resource_arguments(arguments)
    given = arguments.parse_args()
    text = query_of(__file__, given, "films")
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
