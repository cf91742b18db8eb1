"""Seeded mutations of source files of a small hospital: refused, counted, harmless, or unseen?

    python benchmarks/mutations.py --folder /tmp/mutations --seeds 100 --output mutations.json

Each seed damages one table in one way and extracts it as the workflow does; where the table comes
out different without a word, episodes and events are selected from it, too. Verdicts:

* refused: one line that names the file, exit status 1;
* counted: a line of a log gives another count than that of the undisturbed hospital;
* harmless: the extracted table has the same rows;
* seen by make verify: values that could be true ones: `make verify` alone sees them, and does here;
* unseen: not even that sees them;
* traceback: a defect of the pipeline. Exit status 1 if there is one, or one unseen.
"""

import argparse
import contextlib
import gzip
import io
import json
import logging
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl
from first_stages import hospital, settings
from record import REPOSITORY, python

from pipeline.extract import tables
from pipeline.extract.contracts import TABLES
from pipeline.plan.verify import verify_results
from pipeline.stage import owner
from pipeline.stage.errors import InputError

PATIENTS = 200
VERDICTS = ("refused", "counted", "harmless", "seen by make verify", "unseen", "traceback")
NUMBERS = re.compile(r"in [\d.]+ s, .*|finished in .*")  # of time, not of rows
Rows = list[list[str]]


class NotApplicableError(Exception):
    """The table has nothing that this way could change."""


# ways to damage a file's bytes: (chance, bytes of the csv) → bytes, and the suffix of the file


def flip_bit(chance: random.Random, content: bytes) -> bytes:
    """One flipped bit."""
    place = chance.randrange(len(content))
    return (
        content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :]
    )


def cut(chance: random.Random, content: bytes) -> bytes:
    """The end is missing."""
    return content[: chance.randrange(1, len(content))]


PACKED: dict[str, Callable[[random.Random, bytes], bytes]] = {  # of the gzip file
    "flipped bit, packed": flip_bit,
    "cut, packed": cut,
    "two flipped bits, packed": lambda chance, c: flip_bit(chance, flip_bit(chance, c)),
    "zeros, packed": lambda chance, c: c[: len(c) // 2] + bytes(len(c) - len(c) // 2),
    "not packed, named .gz": lambda chance, c: gzip.decompress(c),
    "empty": lambda chance, c: b"",
    "a web page": lambda chance, c: b"<!DOCTYPE html><html><body>403 Forbidden</body></html>\n",
}


def at_a_line(chance: random.Random, content: bytes, new: bytes) -> bytes:
    """Bytes are put in at the start of a line."""
    starts = [match.end() for match in re.finditer(b"\n", content)]
    place = chance.choice(starts)
    return content[:place] + new + content[place:]


def within_a_line(chance: random.Random, content: bytes, new: bytes) -> bytes:
    """Bytes are put in anywhere after the header."""
    place = chance.randrange(content.index(b"\n") + 1, len(content))
    return content[:place] + new + content[place:]


UNPACKED: dict[str, Callable[[random.Random, bytes], bytes]] = {  # of the csv
    "flipped bit, plain": flip_bit,
    "cut, plain": cut,
    "cut after a row, plain": lambda chance, c: cut(chance, c).rpartition(b"\n")[0] + b"\n",
    "UTF-16": lambda chance, c: c.decode().encode("utf-16"),
    "byte-order mark": lambda chance, c: b"\xef\xbb\xbf" + c,
    "a byte of Latin-1": lambda chance, c: within_a_line(chance, c, b"\xe9"),
    "NUL": lambda chance, c: within_a_line(chance, c, b"\x00"),
    "a quotation mark": lambda chance, c: within_a_line(chance, c, b'"'),
    "a comma": lambda chance, c: within_a_line(chance, c, b","),
    "a long field": lambda chance, c: within_a_line(chance, c, b"9" * 3_000_000),
    "a long last field": lambda chance, c: c[:-1] + b"y" * 6_000_000 + b"\n",
    "Windows line ends": lambda chance, c: c.replace(b"\n", b"\r\n"),
    "line ends of old Macs": lambda chance, c: c.replace(b"\n", b"\r"),
    "a blank line": lambda chance, c: at_a_line(chance, c, b"\n"),
    "semicolons": lambda chance, c: c.replace(b",", b";"),
    "the header twice": lambda chance, c: at_a_line(chance, c, c[: c.index(b"\n") + 1]),
}

# ways to damage the rows: (chance, header and rows as texts, types of the columns) → rows


def column_of(chance: random.Random, header: list[str], types: dict[str, str], *kinds: str) -> int:
    """A column of one of these types."""
    numbers = [k for k, name in enumerate(header) if types.get(name) in kinds]
    if not numbers:
        raise NotApplicableError
    return chance.choice(numbers)


def change(rows: Rows, column: int, to: Callable[[str], str]) -> Rows:
    """The rows with another text wherever a column has one."""
    header, *others = rows
    if not any(row[column] for row in others):
        raise NotApplicableError
    changed = [[*r[:column], to(r[column]) if r[column] else "", *r[column + 1 :]] for r in others]
    return [header, *changed]


def some(chance: random.Random, rows: Rows) -> range:
    """The places of some rows that follow one another."""
    first = chance.randrange(1, len(rows))
    return range(first, min(len(rows), first + chance.randrange(1, 50)))


def reorder(chance: random.Random, rows: Rows) -> Rows:
    """The columns in another order."""
    order = chance.sample(range(len(rows[0])), len(rows[0]))
    return [[row[k] for k in order] for row in rows]


def swap(chance: random.Random, rows: Rows, types: dict[str, str]) -> Rows:
    """The contents of two columns, not their names."""
    names = [k for k, name in enumerate(rows[0]) if name in types]
    a, b = chance.sample(names, 2)

    def swapped(row: list[str]) -> list[str]:
        row = [*row]
        row[a], row[b] = row[b], row[a]
        return row

    return [rows[0], *map(swapped, rows[1:])]


def times_ten(text: str) -> str:
    """A number of another unit."""
    return str(float(text) * 10)


Way = Callable[[random.Random, Rows, dict[str, str]], Rows]
CONTENT: dict[str, Way] = {
    "columns in another order": lambda chance, r, t: reorder(chance, r),
    "a column twice": lambda chance, r, t: [
        [*row, row[k]] for k in [chance.randrange(len(r[0]))] for row in r
    ],
    "a column less": lambda chance, r, t: [
        row[:k] + row[k + 1 :]
        for k in [column_of(chance, r[0], t, *set(t.values()))] for row in r
    ],
    "a column more": lambda chance, r, t: [["index", *r[0]]] + [["7", *row] for row in r[1:]],
    "a name of a column in upper case": lambda chance, r, t: [[n.upper() for n in r[0]], *r[1:]],
    "a name of a column misspelt": lambda chance, r, t: [
        [n + "_" if k == c else n for k, n in enumerate(r[0])]
        for c in [column_of(chance, r[0], t, *set(t.values()))]
    ] + r[1:],
    "two columns swapped": swap,
    "text among numbers": lambda chance, r, t: change(
        r, column_of(chance, r[0], t, "BIGINT", "DOUBLE"), lambda text: "n/a"
    ),
    "decimal commas": lambda chance, r, t: change(
        r, column_of(chance, r[0], t, "DOUBLE"), lambda text: str(float(text)).replace(".", ",")
    ),
    "dates as day/month/year": lambda chance, r, t: change(
        r, column_of(chance, r[0], t, "TIMESTAMP", "DATE"),
        lambda text: f"{text[8:10]}/{text[5:7]}/{text[:4]}{text[10:]}",
    ),
    "whole numbers as 7.0": lambda chance, r, t: change(
        r, column_of(chance, r[0], t, "BIGINT"), lambda text: f"{text}.0"
    ),
    "fractions among ids": lambda chance, r, t: change(
        r, column_of(chance, r[0], t, "BIGINT"), lambda text: f"{text}.5"
    ),
    "another unit": lambda chance, r, t: change(
        r, column_of(chance, r[0], t, "DOUBLE"), times_ten
    ),
    "rows lost": lambda chance, r, t: [
        row for gone in [some(chance, r)] for k, row in enumerate(r) if k not in gone
    ],
    "rows twice": lambda chance, r, t: [*r, *(r[k] for k in some(chance, r))],
    "rows in another order": lambda chance, r, t: [r[0], *chance.sample(r[1:], len(r) - 1)],
    "a short row": lambda chance, r, t: [
        row[:-1] if k == short else row for short in [chance.randrange(1, len(r))]
        for k, row in enumerate(r)
    ],
    "header alone": lambda chance, r, t: r[:1],
    "header lost": lambda chance, r, t: r[1:],
}  # fmt: skip
WAYS = [*PACKED, *UNPACKED, *CONTENT]


def mutated(way: str, chance: random.Random, source: Path, table: str, to: Path) -> Path:
    """Writes the file of a table, damaged in one way; its path."""
    packed = source.read_bytes()
    if way in PACKED:
        path = to / f"{table}.csv.gz"
        path.write_bytes(PACKED[way](chance, packed))
        return path
    content = gzip.decompress(packed)
    if way in CONTENT:
        import csv

        rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
        if len(rows) < 3:
            raise NotApplicableError
        text = io.StringIO(newline="")
        types = dict(TABLES[table].columns)
        csv.writer(text, lineterminator="\n").writerows(CONTENT[way](chance, rows, types))
        content = text.getvalue().encode()
    else:
        content = UNPACKED[way](chance, content)
    if way.endswith("plain") or chance.random() < 0.5:
        path = to / f"{table}.csv"
        path.write_bytes(content)
    else:
        path = to / f"{table}.csv.gz"
        path.write_bytes(gzip.compress(content, 1, mtime=0))
    return path


def extract(table: str, path: Path, output: Path, expected: int | None) -> tuple[str, list[str]]:
    """What becomes of a file: ok, refused or traceback; and the lines of its log, or the message.

    The stage itself, in this process: it is what the workflow runs.
    """
    sys.argv = ["extract", "--table", table, "--source-file", str(path), "--output", str(output),
                "--temp", str(output.parent / "temp"), "--threads", "1",
                "--memory-mb", "2000"]  # fmt: skip
    if expected is not None:
        sys.argv += ["--expected-rows", str(expected)]
    told = io.StringIO()
    handler = logging.StreamHandler(told)
    logging.getLogger("pipeline").addHandler(handler)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            tables.main()
    except InputError as error:
        line = str(error)
        fits = "\n" not in line and str(path) in line
        return ("refused" if fits else "traceback"), [line.replace(str(path), path.name)]
    except Exception:
        return "traceback", [traceback.format_exc()]
    finally:
        logging.getLogger("pipeline").removeHandler(handler)
    return "ok", counts(told.getvalue())


def counts(log: str) -> list[str]:
    """The lines of a log without times and paths."""
    return [re.sub(r"^\d\d:\d\d:\d\d |" + NUMBERS.pattern, "", line) for line in log.splitlines()]


def downstream(source: Path) -> list[str]:
    """The logs of selecting episodes and events; the last line is an error where one is refused."""
    wiring, job = settings()
    kinds = ("vitals", "outputs", "labs", "procedures", "infusions")
    resources = ("--threads", "1", "--memory-mb", "2000", "--temp", tempfile.gettempdir())
    stages = (
        python("pipeline.cohort.episodes", "--tables",
               *(source / f"{name}.parquet" for name in ("patients", "admissions", "icustays")),
               "--cohort", wiring.setting("cohort")(job), "--split", wiring.setting("split")(job),
               "--last-year", "2022", "--output", source / "made/episodes.parquet",
               "--attrition", source / "made/attrition.json", *resources),
        python("pipeline.ehr.events", "--episodes", source / "made/episodes.parquet",
               "--source", source, "--availability", wiring.known_from(*kinds)(job),
               "--output", source / "made/events.parquet", *resources),
    )  # fmt: skip
    lines = []
    for stage in stages:
        done = subprocess.run(stage, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        lines += counts(done.stderr)
        if done.returncode:
            break
    return lines


def verdict(way: str, seed: int, release: Path, folder: Path, known: dict) -> dict:
    """What one mutation comes to."""
    chance = random.Random(seed)
    names = chance.sample(sorted(known["rows"]), len(known["rows"]))
    to = folder / "mutated"
    for table in names:
        shutil.rmtree(to, ignore_errors=True)
        to.mkdir()
        (source,) = release.glob(f"*/{TABLES[table].file}.csv.gz")
        with contextlib.suppress(NotApplicableError):
            path = mutated(way, chance, source, table, to)
            break
    result = {"seed": seed, "way": way, "table": table}
    output = to / "out" / f"{table}.parquet"
    outcome, lines = extract(table, path, output, known["rows"][table])
    if outcome != "ok":
        return result | {"verdict": outcome, "line": lines[0]}
    whole = folder / "whole" / f"{table}.parquet"
    same = pl.read_parquet(output).sort(pl.all()).equals(pl.read_parquet(whole).sort(pl.all()))
    if same:
        return result | {"verdict": "harmless"}
    if new := [line for line in lines if line not in known["logs"][table]]:
        return result | {"verdict": "counted", "line": new[-1].strip()}
    both = to / "source"
    shutil.copytree(folder / "whole", both, ignore=shutil.ignore_patterns("made", "temp"))
    shutil.copy(output, both)
    lines = downstream(both)
    if any("Traceback" in line for line in lines):
        return result | {"verdict": "traceback", "line": lines[-1]}
    new = [line for line in lines if line not in known["downstream"]]
    if new:
        kind = "refused" if "error: " in new[-1] else "counted"
        return result | {"verdict": kind, "line": new[-1].strip()}
    seen = seen_by_digest(table, source, path, to / "again")
    return result | {"verdict": "seen by make verify" if seen else "unseen"}


def seen_by_digest(table: str, source: Path, path: Path, to: Path) -> bool:
    """Whether `make verify` tells that a source file was replaced since it was extracted."""
    file, output = to / source.name, to / f"{table}.parquet"
    to.mkdir()
    shutil.copy(source, file)
    job = python("pipeline.extract.tables", "--table", table, "--source-file", file, "--output",
                 output, "--temp", to / "temp")  # fmt: skip
    own = {owner.RUN: "1", "PYTHONPATH": str(REPOSITORY)}  # a job of the workflow leaves digests
    subprocess.run(job, cwd=to, env=os.environ | own, capture_output=True, check=True)
    before, after = verify_results(to, 1), shutil.copy(path, file) and verify_results(to, 1)
    return not before[1] and any(str(file) in line for line in after[1])


def undisturbed(release: Path, folder: Path) -> dict:
    """Rows and logs of every table of the EHR, and of the stages that follow."""
    rows, logs = {}, {}
    for table, contract in TABLES.items():
        paths = list(release.glob(f"*/{contract.file}.csv.gz"))
        if not paths:
            continue
        output = folder / "whole" / f"{table}.parquet"
        outcome, lines = extract(table, paths[0], output, None)
        assert outcome == "ok", lines
        written = pl.scan_parquet(output).select(pl.len()).collect().item()
        match = next((re.search(r"([\d,]+) exactly repeated", line) for line in lines
                      if "exactly repeated" in line), None)  # fmt: skip
        rows[table] = written + (int(match[1].replace(",", "")) if match else 0)
        outcome, logs[table] = extract(table, paths[0], output, rows[table])
    return {"rows": rows, "logs": logs, "downstream": downstream(folder / "whole")}


def main() -> None:
    """Runs all seeds, prints a line for each, writes their verdicts."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, required=True)
    options.add_argument("--seeds", type=int, default=100)
    options.add_argument("--output", type=Path, required=True)
    asked = options.parse_args()
    logging.getLogger("pipeline").setLevel(logging.INFO)
    logging.getLogger("pipeline").propagate = False
    release = hospital(asked.folder, PATIENTS)
    known = undisturbed(release, asked.folder)
    found = []
    for seed in range(asked.seeds):
        found.append(verdict(WAYS[seed % len(WAYS)], seed, release, asked.folder, known))
        print(*found[-1].values(), sep=" | ", flush=True)
    total = Counter(each["verdict"] for each in found)
    asked.output.write_text(json.dumps({"patients": PATIENTS, "total": total, "mutations": found},
                                       indent=2) + "\n")  # fmt: skip
    print(*(f"{name}: {total[name]}" for name in VERDICTS), sep=", ")
    sys.exit(1 if total["traceback"] + total["unseen"] else 0)


if __name__ == "__main__":
    main()
