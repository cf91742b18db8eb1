"""The main job at full size in one run of the workflow: from MIMIC's files to the result in 8 GB.

    python benchmarks/full_run.py --size full --folder /tmp/full --output full_run.json

100,000 admissions, 107 million charted rows, 2.3 million reports, films of 1,500 admissions, in
MIMIC's files and folders (release.py); config.yaml as it is, but for the source and two epochs of
Doc2Vec. Nobody helps: Snakemake runs all jobs on two cores, 8 GB for all that run at once. The same
command goes on where it was stopped; the time is of all its runs together. After it `make verify`
reads every byte again. Not among the questions of `make bench`, for its hours: make bench
QUESTIONS=full_run.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import polars as pl
from record import REPOSITORY, Record, parser, python
from release import Size, make
from workflow_runs import costs, jobs, project, run, snakemake, together_mb

sys.path.insert(0, str(REPOSITORY))

from pipeline.stage.result import read_result

SIZES = {
    "small": Size(patients=500, copies=2, denser=2, again=2, filmed=200),
    "full": Size(patients=4000, copies=18, denser=5, again=10, filmed=1500),
}
SHORT = {"schedule": {"steps": 20, "check": 10}}  # of a try of this script
TARGET = "results/ecn_early_mortality.json"
LIMIT_MB = 8000
EPOCHS = 2


def timed(call: Sequence[str], folder: Path) -> None:
    """Runs Snakemake and adds its time to those of earlier tries; exits where it fails."""
    kept, started = folder / "tries.json", time.time()
    tries = json.loads(kept.read_text()) if kept.exists() else []
    failed = 1
    try:
        failed = run(call, folder)
    finally:
        tries.append({"seconds": round(time.time() - started), "ended": not failed})
        kept.write_text(json.dumps(tries))
    if failed:
        sys.exit("stopped; the same command goes on")


def counts(folder: Path) -> dict[str, int]:
    """How large the run was, counted in what it made."""
    results, admission = folder / "results", folder / "results/corrected/admission"
    tables = {
        "admissions": results / "source/admissions.parquet",
        "rows charted": results / "source/chartevents.parquet",
        "reports": results / "source/radiology.parquet",
        "episodes": admission / "episodes.parquet",
        "films": admission / "cxr/films.parquet",
    }
    found = {name: pl.scan_parquet(path) for name, path in tables.items()}
    sizes = {name: table.select(pl.len()).collect().item() for name, table in found.items()}
    episodes = found["films"].select(pl.col("episode_id").n_unique()).collect().item()
    return sizes | {"episodes with films": episodes}


def warnings(folder: Path) -> list[str]:
    """What extraction said of rows that are not as many as the release has."""
    logs = (folder / "logs/extract_table").glob("*.log")
    lines = (line for path in logs for line in path.read_text().splitlines())
    return sorted(line.split(" ", 1)[1] for line in lines if " expected in " in line)


def verified(folder: Path, source: Mapping[str, str]) -> list[str]:
    """What `make verify` prints of the source and of the results, and its exit status."""
    call = python("pipeline.plan.verify", "--threads", "1", "--source", json.dumps(source))
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
    told = done.stdout.replace(f"{source['root']}/", "")
    return [*told.splitlines(), f"exit status {done.returncode}"]


def write(folder: Path, source: Mapping[str, str], output: Path) -> None:
    """Leaves the record."""
    found = jobs(folder)
    tries, size = json.loads((folder / "tries.json").read_text()), counts(folder)
    wall = sum(each["seconds"] for each in tries)
    listed = ", ".join(f"{count:,} {name}" for name, count in size.items())
    record = Record(f"The main job at full size in one run, from files to the result ({listed})")
    number = "1 try" if len(tries) == 1 else f"{len(tries)} tries"
    record.add(f"the run, in {number}", [round(wall / 60, 1)], "min")
    for job in found:
        note = f"{job.cpu:.0f} s of processors"
        record.add(job.name, [job.seconds], "s", [job.peak_mb], note)
    largest, together = max(found, key=lambda job: job.peak_mb), together_mb(found)
    record.ask(f"no job holds more than {LIMIT_MB:,} MB", f"{largest.name}: {largest.peak_mb:,} MB",
               largest.peak_mb <= LIMIT_MB)  # fmt: skip
    record.ask(f"jobs that run at once hold at most {LIMIT_MB:,} MB",
               f"{together:,} MB, the sum of their peaks", together <= LIMIT_MB)  # fmt: skip
    record.ask("one command, from nothing to the result", number,
               tries[-1]["ended"])  # fmt: skip
    slowest = max(found, key=lambda job: job.seconds)
    (part,) = read_result(folder / TARGET)["tasks"].values()
    auroc = part["metrics"]["test"]["auroc"]["value"]
    record.limit = (
        f"{slowest.name} takes {slowest.seconds / 60:.0f} of {wall / 60:.0f} min. Patients are "
        f"copies of each other: the AUROC, {auroc:.3f}, says nothing."
    )
    record.write(output)
    whole = json.loads(output.read_text())
    whole |= {"tries": tries, "counts": size, "warnings": warnings(folder),
              "stages": {name: asdict(cost) for name, cost in costs(found).items()},
              "verify": verified(folder, source)}  # fmt: skip
    output.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    """Makes the release where it is not there, runs the workflow, writes the record."""
    options = parser(__doc__)
    options.add_argument("--cores", type=int, default=min(2, os.cpu_count() or 1))
    given = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped; the same command goes on"))
    top = given.folder.resolve() / f"full_run_{given.size}"
    root, folder = make(top, SIZES[given.size]), top / "run"
    project(folder)
    source = {"root": str(root)}
    settings = {"source": source, "note": {"doc2vec": {"epochs": EPOCHS}}}
    settings |= SHORT if given.size == "small" else {}
    memory = ("--resources", f"mem_mb={LIMIT_MB}")
    timed(snakemake(folder, settings, [TARGET], given.cores, options=memory), folder)
    write(folder, source, given.output)


if __name__ == "__main__":
    main()
