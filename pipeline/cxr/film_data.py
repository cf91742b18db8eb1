"""Films of episodes as batches: their pixels, or their vectors, from an array store."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import torch

from pipeline.stage.tables import read_table
from pipeline.training.batches import Batch
from pipeline.training.items import TimedItems, offsets


@dataclass
class Films(TimedItems):
    """Films of episodes. `arrays`: the chunks of the store, mapped. `chunk`, `row`: where each film
    lies. `content`: film (pixels, uint8) or vector (float32); `shape`: of one film's."""

    item: ClassVar[str] = "film"
    arrays: list[np.ndarray]
    chunk: np.ndarray
    row: np.ndarray
    shape: tuple[int, ...]
    content: str = "film"

    def batch(self, rows: np.ndarray) -> Batch:
        """film (F, P, P) uint8 or vector (F, D) float32, and hours (F), owner (F), count (B) of
        `TimedItems`."""
        films, times = self.timed(rows)
        kind = np.uint8 if self.content == "film" else np.float32
        value = np.empty((len(films), *self.shape), kind)
        chunk, row = self.chunk[films], self.row[films]
        for number in np.unique(chunk):  # one gather per array of the store
            here = chunk == number
            value[here] = self.arrays[number][row[here]]
        return {self.content: torch.from_numpy(value), **times}


def decoded_places(decoded: list[str]) -> pl.DataFrame:
    """Where films that could be read lie, by the tables of the shards: dicom_id, chunk, row.

    `chunk`: below the folder of the store with films of one size, as in p10/<digest>.
    """
    return pl.concat(
        read_table(path).with_columns(pl.format(f"{Path(path).stem}/{{}}", "chunk").alias("chunk"))
        for path in decoded
    ).drop_nulls("chunk")  # what could not be read is missing


def read_films(films: str | Path, places: pl.DataFrame,
               opened: Callable[[pl.Series], list[np.ndarray]], shape: tuple[int, ...],
               episodes: np.ndarray, before: float, content: str = "film") -> Films:  # fmt: skip
    """The films of `episodes` (ids, any order) that were taken before so many hours and have a
    place. `places`: dicom_id, chunk, row. `opened`: the arrays of chunks. `shape`, `content`: of
    `Films`."""
    order = pl.DataFrame({"episode_id": episodes}).with_row_index("position")
    taken = read_table(films).filter(pl.col("minute") < 60 * before)
    table = order.join(taken, on="episode_id").join(places, on="dicom_id")
    table = table.sort("position", "minute", "dicom_id")
    chunks = table.select("chunk").unique().sort("chunk").with_row_index("number")
    table = table.join(chunks, on="chunk", how="left", maintain_order="left")
    return Films(
        hours=(table["minute"] / 60).cast(pl.Float32).to_numpy(),
        start=offsets(np.bincount(table["position"].to_numpy(), minlength=len(episodes))),
        arrays=opened(chunks["chunk"]),
        chunk=table["number"].to_numpy(),
        row=table["row"].to_numpy(),
        shape=shape,
        content=content,
    )
