"""Calendar eras of admissions, and the split of a cohort into an early and a late one.

MIMIC shifts dates: of each patient it tells the three calendar years in which the anchor year lies
(`anchor_year_group`), so that an admission lies in one of three years, `first_year` to `last_year`
(`views/persons.sql`). Its era is that of the middle one; it is right to a year or so.

`split: {by: era, late: 2014}` trains on the patients whose first episode of the cohort is before
2014, and tests on all others. Later episodes of early patients are left out: trained on, they would
put the late era into training; tested on, they would be of patients that were trained on.

Bins, Doc2Vec and the small BERT are fitted on the source and know no cohort. They read the early
patients of the training share who have no late admission at all, and of these nothing charted
later: none of them is a test patient of any unit, and nothing late is read.
"""

from collections.abc import Sequence
from typing import Any

import duckdb
import polars as pl

from pipeline.cohort import attrition
from pipeline.cohort.settings import ERA, YEARS, Fold
from pipeline.cohort.settings import ERA_TABLES as TABLES
from pipeline.cohort.split import create_macro
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import shown

UNKNOWN = "UNKNOWN"
HELP = "patients and admissions of the source, parquet, where the split is by era"


def middle_year() -> pl.Expr:
    """The calendar year of an episode with first_year and last_year, null where they are.

    >>> pl.DataFrame({"first_year": [2013], "last_year": [2016]}).select(middle_year()).item()
    2014
    """
    # ASSUME the middle year, the earlier of two, of those that an admission may lie in
    return (pl.col("first_year") + pl.col("last_year")) // 2


def era() -> pl.Expr:
    """The era of an episode, in the groups of MIMIC's anchor years; UNKNOWN without years.

    >>> pl.DataFrame({"first_year": [2014], "last_year": [2016]}).select(era()).item()
    '2014 - 2016'
    """
    middle = middle_year()
    first = ERA + (middle - ERA) // YEARS * YEARS
    group = pl.format("{} - {}", first, first + YEARS - 1)
    return pl.when(middle.is_null()).then(pl.lit(UNKNOWN)).otherwise(group)


def kept(episodes: pl.DataFrame, split: Fold) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """The episodes in the era of their patient's first one, with `early`; two rows of attrition.

    `episodes`: subject_id, first_year, last_year. Raises `InputError`, with the eras that there
    are, where no episode is early or none is late.

    >>> split = Fold(salt="a", train=0.4, fusion=0.2, val=0.2, test=0.2, by="era", late=2014)
    >>> years = {"first_year": [2011, 2015, 2014], "last_year": [2013, 2017, 2016]}
    >>> found, rows = kept(pl.DataFrame({"subject_id": [1, 1, 2], **years}), split)
    >>> found.select("subject_id", "early").rows(), [row["episodes"] for row in rows]
    ([(1, True), (2, False)], [3, 2])
    """
    early = middle_year() < split.late
    marked = episodes.with_columns(
        early=early.fill_null(False).any().over("subject_id"),
        known=middle_year().is_not_null(),
        own=early == early.fill_null(False).any().over("subject_id"),
    )
    conditions = {
        "known": "whose calendar years are known",
        "own": f"in the era (before {split.late}, or from it on) of the patient's first episode",
    }
    rows = attrition.count(marked, conditions)
    found = marked.filter(attrition.all_met(conditions)).drop("known", "own")
    if found["early"].n_unique() < 2:
        counts = episodes.select(era=era())["era"].value_counts().sort("era").rows()
        there = ", ".join(f"{name}: {shown(count)}" for name, count in counts)
        raise InputError(f"split.late: {split.late} divides no episodes: all are on one side of it;"
                         f" the cohort has {there}; set the first year of another era")  # fmt: skip
    return found, rows


def register(database: duckdb.DuckDBPyConnection, episodes: pl.DataFrame) -> None:
    """Makes the table `early` of the patients of early episodes, as `split_of` asks for."""
    early = episodes.filter("early").select(patient="subject_id").unique()
    database.register("early", early)


def prepare_fit(database: duckdb.DuckDBPyConnection, split: Fold, tables: Sequence[str]) -> None:
    """Makes the SQL functions of a fit on the source known to the connection.

    `split_of(subject_id)`, and `trained_on(subject_id, time)`: whether the fit may read what was
    charted of a patient at a time. `tables`: the files of `TABLES`, where the split is by era;
    then whoever has a late admission, or unknown years, is no training patient.
    """
    trained = "split_of(subject_id) = 'train'"
    if split.by == "era":
        if len(tables) != len(TABLES):
            raise InputError(f"split.by: era needs {' and '.join(TABLES)} of the source (--eras)")
        database.execute(_early(split, **dict(zip(TABLES, tables, strict=True))))
        trained += " AND time < (SELECT until FROM early WHERE patient = subject_id)"
    create_macro(database, split)
    database.execute(f"CREATE OR REPLACE MACRO trained_on(subject_id, time) AS {trained}")


def _early(split: Fold, patients: str, admissions: str) -> str:
    """The table `early`; `until`: when, by the patient's shifted dates, the late era begins."""
    return f"""
        CREATE OR REPLACE TABLE early AS
        WITH eras AS (
            SELECT
                subject_id AS patient,
                MAKE_DATE(anchor_year + {split.late} - (
                    TRY_CAST(LEFT(anchor_year_group, 4) AS BIGINT)
                    + TRY_CAST(RIGHT(anchor_year_group, 4) AS BIGINT)
                ) // 2, 1, 1) AS until
            FROM '{patients}'
        )
        SELECT patient, until FROM eras
        WHERE until IS NOT NULL AND patient NOT IN (
            SELECT subject_id FROM '{admissions}' JOIN eras ON subject_id = patient
            WHERE COALESCE(admittime >= until, TRUE)
        )"""
