"""A csv or csv.gz file of a source: its header line, and its bytes, checked while they are read.

DuckDB names a truncated gzip stream but does not compare checksums: of 120 single flipped bits or
bytes 4 changed values in silence. So a thread unzips the file into a pipe from which DuckDB or
Arrow reads: by ISA-L, in half of DuckDB's time, with every checksum. Imports nothing heavy.
"""

import csv
import gzip
import io
import os
import select
import zlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

from isal import igzip, isal_zlib

from pipeline.common.errors import InputError
from pipeline.common.progress import JobProgress

SUFFIXES = (".csv.gz", ".csv")
CHUNK = 1 << 20  # bytes
_BAD_GZIP: Any = (gzip.BadGzipFile, isal_zlib.error, zlib.error)
_LONGEST_HEADER = 1 << 16  # characters; a "line" beyond that is not a header


def open_bytes(path: Path) -> gzip.GzipFile | io.BufferedReader:
    """Opens the file for reading, through gzip where its name ends in `.gz`."""
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def damage(path: Path, error: Exception) -> InputError:
    """What is wrong with a file that could not be read, in words, without its content."""
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

    Raises `InputError` with the file's name where it is absent, empty, not gzip although its name
    says so, or not text.

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


def check_end(path: Path) -> None:
    """Raises `InputError` where the last line of a plain csv has no end: it was cut off."""
    try:
        with path.open("rb") as binary:
            binary.seek(max(path.stat().st_size - 1, 0))
            last = binary.read()
    except OSError as error:
        raise damage(path, error) from None
    if last not in (b"\r", b"\n", b""):
        raise _cut_off(path)


@contextmanager
def feed(path: Path, count_quotes: bool = False) -> Iterator[str]:
    """Gives a path from which the unzipped bytes of a file may be read, once and in order.

    At the end of the block the whole file was read and checked, in bounded memory. Raises
    `InputError`, also in place of an error of the block, since damage explains a row that cannot
    be read: where a checksum differs, the stream is truncated, the last line has no end or, with
    `count_quotes` (for text within quotes), a quotation is never closed.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)  # a reader that has stopped reading must not hold the thread
    unread, stop = Event(), Event()
    with ThreadPoolExecutor(1) as beside:
        fed = beside.submit(_pour, path, write_end, unread, stop, count_quotes)
        try:
            yield f"/dev/fd/{read_end}"
        except Exception:
            unread.set()
            _ended(fed, stop)
            raise
        except BaseException:  # the job was cancelled
            stop.set()
            raise
        finally:
            unread.set()
            os.close(read_end)
        _ended(fed, stop)


def _ended(fed: Future[None], stop: Event) -> None:
    """Waits until the file was read to its end, or the job is cancelled."""
    try:
        fed.result()
    except BaseException:
        stop.set()
        raise


def _pour(path: Path, pipe: int, unread: Event, stop: Event, count_quotes: bool) -> None:
    """Unzips a file into a pipe; goes on to the file's end, unless stopped, when nobody reads."""
    last, quotes = b"\n", 0
    try:
        # the pipe first: whatever fails closes it, and its reader does not wait for ever
        with os.fdopen(pipe, "wb", buffering=0), path.open("rb") as raw:
            progress = JobProgress(f"reading {path.name}", path.stat().st_size)
            text = igzip.IGzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            while not stop.is_set() and (chunk := text.read(CHUNK)):
                last = chunk[-1:]
                quotes += chunk.count(b'"') if count_quotes else 0
                _write(pipe, chunk, unread)
                progress.reach(raw.tell())
    except (OSError, EOFError, *_BAD_GZIP) as error:
        raise damage(path, error) from None
    if not stop.is_set() and (last not in b"\r\n" or quotes % 2):
        raise _cut_off(path)


def _write(pipe: int, chunk: bytes, unread: Event) -> None:
    rest = memoryview(chunk)
    while rest and not unread.is_set():
        if select.select([], [pipe], [], 0.1)[1]:
            try:
                rest = rest[os.write(pipe, rest) :]
            except BrokenPipeError:
                unread.set()


def _cut_off(path: Path) -> InputError:
    return InputError(f"{path}: the file is cut off in its last row: copy it again")
