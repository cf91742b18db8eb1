"""Early fusion: a head on the concatenated embeddings of frozen encoders.

    python -m pipeline.fusion.early --embeddings ehr.parquet cxr.parquet … --output said.parquet

Wang et al. 2024, section 2.4: Linear(512·n, 512) → Linear(512, 2); here with a non-linearity
between (without one the head is linear), and fitted on the fusion share, which the encoders never
saw. Embeddings are standardised by the fusion share; a modality that an episode lacks is zero, the
mean. Complete cases, where the config asks for them: fitted, chosen and predicted on those alone.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import nn

from pipeline.cohort.rows import PREDICTIONS, TaskRows, predictions, read_rows
from pipeline.common.command import log, parser, run
from pipeline.common.errors import InputError
from pipeline.common.files import write_json
from pipeline.common.tables import read_table, write_table
from pipeline.training.arguments import add_missing_argument, add_training_arguments
from pipeline.training.batches import evaluate
from pipeline.training.checkpoint import (
    History,
    progress_file,
    remove_progress,
    save_weights,
)
from pipeline.training.device import make_repeatable, pick_device
from pipeline.training.loop import Examples, Schedule, fit

HIDDEN = 512


@dataclass
class Embeddings:
    """Embeddings of episodes in a fixed order.

    `value` (N, M, D) float32, zero where absent; `here` (N, M) bool: which modalities there are.
    """

    value: np.ndarray
    here: np.ndarray

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """embedding (B, M, D) float32 and here (B, M) bool."""
        return {
            "embedding": torch.from_numpy(self.value[rows]),
            "here": torch.from_numpy(self.here[rows]),
        }


def read_embeddings(paths: list[str], seed: int, episodes: np.ndarray) -> Embeddings:
    """The embeddings of `episodes` (ids, any order) of one seed, one modality per path.

    Raises `InputError` where a table has none of them.
    """
    order = pl.DataFrame({"episode_id": episodes}).with_row_index("row")
    values, present = [], []
    for path in paths:
        table = read_table(path).filter(pl.col("seed") == seed).join(order, on="episode_id")
        if table.is_empty():
            raise InputError(f"{path}: no embedding of these episodes for seed {seed}")
        row, found = table["row"].to_numpy(), table["embedding"].to_numpy()
        value = np.zeros((len(episodes), found.shape[1]), np.float32)
        here = np.zeros(len(episodes), bool)
        value[row], here[row] = found, True
        values.append(value)
        present.append(here)
    return Embeddings(np.stack(values, axis=1), np.stack(present, axis=1))


class EarlyHead(nn.Module):
    """(B, M, D) embeddings → logits (B, 2); Linear(M·D, 512), ReLU, dropout, Linear(512, 2).

    `mean`, `scale`: (M, D) of the episodes that the head is fitted on.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, mean: torch.Tensor, scale: torch.Tensor, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.hidden = nn.Linear(mean.numel(), HIDDEN)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(HIDDEN, 2)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Logits (B, 2)."""
        standard = (batch["embedding"] - self.mean) / self.scale
        known = standard * batch["here"].unsqueeze(-1)  # absent: the mean, not minus the mean
        return self.out(self.dropout(torch.relu(self.hidden(known.flatten(1)))))


def moments(data: Embeddings, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and scale (M, D) of the embeddings of `rows`, over those that have the modality.

    One scale per modality, such that its total variance is 1: directions in which embeddings hardly
    vary stay small, and the head finds the few that carry the task first.
    """
    here = data.here[rows][..., None]  # (N, M, 1)
    count = np.maximum(here.sum(axis=0), 1)
    mean = (data.value[rows] * here).sum(axis=0) / count
    spread = ((data.value[rows] - mean) ** 2 * here).sum(axis=(0, 2)) / count[:, 0]
    scale = np.repeat(np.sqrt(spread)[:, None] + 1e-6, mean.shape[1], axis=1)
    return torch.from_numpy(mean).float(), torch.from_numpy(scale).float()


def fit_head(given: argparse.Namespace, rows: TaskRows, seed: int
             ) -> tuple[pl.DataFrame, History]:  # fmt: skip
    """Fits one head on the fusion share and writes its weights; its predictions and history."""
    data = read_embeddings(given.embeddings, seed, rows.episode)
    used = data.here.all(axis=1) | (given.missing == "any")  # (N,)
    head, val = (own[used[own]] for own in (rows.of("fusion"), rows.of("val")))
    if len(np.unique(rows.label[head])) < 2:
        raise InputError("early fusion: the episodes of the fusion share are all of one class; "
                         "enlarge the cohort or the share")  # fmt: skip
    make_repeatable(seed, given.torch_threads)
    device, progress = pick_device(given.device), progress_file(given.weights, seed)
    model = EarlyHead(*moments(data, head), given.dropout).to(device)
    examples = Examples(data, rows.label, head, val)
    epochs = fit(model, examples, Schedule(**given.schedule), seed, device, progress, "early")
    logits = evaluate(model, data, np.arange(len(rows.episode)), 1024, device)  # (N, 2)
    save_weights(model, given.weights / f"seed{seed}.safetensors")
    said = predictions(rows, seed, logits.softmax(dim=1)[:, 1].numpy())
    return said.filter(pl.Series(used)), {"trained_on": len(head), "epochs": epochs}


def main() -> None:
    """Parses the arguments, fits the head per seed, predicts every episode."""
    arguments = parser(__doc__)
    add_training_arguments(arguments)
    arguments.add_argument("--embeddings", nargs="+", required=True, help="one table per modality")
    arguments.add_argument("--schedule", type=json.loads, required=True, help="JSON, see config")
    add_missing_argument(arguments)
    arguments.add_argument("--dropout", type=float, required=True)
    arguments.add_argument("--weights", type=Path, required=True, help="folder of weights")
    arguments.add_argument("--output", required=True, help="predictions")
    given = arguments.parse_args()
    rows = read_rows(given.episodes, given.labels)
    fitted = {seed: fit_head(given, rows, seed) for seed in given.seeds}
    said = pl.concat(table for table, _ in fitted.values())
    histories = {seed: history for seed, (_, history) in fitted.items()}
    write_json(given.weights / "history.json", {"seeds": histories})
    write_table(said, given.output, PREDICTIONS)
    remove_progress(given.weights, given.seeds)
    log.info("early fusion of %d modalities: %d predictions", len(given.embeddings), said.height)


if __name__ == "__main__":
    run(main)
