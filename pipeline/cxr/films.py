"""Selects the films of each episode that were taken by its prediction time.

python -m pipeline.cxr.films --episodes … --metadata results/source/cxr_metadata.parquet
    --views antero-posterior --availability '{…}' --output films.parquet
"""

import json

import polars as pl

from pipeline.common.availability import cut, known_from
from pipeline.common.command import log, parser, run
from pipeline.common.database import add_resource_arguments, connect, sql_beside
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


def main() -> None:
    """Parses the arguments, runs `films.sql`, writes the films."""
    arguments = parser(__doc__)
    arguments.add_argument("--episodes", required=True)
    arguments.add_argument("--metadata", required=True)
    arguments.add_argument("--views", nargs="+", required=True, help="code meanings, lower case")
    arguments.add_argument(
        "--availability", type=json.loads, required=True, help="JSON, see config"
    )
    arguments.add_argument("--output", required=True)
    add_resource_arguments(arguments)
    given = arguments.parse_args()
    query = sql_beside(__file__, "films.sql").format(
        cut=cut(given.availability), known_films=known_from(given.availability, "films")
    )
    with connect(given.threads, given.memory_mb, given.temp) as database:
        database.execute(f"CREATE VIEW episodes AS FROM '{given.episodes}'")
        database.execute(f"CREATE VIEW cxr_metadata AS FROM '{given.metadata}'")
        films = database.sql(query, params={"views": given.views}).pl()
    write_table(films, given.output, FILMS)
    log.info("%d films of %d episodes", films.height, films["episode_id"].n_unique())


if __name__ == "__main__":
    run(main)
