"""New patients: their source tables, as extraction writes them.

A source is a folder of MIMIC-shaped files, as `source.root` of the config names one, or tables in
memory. Columns of what is known only at the end (discharge, death, ends of stays) may be absent;
tables of a modality, too: nobody has it then.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from pipeline.cohort.task import find, of_unit
from pipeline.extract import contracts, release
from pipeline.extract.contracts import SourceTable
from pipeline.extract.tables import extract
from pipeline.stage.errors import InputError
from pipeline.stage.prediction import Columns
from pipeline.stage.tables import read_table

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
DICTIONARIES = {  # → the tables whose items it names
    "d_items": ("chartevents", "inputevents", "outputevents", "procedureevents"),
    "d_labitems": ("labevents",),
}
EPISODES = {  # unit → its table, id and end
    "admission": ("admissions", "hadm_id", "dischtime"),
    "stay": ("icustays", "stay_id", "outtime"),
}


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

    `InputError` where a table or column that is needed is missing, a table in memory has a name
    that no source has, or a file cannot be read. `strict`: false takes a source without any table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(source, Mapping):
        _check_names(source)
    absent = []
    for name in names:
        if not _write(source, name, folder, threads, memory_mb):
            if strict and name in ALWAYS:
                raise InputError(_no_table(source, name))
            _write_frame(pl.DataFrame(), name, folder / f"{name}.parquet")
            absent.append(name)
    for name in [one for one in DICTIONARIES if one in names]:
        if _is_empty(folder, name) and (charted := _charted(folder, name)):
            raise InputError(_no_table(source, name) if name in absent else
                             f"table {name} is empty, but {charted} has rows: its items are known "
                             "by that table alone")  # fmt: skip
    return absent


def _write(source: Source, name: str, folder: Path, threads: int, memory_mb: int) -> bool:
    """Writes a table of a source, if it has it; whether it has."""
    output = folder / f"{name}.parquet"
    if isinstance(source, Mapping):
        if there := name in source:
            _write_frame(source[name], name, output)
    elif isinstance(source, Prepared):
        path = source.folder / output.name
        if there := path.is_file():
            output.symlink_to(path.absolute())
    else:
        path = release.table_path({"root": str(source)}, name)
        if there := release.exists(path):
            extract(name, path, output, threads=threads, memory_mb=memory_mb, temp=folder,
                    may_lack=ENDS.get(name, ()))  # fmt: skip
    return there


def _check_names(source: Mapping[str, pl.DataFrame]) -> None:
    """`InputError` where a table has a name that no source has: it would count as absent."""
    for name in source:
        if name not in contracts.TABLES:
            near = difflib.get_close_matches(name, contracts.TABLES, 1)
            raise InputError(f"no source has a table {name}"
                             + (f"; did you mean {near[0]}?" if near else ""))  # fmt: skip


def _no_table(source: Source, name: str) -> str:
    """What is said of a needed table that a source lacks."""
    if isinstance(source, Mapping):
        return f"no table {name}"
    if isinstance(source, Prepared):
        return f"{source.words}: no table {name}"
    path = release.table_path({"root": str(source)}, name)
    return f"{source}: no table {name}, expected at {path}"


def _is_empty(folder: Path, name: str) -> bool:
    """Whether a table has no row, or is not there."""
    path = folder / f"{name}.parquet"
    return not path.is_file() or not pl.scan_parquet(path).select(pl.len()).collect().item()


def _charted(folder: Path, dictionary: str) -> str | None:
    """A table with events whose items a dictionary names; None where there are none."""
    return next((name for name in DICTIONARIES[dictionary] if not _is_empty(folder, name)), None)


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


def ids_in(folder: Path, unit: str) -> pl.Series:
    """The ids of all admissions, or ICU stays, of the extracted tables of a folder."""
    table, key, _ = EPISODES[unit]
    return read_table(folder / f"{table}.parquet", [key])[key]


def last_year(source: Source) -> int:
    """The last calendar year of a source's release."""
    if isinstance(source, Mapping):
        return LAST_YEAR
    if isinstance(source, Prepared):
        return source.last_year
    return release.last_year({"root": str(source)})
