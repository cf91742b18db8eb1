"""What the schema of the config cannot see, and where the source lies.

Read while the workflow is planned: nothing heavy is imported, no table is read.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.common.modules import ROOT

SYNTHETIC = "synthetic"  # a source that is made
Config = Mapping[str, Any]


def source(config: Config) -> dict[str, str | None]:
    """Where the data sets lie. The synthetic hospital is made below results/ and nowhere else.

    >>> source({"source": {"root": "synthetic", "mimic_iv": "/data"}})
    {'root': 'results/hospital'}
    """
    given = config["source"]
    if given["root"] == SYNTHETIC:
        return {"root": "results/hospital"}
    return {name: path and str(Path(path).expanduser()) for name, path in given.items()}


def _mixed(config: Config) -> list[str]:
    """Data sets beside the synthetic hospital: which of the two is meant is not ours to guess."""
    given = config.get("source", {})
    own = [name for name, path in given.items() if name != "root" and path]
    if given.get("root") != SYNTHETIC or not own:
        return []
    why = f"root is {SYNTHETIC}, yet {', '.join(own)} is set"
    return [f"config.source: {why}; set root: null to use your own files"]


def _header(path: str) -> list[str]:
    with Path(path).open(encoding="utf-8-sig", errors="replace") as stream:
        return [name.strip(' "\r\n') for name in stream.readline().split(",")]


def misspelt(config: Config, known: set[str]) -> list[str]:
    """What the schema cannot see: files that do not exist, shares that do not sum up.

    `known`: keys of the schema; others must be sections of the config's own modalities.

    >>> split = {"salt": "a", "train": 0.5, "fusion": 0.2, "val": 0.1, "test": 0.1}
    >>> config = {"modalities": {"e": "ehr"}, "tasks": ["mortality"], "split": split, "folds": 1,
    ...           "cohort": {"ids": "no.csv"}, "cxr": {"pretrained": None}}
    >>> print(*misspelt(config, set(config)), sep="\\n")
    config.cohort.ids: no file no.csv
    config.split: the shares of train, fusion, val and test sum to 0.9, expected 1
    """
    names = list(config["modalities"].values())
    strange = sorted(set(config) - known - set(names))
    lines = [f"config.{key}: unknown, and no modality of that name" for key in strange]
    lines += [
        f"config.modalities: {name} has no {file}"
        for name in names
        for file in (f"pipeline/{name}/modality.py", f"rules/{name}.smk")
        if not (ROOT / file).is_file()
    ]
    lines += _mixed(config)
    lines += [
        f"config.tasks: {task} has no query pipeline/cohort/tasks/{task}.sql"
        for task in config["tasks"]
        if not (ROOT / f"pipeline/cohort/tasks/{task}.sql").is_file()
    ]
    # Snakemake forgives a missing input of a job whose outputs exist: the old cohort would stand
    lines += [
        f"config.{part}.{key}: no file {config[part][key]}"
        for part, key in (("cohort", "ids"), ("cxr", "pretrained"))
        if config[part][key] and not Path(config[part][key]).is_file()
    ]
    ids = config["cohort"]["ids"]
    if (
        ids and Path(ids).is_file() and "hadm_id" not in _header(ids)
    ):  # before anything is withdrawn
        lines.append(f"config.cohort.ids: {ids} has no column hadm_id")
    split = config["split"]
    total = sum(share for name, share in split.items() if name != "salt")
    if abs(total - 1) > 1e-9:
        shares = "the shares of train, fusion, val and test"
        lines.append(f"config.split: {shares} sum to {total:.4g}, expected 1")
    if config["folds"] * split["test"] > 1 + 1e-9:
        lines.append(f"config.folds: {config['folds']} test shares of {split['test']} overlap")
    return lines
