"""The kinds of fault that `faults.py` tries on stages: what is broken, and what must then happen.

A kind is a line of `KINDS`: to add one is to add a line. `expected`:

* `refused`: one line that names file and remedy, exit status 1, no output;
* `same`: the stage succeeds, with the bytes of an undisturbed run;
* `either`: one of the two;
* `counted`: the stage succeeds, and its output says what could not be read;
* `ended`: the process ends in time, by its signal and without a traceback; nothing half-made is
  taken for whole, and the same command then makes the bytes of an undisturbed run.
"""

import csv
import gzip
import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from PIL import Image

Spoil = Callable[[Path], None]


@dataclass(frozen=True)
class Kind:
    """A fault. `suffix`: of the inputs that it spoils; of the stages of `rule` alone, where named.

    `spoil`: changes one input, a path that is a link to the undisturbed one. `prefix`: what stands
    before the job's command. `environment`: what differs there. `signal`: sent at a random moment.
    `twice`: two at once. `room`: whether the disk holds but half of the output. `memory`: MB that
    the kernel allows the job. `wrapper`: see tests/killing.py.
    """

    expected: str
    suffix: str = ""
    rule: str = ""
    spoil: Spoil | None = None
    prefix: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    signal: int = 0
    twice: bool = False
    full_disk: bool = False
    memory: int = 0
    wrapper: str = ""


def replaced(path: Path, data: bytes) -> None:
    """Puts other bytes in the place of a link."""
    path.unlink()
    path.write_bytes(data)


def cut(path: Path) -> None:
    """Leaves the first half."""
    data = path.read_bytes()
    replaced(path, data[: len(data) // 2])


def empty(path: Path) -> None:
    """Leaves no byte."""
    replaced(path, b"")


def garbage(path: Path) -> None:
    """Puts 5,000 random bytes there."""
    replaced(path, os.urandom(5000))


def gone(path: Path) -> None:
    """Removes it."""
    path.unlink()


def folder(path: Path) -> None:
    """Puts a folder there."""
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    """Puts a named pipe there, which nobody writes to."""
    path.unlink()
    os.mkfifo(path)


def dangling(path: Path) -> None:
    """Puts a link to nothing there."""
    path.unlink()
    path.symlink_to("nowhere")


def column_missing(path: Path) -> None:
    """Drops the first column."""
    frame = pl.read_parquet(path)
    path.unlink()
    frame.drop(frame.columns[0]).write_parquet(path)


def bytes_flipped(path: Path) -> None:
    """Flips eight bytes in the middle."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8] = bytes(255 - byte for byte in data[middle : middle + 8])
    replaced(path, bytes(data))


def of_csv(change: Callable[[list[list[str]]], list[list[str]]], end: str = "\r\n") -> Spoil:
    """A change of the rows of a csv.gz, the header first."""

    def spoil(path: Path) -> None:
        rows = list(csv.reader(io.StringIO(gzip.decompress(path.read_bytes()).decode())))
        text = io.StringIO()
        csv.writer(text, lineterminator=end).writerows(change(rows))
        replaced(path, gzip.compress(text.getvalue().encode()))

    return spoil


def of_text(change: Callable[[bytes], bytes], compress: bool = True) -> Spoil:
    """A change of the bytes within a csv.gz."""

    def spoil(path: Path) -> None:
        data = change(gzip.decompress(path.read_bytes()))
        replaced(path, gzip.compress(data) if compress else data)

    return spoil


def index_column(rows: list[list[str]]) -> list[list[str]]:
    """Adds row numbers without a name, as pandas writes them."""
    return [["", *rows[0]], *([str(n), *row] for n, row in enumerate(rows[1:]))]


def ids_as_floats(rows: list[list[str]]) -> list[list[str]]:
    """Writes hadm_id as 29079034.0."""
    place = rows[0].index("hadm_id")
    return [rows[0]] + [
        [f"{v}.0" if n == place and v else v for n, v in enumerate(row)] for row in rows[1:]
    ]


def words_as_ids(rows: list[list[str]]) -> list[list[str]]:
    """Puts a word in the place of the last patient; ids of films and reports are words."""
    place = rows[0].index("subject_id")
    return [*rows[:-1], [*rows[-1][:place], "seven", *rows[-1][place + 1 :]]]


def without_first(rows: list[list[str]]) -> list[list[str]]:
    """Drops the first column."""
    return [row[1:] for row in rows]


def column_twice(rows: list[list[str]]) -> list[list[str]]:
    """Repeats the first column at the end."""
    return [[*row, row[0]] for row in rows]


def short_row(rows: list[list[str]]) -> list[list[str]]:
    """Drops the last field of the last row."""
    return [*rows[:-1], rows[-1][:-1]]


def long_report(rows: list[list[str]]) -> list[list[str]]:
    """One report of 50 MB, in the middle."""
    rows[len(rows) // 2][-1] = "word " * 10_000_000
    return rows


def beside_csv(path: Path) -> None:
    """Puts a plain csv beside, with other content."""
    path.with_suffix("").write_bytes(b"another file, not to be read\n")


def png(path: Path) -> None:
    """Puts a PNG of 16 bits there."""
    picture = io.BytesIO()
    Image.new("I;16", (100, 100)).save(picture, "PNG")
    replaced(path, picture.getvalue())


def tiny(path: Path) -> None:
    """Puts a JPEG of 8 pixels a side there."""
    picture = io.BytesIO()
    Image.new("L", (8, 8)).save(picture, "JPEG")
    replaced(path, picture.getvalue())


TABLE, SOURCE, FILM = ".parquet", ".csv.gz", ".jpg"
KINDS = {
    # what a stage reads from another
    "a table is missing": Kind("refused", TABLE, spoil=gone),
    "a table is cut off": Kind("refused", TABLE, spoil=cut),
    "a table is an empty file": Kind("refused", TABLE, spoil=empty),
    "a table is another file": Kind("refused", TABLE, spoil=garbage),
    "a table is a folder": Kind("refused", TABLE, spoil=folder),
    "a table lacks a column": Kind("either", TABLE, spoil=column_missing),
    "bytes of a table are flipped": Kind("either", TABLE, spoil=bytes_flipped),
    "a JSON file is cut off": Kind("refused", ".json", spoil=cut),
    "weights are cut off": Kind("refused", ".safetensors", spoil=cut),
    "weights are another file": Kind("refused", ".safetensors", spoil=garbage),
    # what surrounds a stage
    "the disk is full": Kind("refused", full_disk=True),
    "the kernel kills for memory": Kind("refused", memory=30),
    "little address space": Kind("either", prefix="ulimit -v 1500000; "),
    "another locale and time zone": Kind(
        "same", environment={"LC_ALL": "C", "TZ": "Asia/Kathmandu"}
    ),
    "the log lies on a full disk": Kind("either", prefix="exec 2> /dev/full; "),
    "few open files": Kind("either", prefix="ulimit -n 64; "),
    "two at once": Kind("same", twice=True),
    # how a stage ends
    "SIGTERM": Kind("ended", signal=15),
    "SIGINT": Kind("ended", signal=2),
    "SIGKILL": Kind("ended", signal=9),
    "SIGTERM while a write hangs": Kind("ended", signal=15, wrapper="deadlock"),
    # source files
    "a csv.gz is cut off": Kind("refused", SOURCE, spoil=cut),
    "bytes of a csv.gz are flipped": Kind("refused", SOURCE, spoil=bytes_flipped),
    "a csv is named csv.gz": Kind("refused", SOURCE, spoil=of_text(lambda d: d, compress=False)),
    "a csv in UTF-16": Kind(
        "refused", SOURCE, spoil=of_text(lambda d: d.decode().encode("utf-16"))
    ),
    "a csv with a byte order mark": Kind(
        "same", SOURCE, spoil=of_text(lambda d: b"\xef\xbb\xbf" + d)
    ),
    "a csv with line ends of Windows": Kind("same", SOURCE, spoil=of_csv(lambda rows: rows)),
    "a csv with pandas' row numbers": Kind("same", SOURCE, spoil=of_csv(index_column, "\n")),
    "a csv without a column": Kind("refused", SOURCE, spoil=of_csv(without_first, "\n")),
    "a csv with a column twice": Kind("refused", SOURCE, spoil=of_csv(column_twice, "\n")),
    "a csv with a short row": Kind("refused", SOURCE, spoil=of_csv(short_row, "\n")),
    "a csv with a word as id": Kind("refused", SOURCE, spoil=of_csv(words_as_ids, "\n")),
    "a csv with an open quotation": Kind("refused", SOURCE, spoil=of_text(lambda d: d + b'1,"')),
    "a csv is a pipe": Kind("refused", SOURCE, spoil=pipe),
    "a csv is a folder": Kind("refused", SOURCE, spoil=folder),
    "a csv beside the csv.gz": Kind("same", SOURCE, spoil=beside_csv),
    "hadm_id as 29079034.0": Kind(
        "same", SOURCE, "extract_table radiology", spoil=of_csv(ids_as_floats, "\n")
    ),
    "a report of 50 MB": Kind(
        "refused", SOURCE, "extract_table radiology", spoil=of_csv(long_report, "\n")
    ),
    # films
    "a film is a pipe": Kind("counted", FILM, spoil=pipe),
    "a film is a folder": Kind("counted", FILM, spoil=folder),
    "a film is empty": Kind("counted", FILM, spoil=empty),
    "a film is cut off": Kind("counted", FILM, spoil=cut),
    "a film is a PNG": Kind("counted", FILM, spoil=png),
    "a film is tiny": Kind("counted", FILM, spoil=tiny),
    "a film is a link to nowhere": Kind("counted", FILM, spoil=dangling),
}
