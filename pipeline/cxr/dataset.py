"""Films of episodes as tensors, by row numbers."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import torch

from pipeline.cxr.store import open_chunk, size_folder
from pipeline.stage.ragged import earliest, offsets, take
from pipeline.stage.tables import read_table


@dataclass
class CxrData:
    """Episodes in a fixed order; the films of episode i lie between its offsets.

    `arrays`: the chunks of the store, mapped. `chunk`, `row`: where each film lies. `hours`: film
    time since clock zero (the admission, or the arrival in the ICU). `start` (episodes + 1).
    """

    item: ClassVar[str] = "film"
    arrays: list[np.ndarray]
    chunk: np.ndarray
    row: np.ndarray
    hours: np.ndarray
    start: np.ndarray
    pixels: int

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """film (F, P, P) uint8, hours (F), owner (F) position in the batch, count (B)."""
        films, count = take(self.start, rows)
        image = np.empty((len(films), self.pixels, self.pixels), np.uint8)
        chunk, row = self.chunk[films], self.row[films]
        for number in np.unique(chunk):  # one gather per array of the store
            here = chunk == number
            image[here] = self.arrays[number][row[here]]
        return {
            "film": torch.from_numpy(image),
            "hours": torch.from_numpy(self.hours[films]),
            "owner": torch.from_numpy(np.repeat(np.arange(len(rows)), count)),
            "count": torch.from_numpy(count),
        }

    def present(self) -> np.ndarray:
        """Which episodes have a film (bool)."""
        return np.diff(self.start) > 0

    def known_by(self, hours: float) -> np.ndarray:
        """Which episodes have a film from before so many hours (bool)."""
        return earliest(self.hours, self.start) < hours


def load(films: str | Path, decoded: list[str], store: Path, pixels: int, episodes: np.ndarray,
         full: bool = False, before: float = math.inf) -> CxrData:  # fmt: skip
    """The films of `episodes` (ids, any order) that could be decoded (`full`: at full size).

    `before`: hours since clock zero; only films taken before then.
    """
    shards = [Path(path).stem for path in decoded]
    places = pl.concat(
        read_table(path).with_columns(pl.lit(shard).alias("shard"))
        for path, shard in zip(decoded, shards, strict=True)
    ).drop_nulls("chunk")  # what could not be read is missing
    order = pl.DataFrame({"episode_id": episodes}).with_row_index("position")
    soon = read_table(films).filter(pl.col("minute") < 60 * before)
    table = order.join(soon, on="episode_id").join(places, on="dicom_id")
    table = table.sort("position", "minute", "dicom_id")
    chunks = table.select("shard", "chunk").unique().sort("shard", "chunk").with_row_index("number")
    table = table.join(chunks, on=["shard", "chunk"], how="left", maintain_order="left")
    folder = size_folder(store, pixels, full)
    return CxrData(
        arrays=[open_chunk(folder / shard, chunk) for _, shard, chunk in chunks.rows()],
        chunk=table["number"].to_numpy(),
        row=table["row"].to_numpy(),
        hours=(table["minute"] / 60).cast(pl.Float32).to_numpy(),
        start=offsets(np.bincount(table["position"].to_numpy(), minlength=len(episodes))),
        pixels=pixels,
    )
