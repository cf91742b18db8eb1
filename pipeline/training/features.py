"""What heads on frozen features share: the features' scale, and the simplest head."""

import numpy as np
import torch
from torch import nn

from pipeline.training.embeddings import Embeddings


def moments(data: Embeddings, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (M, D) and scale (M, 1) of the embeddings of `rows`, over those that have the modality.

    One scale per modality, such that its total variance is 1: directions in which embeddings hardly
    vary stay small, and a head finds the few that carry the task first.
    """
    here = data.here[rows][..., None]  # (N, M, 1)
    count = np.maximum(here.sum(axis=0), 1)
    mean = (data.value[rows] * here).sum(axis=0) / count
    spread = ((data.value[rows] - mean) ** 2 * here).sum(axis=(0, 2)) / count[:, 0]
    scale = np.sqrt(spread)[:, None] + 1e-6
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


class LinearHead(nn.Module):
    """(B, M, D) embeddings → logits (B, 2): one linear layer on all of them."""

    def __init__(self, modalities: int, width: int = 512) -> None:
        super().__init__()
        self.standard = Standard(modalities, width)
        self.linear = nn.Linear(modalities * width, 2)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Logits (B, 2)."""
        return self.linear(self.standard(batch).flatten(1))
