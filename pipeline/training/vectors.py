"""A small network on vectors of items (films, reports) that an encoder of elsewhere made.

Its parameters are trained with the task; what made the vectors is not.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from pipeline.training.batches import Batch, Data
from pipeline.training.items import mean_by_horizon
from pipeline.training.modality import WIDTH, Tokens

HOURS_SCALE = 48.0  # a later item weighs e times as much after so many hours
LEAST = 1e-3  # of the mean SD: numbers that vary less are scaled as the others are


class VectorNetwork(nn.Module):
    """Batch with vector (R, size), K horizons → one token (B, K, 512), present (B, K).

    Vectors are standardised (buffers `mean`, `scale`), pass one hidden layer, and are averaged over
    the items known before each horizon, the latest counting most; zeros where there are none.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, token: str, size: int, hours_scale: float = HOURS_SCALE) -> None:
        super().__init__()
        self.token, self.hours_scale, self.widths = token, hours_scale, {token: WIDTH}
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.hidden = nn.Sequential(nn.Linear(size, WIDTH), nn.GELU())

    def forward(self, batch: Batch, horizons: Sequence[float]) -> Tokens:
        """The averages of the hidden layer."""
        hidden = self.hidden((batch["vector"] - self.mean) / self.scale)  # (R, 512)
        return {self.token: mean_by_horizon(hidden, batch, horizons, self.hours_scale)}

    def standardise(self, data: Data, train: np.ndarray) -> None:
        """Takes mean and SD from the vectors of the training episodes (rows).

        ASSUME a number that hardly varies in training has the mean SD of all: divided by its own,
        a rare value would outweigh everything else.
        """
        vector = data.batch(train)["vector"].double()
        if len(vector):
            spread = vector.std(dim=0, correction=0)
            typical = spread.mean().clamp(min=1e-6)
            self.mean.copy_(vector.mean(dim=0))
            self.scale.copy_(torch.where(spread > LEAST * typical, spread, typical))


def vector_network(token: str, data: Data, train: np.ndarray,
                   hours_scale: float = HOURS_SCALE) -> VectorNetwork:  # fmt: skip
    """The network for the vectors of `data`, standardised by the rows `train`."""
    width = data.batch(train[:0])["vector"].shape[1]
    network = VectorNetwork(token, width, hours_scale)
    network.standardise(data, train)
    return network
