"""Who of new patients is predicted: cohort and task, as far as they are known by then.

Discharge, death and ends of stays count as far as they lie before the prediction (`known.sql`);
conditions that look ahead are not asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipeline.cohort import inputs
from pipeline.cohort.episodes import contract, select_episodes
from pipeline.cohort.labels import at_risk
from pipeline.cohort.settings import DefinedCohort
from pipeline.predict.source import ALWAYS, Source, last_year
from pipeline.stage.database import connect, sql_beside
from pipeline.stage.prediction import StoredModel
from pipeline.stage.tables import read_table, write_table


def known_tables(database: duckdb.DuckDBPyConnection, model: StoredModel, folder: Path
                 ) -> dict[str, pl.DataFrame]:  # fmt: skip
    """Admissions, ICU stays and patients as they were known at the prediction (`known.sql`)."""
    stays = model["unit"] == "stay"
    sources = {name: read_table(folder / f"{name}.parquet") for name in ALWAYS}
    for name, table in sources.items():
        database.register(name, table)
    if stays:
        inputs.make_views(database, ["arrivals"], {})
    else:
        columns: dict[str, Any] = {"stay_id": pl.Int64, "first_heart_rate": pl.Datetime("us")}
        database.register("arrivals", pl.DataFrame(schema=columns))
    text = sql_beside(__file__, "known.sql").replace("$stays", str(stays))
    database.execute(text.replace("$hours", str(int(model["hours"]))))
    return {name: database.sql(f"FROM known_{name}").pl() for name in ALWAYS}


def training_cohort(model: StoredModel) -> DefinedCohort:
    """The cohort that a model was trained on, a list of ids apart."""
    return DefinedCohort.model_validate({**model["cohort"], "ids": None})


def cohort_of(
    database: duckdb.DuckDBPyConnection, cohort: DefinedCohort, unit: str,
    sources: Mapping[str, pl.DataFrame], folder: Path, last: int,
) -> tuple[pl.DataFrame, list[dict[str, object]]]:  # fmt: skip
    """The episodes of a cohort, no split, and the attrition table.

    `sources`: the tables `ALWAYS`; others are those of `folder`, which are opened in place.
    """
    paths = {path.stem: str(path) for path in sorted(folder.glob("*.parquet"))}
    films = {"films": read_table(paths["cxr_metadata"])} if cohort.films == "any" else {}
    return select_episodes(database, {**sources, **films}, cohort, None, last, unit, new=True)


def open_events(database: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Makes the tables that are read in place known to the database."""
    inputs.open_tables(database, {path.stem: str(path) for path in sorted(folder.glob("*.parquet"))
                                  if path.stem not in ALWAYS})  # fmt: skip


@dataclass(frozen=True)
class Selected:
    """The `episodes` of the cohort, `risk`: who of them is at risk (`labels.at_risk`), the cohort's
    attrition table, and the conditions of cohort and task that look ahead: not asked."""

    episodes: pl.DataFrame
    risk: pl.DataFrame
    rows: list[dict[str, Any]]
    not_asked: list[str]


def select(
    model: StoredModel, source: Source, folder: Path, work: Path, threads: int, memory_mb: int
) -> Selected:
    """The episodes of the cohort, and who of them is at risk.

    `folder`: of the extracted tables. Writes `episodes.parquet` into `work`. Conditions are those
    of the training cohort, as far as they are known at the prediction; a list of ids apart.
    """
    cohort, not_asked = training_cohort(model).as_known(model["unit"])
    with connect(threads, memory_mb, work) as database:
        open_events(database, folder)
        sources = known_tables(database, model, folder)
        last = last_year(source)
        episodes, rows = cohort_of(database, cohort, model["unit"], sources, folder, last)
        asked = {name: sources[name] for name in ("admissions", "patients")}
        risk, ahead = at_risk(database, model["task"], {"episodes": episodes, **asked})
    own = contract(model["unit"], "corrected")
    new = episodes.with_columns(split=pl.lit("new"))
    write_table(new, work / "episodes.parquet", own)
    return Selected(new, risk, rows, [*not_asked, *ahead])
