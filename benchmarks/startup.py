"""Start-up: how soon an extract and a cohort job are at work; planning the full grid.

    python benchmarks/startup.py --size full --folder /tmp/startup --output startup.json

A job's start is its process up to its `main` (`--help`, which `main` answers first), and a whole
job on a hospital of ten patients. The plan is `snakemake -n tables` in a copy of the files that git
knows, as staged, against `snakemake -n` of a Snakefile with one rule.
"""

import os
import pstats
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import yaml
from first_stages import episodes, extracted, hospital
from record import REPOSITORY, Command, Record, Runs, arguments, in_turn, once, python, spread

from pipeline.plan import grids

TURNS = {"small": 1, "full": 5}
STAGES = {"extract": "pipeline.extract.tables", "cohort": "pipeline.cohort.episodes"}
LIBRARIES = {"extract": "duckdb", "cohort": "duckdb, polars"}
EMPTY = 'rule all:\n    output:\n        "made",\n    shell:\n        "touch {output}"\n'
PROFILED = {  # what a plan is made of: words → file, function
    "importing Snakemake and its plug-ins": ("snakemake/cli.py", "<module>"),
    "reading the rules": ("snakemake/workflow.py", "include"),
    "finding the code of rules and jobs (in part while the rules are read)": (
        "pipeline/plan/wiring.py",
        "modules",
    ),
    "printing the jobs": ("snakemake/jobs.py", "log_info"),
}


def jobs(record: Record, folder: Path, turns: int) -> str:
    """The start of the processes, and whole jobs; what limits them."""
    commands: dict[str, Command] = {"python": [sys.executable, "-c", "pass"]}
    for stage, module in STAGES.items():
        commands[LIBRARIES[stage]] = [sys.executable, "-c", f"import {LIBRARIES[stage]}"]
        commands[stage] = python(module, "--help")
    in_turn(commands, 1)  # compiles what was not compiled
    started = in_turn(commands, turns)
    release, source = hospital(folder, 10), folder / "source"
    whole = {stage: Runs() for stage in STAGES}
    for table in ("patients", "admissions", "icustays"):
        extracted(release, table, source, Runs())
    for _ in range(turns):
        extracted(release, "patients", source, whole["extract"])
        episodes(source, whole["cohort"])
    record.add("starting Python", started["python"].seconds)
    said = []
    for stage, libraries in LIBRARIES.items():
        own, floor = started[stage], started[libraries]
        record.add(f"starting Python and importing {libraries}", floor.seconds)
        record.add(f"{stage} job until its main", own.seconds, peak_mb=own.peak_mb)
        record.add(f"{stage} job of ten patients, whole", whole[stage].seconds, "s",
                   whole[stage].peak_mb)  # fmt: skip
        record.ask(
            f"{stage} jobs start in < 1.5 s",
            f"{spread(own.seconds)} s, of these {spread(own.cpu)} s of CPU time",
            statistics.median(own.seconds) < 1.5,
        )
        said.append(f"{statistics.median(floor.over(own, 'cpu')):.0%} of {stage}")
    return f"Of a start Python, duckdb and polars are {' and '.join(said)} (CPU time)."


def checkout(folder: Path) -> tuple[Path, Path]:
    """A copy of the repository's files, and a folder with a Snakefile of one rule."""
    copy, empty = folder / "checkout", folder / "empty"
    for old in (copy, empty):
        shutil.rmtree(old, ignore_errors=True)
    prefix = f"--prefix={copy.resolve()}{os.sep}"
    subprocess.run(["git", "checkout-index", "--all", prefix], cwd=REPOSITORY, check=True)
    empty.mkdir(parents=True)
    (empty / "Snakefile").write_text(EMPTY)
    return copy, empty


def plan(folder: Path, *arguments: str, profile: Path | None = None) -> list[str]:
    """A dry run in a folder."""
    own = ["-m", "cProfile", "-o", str(profile.resolve())] if profile else []
    return ["env", "-C", str(folder), sys.executable, *own, "-m", "snakemake", "-n", *arguments]


def profiled(output: Path) -> dict[str, float]:
    """Shares of a profiled plan."""
    stats = pstats.Stats(str(output)).stats  # type: ignore[attr-defined]
    total = sum(own for _, _, own, _, _ in stats.values())
    return {
        words: sum(
            whole
            for (path, _, function), (_, _, _, whole, _) in stats.items()
            if path.endswith(file) and function == name
        )
        / total
        for words, (file, name) in PROFILED.items()
    }


def grid(record: Record, folder: Path, turns: int) -> str:
    """The plan of every result against an empty one; what limits it."""
    copy, empty = checkout(folder)
    commands: dict[str, Command] = {"empty": plan(empty), "grid": plan(copy, "tables")}
    quiet: dict[str, Command] = {
        "quiet": plan(empty, "--quiet", "all"),
        "quiet grid": plan(copy, "--quiet", "all", "--", "tables"),
    }
    once(plan(copy, "tables", profile=folder / "plan.prof"), Runs())
    found = in_turn(commands | quiet, turns)
    config = yaml.safe_load((copy / "config.yaml").read_text())
    results = sum(len(grids.grid(config, name)) for name in ("corrected", "published"))
    for name, words in (("empty", "plan of one rule"), ("grid", f"plan of {results} results")):
        record.add(f"{words}, snakemake -n", found[name].seconds, "s", found[name].peak_mb)
        record.add(f"{words}, CPU time", found[name].cpu)
    seconds, cpu = (found["grid"].minus(found["empty"], what) for what in ("seconds", "cpu"))
    record.ask("the full grid's plan takes ≤ 5 s more than an empty one's",
               f"{spread(seconds)} s more, {spread(cpu)} s of CPU time",
               statistics.median(seconds) <= 5)  # fmt: skip
    unprinted = spread(found["quiet grid"].minus(found["quiet"]))
    shares = profiled(folder / "plan.prof")
    parts = ", ".join(f"{share:.0%} {words}" for words, share in shares.items())
    return (
        f"Of a profiled plan {parts}; the rest is Snakemake's graph of jobs and files. Where "
        f"neither plan prints its jobs (--quiet all) the grid's takes {unprinted} s more."
    )


def main() -> None:
    """Jobs, then the plan."""
    given = arguments(__doc__)
    given.folder.mkdir(parents=True, exist_ok=True)
    record, turns = Record("Start-up: jobs, and the plan of the full grid"), TURNS[given.size]
    limits = jobs(record, given.folder, turns), grid(record, given.folder, turns)
    record.limit = " ".join(limits)
    record.write(given.output)


if __name__ == "__main__":
    main()
