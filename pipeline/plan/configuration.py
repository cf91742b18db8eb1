"""The config: read strictly, checked once, described; and where the source lies.

    python -m pipeline.plan.configuration

writes workflow/schemas/config.schema.json (completion in editors) and docs/configuration.md from
the types in `sections.py`. Read while the workflow is planned: nothing heavy is imported, no table
is read. Each mistake is one line that names the key, its value, what is expected and what to do.
"""

import json
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipeline.cohort import task
from pipeline.cohort.settings import LISTED_BY, key_of
from pipeline.fusion import registry
from pipeline.hourly import source as hourly_source
from pipeline.meds import source as meds_source
from pipeline.plan import experiments, launch, named, protocols
from pipeline.plan.mistakes import (
    LOADER,
    PAGE,
    in_lines,
    in_words,
    resolved,
    schema,
    set_twice,
    unknown_sections,
)
from pipeline.plan.sections import RESERVED, Common, Config, Source
from pipeline.stage.errors import InputError
from pipeline.stage.model_folders import PICTURES, why_not
from pipeline.stage.modules import ROOT
from pipeline.stage.registry import PROTOCOLS
from pipeline.unimed.settings import UnimedModel

SYNTHETIC, MEDS, HOURLY = "synthetic", "meds", "hourly"  # sources that are no files of MIMIC's
ADAPTERS: dict[str, Any] = {MEDS: meds_source, HOURLY: hourly_source}  # of one data set, at root
STEPS = (0.25, 0.5, *range(1, 49))  # hours of a bin that messages propose
SCHEMA = "workflow/schemas/config.schema.json"


def check(config: object) -> Config:
    """The typed config, with paths for the names of fetched weights; `InputError` with a line per
    mistake.

    `config`: as Snakemake merged it from files and the command line, of which it does not see that
    a file sets a key twice (`set_twice`).
    """
    settings = typed(config).dump()
    if lines := named.missing(settings):
        raise InputError("\n".join(f"config.{line}" for line in lines))
    named.locate(settings)
    checked = Config.model_validate(settings)
    if lines := contradictions(checked) or of_protocols(checked):
        raise InputError("\n".join(lines))
    return checked


def typed(config: object) -> Config:
    """The config by its types alone; `InputError` with a line per mistake."""
    lines = unknown_sections(config, Config)
    try:
        checked = Config.model_validate(config)
    except ValidationError as error:
        lines += in_lines(error.errors(include_url=False), Config, config)
    if lines:
        raise InputError("\n".join(lines))
    return checked


def read(path: Path) -> Config:
    """The config in a file; `InputError` where it cannot be read or holds mistakes."""
    if wrong := set_twice(path):
        raise InputError("\n".join(wrong))
    try:
        return check(yaml.load(path.read_text(encoding="utf-8"), LOADER))
    except InputError as error:
        raise InputError(
            "\n".join(f"{path}: {line}" for line in str(error).splitlines())
        ) from error


def source(config: Mapping[str, Any]) -> dict[str, str | None]:
    """Where the data sets lie. The synthetic hospital is made below results/ and nowhere else.

    >>> source({"source": {"root": "synthetic", "mimic_iv": None}})
    {'root': 'results/hospital'}
    """
    section = config["source"]
    if section["root"] == SYNTHETIC:
        return {"root": "results/hospital"}
    folders = {name: path for name, path in section.items() if name not in ("kind", "codes")}
    return {name: path and str(Path(path).expanduser()) for name, path in folders.items()}


def kind(config: Mapping[str, Any]) -> str:
    """What the source is: synthetic, mimic, meds or hourly.

    >>> kind({"source": {"root": "synthetic"}}), kind({"source": {"root": "/data"}})
    ('synthetic', 'mimic')
    """
    section = config["source"]
    return SYNTHETIC if section["root"] == SYNTHETIC else str(section.get("kind", "mimic"))


def codes(config: Mapping[str, Any]) -> str:
    """The csv that says what the codes of a MEDS source are.

    >>> codes({"source": {"root": "/data/meds", "kind": "meds"}})
    'pipeline/meds/mimic_iv.csv'
    """
    return str(Path(config["source"].get("codes") or meds_source.SHIPPED).expanduser())


def contradictions(config: Config) -> list[str]:
    """What a key alone cannot show: files that do not exist, shares that do not sum up to 1 …"""
    checks = (_braces, _modalities, _encoders, _source, _external, _files, _films_and_reports,
              _shares, _tasks, _times, _models)  # fmt: skip
    lines = [f"config.{line}" for check_of in checks for line in check_of(config)]
    return lines + task.misnamed()


def of_protocols(config: Config) -> list[str]:
    """What is wrong with the config under a protocol, or with a protocol's file."""
    lines = []
    for name in PROTOCOLS:
        file = f"workflow/protocols/{name}.yaml"
        try:
            merged = protocols.typed(config.dump(), name)
        except InputError as error:
            lines.append(str(error))
        else:
            lines += [f"{file}: config.{line}" for line in _encoders(merged)]
    return lines


def _braces(config: Config) -> Iterator[str]:
    """Texts with braces: Snakemake takes what stands between them for a wildcard."""
    for key, value in _texts(config.dump()):
        if "{" in value or "}" in value:
            yield f"{key}: {value} has braces, wildcards to Snakemake; name it by a link without"


def _texts(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text below a value, with the path of its keys.

    >>> list(_texts({"source": {"root": "a", "mimic_iv": None}, "tasks": ["b"]}))
    [('source.root', 'a'), ('tasks', 'b')]
    """
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _texts(part, f"{key}.{name}".strip("."))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part, key)


def _modalities(config: Config) -> Iterator[str]:
    names = config.modalities
    if why := experiments.refusal(config.name, names.values()):
        yield why
    for letter, name in names.items():
        if RESERVED.get(letter, name) != name or (
            name in RESERVED.values() and letter not in RESERVED
        ):
            known = ", ".join(f"{key}: {value}" for key, value in RESERVED.items())
            yield f"modalities.{letter}: {name}, but tables read {known}; keep these letters"
        for file in (f"pipeline/{name}/registry.py", f"rules/{name}.smk"):
            if not (ROOT / file).is_file():
                yield f"modalities.{letter}: {name} has no {file}; write it or remove the letter"
    if len(set(names.values())) < len(names):
        yield "modalities: two letters name the same folder; keep one of the two"


def _encoders(config: Common) -> Iterator[str]:
    """Encoders that their modality does not register, or of no letter."""
    names, settings = config.modalities, config.dump()
    for key, chosen in (("", config.encoders), ("unimed.", config.unimed.encoders)):
        for letter in sorted(set(chosen) - {*names, *RESERVED}):
            yield f"{key}encoders.{letter}: modalities have no letter {letter}; remove it"
        for letter, name in names.items():
            if not (ROOT / f"pipeline/{name}/registry.py").is_file():
                continue
            known = import_module(f"pipeline.{name}.registry").modality(settings).encoders
            if chosen.get(letter) not in known:
                yield (f"{key}encoders.{letter}: {chosen.get(letter, 'missing')}; expected an "
                       f"encoder of {name}, one of {', '.join(known)}")  # fmt: skip


def _source(config: Config) -> Iterator[str]:
    yield from _of_source("source", config.source)
    films = config.cohort.films
    if config.source.kind in ADAPTERS and films:
        yield (f"cohort.films: {films}, but a source of kind {config.source.kind} has no films "
               "and no calendar years; set null")  # fmt: skip


def _external(config: Config) -> Iterator[str]:
    """What is wrong with the other sources, of which none is made."""
    for name, section in config.external.items():
        where = f"external.{name}"
        if section.root == SYNTHETIC:
            yield (f"{where}.root: {SYNTHETIC}: no hospital is made for a validation; name its "
                   "folder (`make hospital OUT=…` makes one)")  # fmt: skip
        else:
            yield from _of_source(where, section)


def _of_source(where: str, section: Source) -> Iterator[str]:
    """What is wrong with one source; `where`: its key."""
    if section.kind in ADAPTERS:
        yield from _adapted(where, section)
        return
    folders = {name: path for name, path in section.dump().items() if path}
    folders.pop("kind", None)
    if folders.pop("codes", None):
        yield f"{where}.codes: only a source of kind meds has codes; set null, or kind: meds"
    beside = [name for name in folders if name != "root"]
    if folders.pop("root", None) == SYNTHETIC:
        if beside:  # which of the two is meant is not for us to guess
            yield (f"{where}: root is {SYNTHETIC}, yet {', '.join(beside)} is set; set root: null "
                   "to use your own files")  # fmt: skip
        return
    if section.root:
        folders["root"] = section.root
    elif not beside:
        yield f"{where}: root is null and no data set is named; set root to a folder or {SYNTHETIC}"
    for name, path in folders.items():
        if not Path(path).expanduser().is_dir():
            yield f"{where}.{name}: no folder {path}; name the one with the data, or {SYNTHETIC}"


def _adapted(where: str, section: Source) -> Iterator[str]:
    """What is wrong with a source of kind meds or hourly."""
    kind = section.kind
    folder = "data/" if kind == MEDS else "dyn, sta and outc"
    beside = [
        name for name in ("mimic_iv", "mimic_cxr_jpg", "mimic_note") if getattr(section, name)
    ]
    if beside:
        yield f"{where}.{beside[0]}: a source of kind {kind} is one data set, at root; set null"
    if section.root in (None, SYNTHETIC):
        yield f"{where}.root: {section.root or 'null'}; of kind {kind} the folder with {folder}"
    elif not Path(section.root).expanduser().is_dir():
        yield f"{where}.root: no folder {section.root}; name the one with {folder}"
    if section.codes and kind != MEDS:
        yield f"{where}.codes: only a source of kind meds has codes; set null"
    elif section.codes and not Path(section.codes).expanduser().is_file():
        yield f"{where}.codes: no file {section.codes}; name a csv of codes, or null for MIMIC-IV's"


def _files(config: Config) -> Iterator[str]:
    # Snakemake forgives a missing input of a job whose outputs exist: the old cohort would stand
    files = {
        "cohort.ids": config.cohort.ids,
        "cxr.pretrained": config.cxr.pretrained,
        "cxr.precomputed": config.cxr.precomputed,
        "note.precomputed": config.note.precomputed,
    }
    for key, path in files.items():
        if path and not Path(path).is_file():
            yield f"{key}: no file {path}; name one that is there, or null"
    ids = config.cohort.ids
    if ids and Path(ids).is_file() and not key_of(_header(ids)):
        yield (f"cohort.ids: {ids} has no column {', '.join(LISTED_BY)}; write one of them into "
               "the file's first line")  # fmt: skip
    yield from (line.removeprefix("config.") for line in why_not(config.note.bert.model))
    tiny = config.note.bert.tiny
    if tiny.width % tiny.heads:
        yield f"note.bert.tiny: width {tiny.width} is no multiple of heads {tiny.heads}"


def _films_and_reports(config: Config) -> Iterator[str]:
    """What the encoders `backbone` and `precomputed` need where a model uses them."""
    used = {(letter, name) for chosen in (config.encoders, config.unimed.encoders)
            for letter, name in chosen.items()}  # fmt: skip
    for letter, room, path in (("c", "cxr", config.cxr.precomputed),
                               ("n", "note", config.note.precomputed)):  # fmt: skip
        if (letter, "precomputed") in used and path is None:
            yield f"{room}.precomputed: null, but encoders.{letter} is precomputed; name a parquet"
    if ("c", "backbone") not in used:
        return
    model, weights = config.cxr.backbone.model, config.cxr.backbone.weights
    if "/" in model:
        lines = why_not(model, "config.cxr.backbone.model", PICTURES)
        yield from (line.removeprefix("config.") for line in lines)
        if weights:
            yield "cxr.backbone.weights: a folder holds its weights itself; set null"
    elif not torchvision_has(model):
        yield (f"cxr.backbone.model: torchvision knows no network {model}; name one such as "
               "densenet121, or a folder with a / in its path")  # fmt: skip
    elif weights and not Path(weights).is_file():
        yield f"cxr.backbone.weights: no file {weights}; name one that is there, or null"
    elif not weights and config.cxr.backbone.trained == "frozen":
        yield ("cxr.backbone.weights: null, but a frozen network of random weights tells nothing; "
               "name a safetensors file, or set trained: finetuned")  # fmt: skip


def torchvision_has(name: str) -> bool:
    """Whether torchvision has a network of that name, by its files: to import it takes seconds."""
    spec = find_spec("torchvision")
    folders = spec.submodule_search_locations if spec else None
    texts = (
        path.read_text() for folder in folders or [] for path in Path(folder).glob("models/*.py")
    )
    return any(re.search(rf"^def {re.escape(name)}\(\s*\*", text, re.MULTILINE) for text in texts)


def _header(path: str) -> list[str]:
    with Path(path).open(encoding="utf-8-sig", errors="replace") as stream:
        return [name.strip(' "\r\n') for name in stream.readline().split(",")]


def _shares(config: Config) -> Iterator[str]:
    test = config.split.test
    if config.split.by == "era":
        if config.source.kind in ADAPTERS:
            yield (f"split.by: era, but a source of kind {config.source.kind} tells no calendar "
                   "years; set split.by: patient")  # fmt: skip
        if config.folds > 1:
            yield (f"folds: {config.folds}, but split.by is era, which has one test set, the late "
                   "patients; set folds: 1, or split.by: patient")  # fmt: skip
    elif config.folds * test > 1 + 1e-9:
        yield (f"folds: {config.folds} test shares of {test} overlap; set at most "
               f"{int(1 / test + 1e-9)}, or a smaller split.test")  # fmt: skip
    yield from (line.removeprefix("config.") for line in launch.refusal(config.torch.nodes))


def _tasks(config: Config) -> Iterator[str]:
    """Tasks without a query, or of the other unit."""
    listed = {"tasks": (config.tasks, "admission"), "unimed.tasks": (config.unimed.tasks, "stay")}
    for key, (names, unit) in listed.items():
        for name in names:
            try:
                known = task.find(name)
            except InputError as error:
                yield f"{key}: {error}"
            else:
                if known.unit != unit:
                    its = "unimed.tasks" if known.unit == "stay" else "tasks"
                    yield (f"{key}: {name} is a task of the unit {known.unit}, not {unit}; put it "
                           f"into {its}")  # fmt: skip


def _times(config: Config) -> Iterator[str]:
    """Tasks of ICU stays out of their order, or beyond FIDDLE's hours."""
    for name in config.unimed.all:
        if name not in config.unimed.tasks:
            yield f"unimed.all: {name} is not among unimed.tasks; add it there"
    if sorted(config.unimed.all, key=_hours) != config.unimed.all:
        yield "unimed.all: the tasks are not in the order of time; sort them by their hours"
    hours, step = config.fiddle.hours, config.fiddle.step
    ends = {f"{name} ends": _hours(name) for name in config.unimed.tasks}
    last = max(ends, key=lambda name: ends[name])
    if ends[last] > hours:
        yield f"fiddle.hours: {hours}, but {last.removesuffix(' ends')} needs {ends[last]} hours"
    # floats: of 0.1 neither the bins are whole nor do rows at their edges fall in the right one
    ends["fiddle.hours end"] = hours
    for name, end in ends.items():
        if step > hours or end % step:
            whole = [n for n in STEPS if not any(time % n for time in ends.values())]
            yield (f"fiddle.step: bins of {step} hours do not end, exactly and in floats, when "
                   f"{name}, after {end} hours; set {', '.join(map(str, whole))}")  # fmt: skip
            return


def _hours(name: str) -> int:
    """When a task of ICU stays is predicted, hours after arrival, by its name alone."""
    return task.query_and_hours(name)[1] or 0


def _models(config: Config) -> Iterator[str]:
    """UniMed's models: an order of tasks that looks ahead, heads that do not fit."""
    times = [_hours(name) for name in config.unimed.all]
    base = config.unimed.model
    of_all = _misfits(base, times)
    yield from (f"unimed.model: {line}" for line in of_all)
    changes: dict[str, dict[str, Any]] = {}
    for name, variant in config.unimed.variants.items():
        where, change = f"unimed.variants.{name}", variant.dump()
        if not change:
            yield f"{where}: changes nothing of unimed.model; name what, or remove it"
        if name == registry.DECODER:
            yield f"{where}: that is the name of the model itself; call the variant otherwise"
        if change in changes.values():
            same = next(other for other, one in changes.items() if one == change)
            yield f"{where}: changes the same as {same}; remove one of the two"
        changes[name] = change
        misfits = _misfits(UnimedModel(**{**base.dump(), **change}), times)
        yield from (f"{where}: {line}" for line in misfits if line not in of_all)


def _misfits(model: UnimedModel, times: list[int]) -> list[str]:
    """What does not fit in the settings of one model; `times`: hours of the tasks together."""
    lines = []
    if model.order != "time" and (model.hours or max(times)) > min(times):
        lines.append(f"in the order {model.order} a task would see what is known only later; set "
                     f"hours to {min(times)} or less")  # fmt: skip
    if model.width % model.heads:
        lines.append(f"width {model.width} is no multiple of heads {model.heads}")
    if model.parallel and model.feedback != "none":
        lines.append("parallel tasks get no feedback; set feedback: none")
    return lines


# What is generated


def page() -> str:
    """docs/configuration.md: every key with its type, its value in config.yaml and its meaning."""
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    lines = [
        "# Configuration",
        "",
        "Every key of `config.yaml`, in its order; a file of one's own may hold some of them:",
        "`snakemake --configfile own.yaml …`, or `--config folds=4`; quote what has spaces,",
        "as in `--config 'encoders={n: bert}'`. Keys in italics may be left out. Generated by",
        "`python -m pipeline.plan.configuration`; what each protocol sets otherwise is in",
        "`workflow/protocols/`.",
        "",
        *_table("", schema(), schema(), values),
    ]
    return "\n".join(lines) + "\n"


def _table(where: str, node: Mapping[str, Any], root: Mapping[str, Any], values: Any) -> list[str]:
    """The rows of a section, then its own sections."""
    keys = node["properties"]
    order = [*(key for key in values if key in keys), *(key for key in keys if key not in values)]
    about = " ".join(node.get("description", "").split())
    title = [f"## `{where}`", "", about, ""] if where else []
    lines = [*title, "| key | type | config.yaml | meaning |", "|---|---|---|---|"]
    sections = []
    for name in order:
        inner = resolved({key: keys[name][key] for key in keys[name] if key != "description"}, root)
        path = f"{where}.{name}" if where else name
        if "properties" in inner:
            sections.append((path, _with(inner, keys[name]), values[name]))
            continue
        written = f"`{json.dumps(values[name])}`" if name in values else "–"
        marked = f"`{name}`" if name in node.get("required", []) else f"*`{name}`*"
        meaning = keys[name].get("description", "")
        if name not in values and "default" in keys[name]:
            meaning += f" (left out: {json.dumps(keys[name]['default'])})"
        lines.append(f"| {marked} | {in_words(inner)} | {written} | {meaning} |")
    rows = lines if len(lines) > len(title) + 2 else title
    return [*rows, ""] + [
        line for each in sections for line in _table(each[0], each[1], root, each[2])
    ]


def _with(section: Mapping[str, Any], named: Mapping[str, Any]) -> Mapping[str, Any]:
    """A section whose description says, too, what it is for under the name that it has here.

    >>> _with({"description": "How to train."}, {"description": "every model"})["description"]
    'How to train. Here: every model.'
    """
    about, here = section.get("description", ""), named.get("description", "")
    if not here or here.lower() in about.lower():
        return section
    return {**section, "description": f"{about} Here: {here}."}


def generated() -> dict[str, str]:
    """File → what it must hold."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {SCHEMA: json.dumps(head | schema(), indent=1) + "\n", PAGE: page()}


if __name__ == "__main__":
    for name, text in generated().items():
        (ROOT / name).write_text(text)
