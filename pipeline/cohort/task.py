"""What a task is: a query, the unit that it asks about, and what the query's head says.

A task of admissions is `tasks/admission/<name>.sql` (as published: `tasks/published/<name>.sql`)
and predicts at the end of the cohort's window. A task of ICU stays is `<query>_<n>h`: the query
`tasks/stay/<query>.sql`, asked n hours after the patient's arrival. A new file is a new task. Whom
its sensitivity analyses leave out is `without/<query>.sql` beside it, where there is one.

A head has one line for this module, `-- Kind: binary. Tables: episodes, admissions, inputevents.`:
the kind is binary or many (a probability for each of many labels); the tables are those of the
source that the query reads, itself or through a view of this room. Imports nothing heavy: the
workflow is planned with it.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline.stage.errors import InputError
from pipeline.stage.modules import ROOT

FOLDER = Path(__file__).parent / "tasks"
UNITS = ("admission", "stay")
HOURS = 48  # of an ICU stay; its data reach no further
GIVEN = ("episodes", "admissions", "patients")  # tables that every query gets
_OF_STAY = re.compile(r"(.+)_([1-9][0-9]?)h")
_HEAD = re.compile(r"^-- (?:Kind: (binary|many)\. )?Tables: ([a-z_, ]+)\.", re.MULTILINE)


@dataclass(frozen=True)
class Task:
    """A task; `query` and `without` are paths below the repository.

    `unit`: admission or stay. `without`: the query of whom its sensitivity analyses leave out, or
    None. `hours`: from the arrival in the ICU to the prediction; None: the cohort's window. `kind`:
    binary, or many labels. `tables`, `without_tables`: of the source, those that the two queries
    read beside admissions and patients.
    """

    name: str
    unit: str
    query: str
    without: str | None
    hours: int | None
    kind: str
    tables: tuple[str, ...]
    without_tables: tuple[str, ...]


@cache
def known(unit: str, protocol: str = "corrected") -> list[str]:
    """The queries of a unit; the published protocol asks about admissions alone.

    >>> known("stay", "published"), known("admission", "published")
    ([], ['longstay', 'mortality', 'readmission'])
    """
    if unit != "admission" and protocol == "published":
        return []
    return sorted(path.stem for path in _folder(unit, protocol).glob("*.sql"))


@cache
def find(name: str, protocol: str = "corrected") -> Task:
    """The task of that name under a protocol or fold; `InputError` with the known tasks.

    >>> find("shock_4h").query, find("shock_4h").hours, find("shock_4h").tables
    ('pipeline/cohort/tasks/stay/shock.sql', 4, ('inputevents',))
    >>> find("mortality", "corrected/fold1").without
    'pipeline/cohort/tasks/admission/without/mortality.sql'
    """
    match = _OF_STAY.fullmatch(name)
    unit, query = ("stay", match[1]) if match else ("admission", name)
    hours = int(match[2]) if match else None
    if query not in known(unit, protocol) or (hours or 0) > HOURS:
        raise InputError(f"unknown task {name}; {_choice(protocol)}")
    path = _folder(unit, protocol) / f"{query}.sql"
    without = path.parent / "without" / path.name
    kind, tables = _head(path)
    return Task(
        name,
        unit,
        path.relative_to(ROOT).as_posix(),
        without.relative_to(ROOT).as_posix() if without.is_file() else None,
        hours,
        kind,
        tables,
        _head(without)[1] if without.is_file() else (),
    )


def _choice(protocol: str) -> str:
    """The known tasks, in words."""
    admissions, stays = (", ".join(known(unit, protocol)) for unit in UNITS)
    words = f"expected of admissions one of {admissions}"
    if stays:
        words += (
            f"; of ICU stays one of {stays} with the hours from the patient's arrival, 1 to"
            f" {HOURS}, such as {known('stay')[-1]}_4h"
        )
    return words


def _folder(unit: str, protocol: str) -> Path:
    return FOLDER / (unit if protocol != "published" else protocol)


@cache
def _head(query: Path) -> tuple[str, tuple[str, ...]]:
    """The kind of a query ("" of sensitivity analyses), and its tables without those `GIVEN`."""
    match = _HEAD.search(query.read_text())
    if match is None:
        raise InputError(
            f"{query.relative_to(ROOT)}: its head lacks the line"
            " '-- Kind: binary. Tables: episodes, admissions.'"
        )
    names = (name for name in match[2].split(", ") if name not in GIVEN)
    return match[1] or "", tuple(names)
