"""Reports of episodes as tensors: vectors by Doc2Vec or a frozen text model, or their pieces."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import torch

from pipeline.stage.tables import read_table
from pipeline.training.batches import Batch
from pipeline.training.items import TimedItems, offsets, take


@dataclass
class Vectors:
    """A vector (width) per report."""

    vector: np.ndarray

    def of(self, reports: np.ndarray) -> Batch:
        """vector (R, width)."""
        return {"vector": torch.from_numpy(self.vector[reports])}


@dataclass
class Pieces:
    """Windows of reports: report i has those between its `windows`, a window its `tokens`.

    `token` (all tokens), `tokens` (windows + 1) into it, `windows` (reports + 1) into `tokens`.
    """

    token: np.ndarray
    tokens: np.ndarray
    windows: np.ndarray

    def of(self, reports: np.ndarray) -> Batch:
        """tokens (W, T) int64, mask (W, T), report (W): number of each window's report."""
        windows, count = take(self.windows, reports)
        places, length = take(self.tokens, windows)
        flat = torch.from_numpy(self.token[places].astype(np.int64))
        tokens, mask = padded(flat, torch.from_numpy(length))
        report = np.repeat(np.arange(len(reports)), count)
        return {"tokens": tokens, "mask": mask, "report": torch.from_numpy(report)}


@dataclass
class Reports(TimedItems):
    """Reports of episodes, in the order of time. `content` by report, `which` (items) reports:
    ICU stays of one admission have the same ones."""

    item: ClassVar[str] = "report"
    content: Vectors | Pieces
    which: np.ndarray

    def batch(self, rows: np.ndarray) -> Batch:
        """What the content gives, and hours (R), owner (R), count (B) of `TimedItems`."""
        position, times = self.timed(rows)
        return {**self.content.of(self.which[position]), **times}


def read_vectors(path: str | Path) -> tuple[pl.Series, Vectors]:
    """The reports of a table of vectors, and their vectors."""
    table = read_table(path)
    return table["note_id"], Vectors(table["vector"].to_numpy())


def read_pieces(path: str | Path) -> tuple[pl.Series, Pieces]:
    """The reports of a table of windows, and their windows."""
    table = read_table(path).sort("note_id", "window")
    notes = table.group_by("note_id", maintain_order=True).len()
    pieces = Pieces(
        token=table["tokens"].explode().drop_nulls().to_numpy(),
        tokens=offsets(table["tokens"].list.len().to_numpy()),
        windows=offsets(notes["len"].to_numpy()),
    )
    return notes["note_id"], pieces


def read_reports(notes: str | Path, content: tuple[pl.Series, Vectors | Pieces],
                 episodes: np.ndarray, before: float) -> Reports:  # fmt: skip
    """The reports of `episodes` (ids, any order) that were known before so many hours."""
    names, by_report = content
    order = pl.DataFrame({"episode_id": episodes}).with_row_index("position")
    place = pl.DataFrame({"note_id": names}).with_row_index("which")
    known = read_table(notes).filter(pl.col("minute") < 60 * before)
    table = order.join(known, on="episode_id").join(place, on="note_id")
    table = table.sort("position", "minute", "note_id")
    return Reports(
        hours=(table["minute"] / 60).cast(pl.Float32).to_numpy(),
        start=offsets(np.bincount(table["position"].to_numpy(), minlength=len(episodes))),
        content=by_report,
        which=table["which"].to_numpy(),
    )


def padded(tokens: torch.Tensor, length: torch.Tensor,
           width: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Tokens one after the other, and the windows' lengths (W) → tokens and mask (W, T).

    `width`: T; None: as long as the longest.

    >>> padded(torch.tensor([5, 6, 7]), torch.tensor([1, 2]))[0].tolist()
    [[5, 0], [6, 7]]
    """
    longest = width or (int(length.max()) if len(length) else 0)
    mask = torch.arange(longest, device=length.device)[None, :] < length[:, None]
    made = tokens.new_zeros(mask.shape)  # what stands where the mask is off is never attended to
    made[mask] = tokens
    return made, mask
