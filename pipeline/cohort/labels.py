"""Labels the episodes for one task: who is eligible, and who has the outcome.

A task is one query, `tasks/<task>.sql`, over the tables episodes, admissions and
patients. It returns one row per episode: episode_id; boolean columns `"condition: …"`, all of which
an eligible episode meets; label; and, for the log, `"count: …"`. The query names them in words, and
the attrition table takes the words over. The tasks are those of wang2024.md, section 6.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipeline.cohort import attrition, inputs, split
from pipeline.common.command import parser, run
from pipeline.common.database import add_resource_arguments, connect, sql_beside
from pipeline.common.errors import InputError
from pipeline.common.files import read_json, write_json
from pipeline.common.tables import Contract, read_table, write_table

log = logging.getLogger("pipeline.cohort")

COUNT = "count: "
LABELS = Contract(
    columns={"episode_id": pl.Int64, "eligible": pl.Boolean, "label": pl.Int8},
    key=("episode_id",),
    nullable=("label",),  # null where not eligible
)
ADMISSIONS = (  # the columns that the tasks' queries read
    "subject_id hadm_id admittime dischtime deathtime discharge_location hospital_expire_flag"
)


def known_tasks() -> list[str]:
    """The tasks that have a query.

    >>> known_tasks()
    ['longstay', 'mortality', 'readmission']
    """
    return sorted(path.stem for path in (Path(__file__).parent / "tasks").glob("*.sql"))


def query(database: duckdb.DuckDBPyConnection, task: str) -> pl.DataFrame:
    """What the task's query returns; `InputError` for an unknown task or an absent source table."""
    if task not in known_tasks():
        raise InputError(f"unknown task {task}; known: {', '.join(known_tasks())}")
    try:
        return database.sql(sql_beside(__file__, f"tasks/{task}.sql")).pl()
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        first_line = str(error).splitlines()[0]
        raise InputError(
            f"tasks/{task}.sql asks for a table or column that is not there: {first_line}"
        ) from error


def label_task(
    database: duckdb.DuckDBPyConnection, task: str, sources: Mapping[str, pl.DataFrame]
) -> pl.DataFrame:
    """The episodes with the columns of the task's query, `eligible`, and label Int8.

    `sources`: episodes, admissions and, where the task needs it, patients. Raises `InputError` for
    an unknown task, an episode without exactly one row, or an eligible one without a label.
    """
    inputs.require(sources["admissions"], "admissions", ADMISSIONS.split(), key="hadm_id")
    for name, table in sources.items():
        database.register(name, table)
    episodes = sources["episodes"].select("episode_id", "subject_id", "split")
    found = query(database, task)
    inputs.require(found, f"tasks/{task}.sql", ("episode_id", "label"), key="episode_id")
    labelled = episodes.join(found, on="episode_id", how="inner")
    if not episodes.height == labelled.height == found.height:
        raise InputError(
            f"task {task}: {found.height} row(s) for {episodes.height} episodes; expected one each:"
            " episodes and admissions must come from the same source"
        )
    eligible = attrition.all_met(attrition.named(found, attrition.CONDITION))
    labelled = labelled.with_columns(eligible.alias("eligible"))
    label = pl.when("eligible").then(pl.col("label").cast(pl.Int8))
    labelled = labelled.with_columns(label.alias("label"))
    if unknown := labelled.filter(pl.col("eligible") & pl.col("label").is_null()).height:
        raise InputError(f"task {task}: the label is unknown in {unknown} eligible episode(s)")
    return labelled


def count_conditions(labelled: pl.DataFrame) -> list[dict[str, Any]]:
    """The attrition rows of the task's own conditions."""
    conditions = attrition.named(labelled, attrition.CONDITION)
    return attrition.count(
        labelled, {name: name.removeprefix(attrition.CONDITION) for name in conditions}
    )


def count_splits(labelled: pl.DataFrame) -> list[dict[str, Any]]:
    """Eligible episodes, patients and positives per split, in the order of `split.NAMES`."""
    rows = []
    for name in split.NAMES:
        part = labelled.filter(pl.col("eligible") & (pl.col("split") == name))
        rows.append({"split": name, **attrition.size(part), "positives": part["label"].sum()})
    return rows


def count_remarks(labelled: pl.DataFrame) -> list[dict[str, Any]]:
    """How many eligible episodes each `"count: …"` of the query is true for."""
    eligible = labelled.filter("eligible")
    return [
        {"count": name.removeprefix(COUNT), "episodes": eligible[name].cast(pl.Int64).sum()}
        for name in attrition.named(labelled, COUNT)
    ]


def check_classes(task: str, table: Mapping[str, Any], fitted: list[str]) -> None:
    """`InputError`, with the attrition table, where a `fitted` split lacks one of the two classes.

    In any other split one class only means null metrics later: logged.
    """
    text = "\n\n".join(attrition.as_text(rows) for rows in table.values() if rows)
    if not table["conditions"][-1]["episodes"]:
        raise InputError(f"task {task}: no episode is eligible\n{text}")
    poor = [row["split"] for row in table["splits"] if row["positives"] in (0, row["episodes"])]
    if bad := [name for name in poor if name in fitted]:
        raise InputError(
            f"task {task}: not both classes in {', '.join(bad)}, so that no model can be fitted;"
            f" widen the cohort\n{text}"
        )
    log.info("task %s:\n%s", task, text)
    for name in poor:
        log.warning("task %s: not both classes in %s, so its metrics are null", task, name)


def main() -> None:
    """Reads episodes and source tables, writes the labels and the task's attrition table."""
    arguments = parser(__doc__)
    arguments.add_argument("--task", required=True, help=", ".join(known_tasks()))
    arguments.add_argument("--episodes", required=True, help="episodes, parquet")
    arguments.add_argument("--admissions", required=True, help="all of the source, parquet")
    arguments.add_argument("--patients", help="parquet, for tasks whose query reads it")
    arguments.add_argument("--attrition", required=True, help="attrition of the cohort, json")
    arguments.add_argument(
        "--fitted", nargs="+", default=["train", "fusion"], help="splits that need both classes"
    )
    arguments.add_argument("--output", required=True, help="labels, parquet")
    arguments.add_argument("--task-attrition", required=True, help="json")
    add_resource_arguments(arguments)
    given = arguments.parse_args()

    paths = {name: getattr(given, name) for name in ("episodes", "admissions", "patients")}
    sources = {name: read_table(path) for name, path in paths.items() if path}
    with connect(given.threads, given.memory_mb, given.temp) as database:
        labelled = label_task(database, given.task, sources)
    table = {
        "conditions": read_json(given.attrition) + count_conditions(labelled),
        "splits": count_splits(labelled),
        "counts": count_remarks(labelled),
    }
    check_classes(given.task, table, given.fitted)
    write_table(labelled, given.output, LABELS)
    write_json(given.task_attrition, table)


if __name__ == "__main__":
    run(main)
