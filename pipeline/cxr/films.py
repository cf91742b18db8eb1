"""Selects the films of each episode taken before its prediction time.

python -m pipeline.cxr.films --query pipeline/cxr/films.sql --episodes …
    --metadata results/source/cxr_metadata.parquet --views antero-posterior --availability '{…}'
    --output films.parquet

A view is a value of ViewPosition (AP) or of ViewCodeSequence_CodeMeaning (antero-posterior), in any
case; a view that no film of the source has is refused.

The query is `films.sql`, or, as Wang et al. 2024 select films, `films_published.sql` (with
--admissions instead of --availability).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import polars as pl

from pipeline.stage.availability import add_query_arguments, query_of
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect, sql_beside
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import shown, tell
from pipeline.stage.tables import Contract, write_table

FILMS = Contract(
    {
        "episode_id": pl.Int64,
        "dicom_id": pl.String,
        "subject_id": pl.Int64,
        "study_id": pl.Int64,
        "minute": pl.Int32,
    },
    key=("episode_id", "minute", "dicom_id"),
    units={"minute": "minutes since clock zero: the admission, or the arrival in the ICU"},
)


def create_films(database: duckdb.DuckDBPyConnection, views: Sequence[str]) -> None:
    """Creates `films`, the rows of `cxr_metadata` that have one of the views."""
    wanted = pl.DataFrame({"view": [view.strip().lower() for view in views]})
    database.register("wanted_views", wanted.to_arrow())
    database.execute(sql_beside(__file__, "films_views.sql"))


def check_views(database: duckdb.DuckDBPyConnection, views: Sequence[str]) -> None:
    """Where no film of the source has one of the views, an `InputError` lists those that there
    are, with their counts. After `create_films`."""
    wanted = pl.DataFrame({"view": [view.strip().lower() for view in views]})
    in_source = database.sql("SELECT * FROM views ORDER BY name, films DESC, view").pl()
    absent = wanted.join(in_source, on="view", how="anti")["view"].to_list()
    if not absent or in_source.is_empty():  # a source without any film is refused in training
        return
    in_source = in_source.with_columns(pl.col("films").map_elements(shown, pl.String))
    each = pl.format("{} ({})", "written", "films").str.join(", ")
    listed = in_source.group_by("name", maintain_order=True).agg(each).rows()
    raise InputError(
        f"config: cxr.views: no film of the source has the view {' or '.join(absent)}; the films "
        f"have, by {'; by '.join(': '.join(row) for row in listed)}"
    )


def open_metadata(
    database: duckdb.DuckDBPyConnection, tables: Mapping[str, str | Path], views: Sequence[str]
) -> None:
    """Makes the tables (name → parquet) and `films` known to the database."""
    for table, path in tables.items():
        database.execute(f"CREATE VIEW {table} AS FROM '{path}'")
    create_films(database, views)


def main() -> None:
    """Runs the query, writes the films."""
    options = parser(__doc__)
    options.add_argument("--episodes", required=True)
    options.add_argument("--metadata", required=True)
    options.add_argument("--views", nargs="+", required=True, help="see above")
    add_query_arguments(options)
    options.add_argument("--output", required=True)
    add_resource_arguments(options)
    arguments = options.parse_args()
    text = query_of(arguments, "films")
    paths = {"cxr_metadata": arguments.metadata}
    paths |= {table: getattr(arguments, table) for table in ("episodes", "admissions")}
    with connect(arguments.threads, arguments.memory_mb, arguments.temp) as database:
        there = {name: path for name, path in paths.items() if path}
        open_metadata(database, there, arguments.views)
        check_views(database, arguments.views)
        films = database.sql(text).pl()
    write_table(films, arguments.output, FILMS)
    tell("%s films of %s episodes", films.height, films["episode_id"].n_unique())


if __name__ == "__main__":
    run(main)
