"""Which results there are, and what each is made of: decided while the workflow is planned.

A target is {modalities}_{model}_{task} under a protocol. Its task is one of `pipeline.cohort.task`,
or a sequence that a decoder takes together: `all`, the ICU stays' tasks of config `unimed.all`, or
`admission`, those of config `tasks`. Takes the config as a mapping, reads no table.
"""

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.cohort import task as tasks_of_cohort
from pipeline.cohort.task import SEQUENCES, Task
from pipeline.fusion import registry
from pipeline.hourly import source as hourly_source
from pipeline.meds import source as meds_source
from pipeline.plan import experiments, protocols
from pipeline.plan.configuration import SYNTHETIC
from pipeline.stage.registry import PROTOCOLS, Modality

Config = Mapping[str, Any]
ENCODERS = ("pipeline.training.pretrain", "pipeline.training.embed")  # of frozen encoders


def folders(config: Config) -> dict[str, str]:
    """Protocol → the folder of its results.

    >>> folders({"name": "elderly"})
    {'corrected': 'results/elderly', 'published': 'results/elderly/published'}
    """
    home = experiments.home(config)
    return {name: home if name == "corrected" else f"{home}/{name}" for name in PROTOCOLS}


def sequence(config: Config, name: str) -> list[str]:
    """The tasks of a target's task: itself, or those of a sequence in the order of time.

    >>> config = {"tasks": ["mortality"], "unimed": {"all": ["shock_4h", "arf_12h"]}}
    >>> [sequence(config, name) for name in ("all", "admission", "shock_6h")]
    [['shock_4h', 'arf_12h'], ['mortality'], ['shock_6h']]
    """
    if name not in SEQUENCES:
        return [name]
    named = config["unimed"]["all"] if SEQUENCES[name] == "stay" else config["tasks"]
    return sorted(named, key=lambda task: tasks_of_cohort.find(task).hours or 0)


def together(unit: str) -> str:
    """The sequence that holds a unit's tasks.

    >>> together("stay")
    'all'
    """
    return next(name for name, of in SEQUENCES.items() if of == unit)


def tasks(config: Config, name: str, protocol: str = "corrected") -> list[Task]:
    """The same as tasks; `InputError` where one has no query."""
    return [tasks_of_cohort.find(one, protocol) for one in sequence(config, name)]


def read(config: Config, model: str, name: str, protocol: str = "corrected") -> list[Task]:
    """The tasks whose labels a model reads: those that a decoder is told, then the target's."""
    is_told = told(config, model, name) if registry.is_decoder(model) else []
    return [*map(tasks_of_cohort.find, is_told), *tasks(config, name, protocol)]


def unit_of(config: Config, name: str, protocol: str = "corrected") -> str:
    """The unit of a target's task: admission or stay.

    >>> unit_of({}, "shock_4h"), unit_of({"tasks": ["mortality"]}, "admission")
    ('stay', 'admission')
    """
    return tasks(config, name, protocol)[0].unit


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


def ahead(config: Config, model: str, protocol: str, task: str) -> str | None:
    """Why a target cannot look ahead, where the config has the availability rule switched off.

    >>> config = {"availability": {"enforced": False}, "tasks": []}
    >>> ahead(config, "early", "corrected", "shock_4h")
    'config.availability.enforced: false shows what looking ahead is worth to admissions, by any \
model but unimed; ICU stays and unimed read up to their horizons: set true'
    """
    table = protocols.settings(config, protocol)["availability"]
    if table is None or table["enforced"]:
        return None
    if unit_of(config, task, protocol) == "admission" and not registry.is_decoder(model):
        return None
    return (
        "config.availability.enforced: false shows what looking ahead is worth to admissions, by "
        f"any model but {registry.DECODER}; ICU stays and {registry.DECODER} read up to their "
        "horizons: set true"
    )


def beyond_meds(config: Config, model: str, protocol: str, task: str) -> str | None:
    """Why a target cannot be made of a MEDS source, of whose items only signals are known; or None.

    >>> config = {"tasks": [], "unimed": {"all": []}}
    >>> beyond_meds(config, "gbdt-stats", "corrected", "shock_4h")
    >>> beyond_meds(config, "sofa", "corrected", "shock_4h")
    'the score sofa reads items beyond the signals of a MEDS source: ask for another model'
    """
    if model in registry.MODELS and registry.MODELS[model].features == "scores":
        return (f"the score {model} reads items beyond the signals of a MEDS source: ask for "
                "another model")  # fmt: skip
    if protocol == "published":
        return "the published protocol reads MIMIC's own files: ask for the corrected one"
    for one in tasks(config, task, protocol):
        if items := meds_source.unknown_items(one.asked.files):
            return (f"the task {one.name} reads items that are no signals of a MEDS source "
                    f"({', '.join(map(str, items))}): ask for another task")  # fmt: skip
    return None


def beyond_hourly(config: Config, model: str, protocol: str, task: str) -> str | None:
    """Why a target cannot be made of hourly concept tables, whose labels answer one task; or None.

    >>> config = {"tasks": [], "unimed": {"all": []}}
    >>> beyond_hourly(config, "gbdt-stats", "corrected", "icumortality_24h")
    >>> beyond_hourly(config, "gbdt-stats", "corrected", "mortality_48h")
    'a source of kind hourly has the labels of icumortality_24h alone: ask for that task'
    """
    if protocol == "published":
        return "the published protocol reads MIMIC's own files: ask for the corrected one"
    if model in registry.MODELS and registry.MODELS[model].features == "scores":
        return f"the score {model} reads items that no concept is: ask for another model"
    if any(one.name != hourly_source.TASK for one in tasks(config, task, protocol)):
        return (f"a source of kind hourly has the labels of {hourly_source.TASK} alone: ask for "
                "that task")  # fmt: skip
    return None


def uneven(config: Config, modalities: str, model: str, protocol: str, task: str) -> str | None:
    """Why FIDDLE's bins do not end where a task's data do; None if they do, or if none is read.

    >>> config = {"encoders": {"e": "fiddle"}, "fiddle": {"hours": 48, "step": 4}, "tasks": [],
    ...           "cohort": {"window_hours": 48}}
    >>> uneven(config, "e", "unimodal", "corrected", "shock_6h")
    'config.fiddle.step: bins of 4 hours do not end at 6 hours, where the data of shock_6h end'
    """
    merged = protocols.settings(config, protocol)
    encoders = protocols.encoders(merged, model)
    if "fiddle" not in [encoders.get(letter) for letter in modalities]:
        return None
    first = decoder_settings(config, model)["hours"] if registry.is_decoder(model) else None
    for one in tasks(config, task, protocol):
        settings = protocols.fiddle(merged, one.unit)
        hours = one.hours or settings["hours"]
        hours = min(hours, first or hours)
        if hours > settings["hours"]:
            return (f"config.fiddle.hours: {settings['hours']}, but the data of {one.name} end at "
                    f"{hours} hours")  # fmt: skip
        if hours % settings["step"]:
            return (f"config.fiddle.step: bins of {settings['step']} hours do not end at {hours} "
                    f"hours, where the data of {one.name} end")  # fmt: skip
    return None


def needs(config: Config, modalities: str, model: str, protocol: str, task: str) -> tuple[str, ...]:
    """What a target needs of the source, in the words of `pipeline.extract.contracts`.

    Letters, the protocol, the unit, tables of the tasks' queries and of a score, and the encoders.
    Complete cases need every modality, whatever the target's are.
    """
    merged = protocols.settings(config, protocol)
    asked = read(config, model, task, protocol)
    more = [table for one in asked for table in (*one.tables, *one.without_tables)]
    more += registry.models(config, protocol)[model].tables
    more += ["any film"] * (merged["cohort"]["films"] == "any") + [asked[0].unit]
    encoders = protocols.encoders(merged, model)
    more += [encoders[letter] for letter in modalities if letter in encoders]
    if merged["missing"] == "complete":
        own = merged["complete_of"] or config["modalities"].values()
        letters = [letter for letter, name in config["modalities"].items() if name in own]
        modalities = "".join({**dict.fromkeys(modalities), **dict.fromkeys(letters)})
    return tuple(dict.fromkeys([*modalities, protocol, *more]))


def modality(config: Config, name: str) -> Modality:
    """What the folder of a modality registers."""
    offered: Modality = import_module(f"pipeline.{name}.registry").modality(config)
    return offered


def decoder_settings(config: Config, model: str) -> dict[str, Any]:
    """The settings of UniMed, and what its variant changes.

    >>> config = {"unimed": {"model": {"width": 8}, "variants": {"x": {"width": 9}}}}
    >>> decoder_settings(config, "unimed-x")
    {'width': 9}
    """
    variant = config["unimed"]["variants"].get(model.removeprefix(f"{registry.DECODER}-"), {})
    return {**config["unimed"]["model"], **variant}


def told(config: Config, model: str, task: str) -> list[str]:
    """The earlier tasks whose outcomes a decoder of a single task is told: none, but for the bound.

    >>> own = {"all": ["shock_4h", "arf_12h"], "model": {"feedback": "predicted"},
    ...        "variants": {"x": {"feedback": "truth"}}}
    >>> config = {"unimed": own, "tasks": []}
    >>> told(config, "unimed-x", "arf_12h"), told(config, "unimed", "arf_12h")
    (['shock_4h'], [])
    """
    if task in SEQUENCES or decoder_settings(config, model)["feedback"] != "truth":
        return []
    one = tasks_of_cohort.find(task)
    names = sequence(config, together(one.unit))
    if task in names:
        return names[: names.index(task)]
    hours = {name: tasks_of_cohort.find(name).hours or 0 for name in names}
    return [name for name in names if hours[name] < (one.hours or 0)]


def truths(config: Config, model: str, task: str, known: Sequence[str]) -> dict[str, str]:
    """The known truth of each of a target's tasks, as far as `known`: of one that is told, forced.

    >>> own = {"all": ["shock_4h", "arf_12h"], "model": {"feedback": "truth"}, "variants": {}}
    >>> config = {"unimed": own, "tasks": []}
    >>> truths(config, "unimed", "all", ["shock_4h", "arf_12h", "arf_12h_forced"])
    {'shock_4h': 'shock_4h', 'arf_12h': 'arf_12h_forced'}
    """
    names = {}
    for one in sequence(config, task):
        forced = f"{one}_forced"
        is_told = registry.is_decoder(model) and told(config, model, one)
        names[one] = forced if is_told else one  # told, it can reach more than the others
    return {one: name for one, name in names.items() if name in known}


def query(stem: str, protocol: str) -> str:
    """The query of a protocol, of which there are a corrected and a published one.

    >>> query("pipeline/cxr/films", "published"), query("pipeline/cxr/films", "corrected/fold1")
    ('pipeline/cxr/films_published.sql', 'pipeline/cxr/films.sql')
    """
    return f"{stem}{'_published' if protocol == 'published' else ''}.sql"


def recalibration_option(config: Config, protocol: str) -> list[str]:
    """The option of a result's rule; none where none is asked for, so that it is as before.

    The published protocol is that of the paper, which recalibrates nothing.

    >>> recalibration_option({"recalibration": "platt"}, "corrected")
    ['--recalibration', 'platt']
    >>> recalibration_option({"recalibration": "platt"}, "published")
    []
    """
    method = "none" if protocol == "published" else config.get("recalibration", "none")
    return [] if method == "none" else ["--recalibration", method]


def settings_of(config: Config, protocol: str, modalities: str, model: str, unit: str) -> str:
    """The settings behind a result, as JSON with sorted keys; of files their name alone."""
    merged = protocols.settings(config, protocol)
    parts = ["availability", "cohort", "sample", "split", "torch", "folds"]
    parts += [config["modalities"][letter] for letter in modalities]
    parts += ["recalibration"] * bool(recalibration_option(config, protocol))
    parts += ["hospital"] * (config["source"]["root"] == SYNTHETIC)
    encoders = protocols.encoders(merged, model)
    merged["encoders"] = {letter: encoders[letter] for letter in modalities if letter in encoders}
    parts += ["encoders"]
    if registry.is_decoder(model):
        own = {key: merged["unimed"][key] for key in ("all", "schedule")}
        merged["unimed"] = own | {"model": decoder_settings(config, model)}
        parts += ["unimed"] + ["missing"] * (unit == "admission" or merged["missing"] != "any")
    else:
        parts += ["missing", "head_on", "schedule", "schedules", "class_weights"]
        parts += ["modality_dropout"]
    if "fiddle" in merged["encoders"].values():
        parts.append("fiddle")
        merged["fiddle"] = protocols.fiddle(merged, unit)
    kept = json.loads(json.dumps({part: merged[part] for part in parts if part in merged}))
    backbone = kept.get("cxr", {}).get("backbone", {})
    named: list[tuple[dict[str, Any], str]] = [
        (kept.get("cohort", {}), "ids"),
        (kept.get("cxr", {}), "pretrained"),
        (kept.get("cxr", {}), "precomputed"),
        (kept.get("note", {}), "precomputed"),
        (backbone, "weights"),
    ]
    for section, key in named:
        if section.get(key):
            section[key] = Path(section[key]).name
    for network in (backbone, kept.get("note", {}).get("bert", {})):
        if network.get("model") and Path(network["model"]).is_dir():  # else a name, owner and all
            network["model"] = Path(network["model"]).name
    return json.dumps(kept, sort_keys=True)
