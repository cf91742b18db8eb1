"""Table 1: who the episodes of a task are, by split and by outcome.

Why not the package `tableone` (0.9): it needs pandas and statsmodels (3.6 s of a processor to
import), gives text rather than figures, knows no counts that must be hidden, and compares the
columns of one grouping at a time. Its standardised differences are the witness of those here, see
tests/test_evaluation_witnesses.py: of numbers the difference of the means by the root of the mean
of the variances; of classes that of Yang & Dalton (2012).

On real data levels of few are hidden column by column, and every other count is rounded, see
`suppression`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import cast

import numpy as np
import polars as pl

from pipeline.evaluation.predictions import SPLITS
from pipeline.evaluation.sections.coverage import NONE, Presence
from pipeline.evaluation.sections.subgroups import ATTRIBUTES, MORE, UNKNOWN, grouped
from pipeline.evaluation.sections.suppression import (
    Rounded,
    hidden,
    known_count,
    rounded_count,
    shown_share,
)
from pipeline.evaluation.statistics.figures import known
from pipeline.evaluation.statistics.metrics import Flags, Floats
from pipeline.stage.kit import Cell, Column, Summary, TableColumn, TableOne, Variable

OVERALL: Column = "overall"
OUTCOMES: tuple[Column, ...] = ("negative", "positive")
COLUMNS: dict[Column, str] = {
    OVERALL: "All episodes",
    "train": "Training (encoders)",
    "fusion": "Training (fusion)",
    "val": "Validation",
    "test": "Test",
    "negative": "Without the outcome",
    "positive": "With the outcome",
}
CLASSES = {
    "sex": "Sex",
    "race": "Race",
    "insurance": "Insurance",
    "language": "Language",
    "admission_type": "Admission type",
    "care_unit": "Care unit (first)",
}
NOT_KNOWN = "the source does not say"
Between = Callable[[Column, Column], float]
NO_SUMMARY: Summary = {"mean": None, "sd": None, "median": None, "q1": None, "q3": None}


@dataclass(frozen=True)
class Table:
    """The episodes with their columns: name → (n,) who is in it; those hidden; the outcome (n,);
    counts below which are hidden."""

    inside: Mapping[Column, Flags]
    secret: frozenset[Column]
    label: Flags
    smallest: int

    def sides(self, column: Column, who: Flags) -> tuple[int, ...]:
        """What decides whether those of a column are hidden.

        Of test positives and negatives: the result hides its subgroups by them, and two tables that
        hid other groups would tell each other's.
        """
        part = self.inside[column] & who
        if column == "test":
            return int((part & self.label).sum()), int((part & ~self.label).sum())
        return (int(part.sum()),)


def columns_of(facts: pl.DataFrame, smallest: int) -> Table:
    """`facts`: a row per episode with split and label."""
    label = facts["label"].to_numpy() == 1
    inside: dict[Column, Flags] = {OVERALL: np.ones(len(label), dtype=bool)}
    for split in SPLITS:
        inside[cast(Column, split)] = facts["split"].to_numpy() == split
    inside |= {"negative": ~label, "positive": label}
    secret: set[str] = set()
    for names in (SPLITS, OUTCOMES):
        secret |= hidden({name: (int(inside[cast(Column, name)].sum()),) for name in names},
                         smallest)  # fmt: skip
    if 0 < len(label) < smallest:
        secret |= set(inside)
    return Table(inside, frozenset(cast(set[Column], secret)), label, smallest)


def table_one(
    facts: pl.DataFrame, episodes: pl.DataFrame, presence: Presence, points: Floats | str,
    smallest: int,
) -> TableOne:  # fmt: skip
    """`facts`: episode_id, subject_id, split, label of every episode; `episodes`: demographics and
    characteristics of them in the same order; `points`: SOFA (n,), NaN where unknown, or why not.
    """
    table = columns_of(facts, smallest)
    patient = facts["subject_id"].to_numpy()
    columns: list[TableColumn] = []
    for name, who in table.inside.items():
        gone = name in table.secret
        people = len(np.unique(patient[who]))
        columns.append({
            "name": name, "words": COLUMNS[name],
            "episodes": rounded_count(int(who.sum()), smallest, gone),
            "patients": rounded_count(people, smallest, gone),
        })  # fmt: skip
    return {"columns": columns, "variables": variables(table, facts, episodes, presence, points)}


def variables(
    table: Table, facts: pl.DataFrame, episodes: pl.DataFrame, presence: Presence,
    points: Floats | str,
) -> list[Variable]:  # fmt: skip
    """Age, the classes, SOFA at the prediction time, each modality, and their combinations."""
    made = [numbers(table, "age", "Age, years", episodes["age"].cast(pl.Float64).to_numpy())]
    groups = grouped(episodes, {**ATTRIBUTES, **MORE})
    for name, words in CLASSES.items():
        column = groups if name in groups.columns else episodes
        if name not in column.columns:
            made.append(lacking(name, words, "classes", NOT_KNOWN))
            continue
        values = column[name].str.strip_chars().replace({"": None, UNKNOWN: None})
        made.append(classes(table, name, words, values.to_numpy()))
    words = "SOFA at the prediction time, points"
    made.append(lacking("sofa", words, "number", points) if isinstance(points, str)
                else numbers(table, "sofa", words, points))  # fmt: skip
    return made + modalities(table, facts["episode_id"].to_numpy(), presence)


def modalities(table: Table, episode: np.ndarray, presence: Presence) -> list[Variable]:
    """Who has each modality, and their combinations.

    A modality is hidden where combinations with and without it are: as in the section coverage.
    """
    made = []
    there = {letter: np.isin(episode, who) for letter, who in presence.has.items()}
    secret: dict[Column, list[str]] = {
        column: [
            name
            for name, n in presence.combinations(episode[who], table.smallest).items()
            if n is None
        ]
        for column, who in table.inside.items()
        if there
    }
    for letter, has in there.items():
        follows = {
            column
            for column, names in secret.items()
            if len({letter in name != NONE for name in names}) > 1
        }
        values = np.where(has, "yes", "no").astype(object)
        words = f"With modality {letter}"
        made.append(classes(table, f"with_{letter}", words, values, frozenset(follows)))
    for letter, reason in presence.unknown.items():
        made.append(lacking(f"with_{letter}", f"With modality {letter}", "classes", reason))
    if there:
        letters = np.stack([np.where(has, letter, "") for letter, has in there.items()])
        sets = np.array(["".join(one) or NONE for one in letters.T], dtype=object)
        made.append(classes(table, "combination", "Modalities at hand", sets))
    return made


def lacking(name: str, words: str, kind: str, reason: str) -> Variable:
    """A variable that the source lacks."""
    return cast(Variable, {
        "variable": name, "words": words, "kind": kind, "reason": reason, "summaries": {},
        "levels": [], "missing": {}, "smd_outcome": None, "smd_splits": None,
    })  # fmt: skip


def numbers(table: Table, name: str, words: str, values: Floats) -> Variable:
    """A variable of numbers (n,), NaN where unknown."""
    there = ~np.isnan(values)
    summaries: dict[Column, Summary] = {}
    moments: dict[Column, tuple[float, float]] = {}
    missing: dict[Column, Rounded] = {}
    for column, who in table.inside.items():
        gone = column in table.secret
        part = values[who & there]
        hides = {"known": (len(part),), "missing": (int((who & ~there).sum()),)}
        few = bool(hidden(hides, table.smallest))
        missing[column] = rounded_count(hides["missing"][0], table.smallest, gone or few)
        withheld = gone or 0 < len(part) < table.smallest
        summaries[column] = NO_SUMMARY if withheld or not len(part) else summary(part)
        if not withheld and len(part) > 1:
            moments[column] = float(part.mean()), float(part.var(ddof=1))
    made = lacking(name, words, "number", "")
    made["reason"], made["summaries"], made["missing"] = None, summaries, missing

    def between(one: Column, two: Column) -> float:
        if one not in moments or two not in moments:
            return np.nan
        (first, spread), (second, other) = moments[one], moments[two]
        return standardised(first - second, (spread + other) / 2)

    return with_differences(made, between)


def summary(part: Floats) -> Summary:
    """Mean, SD, median and quartiles of some values."""
    first, median, third = np.quantile(part, (0.25, 0.5, 0.75))
    spread = known(float(part.std(ddof=1))) if len(part) > 1 else None
    return {"mean": float(part.mean()), "sd": spread, "median": float(median), "q1": float(first),
            "q3": float(third)}  # fmt: skip


def standardised(gap: float, variance: float) -> float:
    """A difference of means by the root of the mean variance; 0 of two constants that are equal."""
    if variance <= 0:
        return 0.0 if gap == 0 else np.nan
    return float(gap / np.sqrt(variance))


def classes(
    table: Table, name: str, words: str, values: np.ndarray, hide: frozenset[Column] = frozenset()
) -> Variable:
    """A variable of classes (n,), None where unknown; levels by their number.

    `hide`: columns in which all of it is hidden.
    """
    there = np.array([value is not None for value in values], dtype=bool)
    level, counted = np.unique(values[there].astype(str), return_counts=True)
    names = [str(one) for one in level[np.lexsort((level, -counted))]]
    who = {**{one: values == one for one in names}, UNKNOWN: ~there}
    cells: dict[str, dict[Column, Cell]] = {one: {} for one in names}
    missing: dict[Column, Rounded] = {}
    shares: dict[Column, Floats] = {}
    for column, inside in table.inside.items():
        sides = {one: table.sides(column, flags) for one, flags in who.items()}
        secret = hidden({one: side for one, side in sides.items() if sum(side)}, table.smallest)
        if sum(sum(side) > 0 for side in sides.values()) < 2:
            secret = set()  # a lone level has as many as the column
        if column in table.secret | hide:
            secret = set(who)
        shown = {one: rounded_count(sum(side), table.smallest, one in secret)
                 for one, side in sides.items()}  # fmt: skip
        missing[column] = shown.pop(UNKNOWN)
        known_here = rounded_count(int((inside & there).sum()), table.smallest, UNKNOWN in secret)
        for one, count in shown.items():
            cells[one][column] = {"n": count, "share": _share(count, known_here)}
        shares[column] = np.array([known_count(count) for count in shown.values()])
    made = lacking(name, words, "classes", "")
    made["levels"] = [{"level": one, "cells": cells[one]} for one in names]
    made["reason"], made["missing"] = None, missing
    return with_differences(made, lambda one, two: yang_dalton(shares[one], shares[two]))


def _share(part: Rounded, whole: Rounded) -> float | None:
    share = shown_share(part, whole)
    return None if share is None else min(share, 1.0)  # both are rounded


def yang_dalton(one: Floats, two: Floats) -> float:
    """Standardised difference of two distributions over classes, by their counts (k,).

    Yang & Dalton (2012): the Mahalanobis distance of the shares but for the first, by the mean of
    the two covariances. NaN where a count is hidden, so that no difference tells of it, or a
    distribution is empty.

    >>> round(yang_dalton(np.array([50, 50]), np.array([30, 70])), 4)
    0.417
    >>> yang_dalton(np.array([50, 50]), np.array([5, 5])), yang_dalton(np.ones(2), np.zeros(2))
    (0.0, nan)
    """
    if not one.sum() > 0 or not two.sum() > 0:  # NaN is not above 0
        return np.nan
    first, second = one[1:] / one.sum(), two[1:] / two.sum()
    spread = sum((np.diag(share) - np.outer(share, share)) / 2 for share in (first, second))
    gap = first - second
    return float(np.sqrt(max(0.0, gap @ np.linalg.pinv(spread, hermitian=True) @ gap)))


def with_differences(made: Variable, between: Between) -> Variable:
    """The variable with its standardised differences: by outcome, and the largest of splits."""
    splits = cast(tuple[Column, ...], SPLITS)
    gaps = [abs(between(one, two)) for one, two in combinations(splits, 2)]
    there = [gap for gap in gaps if not np.isnan(gap)]
    made["smd_outcome"] = known(between("positive", "negative"))
    made["smd_splits"] = max(there) if there else None
    return made
