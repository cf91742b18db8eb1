"""The availability rule: from when each kind of row could have been known, and the cut.

The rule is one table in the config, read by every query: kind → time columns, the first that is
not null counts. Rows known after the cut do not exist for the models.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

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


def add_query_arguments(arguments: argparse.ArgumentParser) -> None:
    """The query that selects rows, and what it needs: the availability table of the config, or,
    for the published one, which has its own rule, the admissions of the source."""
    add = arguments.add_argument
    add("--query", type=Path, required=True, help="the SQL that selects the rows")
    add("--availability", type=json.loads, help="JSON, see config; null for a published query")
    add("--admissions", help="of the source; for a published query")


def query_of(arguments: argparse.Namespace, kind: str) -> str:
    """The text of `--query`, with the availability rule of `kind` in its fields.

    The fields are `{cut}`, `{known_<kind>}` and `{stands_in_<kind>}`; a published query has none.
    `InputError` where the arguments lack what the query needs.
    """
    text, table = arguments.query.read_text(), arguments.availability
    published = f"{{known_{kind}}}" not in text
    need = "admissions" if published else "availability"
    if not getattr(arguments, need):
        raise InputError(f"{arguments.query} needs --{need}")
    if published:
        return text
    rule = {f"known_{kind}": known_from(table, kind), f"stands_in_{kind}": stands_in(table, kind)}
    return text.format(cut=cut(table), **rule)
