"""A source that is a MEDS data set, as the planner knows it: where it lies, what it offers.

Imports nothing heavy, reads no table.
"""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.cohort.definitions import item_ids
from pipeline.extract.contracts import tables_for
from pipeline.stage.errors import InputError
from pipeline.stage.modules import ROOT

OFFERED = ("patients", "admissions", "icustays", "chartevents", "labevents", "outputevents",
           "inputevents", "procedureevents", "d_items", "d_labitems")  # fmt: skip
SHIPPED = "pipeline/meds/mimic_iv.csv"
METADATA = "metadata/dataset.json"
UNKNOWN = "unknown"  # version of a data set that tells none
TIMES = (
    "its times are chart times, but where it has a column charttime: what was stored later than it "
    "was charted is taken as known earlier"
)

WORDS: Mapping[str, str] = {  # what a paper must say of such data
    "known": "The data are MEDS, which has one time per event: unless they tell when a row was "
             "charted beside it, what was stored later was taken as known when it was charted.",
    "limits": "Of MEDS data that tell one time per event, what was stored later counts as known "
              "earlier, so that figures may be better than they could be at the bedside.",
}  # fmt: skip


def data_files(root: str | Path) -> list[str]:
    """The parquet files of a data set, in order; `InputError` where there are none."""
    files = sorted(str(file) for file in Path(root, "data").rglob("*.parquet"))
    if not files:
        raise InputError(f"{Path(root, 'data')}: no parquet file; expected a MEDS data set, whose "
                         "events lie there")  # fmt: skip
    return files


def files(root: str | Path) -> list[str]:
    """The same as a rule asks for them; none where there are none, which `problems` refuses."""
    try:
        return data_files(root)
    except InputError:
        return []


def facts(root: str | Path) -> dict[str, str]:
    """Name → version of the data set, by its metadata; `UNKNOWN` where they do not tell it."""
    try:
        told = json.loads(Path(root, METADATA).read_text())
    except (OSError, ValueError):
        told = {}
    name, version = (told.get(key) for key in ("dataset_name", "dataset_version"))
    return {str(name or "MEDS"): str(version or UNKNOWN)}


def problems(root: str | Path, asked: Iterable[str]) -> list[str]:
    """Why a target cannot be made of a data set; `asked`: as `extract.contracts` words it."""
    try:
        data_files(root)
    except InputError as error:
        return [str(error)]
    other = [name for name in tables_for(asked) if name not in OFFERED]
    if not other:
        return []
    return [f"a MEDS source offers the EHR alone; this target needs {', '.join(other)}: ask for "
            "modalities e, with the encoders tokens or grid, and tasks of the EHR"]  # fmt: skip


def unknown_items(files: Iterable[str]) -> list[int]:
    """The items of MIMIC-IV that queries name and the csv of codes does not.

    >>> unknown_items(["pipeline/cohort/views/ventilation.sql"])
    []
    """
    with (ROOT / SHIPPED).open(newline="") as stream:
        known = {int(row["item"]) for row in csv.DictReader(stream) if row["item"]}
    named = {item for file in files for item in item_ids((ROOT / file).read_text())}
    return sorted(named - known)


def lacking(modalities: Iterable[str]) -> dict[str, str]:
    """Letter → why a MEDS source has none of the modality."""
    return {letter: "a MEDS source offers the EHR alone" for letter in modalities if letter != "e"}


def report(root: str | Path) -> list[str]:
    """Lines for the screen: the data set, and what its times are."""
    ((name, version),) = facts(root).items()
    return [f"MEDS data set {name} {version}: {root}; {TIMES}"]
