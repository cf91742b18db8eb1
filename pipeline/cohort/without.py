"""Marks the episodes that each sensitivity analysis of a task leaves out of its test episodes.

A task may have such a query (`pipeline.cohort.task`): one row per episode, a boolean column
`"without: …"` per analysis, named in words, and `"count: …"` for the log. Evaluation alone
reads the marks: they change neither who is eligible nor any training, so that another analysis
trains nothing again.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipeline.cohort import attrition, inputs
from pipeline.cohort.counts import COUNT
from pipeline.cohort.task import find
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import tell
from pipeline.stage.tables import Contract, read_table, write_table

WITHOUT = "without: "


def mark(
    database: duckdb.DuckDBPyConnection,
    name: str,
    sources: Mapping[str, pl.DataFrame],
    labels: pl.DataFrame,
    last_year: int,
) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """The eligible episodes with a boolean column per analysis, and counts for the log.

    `sources`: episodes, admissions, patients; what else the query reads is the database's.
    `labels`: episode_id, eligible. Raises `InputError` where the task has no analyses, or an
    eligible episode has not exactly one row.
    """
    task = find(name)
    if task.left_out is None:
        raise InputError(f"task {name} has no sensitivity analyses: no query beside {task.query}")
    for table_name, table in sources.items():
        database.register(table_name, table)
    settings = {"hours": task.hours, "last_year": last_year}
    inputs.make_views(database, task.left_out.views, settings)
    answered = inputs.answer(database, task.left_out.path, settings)
    answered = answered.rename({column: column.format(**settings) for column in answered.columns})
    file = Path(task.left_out.path).name
    inputs.require(answered, file, ["episode_id"], key="episode_id")
    eligible = labels.filter("eligible").select("episode_id")
    marked = eligible.join(answered, on="episode_id", how="inner")
    if marked.height != eligible.height:
        raise InputError(f"task {name}: {file} lacks eligible episodes; make both from one source")
    analyses = {
        column: column.removeprefix(WITHOUT) for column in attrition.named(answered, WITHOUT)
    }
    remarks = {column: column.removeprefix(COUNT) for column in attrition.named(answered, COUNT)}
    rows = [
        {"of the eligible": text, "episodes": marked[column].sum()}
        for column, text in {**{column: column for column in analyses}, **remarks}.items()
    ]
    columns = [pl.col(column).fill_null(False).alias(text) for column, text in analyses.items()]
    return marked.select("episode_id", *columns), rows


def contract(analyses: list[str]) -> Contract:
    """Of a table of marks: one boolean column per analysis, named by whom it leaves out."""
    columns = {"episode_id": pl.Int64, **dict.fromkeys(analyses, pl.Boolean)}
    return Contract(columns=columns, key=("episode_id",))


def main() -> None:
    """Reads episodes, labels and source tables, writes the marks."""
    arguments = parser(__doc__)
    add = arguments.add_argument
    add("--task", required=True, help="mortality, or of ICU stays mortality_48h")
    add("--episodes", required=True, help="episodes, parquet")
    add("--labels", required=True, help="of the task: who is eligible, parquet")
    add("--tables", nargs="*", default=[], help="of the source, parquet: <table>.parquet")
    add("--last-year", type=int, required=True, help="last of the release")
    add("--output", required=True, help="marks, parquet")
    add_resource_arguments(arguments)
    asked = arguments.parse_args()

    sources = {"episodes": read_table(asked.episodes)}
    labels = read_table(asked.labels, ["episode_id", "eligible"])
    with connect(asked.threads, asked.memory_mb, asked.temp) as database:
        inputs.open_tables(database, {Path(path).stem: path for path in asked.tables})
        marked, rows = mark(database, asked.task, sources, labels, asked.last_year)
    tell("task %s:\n%s", asked.task, attrition.as_text(rows))
    write_table(marked, asked.output, contract(marked.columns[1:]))


if __name__ == "__main__":
    run(main)
