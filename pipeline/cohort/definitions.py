"""What a result's numbers are about: the version of all definitions, and that of its task.

The definitions are the queries and catalogues (`.sql`, `.csv`) of the rooms in `ROOMS`: cohorts,
tasks, signals, selection of events, films and reports, groups of diagnoses. Results of two versions
are of different patients or outcomes, and are not compared. Digests of all these texts, comments
and white space apart, are kept in `definitions.json`; a test fails where a text and its digest
differ. After an edit:

* does it change who is in a cohort, what counts as an outcome, or what is read? Then raise
  `VERSION` by one and say in `CHANGES` what it means (once per release of this repository);
* renew the digests: python -m pipeline.cohort.definitions
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
VERSION = 4
CHANGES = {
    1: "Results without the field definitions_version: ICU clocks begin at intime, the era is the "
    "patient's, cohorts look ahead without a word.",
    2: "ICU clocks begin with the first heart rate, the era is the admission's, a cohort that "
    "looks ahead says so; repeated rows, impossible times and values are left out and counted; "
    'codes of several ICD-10 candidates have a reviewed group or none; "No Response-ETT" is no '
    "verbal response; a BERT reads reports as written, Doc2Vec words of any length. Published: the "
    "split is drawn per task among complete cases, without an event required; the next admission "
    "is one with a film; the age is anchor_age; bins and their means are those of its code.",
    3: "A row is data from the beginning of the observation on if it was known before the "
    "prediction time: the rule of ICU stays, now that of admissions, too. Minutes of reports count "
    "to when they were known; a row without hadm_id belongs to one admission in the long table, "
    "too; ICU stays are observed from intime on where the admission was registered later.",
    4: "Signals that clinicians expect, with mimic-code's items: bilirubin, INR, pH, PaO2 of "
    "arterial specimens, FiO2 in percent, rates of vasopressors, angiotensin II; arterial "
    "pressures are those of both lines, respiratory rates the ventilator's, too; urine is the sum "
    "of all ways at one time, less what went in for irrigation.",
}
ROOMS = ("cohort", "ehr", "cxr", "note", "stage")
KEPT = Path(__file__).with_name("definitions.json")
CLOCKS = {
    "admission": "admission to hospital (admittime)",
    "stay": "arrival in the ICU (the later of intime and the first heart rate, item 220045)",
}
WORDS = {"admission": "admission", "stay": "ICU stay"}
_ITEM = re.compile(r"\b\d{6}\b")
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


def plain(text: str) -> str:
    """A query or catalogue without comments, and with single spaces.

    >>> plain("SELECT a  -- why\\n    FROM b\\n")
    'SELECT a FROM b'
    """
    return " ".join(_COMMENT.sub(" ", text).split())


def digests() -> dict[str, str]:
    """The digest of every definition by its path in the repository."""
    folders = [ROOT / "pipeline" / room for room in ROOMS]
    files = sorted(path for folder in folders for path in folder.rglob("*.*"))
    return {
        path.relative_to(ROOT).as_posix(): _digest(path)
        for path in files
        if path.suffix in (".sql", ".csv")
    }


def _digest(path: Path) -> str:
    return hashlib.sha256(plain(path.read_text()).encode()).hexdigest()[:16]


def changed(kept: Mapping[str, str], at_hand: Mapping[str, str]) -> list[str]:
    """The definitions that were changed, added or removed since the digests were kept.

    >>> changed({"a.sql": "1", "b.sql": "2"}, {"a.sql": "1", "b.sql": "3", "c.sql": "4"})
    ['b.sql', 'c.sql']
    """
    paths = sorted({*kept, *at_hand})
    return [path for path in paths if kept.get(path) != at_hand.get(path)]


def item_ids(query: str) -> list[int]:
    """The items of charted events (six digits) that a query names, comments apart.

    >>> item_ids("WHERE itemid IN (221906, 221289) -- not 220045")
    [221289, 221906]
    """
    return sorted({int(item) for item in _ITEM.findall(plain(query))})


def question(query: str) -> str:
    """What a task's query asks: its first comment up to the question mark.

    >>> question("-- Task shock: of those alive at T, who gets\\n-- one? (a source.)\\nSELECT 1")
    'of those alive at T, who gets one?'
    """
    lines = [line.removeprefix("--").strip() for line in query.splitlines() if line[:2] == "--"]
    asked = " ".join(lines).partition("?")[0].partition(": ")[2]
    return f"{asked}?"


def of_task(
    files: Sequence[str], unit: str, hours: float | None, labels: Mapping[int, str] | None = None
) -> dict[str, Any]:
    """The definition of a task as its query has it, for the record of its labels.

    `files`: the query and its views, paths below the repository. `unit`: admission or stay.
    `hours`: from clock zero to the prediction. `labels`: those of d_items, by item id.
    """
    texts, known = [(ROOT / file).read_text() for file in files], labels or {}
    items = item_ids("\n".join(texts))
    return {
        "version": VERSION,
        "query": files[0],
        "question": question(texts[0]),
        "unit": WORDS[unit],
        "clock_zero": CLOCKS[unit],
        "hours": hours,
        "items": [{"itemid": item, "label": known.get(item)} for item in items],
    }


def main() -> None:
    """Renews the digests of the definitions."""
    kept = json.loads(KEPT.read_text())["digests"] if KEPT.is_file() else {}
    at_hand = digests()
    KEPT.write_text(json.dumps({"version": VERSION, "digests": at_hand}, indent=2) + "\n")
    print(f"version {VERSION}; renewed: {', '.join(changed(kept, at_hand)) or 'nothing'}")


if __name__ == "__main__":
    main()
