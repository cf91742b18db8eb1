"""The availability rule: from when each kind of row could have been known, and the cut.

The rule is one table in the config, read by every query: kind → time columns, the first that is
not null counts. Rows known after the cut do not exist for the models.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.stage.database import sql_beside
from pipeline.stage.errors import InputError

OFF = "prediction_time + INTERVAL 30 DAY"
COLUMNS = {"storetime", "charttime", "starttime", "film_time"}


def time_columns(availability: Mapping[str, object], kind: str) -> list[str]:
    """The time columns of `kind`, in order; `InputError` where the config names others."""
    columns = availability.get(kind)
    if not isinstance(columns, Sequence) or isinstance(columns, str) or not columns:
        raise InputError(f"config: availability.{kind} must list time columns, such as [storetime]")
    if unknown := set(columns) - COLUMNS:
        raise InputError(f"config: availability.{kind}: {', '.join(sorted(unknown))} is not one of "
                         f"{', '.join(sorted(COLUMNS))}")  # fmt: skip
    return list(columns)


def known_from(availability: Mapping[str, object], kind: str) -> str:
    """The SQL expression of the time from which a row of `kind` is known.

    >>> known_from({"labs": ["storetime", "charttime"]}, "labs")
    'coalesce(storetime, charttime)'
    """
    columns = time_columns(availability, kind)
    return f"coalesce({', '.join(columns)})" if len(columns) > 1 else columns[0]


def stands_in(availability: Mapping[str, object], kind: str) -> str:
    """The SQL condition that a row's first time is null and a later one counts in its place.

    Such rows are counted in the log: their time of knowledge is a guess.

    >>> stands_in({"labs": ["storetime", "charttime"]}, "labs")
    'storetime IS NULL'
    >>> stands_in({"films": ["film_time"]}, "films")
    'FALSE'
    """
    columns = time_columns(availability, kind)
    return f"{columns[0]} IS NULL" if len(columns) > 1 else "FALSE"


def cut(availability: Mapping[str, object]) -> str:
    """The column of the episode at which knowledge ends.

    `prediction_time`, or long after it where the rule is switched off: to show that traps spring.

    >>> cut({"enforced": True}), cut({"enforced": False})
    ('prediction_time', 'prediction_time + INTERVAL 30 DAY')
    """
    return "prediction_time" if availability["enforced"] else OFF


def add_definition_arguments(arguments: argparse.ArgumentParser) -> None:
    """Whose rules select rows: the corrected ones (of admissions, or of ICU stays) with the
    availability table, or the published."""
    add = arguments.add_argument
    add("--definition", choices=["corrected", "published", "stay"], default="corrected")
    add("--availability", type=json.loads, help="JSON, see config; for corrected and stay")
    add("--admissions", help="of the source; for published")


def query_of(module_file: str, given: argparse.Namespace, kind: str) -> str:
    """The query beside a module: `<module>.sql` or `<module>_stay.sql` under the availability rule
    of `kind`, or `<module>_published.sql`, which needs the admissions. `InputError` where one lacks
    its input.
    """
    definition = given.definition
    need = "admissions" if definition == "published" else "availability"
    if not getattr(given, need):
        raise InputError(f"--definition {definition} needs --{need}")
    stem = Path(module_file).stem
    if definition == "published":
        return sql_beside(module_file, f"{stem}_published.sql")
    stem = stem if definition == "corrected" else f"{stem}_{definition}"
    table = given.availability
    rule = {f"known_{kind}": known_from(table, kind), f"stands_in_{kind}": stands_in(table, kind)}
    return sql_beside(module_file, f"{stem}.sql").format(cut=cut(table), **rule)
