"""An encoder with a linear head: the model of a single modality."""

from typing import cast

import torch
from torch import nn


class Unimodal(nn.Module):
    """An encoder with a linear head; logits (B, 2), or [feature, logits] (B, width + 2).

    `encoder`: batch → feature (B, width), with an attribute `width`.
    """

    def __init__(self, encoder: nn.Module, both: bool = False) -> None:
        super().__init__()
        self.encoder, self.both = encoder, both
        self.head = nn.Linear(cast(int, encoder.width), 2)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Batch of the modality → logits."""
        feature = self.encoder(batch)
        logits = self.head(feature)
        return torch.cat([feature, logits], dim=1) if self.both else logits
