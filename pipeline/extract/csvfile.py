"""A csv or csv.gz file of a source: its header line, and whether it is whole.

DuckDB reports a truncated gzip stream but does not compare checksums: of 120 single flipped bits or
bytes 4 changed values silently. So a thread reads each source file a second time, beside DuckDB,
and checks every checksum with ISA-L, in a tenth of DuckDB's time. (Reading once for both, through a
pipe, took half as long again: DuckDB reads a pipe with one thread.) Imports nothing heavy.
"""

import csv
import gzip
import io
import zlib
from pathlib import Path
from threading import Event
from typing import Any

from isal import igzip, isal_zlib

from pipeline.stage.errors import InputError

SUFFIXES = (".csv.gz", ".csv")
CHUNK = 1 << 20  # bytes
_BAD_GZIP: Any = (gzip.BadGzipFile, isal_zlib.error, zlib.error)
_LONGEST_HEADER = 1 << 16  # characters; a "line" beyond that is not a header


def open_bytes(path: Path) -> gzip.GzipFile | io.BufferedReader:
    """Opens the file for reading, through gzip where its name ends in `.gz`."""
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def damage(path: Path, error: Exception) -> InputError:
    """The error that says what is wrong with a file that could not be read, without its content."""
    if isinstance(error, EOFError):
        reason = "the gzip stream is truncated: copy the file again"
    elif isinstance(error, _BAD_GZIP):
        reason = "not a gzip file, or a damaged one: copy it again (is it a renamed .csv?)"
    elif isinstance(error, OSError):
        reason = f"cannot be read ({error.strerror or type(error).__name__})"
    else:
        reason = "not a csv file in UTF-8"
    return InputError(f"{path}: {reason}")


def read_rows(path: Path, count: int) -> list[list[str]]:
    """The first `count` rows, the header included, as text; fewer where the file is shorter."""
    try:
        with open_bytes(path) as binary:
            lines = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
            head = (lines.readline(_LONGEST_HEADER) for _ in range(count))
            return list(csv.reader(line for line in head if line))
    except (OSError, EOFError, *_BAD_GZIP, UnicodeDecodeError, csv.Error) as error:
        raise damage(path, error) from None


def read_header(path: Path) -> list[str]:
    """The column names, as they stand in the file.

    Raises `InputError` with the file's name where it is absent, empty, not text, or not gzip
    although its name ends in `.gz`.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "d_labitems.csv.gz"
    >>> with gzip.open(file, "wt") as text:
    ...     _ = text.write('itemid,"label",fluid\\n50801,a,Blood\\n')
    >>> read_header(file)
    ['itemid', 'label', 'fluid']
    """
    rows = read_rows(path, 1)
    if not rows or not any(rows[0]):
        raise InputError(f"{path}: the file is empty: copy it again")
    return rows[0]


def verify(path: Path, stop: Event, count_quotes: bool = False) -> None:
    """Reads the file in chunks to its end, or until `stop` is set.

    Raises `InputError` where a checksum differs, the stream is truncated, the last line has no
    end (a plain csv that was cut off) or, with `count_quotes` (for text in quotes), a quotation is
    never closed.
    """
    last, quotes = b"\n", 0
    try:
        with igzip.open(path) if path.suffix == ".gz" else path.open("rb") as binary:
            if path.suffix != ".gz" and not count_quotes:  # no checksum: the end is enough
                binary.seek(max(path.stat().st_size - 1, 0))
            while not stop.is_set() and (chunk := binary.read(CHUNK)):
                last = chunk[-1:]
                quotes += chunk.count(b'"') if count_quotes else 0
    except (OSError, EOFError, *_BAD_GZIP) as error:
        raise damage(path, error) from None
    if not stop.is_set() and (last not in b"\r\n" or quotes % 2):
        raise InputError(f"{path}: the file is cut off in its last row: copy it again")
