"""Runs of the workflow in a folder of their own with a copy of the code, and what jobs took."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from record import REPOSITORY

SHARED = ("config.yaml", "requirements.lock", "envs", "pipeline", "profiles", "rules", "workflow")


@dataclass(frozen=True)
class Job:
    """What a job took, as its stage left it in results/usage.

    `seconds`: by the clock; `cpu`: of all its processors. Both hold the imports. `peak_mb`: of its
    largest process. `started`: seconds since 1970.
    """

    stage: str
    made: str
    seconds: float
    cpu: float
    peak_mb: int
    started: float

    @property
    def name(self) -> str:
        """The stage and what it made: the file, or its folder where the stage makes several."""
        return f"{self.stage.removeprefix('pipeline.')} {self.made.removeprefix('results/')}"


@dataclass(frozen=True)
class Cost:
    """What a stage took: seconds of processors and by the clock, of all its jobs; peak memory."""

    cpu: float = 0.0
    seconds: float = 0.0
    peak_mb: int = 0


def project(folder: Path) -> None:
    """Copies code and config to a folder, in place of what it had of them; results stay."""
    (folder / "results").mkdir(parents=True, exist_ok=True)
    for shared in SHARED:
        if (source := REPOSITORY / shared).is_file():
            shutil.copy2(source, folder / shared)
            continue
        shutil.rmtree(folder / shared, ignore_errors=True)
        shutil.copytree(source, folder / shared, ignore=shutil.ignore_patterns("__pycache__"))


def snakemake(folder: Path, settings: Mapping[str, Any], targets: Sequence[str], cores: int,
              dry: bool = False, options: Sequence[str] = ()) -> list[str]:  # fmt: skip
    """The call that makes the targets in a folder; `settings`: what differs from config.yaml.

    `options`: more of Snakemake's.
    """
    text = yaml.safe_dump(dict(settings))
    if not (config := folder / "hospital.yaml").exists() or config.read_text() != text:
        config.write_text(text)
    asked = ["--dry-run", "--quiet", "all"] if dry else ["--keep-going", "--quiet", "rules"]
    call = [sys.executable, "-m", "snakemake", "--cores", str(cores), *asked]
    return [*call, *options, "--configfile", "hospital.yaml", "--", *targets]


def environment() -> dict[str, str]:
    """Of the jobs: `python` is this interpreter."""
    found = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return os.environ | {"PATH": found}


def run(call: Sequence[str], folder: Path) -> int:
    """Runs Snakemake, whose messages are shown; its exit status. It is ended with this script."""
    with subprocess.Popen(call, cwd=folder, env=environment(), stdout=sys.stderr) as running:
        try:
            return running.wait()
        finally:
            if running.poll() is None:
                running.terminate()


def jobs(folder: Path) -> list[Job]:
    """The jobs that made what lies in a folder's results, in the order in which they started."""
    records = [json.loads(path.read_text()) for path in (folder / "results/usage").glob("*.json")]
    found = []
    for record in records:
        started = time.mktime(time.strptime(record.pop("started"), "%Y-%m-%dT%H:%M:%S"))
        del record["host"]
        found.append(Job(**record, started=started))
    return sorted(found, key=lambda job: job.started)


def together_mb(found: Sequence[Job]) -> int:
    """The largest sum of peaks of jobs that ran at the same time: at most so much was held at once.

    >>> together_mb([Job("a", "x", 5, 5, 100, 0), Job("b", "y", 9, 9, 70, 4),
    ...              Job("c", "z", 1, 1, 90, 6)])
    170
    """
    return max(
        (
            sum(j.peak_mb for j in found if j.started <= job.started < j.started + j.seconds)
            for job in found
        ),
        default=0,
    )


def stage_of(job: Job) -> str:
    """The stage, with the table or the modality that it makes where one stage makes several.

    >>> made = "results/corrected/admission/models/ehr/mortality.json"
    >>> stage_of(Job("pipeline.training.pretrain", made, 1, 1, 1, 0))
    'training.pretrain ehr'
    """
    stage, path = job.stage.removeprefix("pipeline."), Path(job.made)
    if stage == "extract.tables":
        return f"{stage} {path.stem}"
    if stage in ("training.pretrain", "training.embed"):
        return f"{stage} {next(m for m in ('ehr', 'cxr', 'note') if m in str(path))}"
    return stage


def costs(found: Sequence[Job]) -> dict[str, Cost]:
    """What each stage took: seconds of all its jobs (films: one per shard), the largest peak."""
    by_stage: dict[str, Cost] = {}
    for job in found:
        name = stage_of(job)
        before = by_stage.get(name, Cost())
        by_stage[name] = Cost(
            round(before.cpu + job.cpu, 2),
            round(before.seconds + job.seconds, 2),
            max(before.peak_mb, job.peak_mb),
        )
    return by_stage
