"""Attrition tables: how many episodes and patients are left after each condition.

A query of this room names its conditions itself, in words, as boolean columns called
`"condition: …"`; they are applied from left to right. Adding a condition is adding a line of SQL.
`"condition if films = any: …"` is asked where that setting has that value, `"condition if ids: …"`
where it is not null. `"condition, looking ahead: …"` depends on what is known after the prediction
time; `… looking ahead beyond window_hours: …` does where the setting that it names exceeds that.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from string import Formatter
from typing import Any

import polars as pl

from pipeline.stage.errors import InputError
from pipeline.stage.privacy import LEAST, shown

CONDITION = "condition"
LOOKS_AHEAD = "looks_ahead"
_COLUMN = re.compile(
    r"condition(?: if (?P<setting>\w+)(?: = (?P<value>\w+))?)?"
    r"(?P<ahead>, looking ahead(?: beyond (?P<limit>\w+))?)?: (?P<text>.+)"
)


def named(frame: pl.DataFrame, prefix: str) -> list[str]:
    """The columns whose name begins with `prefix`, in the order of the query.

    >>> named(pl.DataFrame({"label": [1], "condition: adult": [True]}), CONDITION)
    ['condition: adult']
    """
    return [column for column in frame.columns if column.startswith(prefix)]


def texts(columns: Iterable[str], settings: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The conditions that are asked under the settings: column → its text, with their values.

    One that names a setting, after `if` or in braces, is left out where that is null.

    >>> texts(["condition: adult", "condition if films = any: with a film"], {"films": None})
    {'condition: adult': 'adult'}
    >>> texts(["condition: aged {min_age} or over"], {"min_age": 18})
    {'condition: aged {min_age} or over': 'aged 18 or over'}
    """
    values, asked = settings or {}, {}
    for column in columns:
        fields = _fields(column)
        needed = [field for _, field, _, _ in Formatter().parse(fields["text"]) if field]
        needed += [fields["setting"]] if fields["setting"] else []
        if any(values[name] is None for name in needed):
            continue
        if fields["value"] is None or values[fields["setting"]] == fields["value"]:
            asked[column] = fields["text"].format(**values)
    return asked


def looking_ahead(columns: Iterable[str], settings: Mapping[str, Any] | None = None) -> set[str]:
    """Those of the conditions that look ahead under the settings.

    >>> columns = ["condition: a", "condition if hours, looking ahead beyond window: b"]
    >>> looking_ahead(columns, {"hours": 48, "window": 48})
    set()
    >>> len(looking_ahead(columns, {"hours": 96, "window": 48}))
    1
    """
    values, ahead = settings or {}, set()
    for column in columns:
        fields = _fields(column)
        limit = fields["limit"]
        if fields["ahead"] and (limit is None or values[fields["setting"]] > values[limit]):
            ahead.add(column)
    return ahead


def _fields(column: str) -> dict[str, str | Any]:
    match = _COLUMN.fullmatch(column)
    if match is None:
        raise InputError(f"a query names a condition '{column}', expected 'condition: …'")
    return match.groupdict()


def all_met(conditions: Iterable[str]) -> pl.Expr:
    """True where every condition is met; an unknown (null) condition counts as not met."""
    return pl.all_horizontal(pl.lit(True), *(pl.col(name).fill_null(False) for name in conditions))


def count(
    frame: pl.DataFrame, conditions: Mapping[str, str], ahead: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Episodes and patients left after each condition, one after another.

    `frame`: one row per episode with subject_id and the boolean columns. `conditions`: column →
    its text in the table; `ahead`: the columns that look ahead. Returns rows {"condition",
    "episodes", "subjects"}, and "looks_ahead" (true) where one does.

    >>> frame = pl.DataFrame({"subject_id": [1, 1, 2], "a": [True, True, None], "b": [True, 0, 1]},
    ...                      schema_overrides={"b": pl.Boolean}, strict=False)
    >>> count(frame, {"a": "adult", "b": "in an ICU"})[1]
    {'condition': 'in an ICU', 'episodes': 1, 'subjects': 1}
    """
    names = list(conditions)
    rows = []
    for number, (column, text) in enumerate(conditions.items(), start=1):
        left = frame.filter(all_met(names[:number]))
        mark = {LOOKS_AHEAD: True} if column in ahead else {}
        rows.append({"condition": text, **size(left), **mark})
    return rows


def merged(rows: Sequence[Mapping[str, Any]], least: int = LEAST) -> list[dict[str, Any]]:
    """The rows without steps that less than `least` episodes or patients failed.

    Their number would follow from the counts before and after. Such a step is told together with
    the next one that differs enough, or, at the end, with the one before: the last counts, those of
    the cohort, stand. A step that nobody failed tells of nobody, and stays.

    >>> def step(name, number):
    ...     return {"condition": name, "episodes": number, "subjects": number}
    >>> rows = [step("any", 99), step("adult", 95), step("in an ICU", 70), step("alive", 68)]
    >>> [(row["condition"], row["episodes"]) for row in merged(rows)]
    [('any', 99), ('adult; in an ICU; alive', 68)]
    """
    kept: list[dict[str, Any]] = []
    waiting: list[Mapping[str, Any]] = []
    for row in rows:
        waiting.append(row)
        if not kept or not _few_between(kept[-1], row, least):
            kept.append(_together(waiting))
            waiting = []
    if waiting:
        while kept and _few_between(kept[-1], waiting[-1], least):
            waiting.insert(0, kept.pop())
        kept.append(_together(waiting))
    return kept


def _few_between(before: Mapping[str, Any], after: Mapping[str, Any], least: int) -> bool:
    return any(0 < before[name] - after[name] < least for name in ("episodes", "subjects"))


def _together(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One row for several steps: what all of them ask, and who is left after the last."""
    ahead = {LOOKS_AHEAD: True} if any(row.get(LOOKS_AHEAD) for row in rows) else {}
    return {**rows[-1], "condition": "; ".join(row["condition"] for row in rows), **ahead}


def reasons(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The conditions of an attrition table that look ahead, in words.

    >>> reasons([{"condition": "adult"}, {"condition": "with a film", "looks_ahead": True}])
    ['with a film']
    """
    return [row["condition"] for row in rows if row.get(LOOKS_AHEAD)]


def size(frame: pl.DataFrame) -> dict[str, int]:
    """How many episodes and patients a table of episodes holds."""
    return {"episodes": frame.height, "subjects": frame["subject_id"].n_unique()}


def as_text(rows: list[dict[str, Any]]) -> str:
    """The rows as an aligned table for messages and logs; small counts are hidden.

    >>> print(as_text([{"condition": "adult", "episodes": 1200, "subjects": 9}]))
    condition  episodes  subjects
    adult         1,200       <10
    """
    cells = [[name for name in rows[0] if name != LOOKS_AHEAD]] if rows else []
    for row in rows:
        first, *counts = (value for name, value in row.items() if name != LOOKS_AHEAD)
        text = f"{first} (looks ahead)" if row.get(LOOKS_AHEAD) else first
        cells.append([text, *(v if isinstance(v, str) else shown(v) for v in counts)])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in cells
    )
