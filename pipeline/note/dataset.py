"""Report vectors of episodes as tensors, by row numbers."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import torch

from pipeline.stage.ragged import offsets, take
from pipeline.stage.tables import read_table


@dataclass
class NoteData:
    """Episodes in a fixed order; the reports of episode i lie between its offsets, in time order.

    `vector` (reports, size), `which` (uses) rows of `vector`, `start` (episodes + 1) into uses.
    """

    item: ClassVar[str] = "report"
    vector: np.ndarray
    which: np.ndarray
    start: np.ndarray

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """vector (R, size), count (B)."""
        reports, count = take(self.start, rows)
        return {
            "vector": torch.from_numpy(self.vector[self.which[reports]]),
            "count": torch.from_numpy(count),
        }

    def present(self) -> np.ndarray:
        """Which episodes have a report (bool)."""
        return np.diff(self.start) > 0


def load(notes: str | Path, vectors: str | Path, episodes: np.ndarray) -> NoteData:
    """The reports of `episodes` (ids, any order)."""
    inferred = read_table(vectors)
    order = pl.DataFrame({"episode_id": episodes}).with_row_index("position")
    place = inferred.select("note_id").with_row_index("which")
    table = order.join(read_table(notes), on="episode_id").join(place, on="note_id")
    table = table.sort("position", "minute", "note_id")
    count = np.bincount(table["position"].to_numpy(), minlength=len(episodes))
    return NoteData(
        vector=inferred["vector"].to_numpy(),
        which=table["which"].to_numpy(),
        start=offsets(count),
    )
