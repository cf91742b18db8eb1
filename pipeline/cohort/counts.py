"""What a task's attrition table counts: conditions, splits, remarks."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from pipeline.cohort import attrition
from pipeline.cohort.settings import NAMES
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import LEAST, tell, warn

COUNT = "count: "
ENLARGE = "take more patients (hospital.patients), a larger share (split) or a wider cohort"


def counted(labelled: pl.DataFrame, cohort: list[dict[str, Any]]) -> dict[str, Any]:
    """The attrition of a task: that of its cohort, continued.

    `labelled`: as `pipeline.cohort.labels.label_task` gives it.
    """
    return {
        "conditions": cohort + count_conditions(labelled),
        "splits": count_splits(labelled),
        "counts": count_remarks(labelled),
    }


def count_conditions(labelled: pl.DataFrame) -> list[dict[str, Any]]:
    """The attrition rows of the task's own conditions."""
    columns = attrition.named(labelled, attrition.CONDITION)
    return attrition.count(labelled, attrition.texts(columns), attrition.looking_ahead(columns))


def count_splits(labelled: pl.DataFrame) -> list[dict[str, Any]]:
    """Eligible episodes, patients and positives per split, in the order of `NAMES`.

    A split at random has no fusion share.
    """
    rows = []
    for name in [n for n in NAMES if n != "fusion" or n in labelled["split"]]:
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


def twice_hidden(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a total's parts; beside a lone small count the next one is hidden, too.

    Else the small one would follow from the total, which stands above.

    >>> twice_hidden([{"split": "val", "n": 4}, {"split": "test", "n": 19}])
    [{'split': 'val', 'n': 4}, {'split': 'test', 'n': 'hidden'}]
    """
    hidden = [dict(row) for row in rows]
    for name in [key for key in (rows[0] if rows else {}) if key != "split"]:
        counts = sorted((row[name], place) for place, row in enumerate(rows) if row[name])
        small = [count for count, _ in counts if count < LEAST]
        if len(small) == 1 and len(counts) > 1:
            hidden[counts[1][1]][name] = "hidden"
    return hidden


def as_text(table: Mapping[str, Any]) -> str:
    """The task's attrition as text; small counts are hidden."""
    parts = [attrition.merged(table["conditions"]), twice_hidden(table["splits"]), table["counts"]]
    return "\n\n".join(attrition.as_text(rows) for rows in parts if rows)


def check_classes(
    task: str, table: Mapping[str, Any], fitted: list[str], together: bool = False
) -> None:
    """`InputError`, with the attrition table, where a `fitted` split lacks one of the two classes.

    `together`: the fitted splits may be one training set, so that their sum must have both; one of
    them that lacks a class is logged. In any other split one class only means null metrics later:
    logged.
    """
    text = as_text(table)
    if not table["conditions"][-1]["episodes"]:
        raise InputError(f"task {task}: no episode is eligible; {ENLARGE}\n{text}")
    sets = [fitted] if together else [[name] for name in fitted]
    if bad := [name for names in sets if _one_class(table, names) for name in names]:
        raise InputError(
            f"task {task}: not both classes in {', '.join(bad)}, so that no model can be fitted;"
            f" {ENLARGE}\n{text}"
        )
    tell("task %s:\n%s", task, text)
    for name in [name for name in fitted if _one_class(table, [name])]:
        warn("task %s: not both classes in %s, so no model that is fitted on it alone", task, name)
    others = [row["split"] for row in table["splits"] if row["split"] not in fitted]
    for name in others:
        if _one_class(table, [name]):
            warn("task %s: not both classes in %s, so its metrics are null", task, name)


def _one_class(table: Mapping[str, Any], names: list[str]) -> bool:
    rows = [row for row in table["splits"] if row["split"] in names]
    positives = sum(row["positives"] for row in rows)
    return positives in (0, sum(row["episodes"] for row in rows))
