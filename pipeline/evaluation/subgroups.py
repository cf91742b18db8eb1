"""AUROC by sex, age, race, insurance and era, on the test episodes.

Small groups say nothing and could single patients out: a group with fewer than 10 positives or
negatives has no AUROC, whatever the source. On real data its counts are hidden, and those of as
many other groups of the attribute as it takes that they do not follow from the total.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from pipeline.evaluation.bootstrap import NOTHING, Resampling, auroc_estimate
from pipeline.evaluation.predictions import Sample

FEWEST = 10  # positives, and negatives, of a group with an AUROC
UNKNOWN = "UNKNOWN"
AGES = {18: "under 18", 45: "18-44", 65: "45-64", 80: "65-79"}  # below this age: band
OLDEST = "80+"
RACES = ("WHITE", "BLACK", "HISPANIC", "ASIAN")  # first words of MIMIC's classes
OTHER_RACE = "OTHER/UNKNOWN"
TOO_SMALL = f"fewer than {FEWEST} positive or negative episodes"
ONE_SIDED = "one class only in a fold"
ERA, YEARS = 2008, 3  # MIMIC's anchor_year_groups: 2008 - 2010, 2011 - 2013, …
COMPLEMENT = "hidden, so that the counts of a small group do not follow from the total"


def _age() -> pl.Expr:
    band = pl.lit(OLDEST)
    for below in sorted(AGES, reverse=True):
        band = pl.when(pl.col("age") < below).then(pl.lit(AGES[below])).otherwise(band)
    return pl.when(pl.col("age").is_null()).then(pl.lit(UNKNOWN)).otherwise(band)


def _race() -> pl.Expr:
    text, group = pl.col("race").fill_null("").str.to_uppercase(), pl.lit(OTHER_RACE)
    for start in RACES:
        group = pl.when(text.str.starts_with(start)).then(pl.lit(start)).otherwise(group)
    return group


def _as_is(column: str) -> pl.Expr:
    text = pl.col(column).cast(pl.String).str.strip_chars()
    return pl.when(text != "").then(text).otherwise(pl.lit(UNKNOWN))


def _era() -> pl.Expr:
    # ASSUME the middle year, the earlier of two, of those that an admission may lie in
    middle = (pl.col("first_year") + pl.col("last_year")) // 2
    first = ERA + (middle - ERA) // YEARS * YEARS
    group = pl.format("{} - {}", first, first + YEARS - 1)
    return pl.when(middle.is_null()).then(pl.lit(UNKNOWN)).otherwise(group)


ATTRIBUTES = {
    "sex": _as_is("sex"),
    "age": _age(),
    "race": _race(),
    "insurance": _as_is("insurance"),
    "era": _era(),
}


def grouped(episodes: pl.DataFrame) -> pl.DataFrame:
    """Episodes with the group of each attribute that the table has.

    >>> grouped(pl.DataFrame({"episode_id": [1, 2], "age": [44, 93], "sex": ["F", None],
    ...     "race": ["ASIAN - CHINESE", "PORTUGUESE"]})).rows()
    [(1, 'F', '18-44', 'ASIAN'), (2, 'UNKNOWN', '80+', 'OTHER/UNKNOWN')]
    """
    known = [
        name
        for name, group in ATTRIBUTES.items()
        if set(group.meta.root_names()) <= set(episodes.columns)
    ]
    return episodes.select("episode_id", *(ATTRIBUTES[name].alias(name) for name in known))


def subgroups(
    test: Sample, episodes: pl.DataFrame, resampling: Resampling, smallest: int
) -> dict[str, Any]:
    """Per attribute its groups with n, positives and AUROC; null where the table lacks it.

    `episodes`: episode_id and columns sex, age, race, insurance, first_year, last_year. Years
    that are null everywhere count as absent.
    """
    groups = grouped(episodes)
    tested = pl.DataFrame({"episode_id": test.episode})
    joined = tested.join(groups, on="episode_id", how="left", maintain_order="left")
    result: dict[str, Any] = dict.fromkeys(ATTRIBUTES)
    for name in groups.columns[1:]:
        values = joined[name].fill_null(UNKNOWN).to_numpy()
        if name != "era" or set(values) != {UNKNOWN}:
            result[name] = _attribute(test, values, resampling, smallest)
    return result


def _attribute(
    test: Sample, values: np.ndarray, resampling: Resampling, smallest: int
) -> list[dict[str, Any]]:
    """One attribute's groups, by name."""
    parts = {str(value): test.rows(np.flatnonzero(values == value)) for value in np.unique(values)}
    secret = hidden({name: _sides(part) for name, part in parts.items()}, smallest)
    return [
        _group(name, part, resampling, name in secret, smallest) for name, part in parts.items()
    ]


def _sides(part: Sample) -> tuple[int, int]:
    counts = part.counts
    return counts["positives"], counts["n"] - counts["positives"]


def _group(
    name: str, part: Sample, resampling: Resampling, secret: bool, smallest: int
) -> dict[str, Any]:
    sides = _sides(part)
    reason = None
    if min(sides) < max(FEWEST, smallest):
        reason = TOO_SMALL
    elif secret:
        reason = COMPLEMENT
    elif part.fewest < resampling.least:
        reason = ONE_SIDED
    shown = {"n": None, "positives": None} if secret else {"n": sum(sides), "positives": sides[0]}
    auroc = dict(NOTHING) if reason else auroc_estimate(part, resampling)
    return {"group": name, **shown, "reason": reason, "auroc": auroc}


def hidden(sides: Mapping[str, tuple[int, int]], smallest: int) -> set[str]:
    """The groups of one attribute whose counts are not shown.

    `sides`: group → (positives, negatives). Hidden are groups with 1 to `smallest` − 1 of either,
    and, as the totals of all groups are known, the next smallest ones until at least two are hidden
    and no 1 to `smallest` − 1 positives or negatives are left for the hidden ones together.

    >>> sorted(hidden({"A": (300, 900), "B": (40, 200), "C": (3, 30), "D": (90, 300)}, 10))
    ['B', 'C']
    >>> hidden({"A": (300, 900), "B": (3, 20)}, 0)
    set()
    """
    ascending = sorted(sides, key=lambda name: (min(sides[name]), sum(sides[name]), name))
    secret = [name for name in ascending if any(0 < side < smallest for side in sides[name])]
    others = [name for name in ascending if name not in secret]
    while secret and others:
        together = [sum(sides[name][side] for name in secret) for side in (0, 1)]
        if len(secret) > 1 and not any(0 < side < smallest for side in together):
            break
        secret.append(others.pop(0))
    return set(secret)
