"""Heads on features: what they share, the simplest one, and how one is fitted.

Encoders learn from the train share, heads of the corrected protocol from the fusion share, whose
patients the encoders never saw: the same patients in the same roles for every model.
"""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.cohort.rows import TaskRows, check_classes
from pipeline.stage.errors import InputError
from pipeline.training.embeddings import Embeddings
from pipeline.training.loop import Examples, fit
from pipeline.training.modality import Feature
from pipeline.training.processes import make_repeatable
from pipeline.training.settings import Training


def moments(data: Embeddings, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (M, D) and scale (M, 1) of the embeddings of `rows`, over those that have the modality.

    One scale per modality, such that the mean variance of its dimensions is 1: directions in which
    embeddings hardly vary stay small, and a head finds the few that carry the task first.
    """
    here = data.here[rows][..., None]  # (N, M, 1)
    count = np.maximum(here.sum(axis=0), 1)
    mean = (data.value[rows] * here).sum(axis=0) / count
    spread = ((data.value[rows] - mean) ** 2 * here).sum(axis=(0, 2)) / count[:, 0]
    scale = np.sqrt(spread / data.value.shape[2])[:, None] + 1e-6
    return torch.from_numpy(mean).float(), torch.from_numpy(scale).float()


class Standard(nn.Module):
    """(B, M, D) embeddings → standardised; zero, the mean, where a modality is absent.

    Starts as the identity for what is there: as published.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, modalities: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(modalities, width))
        self.register_buffer("scale", torch.ones(modalities, 1))

    def learn(self, data: Embeddings, rows: np.ndarray) -> None:
        """Takes mean and scale from `rows`."""
        mean, scale = moments(data, rows)
        self.mean.copy_(mean)
        self.scale.copy_(scale)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """(B, M, D)."""
        return (batch["embedding"] - self.mean) / self.scale * batch["here"].unsqueeze(-1)


class Absence(nn.Module):
    """Which modalities an episode lacks (B, M) → what that adds to a layer (B, outputs).

    An input per modality, beside its embedding: who has a film differs from who has none. Starts
    from zero. An absent modality counts as sqrt(width), the length of a standardised embedding.
    `told`: false as published, where every episode has every modality; it then adds nothing.
    """

    def __init__(self, modalities: int, width: int, outputs: int, told: bool) -> None:
        super().__init__()
        self.length = width**0.5
        self.weight = nn.Parameter(torch.zeros(outputs, modalities)) if told else None

    def forward(self, here: torch.Tensor) -> torch.Tensor | float:
        """here (B, M) bool → (B, outputs), or 0."""
        if self.weight is None:
            return 0.0
        return F.linear((~here).to(self.weight.dtype) * self.length, self.weight)

    @torch.no_grad()
    def begin(self) -> None:
        """From zero."""
        if self.weight is not None:
            self.weight.zero_()


@torch.no_grad()
def guess(last: nn.Module, share: float) -> None:
    """Starts a last layer as the constant guess `share`: at these rates a bias is slow to learn."""
    assert isinstance(last, nn.Linear)
    last.weight.zero_()
    last.bias.copy_(torch.tensor([1 - share, share]).log())


class Head(nn.Module, ABC):
    """A head on frozen features, that can start from them."""

    @abstractmethod
    def begin(self, data: Embeddings, rows: np.ndarray, share: float) -> None:
        """Starts anew for `rows` of frozen features, from the guess `share`, that of positives."""


class LinearHead(Head):
    """(B, M, D) embeddings → logits (B, 2): one linear layer on all of them.

    `told`: which modalities there are is an input, too.
    """

    def __init__(self, modalities: int, width: int = 512, told: bool = False) -> None:
        super().__init__()
        self.standard = Standard(modalities, width)
        self.absence = Absence(modalities, width, 2, told)
        self.linear = nn.Linear(modalities * width, 2)

    def begin(self, data: Embeddings, rows: np.ndarray, share: float) -> None:
        """Standardised by `rows`, from the constant guess."""
        self.standard.learn(data, rows)
        self.absence.begin()
        guess(self.linear, share)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Logits (B, 2)."""
        return self.linear(self.standard(batch).flatten(1)) + self.absence(batch["here"])


class Unimodal(nn.Module):
    """A modality's feature with a linear head; logits (B, 2), or [feature, logits] (B, 512 + 2)."""

    def __init__(self, feature: Feature, both: bool = False) -> None:
        super().__init__()
        self.feature, self.both = feature, both
        self.head = nn.Linear(feature.width, 2)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Batch of the modality → logits."""
        feature = self.feature(batch)
        logits = self.head(feature)
        return torch.cat([feature, logits], dim=1) if self.both else logits


def fit_on_fusion(head: Head, data: Embeddings, rows: TaskRows, schedule: Training, seed: int,
                  device: torch.device, folder: Path, name: str) -> None:  # fmt: skip
    """Trains `head` in place on the features of the fusion share.

    Episodes without any of the modalities are left out. `folder`: of the weights, for the state of
    the training. `name`: of the modalities. Raises `InputError` where nobody in the share has one,
    and where the share has one class only.
    """
    here = np.asarray(data.here.any(axis=1))
    train, val = (part[here[part]] for part in (rows.of("fusion"), rows.of("val")))
    if not len(train):
        raise InputError(f"{name}: none of the episodes of the fusion share has this modality: "
                         "its selection's log says how many there were at all")  # fmt: skip
    check_classes(rows, here, name, ["fusion"])
    make_repeatable(seed, torch.get_num_threads())
    head.begin(data, train, rows.label[train].mean())
    progress = folder / f".head{seed}.progress"
    fit(head, Examples(data, rows.label, train, val), schedule, seed, device, progress, "head")
