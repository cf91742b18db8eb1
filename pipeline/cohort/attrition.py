"""Attrition tables: how many episodes and patients are left after each condition.

A query of this room names its conditions itself, in words, as boolean columns called
`"condition: …"`; they are applied from left to right. Adding a condition is adding a line of SQL.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from pipeline.common.privacy import shown

CONDITION = "condition: "


def named(frame: pl.DataFrame, prefix: str) -> list[str]:
    """The columns whose name begins with `prefix`, in the order of the query.

    >>> named(pl.DataFrame({"label": [1], "condition: adult": [True]}), CONDITION)
    ['condition: adult']
    """
    return [column for column in frame.columns if column.startswith(prefix)]


def all_met(conditions: Iterable[str]) -> pl.Expr:
    """True where every condition is met; an unknown (null) condition counts as not met."""
    return pl.all_horizontal(pl.lit(True), *(pl.col(name).fill_null(False) for name in conditions))


def count(frame: pl.DataFrame, conditions: Mapping[str, str]) -> list[dict[str, Any]]:
    """Episodes and patients left after each condition, one after another.

    `frame`: one row per episode with subject_id and the boolean columns. `conditions`: column →
    its text in the table. Returns rows {"condition", "episodes", "subjects"}.

    >>> frame = pl.DataFrame({"subject_id": [1, 1, 2], "a": [True, True, None], "b": [True, 0, 1]},
    ...                      schema_overrides={"b": pl.Boolean}, strict=False)
    >>> count(frame, {"a": "adult", "b": "in an ICU"})[1]
    {'condition': 'in an ICU', 'episodes': 1, 'subjects': 1}
    """
    names = list(conditions)
    rows = []
    for number, text in enumerate(conditions.values(), start=1):
        left = frame.filter(all_met(names[:number]))
        rows.append({"condition": text, **size(left)})
    return rows


def size(frame: pl.DataFrame) -> dict[str, int]:
    """How many episodes and patients a table of episodes holds."""
    return {"episodes": frame.height, "subjects": frame["subject_id"].n_unique()}


def as_text(rows: list[dict[str, Any]]) -> str:
    """The rows as an aligned table for messages and logs; small counts are hidden.

    >>> print(as_text([{"condition": "adult", "episodes": 1200, "subjects": 9}]))
    condition  episodes  subjects
    adult         1,200       <10
    """
    cells = [list(rows[0])] if rows else []
    cells += [[v if isinstance(v, str) else shown(v) for v in row.values()] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in cells
    )
