"""What a result was made from (data, code, versions), and what it cost (time, memory, host).

The first goes into the result and is the same in every run; the second goes into a file beside it.
"""

import hashlib
import json
import platform
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

import polars as pl

from pipeline.evaluation.sections.suppression import shown, shown_part
from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json
from pipeline.stage.model_folders import digest_of_files
from pipeline.stage.modules import digest_of_code
from pipeline.stage.privacy import warn
from pipeline.stage.result import Ended, Environment, External, Films, Source
from pipeline.stage.sections import Definition
from pipeline.stage.tables import one_version, version_of_tables

PACKAGES = (
    "duckdb",
    "gensim",
    "matplotlib",
    "numpy",
    "polars",
    "pyarrow",
    "safetensors",
    "scikit-learn",
    "snakemake",
    "torch",
    "torchvision",
    "transformers",
)


RECORD = ("stage", "made", "seconds", "peak_mb", "host", "started")


def cohort_fingerprint(*predictions: pl.DataFrame) -> str:
    """SHA-256 over the sorted (episode_id, split, label): equal cohorts, equal fingerprints.

    Several tables (folds) count in their order.

    >>> frame = pl.DataFrame({"episode_id": [2, 1], "split": ["test"] * 2, "label": [1, 0]})
    >>> cohort_fingerprint(frame) == cohort_fingerprint(frame.reverse())
    True
    """
    digest = hashlib.sha256()
    for table in predictions:
        rows = table.select("episode_id", "split", "label").unique().sort("episode_id")
        digest.update(rows.write_csv(include_header=False).encode())
    return digest.hexdigest()


def code_fingerprint(modules: list[str]) -> str:
    """SHA-256 over the path and content of every source file that the modules consist of."""
    try:
        return digest_of_code(modules)
    except InputError as error:
        raise InputError(f"--modules: {error}") from error


def environment(modules: list[str], lock: str | Path) -> Environment:
    """Versions of Python and of the installed key packages; fingerprints of the pins and the code.

    Versions are read from package metadata: nothing heavy is imported.
    """
    if not Path(lock).is_file():
        raise InputError(f"{lock}: no such file, expected the pinned requirements (--lock)")
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "packages": packages,
        "lock_sha256": hashlib.sha256(Path(lock).read_bytes()).hexdigest(),
        "code_sha256": code_fingerprint(modules),
        "modules": sorted(modules),
    }


def definition_of(attrition: Mapping[str, Any], source: Source) -> Definition | None:
    """The definition of a task that its labels stage recorded, and the releases it was asked of.

    None of labels that recorded none.
    """
    recorded = attrition.get("definition")
    if recorded is None:
        return None
    definition = {key: value for key, value in recorded.items() if key != "version"}
    return cast(Definition, definition | {"releases": source.get("releases", {})})


def definitions_version(
    predictions: Sequence[str], attritions: Mapping[str, Mapping[str, Any]]
) -> int:
    """The version of definitions of the predictions and of the labels that they are judged by.

    `attritions`: by path. Raises `InputError` where they differ; 1 is what names none.
    """
    versions = {path: table.get("definition", {}).get("version", 1)
                for path, table in attritions.items()}  # fmt: skip
    tables = {path: version_of_tables([path]) for path in predictions}
    return one_version(tables | versions, "a result")


def unreadable_films(path: str | None, smallest: int) -> Films | None:
    """How many films the cohort needs and how many of them cannot be read, small counts hidden.

    `path`: JSON of the stage that counts them; None where the result reads no films.
    """
    return cast(Films, _with_total(read_json(path), "unreadable", smallest)) if path else None


def _with_total(counts: Mapping[str, int], part: str, smallest: int) -> dict[str, int | str]:
    """The items needed and a part of them, as far as both may be shown."""
    needed = counts["needed"]
    return {"needed": shown(needed, smallest), part: shown_part(counts[part], needed, smallest)}


def external_files(told: Mapping[str, Any], smallest: int) -> dict[str, External]:
    """Modality → digest of the user's files behind its encoder, and what lacks an embedding.

    `told`: modality → files, and counts, a JSON of needed and missing, or null.
    """
    return {
        name: cast(External, {
            "sha256": digest_of_files(map(Path, one["files"])),
            **(_with_total(read_json(one["counts"]), "missing", smallest) if one["counts"] else {}),
        })
        for name, one in told.items()
    }  # fmt: skip


def endings(paths: Sequence[str]) -> list[Ended]:
    """How each training ended, by the histories of trainings: of a part one per fold, in order."""
    ended: list[Ended] = []
    folds: Counter[str] = Counter()
    for path in paths:
        history = read_json(path)
        part = history["part"]
        for seed, one in history["seeds"].items():
            ended.append({
                "part": part, "fold": folds[part], "seed": int(seed),
                "precision": history["precision"], "steps": one["steps"],
                "best_step": one["best_step"], "stopped": one["stopped"], "rising": one["rising"],
            })  # fmt: skip
        folds[part] += 1
    return ended


def usage(folder: str | Path, stages_of: Collection[str]) -> dict[str, Any]:
    """The records that these stages (modules) left in a folder, in order of start, with totals.

    A record: stage, made (its output), seconds, peak_mb, host, started. A folder that is absent, or
    a record that cannot be read, costs a log line at most: a result does not depend on them.
    """
    stages = []
    for path in sorted(Path(folder).glob("*.json")):
        try:
            record = json.loads(path.read_text())
            if record["stage"] in stages_of:
                stages.append({field: record[field] for field in RECORD})
        except (OSError, ValueError, TypeError, KeyError):
            warn("%s: not a readable record of a stage, left out", path)
    stages.sort(key=lambda record: (record["started"], record["stage"], record["made"]))
    return {
        "stages": stages,
        "total_seconds": round(sum(record["seconds"] for record in stages), 2),
        "peak_mb": max((record["peak_mb"] for record in stages), default=0),
        "hosts": sorted({record["host"] for record in stages}),
    }
