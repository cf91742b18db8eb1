"""From the source to the episodes of each split, and their films and reports.

Films and reports are counted, each once, as the task sees them: of its episodes, known before its
prediction time.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import polars as pl

from pipeline.cohort.attrition import LOOKS_AHEAD, merged
from pipeline.evaluation.predictions import SPLITS
from pipeline.evaluation.sections.suppression import Rounded, known_count, rounded_count
from pipeline.evaluation.sections.told import Told, hidden_splits
from pipeline.stage.kit import Flow, FlowFiles, FlowSplit, FlowStep
from pipeline.stage.tables import read_table

NOT_READ = "the model does not read this modality"
NOT_CHECKED = "no table says which of its files cannot be read"
FILES = {"dicom_id": "films", "note_id": "reports"}  # id of a selected file → what it is


def steps(conditions: Sequence[Mapping[str, Any]], smallest: int) -> list[FlowStep]:
    """The attrition table of a task: those left after each condition, and how many failed it."""
    told = merged(conditions, smallest) if smallest else conditions
    made: list[FlowStep] = []
    before: Rounded | None = None
    for row in told:
        left = rounded_count(row["episodes"], smallest)
        gap = known_count(before) - known_count(left)
        made.append({
            "condition": row["condition"],
            "episodes": left,
            "patients": rounded_count(row["subjects"], smallest),
            "excluded": None if gap != gap else int(gap),
            "looks_ahead": bool(row.get(LOOKS_AHEAD)),
        })  # fmt: skip
        before = left
    return made


def splits(facts: pl.DataFrame, told: Told, smallest: int) -> list[FlowSplit]:
    """Episodes, patients and positives of each split; `facts`: see `table_one`.

    Positives are hidden just where the result hides them; where it does so of several folds, of
    which this is the first, everywhere.
    """
    gone = hidden_splits(facts, smallest)
    made = []
    for name in SPLITS:
        part = facts.filter(split=name)
        n, positives = part.height, int(part["label"].sum())
        secret = told.hides_outcome(name)
        made.append({
            "split": name,
            "episodes": rounded_count(n, smallest, name in gone),
            "patients": rounded_count(part["subject_id"].n_unique(), smallest, name in gone),
            "positives": rounded_count(positives, smallest, secret),
        })  # fmt: skip
    return cast(list[FlowSplit], made)


def files(
    facts: pl.DataFrame,
    present: Mapping[str, Mapping[str, Any]],
    hours: float,
    faults: Mapping[str, Iterable[str]],
    smallest: int,
) -> list[FlowFiles]:
    """Films and reports of the task's episodes.

    `present`: as `--present` of `coverage`; modalities whose table names no film or report are left
    out. `hours`: from clock zero to the prediction. `faults`: letter of a modality that the model
    reads → the tables that say what is wrong with its files (dicom_id, fault); none: nobody looked.
    """
    made: list[FlowFiles] = []
    for letter, who in present.items():
        line: FlowFiles = {
            "modality": letter, "words": letter, "reason": who.get("reason"), "selected": None,
            "episodes": None, "unreadable": None, "used": None,
            "unreadable_reason": who.get("reason"),
        }  # fmt: skip
        if "reason" in who:
            made.append(line)
            continue
        table = read_table(who["table"])
        name = next((one for one in FILES if one in table.columns), None)
        if name is None:
            continue
        line["words"] = FILES[name]
        rows = table.filter(pl.col("minute") < 60 * hours)
        rows = rows.join(facts.select("episode_id"), on="episode_id", how="semi")
        one = rows.unique(name)
        line["selected"] = rounded_count(one.height, smallest)
        line["episodes"] = rounded_count(rows["episode_id"].n_unique(), smallest)
        line["unreadable_reason"] = NOT_READ if letter not in faults else None
        if letter in faults and not (looked := list(faults[letter])):
            line["unreadable_reason"] = NOT_CHECKED
        elif letter in faults:
            bad = _unreadable(one, name, looked)
            line["unreadable"] = rounded_count(bad, smallest)
            line["used"] = rounded_count(one.height - bad, smallest)
        made.append(line)
    return made


def _unreadable(selected: pl.DataFrame, name: str, tables: list[str]) -> int:
    """How many of the selected files have a fault, or were not found at all."""
    looked = pl.concat(read_table(path, [name, "fault"]) for path in tables)
    readable = looked.filter(pl.col("fault").is_null())
    return selected.join(readable, on=name, how="anti").height


def flow(
    conditions: Sequence[Mapping[str, Any]],
    facts: pl.DataFrame,
    listed: list[FlowFiles],
    told: Told,
    smallest: int,
) -> Flow:
    """The section of a kit; `conditions`: the task's attrition table; `listed`: of `files`;
    `told`: by the result."""
    return {
        "steps": steps(conditions, smallest),
        "splits": splits(facts, told, smallest),
        "files": listed,
    }
