"""AUROC on some of the test episodes: by sex, age, race, insurance and era; sensitivity analyses.

Small groups say nothing and could single patients out: a group with fewer than 10 positives or
negatives has no AUROC, whatever the source. On real data its counts are hidden, and those of as
many other groups of the attribute as it takes that they do not follow from the total.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.cohort.eras import UNKNOWN, era
from pipeline.evaluation.sections.suppression import (
    COMPLEMENT,
    NO_COUNTS,
    hidden,
    hides,
    shown_counts,
    sides_of,
    why_no_metrics,
)
from pipeline.evaluation.statistics.bootstrap import Resampling, auroc_estimate
from pipeline.evaluation.statistics.figures import NOTHING
from pipeline.evaluation.statistics.metrics import Flags
from pipeline.evaluation.statistics.sample import Sample
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import shown
from pipeline.stage.sections import Analysis, Group, Subgroups
from pipeline.stage.tables import read_table

FEWEST = 10  # positives, and negatives, of a group with an AUROC
AGES = {18: "under 18", 45: "18-44", 65: "45-64", 80: "65-79"}  # below this age: band
OLDEST = "80+"
RACES = ("WHITE", "BLACK", "HISPANIC", "ASIAN")  # first words of MIMIC's classes
OTHER_RACE = "OTHER/UNKNOWN"
TOO_SMALL = f"fewer than {FEWEST} positive or negative episodes"
ONE_SIDED = "one class only in a fold"


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


def _language() -> pl.Expr:
    text = pl.col("language").str.strip_chars().str.to_uppercase()
    group = pl.when(text == "ENGLISH").then(pl.lit("English")).otherwise(pl.lit("other"))
    return pl.when(text.is_null() | (text == "")).then(pl.lit(UNKNOWN)).otherwise(group)


ATTRIBUTES = {
    "sex": _as_is("sex"),
    "age": _age(),
    "race": _race(),
    "insurance": _as_is("insurance"),
    "era": era(),
}
MORE = {"language": _language(), "care_unit": _as_is("care_unit")}  # of a kit alone


def grouped(episodes: pl.DataFrame, attributes: Mapping[str, pl.Expr] = ATTRIBUTES) -> pl.DataFrame:
    """Episodes with the group of each attribute that the table has.

    >>> grouped(pl.DataFrame({"episode_id": [1, 2], "age": [44, 93], "sex": ["F", None],
    ...     "race": ["ASIAN - CHINESE", "PORTUGUESE"]})).rows()
    [(1, 'F', '18-44', 'ASIAN'), (2, 'UNKNOWN', '80+', 'OTHER/UNKNOWN')]
    """
    known = [
        name
        for name, group in attributes.items()
        if set(group.meta.root_names()) <= set(episodes.columns)
    ]
    return episodes.select("episode_id", *(attributes[name].alias(name) for name in known))


def subgroups(
    test: Sample, episodes: pl.DataFrame, resampling: Resampling, smallest: int
) -> Subgroups:
    """Per attribute its groups with n, positives and AUROC; null where the table lacks it.

    `episodes`: episode_id and columns sex, age, race, insurance, first_year, last_year. Years
    that are null everywhere count as absent.
    """
    groups = grouped(episodes)
    tested = pl.DataFrame({"episode_id": test.episode})
    joined = tested.join(groups, on="episode_id", how="left", maintain_order="left")
    by: dict[str, list[Group] | None] = dict.fromkeys(ATTRIBUTES)
    for name in groups.columns[1:]:
        values = joined[name].fill_null(UNKNOWN).to_numpy()
        if name != "era" or set(values) != {UNKNOWN}:
            by[name] = _attribute(test, values, resampling, smallest)
    return {
        "sex": by["sex"], "age": by["age"], "race": by["race"], "insurance": by["insurance"],
        "era": by["era"],
    }  # fmt: skip


def _attribute(
    test: Sample, values: np.ndarray, resampling: Resampling, smallest: int
) -> list[Group]:
    """One attribute's groups, by name."""
    parts = {str(value): test.rows(np.flatnonzero(values == value)) for value in np.unique(values)}
    secret = hidden({name: sides_of(part) for name, part in parts.items()}, smallest)
    return [
        _group(name, part, resampling, name in secret, smallest) for name, part in parts.items()
    ]


def _group(name: str, part: Sample, resampling: Resampling, secret: bool, smallest: int) -> Group:
    sides = sides_of(part)
    reason = None
    if min(sides) < max(FEWEST, smallest):
        reason = TOO_SMALL
    elif secret:
        reason = COMPLEMENT
    elif part.fewest < resampling.least:
        reason = ONE_SIDED
    return {
        "group": name,
        "n": None if secret else sum(sides),
        "positives": None if secret else sides[0],
        "reason": reason,
        "auroc": NOTHING if reason else auroc_estimate(part, resampling),
    }


def sensitivity(
    test: Sample, marks: str | Path, resampling: Resampling, smallest: int
) -> list[Analysis]:
    """Counts and AUROC of each analysis, without the episodes that it leaves out.

    `marks`: the table of `pipeline.cohort.without`: episode_id, and a boolean column per analysis
    that says in words who is left out. Where 1 to `smallest` − 1 positives or negatives are left
    out, or are all in which an analysis differs from one that is shown, their number would follow
    from the counts of both, so it has no figures. Raises `InputError` where a test episode has no
    mark.
    """
    table = read_table(marks)
    marked = pl.DataFrame({"episode_id": test.episode}).join(
        table, on="episode_id", how="left", maintain_order="left"
    )
    if unmarked := marked.join(table, on="episode_id", how="anti").height:
        raise InputError(f"{marks}: {shown(unmarked)} test episode(s) have no mark; make it again")
    analyses: list[Analysis] = []
    counted: list[Flags] = []  # who is left out of those whose counts are shown
    for text in table.columns[1:]:
        out = marked[text].to_numpy()
        few = _tells(test, out, counted, smallest)
        kept = test.rows(np.flatnonzero(~out))
        reason = few or why_no_metrics(kept, smallest)
        if not few:
            counted.append(out)
        counts = NO_COUNTS if few else shown_counts(kept, smallest)
        auroc = NOTHING if reason else auroc_estimate(kept, resampling)
        analyses.append({"left_out": text, **counts, "reason": reason, "auroc": auroc})
    return analyses


def _tells(test: Sample, out: Flags, counted: list[Flags], smallest: int) -> str | None:
    """Why the counts of an analysis are not shown; None where they are."""
    if hides(test.rows(np.flatnonzero(out)), smallest):
        return f"fewer than {smallest} positive or negative episodes are left out"
    for other in counted:
        nested = not (out & ~other).any() or not (other & ~out).any()
        if nested and hides(test.rows(np.flatnonzero(out ^ other)), smallest):
            return f"fewer than {smallest} positive or negative episodes more or less are left out"
    return None
