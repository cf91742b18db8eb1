"""Encoder `precomputed` of notes: a user's own embeddings, with a small network on top."""

import numpy as np

from pipeline.note.reports import Reports, read_reports, read_vectors
from pipeline.training.modality import Settings, horizon_of
from pipeline.training.vectors import VectorNetwork, vector_network


class Precomputed:
    """Embeddings by note_id."""

    def data(self, settings: Settings, episodes: np.ndarray) -> Reports:
        """Settings: notes, precomputed (the checked table), before."""
        content = read_vectors(settings["precomputed"])
        return read_reports(settings["notes"], content, episodes, horizon_of(settings))

    def network(self, settings: Settings, data: Reports, train: np.ndarray) -> VectorNetwork:
        """None beside the data."""
        return vector_network("n", data, train)


ENCODER = Precomputed()
