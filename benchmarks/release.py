"""A release of MIMIC's size as MIMIC's files: csv.gz in MIMIC's folders, films, SHA256SUMS.txt.

A small synthetic hospital, copied with other ids, as the hospital's own numbers go on: all have
MIMIC's eight digits, those of the first copy stay. Readings are made denser, as in source.py.
Reports are those of the hospital, and more of people who were never admitted. Films are those of
some admissions of the first copy, by links. Its patients are copies of each other: what a
model reaches there says nothing.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
from record import REPOSITORY, python
from source import TABLES, zipped

sys.path.insert(0, str(REPOSITORY))

from pipeline.hospital.ids import PER_PATIENT, RANGE, scatter
from pipeline.hospital.settings import CHUNK
from pipeline.stage.digests import digest

IDS = ("subject_id", "hadm_id", "stay_id", "specimen_id")
METADATA = "mimic-cxr-2.0.0-metadata.csv.gz"
CXR = "mimic-cxr-jpg/2.1.0"
SUMS = "SHA256SUMS.txt"
DENSER = {"chartevents": 3, "radiology": 7}  # minutes until a row comes again
READ = "read_csv('{file}', all_varchar = true, header = true, quote = '\"', escape = '\"')"
WRITE = "TO '{pipe}' (FORMAT csv, HEADER {header}, TIMESTAMPFORMAT '%Y-%m-%d %H:%M:%S')"
FILMED = """
    WITH taken AS (
        SELECT DISTINCT m.subject_id, a.hadm_id
        FROM metadata AS m
        INNER JOIN admissions AS a ON
            m.subject_id = a.subject_id
            AND strptime(m.StudyDate, '%Y%m%d')::DATE
            BETWEEN a.admittime::TIMESTAMP::DATE AND a.dischtime::TIMESTAMP::DATE
    ),
    counted AS (
        SELECT subject_id, sum(count(*)) OVER (ORDER BY subject_id) AS admissions
        FROM taken
        GROUP BY subject_id
    )
    SELECT m.* FROM metadata AS m SEMI JOIN counted AS c
    ON m.subject_id = c.subject_id AND c.admissions <= $filmed
"""


@dataclass(frozen=True)
class Size:
    """How large a release is: `copies` of a hospital of so many `patients`.

    `denser`: rows of chartevents for each of the hospital's. `again`: reports for each of its.
    `filmed`: admissions that have films.
    """

    patients: int
    copies: int
    denser: int
    again: int
    filmed: int

    @property
    def numbers(self) -> int:
        """How many patients the hospital has numbered, whole chunks; other rows have more numbers.

        A copy takes `PER_PATIENT` times as many: `again` stays below that.
        """
        return -(-self.patients // CHUNK) * CHUNK


def shifted(column: str, by: int, each: int = 0) -> str:
    """SQL: identifiers as the hospital gives them `by` numbers later, and `each` more per `again`.

    >>> shifted("hadm_id", 1)
    'hadm_id::BIGINT // 10000000 * 10000000 + (hadm_id::BIGINT % 10000000 + 6364137) % 9999991'
    """
    first, *later = scatter(np.array([0, by, each]), 0).tolist()
    number, (step, more) = f"{column}::BIGINT", ((number - first) % RANGE for number in later)
    steps = f"{step} + again * {more}" if each else f"{step}"
    return f"{number} // 10000000 * 10000000 + ({number} % 10000000 + {steps}) % {RANGE}"


def make(folder: Path, size: Size) -> Path:
    """Makes the release where it is not there, table by table; returns its folder."""
    root, small = folder / "release", folder / "hospital"
    if (root / "whole").exists():
        return root
    if not (small / "hospital.json").is_file():  # written last
        making = ("--output", small, "--patients", str(size.patients))
        subprocess.run(python("pipeline.hospital.make", *making), cwd=REPOSITORY, check=True)
    names = {f"{name}.csv.gz" for tables in TABLES.values() for name in tables}
    for path in sorted(path for path in small.glob("mim*/*/*/*.csv.gz") if path.name in names):
        output = root / path.relative_to(small)
        if not output.exists():
            _copy(path, output, size)
            print(f"{output.name}: {output.stat().st_size / 1e6:,.0f} MB", file=sys.stderr)
    _link_films(small, root, size.filmed)
    for dataset in root.glob("*/*"):
        _list_sums(dataset)
    (root / "whole").touch()
    return root


def _copy(path: Path, output: Path, size: Size) -> None:
    """Writes a table of the release from that of the small hospital."""
    name, part = path.name.removesuffix(".csv.gz"), output.with_name(f"{output.name}.part")
    if name.startswith("d_"):
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, output)
        return
    again = {"chartevents": size.denser, "radiology": size.again}.get(name, 1)
    with zipped(part) as pipe, duckdb.connect(config={"threads": 1}) as database:
        database.execute("SET enable_progress_bar = false")
        database.execute(f"CREATE TABLE small AS FROM {READ.format(file=path)}")
        columns = [column for column, *_ in database.execute("FROM small LIMIT 0").description]
        for copy in range(size.copies):
            changed = ", ".join(_changed(name, columns, copy, size))
            database.execute(
                f"COPY (SELECT * EXCLUDE again REPLACE ({changed}) "
                f"FROM small, range({again}) AS a(again)) "
                + WRITE.format(pipe=pipe, header=str(copy == 0).lower())
            )
    part.replace(output)


def _changed(name: str, columns: list[str], copy: int, size: Size) -> Iterator[str]:
    """The columns of a table that differ between copies, as SQL over one copy `again` and again."""
    by = copy * size.numbers * PER_PATIENT
    other = {column: shifted(column, by) for column in IDS if column in columns}
    if "labevent_id" in columns:
        other["labevent_id"] = f"labevent_id::BIGINT + {copy * 10_000_000}"
    if name in DENSER:
        later = f"to_minutes({DENSER[name]} * again)"
        other |= {time: f"{time}::TIMESTAMP + {later}" for time in ("charttime", "storetime")}
    if name == "chartevents":
        other["itemid"] = "CASE WHEN again < 2 THEN itemid::BIGINT ELSE 900000 + again END"
        noise = "hash(stay_id, charttime, itemid) % 20 / 10"
        other["valuenum"] = f"round(valuenum::DOUBLE + again % 2 * ({noise}), 3)"
    if name == "radiology":  # the others are of people who have the numbers between
        other["subject_id"] = shifted("subject_id", by, size.numbers)
        other["note_id"] = f"({other['subject_id']}) || substr(note_id, 9)"
        other["hadm_id"] = f"CASE WHEN again = 0 THEN {other['hadm_id']} END"
    return (f"{sql} AS {column}" for column, sql in other.items())


def _link_films(small: Path, root: Path, filmed: int) -> None:
    """The metadata and, as links, the films of the first patients, who have `filmed` admissions."""
    output = root / CXR / METADATA
    with zipped(output) as pipe, duckdb.connect() as database:
        admissions = small / "mimiciv/3.1/hosp/admissions.csv.gz"
        for name, path in (("metadata", small / CXR / METADATA), ("admissions", admissions)):
            database.execute(f"CREATE TABLE {name} AS FROM {READ.format(file=path)}")
        database.execute(f"CREATE TABLE filmed AS {FILMED}", {"filmed": filmed})
        database.execute(f"COPY filmed {WRITE.format(pipe=pipe, header='true')}")
        films = database.execute("SELECT subject_id, study_id, dicom_id FROM filmed").fetchall()
    for subject, study, dicom in films:
        film = Path(CXR, "files", f"p{subject[:2]}", f"p{subject}", f"s{study}", f"{dicom}.jpg")
        (root / film).parent.mkdir(parents=True, exist_ok=True)
        if not (root / film).exists():
            os.link(small / film, root / film)


def _list_sums(dataset: Path) -> None:
    """Leaves SHA256SUMS.txt as PhysioNet has it beside the files."""
    paths = sorted(path for path in dataset.rglob("*") if path.is_file() and path.name != SUMS)
    lines = (f"{digest(path)}  {path.relative_to(dataset)}\n" for path in paths)
    (dataset / SUMS).write_text("".join(lines))
