"""Labels the episodes for one task: who is eligible, who has the outcome, and when.

A task is a query (`pipeline.cohort.task`) over the tables episodes, admissions, patients, those of
the source that its head names, and views. It returns one row per episode: episode_id; boolean
columns `"condition: …"`, all of which an eligible episode meets; label; of ICU stays onset_hours;
and, for the log, `"count: …"`. A column `"required: …"` says what the source must have for the task
to be asked; where it is not true the task is refused. The query names all in words, which the
attrition table takes over. Sensitivity analyses are marked by `pipeline.cohort.without`.

The tasks of admissions are those of wang2024.md, section 6; as published (section 2) the split is
drawn here, among the eligible (`--split`). A task of ICU stays is asked at T, hours after the
patient's arrival, up to which the data reach: [0, T). Eligible is who is alive and still in the ICU
at T (who leaves or dies at T itself is not) and has had no onset before T, the time before the
arrival included: incident cases only (unimed2022.md, section 3). Event tables are read where they
lie, by item id.
"""

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipeline.cohort import attrition, inputs
from pipeline.cohort.counts import check_classes, counted
from pipeline.cohort.definitions import of_task
from pipeline.cohort.settings import RandomSplit
from pipeline.cohort.split import draw
from pipeline.cohort.task import Task, find, known
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect
from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json, write_json
from pipeline.stage.privacy import shown, shown_part
from pipeline.stage.settings import json_argument
from pipeline.stage.tables import Contract, read_table, write_table

LABELS = Contract(
    columns={"episode_id": pl.Int64, "eligible": pl.Boolean, "label": pl.Int8},
    key=("episode_id",),
    nullable=("label", "onset_hours", "split", "icd_version"),
    units={
        "label": "null: not eligible, or a task of many labels",
        "onset_hours": "hours from clock_zero to when the first onset, or the death in hospital, is"
        " known",
        "split": "of a task that draws its own, instead of the episodes'; null: not eligible",
        "icd_version": "of many labels: 9, 10, or both; null: not eligible",
    },
)
# more columns: of ICU stays, of a task that draws its own split, of a task of many labels
MORE = {"onset_hours": pl.Float64, "split": pl.String, "icd_version": pl.String}
REQUIRED = "required: "
# Of ICU stays one training set is the least: UniMed fits all of itself at once. Other models fit
# encoders on train and the rest on fusion; a split of one class is named in a warning.
TRAINING = ["train", "fusion"]


def contract(*more: str) -> Contract:
    """What labels promise, with these of the columns `MORE`.

    >>> list(contract("split").columns)
    ['episode_id', 'eligible', 'label', 'split']
    """
    columns = {**LABELS.columns, **{name: MORE[name] for name in more}}
    return Contract(columns, LABELS.key, LABELS.nullable, LABELS.units)


def label_task(
    database: duckdb.DuckDBPyConnection,
    name: str,
    sources: Mapping[str, pl.DataFrame],
    definition: str = "corrected",
    present: Mapping[str, pl.DataFrame] | None = None,
    split: RandomSplit | None = None,
) -> pl.DataFrame:
    """The episodes with the columns of the task's query, `eligible`, label Int8, and onset_hours.

    `sources`: episodes, admissions and, where the task needs it, patients; event tables are the
    database's. `present`: modality → a table with its episode_id: episodes in all of them alone are
    eligible; queries know it as `with_<modality>`. `split`: drawn among the eligible; without it
    that of the episodes stands. Raises `InputError` for an unknown task, a source that lacks what
    the task requires, an episode without exactly one row, or an eligible one without a label.
    """
    task = find(name, definition)
    answered = asked_of(database, task, sources, present or {})
    check_required(task, answered)
    labelled = joined(task, sources["episodes"], answered)
    labelled = decide(labelled.with_columns(complete_cases(present or {})))
    if task.kind == "binary":
        check_known(task, labelled)
    if task.unit == "stay":
        labelled = labelled.cast({"onset_hours": MORE["onset_hours"]})
    return labelled if split is None else draw(labelled, split)


def asked_of(
    database: duckdb.DuckDBPyConnection, task: Task, sources: Mapping[str, pl.DataFrame],
    present: Mapping[str, pl.DataFrame],
) -> pl.DataFrame:  # fmt: skip
    """What a task's query answers of tables as in `label_task`."""
    inputs.require(sources["admissions"], "admissions", ["hadm_id"], key="hadm_id")
    for table_name, table in sources.items():
        database.register(table_name, table)
    for modality, table in present.items():
        database.register(f"with_{modality}", table)
    settings = {"hours": task.hours}
    inputs.make_views(database, task.asked.views, settings)
    answered = inputs.answer(database, task.query, settings)
    return answered.rename({column: column.format(**settings) for column in answered.columns})


def at_risk(
    database: duckdb.DuckDBPyConnection, name: str, sources: Mapping[str, pl.DataFrame]
) -> tuple[pl.DataFrame, list[str]]:
    """The episodes with `"condition: …"` and `eligible` of a task whose outcome is not asked for.

    `sources` as in `label_task`, as they were known at the prediction time: a source that has no
    outcomes yet lacks nothing. Conditions that look ahead cannot be met by then: they are not
    asked, and returned in words.
    """
    task = find(name)
    answered = asked_of(database, task, sources, {})
    ahead = attrition.looking_ahead(attrition.named(answered, attrition.CONDITION))
    told = [*attrition.texts(column for column in answered.columns if column in ahead).values()]
    return decide(joined(task, sources["episodes"], answered.drop(ahead))), told


def check_required(task: Task, answered: pl.DataFrame) -> None:
    """`InputError` where the source lacks what the query requires of it."""
    for column in attrition.named(answered, REQUIRED):
        if not answered[column].all():
            need = column.removeprefix(REQUIRED)
            raise InputError(f"task {task.name}: the source cannot answer it: it needs {need}")


def joined(task: Task, episodes: pl.DataFrame, answered: pl.DataFrame) -> pl.DataFrame:
    """The answer of a task's query with patient and split; `InputError` unless one row each."""
    columns = ("episode_id", "label", *["onset_hours"] * (task.unit == "stay"))
    inputs.require(answered, Path(task.query).name, columns, key="episode_id")
    episodes = episodes.select("episode_id", "subject_id", "split")
    labelled = episodes.join(answered, on="episode_id", how="inner")
    if not episodes.height == labelled.height == answered.height:
        raise InputError(
            f"task {task.name}: {shown_part(answered.height, episodes.height)} row(s) for "
            f"{shown(episodes.height)} episodes; expected one each: episodes and admissions must "
            "come from the same source"
        )
    return labelled


def check_known(task: Task, labelled: pl.DataFrame) -> None:
    """`InputError` where an eligible episode has no label."""
    if unknown := labelled.filter(pl.col("eligible") & pl.col("label").is_null()).height:
        raise InputError(
            f"task {task.name}: the label is unknown in {shown(unknown)} eligible episode(s)"
        )


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


def count_onsets(labelled: pl.DataFrame) -> list[dict[str, Any]]:
    """Onsets of all stays, eligible or not, as more rows of the task's counts.

    >>> [row["episodes"] for row in count_onsets(pl.DataFrame({"onset_hours": [-0.5, 3, None]}))]
    [2, 1]
    """
    onset = labelled["onset_hours"].drop_nulls()
    kinds = {
        "an onset at any time": onset,
        "an onset known before the patient's arrival": onset.filter(onset < 0),
    }
    return [
        {"count": f"of all stays of the cohort: with {when}", "episodes": onsets.len()}
        for when, onsets in kinds.items()
    ]


def window(episodes: pl.DataFrame) -> float | None:
    """Hours from clock zero to the prediction, of all episodes; None of an empty table.

    >>> from datetime import datetime
    >>> window(pl.DataFrame({"clock_zero": [datetime(2150, 1, 1)],
    ...                      "prediction_time": [datetime(2150, 1, 3)]}))
    48.0
    """
    if episodes.is_empty():
        return None
    hours = (pl.col("prediction_time") - pl.col("clock_zero")).dt.total_seconds() / 3600
    return float(episodes.select(hours.median()).item())


def definition_of(
    task: Task, episodes: pl.DataFrame, items: pl.DataFrame | None = None
) -> dict[str, Any]:
    """The definition of a task, for the record of its labels; `items`: d_items, with labels."""
    labels = {} if items is None else dict(items.select("itemid", "label").iter_rows())
    return of_task(task.asked.files, task.unit, task.hours or window(episodes), labels)


def read_present(path: str, hours: int | None) -> pl.DataFrame:
    """The episodes of a modality's table; of a task of ICU stays those that have it by its hours.

    When a row is known: its minute `known`, or `minute` where there is none.
    """
    table = read_table(path)
    when = next((name for name in ("known", "minute") if name in table.columns), None)
    if hours is not None and when:
        table = table.filter(pl.col(when) < 60 * hours)
    return table.select("episode_id")


def table_of_modality(text: str) -> tuple[str, str]:
    """`ehr=tokens.parquet` as modality and path.

    >>> table_of_modality("ehr=tokens.parquet")
    ('ehr', 'tokens.parquet')
    """
    name, separator, path = text.partition("=")
    if not (name and separator and path):
        raise InputError(f"--present {text}: expected modality=table, such as ehr=tokens.parquet")
    return name, path


def arguments(description: str | None = __doc__) -> argparse.ArgumentParser:
    """The stage's arguments; those of the labelling of many labels, too."""
    arguments = parser(description)
    add = arguments.add_argument
    tasks = ", ".join([*known("admission"), *(f"{name}_<n>h" for name in known("stay"))])
    add("--task", required=True, help=tasks)
    add("--definition", choices=("corrected", "published"), default="corrected", help="whose query")
    add("--episodes", required=True, help="episodes of the task's unit, parquet")
    add("--tables", nargs="+", required=True, help="of the source, parquet: <table>.parquet")
    add("--attrition", required=True, help="attrition of the cohort, json")
    help_present = "modality=table with episode_id: complete cases alone are eligible; else any"
    add("--present", nargs="*", type=table_of_modality, default=[], help=help_present)
    add("--fitted", nargs="+", default=TRAINING, help="splits that need both classes")
    help_split = "JSON: random_state, val, test: drawn among the eligible; else the episodes'"
    add("--split", type=json_argument("split", RandomSplit), help=help_split)
    add("--output", required=True, help="labels, parquet")
    add("--task-attrition", required=True, help="json")
    add_resource_arguments(arguments)
    return arguments


@contextmanager
def labelling(asked: argparse.Namespace) -> Iterator[tuple[Any, dict[str, pl.DataFrame], Any]]:
    """The database, the tables that are read whole, and the labelled episodes.

    The database stays open within the block, with what the query reads in place.
    """
    paths = {Path(path).stem: path for path in asked.tables}
    names = {"admissions", "patients"} & set(paths)
    sources = {name: read_table(paths.pop(name)) for name in sorted(names)}
    sources["episodes"] = read_table(asked.episodes)
    hours = find(asked.task, asked.definition).hours
    present = {name: read_present(path, hours) for name, path in asked.present}
    with connect(asked.threads, asked.memory_mb, asked.temp) as database:
        inputs.open_tables(database, paths)
        labelled = label_task(database, asked.task, sources, asked.definition, present, asked.split)
        for name in {"d_items"} & set(paths):
            sources[name] = database.table(name).pl()
        yield database, sources, labelled


def main() -> None:
    """Reads episodes and source tables, writes the labels and the task's attrition table."""
    asked = arguments().parse_args()
    task = find(asked.task, asked.definition)
    with labelling(asked) as (_, sources, labelled):
        table = counted(labelled, read_json(asked.attrition))
    of_stays = task.unit == "stay"
    table["counts"] += count_onsets(labelled) if of_stays else []
    table["definition"] = definition_of(task, sources["episodes"], sources.get("d_items"))
    check_classes(task.name, table, TRAINING if of_stays else asked.fitted, together=of_stays)
    more = ["onset_hours"] * of_stays + ["split"] * (asked.split is not None)
    write_table(labelled, asked.output, contract(*more))
    write_json(asked.task_attrition, table)


if __name__ == "__main__":
    run(main)
