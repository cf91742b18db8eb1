"""How the rule of a kit's figures gets files: what a result of one binary task was made from.

Every method returns a function of wildcards, as in `pipeline.plan.wiring`. Episodes and what
describes them are alike in all folds; those of the first are read.
"""

import json
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pipeline.fusion import registry
from pipeline.plan import protocols, targets
from pipeline.plan.checks import Checks
from pipeline.plan.wiring import UNIT, Of, flat
from pipeline.plan.wiring_results import ResultWiring, of_protocol

DECODED = "DECODED"  # name in a modality's registry
SCORE = "sofa"  # the severity at the prediction time


class KitWiring:
    """What the kits of results are made from.

    `no_score`: why the source has not the tables of SOFA; empty where it has.
    """

    def __init__(
        self, config: Mapping[str, Any], wiring: ResultWiring, checks: Checks, no_score: str
    ) -> None:
        self.config, self.wiring, self.checks, self.no_score = config, wiring, checks, no_score

    def result(self, protocol: str) -> Of:
        """The result; refuses a target that cannot be made, or that has no kit."""
        folder = targets.folders(self.config)[protocol]

        def of(wildcards: Any) -> str:
            self.checks.target(wildcards.modalities, wildcards.model, wildcards.task, protocol)
            name = f"{wildcards.modalities}_{wildcards.model}_{wildcards.task}"
            asked = targets.tasks(self.config, wildcards.task, protocol)
            if [one.kind for one in asked] != ["binary"]:
                sys.exit(f"{folder}/kit/{name}: a kit is of a result of one binary task")
            return f"{folder}/{name}.json"

        return of

    def first(self, pattern: str, protocol: str) -> Of:
        """A file of the first fold, of the unit of a target's task."""
        return lambda wildcards: self._located(pattern, protocol, wildcards)

    def hours(self, protocol: str) -> Of:
        """Hours from clock zero to the prediction of a target's task."""

        def of(wildcards: Any) -> int:
            (one,) = targets.tasks(self.config, wildcards.task, protocol)
            window = protocols.settings(self.config, protocol)["cohort"]["window_hours"]
            return int(one.hours or window)

        return of

    def score(self, protocol: str) -> Of:
        """SOFA at the prediction time, where the protocol has it and the source its tables."""

        def of(wildcards: Any) -> list[str]:
            if self._why_no_score(protocol):
                return []
            hours = self.hours(protocol)(wildcards)
            return [
                self._located(f"{UNIT}/ehr/scores/{SCORE}_{hours}h.parquet", protocol, wildcards)
            ]

        return of

    def score_options(self, protocol: str) -> Any:
        """The same as options, or why there is none."""

        def of(wildcards: Any, input: Any) -> list[str]:
            files = flat([input.score])
            if files:
                return ["--scores", *files]
            return ["--no-scores", self._why_no_score(protocol)]

        return of

    def faults(self, protocol: str) -> Of:
        """Letter of a modality that a target reads → the tables that say which of its files cannot
        be read, as JSON: `DECODED` of its registry, where its encoder reads what counts them.

        Not of embeddings that were made elsewhere, of which the result says what lacks one.
        """

        def of(wildcards: Any) -> str:
            encoders = self.wiring.encoders(of_protocol(wildcards, protocol))
            told: dict[str, list[str]] = {}
            for letter in wildcards.modalities:
                name = self.wiring.letters[letter]
                _, encoder = encoders[name]
                if encoder.counts is None:
                    tables = getattr(import_module(f"pipeline.{name}.registry"), DECODED, ())
                    read = tables if "readable" in encoder.files else ()
                    told[letter] = [self._located(one, protocol, wildcards) for one in read]
            return json.dumps(told)

        return of

    def fault_files(self, protocol: str) -> Of:
        """The tables of `faults`."""
        of = self.faults(protocol)
        return lambda wildcards: flat([*json.loads(of(wildcards)).values()])

    def _why_no_score(self, protocol: str) -> str:
        if SCORE not in registry.models(self.config, protocol):
            return f"the {protocol} protocol has no clinical scores"
        return self.no_score

    def _located(self, pattern: str, protocol: str, wildcards: Any) -> str:
        unit = targets.unit_of(self.config, wildcards.task, protocol)
        first = protocols.folds(self.config, protocol)[0]
        made: str = self.wiring.located(pattern, protocol=first, unit=unit, task=wildcards.task)
        return made
