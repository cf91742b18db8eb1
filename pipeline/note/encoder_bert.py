"""Encoder `bert` of notes: the mean of the vectors of the reports known before each horizon.

Zhao et al. 2022: ClinicalBERT's [CLS], projected to the width of the decoder. How several reports
become one vector is left open there. ASSUME their mean, later reports counting more
(softmax(hours / 48), as films are weighted).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from pipeline.note.bert import LastLayer, load_bert
from pipeline.note.reports import Reports, Vectors, read_pieces, read_reports, read_vectors
from pipeline.training.batches import Batch
from pipeline.training.items import mean_by_horizon
from pipeline.training.modality import Settings, Tokens, horizon_of

HOURS_SCALE = 48.0


class BertNetwork(nn.Module):
    """Batch of `Reports`, K horizons → token n: (B, K, size), present (B, K).

    `size`: of a report's vector. `last`: the BERT whose last layer learns, for batches of
    WordPieces. Buffers `mean` and `scale` (size) standardise the vectors of a frozen BERT.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, size: int, last: LastLayer | None = None) -> None:
        super().__init__()
        self.widths = {"n": size}
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.last = last

    def forward(self, batch: Batch, horizons: Sequence[float]) -> Tokens:
        """Zeros where no report was known before a horizon."""
        vector = (self._vectors(batch) - self.mean) / self.scale  # (R, size)
        return {"n": mean_by_horizon(vector, batch, horizons, HOURS_SCALE)}

    def _vectors(self, batch: Batch) -> torch.Tensor:
        if self.last is None:
            return batch["vector"]
        return self.last(batch["tokens"], batch["mask"], batch["report"], len(batch["hours"]))


def fit_scale(network: BertNetwork, data: Reports, train: np.ndarray) -> None:
    """Standardises by the vectors of the reports that the training episodes use, each once.

    What a BERT writes varies little round a large mean. WordPieces are left alone.
    """
    chosen = np.zeros(len(data.start) - 1, bool)
    chosen[train] = True
    reports = np.unique(data.which[np.repeat(chosen, np.diff(data.start))])
    if isinstance(data.content, Vectors) and len(reports):
        vector = data.content.vector[reports].astype(np.float64)
        network.mean.copy_(torch.from_numpy(vector.mean(axis=0)))
        network.scale.copy_(torch.from_numpy(vector.std(axis=0) + 1e-6))


class Bert:
    """Reports through a BERT: its vectors, or its last layer in training."""

    def data(self, settings: Settings, episodes: np.ndarray) -> Reports:
        """Settings: notes, trained (frozen or last), bert (vectors) or tokens, before."""
        last = settings["trained"] == "last"
        content = read_pieces(settings["tokens"]) if last else read_vectors(settings["bert"])
        return read_reports(settings["notes"], content, episodes, horizon_of(settings))

    def network(self, settings: Settings, data: Reports, train: np.ndarray) -> BertNetwork:
        """Settings: trained; for its last layer model (folder or hub name)."""
        if settings["trained"] == "last":
            last = LastLayer(load_bert(settings["model"]))
            return BertNetwork(last.width, last)
        assert isinstance(data.content, Vectors)
        network = BertNetwork(data.content.vector.shape[1])
        fit_scale(network, data, train)
        return network


ENCODER = Bert()
