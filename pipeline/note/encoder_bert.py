"""Encoder `bert` of notes: BERT or any other encoder of text, frozen or learning.

A token is the mean of the vectors of the reports known before each horizon. Zhao et al. 2022:
ClinicalBERT's [CLS], projected to the width of the decoder. How several reports become one vector
is left open there. ASSUME their mean, later reports counting more (softmax(hours / 48), as films
are weighted).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from pipeline.note.bert import LearningText, load_text_model
from pipeline.note.reports import (
    Pieces,
    Reports,
    Vectors,
    read_pieces,
    read_reports,
    read_vectors,
)
from pipeline.training.batches import Batch
from pipeline.training.items import mean_by_horizon
from pipeline.training.modality import Settings, Tokens, horizon_of

HOURS_SCALE = 48.0


class BertNetwork(nn.Module):
    """Batch of `Reports`, K horizons → token n: (B, K, size), present (B, K).

    `size`: of a report's vector. `learning`: the model that learns, for batches of pieces; None:
    of vectors, which the buffers `mean` and `scale` (size) standardise.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, size: int, learning: LearningText | None = None) -> None:
        super().__init__()
        self.widths = {"n": size}
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.learning = learning

    def forward(self, batch: Batch, horizons: Sequence[float]) -> Tokens:
        """Zeros where no report was known before a horizon."""
        vector = (self._vectors(batch) - self.mean) / self.scale  # (R, size)
        return {"n": mean_by_horizon(vector, batch, horizons, HOURS_SCALE)}

    def _vectors(self, batch: Batch) -> torch.Tensor:
        if self.learning is None:
            return batch["vector"]
        return self.learning(batch["tokens"], batch["mask"], batch["report"], len(batch["hours"]))


def fit_scale(network: BertNetwork, data: Reports, train: np.ndarray) -> None:
    """Standardises by the vectors of the reports that the training episodes use, each once.

    What a BERT writes varies little round a large mean. Pieces are left alone.
    """
    chosen = np.zeros(len(data.start) - 1, bool)
    chosen[train] = True
    reports = np.unique(data.which[np.repeat(chosen, np.diff(data.start))])
    if isinstance(data.content, Vectors) and len(reports):
        vector = data.content.vector[reports].astype(np.float64)
        network.mean.copy_(torch.from_numpy(vector.mean(axis=0)))
        network.scale.copy_(torch.from_numpy(vector.std(axis=0) + 1e-6))


class Bert:
    """Reports through a text model: its vectors, or its last layer or all of it in training."""

    def data(self, settings: Settings, episodes: np.ndarray) -> Reports:
        """Settings: notes, before, trained; frozen: bert (vectors), last or all: tokens."""
        frozen = settings["trained"] == "frozen"
        content = read_vectors(settings["bert"]) if frozen else read_pieces(settings["tokens"])
        return read_reports(settings["notes"], content, episodes, horizon_of(settings))

    def network(self, settings: Settings, data: Reports, train: np.ndarray) -> BertNetwork:
        """Settings: trained; last or all: model (folder or hub name)."""
        if isinstance(data.content, Pieces):
            model, pieces = load_text_model(settings["model"]), data.content
            model.check(pieces.token, int(np.diff(pieces.tokens).max(initial=0)))
            learning = LearningText(model, settings["trained"])
            return BertNetwork(learning.width, learning)
        network = BertNetwork(data.content.vector.shape[1])
        fit_scale(network, data, train)
        return network


ENCODER = Bert()
