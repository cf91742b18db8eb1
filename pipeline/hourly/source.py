"""A source of hourly concept tables, as the planner knows it: where it lies, what it offers.

Imports nothing heavy, reads no table.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.extract.contracts import tables_for

FILES = ("dyn", "sta", "outc")
OFFERED = ("patients", "admissions", "icustays", "chartevents", "labevents", "outputevents",
           "inputevents", "procedureevents", "d_items", "d_labitems")  # fmt: skip
TASK = "icumortality_24h"  # the one that its labels answer
WHY = "a source of kind hourly offers the EHR of ICU stays alone"
TIMES = (
    "its times are whole hours: what an hour holds counts as known at its end; whose stays belong "
    "to one patient is not told: each is taken for a patient of its own"
)

# what a paper must say of such data
WORDS: Mapping[str, str] = {
    "clock": "24 hours after admission to the ICU",
    "known": "Values are of whole hours; what an hour holds was taken as known a minute before the "
             "hour ended, and nothing later than the 24th hour was read.",
    "split": "Which stays are of one patient is not told: each stay was taken for a patient of its "
             "own, so that a patient with two stays may be in two parts.",
    "limits": "The source does not tell which stays are of one patient, so that a patient may have "
              "been trained on and tested; nor when stays ended: each was written to end at 30 "
              "hours, the earliest by the definition of the outcome.",
}  # fmt: skip


def files(root: str | Path) -> list[str]:
    """The three tables."""
    return [str(Path(root, f"{name}.parquet")) for name in FILES]


def facts(root: str | Path) -> dict[str, str]:
    """Name → version of the data set: its folder's name; no version is told."""
    return {Path(root).resolve().name: "unknown"}


def problems(root: str | Path, asked: Iterable[str]) -> list[str]:
    """Why a target cannot be made; `asked`: as `extract.contracts` words it."""
    missing = [path for path in files(root) if not Path(path).is_file()]
    if missing:
        return [f"{missing[0]}: missing; a source of kind hourly is dyn, sta and outc (.parquet)"]
    other = [name for name in tables_for(asked) if name not in OFFERED]
    if not other:
        return []
    return [f"{WHY}; this target needs {', '.join(other)}: ask for modalities e, with the encoders "
            "tokens or grid"]  # fmt: skip


def lacking(modalities: Iterable[str]) -> dict[str, str]:
    """Letter → why the source has none of the modality.

    >>> lacking("ec")
    {'c': 'a source of kind hourly offers the EHR of ICU stays alone'}
    """
    return {letter: WHY for letter in modalities if letter != "e"}


def report(root: str | Path) -> list[str]:
    """Lines for the screen: the data set, and what its times are."""
    return [f"hourly concept tables: {root}; {TIMES}"]
