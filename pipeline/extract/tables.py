"""Extracts one source table, csv or csv.gz, to typed zstd parquet: the columns of its contract.

Columns are found by name, in any case and at any position; rows keep the order of the file; empty
fields are null. Exactly repeated rows are written once in a table with a key; in a table without
one they are kept (and counted where that is cheap), and the stages that read it drop them. With
`--sample 0.01` only that share of the subjects is kept. A file that is refused leaves no output.
"""

import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import NamedTuple

import duckdb

from pipeline.extract.contracts import TABLES
from pipeline.extract.csvfile import FileFacts, count_rows, verify
from pipeline.extract.failures import difference
from pipeline.extract.reading import BUFFER, SourceFile, faults_explained, inspect, quoted, scan
from pipeline.stage import digests, owner
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect, sql_beside, watched
from pipeline.stage.errors import InputError
from pipeline.stage.faults import size_in_words
from pipeline.stage.files import whole
from pipeline.stage.privacy import shown, shown_part, tell, warn

ROW_GROUP = 64 * 1024  # rows
ROW_GROUP_TEXT = 8 * 1024  # rows of free text, about 10 MB
COUNTED = 1_000_000  # rows up to which duplicates are counted: a quarter of a second
# A subject's number in [0, 1) depends on its id alone, so a larger sample holds every subject of a
# smaller one. Its salt is not the split's: else a sample would consist of training subjects only.
# (A join with the sampled subjects would lose the order of the rows and hold a table in memory.)
SAMPLED = "md5_number_lower('sample:' || subject_id) / 2^64"


class Extracted(NamedTuple):
    """`rows` that were written, and exactly `repeated` rows of the file that were dropped."""

    rows: int
    repeated: int


def extract(
    table: str,
    source_file: Path,
    output: Path,
    *,
    sample: float = 1.0,
    threads: int = 1,
    memory_mb: int = 2000,
    temp: str | Path,
    may_lack: Collection[str] = (),
) -> Extracted:
    """Writes the table's contract columns (and derived ones) to `output`.

    `sample` < 1 keeps that share of the subjects; tables without subjects stay whole. `may_lack`:
    columns that are null throughout where the file does not have them.
    `InputError` with the file's name, never with a row, where the file is absent, truncated,
    damaged or no csv, lacks a column, holds a value of another type or a row longer than the
    reader's buffer, has a key in rows that differ, or changes while it is read.
    """
    if not 0 < sample <= 1:
        raise InputError(f"sample is {sample}: expected a share of the subjects, in (0, 1]")
    before, start = _state(source_file), time.monotonic()
    file = inspect(table, source_file, may_lack)
    with connect(threads, memory_mb, temp) as database, whole(output) as part:
        read, facts = _copy_verified(database, file, part, sample, memory_mb)
        _check_state(source_file, before)
        repeated = _drop_repeats(database, file, part)
        rows = read - repeated
        seconds = time.monotonic() - start
        tell(f"{table}: %s rows in {seconds:.1f} s, %s", rows, source_file)
        _log_counts(database, file, part, Extracted(rows, repeated))
        owner.check(output)
        record = digests.beside(output, digests.SOURCE)  # for `make verify`
        record.unlink(missing_ok=True)  # absent for a moment, never that of another table
    if owner.owned():
        with whole(record) as part:
            part.write_text(f"{facts.sha256}  {source_file}\n")
    return Extracted(rows, repeated)


def _state(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_size, status.st_mtime_ns


def _check_state(path: Path, before: tuple[int, int, int]) -> None:
    """Raises `InputError` where a file is not the one, or not as, it was before it was read."""
    if _state(path) != before:
        raise InputError(f"{path}: it changed while it was read: run the same command again when "
                         "nobody writes it any more")  # fmt: skip


def _select(file: SourceFile, rows: str, sample: float) -> str:
    """The query for the contract's columns and the derived ones, of the sampled subjects."""
    columns = ", ".join(
        f'"{file.names[column]}" AS "{column}"'
        if column in file.names
        else f'CAST(NULL AS {dtype}) AS "{column}"'
        for column, dtype in file.contract.columns.items()
    )
    derived = "".join(f', {sql} AS "{name}"' for name, sql in file.contract.derived.items())
    only = f" WHERE {SAMPLED} < {sample!r}" if sample < 1 and "subject_id" in file.names else ""
    return f"SELECT *{derived} FROM (SELECT {columns} FROM {rows}){only}"


def _copy_verified(
    database: duckdb.DuckDBPyConnection,
    file: SourceFile,
    part: Path,
    sample: float,
    memory_mb: int,
) -> tuple[int, FileFacts]:
    """Copies the rows to parquet while a thread checks that the file is whole, and counts."""
    stop = Event()
    with ThreadPoolExecutor(1) as beside:
        whole_file = beside.submit(verify, file.path, stop, file.contract.multiline)
        try:
            name = f"reading {file.path.name}"
            with faults_explained(file, memory_mb), watched(database, name):
                rows = _copy(database, file, part, sample)
        except InputError:
            # damage explains an unreadable row, so it is reported first
            _check_longest(file, whole_file.result())
            raise
        except BaseException:
            stop.set()
            raise
        facts = whole_file.result()
    _check_longest(file, facts)
    # a sample leaves rows out, and is read by the same reader
    if sample == 1 and facts.rows != rows and (there := count_rows(file.path)) != rows:
        raise InputError(
            f"{file.path}: {shown(there)} rows in the file, {shown_part(rows, there)} were read: "
            "copy it again"
        )
    return rows, facts


def _check_longest(file: SourceFile, facts: FileFacts) -> None:
    """Raises `InputError` for a line longer than DuckDB's buffer: it drops one that is the last."""
    if facts.longest > BUFFER and not file.contract.multiline:
        raise InputError(
            f"{file.path}: a line of {size_in_words(facts.longest)}, where a row has at most"
            f" {size_in_words(BUFFER)}: a quotation that is never closed, or damage: copy it again"
        )


def _copy(database: duckdb.DuckDBPyConnection, file: SourceFile, part: Path, sample: float) -> int:
    return _write(database, file, part, _select(file, scan(database, file), sample))


def _write(database: duckdb.DuckDBPyConnection, file: SourceFile, part: Path, query: str) -> int:
    row_group = ROW_GROUP_TEXT if file.contract.multiline else ROW_GROUP
    copied = database.execute(
        f"COPY ({query}) TO {quoted(part)} "
        f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {row_group})"
    ).fetchone()
    return int(copied[0]) if copied else 0


def _drop_repeats(database: duckdb.DuckDBPyConnection, file: SourceFile, part: Path) -> int:
    """Writes the table again without exactly repeated rows, if it has any; returns their number.

    `InputError` where a key has rows that differ: nothing tells which of them is right.
    """
    if not (key := ", ".join(file.contract.key)):
        return 0
    names = {"written": quoted(part), "key": key}
    database.execute(sql_beside(__file__, "tables_repeats.sql").format(**names))
    repeated, differing = database.sql("FROM repeats").fetchall()[0]
    if differing:
        raise InputError(
            f"{file.path}: {shown(differing)} values of {key}, which identify a row, have several "
            "rows that differ: copy the file again, or remove the wrong rows"
        )
    if repeated:
        with whole(part) as again:
            _write(database, file, again, "FROM once")
    return int(repeated)


def _log_counts(
    database: duckdb.DuckDBPyConnection, file: SourceFile, part: Path, made: Extracted
) -> None:
    """Logs what later stages must deal with: duplicates, and derived values that are null."""
    rows = made.rows
    database.execute(f"CREATE TEMP VIEW extracted AS SELECT * FROM read_parquet({quoted(part)})")
    for name in file.contract.derived:
        nulls = database.execute(f'SELECT count(*) - count("{name}") FROM extracted').fetchone()
        tell("  %s cannot be read in %s rows: null there", name, nulls[0] if nulls else 0)
    if file.contract.key:
        tell("  %s exactly repeated rows, dropped", made.repeated)
    elif rows <= COUNTED:
        query = sql_beside(__file__, "tables_duplicates.sql")
        duplicates = database.execute(query).fetchone()
        tell("  %s duplicated rows, kept", duplicates[0] if duplicates else 0)


def main() -> None:
    """Extracts one table."""
    options = parser(__doc__)
    options.add_argument("--table", required=True, choices=list(TABLES), help="which table")
    options.add_argument("--source-file", type=Path, required=True, help="its csv or csv.gz")
    options.add_argument("--output", type=Path, required=True, help="parquet to write")
    options.add_argument("--sample", type=float, default=1.0, help="share of subjects to keep")
    options.add_argument("--expected-rows", type=int, help="rows that the release has")
    options.add_argument("--expected-in", default="its release", help="which release that is")
    add_resource_arguments(options)
    arguments = options.parse_args()
    made = extract(
        arguments.table,
        arguments.source_file,
        arguments.output,
        sample=arguments.sample,
        threads=arguments.threads,
        memory_mb=arguments.memory_mb,
        temp=arguments.temp,
    )
    if arguments.expected_rows is None:
        return
    rows = made.rows + made.repeated  # of the file: a repeated row makes it differ, too
    if line := difference(arguments.table, arguments.expected_rows, arguments.expected_in, rows):
        warn(line)
    else:
        tell(f"  as many rows as {arguments.expected_in} has")


if __name__ == "__main__":
    run(main)
