"""UniMed's targets while the workflow is planned: models and their settings, tasks, the grid.

`unimed` is the model of config `unimed.model`; each entry of `unimed.variants` is a model
`unimed-<name>` that changes some of these settings. A target's task is one task of ICU stays, or
`all`: the tasks of `unimed.all`, by one decoder.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.stage.names import subsets

Config = Mapping[str, Any]
NAME, ALL = "unimed", "all"


def models(config: Config) -> list[str]:
    """Every model of the family.

    >>> models({"unimed": {"variants": {"gru": {}}}})
    ['unimed', 'unimed-gru']
    """
    return [NAME, *(f"{NAME}-{variant}" for variant in config["unimed"]["variants"])]


def is_model(name: str) -> bool:
    """Whether a target's model is of this family, known or not."""
    return name == NAME or name.startswith(f"{NAME}-")


def settings(config: Config, model: str) -> dict[str, Any]:
    """The settings of a model: those of `unimed`, and what its variant changes.

    >>> settings({"unimed": {"model": {"width": 8}, "variants": {"x": {"width": 9}}}}, "unimed-x")
    {'width': 9}
    """
    variant = config["unimed"]["variants"].get(model.removeprefix(f"{NAME}-"), {})
    return {**config["unimed"]["model"], **variant}


def tasks(config: Config, task: str) -> list[str]:
    """The tasks of a target, in the order of time.

    >>> tasks({"unimed": {"all": ["shock_4h", "arf_12h"]}}, "all")
    ['shock_4h', 'arf_12h']
    """
    return list(config["unimed"]["all"]) if task == ALL else [task]


def told(config: Config, model: str, task: str) -> list[str]:
    """The earlier tasks whose outcomes a model of a single task is told: none, but for the bound.

    >>> own = {"all": ["shock_4h", "arf_12h"], "model": {"feedback": "predicted"},
    ...        "variants": {"x": {"feedback": "truth"}}}
    >>> told({"unimed": own}, "unimed-x", "arf_12h"), told({"unimed": own}, "unimed", "arf_12h")
    (['shock_4h'], [])
    """
    if task == ALL or settings(config, model)["feedback"] != "truth":
        return []
    sequence = list(config["unimed"]["all"])
    if task in sequence:
        return sequence[: sequence.index(task)]
    return [earlier for earlier in sequence if hours(earlier) < hours(task)]


def truths(config: Config, model: str, task: str, known: list[str]) -> dict[str, str]:
    """The known truth of each of a target's tasks, as far as `known`: of one that is told, forced.

    >>> own = {"all": ["shock_4h", "arf_12h"], "model": {"feedback": "truth"}, "variants": {}}
    >>> truths({"unimed": own}, "unimed", "all", ["shock_4h", "arf_12h", "arf_12h_forced"])
    {'shock_4h': 'shock_4h', 'arf_12h': 'arf_12h_forced'}
    """
    found = {}
    for own in tasks(config, task):
        forced = f"{own}_forced"
        found[own] = forced if forced in known and told(config, model, own) else own
    return {own: name for own, name in found.items() if name in known}


def known_tasks(config: Config) -> list[str]:
    """What may stand as the task of a target."""
    return [*config["unimed"]["tasks"], ALL]


def hours(task: str) -> int:
    """When a task of ICU stays is predicted, hours after the patient's arrival in the ICU.

    >>> hours("shock_4h")
    4
    """
    return int(task.rsplit("_", 1)[1].removesuffix("h"))


def query(task: str) -> str:
    """The query of a task, whatever its hours.

    >>> query("shock_4h")
    'pipeline/cohort/tasks/stay/shock.sql'
    """
    return f"pipeline/cohort/tasks/stay/{task.rsplit('_', 1)[0]}.sql"


def horizons(own: Mapping[str, Any], names: list[str]) -> list[int]:
    """How many hours each task sees: those before its prediction, or the settings' `hours` if less.

    >>> horizons({"hours": None}, ["shock_4h", "arf_12h"]), horizons({"hours": 4}, ["arf_12h"])
    ([4, 12], [4])
    """
    return [min(own["hours"] or hours(task), hours(task)) for task in names]


def made_by(names: list[str], modalities: list[str]) -> list[str]:
    """The code that decides a result of these tasks; `modalities`: the modules of its modalities.

    >>> [file for file in made_by(["shock_4h", "shock_12h"], []) if file.endswith(".sql")]
    ['pipeline/cohort/tasks/stay/shock.sql']
    """
    queries = list(dict.fromkeys(map(query, names)))
    several = ["pipeline.cohort.diagnoses"] * any(task.startswith("diagnoses") for task in names)
    first = ["pipeline.extract.tables", "pipeline.cohort.stays", "pipeline.cohort.stay_labels"]
    last = ["pipeline.unimed.train", "pipeline.evaluation.result"]
    return [*first, *several, *queries, *modalities, *last]


def reference(config: Config) -> str:
    """The modalities of the paper: the record and the notes, where both are in the config.

    >>> reference({"modalities": {"e": "ehr", "c": "cxr", "n": "note"}})
    'en'
    """
    letters = "".join(config["modalities"])
    return "en" if set("en") <= set(letters) else letters


def grid(config: Config) -> list[str]:
    """The names {modalities}_{model}_{task} of every result of the tables.

    On the reference modalities every model on all tasks, and on each of them those that are
    compared so (decoders, training sizes, and the upper bound); every task alone; and each set of
    modalities.
    """
    own, paper = config["unimed"], reference(config)
    sets = [*subsets(paper), "".join(config["modalities"])]
    sized = [
        f"{NAME}-{name}"
        for name, change in own["variants"].items()
        if set(change) <= {"decoder", "training_share"}
    ]
    bounds = [
        f"{paper}_{model}_{task}"
        for model in models(config)
        for task in own["all"]
        if told(config, model, task)
    ]
    alone = [f"{paper}_{model}_{task}" for model in [NAME, *sized] for task in own["all"]]
    more = [f"{paper}_{NAME}_{task}" for task in own["tasks"]]
    together = [f"{paper}_{model}_{ALL}" for model in models(config)]
    return list(
        dict.fromkeys([*(f"{own}_{NAME}_{ALL}" for own in sets), *together, *alone, *bounds, *more])
    )
