"""Selects the episodes of a unit: what is predicted for, when, and in which split it is.

The query of the unit (`units/admission.sql`, `units/stay.sql`; as published by Wang et al. 2024
`units/published.sql`) is written to be read: it has the conditions and times. An admission is
predicted one window after it began; an ICU stay by the hours that each task names, from when the
patient is there (the later of intime and the first charted heart rate), and of an admission every
stay counts. A patient's split is the same in all units.

Settings (`--cohort`) are described in `settings.py`; of ICU stays the two hours of the admission do
not count. A cohort that looks ahead says so
on the screen and in its attrition table.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipeline.cohort import attrition, eras, inputs
from pipeline.cohort.settings import DefinedCohort, Fold
from pipeline.cohort.split import create_macro
from pipeline.cohort.task import UNITS, Query, of_unit
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.stage.privacy import tell, warn
from pipeline.stage.settings import json_argument
from pipeline.stage.tables import Contract, read_table, write_table

EPISODES = Contract(
    columns={
        "episode_id": pl.Int64,
        "subject_id": pl.Int64,
        "hadm_id": pl.Int64,
        "stay_id": pl.Int64,
        "start": pl.Datetime("us"),
        "end": pl.Datetime("us"),
        "clock_zero": pl.Datetime("us"),
        "observed_from": pl.Datetime("us"),
        "prediction_time": pl.Datetime("us"),
        "split": pl.String,
        "age": pl.Int64,
        "sex": pl.String,
        "insurance": pl.String,
        "language": pl.String,
        "marital_status": pl.String,
        "race": pl.String,
        "first_year": pl.Int64,
        "last_year": pl.Int64,
        "admission_type": pl.String,
        "admission_location": pl.String,
    },
    key=("episode_id",),
    nullable=(
        "stay_id",
        "insurance",
        "language",
        "marital_status",
        "race",
        "first_year",
        "last_year",
        "admission_type",
        "admission_location",
    ),
    units={
        "episode_id": "hadm_id, or stay_id",
        "stay_id": "of an admission: the first ICU stay, whenever it began",
        "start": "admittime, or intime",
        "end": "dischtime, or outtime: says which rows belong to the episode, and is never data",
        "clock_zero": "admittime, or the later of intime and the first heart rate (220045)",
        "prediction_time": "clock_zero + the window; of ICU stays + 48 h, the tasks' last horizon",
        "age": "years at admission; above 89: 91",
        "first_year": "calendar years of the admission as far as dates tell: the earliest",
        "last_year": "the latest",
    },
)
STAYS = Contract(
    columns={**EPISODES.columns, "first_careunit": pl.String, "hours_to_icu": pl.Float64},
    key=EPISODES.key,
    nullable=(*(name for name in EPISODES.nullable if name != "stay_id"), "first_careunit"),
    units={**EPISODES.units, "hours_to_icu": "hours from admittime to intime"},
)
# each task draws its own split (`pipeline.cohort.labels`), and admissions may lack their end
PUBLISHED = replace(EPISODES, nullable=(*EPISODES.nullable, "split", "end"))
SOURCES = {  # table that is checked → its key, the columns that queries read; others lie in place
    "patients": ("subject_id", "subject_id gender anchor_age anchor_year anchor_year_group dod"),
    "admissions": (
        "hadm_id",
        "subject_id hadm_id admittime dischtime deathtime edregtime insurance language"
        " marital_status race admission_type admission_location",
    ),
    "icustays": ("stay_id", "subject_id hadm_id stay_id intime outtime first_careunit"),
    "chexpert": (None, "subject_id"),
    "films": (None, "subject_id"),
}


def conditions_of(frame: pl.DataFrame, cohort: DefinedCohort) -> dict[str, str]:
    """The conditions of the query that the settings ask for: column → text with their values.

    >>> frame = pl.DataFrame({"condition: aged {min_age} or over": [], "condition: on {ids}": []})
    >>> settings = {"min_age": 18, "window_hours": 48, "icu_within_hours": 48}
    >>> cohort = DefinedCohort(**settings, films=None, ids=None, definition="corrected")
    >>> conditions_of(frame, cohort)
    {'condition: aged {min_age} or over': 'aged 18 or over'}
    """
    values = {**cohort.settings, "ids": cohort.ids and Path(cohort.ids).name}
    values["admission_types"] = values["admission_types"] and ", ".join(values["admission_types"])
    return attrition.texts(attrition.named(frame, attrition.CONDITION), values)


def count_conditions(
    frame: pl.DataFrame, conditions: Mapping[str, str], cohort: DefinedCohort
) -> list[dict[str, Any]]:
    """The attrition table of a cohort; on the screen, what of it looks ahead."""
    ahead = attrition.looking_ahead(conditions, cohort.settings)
    rows = attrition.count(frame, conditions, ahead)
    for text in attrition.reasons(rows):
        warn("the cohort looks ahead, beyond the prediction time: %s", text)
    return rows


def register(
    database: duckdb.DuckDBPyConnection,
    sources: Mapping[str, pl.DataFrame],
    query: Query,
    cohort: DefinedCohort,
    last_year: int,
) -> None:
    """Makes the checked source tables, ids, films and the query's views known to the database.

    `last_year`: the last calendar year of the release. Logs what is odd in the source.
    """
    for name, source in sources.items():
        key, columns = SOURCES[name]
        inputs.require(source, name, columns.split(), key)
        database.register(name, source)
    if cohort.films == "any" and "films" not in sources:
        raise InputError("cohort: films: any asks for the films' metadata (--films)")
    if "films" not in sources:
        database.register("films", pl.DataFrame(schema={"subject_id": pl.Int64}))
    inputs.register_ids(database, cohort.ids)
    inputs.make_views(database, query.views, {**cohort.settings, "last_year": last_year})
    for name in query.views:
        if name.endswith("oddities"):
            log_oddities(database.table(name).pl())


def known_types(admissions: pl.DataFrame, cohort: DefinedCohort) -> None:
    """Raises `InputError` where the cohort names an admission type that the source lacks."""
    there = admissions["admission_type"].str.to_uppercase().drop_nulls().unique().sort().to_list()
    if strange := [name for name in cohort.settings["admission_types"] or [] if name not in there]:
        raise InputError(f"config.cohort.admission_types: no admission of the type "
                         f"{', '.join(strange)}; the source has {', '.join(there)}")  # fmt: skip


def log_oddities(counted: pl.DataFrame) -> None:
    """One log line per kind of oddity that the source tables hold; `counted`: one row."""
    for name, number in counted.row(0, named=True).items():
        if number:
            tell("odd in the source: %s %s", number, name)


def select_episodes(
    database: duckdb.DuckDBPyConnection,
    sources: Mapping[str, pl.DataFrame],
    cohort: DefinedCohort,
    split: Fold | None,
    last_year: int,
    unit: str = "admission",
    new: bool = False,
) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """The episodes (contract `EPISODES`, `STAYS` or `PUBLISHED`) and the cohort's attrition table.

    `sources`: patients, admissions, icustays as MIMIC has them, for the published cohort chexpert,
    for that of any film films; of ICU stays chartevents is the database's. `split`: of the
    patients, or None where each task draws its own. `last_year`: the last calendar year of the
    release. `new`: of patients whom the cohort was not made for, of whom none may have one of its
    admission types. Raises `InputError` where a table or column is missing, a key repeats, the csv
    of ids is unusable, or no episode is left.
    """
    query = of_unit(unit, cohort.definition)
    if not new:
        known_types(sources["admissions"], cohort)
    register(database, sources, query, cohort, last_year)
    candidates = inputs.answer(database, query.path, cohort.settings)
    conditions = conditions_of(candidates, cohort)
    rows = count_conditions(candidates, conditions, cohort)
    episodes = candidates.filter(attrition.all_met(conditions))
    if episodes.is_empty():
        what = "ICU stay" if unit == "stay" else "episode"
        raise InputError(f"cohort: no {what} is left\n{attrition.as_text(attrition.merged(rows))}")
    if split is not None and split.by == "era":
        episodes, more = eras.kept(episodes, split)
        rows += more
        eras.register(database, episodes)
    columns = contract(unit, cohort.definition).columns
    episodes = divide(database, episodes, split).select(list(columns))
    return episodes.cast(pl.Schema(columns)), rows


def contract(unit: str, definition: str) -> Contract:
    """What the episodes of a unit promise.

    >>> contract("stay", "corrected") == STAYS
    True
    """
    if unit == "stay":
        return STAYS
    return PUBLISHED if definition == "published" else EPISODES


def divide(
    database: duckdb.DuckDBPyConnection, episodes: pl.DataFrame, split: Fold | None
) -> pl.DataFrame:
    """The episodes with their split by a hash of the patient; null without one."""
    if split is None:
        return episodes.with_columns(split=pl.lit(None, pl.String))
    create_macro(database, split)
    database.register("chosen", episodes)
    return database.sql("SELECT *, split_of(subject_id) AS split FROM chosen").pl()


def main() -> None:
    """Reads the source tables, writes the episodes and their attrition table."""
    arguments = parser(__doc__)
    add = arguments.add_argument
    add("--unit", choices=UNITS, default="admission", help="what an episode is")
    add("--tables", nargs="+", required=True, help="of the source, parquet: <table>.parquet")
    add("--films", help="the films' metadata, parquet, for a cohort of any film")
    add("--last-year", type=int, required=True, help="last of the release")
    parse_cohort, parse_split = json_argument("cohort", DefinedCohort), json_argument("split", Fold)
    add("--cohort", type=parse_cohort, required=True, help="JSON, see config")
    add("--split", type=parse_split, help="JSON, see config; else each task draws its own")
    add("--output", required=True, help="episodes, parquet")
    add("--attrition", required=True, help="attrition table, json")
    add_resource_arguments(arguments)
    asked = arguments.parse_args()

    paths = {Path(path).stem: path for path in asked.tables}
    paths |= {"films": asked.films} if asked.films else {}
    in_place = {name: path for name, path in paths.items() if name not in SOURCES}
    sources = {name: read_table(path) for name, path in paths.items() if name in SOURCES}
    with connect(asked.threads, asked.memory_mb, asked.temp) as database:
        inputs.open_tables(database, in_place)
        episodes, rows = select_episodes(
            database, sources, asked.cohort, asked.split, asked.last_year, asked.unit
        )
    tell("episodes:\n%s", attrition.as_text(attrition.merged(rows)))
    write_table(episodes, asked.output, contract(asked.unit, asked.cohort.definition))
    write_json(asked.attrition, rows)


if __name__ == "__main__":
    run(main)
