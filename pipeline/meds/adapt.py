"""Reads a MEDS data set as tables of the source: what MIMIC-IV would have held of it.

    python -m pipeline.meds.adapt --root /data/meds --codes pipeline/meds/mimic_iv.csv
        --output results/source/patients.parquet …

Any MEDS data set, by one csv of its codes (`pipeline.meds.codes`). The tables have the columns of
`pipeline.extract.contracts`, so that all that follows (cohort, labels, events, encoders) is the
same as of MIMIC-IV. Of the columns beyond MEDS' own hadm_id, icustay_id (or stay_id), order_id,
unit, statusdescription and charttime are read where they are there. Without charttime a row's time
is when it was charted, and counts as when it was known; with it, time is when it was known. An
admission that has no id gets one by its times, and so do readings.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import polars as pl

from pipeline.extract.contracts import TABLES as CONTRACTS
from pipeline.extract.tables import SAMPLED
from pipeline.meds.codes import lacking, meanings, read_codes
from pipeline.meds.source import data_files
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect, sql_beside, watched
from pipeline.stage.errors import InputError
from pipeline.stage.files import whole
from pipeline.stage.privacy import shown, shown_part, tell, warn

CORE = {"subject_id": "BIGINT", "time": "TIMESTAMP", "code": "VARCHAR"}
MORE = {  # ours: names in data sets, and the type; null where there is none
    "text_value": (("text_value",), "VARCHAR"),
    "hadm_id": (("hadm_id",), "BIGINT"),
    "stay_id": (("icustay_id", "stay_id"), "BIGINT"),
    "charted": (("charttime",), "TIMESTAMP"),
    "told_unit": (("unit",), "VARCHAR"),
    "order_id": (("order_id",), "BIGINT"),
    "status": (("statusdescription",), "VARCHAR"),
}
ADMISSIONS = {"name": "admitted", "began": "admission", "ended": "discharge", "id": "hadm_id",
              "base": 20_000_000}  # fmt: skip
STAYS = {"name": "monitored", "began": "icu_admission", "ended": "icu_discharge", "id": "stay_id",
         "base": 30_000_000}  # fmt: skip
NAMED = "hadm_id IS NOT NULL AND signal IN ('insurance', 'language', 'marital_status', 'race')"


def columns_of(database: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Column → type of the data set, the view `data`."""
    return {row[0]: row[1] for row in database.execute("DESCRIBE data").fetchall()}


def open_data(database: duckdb.DuckDBPyConnection, root: str, sample: float = 1.0) -> set[str]:
    """Makes the data set known as the view `events`; the names of ours (`MORE`) that it has.

    `InputError` where it cannot be read, or lacks a column of MEDS.
    """
    files = ", ".join(f"'{file}'" for file in data_files(root))
    try:
        database.execute(f"CREATE VIEW data AS FROM read_parquet([{files}], union_by_name = true)")
        there = columns_of(database)
    except duckdb.Error as error:
        raise InputError(f"{root}: its data are no readable parquet ({type(error).__name__}); "
                         "expected a MEDS data set") from error  # fmt: skip
    if missing := [name for name in CORE if name not in there]:
        raise InputError(f"{root}: its data lack {', '.join(missing)}; expected a MEDS data set")
    parts, found = [f"CAST({name} AS {kind}) AS {name}" for name, kind in CORE.items()], set()
    for name, kind in CORE.items():
        refuse_lost(database, root, name, kind)
    for name, (names, kind) in MORE.items():
        column = next((one for one in names if one in there), None)
        parts.append(f"TRY_CAST({column or 'NULL'} AS {kind}) AS {name}")
        found |= {name} if column else set()
        if column:
            refuse_lost(database, root, column, kind)
    # a 32-bit number by its shortest decimals, as the source had them: 36.7, not 36.70000076
    number = "CAST(NULL AS DOUBLE)"
    if "numeric_value" in there:
        refuse_lost(database, root, "numeric_value", "DOUBLE")
        as_text = "CAST(numeric_value AS VARCHAR)"
        number = (
            f"CAST({as_text if there['numeric_value'] == 'FLOAT' else 'numeric_value'} AS DOUBLE)"
        )
    only = f" WHERE {SAMPLED} < {sample!r}" if sample < 1 else ""
    database.execute(
        f"CREATE VIEW events AS SELECT {', '.join(parts)}, {number} AS number FROM data{only}"
    )
    return found


def refuse_lost(database: duckdb.DuckDBPyConnection, root: str, column: str, kind: str) -> None:
    """`InputError` where a value of a column is not of its type: it would be lost, not read."""
    if kind == columns_of(database)[column] or kind == "VARCHAR":
        return
    query = f"SELECT count(*) FROM data WHERE {column} IS NOT NULL AND TRY_CAST({column} AS {kind})"
    if kind == "BIGINT":  # a cast would round 500.7
        as_number = f"TRY_CAST({column} AS DOUBLE)"
        query = f"{query} IS NULL OR {as_number} <> floor({as_number})"
    else:
        query = f"{query} IS NULL"
    lost = (database.execute(query).fetchone() or [0])[0]
    if lost:
        wanted = {"BIGINT": "whole numbers", "DOUBLE": "numbers"}.get(kind, "times")
        raise InputError(f"{root}: {column} holds what are no {wanted} in {shown(lost)} row(s)")


def make_spans(database: duckdb.DuckDBPyConnection) -> None:
    """Admissions, ICU stays and patients, from events that are no readings."""
    database.execute(sql_beside(__file__, "adapt_facts.sql"))
    text = sql_beside(__file__, "adapt_spans.sql")
    for fields in (ADMISSIONS, STAYS):
        database.execute(text.format(**fields))
    named = database.execute(f"SELECT count(*) > 0 FROM facts WHERE {NAMED}").fetchone()
    database.execute(sql_beside(__file__, "adapt.sql").format(named=(named or [False])[0]))


def has_values(
    database: duckdb.DuckDBPyConnection, column: str, found: set[str], view: str = "events"
) -> bool:
    """Whether a column that is there says anything."""
    query = f"SELECT 1 FROM {view} WHERE {column} IS NOT NULL LIMIT 1"
    return column in found and bool(database.execute(query).fetchall())


def locate(database: duckdb.DuckDBPyConnection, found: set[str]) -> None:
    """The views of readings, each with its admission and stay.

    Where no reading names one (ids may stand on admissions alone) it is of the one it falls into.
    """
    hits = "SELECT * FROM charted_events"
    # ids may stand on admissions or stays alone
    if not has_values(database, "stay_id", found, "charted_events"):
        within = "h.charttime <= s.outtime"
        hits = (
            f"SELECT h.* REPLACE (CASE WHEN {within} THEN s.stay_id END AS stay_id,"
            f" coalesce(h.hadm_id, CASE WHEN {within} THEN s.hadm_id END) AS hadm_id)"
            f" FROM ({hits}) AS h ASOF LEFT JOIN icustays AS s"
            " ON h.subject_id = s.subject_id AND h.charttime >= s.intime"
        )
    if not has_values(database, "hadm_id", found, "charted_events"):
        hits = (
            "SELECT h.* REPLACE (coalesce(h.hadm_id, CASE WHEN h.charttime <= a.dischtime"
            f" THEN a.hadm_id END) AS hadm_id) FROM ({hits}) AS h ASOF LEFT JOIN admissions AS a"
            " ON h.subject_id = a.subject_id AND h.charttime >= a.admittime"
        )
    database.execute(f"CREATE VIEW hits AS {hits}")
    database.execute(sql_beside(__file__, "adapt_events.sql"))


def report_turned(database: duckdb.DuckDBPyConnection) -> None:
    """Says of how many infusions and procedures the record has a start or an end alone."""
    query = """
        SELECT count(*) FILTER (WHERE no_start), count(*) FILTER (WHERE event = 'start') - count(*)
        FILTER (WHERE event = 'end' AND NOT no_start), count(*) FILTER (WHERE event = 'start')
        FROM turned"""
    ends, starts, total = database.execute(query).fetchone() or (0, 0, 0)
    if ends:
        warn("%s ends of infusions or procedures have no start, and are left out", ends)
    if starts:
        warn("%s of %s infusions and procedures have no end: they run on",
             shown_part(starts, total), total)  # fmt: skip


def write(database: duckdb.DuckDBPyConnection, name: str, path: Path) -> int:
    """Writes a table with the columns of its contract, null where MEDS has none; its rows."""
    there = {row[0] for row in database.execute(f"DESCRIBE {name}").fetchall()}
    columns = [f"CAST({column if column in there else 'NULL'} AS {kind}) AS {column}"
               for column, kind in CONTRACTS[name].columns.items()]  # fmt: skip
    with whole(path) as part, watched(database, f"reading {name}"):
        query = f"SELECT {', '.join(columns)} FROM {name}"
        database.execute(f"COPY ({query}) TO '{part}' (FORMAT parquet, COMPRESSION zstd)")
    count = database.execute(f"SELECT count(*) FROM '{path}'").fetchone()
    return int(count[0]) if count else 0


def report(found: pl.DataFrame, codes: Mapping[str, int], known: set[str], root: str) -> None:
    """Says what the data set is: times, codes that are read, signals that it lacks, its units.

    `InputError` where it has no admission.
    """
    if "admission" not in set(found["signal"]):
        raise InputError(f"{root}: none of its {len(codes):,} codes is an admission by the csv of "
                         "codes; set source.codes to one that describes this data set")  # fmt: skip
    if "charted" not in known:
        warn("the source is MEDS: its times are chart times, so that what was stored later than it "
             "was charted is taken as known earlier")  # fmt: skip
    rows = sum(codes[code] for code in found["code"])
    total = sum(codes.values())
    tell(f"{found.height:,} of {len(codes):,} codes are read, %s of %s events",
         shown_part(rows, total), total)  # fmt: skip
    if missing := lacking(found):
        warn(f"signals that the data set lacks: {', '.join(missing)}")
    warn_of_units(other_units(found))


def other_units(found: pl.DataFrame) -> list[str]:
    """Codes whose own unit, their last part, is not the one that they are read in.

    That is the csv's, or, where it says none, that of the signal's first item in MIMIC-IV, as
    which it is read; a line per signal. A unit of the csv that is not that item's, without a scale,
    is told as well.

    >>> found = pl.DataFrame({"signal": ["creatinine"], "unit": ["mg/dL"], "parts": [["umol/L"]],
    ...                       "source": ["labevents"], "scale": [1.0], "shift": [0.0]})
    >>> other_units(found)
    ['creatinine: in umol/L, read as mg/dL']
    """
    first = {one.signal: one.unit for one in reversed(read_codes()) if one.unit}
    told = found.drop_nulls("source").with_columns(
        own_unit=pl.col("signal").replace_strict(first, default="", return_dtype=pl.String)
    )
    told = told.with_columns(
        read=pl.when(pl.col("unit") != "").then("unit").otherwise("own_unit"),
        last=pl.col("parts").list.last(),
    )
    unscaled = told.filter(scale=1.0, shift=0.0)
    return [*_differing(told, "last", "read"), *_differing(unscaled, "unit", "own_unit")]


def told_units(database: duckdb.DuckDBPyConnection) -> list[str]:
    """The same of the units in a column of their own."""
    told = database.sql(
        "SELECT DISTINCT signal, told_unit AS told, unit FROM events JOIN meanings USING (code) "
        "WHERE source IS NOT NULL AND told_unit IS NOT NULL"
    ).pl()
    return _differing(told, "told", "unit")


def _differing(told: pl.DataFrame, one: str, other: str) -> list[str]:
    """A line per signal of which two units are told, and differ by more than capitals."""
    differs = pl.col(one).str.to_lowercase() != pl.col(other).str.to_lowercase()
    there = (pl.col(one) != "") & (pl.col(other) != "") & (pl.col(one) != "UNK")
    rows = told.filter(differs & there).select("signal", a=one, b=other).unique()
    return [f"{signal}: in {a}, read as {b}" for signal, a, b in rows.sort("signal", "a").rows()]


def warn_of_units(lines: Sequence[str]) -> None:
    """Says of which signals the unit is another, or another name of the same."""
    for line in dict.fromkeys(lines):
        warn(f"{line}, unconverted; if it is another unit, give the code a row with its scale")


def adapt(
    root: str, codes: str, outputs: Sequence[Path], threads: int, memory_mb: int,
    temp: str | Path, sample: float = 1.0,
) -> None:  # fmt: skip
    """Writes the tables `<table>.parquet` of a data set, and says what it is.

    `codes`: csv of its codes; `sample`: share of subjects. `InputError` where the data set cannot
    be read.
    """
    rows = read_codes(codes)
    with connect(threads, memory_mb, temp) as database:
        known = open_data(database, root, sample)
        there = dict(database.execute("SELECT code, count(*) FROM events GROUP BY code").fetchall())
        found = meanings([code for code in there if code], rows)
        if not has_values(database, "charted", known):
            known -= {"charted"}
        report(found, there, known, root)
        database.register("meanings", found.to_arrow())
        if "told_unit" in known:
            warn_of_units(told_units(database))
        make_spans(database)
        locate(database, known)
        report_turned(database)
        for path in outputs:
            tell(f"{path.stem}: %s rows", write(database, path.stem, path))


def main() -> None:
    """Reads the codes, then writes one table after the other."""
    options = parser(__doc__)
    add = options.add_argument
    add("--root", required=True, help="folder of the data set, with data/ in it")
    add("--codes", required=True, help="csv: code, signal, unit, scale")
    add("--sample", type=float, default=1.0, help="share of subjects to keep")
    add("--output", type=Path, nargs="+", required=True, help="<table>.parquet of each table")
    add_resource_arguments(options)
    asked = options.parse_args()
    adapt(asked.root, asked.codes, asked.output, asked.threads, asked.memory_mb, asked.temp,
          asked.sample)  # fmt: skip


if __name__ == "__main__":
    run(main)
