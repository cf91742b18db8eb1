"""Why a target cannot be made, with what can be and the nearest name: before anything starts.

A target is a result, {modalities}_{model}_{task} under a protocol, or another file of the workflow.
"""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.cohort import task as tasks_of_cohort
from pipeline.cohort.task import HOURS, SEQUENCES
from pipeline.fusion import registry
from pipeline.plan.targets import folders
from pipeline.stage.errors import InputError
from pipeline.stage.registry import Model

Config = Mapping[str, Any]
_HOURS = re.compile(r"(.+?)(?:_(\d+)h?)?")  # of a task's name, well written or not
_TARGET = re.compile(r"(?:(.*)/)?([^/_.]+)_([^/_.]+)_([^/.]+)(?:\.[^/]*)?")


def refusal(config: Config, modalities: str, model: str, task: str, protocol: str = "corrected"
            ) -> str | None:  # fmt: skip
    """Why there is no such target, with the table of those that there are; None if it is one."""
    letters = "".join(config["modalities"])
    models = registry.models(config, protocol)
    in_order = "".join(letter for letter in letters if letter in modalities.lower())
    if not modalities or modalities != in_order:
        meant = in_order if set(modalities.lower()) <= set(letters) else ""
        why = f"no modality set '{modalities}'{_did_you_mean(meant)}"
    elif model not in models or not models[model].takes(modalities):
        fitting = [name for name, one in models.items() if one.takes(modalities)]
        meant = nearest(model, fitting)
        why = f"no model '{model}' of the modalities '{modalities}'{_did_you_mean(meant)}"
    else:
        why = _no_task(models[model].decoder, task, protocol) or _few_seeds(config, models[model])
    if not why:
        return None
    sets: dict[str, list[str]] = {}
    for name, one in models.items():
        sets.setdefault(one.sets, []).append(name)
    listed = "".join(f"\n  {', '.join(names)}: {words}" for words, names in sets.items())
    return (
        f"{modalities}_{model}_{task}: {why}. "
        f"Targets are {folders(config)[protocol]}/{{modalities}}_{{model}}_{{task}}.json with\n"
        f"  modalities: letters of {letters} in this order, each once\n"
        f"  task: {_known_tasks(protocol)}{listed}"
    )


def _no_task(decoder: bool, task: str, protocol: str) -> str:
    """Why a model has no such task; empty if it has."""
    if task in SEQUENCES:
        return "" if decoder else f"'{task}' is several tasks: {registry.DECODER} alone takes them"
    try:
        kind = tasks_of_cohort.find(task, protocol).kind
    except InputError as error:
        if tasks_of_cohort.has_query(task, protocol):
            return str(error)
        return f"no task '{task}' in the {protocol} protocol{_wrong_in(task, protocol)}"
    if kind != "binary" and not decoder:
        return f"'{task}' has many labels: {registry.DECODER} alone takes it"
    return ""


def _few_seeds(config: Config, model: Model) -> str:
    """Why a model needs more training seeds than the config has; empty if it does not."""
    if registry.enough_seeds(config, model):
        return ""
    return (f"a mean over training seeds, of which config.seeds has {len(config['seeds'])}: "
            f"give it {model.seeds} or more")  # fmt: skip


def _wrong_in(task: str, protocol: str) -> str:
    """What is wrong with the name of a task that is none: its hours, or its letters.

    >>> _wrong_in("shock_60h", "corrected"), _wrong_in("longstay_48h", "corrected")
    (': its hours must be 1 to 48', '; did you mean longstay?')
    >>> _wrong_in("shock", "corrected"), _wrong_in("shock_04h", "corrected")
    (': its hours are missing, such as shock_4h', '; did you mean shock_4h?')
    """
    admissions, stays = (tasks_of_cohort.known(unit, protocol) for unit in ("admission", "stay"))
    match = _HOURS.fullmatch(task.lower())
    query, hours = (match[1], match[2]) if match else (task, None)
    if query in admissions and query not in stays:
        return _did_you_mean(query)
    if query in stays and hours is None and query not in admissions:
        return f": its hours are missing, such as {query}_4h"
    if query in stays and hours is not None and not 1 <= int(hours) <= HOURS:
        return f": its hours must be 1 to {HOURS}"
    of_stays = [f"{name}_{int(hours or 4)}h" for name in stays]
    sequences = SEQUENCES if protocol != "published" else ()
    return _did_you_mean(nearest(task, [*of_stays, *admissions, *sequences]))


def _known_tasks(protocol: str) -> str:
    names = [*tasks_of_cohort.known("admission", protocol)]
    if protocol == "published":
        return ", ".join(names)
    for query in tasks_of_cohort.known("stay"):
        alone = tasks_of_cohort.find(f"{query}_1h").kind != "binary"
        names.append(f"{query}_<hours>h{f' ({registry.DECODER})' * alone}")
    names += [f"{name} ({registry.DECODER})" for name in SEQUENCES]
    return f"{', '.join(names)}; <hours>: 1 to {HOURS} after the arrival in the ICU"


def unmade(config: Config, target: str, others: Collection[str]) -> str:
    """Why no rule makes a requested file or name, with what can be made.

    `others`: what rules make beside results: rules without wildcards, and their files.
    """
    pages = sorted(name for name in others if re.fullmatch(r".*/tables/\w+\.md", name))
    match, home = _TARGET.fullmatch(target), folders(config)["corrected"]
    protocols = {path: name for name, path in folders(config).items()}
    if match and (match[1] or home) in protocols:
        protocol = protocols[match[1] or home]
        why = refusal(config, match[2], match[3], match[4], protocol)
        result = f"{folders(config)[protocol]}/{'_'.join(match.groups()[1:])}.json"
        return why or f"no rule makes {target}; did you mean {result}?"
    hint = "; `make report` writes it" if target == "report.html" else ""
    names = {Path(other).name: other for other in others}
    hint = hint or _did_you_mean(names.get(nearest(Path(target).name, names), ""))
    return (
        f"no rule makes {target}{hint}\nThere are results,"
        f" {home}/{{modalities}}_{{model}}_{{task}}.json, as of"
        f" {home}/ecn_early_mortality.json; tables, {', '.join(pages)}; and what README names"
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like a name, whatever its case; empty if none is.

    >>> nearest("EARLY", ["early", "late"]), nearest("x", ["early"])
    ('early', '')
    """
    return next(iter(difflib.get_close_matches(name.lower(), list(known), 1)), "")


def _did_you_mean(name: str) -> str:
    return f"; did you mean {name}?" if name else ""
