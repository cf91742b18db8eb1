"""Time and disk of a result before it is made, for the config at hand (`make estimate TARGET=…`).

    python -m pipeline.plan.estimate results/ecn_early_mortality.json

Prints, per table, the size found, the parquet made of it and the time; the stages up to the models;
the films; the sum, and what the disk has free. What is already made costs nothing. Only file sizes
are looked at. Speeds and sizes are constants of `costs.py`, guesses are marked there. Then the
trainings, of which a few steps are measured on this machine (`estimate_training.py`).
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pipeline.extract import contracts, costs, release
from pipeline.extract.costs import Cost, Needs
from pipeline.extract.preflight import free_bytes
from pipeline.plan import configuration, experiments, protocols, refusals, targets
from pipeline.plan.estimate_training import training_lines
from pipeline.plan.mistakes import LOADER
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.faults import size_in_words

TARGET = re.compile(r"(.+)/([^_/]+)_([^_/]+)_([^/.]+)\.json")


class Target(NamedTuple):
    """A result that is asked for."""

    protocol: str
    modalities: str
    model: str
    task: str


def target_of(config: Mapping[str, Any], path: str) -> Target:
    """The target of a result's path; `InputError` with the table of targets if it is none."""
    match, home = TARGET.fullmatch(path), experiments.home(config)
    protocols_of = {folder: name for name, folder in targets.folders(config).items()}
    if not match or match[1] not in protocols_of:
        raise InputError(
            f"{path}: expected {home}/{{modalities}}_{{model}}_{{task}}.json, "
            f"such as {home}/ecn_early_mortality.json"
        )
    target = Target(protocols_of[match[1]], match[2], match[3], match[4])
    if why := refusals.refusal(config, *target[1:], target.protocol):
        raise InputError(why)
    return target


def needs_of(config: Mapping[str, Any], path: str) -> Needs:
    """What a target needs of the source; `InputError` with the table of targets if it is none."""
    protocol, modalities, model, task = target_of(config, path)
    return targets.needs(config, modalities, model, protocol, task)


def read_config(paths: Sequence[Path]) -> dict[str, Any]:
    """The config in a file, or in several, each over those before it, as `--configfile` has it.

    One in `experiments/` names the experiment.
    """
    first, *others = paths
    if not others:
        return configuration.read(first).dump()
    if wrong := configuration.set_twice(*paths):
        raise InputError("\n".join(wrong))
    config: dict[str, Any] = {}
    for path in paths:
        config = protocols.merged(config, yaml.load(path.read_text(), LOADER) or {})
        config |= {"name": path.stem} if path.parent.name == experiments.FOLDER.name else {}
    return configuration.check(config).dump()


def settings_of(config: Mapping[str, Any], asked: Needs) -> costs.Settings:
    """The settings that change what a run takes, under the target's protocol."""
    found = protocols.settings(config, "published" if "published" in asked else "corrected")
    synthetic = config["source"]["root"] == configuration.SYNTHETIC
    return costs.Settings(
        sample=found["sample"],
        pixels=found["cxr"]["pixels"],
        passes=found["note"]["doc2vec"]["epochs"] * found["split"].get("train", 1),
        hospital=found["hospital"]["patients"] if synthetic else 0,
    )


def estimate(config: Mapping[str, Any], target: str, results: Path) -> list[Cost]:
    """The lines of the estimate, without their sum."""
    if (kind := configuration.kind(config)) in configuration.ADAPTERS:
        raise InputError(f"no estimate of a source of kind {kind}: it is of MIMIC's own files")
    asked, source = needs_of(config, target), configuration.source(config)
    settings = settings_of(config, asked)
    made = costs.source_files(asked, source)
    if made or not settings.hospital:
        return costs.costs(asked, made, results, settings)
    files = costs.hospital_files(asked, settings.hospital)
    seconds, size = settings.hospital * costs.HOSPITAL_SECONDS, sum(f.size for f in files.values())
    return [
        Cost("make the hospital", 0, size, seconds),
        *costs.costs(asked, files, results, settings),
    ]


def described(config: Mapping[str, Any], target: str) -> list[str]:
    """What the source is: each data set with its release, or the hospital."""
    if config["source"]["root"] == configuration.SYNTHETIC:
        return [f"the synthetic hospital, {config['hospital']['patients']:,} patients"]
    source = configuration.source(config)
    tables = contracts.tables_for(needs_of(config, target))
    datasets = dict.fromkeys(contracts.table(name).dataset for name in tables)
    return [release.describe(release.locate(source, dataset)) for dataset in datasets]


def time_in_words(seconds: float) -> str:
    """Seconds for a reader.

    >>> time_in_words(0.4), time_in_words(40), time_in_words(4000), time_in_words(4e4)
    ('< 1 s', '40 s', '67 min', '11.1 h')
    """
    if seconds < 1:
        return "< 1 s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def as_table(lines: list[Cost]) -> str:
    """The lines and their sum in columns.

    >>> print(as_table([Cost("patients", 3e6, made=True), Cost("films", 0, 5e9, 400, 10_000)]))
                                 found to be made  one core
    patients                    3.0 MB    is made         –
    films                       10,000     5.0 GB     7 min
    total                       3.0 MB     5.0 GB     7 min
    """
    rows = [("", "found", "to be made", "one core")]
    for line in [*lines, costs.total(lines)]:
        films = f"{line.films:,}" if line.films and line.what != "total" else ""
        found = films or (size_in_words(line.size) if line.size else "–")
        disk, time = size_in_words(line.disk), time_in_words(line.seconds)
        if not line.seconds:
            time = "–"
        rows.append((line.what, found, "is made" if line.made else disk, time))
    return "\n".join(f"{a:<24}{b:>10}{c:>11}{d:>10}" for a, b, c, d in rows)


def main() -> None:
    """Prints the estimate."""
    arguments = parser(__doc__)
    arguments.add_argument("target", help="a result: results/{modalities}_{model}_{task}.json")
    arguments.add_argument("--config", type=Path, nargs="+", default=[Path("config.yaml")],
                           help="a file, and others over it such as config/mimic.yaml")  # fmt: skip
    arguments.add_argument("--results", type=Path, default=Path("results"), help="where it is made")
    given = arguments.parse_args()
    config = read_config(given.config)
    lines = estimate(config, given.target, given.results)
    if not any(line.size or line.what == "make the hospital" for line in lines):
        raise InputError("no table of the source was found: set source.root to where it is")
    print(*described(config, given.target), as_table(lines), sep="\n")
    free = free_bytes(given.results)
    lack = "" if free >= costs.total(lines).disk else ": too little"
    print(f"{size_in_words(free)} are free where {given.results} lies{lack}")
    protocol, modalities, model, task = target_of(config, given.target)
    lines_of = training_lines(config, modalities, model, task, protocol, time_in_words)
    print("beside it, of training:", *lines_of, sep="\n")


if __name__ == "__main__":
    run(main)
