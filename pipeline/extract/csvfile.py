"""A csv or csv.gz file of a source: its header line, and whether it is whole.

DuckDB reports a truncated gzip stream but does not compare checksums: of 120 single flipped bits or
bytes 4 changed values silently; and it drops a last row that is longer than its buffer. So a thread
reads each source file a second time, beside DuckDB, checks every checksum with ISA-L, in a tenth of
DuckDB's time, and counts the rows. (Reading once for both, through a pipe, took half as long again:
DuckDB reads a pipe with one thread.) Imports nothing heavy.
"""

import csv
import gzip
import hashlib
import io
import zlib
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

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


class FileFacts(NamedTuple):
    """What a file is: its rows without the header, as line breaks outside quotations tell them, the
    bytes of its longest line (0 of one within a chunk), and its SHA-256 as it lies on disk."""

    rows: int
    longest: int
    sha256: str


class _Hashed(io.FileIO):
    """A file whose bytes are hashed as they are read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.sha256 = hashlib.sha256()

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes, at most `size`."""
        content = super().read(-1 if size is None else size) or b""
        self.sha256.update(content)
        return content

    def readinto(self, buffer: Any, /) -> int:
        """Fills the buffer with the next bytes, as ISA-L asks for them; how many there were."""
        count = super().readinto(buffer) or 0
        self.sha256.update(memoryview(buffer)[:count])
        return count


class _Lines:
    """Counts line breaks, those within quotations apart where `quoted`, and the longest line."""

    def __init__(self, quoted: bool) -> None:
        self.quoted, self.breaks, self.quotes, self.longest, self._open = quoted, 0, 0, 0, 0

    def add(self, chunk: bytes) -> None:
        """Takes the next bytes of the file."""
        end = b"\n" if b"\n" in chunk else b"\r"  # alone it ends the lines of old Macs
        first = chunk.find(end)
        self._open += len(chunk) if first < 0 else first
        if self._open > CHUNK:
            self.longest = max(self.longest, self._open)
        if first >= 0:
            self._open = len(chunk) - chunk.rfind(end) - 1
        self.breaks += self._outside(chunk) if self.quoted else chunk.count(end)

    def _outside(self, chunk: bytes) -> int:
        import numpy as np

        content = np.frombuffer(chunk, np.uint8)
        quotes, breaks = np.flatnonzero(content == ord('"')), np.flatnonzero(content == ord("\n"))
        before = self.quotes + np.searchsorted(quotes, breaks)
        self.quotes += len(quotes)
        return int(np.count_nonzero(before % 2 == 0))


def verify(path: Path, stop: Event, quoted: bool = False) -> FileFacts:
    """Reads the file in chunks to its end, or until `stop` is set; what it is.

    `quoted`: of text with line breaks in quotations. Raises `InputError` where a checksum differs,
    the stream is truncated, the last line has no end (a plain csv that was cut off) or a quotation
    of such text is never closed.
    """
    last, lines = b"\n", _Lines(quoted)
    try:
        with _Hashed(path) as raw, igzip.open(raw) if path.suffix == ".gz" else raw as binary:
            while not stop.is_set() and (chunk := binary.read(CHUNK)):
                last = chunk[-1:]
                lines.add(chunk)
    except (OSError, EOFError, *_BAD_GZIP) as error:
        raise damage(path, error) from None
    if not stop.is_set() and (last not in b"\r\n" or lines.quotes % 2):
        raise InputError(f"{path}: the file is cut off in its last row: copy it again")
    return FileFacts(lines.breaks - 1, lines.longest, raw.sha256.hexdigest())


def count_rows(path: Path) -> int:
    """The rows without the header, blank lines left out, as Python's own reader finds them: exact,
    and slow; for a file whose line breaks are not its rows."""
    csv.field_size_limit(1 << 30)
    try:
        with open_bytes(path) as binary:
            reader = csv.reader(io.TextIOWrapper(binary, encoding="utf-8-sig", newline=""))
            return sum(map(bool, reader)) - 1
    except (OSError, EOFError, *_BAD_GZIP, UnicodeDecodeError, csv.Error) as error:
        raise damage(path, error) from None
