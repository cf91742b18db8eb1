"""New patients: their source tables, as far as they were known when the prediction is made.

A source is a folder of MIMIC-shaped files, as `source.root` of the config names one, or tables in
memory. Columns of what is known only at the end (discharge, death, ends of stays) may be absent;
tables of a modality, too: nobody has it then.
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
from pipeline.cohort.task import find, of_unit
from pipeline.extract import contracts, release
from pipeline.extract.contracts import SourceTable
from pipeline.extract.tables import extract
from pipeline.stage.database import connect, sql_beside
from pipeline.stage.errors import InputError
from pipeline.stage.prediction import Columns, StoredModel
from pipeline.stage.tables import read_table, write_table

LAST_YEAR = 2022  # of a source in memory, which has no release


@dataclass(frozen=True)
class Prepared:
    """A source whose tables lie in `folder` as extraction writes them (see `prepared.py`).

    `films`: folder of the data set of films, if there is one; `last_year`: the last calendar year
    of the release; `words`: what the source is, for messages.
    """

    folder: Path
    films: Path | None
    last_year: int
    words: str


Source = str | Path | Mapping[str, pl.DataFrame] | Prepared
ENDS = {  # what is known only at the end
    "patients": ("dod",),
    "admissions": ("dischtime", "deathtime", "discharge_location", "hospital_expire_flag",
                   "edouttime"),
    "icustays": ("outtime", "last_careunit", "los"),
}  # fmt: skip
ALWAYS = ("patients", "admissions", "icustays")
DICTIONARIES = ("d_items", "d_labitems")


def tables_of(letters: str, unit: str, task: str, films: str | None) -> list[str]:
    """The source tables that a model reads, in the order of the contracts."""
    asked = {*letters, *find(task).asked.tables, *of_unit(unit).tables}
    asked |= {"any film"} if films == "any" else set()
    return contracts.tables_for(asked | set(DICTIONARIES if "e" in letters else ()))


def contract_of(names: list[str]) -> dict[str, Columns]:
    """What a source must hold of these tables."""
    return {
        name: {
            "needed": name in ALWAYS or name in DICTIONARIES,
            "columns": dict(contracts.table(name).columns),
            "may_lack": list(ENDS.get(name, ())),
        }
        for name in names
    }


def write_source(source: Source, names: list[str], folder: Path, threads: int, memory_mb: int,
                 strict: bool = True) -> list[str]:  # fmt: skip
    """Writes the tables `<name>.parquet` of a source; returns those that it lacks, now empty.

    `InputError` where a table or column that is needed is missing, or a file cannot be read.
    `strict`: false takes a source without any table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    absent = []
    for name in names:
        output = folder / f"{name}.parquet"
        if isinstance(source, Mapping):
            there = name in source
            if there:
                _write_frame(source[name], name, output)
        elif isinstance(source, Prepared):
            path = source.folder / output.name
            there = path.is_file()
            if there:
                output.symlink_to(path.absolute())
        else:
            path = release.table_path({"root": str(source)}, name)
            there = release.exists(path)
            if there:
                extract(name, path, output, threads=threads, memory_mb=memory_mb,
                        temp=folder, may_lack=ENDS.get(name, ()))  # fmt: skip
        if there:
            continue
        if (strict and name in ALWAYS) or (name in DICTIONARIES and _charted(folder, name)):
            raise InputError(_no_table(source, name))
        _write_frame(pl.DataFrame(), name, output)
        absent.append(name)
    return absent


def _no_table(source: Source, name: str) -> str:
    """What is said of a needed table that a source lacks."""
    if isinstance(source, Mapping):
        return f"no table {name}"
    if isinstance(source, Prepared):
        return f"{source.words}: no table {name}"
    path = release.table_path({"root": str(source)}, name)
    return f"{source}: no table {name}, expected at {path}"


def _charted(folder: Path, dictionary: str) -> bool:
    """Whether there are events whose items a dictionary names."""
    name = "labevents" if dictionary == "d_labitems" else "chartevents"
    path = folder / f"{name}.parquet"
    return path.is_file() and bool(pl.scan_parquet(path).select(pl.len()).collect().item())


def _write_frame(frame: pl.DataFrame, name: str, output: Path) -> None:
    """A table in memory as extraction writes it: the contract's columns, types and derived ones."""
    own: SourceTable = contracts.table(name)
    absent = set(own.columns) - set(frame.columns)
    if lacking := sorted(absent - set(ENDS.get(name, ()))) if frame.width else []:
        raise InputError(f"table {name}: column(s) {', '.join(lacking)} are missing")
    columns = ", ".join(
        f'CAST(NULL AS {dtype}) AS "{column}"'
        if column in absent
        else f'CAST("{column}" AS {dtype}) AS "{column}"'
        for column, dtype in own.columns.items()
    )
    derived = "".join(f', {sql} AS "{column}"' for column, sql in own.derived.items())
    rows = "rows" if frame.width else "(SELECT 1 AS nothing WHERE FALSE)"
    with duckdb.connect() as database:
        if frame.width:
            database.register("rows", frame)
        try:
            made = database.sql(f"SELECT *{derived} FROM (SELECT {columns} FROM {rows})").pl()
        except duckdb.ConversionException as error:
            raise InputError(f"table {name}: a value is of another type than the column") from error
    made.write_parquet(output)


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


def last_year(source: Source) -> int:
    """The last calendar year of a source's release."""
    if isinstance(source, Mapping):
        return LAST_YEAR
    if isinstance(source, Prepared):
        return source.last_year
    return release.last_year({"root": str(source)})


def cohort_of(
    database: duckdb.DuckDBPyConnection, model: StoredModel, sources: Mapping[str, pl.DataFrame],
    folder: Path, last: int,
) -> tuple[pl.DataFrame, list[dict[str, object]]]:  # fmt: skip
    """The episodes by the conditions of the training cohort (a list of ids apart), no split, and
    the attrition table.

    `sources`: the tables `ALWAYS`; others are those of `folder`, which are opened in place.
    """
    cohort = DefinedCohort.model_validate({**model["cohort"], "ids": None})
    paths = {path.stem: str(path) for path in sorted(folder.glob("*.parquet"))}
    films = {"films": read_table(paths["cxr_metadata"])} if cohort.films == "any" else {}
    return select_episodes(database, {**sources, **films}, cohort, None, last, model["unit"])


def open_events(database: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Makes the tables that are read in place known to the database."""
    inputs.open_tables(database, {path.stem: str(path) for path in sorted(folder.glob("*.parquet"))
                                  if path.stem not in ALWAYS})  # fmt: skip


def select(
    model: StoredModel, source: Source, folder: Path, work: Path, threads: int, memory_mb: int
) -> tuple[pl.DataFrame, pl.DataFrame, list[dict[str, object]]]:
    """The episodes of the cohort, who of them is at risk, and the cohort's attrition table.

    `folder`: of the extracted tables. Writes `episodes.parquet` into `work`. Conditions are those
    of the training cohort, as far as they are known at the prediction; a list of ids apart.
    """
    with connect(threads, memory_mb, work) as database:
        open_events(database, folder)
        sources = known_tables(database, model, folder)
        episodes, rows = cohort_of(database, model, sources, folder, last_year(source))
        asked = {name: sources[name] for name in ("admissions", "patients")}
        risk = at_risk(database, model["task"], {"episodes": episodes, **asked})
    own = contract(model["unit"], "corrected")
    new = episodes.with_columns(split=pl.lit("new"))
    write_table(new, work / "episodes.parquet", own)
    return new, risk, rows
