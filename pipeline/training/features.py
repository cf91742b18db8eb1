"""Heads that are trained with their encoders, by batches; see `fitted` for those on frozen ones."""

import torch
from torch import nn
from torch.nn import functional as F

from pipeline.training.modality import Feature


class Absence(nn.Module):
    """Which modalities an episode lacks (B, M) → what that adds to a layer (B, outputs).

    An input per modality, beside its embedding: who has a film differs from who has none. Starts
    from zero. An absent modality counts as sqrt(width), about the length of an embedding.
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


class LinearHead(nn.Module):
    """(B, M, D) embeddings → logits (B, 2): one linear layer on all of them.

    `told`: which modalities there are is an input, too.
    """

    def __init__(self, modalities: int, width: int = 512, told: bool = False) -> None:
        super().__init__()
        self.absence = Absence(modalities, width, 2, told)
        self.linear = nn.Linear(modalities * width, 2)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Logits (B, 2)."""
        value = batch["embedding"] * batch["here"].unsqueeze(-1)
        return self.linear(value.flatten(1)) + self.absence(batch["here"])


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
