"""Table 1: who the episodes of a task are, by split and by outcome.

Why not the package `tableone` (0.9): it needs pandas and statsmodels (3.6 s of a processor to
import), gives text rather than figures, knows no counts that must be hidden, and compares the
columns of one grouping at a time. Its standardised differences are the witness of those here, see
tests/test_evaluation_witnesses.py: of numbers the difference of the means by the root of the mean
of the variances; of classes that of Yang & Dalton (2012).

On real data a level of few in one column is hidden in all of them, and every other count is
rounded, see `suppression`; of what the result hides nothing more is told, see `told`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import cast

import numpy as np
import polars as pl

from pipeline.evaluation.predictions import SPLITS
from pipeline.evaluation.sections.coverage import NONE, Presence
from pipeline.evaluation.sections.subgroups import ATTRIBUTES, MORE, UNKNOWN, grouped
from pipeline.evaluation.sections.suppression import (
    HIDDEN,
    Rounded,
    hidden,
    known_count,
    rounded_count,
    shown_share,
)
from pipeline.evaluation.sections.told import Told, hidden_splits
from pipeline.evaluation.statistics.figures import DIGITS, known, rounded
from pipeline.evaluation.statistics.metrics import Flags, Floats
from pipeline.stage.kit import Cell, Column, Summary, TableColumn, TableOne, Variable
from pipeline.stage.sections import Count

OVERALL: Column = "overall"
OUTCOMES: tuple[Column, ...] = ("negative", "positive")
FEWER = 1  # digits of means and quantiles of real data: means by split and of all tell less
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
WITH = {"selected": "With modality {}", "assumed": "With modality {} (assumed of all)"}
Between = Callable[[Column, Column], float]
NOTHING_TOLD = Told()
NO_GROUPS: Mapping[str, Collection[str]] = {}
NO_SUMMARY: Summary = {"mean": None, "sd": None, "median": None, "q1": None, "q3": None}


@dataclass(frozen=True)
class Table:
    """The episodes with their columns: name → (n,) who is in it; those hidden; outcome and patient
    (n,); counts below which are hidden."""

    inside: Mapping[Column, Flags]
    secret: frozenset[Column]
    label: Flags
    patient: np.ndarray
    smallest: int

    def sides(self, who: Flags) -> tuple[int, ...]:
        """What decides whether a level is hidden: how many are in each column that is shown.

        Of test positives and negatives: the result hides its subgroups by them, and two tables that
        hid other groups would tell each other's.
        """
        made = [int((inside & who).sum()) for column, inside in self.inside.items()
                if column not in self.secret]  # fmt: skip
        test = self.inside["test"] & who
        return (*made, int((test & self.label).sum()), int((test & ~self.label).sum()))

    def hidden(self, who: Mapping[str, Flags], also: Collection[str] = ()) -> set[str]:
        """The levels, name → (n,) who has it, that are hidden in every column.

        `also`: those that are hidden elsewhere. A lone level has as many as the column.
        """
        sides = {name: self.sides(flags) for name, flags in who.items()}
        if sum(bool(flags.any()) for flags in who.values()) < 2:
            return set()
        return hidden(sides, self.smallest, also)


def columns_of(facts: pl.DataFrame, smallest: int, told: Told = NOTHING_TOLD) -> Table:
    """`facts`: a row per episode with subject_id, split and label; `told`: by the result."""
    label = facts["label"].to_numpy() == 1
    inside: dict[Column, Flags] = {OVERALL: np.ones(len(label), dtype=bool)}
    for split in SPLITS:
        inside[cast(Column, split)] = facts["split"].to_numpy() == split
    secret = hidden_splits(facts, smallest)
    if not told.why_no_outcome:
        inside |= {"negative": ~label, "positive": label}
        sides = {name: (int(inside[name].sum()),) for name in OUTCOMES}
        secret |= hidden(cast(Mapping[str, tuple[int]], sides), smallest)
    if 0 < len(label) < smallest:
        secret |= set(inside)
    patient = facts["subject_id"].to_numpy()
    return Table(inside, frozenset(cast(set[Column], secret)), label, patient, smallest)


def table_one(
    facts: pl.DataFrame, episodes: pl.DataFrame, presence: Presence, points: Floats | str,
    smallest: int, told: Told = NOTHING_TOLD, groups: Mapping[str, Collection[str]] = NO_GROUPS,
) -> TableOne:  # fmt: skip
    """`facts`: episode_id, subject_id, split, label of every episode; `episodes`: demographics and
    characteristics of them in the same order; `points`: SOFA (n,), NaN where unknown, or why not;
    `told`: by the result; `groups`: attribute → groups of the test episodes that are hidden.
    """
    table = columns_of(facts, smallest, told)
    columns: list[TableColumn] = []
    for name, who in table.inside.items():
        gone = name in table.secret
        people = len(np.unique(table.patient[who]))
        columns.append({
            "name": name, "words": COLUMNS[name],
            "episodes": rounded_count(int(who.sum()), smallest, gone),
            "patients": rounded_count(people, smallest, gone),
        })  # fmt: skip
    made = variables(table, episodes, points, groups)
    made += modalities(table, facts["episode_id"].to_numpy(), presence, told)
    return {"columns": columns, "reason_outcome": told.why_no_outcome, "variables": made}


def variables(
    table: Table, episodes: pl.DataFrame, points: Floats | str,
    secret: Mapping[str, Collection[str]],
) -> list[Variable]:  # fmt: skip
    """Age, the classes, SOFA at the prediction time; `secret`: see `groups` of `table_one`."""
    made = [numbers(table, "age", "Age, years", episodes["age"].cast(pl.Float64).to_numpy())]
    groups = grouped(episodes, {**ATTRIBUTES, **MORE})
    for name, words in CLASSES.items():
        column = groups if name in groups.columns else episodes
        if name not in column.columns:
            made.append(lacking(name, words, "classes", NOT_KNOWN))
            continue
        values = column[name].str.strip_chars().replace({"": None, UNKNOWN: None})
        made.append(classes(table, name, words, values.to_numpy(), secret.get(name, ())))
    words = "SOFA at the prediction time, points (parts without a value count 0)"
    made.append(lacking("sofa", words, "number", points) if isinstance(points, str)
                else numbers(table, "sofa", words, points))  # fmt: skip
    return made


def modalities(table: Table, episode: np.ndarray, presence: Presence, told: Told) -> list[Variable]:
    """Who has each modality, and their combinations.

    Where the result's coverage hides one in a split, or a combination is hidden in any column here,
    splits show what the coverage shows, and nothing is told by outcome and of all.
    """
    there = {letter: np.isin(episode, who) for letter, who in presence.has.items()}
    sets = np.full(len(episode), "", dtype=object)
    for letter, has in there.items():
        sets = sets + np.where(has, letter, "").astype(object)
    sets[sets == ""] = NONE
    few = bool(there) and bool(table.hidden({one: sets == one for one in np.unique(sets)}))
    bounded = few or told.hides_modalities
    made = []
    for letter, has in there.items():
        values = np.where(has, "yes", "no").astype(object)
        words = WITH[presence.by[letter]].format(letter)
        row = classes(table, f"with_{letter}", words, values)
        if bounded:
            as_covered(table, row, told.with_or_without(letter))
        made.append(row)
    for letter, reason in presence.unknown.items():
        made.append(lacking(f"with_{letter}", f"With modality {letter}", "classes", reason))
    if there:
        row = classes(table, "combination", "Modalities at hand", sets)
        if bounded:
            as_covered(table, row, told.combinations if told.folds == 1 else {})
        made.append(row)
    return made


def as_covered(table: Table, row: Variable, counts: Mapping[str, Mapping[str, Count]]) -> None:
    """Leaves of a row on modalities what the result's coverage shows: split → level → count."""
    for level in row["levels"]:
        for column in level["cells"]:
            n = counts.get(column, {}).get(level["level"])
            whole = rounded_count(int(table.inside[column].sum()), table.smallest,
                                  column in table.secret)  # fmt: skip
            count = rounded_count(n, table.smallest) if isinstance(n, int) else HIDDEN
            level["cells"][column] = {"n": count, "share": _share(count, whole)}
    row["smd_outcome"] = row["smd_splits"] = None


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
        people = len(np.unique(table.patient[who & there]))  # few may have many episodes
        withheld = gone or 0 < people < table.smallest
        digits = FEWER if table.smallest else DIGITS
        told = rounded(summary(part), digits) if len(part) else NO_SUMMARY
        summaries[column] = NO_SUMMARY if withheld else told
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
    table: Table, name: str, words: str, values: np.ndarray, also: Collection[str] = ()
) -> Variable:
    """A variable of classes (n,), None where unknown; levels by their number.

    `also`: levels that are hidden elsewhere.
    """
    there = np.array([value is not None for value in values], dtype=bool)
    level, counted = np.unique(values[there].astype(str), return_counts=True)
    names = [str(one) for one in level[np.lexsort((level, -counted))]]
    who = {**{one: values == one for one in names}, UNKNOWN: ~there}
    cells: dict[str, dict[Column, Cell]] = {one: {} for one in names}
    missing: dict[Column, Rounded] = {}
    shares: dict[Column, Floats] = {}
    secret = table.hidden(who, also)
    for column, inside in table.inside.items():
        gone = set(who) if column in table.secret else secret
        shown = {one: rounded_count(int((inside & flags).sum()), table.smallest, one in gone)
                 for one, flags in who.items()}  # fmt: skip
        missing[column] = shown.pop(UNKNOWN)
        known_here = rounded_count(int((inside & there).sum()), table.smallest, UNKNOWN in gone)
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
    by_outcome = "positive" in (made["summaries"] or made["missing"])
    made["smd_outcome"] = known(between("positive", "negative")) if by_outcome else None
    made["smd_splits"] = max(there) if there else None
    return made
