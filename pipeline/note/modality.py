"""Modality `n` as training and fusion see it."""

import argparse

import numpy as np
import torch

from pipeline.common.ragged import take
from pipeline.note.dataset import NoteData, load
from pipeline.note.encoder import NoteEncoder


class Note:
    """Doc2Vec vectors of radiology reports."""

    name = "note"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Inputs: which reports an episode has, and their vectors."""
        parser.add_argument("--notes", required=True)
        parser.add_argument("--vectors", required=True)

    def data(self, given: argparse.Namespace, episodes: np.ndarray) -> NoteData:
        """The report vectors of these episodes."""
        return load(given.notes, given.vectors, episodes)

    def encoder(self, given: argparse.Namespace, data: NoteData, train: np.ndarray) -> NoteEncoder:
        """LSTM over vectors, standardised by the training episodes' reports."""
        uses, _ = take(data.start, train)
        vectors = data.vector[data.which[uses]]
        mean, scale = vectors.mean(axis=0), vectors.std(axis=0) + 1e-6
        return NoteEncoder(torch.from_numpy(mean), torch.from_numpy(scale))
