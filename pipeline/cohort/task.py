"""Queries of this room, and what their heads say: of units, of tasks, and the views they share.

A task of admissions is `tasks/admission/<name>.sql` (as published: `tasks/published/<name>.sql`)
and predicts at the end of the cohort's window. A task of ICU stays is `<query>_<n>h`: the query
`tasks/stay/<query>.sql`, asked n hours after the patient's arrival. A new file is a new task. Whom
its sensitivity analyses leave out is `without/<query>.sql` beside it, where there is one; a task
that has the analyses of another names it in its head: `Analyses: readmission.`

A query's head, the comments before its first word, says for this module
`Kind: binary. Tables: admissions, inputevents. Views: at_risk.`: the kind, of a task alone, is
binary or many (a probability for each of many labels); the tables are those of the source that the
query reads; the views are files of `views/`, whose heads say what they read themselves. The view
`located_<table>` is `views/located.sql` of that table. Imports nothing heavy: the workflow is
planned with it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from pipeline.cohort.definitions import item_ids
from pipeline.stage.errors import InputError
from pipeline.stage.modules import ROOT

FOLDER = Path(__file__).parent
LOCATED = "located_"
UNITS = ("admission", "stay")
HOURS = 48  # of an ICU stay; its data reach no further
SEQUENCES = {"all": "stay", "admission": "admission"}  # several tasks of a unit by one decoder
GIVEN = ("admissions", "patients")  # tables that every task gets
_NAME = re.compile("[a-z][a-z0-9_]*")
_OF_STAY = re.compile(r"(.+)_([1-9][0-9]?)h")


@dataclass(frozen=True)
class Query:
    """A query by its path below the repository, and what its head says.

    `kind`: binary or many; empty where it is no task's. `analyses`: the task whose sensitivity
    analyses are its own, too; empty: those of its name, if any. `tables`: of the source, its views'
    included. `views`: their names, each after those that it reads.
    """

    path: str
    kind: str
    analyses: str
    tables: tuple[str, ...]
    views: tuple[str, ...]

    @property
    def files(self) -> list[str]:
        """The query and the files of its views: what a job that reads it depends on."""
        views = (view_file(name).relative_to(ROOT).as_posix() for name in self.views)
        return list(dict.fromkeys([self.path, *views]))


@dataclass(frozen=True)
class Task:
    """A task: what is asked, of which unit, and when.

    `unit`: admission or stay. `hours`: from the arrival in the ICU to the prediction; None: the
    cohort's window. `left_out`: whom its sensitivity analyses leave out, or None.
    """

    name: str
    unit: str
    hours: int | None
    asked: Query
    left_out: Query | None

    @property
    def kind(self) -> str:
        """Binary, or many labels."""
        return self.asked.kind

    @property
    def query(self) -> str:
        """The path of the query below the repository."""
        return self.asked.path

    @cached_property  # a plan asks for each target; `find` keeps the task
    def tables(self) -> list[str]:
        """What is read of the source beside admissions and patients, to label the episodes.

        Where items are named d_items, too: the record of the labels says what they are.
        """
        text = "\n".join((ROOT / file).read_text() for file in self.asked.files)
        return [*_more(self.asked.tables), *["d_items"] * bool(item_ids(text))]

    @property
    def without(self) -> str | None:
        """The path of the query of whom the sensitivity analyses leave out; None if none is."""
        return self.left_out.path if self.left_out else None

    @property
    def without_tables(self) -> list[str]:
        """What that query reads of the source beside admissions and patients."""
        return _more(self.left_out.tables) if self.left_out else []


def _more(tables: Iterable[str]) -> list[str]:
    return [name for name in tables if name not in GIVEN]


@cache
def known(unit: str, protocol: str = "corrected") -> list[str]:
    """The queries of a unit; the published protocol asks about admissions alone.

    >>> known("stay", "published"), known("admission", "published")
    ([], ['longstay', 'mortality', 'readmission'])
    """
    if unit != "admission" and protocol == "published":
        return []
    return sorted(path.stem for path in (FOLDER / "tasks" / _name(unit, protocol)).glob("*.sql"))


def misnamed(folder: Path = FOLDER / "tasks") -> list[str]:
    """What is wrong with the names of tasks' files, a line each: no target could mean them.

    >>> misnamed()
    []
    """
    return [
        f"{path.parent.name}/{path.name} of pipeline/cohort/tasks: expected a name of lower case "
        f"letters, digits and underscores that is not {' or '.join(SEQUENCES)} and does not end in "
        "_<n>h, which stands for the hours of a task of ICU stays; rename the file"
        for path in sorted(folder.glob("*/*.sql"))
        if not _NAME.fullmatch(path.stem) or path.stem in SEQUENCES or _OF_STAY.fullmatch(path.stem)
    ]


def query_and_hours(name: str) -> tuple[str, int | None]:
    """A task's name taken apart: its query, and the hours of a task of ICU stays; None of others.

    >>> query_and_hours("arf_bipap_12h"), query_and_hours("mortality")
    (('arf_bipap', 12), ('mortality', None))
    """
    match = _OF_STAY.fullmatch(name)
    return (match[1], int(match[2])) if match else (name, None)


def has_query(name: str, protocol: str = "corrected") -> bool:
    """Whether there is a query of a task of this name, and its hours are possible.

    >>> has_query("shock_4h"), has_query("shock_60h"), has_query("shock")
    (True, False, False)
    """
    query, hours = query_and_hours(name)
    return query in known("stay" if hours else "admission", protocol) and (hours or 0) <= HOURS


@cache
def find(name: str, protocol: str = "corrected") -> Task:
    """The task of that name under a protocol or fold; `InputError` with the known tasks.

    >>> find("shock_4h").query, find("shock_4h").hours, find("shock_4h").tables
    ('pipeline/cohort/tasks/stay/shock.sql', 4, ['inputevents', 'd_items'])
    >>> find("mortality", "corrected/fold1").without
    'pipeline/cohort/tasks/admission/without/mortality.sql'
    """
    if not has_query(name, protocol):
        raise InputError(f"unknown task {name}; {_choice(protocol)}")
    query, hours = query_and_hours(name)
    unit = "stay" if hours else "admission"
    path = FOLDER / "tasks" / _name(unit, protocol) / f"{query}.sql"
    asked = read(path)
    if not re.search(rf"\b[Tt]ask {query}\b.*: .*\?", _head(path)):
        raise InputError(f"{asked.path}: its first comment lacks 'Task {query}: …?', the question "
                         "that results record")  # fmt: skip
    if not asked.kind:
        raise InputError(f"{asked.path}: its head lacks 'Kind: binary.' or 'Kind: many.'")
    if asked.kind == "many" and unit != "stay":
        raise InputError(f"{asked.path}: 'Kind: many.' is of ICU stays alone")
    without = path.parent / "without" / f"{asked.analyses or query}.sql"
    left_out = read(without) if asked.analyses or without.is_file() else None
    return Task(name, unit, hours, asked, left_out)


def of_unit(unit: str, protocol: str = "corrected") -> Query:
    """The query that selects the episodes of a unit under a protocol or fold.

    >>> of_unit("admission", "published").path
    'pipeline/cohort/units/published.sql'
    """
    if unit not in UNITS or (unit != "admission" and protocol == "published"):
        raise InputError(f"no {protocol} cohort of the unit {unit}; units: {', '.join(UNITS)}")
    return read(FOLDER / "units" / f"{_name(unit, protocol)}.sql")


def _name(unit: str, protocol: str) -> str:
    return protocol if protocol == "published" else unit


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


def view_file(name: str) -> Path:
    """The file of a view.

    >>> view_file("located_inputevents").name
    'located.sql'
    """
    stem = LOCATED.rstrip("_") if name.startswith(LOCATED) else name
    return FOLDER / "views" / f"{stem}.sql"


@cache
def read(path: Path) -> Query:
    """A query with what its head and those of its views say; `InputError` without such a head."""
    text = _head(path)
    kind = re.search(r"\bKind: (binary|many)\.", text)
    analyses = re.search(r"\bAnalyses: (\w+)\.", text)
    tables, views = listed(text, "Tables"), listed(text, "Views")
    if not tables and not views:
        raise InputError(
            f"{path.relative_to(ROOT)}: no such file, or no 'Tables: …' nor 'Views: …' in its head"
        )
    for view in dict.fromkeys(views):
        below = read(view_file(view))
        tables += below.tables
        tables += [view.removeprefix(LOCATED)] * view.startswith(LOCATED)
        views = [*below.views, *views]
    return Query(
        path.relative_to(ROOT).as_posix(),
        kind[1] if kind else "",
        analyses[1] if analyses else "",
        tuple(name for name in dict.fromkeys(tables) if name != "episodes"),
        tuple(dict.fromkeys(views)),
    )


def _head(path: Path) -> str:
    """The comments before a query's first word, as one line; empty where there is no file."""
    lines = path.read_text().splitlines() if path.is_file() else []
    code = next((k for k, line in enumerate(lines) if line and line[:2] != "--"), len(lines))
    return " ".join(line.removeprefix("--").strip() for line in lines[:code])


def listed(head: str, what: str) -> list[str]:
    """The names that a head lists itself.

    >>> listed("Task a: who? Kind: binary. Tables: admissions, patients. Views: at_risk.", "Tables")
    ['admissions', 'patients']
    """
    names = re.search(rf"\b{what}: ([a-z_, ]+)\.", head)
    return names[1].split(", ") if names else []
