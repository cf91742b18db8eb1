"""What the rule save_model reads, and how its stage is told: everything that was fitted.

Of a cross-validation the first fold is stored, which has the plain name of its protocol.
"""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from pipeline.fusion import registry
from pipeline.plan import experiments, protocols, targets
from pipeline.plan.wiring import PREDICTIONS, UNIT, flat
from pipeline.plan.wiring_results import ResultWiring

PROTOCOL = "corrected"
BINS, DOC2VEC = "results/{protocol}/ehr/bins.parquet", "results/{protocol}/note/doc2vec"
EVENTS = ("chartevents", "labevents", "inputevents", "outputevents", "procedureevents")


def refusal(config: targets.Config, modalities: str, model: str) -> str | None:
    """Why the model of a target cannot be stored; None if it can.

    >>> config = {"modalities": {"e": "ehr"}, "encoders": {"e": "tokens"}, "unimed": {}}
    >>> refusal(config, "e", "sofa")
    'sofa: its model is not stored: SOFA is no model of this kind; stored are unimodal, early, \
joint, gated, gated-joint, late, late-averaged, logistic, gbdt, logistic-stats, gbdt-stats'
    """
    one = registry.models({**config, "unimed": {"variants": {}, **config["unimed"]}})[
        "unimed" if registry.is_decoder(model) else model
    ]
    if not one.kept:
        able = [name for name, other in registry.MODELS.items() if other.kept]
        return (f"{model}: its model is not stored: {one.words} is no model of this kind; stored "
                f"are {', '.join(able)}")  # fmt: skip
    if one.kept == "statistics":
        return None
    chosen = protocols.encoders(protocols.settings(config, PROTOCOL), model)
    for letter in modalities:
        name = config["modalities"][letter]
        known = targets.modality(config, name).encoders
        if not known[chosen[letter]].kept:
            able = [encoder for encoder, other in known.items() if other.kept]
            return (f"the encoder {chosen[letter]} of {name} cannot be asked about a new source: "
                    f"stored are models with {' or '.join(able) or 'none of its encoders'}"
                    )  # fmt: skip
    return None


class Storing:
    """The inputs and options of save_model, by the wildcards of a target."""

    def __init__(self, wiring: ResultWiring, check: Callable[[Any], None]) -> None:
        """`check`: ends the plan for a target whose model cannot be stored."""
        self.wiring, self.check, self.config = wiring, check, wiring.config

    def _own(self, wildcards: Any) -> tuple[SimpleNamespace, list[str], str]:
        """The wildcards with a protocol, the modalities, and what is stored of the model."""
        self.check(wildcards)
        names = {name: getattr(wildcards, name) for name in ("modalities", "model", "task")}
        kept = registry.MODELS[wildcards.model].kept
        chosen = [self.wiring.letters[letter] for letter in wildcards.modalities]
        return SimpleNamespace(protocol=PROTOCOL, **names), chosen, kept

    def _at(self, pattern: str, own: SimpleNamespace, **more: str) -> str:
        return str(self.wiring.filled(pattern.format_map(_Kept(task=own.task, **more)), own))

    def predictions(self, wildcards: Any) -> str:
        """Those of the model, of the first fold."""
        own, _, _ = self._own(wildcards)
        return self._at(f"{PREDICTIONS}/{own.modalities}_{own.model}_{own.task}.parquet", own)

    def table(self, pattern: str) -> Callable[[Any], str]:
        """A table of the unit of a target's task."""
        return lambda wildcards: self._at(f"{UNIT}/{pattern}", self._own(wildcards)[0])

    def weights(self, wildcards: Any) -> list[str]:
        """The histories and weights that rules know of; heads lie beside them."""
        own, names, kept = self._own(wildcards)
        folder, model = f"{UNIT}/models/{own.task}", f"{own.modalities}_{own.model}"
        files = []
        if kept in ("single", "late", "fused", "baseline"):
            files += [
                f"{folder}/{name}/seed{seed}.safetensors"
                for name in names
                for seed in self.config["seeds"]
            ]
        if kept in ("fused", "joint"):
            files.append(f"{folder}/{model}/history.json")
        return [self._at(file, own) for file in files]

    def embeddings(self, wildcards: Any) -> list[str]:
        """Of frozen encoders; with them the heads are there."""
        own, _, kept = self._own(wildcards)
        reads = ("single", "late", "fused", "baseline")
        return self.wiring.embeddings(own) if kept in reads else []

    def features(self, wildcards: Any) -> list[str]:
        """The statistics that a baseline reads."""
        own, _, kept = self._own(wildcards)
        return [self.wiring.statistics(own)] if kept == "statistics" else []

    def encoded(self, wildcards: Any) -> list[str]:
        """What the encoders read: tokens tell which training had."""
        own, _, kept = self._own(wildcards)
        return [] if kept == "statistics" else flat([self.wiring.encoder_files()(own)])

    def data(self, wildcards: Any) -> str:
        """The encoders and their settings, as JSON."""
        own, _, kept = self._own(wildcards)
        return "{}" if kept == "statistics" else str(self.wiring.encoder_data()(own))

    def events(self, wildcards: Any) -> list[str]:
        """The events of the record, where the model reads it."""
        own, names, _ = self._own(wildcards)
        return [self._at(f"{UNIT}/ehr/events.parquet", own)] if "ehr" in names else []

    def bins(self, wildcards: Any) -> list[str]:
        """The bins of the record's tokens."""
        own, names, kept = self._own(wildcards)
        tokens = "ehr" in names and kept != "statistics"
        return [self.wiring.filled(BINS, own)] if tokens else []

    def doc2vec(self, wildcards: Any) -> list[str]:
        """The files of Doc2Vec."""
        own, names, _ = self._own(wildcards)
        files = [f"{DOC2VEC}/model.json", f"{DOC2VEC}/weights.safetensors"]
        return [self.wiring.filled(file, own) for file in files] if "note" in names else []

    def source(self, wildcards: Any) -> list[str]:
        """The tables of events, whose items new ones are compared with."""
        _, names, _ = self._own(wildcards)
        return [f"results/source/{name}.parquet" for name in EVENTS] if "ehr" in names else []

    def settings(self, wildcards: Any) -> str:
        """The settings behind the result."""
        own, _, _ = self._own(wildcards)
        unit = self.wiring.unit(own)
        return targets.settings_of(self.config, PROTOCOL, own.modalities, own.model, unit)

    def letters(self, wildcards: Any) -> str:
        """Letter → modality, as JSON."""
        return json.dumps(self.config["modalities"])

    def folder(self, wildcards: Any) -> str:
        """The folder of the task's weights."""
        own, _, _ = self._own(wildcards)
        return self._at(f"{UNIT}/models/{own.task}", own)

    def doc2vec_folder(self, wildcards: Any) -> list[str]:
        """The option that names the folder of Doc2Vec."""
        own, names, _ = self._own(wildcards)
        return ["--doc2vec", self.wiring.filled(DOC2VEC, own)] if "note" in names else []


class _Kept(dict[str, str]):
    """Fields of a path that are filled later stay as they are."""

    def __missing__(self, name: str) -> str:
        return f"{{{name}}}"


def folder_of(config: targets.Config) -> str:
    """The folder of stored models of an experiment.

    >>> folder_of({"name": "elderly"})
    'results/elderly/models'
    """
    return f"{experiments.home(config)}/models"
