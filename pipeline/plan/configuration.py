"""The config: its schema, what the schema cannot see, and where the source lies.

Read while the workflow is planned: nothing heavy is imported, no table is read.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from pipeline.stage import multitask
from pipeline.stage.errors import InputError
from pipeline.stage.model_folders import why_not
from pipeline.stage.modules import ROOT

SYNTHETIC = "synthetic"  # a source that is made
Config = Mapping[str, Any]


@cache
def schema() -> dict[str, Any]:
    """The schema of the config."""
    text = (ROOT / "workflow/schemas/config.schema.yaml").read_text()
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def unlike_schema(config: object) -> str | None:
    """What the schema refuses, by its key, in one line."""
    wrong = best_match(Draft202012Validator(schema()).iter_errors(config))
    return wrong and f"{'.'.join(['config', *map(str, wrong.absolute_path)])}: {wrong.message}"


def read(path: Path) -> Config:
    """The config in a file; `InputError` where it cannot be read or is unlike the schema."""
    try:
        found: Config = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not a readable YAML file") from error
    if wrong := unlike_schema(found):
        raise InputError(f"{path}: {wrong}")
    return found


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
        f"config.tasks: {task} has no query pipeline/cohort/tasks/admission/{task}.sql"
        for task in config["tasks"]
        if not (ROOT / f"pipeline/cohort/tasks/admission/{task}.sql").is_file()
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


def misspelt_tasks(config: Config) -> list[str]:
    """The same for ICU stays: tasks without a query, out of order, or beyond FIDDLE's hours.

    >>> own = {"tasks": ["shock_4h"], "all": ["shock_4h", "arf_12h"]}
    >>> misspelt_tasks({"unimed": own, "fiddle": {"hours": 48, "step": 1}})
    ['config.unimed.all: arf_12h is not among unimed.tasks']
    """
    own, fiddle = config["unimed"], config["fiddle"]
    lines = [
        f"config.unimed.all: {task} is not among unimed.tasks"
        for task in own["all"]
        if task not in own["tasks"]
    ]
    lines += [
        f"config.unimed.tasks: {task} has no query {multitask.query(task)}"
        for task in own["tasks"]
        if not (ROOT / multitask.query(task)).is_file()
    ]
    if sorted(own["all"], key=multitask.hours) != own["all"]:
        lines.append("config.unimed.all: the tasks are not in the order of time")
    times = [multitask.hours(task) for task in own["tasks"]]
    if max(times) > fiddle["hours"]:
        lines.append(f"config.fiddle.hours: a task needs {max(times)} hours")
    if any(time % fiddle["step"] for time in times):
        step = fiddle["step"]
        lines.append(
            f"config.fiddle.step: bins of {step} hours do not end when a task is predicted"
        )
    return lines


def misspelt_variants(config: Config) -> list[str]:
    """The same for UniMed's models: an order of tasks that looks ahead, heads that do not fit.

    >>> base = {"order": "time", "hours": None, "width": 8, "heads": 2}
    >>> own = {"tasks": ["shock_4h", "arf_12h"], "all": ["shock_4h", "arf_12h"], "model": base,
    ...        "variants": {"x": {"order": "reversed"}, "y": {"heads": 3}}}
    >>> print(*misspelt_variants({"unimed": own}), sep="\\n")
    config.unimed.variants.x: in the order reversed a task would see what is known only later; set \
hours to 4 or less
    config.unimed.variants.y: width 8 is no multiple of heads 3
    """
    own, lines = config["unimed"], []
    times = [multitask.hours(task) for task in own["all"]]
    for model in multitask.models(config):
        found = multitask.settings(config, model)
        where = f"config.unimed.variants.{model.removeprefix(f'{multitask.NAME}-')}"
        where = "config.unimed.model" if model == multitask.NAME else where
        if found["order"] != "time" and (found["hours"] or max(times)) > min(times):
            why = f"in the order {found['order']} a task would see what is known only later"
            lines.append(f"{where}: {why}; set hours to {min(times)} or less")
        if found["width"] % found["heads"]:
            lines.append(
                f"{where}: width {found['width']} is no multiple of heads {found['heads']}"
            )
    return lines


def misspelt_bert(config: Config) -> list[str]:
    """A BERT that cannot be loaded, before anything is set aside for it; see `model_folders`."""
    return why_not(config["note"]["bert"]["model"])
