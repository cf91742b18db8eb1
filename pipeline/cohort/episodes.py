"""Selects the episodes: which admissions are predicted, when, and in which split they are.

Conditions and times are in `episodes.sql`, which is written to be read; `episodes_published.sql`
is the cohort of Wang et al. 2024. Settings (`--cohort`): definition, corrected (where absent) or
published; min_age, years or null; window_hours, from admission to the prediction time;
icu_within_hours, the latest entry into an ICU, or null for any time of the admission (which looks
ahead); ids, a csv with a column hadm_id that narrows the cohort, or null; ed_hours (24 where
absent), how long before the admission the emergency department counts.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Formatter
from typing import Any

import duckdb
import polars as pl

from pipeline.cohort import attrition, inputs, random_split
from pipeline.cohort.random_split import RandomSplit
from pipeline.cohort.split import Split, create_macro
from pipeline.common.command import parser, run
from pipeline.common.database import add_resource_arguments, connect, sql_beside
from pipeline.common.errors import InputError
from pipeline.common.files import write_json
from pipeline.common.tables import Contract, read_table, write_table

log = logging.getLogger("pipeline.cohort")

EPISODES = Contract(
    columns={
        "episode_id": pl.Int64,
        "subject_id": pl.Int64,
        "hadm_id": pl.Int64,
        "stay_id": pl.Int64,
        "start": pl.Datetime("us"),
        "observed_from": pl.Datetime("us"),
        "prediction_time": pl.Datetime("us"),
        "split": pl.String,
        "age": pl.Int64,
        "sex": pl.String,
        "insurance": pl.String,
        "language": pl.String,
        "marital_status": pl.String,
        "race": pl.String,
        "era": pl.String,
    },
    key=("episode_id",),
    nullable=("insurance", "language", "marital_status", "race", "era"),
    units={"age": "years at admission", "era": "anchor_year_group: three calendar years"},
)
SOURCES = {  # table → its key, the columns that the query reads
    "patients": ("subject_id", "subject_id gender anchor_age anchor_year anchor_year_group"),
    "admissions": (
        "hadm_id",
        "subject_id hadm_id admittime dischtime edregtime insurance language marital_status race",
    ),
    "icustays": (None, "subject_id hadm_id stay_id intime"),
    "chexpert": (None, "subject_id"),
}
QUERIES = {"corrected": "episodes.sql", "published": "episodes_published.sql"}


@dataclass(frozen=True)
class Cohort:
    """The settings of a cohort (see the module's docstring); hours are whole hours."""

    min_age: int | None
    window_hours: int
    icu_within_hours: int | None
    ids: str | None
    ed_hours: int = 24
    definition: str = "corrected"

    def __post_init__(self) -> None:
        if self.definition not in QUERIES:
            raise InputError(f"cohort: definition must be one of {', '.join(QUERIES)}")
        for name, value in self.settings.items():
            if name == "ids":
                fits, what = isinstance(value, str), "a path"
            else:
                fits, what = isinstance(value, int) and value >= 0, "a whole number from 0 on"
            optional = name in ("min_age", "icu_within_hours", "ids")
            if not fits and not (optional and value is None):
                raise InputError(f"cohort: {name} must be {what}" + " or null" * optional)

    @property
    def settings(self) -> dict[str, Any]:
        """What the query may name: all but the query itself."""
        return {name: value for name, value in asdict(self).items() if name != "definition"}


def parse_cohort(text: str) -> Cohort:
    """A cohort from JSON.

    >>> parse_cohort('{"min_age":18,"window_hours":48,"icu_within_hours":48,"ids":null}').ed_hours
    24
    """
    needed = ("min_age", "window_hours", "icu_within_hours", "ids")
    return Cohort(**inputs.settings(text, "--cohort", needed, optional=("ed_hours", "definition")))


def asked(frame: pl.DataFrame, cohort: Cohort) -> dict[str, str]:
    """The conditions of the query that the settings ask for: column → text with their values.

    >>> frame = pl.DataFrame({"condition: aged {min_age} or over": [], "condition: on {ids}": []})
    >>> asked(frame, Cohort(min_age=18, window_hours=48, icu_within_hours=48, ids=None))
    {'condition: aged {min_age} or over': 'aged 18 or over'}
    """
    values = {**cohort.settings, "ids": cohort.ids and Path(cohort.ids).name}
    conditions = {}
    for column in attrition.named(frame, attrition.CONDITION):
        used = [field for _, field, _, _ in Formatter().parse(column) if field]
        if all(values[field] is not None for field in used):
            conditions[column] = column.removeprefix(attrition.CONDITION).format(**values)
    return conditions


def log_oddities(database: duckdb.DuckDBPyConnection, query: str) -> None:
    """One log line per kind of oddity that the source tables hold, counted by a query beside."""
    counts = database.sql(sql_beside(__file__, query)).pl().row(0, named=True)
    for name, number in counts.items():
        if number:
            log.info("odd in the source: %s %s", attrition.shown(number), name)


def select_episodes(
    database: duckdb.DuckDBPyConnection,
    sources: Mapping[str, pl.DataFrame],
    cohort: Cohort,
    split: Split | RandomSplit,
) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """The episodes (contract `EPISODES`) and the attrition table of the cohort.

    `sources`: patients, admissions, icustays and, for the published cohort, chexpert as MIMIC has
    them. Raises `InputError` where a table or column is missing, a key repeats, the csv of ids is
    unusable, or no episode is left.
    """
    ids = inputs.read_ids(cohort.ids) if cohort.ids else pl.DataFrame(schema={"hadm_id": pl.Int64})
    for name, source in sources.items():
        key, columns = SOURCES[name]
        inputs.require(source, name, columns.split(), key)
        database.register(name, source)
    database.register("ids", ids)
    log_oddities(database, "episodes_oddities.sql")
    query = Path(__file__).with_name(QUERIES[cohort.definition])
    admissions = inputs.answer(database, query, cohort.settings)
    conditions = asked(admissions, cohort)
    rows = attrition.count(admissions, conditions)
    if cohort.icu_within_hours is None or cohort.icu_within_hours > cohort.window_hours:
        log.warning("the cohort looks ahead: the ICU may be entered after the prediction time")
    episodes = admissions.filter(attrition.all_met(conditions))
    if episodes.is_empty():
        raise InputError(f"cohort: no episode is left\n{attrition.as_text(rows)}")
    episodes = divide(database, episodes, split).select(list(EPISODES.columns))
    return episodes.cast(pl.Schema(EPISODES.columns)), rows


def divide(
    database: duckdb.DuckDBPyConnection, episodes: pl.DataFrame, split: Split | RandomSplit
) -> pl.DataFrame:
    """The episodes with their split: by a hash of the patient, or at random."""
    if isinstance(split, RandomSplit):
        return random_split.divide(episodes, split)
    create_macro(database, split)
    database.register("chosen", episodes)
    return database.sql("SELECT *, split_of(subject_id) AS split FROM chosen").pl()


def main() -> None:
    """Reads the source tables, writes the episodes and their attrition table."""
    arguments = parser(__doc__)
    for name in SOURCES:
        needed = name != "chexpert"  # the published cohort alone reads it
        arguments.add_argument(f"--{name}", required=needed, help="extracted table, parquet")
    arguments.add_argument("--cohort", type=parse_cohort, required=True, help="JSON, see above")
    arguments.add_argument(
        "--split",
        type=random_split.parse,
        required=True,
        help="JSON: salt and shares, or random_state",
    )
    arguments.add_argument("--output", required=True, help="episodes, parquet")
    arguments.add_argument("--attrition", required=True, help="attrition table, json")
    add_resource_arguments(arguments)
    given = arguments.parse_args()

    paths = {name: getattr(given, name) for name in SOURCES}
    sources = {name: read_table(path) for name, path in paths.items() if path}
    with connect(given.threads, given.memory_mb, given.temp) as database:
        episodes, rows = select_episodes(database, sources, given.cohort, given.split)
    log.info("episodes:\n%s", attrition.as_text(rows))
    write_table(episodes, given.output, EPISODES)
    write_json(given.attrition, rows)


if __name__ == "__main__":
    run(main)
