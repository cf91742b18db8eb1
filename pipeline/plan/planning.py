"""What the workflow decides while it is planned: which targets there are, what a result is made of.

Takes the config as a mapping, reads no table and imports nothing heavy.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.cohort import task as tasks
from pipeline.plan import protocols
from pipeline.plan.configuration import SYNTHETIC
from pipeline.stage import multitask
from pipeline.stage.modules import ROOT
from pipeline.stage.names import subsets

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
PUBLISHED = ("unimodal", "early", "joint", "late", "late-averaged")
TRAINING = ["pipeline.training.pretrain", "pipeline.training.embed"]


def refusal(config: Config, modalities: str, model: str, task: str, protocol: str = "corrected"
            ) -> str | None:  # fmt: skip
    """Why there is no such target, with the table of those that there are; None if it is one."""
    letters = "".join(config["modalities"])
    allowed = MODELS if protocol == "corrected" else PUBLISHED
    stays = protocol == "corrected" and multitask.is_model(model)
    if not modalities or modalities != "".join(x for x in letters if x in modalities):
        why = f"no modality set '{modalities}'"
    elif stays and model in multitask.models(config):
        if task in multitask.known_tasks(config):
            return None
        why = f"no task '{task}' of ICU stays"
    elif model not in allowed or not _fits(model, modalities):
        why = f"no model '{model}' of the modalities '{modalities}'"
    elif task not in config["tasks"] or task not in tasks.known("admission", protocol):
        why = f"no task '{task}' in the {protocol} protocol"
    else:
        return None
    models = "".join(f"\n  {name}: {MODELS[name][0]}" for name in allowed)
    if protocol == "corrected":
        models += f"\nor of ICU stays\n  task: {', '.join(multitask.known_tasks(config))}"
        models += "".join(f"\n  {name}: any" for name in multitask.models(config))
    folder = "results" if protocol == "corrected" else f"results/{protocol}"
    return (
        f"{modalities}_{model}_{task}: {why}. "
        f"Targets are {folder}/{{modalities}}_{{model}}_{{task}}.json with\n"
        f"  modalities: letters of {letters} in this order, each once\n"
        f"  task: {', '.join(config['tasks'])}{models}"
    )


def unmet(config: Config, modalities: str, protocol: str) -> str | None:
    """What config.yaml lacks of that which a protocol requires of a real source; None if nothing.

    >>> config = {"modalities": {"e": "ehr", "c": "cxr"}, "source": {"root": "/data"},
    ...           "cxr": {"pixels": 64, "pretrained": None}}
    >>> unmet(config, "e", "published"), unmet(config, "ec", "corrected")
    (None, None)
    >>> print(unmet(config, "ec", "published"))
    the published protocol needs cxr.pixels: 224 (it is 64), cxr.pretrained: a file (it is null)
    """
    if config["source"]["root"] == SYNTHETIC:
        return None
    lacking = []
    for name in [config["modalities"][letter] for letter in modalities]:
        for key, value in protocols.choices(protocol)["required"].get(name, {}).items():
            own = config[name][key]
            if not own if value is True else own != value:
                needed = "a file" if value is True else value
                is_now = "null" if own is None else own
                lacking.append(f"{name}.{key}: {needed} (it is {is_now})")
    return f"the {protocol} protocol needs {', '.join(lacking)}" if lacking else None


def needs(config: Config, modalities: str, model: str, protocol: str, task: str = ""
          ) -> tuple[str, ...]:  # fmt: skip
    """What a target needs of the source: letters, its protocol, for ICU stays their labels too.

    And the charted code status, where the task's sensitivity analyses ask for it.

    Complete cases need every modality, whatever the target's are; stays are never complete cases.

    >>> config = {"modalities": {"e": "ehr", "c": "cxr"}, "missing": "any"}
    >>> needs(config, "e", "unimodal", "corrected"), needs(config, "c", "unimed", "corrected")
    (('e', 'corrected'), ('c', 'corrected', 'unimed', 'unimed c'))
    """
    found = protocols.settings(config, protocol)
    more_tables = ["any film"] * (found.get("cohort", {}).get("films") == "any")
    asks_chart = protocol == "corrected" and task in tasks.known("admission")
    asks_chart = asks_chart and "chartevents" in tasks.find(task).without_tables
    more_tables += ["code status"] * asks_chart
    if multitask.is_model(model):
        more = (f"{multitask.NAME} {letter}" for letter in modalities)
        return (*modalities, protocol, multitask.NAME, *more, *more_tables)
    if found["missing"] == "complete":
        own = found["complete_of"] or config["modalities"].values()
        letters = [letter for letter, name in config["modalities"].items() if name in own]
        modalities = "".join({**dict.fromkeys(modalities), **dict.fromkeys(letters)})
    return (*modalities, protocol, *more_tables)


def _fits(model: str, modalities: str) -> bool:
    words, sizes, _ = MODELS[model]
    return len(modalities) in sizes and (words != "e" or modalities == "e")


def modality_sets(config: Config) -> list[str]:
    """Every set of modalities, the smaller first.

    >>> modality_sets({"modalities": {"e": "ehr", "c": "cxr", "n": "note"}})
    ['e', 'c', 'n', 'ec', 'en', 'cn', 'ecn']
    """
    return subsets(config["modalities"])


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
    parts = ["availability", "cohort", "sample", "split", "torch", "folds"]
    parts += [config["modalities"][letter] for letter in modalities] + [model] * (model in found)
    parts += ["hospital"] * (config["source"]["root"] == SYNTHETIC)
    if multitask.is_model(model):
        own = {key: found["unimed"][key] for key in ("all", "schedule")}
        found["unimed"] = own | {"model": multitask.settings(config, model)}
        parts += ["unimed"] + ["fiddle"] * ("e" in modalities)
    else:
        parts += ["missing", "head_on", "schedule", "schedules", "class_weights"]
        parts += ["modality_dropout"]
    kept = json.loads(json.dumps({part: found[part] for part in parts if part in found}))
    for part, key in (("cohort", "ids"), ("cxr", "pretrained")):
        if kept.get(part, {}).get(key):
            kept[part][key] = Path(kept[part][key]).name
    bert = kept.get("note", {}).get("bert", {})
    if bert.get("model") and Path(bert["model"]).is_dir():  # else a hub name, owner and all
        bert["model"] = Path(bert["model"]).name
    return json.dumps(kept, sort_keys=True)


def query(stem: str, protocol: str) -> str:
    """The query of a protocol, of which there are a corrected and a published one.

    >>> query("pipeline/cxr/films", "published"), query("pipeline/cxr/films", "corrected/fold1")
    ('pipeline/cxr/films_published.sql', 'pipeline/cxr/films.sql')
    """
    return f"{stem}{'_published' if protocol == 'published' else ''}.sql"


def marked_by(names: list[str]) -> list[str]:
    """The code that marks whom the sensitivity analyses of these tasks leave out.

    >>> marked_by(["shock_4h"]), marked_by(["longstay"])[0]
    ([], 'pipeline.cohort.without')
    """
    queries = [query for name in names if (query := tasks.find(name).without)]
    return ["pipeline.cohort.without", *dict.fromkeys(queries)] if queries else []


@cache
def _room(modality: str, protocol: str) -> list[str]:
    """All modules of a modality's folder, and the queries that the protocol chooses."""
    folder = ROOT / "pipeline" / modality
    stems = [path.stem.removesuffix("_published") for path in folder.glob("*_published.sql")]
    queries = [query(f"pipeline/{modality}/{stem}", protocol) for stem in stems]
    return [*(f"pipeline.{modality}.{path.stem}" for path in folder.glob("[!_]*.py")), *queries]


def made_by(config: Config, modalities: str, model: str, task: str, protocol: str = "corrected"
            ) -> list[str]:  # fmt: skip
    """The code that decides a result: modules and the task's query.

    All modules of its modalities' folders, and what comes before and after them.
    """
    names = [config["modalities"][letter] for letter in modalities]
    rooms = sorted(file for name in names for file in _room(name, protocol))
    first = ["pipeline.extract.tables", "pipeline.cohort.episodes", "pipeline.cohort.labels"]
    first += [query("pipeline/cohort/episodes", protocol)]
    first += marked_by([task] if protocol == "corrected" else [])
    last = [*MODELS[model][2], "pipeline.evaluation.result"]
    return [*first, tasks.find(task, protocol).query, *rooms, *TRAINING, *last]
