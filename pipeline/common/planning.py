"""What the workflow decides while it is planned: which targets there are, what a result is made of.

Takes the config as a mapping, reads no table and imports nothing heavy.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.common.modules import ROOT

MODELS = {"unimodal": "one letter", "early": "two letters or more"}
Config = Mapping[str, Any]


def misspelt(config: Config) -> list[str]:
    """What the schema cannot see: files that do not exist, shares that do not sum up.

    >>> split = {"salt": "a", "train": 0.5, "fusion": 0.2, "val": 0.1, "test": 0.1}
    >>> config = {"modalities": {"e": "ehr"}, "tasks": ["mortality"], "split": split,
    ...           "cohort": {"ids": "no.csv"}, "cxr": {"pretrained": None}}
    >>> print(*misspelt(config), sep="\\n")
    config.cohort.ids: no file no.csv
    config.split: the shares of train, fusion, val and test sum to 0.9, expected 1
    """
    lines = [
        f"config.modalities: {name} has no pipeline/{name}/modality.py"
        for name in config["modalities"].values()
        if not (ROOT / "pipeline" / name / "modality.py").is_file()
    ]
    lines += [
        f"config.tasks: {task} has no query pipeline/cohort/tasks/{task}.sql"
        for task in config["tasks"]
        if not (ROOT / f"pipeline/cohort/tasks/{task}.sql").is_file()
    ]
    # Snakemake forgives a missing input of a job whose outputs exist: the old cohort would stand
    files = [("cohort", "ids"), ("cxr", "pretrained")]
    lines += [
        f"config.{part}.{key}: no file {config[part][key]}"
        for part, key in files
        if config[part][key] and not Path(config[part][key]).is_file()
    ]
    total = sum(share for name, share in config["split"].items() if name != "salt")
    if abs(total - 1) > 1e-9:
        shares = "the shares of train, fusion, val and test"
        lines.append(f"config.split: {shares} sum to {total:.4g}, expected 1")
    return lines


def refusal(config: Config, modalities: str, model: str, task: str) -> str | None:
    """Why there is no such target, with the table of those that there are; None if it is one."""
    letters = "".join(config["modalities"])
    if not modalities or modalities != "".join(x for x in letters if x in modalities):
        why = f"no modality set '{modalities}'"
    elif model not in MODELS or (model == "unimodal") != (len(modalities) == 1):
        why = f"no model '{model}' of {len(modalities)} modalities"
    elif task not in config["tasks"]:
        why = f"no task '{task}'"
    else:
        return None
    models = "".join(f"\n  {name}: {count}" for name, count in MODELS.items())
    return (
        f"{modalities}_{model}_{task}: {why}. "
        "Targets are results/{modalities}_{model}_{task}.json with\n"
        f"  modalities: letters of {letters} in this order, each once\n"
        f"  task: {', '.join(config['tasks'])}{models}"
    )


def settings_of(config: Config, modalities: str, model: str) -> str:
    """The settings behind a result, as JSON with sorted keys; of files their name alone."""
    parts = ["availability", "cohort", "missing", "sample", "split", "torch"]
    parts += [config["modalities"][letter] for letter in modalities] + [model] * (model in config)
    parts += ["hospital"] * (config["source"]["root"] == "synthetic")
    kept = json.loads(json.dumps({part: config[part] for part in parts}))
    for part, key in (("cohort", "ids"), ("cxr", "pretrained")):
        if kept.get(part, {}).get(key):
            kept[part][key] = Path(kept[part][key]).name
    return json.dumps(kept, sort_keys=True)


def made_by(config: Config, modalities: str, model: str, task: str) -> list[str]:
    """The code that decides a result: modules and the task's query.

    All modules of its modalities' folders, and what comes before and after them.
    """
    folders = [Path("pipeline", config["modalities"][letter]) for letter in modalities]
    files = [path for folder in folders for path in (ROOT / folder).glob("[!_]*.py")]
    rooms = sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files)
    fusion = [f"pipeline.fusion.{model}"] * (model != "unimodal")
    first = ["pipeline.extract.tables", "pipeline.cohort.episodes", "pipeline.cohort.labels"]
    query = f"pipeline/cohort/tasks/{task}.sql"
    return [*first, query, *rooms, *fusion, "pipeline.evaluation.result"]
