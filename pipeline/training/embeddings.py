"""Embeddings of frozen encoders as data: read from one table per modality.

Baselines without torch read them, too: torch is imported only where a batch is asked for.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pipeline.stage.errors import InputError
from pipeline.stage.tables import read_table

if TYPE_CHECKING:
    import torch


@dataclass
class Embeddings:
    """Embeddings of episodes in a fixed order.

    `value` (N, M, D) float32, zero where absent; `here` (N, M) bool: which modalities there are.
    """

    value: np.ndarray
    here: np.ndarray

    def batch(self, rows: np.ndarray) -> "dict[str, torch.Tensor]":
        """embedding (B, M, D) float32 and here (B, M) bool."""
        import torch

        return {
            "embedding": torch.from_numpy(self.value[rows]),
            "here": torch.from_numpy(self.here[rows]),
        }


def read_embeddings(paths: list[str] | list[Path], seed: int, episodes: np.ndarray) -> Embeddings:
    """The embeddings of `episodes` (ids, any order) of one seed, one modality per path.

    Raises `InputError` where a table has none of them.
    """
    order = pl.DataFrame({"episode_id": episodes}).with_row_index("row")
    values, present = [], []
    for path in paths:
        table = read_table(path).filter(pl.col("seed") == seed).join(order, on="episode_id")
        if table.is_empty():
            raise InputError(f"{path}: no embedding of these episodes for seed {seed}")
        row, embedding = table["row"].to_numpy(), table["embedding"].to_numpy()
        value = np.zeros((len(episodes), embedding.shape[1]), np.float32)
        here = np.zeros(len(episodes), bool)
        value[row], here[row] = embedding, True
        values.append(value)
        present.append(here)
    return Embeddings(np.stack(values, axis=1), np.stack(present, axis=1))
