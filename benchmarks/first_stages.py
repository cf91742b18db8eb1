"""The hospital and the first stages as the workflow starts them on four cores or more."""

import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import yaml
from record import REPOSITORY, Runs, once, python

sys.path.insert(0, str(REPOSITORY))
from pipeline.plan.wiring import Wiring

MEMORY_MB = 4000  # of an extraction, as its rule asks for


def hospital(folder: Path, patients: int) -> Path:
    """The release of the synthetic hospital, made where it is not there."""
    made = folder / f"hospital-{patients}"
    if not (made / "hospital.json").is_file():  # written last
        making = python("pipeline.hospital.make", "--output", made, "--patients", str(patients))
        subprocess.run([*making, "--no-films"], cwd=REPOSITORY, check=True)
    return made / "mimiciv" / "3.1"


def extracted(release: Path, table: str, output: Path, runs: Runs) -> None:
    """Extracts a table as the workflow does."""
    (path,) = release.glob(f"*/{table}.csv.gz")
    once(
        python("pipeline.extract.tables", "--table", table, "--source-file", path,
               "--output", output / f"{table}.parquet", "--threads", "2",
               "--memory-mb", str(MEMORY_MB), "--temp", tempfile.gettempdir()),
        runs,
    )  # fmt: skip


def episodes(source: Path, runs: Runs) -> None:
    """Selects the episodes from extracted tables, as the workflow does."""
    wiring, job = settings()
    once(
        python("pipeline.cohort.episodes", "--tables",
               *(source / f"{name}.parquet" for name in ("patients", "admissions", "icustays")),
               "--cohort", wiring.setting("cohort")(job), "--split", wiring.setting("split")(job),
               "--last-year", "2022",
               "--output", source / "episodes.parquet", "--attrition", source / "attrition.json",
               "--threads", "2", "--memory-mb", "2000", "--temp", tempfile.gettempdir()),
        runs,
    )  # fmt: skip


def events(source: Path, runs: Runs) -> None:
    """Selects the events of the episodes, as the workflow does."""
    wiring, job = settings()
    kinds = ("vitals", "outputs", "labs", "procedures", "infusions")
    once(
        python("pipeline.ehr.events", "--episodes", source / "episodes.parquet",
               "--source", source, "--availability", wiring.known_from(*kinds)(job),
               "--output", source / "events.parquet",
               "--threads", "2", "--memory-mb", "8000", "--temp", tempfile.gettempdir()),
        runs,
    )  # fmt: skip


def settings() -> tuple[Wiring, SimpleNamespace]:
    """How the workflow gets its settings, and a job's wildcards."""
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    return Wiring(config), SimpleNamespace(protocol="corrected")
