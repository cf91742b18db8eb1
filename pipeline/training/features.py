"""What heads on frozen features share: the features' scale, and the simplest head."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.training.embeddings import Embeddings


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
