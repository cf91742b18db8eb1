"""Labels the ICU stays for one task, such as shock_4h: who is eligible, who has an onset, and when.

A task is a query (`pipeline.cohort.task`) and T, the hours from the patient's arrival (clock_zero
of the stay) up to which the data reach: [0, T). Eligible is who is alive and still in the ICU at T
(who leaves or dies at T itself is not) and has had no onset before T, the time before the arrival
included: incident cases only (unimed2022.md, section 3). The label is 1 where the onset is at T or
later in the stay. Event tables are read where they lie, by item id.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipeline.cohort import inputs
from pipeline.cohort import task as tasks
from pipeline.cohort.counts import check_classes, counted
from pipeline.cohort.definitions import of_task
from pipeline.cohort.labels import LABELS, check_known, decide, joined
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect
from pipeline.stage.files import read_json, write_json
from pipeline.stage.modules import ROOT
from pipeline.stage.tables import Contract, read_table, write_table

STAY_LABELS = Contract(
    columns={**LABELS.columns, "onset_hours": pl.Float64},
    key=("episode_id",),
    nullable=("label", "onset_hours"),
    units={"onset_hours": "hours from clock_zero to the first onset, or the death in hospital"},
)
TRAINING = ["train", "fusion"]  # one training set: the multitask model fits all of itself at once


def label_stays(
    database: duckdb.DuckDBPyConnection, task: str, sources: Mapping[str, pl.DataFrame]
) -> pl.DataFrame:
    """The stays with the columns of the task's query, `eligible`, label Int8 and onset_hours.

    `sources`: episodes, admissions. The event tables that the query reads are the database's.
    """
    asked = tasks.find(task)
    for name, table in sources.items():
        database.register(name, table)
    found = inputs.answer(database, ROOT / asked.query, {"hours": asked.hours})
    found = found.rename({name: name.format(hours=asked.hours) for name in found.columns})
    labelled = decide(joined(task, sources["episodes"], found))
    return labelled.cast({"onset_hours": pl.Float64})


def definition(task: str, catalogue: str | None = None) -> dict[str, Any]:
    """The definition of a task of ICU stays; `catalogue`: d_items, for the items' labels."""
    asked = tasks.find(task)
    labels: dict[int, str] = {}
    if catalogue:
        labels = dict(read_table(catalogue, ["itemid", "label"]).iter_rows())
    return of_task(ROOT / asked.query, "ICU stay", asked.hours, labels)


def count_onsets(labelled: pl.DataFrame) -> list[dict[str, Any]]:
    """Onsets of all stays, eligible or not, as further rows of the task's counts.

    >>> [row["episodes"] for row in count_onsets(pl.DataFrame({"onset_hours": [-0.5, 3, None]}))]
    [2, 1]
    """
    onset = labelled["onset_hours"].drop_nulls()
    kinds = {"at any time": onset, "before the patient's arrival": onset.filter(onset < 0)}
    return [
        {"count": f"of all stays of the cohort: with an onset {when}", "episodes": found.len()}
        for when, found in kinds.items()
    ]


def main() -> None:
    """Reads stays and admissions, writes the labels of a task and its attrition table."""
    arguments = parser(__doc__)
    arguments.add_argument("--task", required=True, help="query and hours, such as shock_4h")
    arguments.add_argument("--episodes", required=True, help="ICU stays, parquet")
    arguments.add_argument("--admissions", required=True, help="all of the source, parquet")
    arguments.add_argument(
        "--events", nargs="*", default=[], help="parquet tables that the query reads"
    )
    arguments.add_argument("--catalogue", help="d_items: labels of the items that the query reads")
    arguments.add_argument("--attrition", required=True, help="attrition of the stays, json")
    arguments.add_argument("--output", required=True, help="labels, parquet")
    arguments.add_argument("--task-attrition", required=True, help="json")
    add_resource_arguments(arguments)
    given = arguments.parse_args()

    sources = {name: read_table(getattr(given, name)) for name in ("episodes", "admissions")}
    with connect(given.threads, given.memory_mb, given.temp) as database:
        inputs.open_tables(database, {Path(path).stem: path for path in given.events})
        labelled = label_stays(database, given.task, sources)
    check_known(given.task, labelled)
    table = counted(labelled, read_json(given.attrition))
    table["counts"] += count_onsets(labelled)
    table["definition"] = definition(given.task, given.catalogue)
    check_classes(given.task, table, TRAINING, together=True)
    write_table(labelled, given.output, STAY_LABELS)
    write_json(given.task_attrition, table)


if __name__ == "__main__":
    run(main)
