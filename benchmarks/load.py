"""How time and memory of each stage grow with the hospital, and which stage grows faster than it.

    python benchmarks/load.py --size full --folder /tmp/load --output load.json

Hospitals of 2,000, 8,000 and 32,000 patients, the largest without films, run through Snakemake with
config.yaml as it is, one job at a time, each in a folder of its own with a copy of the code. Of
each job: seconds of processors (by the clock a busy machine stretches them) and peak memory, as its
stage left them in results/usage.

Start-up (imports, a second to ten) hides growth in small hospitals. It drops out of differences:
`bend` is what a further patient takes between 8,000 and 32,000 over what one takes between 2,000
and 8,000. 1 is linear. It is told where the 24,000 more patients take `LEAST` seconds or more.
Trainings have a budget of steps, whatever the size, and may stop early: they have no bend.

It takes hours and may be stopped at any time: the same command goes on. A hospital with a
`jobs.json` is kept, whatever becomes of the code. Figure (.svg) and table (.md) lie beside the
record. Not among the questions of `make bench`, for its hours: make bench
QUESTIONS=load.
"""

import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import load_page
import polars as pl
from load_page import LEAST, bend, growth
from record import REPOSITORY, Record, parser
from workflow_runs import Cost, costs, jobs, project, run, snakemake

sys.path.insert(0, str(REPOSITORY))

from pipeline.stage.files import write_json

FULL_RUN = REPOSITORY / "benchmarks/records/full_run.json"  # its jobs are shown beside
WITH_FILMS, WITHOUT = "ecn_early_mortality", "en_early_mortality"


@dataclass(frozen=True)
class Hospital:
    """One size, and the result that is made."""

    patients: int
    target: str


SIZES = {
    "small": [Hospital(300, WITH_FILMS), Hospital(450, WITH_FILMS), Hospital(600, WITHOUT)],
    "full": [Hospital(2000, WITH_FILMS), Hospital(8000, WITH_FILMS), Hospital(32000, WITHOUT)],
}
SHORT = {"schedule": {"steps": 20, "check": 10}, "note": {"doc2vec": {"epochs": 2}}}  # of a try
LINEAR = 1.10
FLAT = 1.25  # memory of a streaming stage, 32,000 patients over 8,000: four times as many rows
# stages that stream: their memory has a bound, whatever the rows
STREAMING = (
    "extract.tables chartevents", "extract.tables labevents", "extract.tables radiology",
    "ehr.events", "ehr.bins", "ehr.tokens", "ehr.statistics", "note.clean", "note.notes",
    "note.doc2vec", "cxr.decode",
)  # fmt: skip
WHY = {  # the stages of DuckDB were run again on the tables of the full run, with less memory
    "training.embed ehr": "no cause found. The full run takes 1.4 ms of an episode whose readings "
    "are five times as dense, the last size 1.0 ms: no growth from there on. Other work ran beside "
    "all three sizes, not as much beside each",
    "evaluation.result": "each resample of an AUROC sorts its patients: n log n",
    "ehr.events, note.clean, extract.tables radiology": "DuckDB takes as much of `mem_mb` as there "
    "is and spills beyond it: memory grows up to that limit, and no further. On the tables of the "
    "full run 2,000 MB instead of 6,000, and 1,000 instead of 4,000, gave the same bytes at peaks "
    "of 2,506, 805 and 1,184 MB",
    "ehr.bins": "the readings of the training patients are held until all that repeat are found: "
    "linear in them. 800 MB are too little for the full run, which takes 1,774 MB; the job says so",
    "ehr.tokens, ehr.statistics": "parts of 2,000,000 events, which small hospitals do not fill: "
    "1,477 and 1,110 MB at 101,646 admissions",
    "note.doc2vec": "gensim keeps a vector of each report, 512 numbers, while it trains",
}


def harvest(folder: Path, hospital: Hospital, seconds: float) -> None:
    """Leaves what the hospital's jobs took in its `jobs.json`."""
    rows = {
        table: pl.scan_parquet(folder / f"results/source/{table}.parquet")
        for table in ("admissions", "chartevents", "labevents", "radiology")
    }
    record = {
        "patients": hospital.patients, "target": hospital.target,
        "seconds_of_last_run": round(seconds),
        "rows": {name: t.select(pl.len()).collect().item() for name, t in rows.items()},
        "stages": {name: asdict(cost) for name, cost in costs(jobs(folder)).items()},
    }  # fmt: skip
    write_json(folder / "jobs.json", record)


def write(hospitals: Sequence[Hospital], folder: Path, output: Path) -> None:
    """Writes record, table and figure of the hospitals that are finished."""
    paths = [folder / str(each.patients) / "jobs.json" for each in hospitals]
    found = [json.loads(path.read_text()) for path in paths if path.exists()]
    table = load_page.by_stage(found)
    record = Record("How stages grow with the hospital: 2,000, 8,000 and 32,000 patients")
    missing = [f"{each.patients:,}" for each, p in zip(hospitals, paths, strict=True)
               if not p.exists()]  # fmt: skip
    bends = {name: value for name, row in table.items()
             if name not in load_page.BUDGET and (value := bend(row)) is not None}  # fmt: skip
    faster = {name: value for name, value in bends.items() if value > LINEAR}
    listed = ", ".join(f"{name} {value:.2f}" for name, value in faster.items()) or "none"
    record.ask(f"time: at most linear + 10 %, of the {len(bends)} stages that the last size costs "
               f"{LEAST} s more", f"above: {listed}", bool(bends) and not faster)  # fmt: skip
    growths = {name: value for name in STREAMING
               if name in table and (value := growth(table[name])) is not None}  # fmt: skip
    grown = {name: value for name, value in growths.items() if value > FLAT}
    listed = ", ".join(f"{name} {value:.2f} ×" for name, value in grown.items()) or "none"
    record.ask("memory of streaming stages: flat (four times as many rows: at most "
               f"{FLAT:g} ×)", f"above: {listed}", bool(growths) and not grown)  # fmt: skip
    record.limit = f"Every stage, size and reason: {output.with_suffix('.md').name}"
    if missing:
        record.limit += f". Not finished: {', '.join(missing)} patients"
    record.write(output)
    whole = json.loads(output.read_text()) | {"hospitals": found}
    output.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    full_run = json.loads(FULL_RUN.read_text()) if FULL_RUN.exists() else {"stages": {}}
    full = {name: Cost(**cost) for name, cost in full_run["stages"].items()}
    output.with_suffix(".md").write_text(load_page.page(found, full, WHY))
    load_page.draw(found, full, output.with_suffix(".svg"))


def main() -> None:
    """Runs the hospitals that are not finished, smallest first."""
    options = parser(__doc__)
    options.add_argument("--cores", type=int, default=1)
    given = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped; the same command goes on"))
    hospitals, folder = SIZES[given.size], given.folder.resolve() / "load"
    for hospital in hospitals:
        own = folder / str(hospital.patients)
        if (own / "jobs.json").exists():
            continue
        project(own)
        settings = {"hospital": {"patients": hospital.patients}}
        settings |= SHORT if given.size == "small" else {}
        call = snakemake(own, settings, [f"results/{hospital.target}.json"], given.cores)
        started = time.monotonic()
        if run(call, own):
            sys.exit(f"{hospital.patients:,} patients: it failed; the same command goes on")
        harvest(own, hospital, time.monotonic() - started)
        write(hospitals, folder, given.output)
    write(hospitals, folder, given.output)


if __name__ == "__main__":
    main()
