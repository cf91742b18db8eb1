"""The results that the tables show: every combination that they compare."""

from collections.abc import Mapping
from typing import Any

from pipeline.cohort import task as tasks_of_cohort
from pipeline.fusion import registry
from pipeline.plan.targets import together, told, unit_of
from pipeline.stage.registry import subsets

Config = Mapping[str, Any]


def tasks(config: Config, protocol: str) -> list[str]:
    """The tasks of admissions of a protocol's tables: those of the config that it has.

    >>> tasks({"tasks": ["mortality", "readmission_unplanned"]}, "published")
    ['mortality']
    """
    return [
        name for name in config["tasks"] if name in tasks_of_cohort.known("admission", protocol)
    ]


def modality_sets(config: Config) -> list[str]:
    """Every set of modalities, the smaller first.

    >>> modality_sets({"modalities": {"e": "ehr", "c": "cxr", "n": "note"}})
    ['e', 'c', 'n', 'ec', 'en', 'cn', 'ecn']
    """
    return subsets(list(config["modalities"]))


def by_set(config: Config, files: list[str]) -> list[str]:
    """`set=file,file` of each modality set; `files`: of the sets in order, a set's folds together.

    >>> by_set({"modalities": {"e": "ehr"}}, ["a.parquet", "b.parquet"])
    ['e=a.parquet,b.parquet']
    """
    sets = modality_sets(config)
    folds = len(files) // len(sets)
    return [f"{own}={','.join(files[k * folds :][:folds])}" for k, own in enumerate(sets)]


def grid(config: Config, protocol: str) -> list[str]:
    """The names of every result of a protocol's tables: admissions, all models but UniMed."""
    return [
        f"{letters}_{name}_{task}"
        for task in tasks(config, protocol)
        for letters in modality_sets(config)
        for name, model in registry.models(config, protocol).items()
        if model.takes(letters) and not model.decoder and registry.enough_seeds(config, model)
    ]


def reference(config: Config) -> str:
    """The modalities of UniMed's paper: the record and the notes, where both are in the config.

    >>> reference({"modalities": {"e": "ehr", "c": "cxr", "n": "note"}})
    'en'
    """
    letters = "".join(config["modalities"])
    return "en" if set("en") <= set(letters) else letters


def decoder_grid(config: Config) -> list[str]:
    """The names of every result of the tables of ICU stays, by UniMed.

    On the reference modalities every model on all tasks, and on each of them those that are
    compared so (decoders, training sizes, and the upper bound); every task alone; and each set of
    modalities.
    """
    unimed, paper, base = config["unimed"], reference(config), registry.DECODER
    family = registry.decoders(config)
    sets = [*subsets(paper), "".join(config["modalities"])]
    sized = [
        f"{base}-{name}"
        for name, change in unimed["variants"].items()
        if set(change) <= {"decoder", "training_share"}
    ]
    names = [f"{letters}_{base}_all" for letters in sets]
    names += [f"{paper}_{model}_all" for model in family]
    names += [f"{paper}_{model}_{task}" for model in [base, *sized] for task in unimed["all"]]
    names += [
        f"{paper}_{model}_{task}"
        for model in family
        for task in unimed["all"]
        if told(config, model, task)
    ]
    return list(dict.fromkeys([*names, *(f"{paper}_{base}_{task}" for task in unimed["tasks"])]))


def papers_grid(config: Config) -> list[str]:
    """The names of every result of the table across papers: binary tasks of both units, every
    fusion, baseline and UniMed on all modalities; UniMed also on all tasks of a unit together."""
    letters = "".join(config["modalities"])
    names = []
    for task in papers_tasks(config):
        names += [
            f"{letters}_{name}_{task}"
            for name, model in registry.MODELS.items()
            if model.takes(letters) and registry.enough_seeds(config, model)
        ]
        names.append(f"{letters}_{registry.DECODER}_{task}")
    units = {unit_of(config, task) for task in papers_tasks(config)}
    return [*names, *(f"{letters}_{registry.DECODER}_{together(unit)}" for unit in sorted(units))]


def papers_tasks(config: Config) -> list[str]:
    """The binary tasks of the table across papers."""
    named = [*config["tasks"], *config["unimed"]["all"]]
    return [task for task in named if tasks_of_cohort.find(task).kind == "binary"]
