"""Marks the episodes that each sensitivity analysis of a task leaves out of its test episodes.

A task may have such a query (`pipeline.cohort.task`): one row per episode, a boolean column
`"without: …"` per analysis, named in words, and `"count: …"` for the log. Evaluation alone
reads the marks: they change neither who is eligible nor any training, so that another analysis
trains nothing again.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipeline.cohort import attrition, inputs
from pipeline.cohort import task as tasks
from pipeline.cohort.counts import COUNT
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect
from pipeline.stage.errors import InputError
from pipeline.stage.modules import ROOT
from pipeline.stage.tables import Contract, read_table, write_table

log = logging.getLogger("pipeline.cohort")

WITHOUT = "without: "


def mark(
    database: duckdb.DuckDBPyConnection,
    task: str,
    sources: Mapping[str, pl.DataFrame],
    labels: pl.DataFrame,
    last_year: int,
) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """The eligible episodes with a boolean column per analysis, and counts for the log.

    `sources`: episodes, admissions, patients; chartevents, where a query asks for limits of
    treatment (`without_limits.sql`), is the database's. `labels`: episode_id, eligible. Raises
    `InputError` where an eligible episode has not exactly one row.
    """
    for name, table in sources.items():
        database.register(name, table)
    asked = tasks.find(task)
    if asked.without is None:
        raise InputError(f"task {task} has no sensitivity analyses: no query beside {asked.query}")
    path, settings = ROOT / asked.without, {"hours": asked.hours}
    if "chartevents" in asked.without_tables:
        limits = inputs.answer(database, Path(__file__).with_name("without_limits.sql"), {})
        database.register("limits", limits)
    found = inputs.answer(database, path, {**settings, "last_year": last_year})
    found = found.rename({name: name.format(**settings) for name in found.columns})
    inputs.require(found, path.name, ["episode_id"], key="episode_id")
    eligible = labels.filter("eligible").select("episode_id")
    marked = eligible.join(found, on="episode_id", how="inner")
    if marked.height != eligible.height:
        raise InputError(
            f"task {task}: {path.name} lacks eligible episodes; make both from one source"
        )
    named = {name: name.removeprefix(WITHOUT) for name in attrition.named(found, WITHOUT)}
    remarks = {name: name.removeprefix(COUNT) for name in attrition.named(found, COUNT)}
    rows = [
        {"of the eligible": text, "episodes": marked[name].sum()}
        for name, text in {**{name: name for name in named}, **remarks}.items()
    ]
    columns = [pl.col(name).fill_null(False).alias(text) for name, text in named.items()]
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
    add("--admissions", required=True, help="all of the source, parquet")
    add("--patients", required=True, help="all of the source, parquet")
    add("--events", nargs="*", default=[], help="parquet tables that the query reads")
    add("--last-year", type=int, required=True, help="last of the release")
    add("--output", required=True, help="marks, parquet")
    add_resource_arguments(arguments)
    given = arguments.parse_args()

    names = ("episodes", "admissions", "patients")
    sources = {name: read_table(getattr(given, name)) for name in names}
    labels = read_table(given.labels, ["episode_id", "eligible"])
    with connect(given.threads, given.memory_mb, given.temp) as database:
        inputs.open_tables(database, {Path(path).stem: path for path in given.events})
        marked, rows = mark(database, given.task, sources, labels, given.last_year)
    log.info("task %s:\n%s", given.task, attrition.as_text(rows))
    write_table(marked, given.output, contract(marked.columns[1:]))


if __name__ == "__main__":
    run(main)
