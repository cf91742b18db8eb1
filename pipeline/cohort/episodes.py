"""Selects the episodes: which admissions are predicted, when, and in which split they are.

Conditions and times are in `episodes.sql`, which is written to be read; `episodes_published.sql`
is the cohort of Wang et al. 2024. Settings (`--cohort`): definition, corrected (where absent) or
published; min_age, years or null; window_hours, from admission to the prediction time;
icu_within_hours, the latest entry into an ICU: hours (more than the window look ahead), "window",
or null, which asks for no ICU; films, covered (by the years and the emergency department, which
MIMIC-CXR's films are of), any (the patient has a film at any time, which looks ahead) or null; ids,
a csv with a column hadm_id that narrows the cohort, or null; ed_hours (24 where absent), how long
before the admission the emergency department counts. A cohort that looks ahead says so on the
screen and in its attrition table.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipeline.cohort import attrition, inputs
from pipeline.cohort import split as by_hash
from pipeline.cohort.split import Split, create_macro
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.stage.tables import Contract, read_table, write_table

log = logging.getLogger("pipeline.cohort")

EPISODES = Contract(
    columns={
        "episode_id": pl.Int64,
        "subject_id": pl.Int64,
        "hadm_id": pl.Int64,
        "stay_id": pl.Int64,
        "start": pl.Datetime("us"),
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
    ),
    units={
        "age": "years at admission; above 89: 91",
        "first_year": "calendar years of the admission as far as dates tell: the earliest",
        "last_year": "the latest",
        "stay_id": "the first ICU stay, whenever it began",
    },
)
# where each task draws its own split (`pipeline.cohort.labels`), that of the episodes is null
UNSPLIT = replace(EPISODES, nullable=(*EPISODES.nullable, "split"))
SOURCES = {  # table → its key, the columns that the query reads
    "patients": ("subject_id", "subject_id gender anchor_age anchor_year anchor_year_group dod"),
    "admissions": (
        "hadm_id",
        "subject_id hadm_id admittime dischtime deathtime edregtime insurance language"
        " marital_status race",
    ),
    "icustays": (None, "subject_id hadm_id stay_id intime outtime"),
    "chexpert": (None, "subject_id"),
    "films": (None, "subject_id"),
}
OPTIONAL = ("chexpert", "films")  # the published cohort, or that of any film, alone reads it
WINDOW = "window"  # of icu_within_hours: the window of the prediction
FILMS = ("covered", "any")
# the rule that chooses one has it as an input: an edit of the other does not rerun the job
QUERIES = {"corrected": "episodes", "published": "episodes_published"}


@dataclass(frozen=True)
class Cohort:
    """The settings of a cohort (see the module's docstring); hours are whole hours."""

    min_age: int | None
    window_hours: int
    icu_within_hours: int | str | None
    ids: str | None
    films: str | None = None
    ed_hours: int = 24
    definition: str = "corrected"

    def __post_init__(self) -> None:
        if self.definition not in QUERIES:
            raise InputError(f"cohort: definition must be one of {', '.join(QUERIES)}")
        for name, value in self.settings.items():
            if name == "ids":
                fits, what = isinstance(value, str), "a path"
            elif name == "films":
                fits, what = value in FILMS, " or ".join(FILMS)
            else:
                fits, what = isinstance(value, int) and value >= 0, "a whole number from 0 on"
            what += f', "{WINDOW}"' * (name == "icu_within_hours")
            optional = name in ("min_age", "icu_within_hours", "ids", "films")
            if not fits and not (optional and value is None):
                raise InputError(f"cohort: {name} must be {what}" + " or null" * optional)

    @property
    def settings(self) -> dict[str, Any]:
        """What the query may name, all but the query itself, with the hours of the window."""
        found = {name: value for name, value in asdict(self).items() if name != "definition"}
        if self.icu_within_hours == WINDOW:
            found["icu_within_hours"] = self.window_hours
        return found


def parse_cohort(text: str) -> Cohort:
    """A cohort from JSON.

    >>> parse_cohort('{"min_age":18,"window_hours":48,"icu_within_hours":48,"ids":null}').ed_hours
    24
    """
    needed = ("min_age", "window_hours", "icu_within_hours", "ids")
    optional = ("films", "ed_hours", "definition")
    return Cohort(**inputs.settings(text, "--cohort", needed, optional=optional))


def asked(frame: pl.DataFrame, cohort: Cohort) -> dict[str, str]:
    """The conditions of the query that the settings ask for: column → text with their values.

    >>> frame = pl.DataFrame({"condition: aged {min_age} or over": [], "condition: on {ids}": []})
    >>> asked(frame, Cohort(min_age=18, window_hours=48, icu_within_hours=48, ids=None))
    {'condition: aged {min_age} or over': 'aged 18 or over'}
    """
    values = {**cohort.settings, "ids": cohort.ids and Path(cohort.ids).name}
    return attrition.texts(attrition.named(frame, attrition.CONDITION), values)


def counted_conditions(
    frame: pl.DataFrame, conditions: Mapping[str, str], cohort: Cohort
) -> list[dict[str, Any]]:
    """The attrition table of a cohort; on the screen, what of it looks ahead."""
    ahead = attrition.looking_ahead(conditions, cohort.settings)
    rows = attrition.count(frame, conditions, ahead)
    for text in attrition.reasons(rows):
        log.warning("the cohort looks ahead, beyond the prediction time: %s", text)
    return rows


def register(
    database: duckdb.DuckDBPyConnection,
    sources: Mapping[str, pl.DataFrame],
    known: Mapping[str, tuple[str | None, str]],
    cohort: Cohort,
    last_year: int,
) -> None:
    """Makes the checked source tables known to the database, what follows from them, ids and films.

    `known`: table → its key, its columns. `last_year`: the last calendar year of the release.
    """
    for name, source in sources.items():
        key, columns = known[name]
        inputs.require(source, name, columns.split(), key)
        database.register(name, source)
    if cohort.films == "any" and "films" not in sources:
        raise InputError("cohort: films: any asks for the films' metadata (--films)")
    if "films" not in sources:
        database.register("films", pl.DataFrame(schema={"subject_id": pl.Int64}))
    ids = inputs.read_ids(cohort.ids) if cohort.ids else pl.DataFrame(schema={"hadm_id": pl.Int64})
    database.register("ids", ids)
    inputs.tell_possible(database)
    settings = {"ed_hours": cohort.ed_hours, "last_year": last_year}
    views = {"persons": "episodes_person.sql", "overlapping": "episodes_overlaps.sql"}
    for name, query in views.items():
        path = Path(__file__).with_name(query)
        database.register(name, inputs.answer(database, path, settings))


def log_oddities(database: duckdb.DuckDBPyConnection, query: str, last_year: int) -> None:
    """One log line per kind of oddity that the source tables hold, counted by a query beside."""
    found = inputs.answer(database, Path(__file__).with_name(query), {"last_year": last_year})
    for name, number in found.row(0, named=True).items():
        if number:
            log.info("odd in the source: %s %s", attrition.shown(number), name)


def select_episodes(
    database: duckdb.DuckDBPyConnection,
    sources: Mapping[str, pl.DataFrame],
    cohort: Cohort,
    split: Split | None,
    last_year: int,
) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """The episodes (contract `EPISODES`) and the attrition table of the cohort.

    `sources`: patients, admissions, icustays as MIMIC has them, for the published cohort chexpert,
    for that of any film films. `split`: of the patients, or None where each task draws its own.
    `last_year`: the last calendar year of the release. Raises `InputError` where a table or column
    is missing, a key repeats, the csv of ids is unusable, or no episode is left.
    """
    register(database, sources, SOURCES, cohort, last_year)
    log_oddities(database, "episodes_oddities.sql", last_year)
    query = Path(__file__).with_name(f"{QUERIES[cohort.definition]}.sql")
    admissions = inputs.answer(database, query, cohort.settings)
    conditions = asked(admissions, cohort)
    rows = counted_conditions(admissions, conditions, cohort)
    episodes = admissions.filter(attrition.all_met(conditions))
    if episodes.is_empty():
        raise InputError(f"cohort: no episode is left\n{attrition.as_text(rows)}")
    episodes = divide(database, episodes, split).select(list(EPISODES.columns))
    return episodes.cast(pl.Schema(EPISODES.columns)), rows


def divide(
    database: duckdb.DuckDBPyConnection, episodes: pl.DataFrame, split: Split | None
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
    for name in SOURCES:
        needed = name not in OPTIONAL
        arguments.add_argument(f"--{name}", required=needed, help="extracted table, parquet")
    arguments.add_argument("--last-year", type=int, required=True, help="last of the release")
    arguments.add_argument("--cohort", type=parse_cohort, required=True, help="JSON, see above")
    arguments.add_argument(
        "--split",
        type=by_hash.parse,
        help="JSON: salt and shares; without it each task draws its own split",
    )
    arguments.add_argument("--output", required=True, help="episodes, parquet")
    arguments.add_argument("--attrition", required=True, help="attrition table, json")
    add_resource_arguments(arguments)
    given = arguments.parse_args()

    paths = {name: getattr(given, name) for name in SOURCES}
    sources = {name: read_table(path) for name, path in paths.items() if path}
    with connect(given.threads, given.memory_mb, given.temp) as database:
        episodes, rows = select_episodes(
            database, sources, given.cohort, given.split, given.last_year
        )
    log.info("episodes:\n%s", attrition.as_text(rows))
    write_table(episodes, given.output, EPISODES if given.split else UNSPLIT)
    write_json(given.attrition, rows)


if __name__ == "__main__":
    run(main)
