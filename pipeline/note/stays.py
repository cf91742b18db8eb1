"""Modality `n` of ICU stays: of the reports known before each horizon one memory token.

Zhao et al. 2022: ClinicalBERT's [CLS], projected to the width of the decoder. How several reports
become one vector is not said. ASSUME their mean, later reports counting more (softmax(hours / 48),
as films are weighted).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from pipeline.note.bert import LastLayer, load_bert
from pipeline.note.stay_data import Batch, StayNotes, Vectors, load, read_pieces, read_vectors
from pipeline.training.modality import Given, Tokens
from pipeline.training.recency import known_by

HOURS_SCALE = 48.0


class StayNoteEncoder(nn.Module):
    """Batch of `pipeline.note.stay_data`, K horizons → token n: (B, K, size), present (B, K).

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
        """`horizons`: hours from the arrival; zeros where no report was known before one."""
        known, owner, size = batch["known"], batch["owner"], len(batch["count"])
        vector = (self._vectors(batch) - self.mean) / self.scale  # (R, size)
        return {"n": known_by(vector, known, owner, size, horizons, HOURS_SCALE)}

    def _vectors(self, batch: Batch) -> torch.Tensor:
        if self.last is None:
            return batch["vector"]
        return self.last(batch["tokens"], batch["mask"], batch["report"], len(batch["known"]))


def fit_scale(encoder: StayNoteEncoder, data: StayNotes, train: np.ndarray) -> None:
    """Standardises by the vectors of the reports that the training stays use, each once.

    What a BERT writes varies little round a large mean. WordPieces are left alone.
    """
    own = np.zeros(len(data.start) - 1, bool)
    own[train] = True
    reports = np.unique(data.which[np.repeat(own, np.diff(data.start))])
    if isinstance(data.content, Vectors) and len(reports):
        vector = data.content.vector[reports].astype(np.float64)
        encoder.mean.copy_(torch.from_numpy(vector.mean(axis=0)))
        encoder.scale.copy_(torch.from_numpy(vector.std(axis=0) + 1e-6))


class NoteOfStays:
    """Reports through a BERT: its vectors, or its last layer in training."""

    def data(self, given: Given, episodes: np.ndarray) -> StayNotes:
        """Reports of these stays.

        Given: notes, trained (frozen or last), bert (vectors) or tokens, before (hours: none known
        later is read).
        """
        last = given["trained"] == "last"
        content = read_pieces(given["tokens"]) if last else read_vectors(given["bert"])
        return load(given["notes"], content, episodes, given["before"])

    def encoder(self, given: Given, data: StayNotes, train: np.ndarray) -> StayNoteEncoder:
        """The mean of reports. Given: trained; for its last layer model (folder or hub name)."""
        if given["trained"] == "last":
            last = LastLayer(load_bert(given["model"]))
            return StayNoteEncoder(last.width, last)
        assert isinstance(data.content, Vectors)
        encoder = StayNoteEncoder(data.content.vector.shape[1])
        fit_scale(encoder, data, train)
        return encoder


STAYS = NoteOfStays()
