"""What the cohort room reads: source tables, a csv of ids; each checked.

And what it asks of them: its queries and the views that these share.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipeline.cohort.definitions import plain
from pipeline.cohort.settings import LISTED_BY, key_of
from pipeline.cohort.task import LOCATED, view_file
from pipeline.stage.errors import InputError
from pipeline.stage.modules import ROOT
from pipeline.stage.privacy import shown, tell

TIMES = {  # tables of events that name an ICU stay → their column of times
    "chartevents": "charttime",
    "outputevents": "charttime",
    "inputevents": "starttime",
    "procedureevents": "starttime",
}


def require(frame: pl.DataFrame, name: str, columns: Iterable[str], key: str | None) -> None:
    """Checks that the table `name` has `columns` and that its `key` is never null nor repeats.

    Raises `InputError` with the table's name and the number of rows.

    >>> patients = pl.DataFrame({"subject_id": [1] * 12})
    >>> require(patients, "patients", ("subject_id",), key="subject_id")
    Traceback (most recent call last):
    pipeline.stage.errors.InputError: patients: subject_id repeats in 11 row(s), expected once each
    """
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise InputError(f"{name}: column(s) {', '.join(missing)} missing; extract the table again")
    if key is None:
        return
    if nulls := frame[key].null_count():
        raise InputError(f"{name}: {key} is null in {shown(nulls)} row(s), expected in none")
    if repeats := frame.height - frame[key].n_unique():
        raise InputError(f"{name}: {key} repeats in {shown(repeats)} row(s), expected once each")


def read_ids(path: str | Path, names: Sequence[str] = LISTED_BY) -> pl.DataFrame:
    """A cohort given as a csv: the distinct whole numbers of the first column of `names` it has.

    Other columns are ignored, and so are rows where all of these columns are empty. Returns one
    column, Int64, in order. `InputError` where the file cannot be read, lacks such a column, holds
    something else than whole numbers, or names in some rows an admission or patient alone; no value
    is ever shown.
    """
    try:
        frame = pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path}: not a readable csv ({type(error).__name__})") from error
    if not (key := key_of(frame.columns, names)):
        raise InputError(
            f"{path}: no column {', '.join(names)} among {len(frame.columns)} column(s);"
            " expected a csv with commas whose first line names the columns, one stay, admission or"
            " patient per line"
        )
    named = [name for name in names if name in frame.columns]
    cells = frame.select(pl.col(named).str.strip_chars().replace("", None))
    rows = cells.filter(pl.any_horizontal(pl.all().is_not_null()))
    if empty := rows[key].null_count():
        raise InputError(
            f"{path}: {key} is empty in {shown(empty)} row(s) that name a {' or '.join(named[1:])};"
            f" fill it, or remove the column {key} to list by {named[1]}"
        )
    tell(f"{path}: the cohort is listed by {key}")
    text = rows[key]
    ids = text.str.replace(r"\.0+$", "").cast(pl.Int64, strict=False)  # as pandas writes them
    if ids.null_count():
        raise InputError(f"{path}: {key} is no whole number in {shown(ids.null_count())} row(s)")
    return ids.unique().sort().to_frame()


def register_ids(database: duckdb.DuckDBPyConnection, path: str | None) -> None:
    """Makes a cohort's csv known to the database as `ids`: hadm_id, stay_id; empty without one.

    A list of stays names them by stay_id; one of admissions or patients has their hadm_id, and null
    as stay_id. An id that the source does not have keeps a row, without hadm_id.
    """
    if path is None:
        database.register("ids", pl.DataFrame(schema={"hadm_id": pl.Int64, "stay_id": pl.Int64}))
        return
    listed = read_ids(path)
    key = listed.columns[0]
    database.register("listed", listed)
    stay, table = ("stay_id", "icustays") if key == "stay_id" else ("NULL::BIGINT", "admissions")
    query = f"SELECT {table}.hadm_id, {stay} AS stay_id FROM listed LEFT JOIN {table} USING ({key})"
    database.register("ids", database.sql(query).pl())


def open_tables(database: duckdb.DuckDBPyConnection, paths: Mapping[str, str]) -> None:
    """Makes parquet tables, name → path, known to the database without reading them."""
    for name, path in paths.items():
        try:
            database.read_parquet(path).create_view(name)
        except duckdb.Error as error:
            kind = type(error).__name__
            raise InputError(f"{path}: not a readable parquet table ({kind})") from error


def make_views(
    database: duckdb.DuckDBPyConnection, names: Iterable[str], settings: Mapping[str, Any]
) -> None:
    """Makes views of this room (`views/`) known to the database, in the order of their names.

    Each is answered once, here; but `located_<table>` is read in place whenever it is asked.
    """
    for name in names:
        if name.startswith(LOCATED):
            table = name.removeprefix(LOCATED)
            text = view_file(name).read_text().format(table=table, time=TIMES[table])
            with _absent_named(name):
                database.execute(f"CREATE OR REPLACE VIEW {name} AS {text}")
        else:
            database.register(name, answer(database, view_file(name), settings))


def answer(
    database: duckdb.DuckDBPyConnection, query: str | Path, settings: Mapping[str, Any]
) -> pl.DataFrame:
    """What a query, a file of SQL, returns; of the `settings` it gets those that it names.

    `query`: a path, or one below the repository. A long name of a column may be broken over lines:
    white space in it is made one blank. `InputError` where it reads a table or column that is not
    there.
    """
    path = ROOT / query
    text = plain(path.read_text())
    named = {name: value for name, value in settings.items() if f"${name}" in text}
    with _absent_named(path.name):
        rows = database.sql(text, params=named).pl()
    return rows.rename({name: " ".join(name.split()) for name in rows.columns})


@contextmanager
def _absent_named(query: str) -> Iterator[None]:
    """`InputError` where a query asks for a table or column that is not there."""
    try:
        yield
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        told = "\n".join(line for line in str(error).splitlines() if line.strip())
        if "Table with name" in told:  # a typo in a column needs another remedy
            told += (
                "\na table or view must be named in the query's first comment: Tables: …, Views: …"
            )
        raise InputError(f"{query} asks for a table or column that is not there: {told}") from error
