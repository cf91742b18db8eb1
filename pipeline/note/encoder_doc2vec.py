"""Encoder `doc2vec` of notes: vectors of an episode's reports → LSTM → maximum over reports.

Wang et al. 2024, section 2.3: Doc2Vec vectors → LSTM(512), maximum over reports. In the corrected
protocol vectors are standardised by the training reports first: their raw scale depends on the
corpus. Reports come in the order in which they were known, and a state has read none that comes
after it: one pass serves every horizon.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from pipeline.note.reports import Reports, Vectors, read_reports, read_vectors
from pipeline.training.batches import Batch
from pipeline.training.items import take
from pipeline.training.modality import Settings, Tokens, horizon_of

WIDTH = 512


class Doc2VecNetwork(nn.Module):
    """Batch of `Reports` with vectors, K horizons → token n: (B, K, 512), present (B, K).

    Zeros for an episode without reports before a horizon. `size`: of a report's vector. Buffers
    `mean` and `scale` (size) start as 0 and 1: as published.
    """

    widths = {"n": WIDTH}  # noqa: RUF012 — of the class, never changed
    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, size: int = WIDTH) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.lstm = nn.LSTM(size, WIDTH, batch_first=True)

    def forward(self, batch: Batch, horizons: Sequence[float]) -> Tokens:
        """The maximum of the LSTM's output over the reports known before each horizon."""
        count, last = batch["count"], batch["hours"].new_tensor(horizons)  # (B), (K)
        vectors = (batch["vector"] - self.mean) / self.scale  # (R, size)
        feature = vectors.new_zeros(len(count), len(last), WIDTH)
        if not len(vectors):
            return {"n": (feature, feature.new_zeros(feature.shape[:2], dtype=torch.bool))}
        have = count > 0
        some = count[have]
        position = torch.arange(int(some.max()), device=count.device)
        within = position[None, :] < some[:, None]  # (episodes with reports, reports)
        padded = vectors.new_zeros(*within.shape, vectors.shape[1])
        padded[within] = vectors
        output, _ = self.lstm(padded)  # what follows an episode's reports reaches none of them
        known = within.new_zeros(*within.shape, len(last))
        known[within] = batch["hours"][:, None] < last
        pooled = torch.stack(
            [output.masked_fill(~k[..., None], -math.inf).amax(dim=1) for k in known.unbind(-1)], 1
        )  # (episodes with reports, K, 512)
        any_known = known.any(dim=1)  # (episodes with reports, K)
        pooled = torch.where(any_known[..., None], pooled, 0.0)
        feature[have] = pooled.to(feature.dtype)
        present = torch.zeros_like(feature[..., 0], dtype=torch.bool)
        present[have] = any_known
        return {"n": (feature, present)}


class Doc2Vec:
    """Doc2Vec vectors of radiology reports."""

    def data(self, settings: Settings, episodes: np.ndarray) -> Reports:
        """Settings: notes, vectors (tables), before."""
        content = read_vectors(settings["vectors"])
        return read_reports(settings["notes"], content, episodes, horizon_of(settings))

    def network(self, settings: Settings, data: Reports, train: np.ndarray) -> Doc2VecNetwork:
        """Settings: standardise, by the training episodes' reports, or not."""
        assert isinstance(data.content, Vectors)
        network = Doc2VecNetwork(data.content.vector.shape[1])
        if settings["standardise"]:
            uses, _ = take(data.start, train)
            vectors = data.content.vector[data.which[uses]]
            network.mean.copy_(torch.from_numpy(vectors.mean(axis=0)))
            network.scale.copy_(torch.from_numpy(vectors.std(axis=0) + 1e-6))
        return network


ENCODER = Doc2Vec()
