"""Labels the episodes for one task: who is eligible, and who has the outcome.

A task is one query (`pipeline.cohort.task`) over the tables episodes, admissions, patients and
possible (which admissions have possible times). It returns one row per episode: episode_id; boolean
columns `"condition: …"`, all of which an eligible episode meets; label; and, for the log,
`"count: …"`. The query names them in words, and the attrition table takes the words over.
Sensitivity analyses are marked by `pipeline.cohort.without`. The tasks are those of wang2024.md,
section 6; in `tasks/published/` they are as published (section 2), and the split is drawn here,
among the eligible (`--split`).
"""

import argparse
from collections.abc import Mapping

import duckdb
import polars as pl

from pipeline.cohort import attrition, inputs, random_split
from pipeline.cohort import task as tasks
from pipeline.cohort.counts import check_classes, counted
from pipeline.cohort.definitions import of_task
from pipeline.cohort.random_split import RandomSplit
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect
from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json, write_json
from pipeline.stage.modules import ROOT
from pipeline.stage.tables import Contract, read_table, write_table

DEFINITIONS = ("corrected", "published")
LABELS = Contract(
    columns={
        "episode_id": pl.Int64,
        "eligible": pl.Boolean,
        "label": pl.Int8,
    },
    key=("episode_id",),
    nullable=("label",),  # null where not eligible
)
# of a task that draws its own split, which then overrides that of the episodes
SPLIT_LABELS = Contract(
    columns={**LABELS.columns, "split": pl.String},
    key=LABELS.key,
    nullable=(*LABELS.nullable, "split"),  # null where not eligible
)
ADMISSIONS = (  # the columns that the tasks' queries read
    "subject_id hadm_id admittime dischtime deathtime admission_type discharge_location"
    " hospital_expire_flag"
)


def label_task(
    database: duckdb.DuckDBPyConnection,
    task: str,
    sources: Mapping[str, pl.DataFrame],
    definition: str = "corrected",
    present: Mapping[str, pl.DataFrame] | None = None,
    split: RandomSplit | None = None,
) -> pl.DataFrame:
    """The episodes with the columns of the task's query, `eligible` and label Int8.

    `sources`: episodes, admissions and, where the task needs it, patients. `present`: modality → a
    table with its episode_id: episodes in all of them alone are eligible; queries know it as
    `with_<modality>`. `split`: drawn among the eligible; without it that of the episodes stands.
    Raises `InputError` for an unknown task, an episode without exactly one row, or an eligible one
    without a label.
    """
    query = ROOT / tasks.find(task, definition).query
    inputs.require(sources["admissions"], "admissions", ADMISSIONS.split(), key="hadm_id")
    for name, table in sources.items():
        database.register(name, table)
    for name, table in (present or {}).items():
        database.register(f"with_{name}", table)
    if "patients" in sources:
        inputs.tell_possible(database)
    found = inputs.answer(database, query, {})
    labelled = joined(task, sources["episodes"], found)
    labelled = decide(labelled.with_columns(complete_cases(present or {})))
    check_known(task, labelled)
    return labelled if split is None else random_split.divide(labelled, split)


def joined(task: str, episodes: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """The answer of a task's query with patient and split; `InputError` unless one row each."""
    inputs.require(found, f"{task}.sql", ("episode_id", "label"), key="episode_id")
    episodes = episodes.select("episode_id", "subject_id", "split")
    labelled = episodes.join(found, on="episode_id", how="inner")
    if not episodes.height == labelled.height == found.height:
        raise InputError(
            f"task {task}: {found.height} row(s) for {episodes.height} episodes; expected one each:"
            " episodes and admissions must come from the same source"
        )
    return labelled


def check_known(task: str, labelled: pl.DataFrame) -> None:
    """`InputError` where an eligible episode has no label."""
    if unknown := labelled.filter(pl.col("eligible") & pl.col("label").is_null()).height:
        raise InputError(f"task {task}: the label is unknown in {unknown} eligible episode(s)")


def complete_cases(present: Mapping[str, pl.DataFrame]) -> list[pl.Expr]:
    """One condition per modality: the episode is in its table."""
    return [
        pl.col("episode_id")
        .is_in(table["episode_id"].unique().implode())
        .alias(f"{attrition.CONDITION}: with data of modality {name}")
        for name, table in present.items()
    ]


def decide(labelled: pl.DataFrame) -> pl.DataFrame:
    """Adds `eligible`; the label is Int8, null where not eligible.

    >>> rows = pl.DataFrame({"episode_id": [1, 2], "condition: alive": [True, False],
    ...                      "label": [True, True]})
    >>> decide(rows).select("eligible", "label").rows()
    [(True, 1), (False, None)]
    """
    eligible = attrition.all_met(attrition.named(labelled, attrition.CONDITION))
    return labelled.with_columns(
        eligible.alias("eligible"),
        pl.when(eligible).then(pl.col("label").cast(pl.Int8)).alias("label"),
    )


def window(episodes: pl.DataFrame) -> float | None:
    """Hours from clock zero to the prediction, of all episodes; None of an empty table.

    >>> from datetime import datetime
    >>> window(pl.DataFrame({"start": [datetime(2150, 1, 1)],
    ...                      "prediction_time": [datetime(2150, 1, 3)]}))
    48.0
    """
    if episodes.is_empty():
        return None
    hours = (pl.col("prediction_time") - pl.col("start")).dt.total_seconds() / 3600
    return float(episodes.select(hours.median()).item())


def table_of_modality(text: str) -> tuple[str, str]:
    """`ehr=tokens.parquet` as modality and path.

    >>> table_of_modality("ehr=tokens.parquet")
    ('ehr', 'tokens.parquet')
    """
    name, separator, path = text.partition("=")
    if not (name and separator and path):
        raise InputError(f"--present {text}: expected modality=table, such as ehr=tokens.parquet")
    return name, path


def arguments() -> argparse.ArgumentParser:
    """The stage's arguments."""
    asked = parser(__doc__)
    asked.add_argument("--task", required=True, help=", ".join(tasks.known("admission")))
    asked.add_argument(
        "--definition", choices=DEFINITIONS, default="corrected", help="whose queries"
    )
    asked.add_argument("--episodes", required=True, help="episodes, parquet")
    asked.add_argument("--admissions", required=True, help="all of the source, parquet")
    asked.add_argument("--patients", help="parquet, for tasks whose query reads it")
    asked.add_argument("--attrition", required=True, help="attrition of the cohort, json")
    asked.add_argument(
        "--present",
        nargs="*",
        type=table_of_modality,
        default=[],
        help="modality=table with episode_id: complete cases alone are eligible; else any",
    )
    asked.add_argument(
        "--fitted", nargs="+", default=["train", "fusion"], help="splits that need both classes"
    )
    asked.add_argument(
        "--split",
        type=random_split.parse,
        help="JSON: random_state, val, test: drawn among the eligible; else that of the episodes",
    )
    asked.add_argument("--output", required=True, help="labels, parquet")
    asked.add_argument("--task-attrition", required=True, help="json")
    add_resource_arguments(asked)
    return asked


def main() -> None:
    """Reads episodes and source tables, writes the labels and the task's attrition table."""
    given = arguments().parse_args()
    paths = {name: getattr(given, name) for name in ("episodes", "admissions", "patients")}
    sources = {name: read_table(path) for name, path in paths.items() if path}
    present = {name: read_table(path, ["episode_id"]) for name, path in given.present}
    with connect(given.threads, given.memory_mb, given.temp) as database:
        labelled = label_task(database, given.task, sources, given.definition, present, given.split)
    table = counted(labelled, read_json(given.attrition))
    query = ROOT / tasks.find(given.task, given.definition).query
    table["definition"] = of_task(query, "admission", window(sources["episodes"]))
    check_classes(given.task, table, given.fitted)
    write_table(labelled, given.output, SPLIT_LABELS if given.split else LABELS)
    write_json(given.task_attrition, table)


if __name__ == "__main__":
    run(main)
