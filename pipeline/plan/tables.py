"""What pages of tables need: their results, the comparisons behind them, and how these are asked.

A page is a module of `pipeline.report`; a study is a set of models that one comparison reads: a
task of admissions, `unimed`, or `papers_<unit>`, both papers on the tasks of a unit.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.cohort.task import find
from pipeline.fusion import registry
from pipeline.plan import grids, targets
from pipeline.plan.experiments import home
from pipeline.plan.targets import folders
from pipeline.plan.wiring import PREDICTIONS, UNIT, Of
from pipeline.plan.wiring_results import ResultWiring
from pipeline.stage.errors import InputError
from pipeline.stage.registry import PROTOCOLS

Config = Mapping[str, Any]
PAPERS = "papers_"
WANG = ("best-single", "early", "one-less")
UNIMED = ("multitask", "bound", "ablation", "modality")


@dataclass(frozen=True)
class Page:
    """A page: its title, the results, comparisons and attributions that it reads, its figures."""

    title: str
    results: list[str]
    contrasts: list[str]
    attributions: list[str]
    figures: list[str]


def pages(config: Config) -> dict[str, Page]:
    """Every page, by the name of its module."""
    folder, protocols = home(config), folders(config)
    return {
        "wang": Page(
            "Admissions",
            [f"{protocols[p]}/{name}.json" for p in protocols for name in grids.grid(config, p)],
            [
                f"{folder}/{protocol}/contrasts/{task}.json"
                for protocol in PROTOCOLS
                for task in grids.tasks(config, protocol)
            ],
            [
                f"{folder}/{protocol}/attribution/{fusion}_{task}.json"
                for protocol in PROTOCOLS
                for fusion in registry.fusions(protocol, config)
                for task in grids.tasks(config, protocol)
            ],
            ["wang", "attribution"],
        ),
        "unimed": Page(
            "ICU stays",
            [f"{folder}/{name}.json" for name in grids.decoder_grid(config)],
            [f"{folder}/corrected/contrasts/unimed.json"],
            [],
            ["unimed_attention"],
        ),
        "both": Page(
            "Both papers",
            [f"{folder}/{name}.json" for name in grids.papers_grid(config)],
            [f"{folder}/corrected/contrasts/{PAPERS}{unit}.json" for unit in _units(config)],
            [],
            ["both"],
        ),
    }


def collections(config: Config) -> dict[str, list[str]]:
    """Targets that stand for many files, by name."""
    folder = home(config)
    results = {
        protocol: [f"{below}/{name}.json" for name in grids.grid(config, protocol)]
        for protocol, below in folders(config).items()
    }
    return {
        **results,
        "tables": [f"{folder}/tables/wang.md"],
        "cohorts": [
            *(
                f"{folder}/{protocol}/admission/labels/{task}.parquet"
                for protocol in PROTOCOLS
                for task in grids.tasks(config, protocol)
            ),
            *(
                f"{folder}/corrected/stay/labels/{task}.parquet"
                for task in config["unimed"]["tasks"]
            ),
        ],
        "embeddings": [
            f"{folder}/{protocol}/admission/embeddings/{task}/{name}.parquet"
            for protocol in PROTOCOLS
            for task in grids.tasks(config, protocol)
            for name in config["modalities"].values()
        ],
    }


def _units(config: Config) -> list[str]:
    return sorted({targets.unit_of(config, task) for task in grids.papers_tasks(config)})


def compared(config: Config, study: str, protocol: str) -> list[str]:
    """The names of the results of a study."""
    if study == registry.DECODER:
        return grids.decoder_grid(config)
    if study.startswith(PAPERS):
        names, unit = grids.papers_grid(config), study.removeprefix(PAPERS)
        return [name for name in names if targets.unit_of(config, task_of(name)) == unit]
    return [name for name in grids.grid(config, protocol) if task_of(name) == study]


def families(study: str) -> tuple[str, ...]:
    """The questions that a study answers, see `pipeline.evaluation.families`.

    >>> families("mortality"), families("papers_stay")
    (('best-single', 'early', 'one-less'), ('papers',))
    """
    if study == registry.DECODER:
        return UNIMED
    return ("papers",) if study.startswith(PAPERS) else WANG


def task_of(name: str) -> str:
    """The task of a target.

    >>> task_of("ecn_unimed_shock_4h")
    'shock_4h'
    """
    return name.split("_", 2)[2]


def trained_on(config: Config, names: list[str]) -> str:
    """Model of the targets `names` → the splits that its encoders and its head are fitted on, JSON.

    Of the corrected protocol: heads see patients whom the encoders never saw; UniMed is fitted on
    both splits at once, or on a share of their patients. What reads no encoder has none.
    """
    both = ["train", "fusion"]
    shares: dict[str, dict[str, Any]] = {}
    asked = {name.split("_", 2)[1] for name in names}
    for name, model in registry.models(config).items():
        if name not in asked:
            continue
        shares[name] = {"encoders": ["train"], "head": ["fusion"]}
        if model.features in ("statistics", "scores"):
            shares[name] = {"head": both}
        if model.decoder:
            share = targets.decoder_settings(config, name)["training_share"]
            shares[name] = {"encoders": both, "head": both, "share": share}
    return json.dumps(shares, sort_keys=True)


class Comparing:
    """Inputs and options of the rule that compares the models of a study, as functions of a job."""

    def __init__(self, config: Config, wiring: ResultWiring) -> None:
        self.config, self.wiring = config, wiring

    def _names(self, wildcards: Any) -> list[str]:
        names = compared(self.config, wildcards.study, wildcards.protocol)
        if not names:
            studies = [*self.config["tasks"], registry.DECODER]
            studies += [f"{PAPERS}{unit}" for unit in _units(self.config)]
            raise InputError(
                f"no study '{wildcards.study}' of the {wildcards.protocol} protocol; there are "
                f"{', '.join(studies)}"
            )
        return names

    def _ranked(self, wildcards: Any) -> list[str]:
        """The tasks of many labels that UniMed's models are compared on."""
        return self._many() if families(wildcards.study) == UNIMED else []

    def _many(self) -> list[str]:
        tasks = targets.sequence(self.config, "all")
        return [task for task in tasks if find(task).kind == "many"]

    def predictions(self, wildcards: Any) -> list[str]:
        """Of every model, in every fold."""
        return self._tables(wildcards, self._names(wildcards), ".parquet")

    def diagnoses(self, wildcards: Any) -> list[str]:
        """Rankings, of the models that have a task of many labels.

        Across papers they are not compared: training episodes are counted in them.
        """
        many = {*self._many()} if families(wildcards.study) != WANG else set()
        names = [
            name
            for name in self._names(wildcards)
            if many & {*targets.sequence(self.config, task_of(name))}
        ]
        return self._tables(wildcards, names, ".diagnoses.parquet")

    def labels(self, part: str) -> Of:
        """Tables `groups` or `vocabulary` of a task of many labels, in every fold."""
        return lambda wildcards: [
            table
            for task in self._ranked(wildcards)
            for table in self.wiring.in_folds(
                f"{UNIT}/labels/{task}.{part}.parquet", wildcards.protocol, task
            )
        ]

    def of_sets(self, wildcards: Any) -> list[str]:
        """Predictions of every set of modalities, by one fusion: of a modality alone, of itself."""
        names = []
        for letters in grids.modality_sets(self.config):
            model = wildcards.fusion if len(letters) > 1 else registry.SINGLE
            names.append(f"{letters}_{model}_{wildcards.task}")
        return self._tables(wildcards, names, ".parquet")

    def present(self, wildcards: Any) -> list[str]:
        """The tables that tell who has which modality."""
        return self.wiring.present(unit=self._unit(wildcards))(wildcards)

    def options(self, wildcards: Any, input: Any) -> list[str]:
        """Families, and what they need beside the predictions, as options of the command."""
        asked = families(wildcards.study)
        options = ["--families", *asked]
        options += ["--present", self.wiring.presence(unit=self._unit(wildcards))(wildcards)]
        if asked == UNIMED:
            variants = json.dumps(self.config["unimed"]["variants"], sort_keys=True)
            options += ["--variants", variants]
        if "papers" in asked:
            options += ["--trained-on", trained_on(self.config, self._names(wildcards))]
            options += ["--trained-diagnoses", *input.diagnoses] if input.diagnoses else []
        elif input.diagnoses:
            options += ["--diagnoses-task", *self._ranked(wildcards), "--diagnoses"]
            options += [*input.diagnoses, "--groups", *input.groups]
            options += ["--vocabulary", *input.vocabulary]
        return options

    def _unit(self, wildcards: Any) -> str:
        first = self._names(wildcards)[0]
        return targets.unit_of(self.config, task_of(first), wildcards.protocol)

    def _tables(self, wildcards: Any, names: list[str], ending: str) -> list[str]:
        return [
            table
            for name in names
            for table in self.wiring.in_folds(
                f"{PREDICTIONS}/{name}{ending}", wildcards.protocol, task_of(name)
            )
        ]
