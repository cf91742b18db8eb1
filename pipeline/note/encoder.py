"""The note encoder: Doc2Vec vectors of an episode's reports → LSTM → maximum over reports.

Wang et al. 2024, section 2.3: Doc2Vec vectors → LSTM(512), maximum over reports. In the corrected
protocol vectors are standardised by the training reports first: their raw scale depends on the
corpus.
"""

import math

import torch
from torch import nn

WIDTH = 512


class NoteEncoder(nn.Module):
    """Batch of `pipeline.note.dataset` → feature (B, 512); zeros for an episode without reports.

    `size`: of a report's vector. Buffers `mean` and `scale` (size) start as 0 and 1: as published.
    """

    width = WIDTH
    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, size: int = WIDTH) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.lstm = nn.LSTM(size, WIDTH, batch_first=True)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """(B, 512)."""
        count = batch["count"]
        vectors = (batch["vector"] - self.mean) / self.scale  # (R, size)
        have = count > 0
        feature = vectors.new_zeros(len(count), WIDTH)
        if not len(vectors):
            return feature
        some = count[have]
        position = torch.arange(int(some.max()), device=count.device)
        within = position[None, :] < some[:, None]  # (episodes with reports, reports)
        padded = vectors.new_zeros(*within.shape, vectors.shape[1])
        padded[within] = vectors
        output, _ = self.lstm(padded)  # what follows an episode's reports reaches none of them
        pooled = output.masked_fill(~within[..., None], -math.inf).amax(dim=1)
        feature[have] = pooled.to(feature.dtype)
        return feature
