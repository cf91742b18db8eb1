"""What the workflow decides while it is planned: which targets there are, what a result is made of.

Takes the config as a mapping, reads no table and imports nothing heavy.
"""

import json
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from pipeline.common import protocols
from pipeline.common.modules import ROOT

Config = Mapping[str, Any]
# model → its modalities in words, the sizes of the sets, its modules
MODELS: dict[str, tuple[str, range, list[str]]] = {
    "unimodal": ("one letter", range(1, 2), []),
    "early": ("two letters or more", range(2, 99), ["pipeline.fusion.early"]),
    "joint": ("two letters or more", range(2, 99), ["pipeline.fusion.joint"]),
    "late": ("two letters or more", range(2, 99), ["pipeline.fusion.late"]),
    "late-averaged": ("two letters or more", range(2, 99), ["pipeline.fusion.joint"]),
    "logistic": ("any", range(1, 99), ["pipeline.fusion.baselines"]),
    "gbdt": ("any", range(1, 99), ["pipeline.fusion.baselines"]),
    "logistic-stats": ("e", range(1, 2), ["pipeline.fusion.baselines", "pipeline.ehr.statistics"]),
    "gbdt-stats": ("e", range(1, 2), ["pipeline.fusion.baselines", "pipeline.ehr.statistics"]),
}
SYNTHETIC = "synthetic"  # a source that is made
PUBLISHED = ("unimodal", "early", "joint", "late", "late-averaged")
FUSIONS = ("early", "joint", "late", "late-averaged")
TRAINING = ["pipeline.training.pretrain", "pipeline.training.embed"]


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


def refusal(config: Config, modalities: str, model: str, task: str, protocol: str = "corrected"
            ) -> str | None:  # fmt: skip
    """Why there is no such target, with the table of those that there are; None if it is one."""
    letters = "".join(config["modalities"])
    allowed = MODELS if protocol == "corrected" else PUBLISHED
    if not modalities or modalities != "".join(x for x in letters if x in modalities):
        why = f"no modality set '{modalities}'"
    elif model not in allowed or not _fits(model, modalities):
        why = f"no model '{model}' of the modalities '{modalities}'"
    elif task not in config["tasks"] or not (ROOT / task_query(protocol, task)).is_file():
        why = f"no task '{task}' in the {protocol} protocol"
    else:
        return None
    models = "".join(f"\n  {name}: {MODELS[name][0]}" for name in allowed)
    folder = "results" if protocol == "corrected" else f"results/{protocol}"
    return (
        f"{modalities}_{model}_{task}: {why}. "
        f"Targets are {folder}/{{modalities}}_{{model}}_{{task}}.json with\n"
        f"  modalities: letters of {letters} in this order, each once\n"
        f"  task: {', '.join(config['tasks'])}{models}"
    )


def needs(config: Config, modalities: str, protocol: str) -> tuple[str, ...]:
    """What a target needs of the source: letters and its protocol.

    Complete cases need every modality, whatever the target's are.

    >>> needs({"modalities": {"e": "ehr", "c": "cxr"}, "missing": "any"}, "e", "corrected")
    ('e', 'corrected')
    """
    found = protocols.settings(config, protocol)
    if found["missing"] == "complete":
        own = found["complete_of"] or config["modalities"].values()
        letters = [letter for letter, name in config["modalities"].items() if name in own]
        modalities = "".join({**dict.fromkeys(modalities), **dict.fromkeys(letters)})
    return (*modalities, protocol)


def _fits(model: str, modalities: str) -> bool:
    words, sizes, _ = MODELS[model]
    return len(modalities) in sizes and (words != "e" or modalities == "e")


def modality_sets(config: Config) -> list[str]:
    """Every set of modalities, the smaller first.

    >>> modality_sets({"modalities": {"e": "ehr", "c": "cxr", "n": "note"}})
    ['e', 'c', 'n', 'ec', 'en', 'cn', 'ecn']
    """
    letters = config["modalities"]
    sizes = range(1, len(letters) + 1)
    return ["".join(one) for size in sizes for one in combinations(letters, size)]


def by_set(config: Config, files: list[str]) -> list[str]:
    """`set=file,file` of each modality set; `files`: of the sets in order, a set's folds together.

    >>> by_set({"modalities": {"e": "ehr"}}, ["a.parquet", "b.parquet"])
    ['e=a.parquet,b.parquet']
    """
    sets = modality_sets(config)
    folds = len(files) // len(sets)
    return [f"{own}={','.join(files[k * folds :][:folds])}" for k, own in enumerate(sets)]


def grid(config: Config, protocol: str) -> list[str]:
    """The names {modalities}_{model}_{task} of every result of a protocol."""
    return [
        f"{letters}_{model}_{task}"
        for task in config["tasks"]
        for letters in modality_sets(config)
        for model in MODELS
        if refusal(config, letters, model, task, protocol) is None
    ]


def settings_of(config: Config, protocol: str, modalities: str, model: str) -> str:
    """The settings behind a result, as JSON with sorted keys; of files their name alone."""
    found = protocols.settings(config, protocol)
    parts = ["availability", "cohort", "missing", "sample", "split", "torch", "folds", "head_on"]
    parts += ["schedule", "schedules", "class_weights", "modality_dropout"]
    parts += [config["modalities"][letter] for letter in modalities] + [model] * (model in found)
    parts += ["hospital"] * (config["source"]["root"] == "synthetic")
    kept = json.loads(json.dumps({part: found[part] for part in parts if part in found}))
    for part, key in (("cohort", "ids"), ("cxr", "pretrained")):
        if kept.get(part, {}).get(key):
            kept[part][key] = Path(kept[part][key]).name
    return json.dumps(kept, sort_keys=True)


def task_query(protocol: str, task: str) -> str:
    """The query of a task under a protocol or fold.

    >>> task_query("published", "mortality")
    'pipeline/cohort/tasks/published/mortality.sql'
    """
    folder = "published/" if protocol == "published" else ""
    return f"pipeline/cohort/tasks/{folder}{task}.sql"


def made_by(config: Config, modalities: str, model: str, task: str, protocol: str = "corrected"
            ) -> list[str]:  # fmt: skip
    """The code that decides a result: modules and the task's query.

    All modules of its modalities' folders, and what comes before and after them.
    """
    folders = [Path("pipeline", config["modalities"][letter]) for letter in modalities]
    files = [path for folder in folders for path in (ROOT / folder).glob("[!_]*.py")]
    rooms = sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files)
    first = ["pipeline.extract.tables", "pipeline.cohort.episodes", "pipeline.cohort.labels"]
    last = [*MODELS[model][2], "pipeline.evaluation.result"]
    return [*first, task_query(protocol, task), *rooms, *TRAINING, *last]
