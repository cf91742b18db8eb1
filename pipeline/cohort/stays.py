"""Selects ICU stays as episodes: the unit of the multitask model (unimed2022.md, section 3).

Every stay of a patient of the asked age counts, a second one of an admission too; conditions and
times are in `stays.sql`. Settings (`--cohort`) as of `pipeline.cohort.episodes`; min_age, films,
ids and ed_hours count, the hours of the admission's window do not: clock zero is when the patient
is there, the later of intime and the first charted heart rate (`stays_arrivals.sql`), and the tasks
say by which hour they predict. A patient's split is that of her admissions.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipeline.cohort import attrition, inputs
from pipeline.cohort import split as by_hash
from pipeline.cohort.episodes import (
    EPISODES,
    OPTIONAL,
    Cohort,
    asked,
    counted_conditions,
    divide,
    log_oddities,
    parse_cohort,
    register,
)
from pipeline.cohort.split import Split
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.stage.tables import Contract, read_table, write_table

log = logging.getLogger("pipeline.cohort")

STAYS = Contract(
    columns={
        "episode_id": pl.Int64,  # = stay_id
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
        "first_careunit": pl.String,
        "hours_to_icu": pl.Float64,
    },
    key=("episode_id",),
    nullable=(
        *(name for name in EPISODES.nullable if name != "stay_id"),
        "admission_type",
        "admission_location",
        "first_careunit",
    ),
    units={
        "start": "intime",
        "end": "outtime",
        "clock_zero": "T0: the later of intime and the first heart rate (220045) of the stay",
        "prediction_time": "clock_zero + 48 h, the last of the tasks' horizons",
        "age": EPISODES.units["age"],
        "first_year": EPISODES.units["first_year"],
        "last_year": EPISODES.units["last_year"],
        "hours_to_icu": "hours from admittime to intime",
    },
)
SOURCES = {  # table → its key, the columns that the query reads
    "patients": ("subject_id", "subject_id gender anchor_age anchor_year anchor_year_group dod"),
    "admissions": (
        "hadm_id",
        "subject_id hadm_id admittime dischtime deathtime edregtime insurance language"
        " marital_status race admission_type admission_location",
    ),
    "icustays": ("stay_id", "subject_id hadm_id stay_id intime outtime first_careunit"),
    "films": (None, "subject_id"),
}


def select_stays(
    database: duckdb.DuckDBPyConnection,
    sources: Mapping[str, pl.DataFrame],
    cohort: Cohort,
    split: Split,
    last_year: int,
) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """The stays (contract `STAYS`) and the attrition table of the cohort.

    `sources`: patients, admissions and icustays as MIMIC has them, for the cohort of any film
    films; chartevents is the database's. `last_year`: the last calendar year of the release. Raises
    `InputError` where a table or column is missing, a key repeats, the csv of ids is unusable, or
    no stay is left.
    """
    register(database, sources, SOURCES, cohort, last_year)
    arrivals = inputs.answer(database, Path(__file__).with_name("stays_arrivals.sql"), {})
    database.register("arrivals", arrivals)
    log_oddities(database, "stays_oddities.sql", last_year)
    query = Path(__file__).with_name("stays.sql")
    stays = inputs.answer(database, query, cohort.settings)
    conditions = asked(stays, cohort)
    rows = counted_conditions(stays, conditions, cohort)
    stays = stays.filter(attrition.all_met(conditions))
    if stays.is_empty():
        raise InputError(f"cohort: no ICU stay is left\n{attrition.as_text(rows)}")
    stays = divide(database, stays, split).select(list(STAYS.columns))
    return stays.cast(pl.Schema(STAYS.columns)), rows


def main() -> None:
    """Reads the source tables, writes the stays and their attrition table."""
    arguments = parser(__doc__)
    for name in SOURCES:
        needed = name not in OPTIONAL
        arguments.add_argument(f"--{name}", required=needed, help="extracted table, parquet")
    arguments.add_argument("--chartevents", required=True, help="read in place, by item id")
    arguments.add_argument("--last-year", type=int, required=True, help="last of the release")
    arguments.add_argument("--cohort", type=parse_cohort, required=True, help="JSON, see above")
    arguments.add_argument(
        "--split", type=by_hash.parse, required=True, help="JSON: salt and shares"
    )
    arguments.add_argument("--output", required=True, help="stays, parquet")
    arguments.add_argument("--attrition", required=True, help="attrition table, json")
    add_resource_arguments(arguments)
    given = arguments.parse_args()

    paths = {name: getattr(given, name) for name in SOURCES}
    sources = {name: read_table(path) for name, path in paths.items() if path}
    with connect(given.threads, given.memory_mb, given.temp) as database:
        inputs.open_tables(database, {"chartevents": given.chartevents})
        stays, rows = select_stays(database, sources, given.cohort, given.split, given.last_year)
    log.info("ICU stays:\n%s", attrition.as_text(rows))
    write_table(stays, given.output, STAYS)
    write_json(given.attrition, rows)


if __name__ == "__main__":
    run(main)
