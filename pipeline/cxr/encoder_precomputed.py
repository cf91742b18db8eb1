"""Encoder `precomputed` of films: a user's own embeddings, with a small network on top."""

import numpy as np
import polars as pl

from pipeline.cxr.film_data import Films, read_films
from pipeline.stage.tables import read_table
from pipeline.training.modality import Settings, horizon_of
from pipeline.training.vectors import VectorNetwork, vector_network

TABLE = "table"  # the one array that all films lie in


class Precomputed:
    """Embeddings by dicom_id."""

    def data(self, settings: Settings, episodes: np.ndarray) -> Films:
        """Settings: films, precomputed (the checked table), before."""
        table = read_table(settings["precomputed"]).with_row_index("row")
        vector = table["vector"].to_numpy()
        places = table.select("dicom_id", "row").with_columns(pl.lit(TABLE).alias("chunk"))
        return read_films(settings["films"], places, lambda _: [vector], vector.shape[1:], episodes,
                          horizon_of(settings), "vector")  # fmt: skip

    def network(self, settings: Settings, data: Films, train: np.ndarray) -> VectorNetwork:
        """Settings: hours_scale."""
        return vector_network("c", data, train, settings["hours_scale"])


ENCODER = Precomputed()
