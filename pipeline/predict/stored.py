"""A stored model in memory: encoders, heads and baselines by seed, and the risks that they give.

One class per kind of model (`kept` of pipeline/fusion/registry.py). Each is loaded once, on the
data of nobody, and then gives the risks (N,) of any episodes, to the digits of a table of
predictions.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.cohort.rows import rounded
from pipeline.fusion.inputs import of_embeddings, of_statistics
from pipeline.fusion.late import mean_of
from pipeline.fusion.registry import MODELS
from pipeline.predict import networks, plain
from pipeline.stage.errors import InputError
from pipeline.stage.prediction import SeedFacts, StoredModel
from pipeline.training.embeddings import Embeddings
from pipeline.training.modality import ModalityData

Data = Mapping[str, ModalityData]


class Kind(ABC):
    """A model of one seed. `settings`, `data`: of the encoders, of nobody."""

    def __init__(
        self, model: StoredModel, facts: SeedFacts, folder: Path, settings: Mapping[str, Any],
        data: Data, device: torch.device,
    ) -> None:  # fmt: skip
        self.facts, self.names, self.device = facts, list(model["modalities"].values()), device
        self.load(model, folder / f"seed{facts['seed']}", settings, data)

    @abstractmethod
    def load(self, model: StoredModel, folder: Path, settings: Mapping[str, Any], data: Data
             ) -> None:  # fmt: skip
        """Reads what was fitted."""

    @abstractmethod
    def risks(self, data: Data, statistics: str | None, episodes: np.ndarray) -> np.ndarray:
        """(N,) of the episodes of the data; `statistics`: the table of models on it."""


class Encoded(Kind):
    """A model on features of frozen encoders."""

    def load(self, model: StoredModel, folder: Path, settings: Mapping[str, Any], data: Data
             ) -> None:  # fmt: skip
        """An encoder per modality."""
        self.encoders = {
            name: networks.encoder(name, settings[name], data[name],
                                   folder / f"{name}.safetensors", self.device)
            for name in self.names
        }  # fmt: skip

    def embeddings(self, data: Data) -> Embeddings:
        """The features of every modality."""
        value = [networks.features(self.encoders[n], data[n], self.device) for n in self.names]
        here = [data[name].present() for name in self.names]
        return Embeddings(np.stack(value, axis=1), np.stack(here, axis=1))


class Late(Encoded):
    """The mean of single models."""

    def load(self, model: StoredModel, folder: Path, settings: Mapping[str, Any], data: Data
             ) -> None:  # fmt: skip
        """Encoders, and the heads of single models."""
        super().load(model, folder, settings, data)
        self.heads = {
            name: networks.head(None, folder / f"{name}_head.safetensors",
                                self.facts["hidden"][name])
            for name in self.names
        }  # fmt: skip

    def each(self, data: Data) -> tuple[np.ndarray, np.ndarray]:
        """The risks (N, M) by each modality alone, and who has it (N, M)."""
        made = self.embeddings(data)
        risks = np.tile([self.facts["guess"][name] for name in self.names], (len(made.here), 1))
        for place, name in enumerate(self.names):
            have = made.here[:, place]
            some = Embeddings(
                made.value[have, place : place + 1], made.here[have, place : place + 1]
            )
            risks[have, place] = networks.risks(self.heads[name], some)
        return rounded(risks), made.here

    def risks(self, data: Data, statistics: str | None, episodes: np.ndarray) -> np.ndarray:
        """(N,)."""
        each, here = self.each(data)
        prior = self.facts["prior"]
        assert prior is not None
        return mean_of(each, here, prior)


class Single(Late):
    """One modality; who lacks it has the risk of those in training who did."""

    def risks(self, data: Data, statistics: str | None, episodes: np.ndarray) -> np.ndarray:
        """(N,)."""
        return self.each(data)[0][:, 0]


class Fused(Encoded):
    """A head on the features of frozen encoders."""

    def load(self, model: StoredModel, folder: Path, settings: Mapping[str, Any], data: Data
             ) -> None:  # fmt: skip
        """Encoders and the head."""
        super().load(model, folder, settings, data)
        name = model["model"]
        path = folder / f"{name}.safetensors"
        self.head = networks.head(name, path, self.facts["hidden"][name])

    def risks(self, data: Data, statistics: str | None, episodes: np.ndarray) -> np.ndarray:
        """(N,)."""
        return networks.risks(self.head, self.embeddings(data))


class Baseline(Encoded):
    """A regression or trees on the features of frozen encoders."""

    def load(self, model: StoredModel, folder: Path, settings: Mapping[str, Any], data: Data
             ) -> None:  # fmt: skip
        """Encoders and the baseline."""
        super().load(model, folder, settings, data)
        self.fitted = plain.load(folder / f"{model['model']}.safetensors")

    def risks(self, data: Data, statistics: str | None, episodes: np.ndarray) -> np.ndarray:
        """(N,)."""
        return self.fitted(of_embeddings(self.embeddings(data)).value)


class Joint(Kind):
    """Encoders that were trained together, and a head."""

    def load(self, model: StoredModel, folder: Path, settings: Mapping[str, Any], data: Data
             ) -> None:  # fmt: skip
        """One file for all."""
        name = model["model"]
        path = folder / f"{name}.safetensors"
        self.encoders = networks.joint_encoders(settings, data, path, self.device)
        self.head = networks.head(name, path, self.facts["hidden"][name], "dropping.head.")

    def risks(self, data: Data, statistics: str | None, episodes: np.ndarray) -> np.ndarray:
        """(N,)."""
        return networks.risks(self.head, networks.joint_features(self.encoders, data, self.device))


class OnStatistics(Kind):
    """A regression or trees on statistics of the EHR."""

    def load(self, model: StoredModel, folder: Path, settings: Mapping[str, Any], data: Data
             ) -> None:  # fmt: skip
        """The baseline."""
        self.fitted = plain.load(folder / f"{model['model']}.safetensors")

    def risks(self, data: Data, statistics: str | None, episodes: np.ndarray) -> np.ndarray:
        """(N,)."""
        assert statistics is not None
        return self.fitted(of_statistics(statistics, episodes).value)


KINDS: dict[str, type[Kind]] = {
    "single": Single, "fused": Fused, "joint": Joint, "late": Late, "baseline": Baseline,
    "statistics": OnStatistics,
}  # fmt: skip


def kind_of(model: str) -> type[Kind]:
    """How a model is stored; `InputError` of one that is not."""
    kept = MODELS[model].kept if model in MODELS else ""
    if not kept:
        raise InputError(f"{model} cannot be stored")
    return KINDS[kept]
