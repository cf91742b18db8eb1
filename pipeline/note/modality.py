"""Modality `n` as training and fusion see it."""

import numpy as np
import torch

from pipeline.note.dataset import NoteData, load
from pipeline.note.encoder import NoteEncoder
from pipeline.stage.ragged import take
from pipeline.training.modality import Given


class Note:
    """Doc2Vec vectors of radiology reports."""

    def data(self, given: Given, episodes: np.ndarray) -> NoteData:
        """The report vectors of these episodes. Given: notes, vectors."""
        return load(given["notes"], given["vectors"], episodes)

    def encoder(self, given: Given, data: NoteData, train: np.ndarray) -> NoteEncoder:
        """LSTM over vectors. Given: standardise, by the training episodes' reports, or not."""
        encoder = NoteEncoder(data.vector.shape[1])
        if given["standardise"]:
            uses, _ = take(data.start, train)
            vectors = data.vector[data.which[uses]]
            encoder.mean.copy_(torch.from_numpy(vectors.mean(axis=0)))
            encoder.scale.copy_(torch.from_numpy(vectors.std(axis=0) + 1e-6))
        return encoder


MODALITY = Note()
