"""Reads one source file: columns by their names, rows as a stream, faults explained."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipeline.extract import contracts
from pipeline.extract.csvfile import read_header
from pipeline.extract.failures import NOT_WHOLE, reason
from pipeline.stage.errors import InputError, MemoryShortError
from pipeline.stage.faults import disk_is_full

_ARROW_BLOCK = 8 << 20  # bytes; longer than any report
# bytes of each of DuckDB's many buffers: a little more than its longest row (2 MiB); with its
# default of 32 MB a chartevents.csv.gz takes three times the memory, and no less time
BUFFER = 2_200_000
_FAULTS_OF_FILES = (
    duckdb.ConversionException,
    duckdb.InvalidInputException,
    duckdb.IOException,
    duckdb.NotImplementedException,  # of a row that is longer than the buffer
    duckdb.OutOfRangeException,
)


@dataclass(frozen=True)
class SourceFile:
    """A source file and its contract.

    `header`: the file's columns in order, in lower case. `names`: column of the contract → its
    name in the file.
    """

    path: Path
    contract: contracts.SourceTable
    header: list[str]
    names: dict[str, str]

    @property
    def types(self) -> dict[str, str]:
        """Every column of the file in order → the contract's type, or text where it has none."""
        wanted = {self.names[column]: dtype for column, dtype in self.contract.columns.items()}
        return {name: wanted.get(name, "VARCHAR") for name in self.header}


def inspect(table: str, path: Path, may_lack: Collection[str] = ()) -> SourceFile:
    """Reads the header and finds the contract's columns; `InputError` names what is missing.

    A column without a name, such as the row numbers that pandas writes, is not read. `may_lack`:
    columns of the contract that the file may do without.
    """
    contract = contracts.table(table)
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise InputError(f"{path}: not a file: put the csv.gz or csv of {table} there")
    names = enumerate(read_header(path))
    header = [name.strip().lower() or f"column {number} without a name" for number, name in names]
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise InputError(f"{path}: column(s) {', '.join(twice)} stand twice in the header")
    in_file = contracts.names_in_file(contract, header)
    lacking = [column for column, name in in_file.items() if name is None]
    if missing := [column for column in lacking if column not in may_lack]:
        raise InputError(f"{path}: column(s) {', '.join(missing)} of {table} are missing")
    return SourceFile(path, contract, header, {c: name for c, name in in_file.items() if name})


def quoted(text: str | Path) -> str:
    """A string literal of SQL.

    >>> quoted("o'hara.csv")
    "'o''hara.csv'"
    """
    return "'" + str(text).replace("'", "''") + "'"


def scan(database: duckdb.DuckDBPyConnection, file: SourceFile) -> str:
    """What to select from, as SQL: DuckDB's csv reader, or a stream for text with line breaks.

    All columns and types are stated, so DuckDB guesses nothing from the first rows. Whole numbers
    may be written as 29079034.0, as pandas does where some are missing; one with a fraction is
    refused: DuckDB would round it and Arrow cut it off, to the id of somebody else.
    """
    if file.contract.multiline:
        rows = _register_text(database, file)
    else:
        read_as = {"BIGINT": "DOUBLE"}
        types = ", ".join(
            f"{quoted(name)}: '{read_as.get(dtype, dtype)}'" for name, dtype in file.types.items()
        )
        rows = (
            f"read_csv({quoted(file.path)}, columns = {{{types}}}, header = true, "
            "auto_detect = false, delim = ',', quote = '\"', escape = '\"', nullstr = '', "
            f"buffer_size = {BUFFER})"
        )
    whole = [_whole(name) for name in file.names.values() if file.types[name] == "BIGINT"]
    return f"(SELECT * REPLACE ({', '.join(whole)}) FROM {rows})" if whole else rows


def _whole(name: str) -> str:
    """SQL for a column read as floating-point numbers, as whole ones; a fraction stops the query.

    Floating-point numbers are exact up to 2^53 (ids have eight digits).
    """
    return (
        f'CASE WHEN "{name}" IS NULL THEN NULL '
        f'WHEN "{name}" = trunc("{name}") AND abs("{name}") < 2^53 '
        f'THEN CAST("{name}" AS BIGINT) '
        f'ELSE error({quoted(NOT_WHOLE.format(name))}) END AS "{name}"'
    )


def _register_text(database: duckdb.DuckDBPyConnection, file: SourceFile) -> str:
    """Registers a file with line breaks in quotes as a stream of rows, read by Arrow in order.

    DuckDB's parallel reader starts in the middle and takes a line of text for a row; its sequential
    one holds the whole file in memory. Arrow's stream needs about 0.5 GB, whatever the size.
    """
    import pyarrow as pa
    from pyarrow import csv

    arrow = {
        "BIGINT": pa.float64(),
        "DOUBLE": pa.float64(),
        "TIMESTAMP": pa.timestamp("us"),
        "VARCHAR": pa.string(),
    }
    wanted = {name: arrow[dtype] for name, dtype in file.types.items()}
    try:
        stream = csv.open_csv(
            file.path,
            csv.ReadOptions(
                use_threads=False, block_size=_ARROW_BLOCK, column_names=file.header, skip_rows=1
            ),
            csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(
                column_types=wanted,
                include_columns=list(file.names.values()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except (pa.ArrowException, OSError) as error:
        raise _explain(file, error) from None
    database.register("text_rows", stream)
    return "text_rows"


@contextmanager
def faults_explained(file: SourceFile, memory_mb: int) -> Iterator[None]:
    """Turns a reader's error into an `InputError` that names the file and holds no row."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        if disk_is_full(error):  # of the files that it spills to
            raise
        raise MemoryShortError(f"{file.path}: {memory_mb} MB of memory are too little") from None
    except _FAULTS_OF_FILES as error:
        if disk_is_full(error):
            raise
        raise _explain(file, error) from None


def _explain(file: SourceFile, error: Exception) -> InputError:
    return InputError(f"{file.path}: {reason(str(error), file.header, file.types)}")
