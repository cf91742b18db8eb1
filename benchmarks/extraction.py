"""How fast a chartevents.csv.gz becomes parquet, beside what the engine and gzip can do at most.

    python benchmarks/extraction.py --size full --folder /tmp/bench --output extraction.json

Our stage, checks of the file included; DuckDB's plain COPY of the same columns of the same file, in
a process of its own with as many threads and as much memory; `gzip -d` of the file.
"""

import statistics
import sys
from pathlib import Path

from record import REPOSITORY, Record, Runs, arguments, in_turn, once, python, spread
from source import chartevents

sys.path.insert(0, str(REPOSITORY))

from pipeline.extract.reading import inspect
from pipeline.stage.database import OWN_SHARE

ROWS = {"small": 2_000_000, "full": 50_000_000}
ROUNDS = {"small": 1, "full": 2}
RELEASE = 432_997_491  # rows of chartevents in MIMIC-IV 3.1
THREADS, MEMORY_MB = 2, 4000
PLAIN = """
import duckdb
settings = {{"threads": {threads}, "memory_limit": "{memory}MB"}}
with duckdb.connect(config=settings) as database:
    database.execute('''
        COPY (SELECT {columns} FROM read_csv('{file}', columns = {types}, header = true,
            auto_detect = false, delim = ',', quote = '"', escape = '"', nullstr = ''))
        TO '{output}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 131072)
    ''')
"""
VERIFY = """
import sys
sys.path.insert(0, "{repository}")
from pathlib import Path
from threading import Event
from pipeline.extract.csvfile import verify
verify(Path("{file}"), Event())
"""


def commands(file: Path, folder: Path) -> dict[str, list[str]]:
    """The three commands that are run in turn."""
    own = inspect("chartevents", file)
    plain = PLAIN.format(
        threads=THREADS, memory=int(MEMORY_MB * OWN_SHARE), columns=", ".join(own.names.values()),
        file=file, types=own.types, output=folder / "plain.parquet",
    )  # fmt: skip
    ours = python(
        "pipeline.extract.tables", "--table", "chartevents", "--source-file", file, "--output",
        folder / "ours.parquet", "--threads", str(THREADS), "--memory-mb", str(MEMORY_MB),
        "--temp", folder,
    )  # fmt: skip
    return {
        "extract_table": ours,
        "plain COPY of the same columns": [sys.executable, "-c", plain],
        "gzip -d": ["sh", "-c", f"gzip -dc '{file}' > /dev/null"],
    }


def main() -> None:
    """Makes the file where it is not there, runs the three in turn, writes the record."""
    given = arguments(__doc__)
    rows, file = ROWS[given.size], given.folder / given.size / "chartevents.csv.gz"
    if not file.exists():
        chartevents(file.with_suffix(".part"), rows)
        file.with_suffix(".part").replace(file)
    found = in_turn(commands(file, given.folder), ROUNDS[given.size])
    check = Runs()
    once([sys.executable, "-c", VERIFY.format(repository=REPOSITORY, file=file)], check)
    size = f"{rows / 1e6:.0f} million rows, {file.stat().st_size / 1e6:.0f} MB of csv.gz"
    record = Record(f"Extraction of chartevents ({size}, {THREADS} threads)")
    for name, runs in found.items():
        record.add(name, runs.seconds, "s", [] if name == "gzip -d" else runs.peak_mb)
    ours, plain = found["extract_table"], found["plain COPY of the same columns"]
    ratios = ours.over(plain)
    record.ask(
        "at most 1.15 × the plain COPY", f"{spread(ratios)} ×", statistics.median(ratios) <= 1.15
    )
    peak = max(ours.peak_mb)
    record.ask("at most 4 GB, whatever the size", f"{peak / 1000:.2f} GB", peak <= 4000)
    record.add("over gzip -d", ours.over(found["gzip -d"]), "×")
    whole = [seconds * RELEASE / rows / 60 for seconds in ours.seconds]
    record.add(f"projected to the {RELEASE:,} rows of MIMIC-IV 3.1", whole, "min")
    busy = [cpu / (seconds * THREADS) for cpu, seconds in zip(ours.cpu, ours.seconds, strict=True)]
    alone, all_of_it = check.seconds[0], spread(ours.cpu, 1)
    record.limit = (
        f"The {THREADS} threads are busy for {spread([100 * b for b in busy], 0)} % of the time. "
        f"Unzipping for the checksums takes {alone:.1f} s of one core, of {all_of_it} s; the rest "
        "is DuckDB's: unzipping, which it cannot share among threads, text to types, and zstd."
    )
    record.write(given.output)


if __name__ == "__main__":
    main()
