"""The availability rule: from when each kind of row could have been known, and the cut.

The rule is one table in the config, read by every query: kind → time columns, the first that is
not null counts. Rows known after the cut do not exist for the models.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.stage.errors import InputError
from pipeline.stage.settings import Items, Section, json_argument, key, some_of

OFF = "prediction_time + INTERVAL 30 DAY"
Charted = Items[Literal["storetime", "charttime"]]
Running = Items[Literal["starttime", "storetime"]]


class Availability(Section):
    """From when a row could have been known: the first of these columns that is not null.

    Rows known after the prediction time do not exist for the models.
    """

    enforced: bool = key("false looks ahead; it is there to show what that is worth")
    vitals: Charted = key("time columns of charted values, the first that is not null counts")
    outputs: Charted = key("time columns of outputs, likewise")
    labs: Charted = key("time columns of laboratory values, likewise")
    notes: Charted = key("time columns of reports, likewise")
    films: Items[Literal["film_time"]] = key("time column of films")
    procedures: Running = key("time columns of procedures, the first that is not null counts")
    infusions: Running = key("time columns of infusions, likewise")

    def columns(self, kind: str) -> list[str]:
        """The time columns of `kind`, in order; `InputError` where the rule has none."""
        columns: list[str] | None = getattr(self, kind)
        if columns is None:
            raise InputError(f"config: availability.{kind} is missing: list time columns, such as "
                             "[storetime]")  # fmt: skip
        return columns

    def known_from(self, kind: str) -> str:
        """The SQL expression of the time from which a row of `kind` is known.

        >>> PartOfRule(enforced=True, labs=["storetime", "charttime"]).known_from("labs")
        'coalesce(storetime, charttime)'
        """
        columns = self.columns(kind)
        return f"coalesce({', '.join(columns)})" if len(columns) > 1 else columns[0]

    def stands_in(self, kind: str) -> str:
        """The SQL condition that a row's first time is null and a later one counts in its place.

        Such rows are counted in the log: their time of knowledge is a guess.

        >>> PartOfRule(enforced=True, labs=["storetime", "charttime"]).stands_in("labs")
        'storetime IS NULL'
        >>> PartOfRule(enforced=True, films=["film_time"]).stands_in("films")
        'FALSE'
        """
        columns = self.columns(kind)
        return f"{columns[0]} IS NULL" if len(columns) > 1 else "FALSE"

    @property
    def cut(self) -> str:
        """The column of the episode at which knowledge ends.

        `prediction_time`, or long after it where the rule is switched off: to show that traps
        spring.

        >>> PartOfRule(enforced=True).cut, PartOfRule(enforced=False).cut
        ('prediction_time', 'prediction_time + INTERVAL 30 DAY')
        """
        return "prediction_time" if self.enforced else OFF


if TYPE_CHECKING:
    PartOfRule = Availability
else:  # a job gets the kinds that it reads, so that an edit of another reruns nothing
    PartOfRule = some_of(Availability, "PartOfRule", "The rule of some kinds of rows.")


def add_availability_argument(arguments: argparse.ArgumentParser, required: bool = True) -> None:
    """`--availability`: the rule of the kinds of rows that a stage reads."""
    parse = json_argument("availability", PartOfRule)
    words = "JSON, see config" + "; null for a published query" * (not required)
    arguments.add_argument("--availability", type=parse, required=required, help=words)


def add_query_arguments(arguments: argparse.ArgumentParser) -> None:
    """The query that selects rows, and what it needs: the availability table of the config, or,
    for the published one, which has its own rule, the admissions of the source."""
    add = arguments.add_argument
    add("--query", type=Path, required=True, help="the SQL that selects the rows")
    add_availability_argument(arguments, required=False)
    add("--admissions", help="of the source; for a published query")


def observed() -> str:
    """The text of `observed.sql`: to which admission of the episodes a row belongs by its time."""
    return Path(__file__).with_name("observed.sql").read_text()


def query_of(arguments: argparse.Namespace, kind: str) -> str:
    """The text of `--query`, with the availability rule of `kind` in its fields.

    The fields are `{cut}`, `{admissions}` (`observed`), `{known_<kind>}` and `{stands_in_<kind>}`;
    a published query has none.
    `InputError` where the arguments lack what the query needs.
    """
    text, table = arguments.query.read_text(), arguments.availability
    published = f"{{known_{kind}}}" not in text
    need = "admissions" if published else "availability"
    if not getattr(arguments, need):
        raise InputError(f"{arguments.query} needs --{need}")
    if published:
        return text
    rule = {f"known_{kind}": table.known_from(kind), f"stands_in_{kind}": table.stands_in(kind)}
    return text.format(cut=table.cut, admissions=observed(), **rule)
