"""Why a target cannot be made, with what can be and the nearest name: before anything starts.

A target is a result, {modalities}_{model}_{task} under a protocol, or another file of the workflow.
"""

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from pipeline.cohort import task as tasks_of_cohort
from pipeline.cohort.task import HOURS, SEQUENCES
from pipeline.fusion import registry
from pipeline.plan.targets import folders
from pipeline.stage.errors import InputError
from pipeline.stage.registry import Model

ALIKE = 0.85  # of whole names, which share most of their letters anyway
Config = Mapping[str, Any]
_HOURS = re.compile(r"(.+?)(?:_(\d+)h?)?")  # of a task's name, well written or not
_KIT = re.compile(r"(?P<home>.+)/kit/(?P<name>[^/.]+_[^/.]+_[^/.]+)(?:[/.].*)?")  # a file of a kit
_TARGET = re.compile(r"([^_.]+)_([^_.]+)_([^.]+)(?:\..*)?")  # the name of a result


def refusal(config: Config, modalities: str, model: str, task: str, protocol: str = "corrected"
            ) -> str | None:  # fmt: skip
    """Why there is no such target, with the table of those that there are; None if it is one."""
    why = _reason(config, modalities, model, task, protocol)
    if not why:
        return None
    name = f"{modalities}_{model}_{task}"
    return (
        f"{name}: {why}{_did_you_mean(meant(config, name, protocol))}\n{_table(config, protocol)}"
    )


def _reason(config: Config, modalities: str, model: str, task: str, protocol: str) -> str | None:
    """Why there is no such target, in a few words."""
    letters, models = "".join(config["modalities"]), registry.models(config, protocol)
    if modalities not in _sets(letters):
        return f"no modality set '{modalities}'"
    if model not in models or not models[model].takes(modalities):
        return f"no model '{model}' of the modalities '{modalities}'"
    return _no_task(models[model].decoder, task, protocol) or _few_seeds(config, models[model])


def _table(config: Config, protocol: str) -> str:
    """What results there are."""
    sets: dict[str, list[str]] = {}
    for name, one in registry.models(config, protocol).items():
        sets.setdefault(one.sets, []).append(name)
    listed = "".join(f"\n  {', '.join(names)}: {words}" for words, names in sets.items())
    return (
        f"Targets are {folders(config)[protocol]}/{{modalities}}_{{model}}_{{task}}.json with\n"
        f"  modalities: letters of {''.join(config['modalities'])} in this order, each once\n"
        f"  task: {_known_tasks(protocol)}{listed}"
    )


def _sets(letters: str) -> list[str]:
    """The modality sets of some letters.

    >>> _sets("ec")
    ['e', 'c', 'ec']
    """
    sizes = range(1, len(letters) + 1)
    return ["".join(some) for size in sizes for some in combinations(letters, size)]


def meant(config: Config, name: str, protocol: str) -> str:
    """The result that is most like a misspelt {modalities}_{model}_{task}; empty if none is.

    One with - for _ or the like; or each of the three parts corrected by itself; where that gives
    no target, the whole name.
    """
    names = list(_names(config, protocol, name))
    flat = {re.sub("[-_ .]", "", one): one for one in names}
    if same := flat.get(re.sub("[-_ .]", "", name.lower())):
        return f"{folders(config)[protocol]}/{same}.json"
    parts = name.split("_", 2)
    if len(parts) == 3:
        modalities = _nearest_set("".join(config["modalities"]), parts[0])
        models = registry.models(config, protocol)
        takes = [one for one, model in models.items() if model.takes(modalities)]
        model = nearest(parts[1], takes)
        task = _nearest_task(parts[2], protocol)
        if model and task and not _reason(config, modalities, model, task, protocol):
            return f"{folders(config)[protocol]}/{modalities}_{model}_{task}.json"
    whole = nearest(name, names, ALIKE)
    return f"{folders(config)[protocol]}/{whole}.json" if whole else ""


def _nearest_set(letters: str, typed: str) -> str:
    """The modality set most like what was typed: its letters in order, or one as long.

    >>> [_nearest_set("ecn", typed) for typed in ("nce", "ECN", "ecm", "ecnn")]
    ['ecn', 'ecn', 'ecn', 'ecn']
    """
    typed = typed.lower()
    if typed and set(typed) <= set(letters):
        return "".join(letter for letter in letters if letter in typed)
    sets = _sets(letters)
    same = [one for one in sets if len(one) == len(typed) and set(one) & set(typed)]
    return nearest(typed, same or sets)


def _names(config: Config, protocol: str, typed: str) -> Iterator[str]:
    """Names of results: of every set, model and task, those of ICU stays at the hours typed."""
    hours = re.findall(r"_(\d+)h?\b", typed)
    hour = int(hours[0]) if hours and 1 <= int(hours[0]) <= HOURS else 4
    stays = [] if protocol == "published" else tasks_of_cohort.known("stay", protocol)
    tasks = [*tasks_of_cohort.known("admission", protocol), *(f"{one}_{hour}h" for one in stays)]
    for modalities in _sets("".join(config["modalities"])):
        for name, model in registry.models(config, protocol).items():
            if model.takes(modalities):
                sequences = SEQUENCES if model.decoder and protocol != "published" else ()
                yield from (f"{modalities}_{name}_{task}" for task in (*tasks, *sequences))


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
    """What is wrong with the hours of a task that is none; empty if it is its letters.

    >>> _wrong_in("shock_60h", "corrected"), _wrong_in("longstay_48h", "corrected")
    (': its hours must be 1 to 48', '')
    >>> _wrong_in("shock", "corrected"), _wrong_in("shock_04h", "corrected")
    (': its hours are missing, such as shock_4h', '')
    """
    query, hours, of_stays, of_admissions = _split(task, protocol)
    if query not in of_stays or query in of_admissions:
        return ""
    if hours is None:
        return f": its hours are missing, such as {query}_4h"
    return "" if 1 <= hours <= HOURS else f": its hours must be 1 to {HOURS}"


def _nearest_task(task: str, protocol: str) -> str:
    """The task that is most like a name; empty if none is.

    >>> [_nearest_task(name, "corrected") for name in ("longstay_48h", "shock", "shock_04h")]
    ['longstay', 'shock_4h', 'shock_4h']
    >>> [_nearest_task(name, "corrected") for name in ("mortalty", "shok_60h", "mortality_48")]
    ['mortality', 'shock_4h', 'mortality_48h']
    """
    query, hours, of_stays, of_admissions = _split(task, protocol)
    if query in of_admissions and (hours is None or query not in of_stays):
        return query
    hour = hours if hours is not None and 1 <= hours <= HOURS else 4
    if query in of_stays:
        return f"{query}_{hour}h"
    sequences = SEQUENCES if protocol != "published" else ()
    if hours is not None and (near := nearest(query, of_stays)):
        return f"{near}_{hour}h"
    return nearest(task, [*of_admissions, *sequences, *(f"{name}_{hour}h" for name in of_stays)])


def _split(task: str, protocol: str) -> tuple[str, int | None, Collection[str], Collection[str]]:
    """A task's query and hours as typed, and the queries of ICU stays and of admissions."""
    match = _HOURS.fullmatch(task.lower())
    query, hours = (match[1], match[2]) if match else (task, None)
    stays, admissions = (tasks_of_cohort.known(unit, protocol) for unit in ("stay", "admission"))
    return query, None if hours is None else int(hours), stays, admissions


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
    if target == "report.html":
        return f"no rule makes {target}; `make report` writes it"
    protocols = {path: name for name, path in folders(config).items()}
    if kit := _KIT.fullmatch(target):
        return _no_such_file_of_a_kit(config, target, kit, protocols)
    folder, name = str(Path(target).parent), Path(target).name
    folder = folders(config)["corrected"] if folder == "." else folder
    protocol = protocols.get(folder, protocols.get(nearest(folder, protocols), ""))
    match = _TARGET.fullmatch(name)
    if match and folder in protocols:
        parts = match[1], match[2], match[3]
        if why := refusal(config, *parts, protocol):
            return why
    files = {Path(other).name: other for other in others}
    near = files.get(nearest(name, files), "")
    if protocol and (result := meant(config, name.split(".")[0], protocol)):
        near = result if match else near or result
    pages = sorted(other for other in others if re.fullmatch(r".*/tables/\w+\.md", other))
    return (
        f"no rule makes {target}{_did_you_mean(near)}\n{_table(config, protocol or 'corrected')}\n"
        f"There are also the tables {', '.join(pages)}, and what README names"
    )


def _no_such_file_of_a_kit(
    config: Config, target: str, kit: re.Match[str], protocols: Mapping[str, str]
) -> str:
    """Why no rule makes a file below kit/, with the page of the nearest kit."""
    protocol = protocols.get(kit["home"], "corrected")
    near = meant(config, kit["name"], protocol) or f"{folders(config)[protocol]}/{kit['name']}.json"
    page = f"{Path(near).parent}/kit/{Path(near).stem}/report.html"
    return f"no rule makes {target}{_did_you_mean(page)}"


def nearest(name: str, known: Iterable[str], least: float = 0.6) -> str:
    """The known name that is most like a name, whatever its case; empty if none is.

    `least`: the likeness (0 to 1) from which a name counts as alike.

    >>> nearest("EARLY", ["early", "late"]), nearest("x", ["early"])
    ('early', '')
    """
    return next(iter(difflib.get_close_matches(name.lower(), list(known), 1, least)), "")


def _did_you_mean(name: str) -> str:
    return f"; did you mean {name}?" if name else ""
