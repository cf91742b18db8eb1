"""How far the default recipe stays below what is reachable, on hospitals that nobody tuned on.

    python benchmarks/learning_curve.py --size full --folder /tmp/curve --output curve.json

Two variants in how severity shows, each with other lesions and another wording than the hospital of
config.yaml. `HOSPITALS` was fixed before any choice of this change, and none was made on them; one
(drift, 1,500 patients, seed 201) was seen before the choice of statistics (docs/choices.md). Both
variants of a size and seed are the same patients with the same films and reports. Each hospital has
a folder of its own with a copy of the code, renewed at each start, and runs through Snakemake with
config.yaml as it is, but for the hospital. Of every model: oracle − model, in AUROC on the same
test episodes.

It takes hours, and may be stopped at any time: the same command goes on from what lies on disk. A
hospital whose `record.json` holds all targets is kept, whatever becomes of the code, whose digest
stands in the table. The table is written anew after each hospital, beside the record (.md).
`--dry-run` shows what would run. Not among the questions of `make bench`, for its hours: make bench
QUESTIONS=learning_curve.
"""

import argparse
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curve_page import (
    CENTRAL,
    FUSED,
    LARGE,
    PAIRS,
    SINGLES,
    STATISTICS,
    STAY_TASKS,
    UNIMED,
    page,
    verdicts,
)
from record import REPOSITORY, Record, parser
from workflow_runs import SHARED, project, run, snakemake

sys.path.insert(0, str(REPOSITORY))

from pipeline.evaluation.panel import differences, measured, read_panels
from pipeline.evaluation.statistics.bootstrap import Resampling
from pipeline.fusion import registry
from pipeline.stage.result import read_result

TINY = 400  # patients: a try of this script, with all models and trainings of a few steps
TRY = {
    "schedule": {"steps": 10, "check": 5, "patience": 2},
    "note": {"doc2vec": {"epochs": 5}, "bert": {"tiny": {"reports": 300, "vocabulary": 400}}},
    "unimed": {"schedule": {"steps": 6, "check": 3, "patience": 2}},
}
VARIANTS = {
    "drift": {"vitals": "drift", "films": "focal", "reports": "varied"},
    "variability": {"vitals": "variability", "films": "focal", "reports": "varied"},
}


@dataclass(frozen=True)
class Hospital:
    """One hospital of the curve."""

    variant: str
    patients: int
    seed: int

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.variant}_{self.patients}_{self.seed}"

    @property
    def targets(self) -> list[str]:
        """The results that are asked for; models that there are not yet are left out."""
        whole = self.patients in (CENTRAL, TINY)
        models = [*FUSED, *(["joint"] if whole else [])]
        single = [*SINGLES, "e_gbdt-stats"]
        targets = [f"{model}_mortality" for model in (*single, *(f"ecn_{m}" for m in models))]
        if whole:
            targets += [UNIMED, *(f"{STATISTICS}_{task}" for task in STAY_TASKS)]
        return [t for t in targets if (m := t.split("_")[1]) in registry.MODELS or m == "unimed"]


HOSPITALS = [
    *(Hospital(v, n, seed) for n in (1500, CENTRAL) for v in VARIANTS for seed in (201, 202)),
    *(Hospital(v, LARGE, 201) for v in VARIANTS),
]
SIZES = {"small": [Hospital("drift", TINY, 9)], "full": HOSPITALS}


def code_digest(folder: Path) -> str:
    """A digest of the code and the config that a folder has: what ran there, whatever came since.

    That of hospitals with the same code is the same.
    """
    digest = hashlib.sha256()
    for shared in SHARED:
        top = folder / shared
        for path in sorted([top, *top.rglob("*")] if top.is_dir() else [top]):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def command(hospital: Hospital, folder: Path, cores: int, dry: bool) -> list[str]:
    """Makes the run folder; the call of Snakemake in it."""
    project(folder)
    sized = {"patients": hospital.patients, "seed": hospital.seed}
    settings: dict[str, Any] = {"hospital": {**sized, "severity": VARIANTS[hospital.variant]}}
    settings |= TRY if hospital.patients == TINY else {}
    results = [f"results/{target}.json" for target in hospital.targets]
    return snakemake(folder, settings, results, cores, dry)


def reached(folder: Path, targets: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Of each binary task of the results, by target and task: episodes, oracle, oracle − model."""
    found = {}
    for target in targets:
        result = read_result(folder / f"results/{target}.json")
        for task, part in result["tasks"].items():
            if "ceiling" not in part or (ceiling := part["ceiling"]) is None:
                continue
            model = target.removesuffix("_all").removesuffix(f"_{task}")
            found[f"{model}_{task}"] = {
                "test": part["metrics"]["test"],
                "oracle": ceiling["oracle_auroc"],
                "oracle_minus_model": ceiling["oracle_minus_model"],
            }
    return found


def paired(folder: Path, targets: Sequence[str]) -> list[dict[str, Any]]:
    """first − second on the same test episodes, with intervals and p."""
    wanted = [(f"{a}_mortality", f"{b}_mortality", "mortality") for a, b in PAIRS]
    wanted += [(UNIMED, f"{STATISTICS}_{task}", task) for task in STAY_TASKS]
    rows = []
    for first, second, task in wanted:
        if {first, second} <= set(targets):
            unit = "stay" if task in STAY_TASKS else "admission"
            tables = folder / "results/corrected" / unit / "predictions"
            panel = read_panels({t: [str(tables / f"{t}.parquet")] for t in (first, second)})[task]
            panel, _, figures = measured(panel, Resampling(), 0)
            (row,) = differences([(first, second)], list(panel.tests), figures)
            rows.append({"task": task, **row})
    return rows


def harvest(hospital: Hospital, folder: Path, seconds: float) -> None:
    """Leaves what the hospital shows in its `record.json`."""
    record = {
        "variant": hospital.variant, "patients": hospital.patients, "seed": hospital.seed,
        "code": code_digest(folder), "seconds_of_last_run": round(seconds),
        "targets": hospital.targets,
        "models": reached(folder, hospital.targets), "pairs": paired(folder, hospital.targets),
    }  # fmt: skip
    part = folder / "record.json.part"
    part.write_text(json.dumps(record, indent=1))
    part.replace(folder / "record.json")


def finished(hospital: Hospital, folder: Path) -> dict[str, Any] | None:
    """The hospital's record, if it holds every target that is asked for."""
    path = folder / "record.json"
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"targets": []}
    return record if set(hospital.targets) <= set(record["targets"]) else None


def write(hospitals: Sequence[Hospital], folder: Path, output: Path) -> None:
    """Writes record and table of what is finished."""
    found = {h.name: finished(h, folder / h.name) for h in hospitals}
    records = [record for record in found.values() if record]
    missing = [name for name, record in found.items() if not record]
    skipped = [model for model in (*FUSED, "joint") if model not in registry.MODELS]
    record = Record("Learning curve: the default recipe on hospitals on which nothing was chosen")
    for row in verdicts(records):
        record.ask(**row)
    record.limit = (
        "Films and reports of both variants are the same: 4 of 4 is of two hospitals. "
        "Every hospital, model and interval: " + output.with_suffix(".md").name
    )
    if missing:
        record.limit += f". Not finished: {', '.join(missing)}"
    record.write(output)
    whole = json.loads(output.read_text()) | {"hospitals": records, "missing": missing}
    output.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    output.with_suffix(".md").write_text(page(records, missing, skipped))


def main() -> None:
    """Runs the hospitals that are not finished, one after the other, smallest first."""
    options = parser(__doc__)
    options.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    options.add_argument("--only", nargs="*", help="names of hospitals, as drift_1500_201")
    options.add_argument("--dry-run", action="store_true")
    given: argparse.Namespace = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped; the same command goes on"))
    hospitals, folder = SIZES[given.size], given.folder.resolve() / "learning_curve"
    if unknown := sorted(set(given.only or []) - {h.name for h in hospitals}):
        names = ", ".join(hospital.name for hospital in hospitals)
        sys.exit(f"no hospital {', '.join(unknown)}; there are {names}")
    failed = []
    for hospital in hospitals:
        own = folder / hospital.name
        if finished(hospital, own) or (given.only and hospital.name not in given.only):
            continue
        now = time.strftime("%H:%M:%S")
        print(f"{now} {hospital.name}: {len(hospital.targets)} results", file=sys.stderr)
        started = time.monotonic()
        if run(command(hospital, own, given.cores, given.dry_run), own):
            failed.append(hospital.name)
        elif not given.dry_run:
            harvest(hospital, own, time.monotonic() - started)
            write(hospitals, folder, given.output)
    if not given.dry_run:
        write(hospitals, folder, given.output)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; the same command tries these again")


if __name__ == "__main__":
    main()
