"""Reports of ICU stays as tensors, by row numbers: vectors of a frozen BERT, or WordPieces."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import torch

from pipeline.note.bert import padded
from pipeline.stage.ragged import earliest, offsets, take
from pipeline.stage.tables import read_table

Batch = dict[str, torch.Tensor]


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
class StayNotes:
    """Stays in a fixed order; the reports of stay i lie between its offsets, in the order of time.

    `content` by report, `which` (uses) reports, `known` (uses) hours from the patient's arrival,
    `start` (stays + 1) into uses. Stays of one admission use the same reports.
    """

    item: ClassVar[str] = "report"
    content: Vectors | Pieces
    which: np.ndarray
    known: np.ndarray
    start: np.ndarray

    def batch(self, rows: np.ndarray) -> Batch:
        """What the content gives, known (R) hours, owner (R) place in the batch, count (B)."""
        uses, count = take(self.start, rows)
        return {
            **self.content.of(self.which[uses]),
            "known": torch.from_numpy(self.known[uses]),
            "owner": torch.from_numpy(np.repeat(np.arange(len(rows)), count)),
            "count": torch.from_numpy(count),
        }

    def present(self) -> np.ndarray:
        """Which stays have a report (bool)."""
        return np.diff(self.start) > 0

    def known_by(self, hours: float) -> np.ndarray:
        """Which stays have a report that was known before so many hours (bool)."""
        return earliest(self.known, self.start) < hours


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


def load(notes: str | Path, content: tuple[pl.Series, Vectors | Pieces], stays: np.ndarray,
         before: float) -> StayNotes:  # fmt: skip
    """The reports of `stays` (ids, any order) known before so many hours: the last horizon."""
    names, own = content
    order = pl.DataFrame({"episode_id": stays}).with_row_index("position")
    place = pl.DataFrame({"note_id": names}).with_row_index("which")
    soon = read_table(notes).filter(pl.col("minute") < 60 * before)
    table = order.join(soon, on="episode_id").join(place, on="note_id")
    table = table.sort("position", "minute", "note_id")
    return StayNotes(
        content=own,
        which=table["which"].to_numpy(),
        known=(table["minute"] / 60).cast(pl.Float32).to_numpy(),
        start=offsets(np.bincount(table["position"].to_numpy(), minlength=len(stays))),
    )
