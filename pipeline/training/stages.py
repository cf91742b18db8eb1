"""Two stages that every modality shares: pretrain its encoder on a task, and embed the episodes.

Encoders see the train share only; the fusion share stays unseen, so that heads fitted on it meet
features as they are on new patients.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import nn

from pipeline.cohort.rows import TaskRows, predictions, read_rows
from pipeline.common.command import log, parser
from pipeline.common.errors import InputError
from pipeline.common.files import write_json
from pipeline.common.tables import Contract, write_table
from pipeline.evaluation.predictions import CONTRACT as PREDICTIONS
from pipeline.training.checkpoint import load_weights, save_weights
from pipeline.training.device import make_repeatable, pick_device
from pipeline.training.loop import Schedule, evaluate, fit
from pipeline.training.modality import Modality, ModalityData


class Unimodal(nn.Module):
    """An encoder with a linear head; logits (B, 2), or [feature, logits] (B, width + 2)."""

    def __init__(self, encoder: nn.Module, both: bool = False) -> None:
        super().__init__()
        self.encoder, self.both = encoder, both
        self.head = nn.Linear(int(encoder.width), 2)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Batch of the modality → logits."""
        feature = self.encoder(batch)
        logits = self.head(feature)
        return torch.cat([feature, logits], dim=1) if self.both else logits


def embedding_contract(width: int) -> Contract:
    """episode × seed: `width` float32. Episodes that lack the modality have no row."""
    return Contract(
        {"episode_id": pl.Int64, "seed": pl.Int64, "embedding": pl.Array(pl.Float32, width)},
        key=("episode_id", "seed"),
    )


def add_training_arguments(arguments: argparse.ArgumentParser) -> None:
    """Arguments of every stage that computes with torch."""
    arguments.add_argument("--episodes", required=True)
    arguments.add_argument("--labels", required=True)
    arguments.add_argument("--seeds", type=int, nargs="+", required=True)
    arguments.add_argument("--torch-threads", type=int, required=True,
                           help="a setting, not a resource: weights depend on it")  # fmt: skip
    arguments.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 …")


def add_missing_argument(arguments: argparse.ArgumentParser) -> None:
    """`--missing`: what becomes of episodes that lack a modality of the target."""
    arguments.add_argument("--missing", choices=["any", "complete"], required=True,
                           help="predict any episode, or complete cases only")  # fmt: skip


def pretrain(modality: Modality, doc: str | None) -> None:
    """Trains the modality's encoder with a linear head; weights and history per seed."""
    arguments = parser(doc)
    add_training_arguments(arguments)
    modality.arguments(arguments)
    arguments.add_argument("--schedule", type=json.loads, required=True, help="JSON, see config")
    arguments.add_argument("--output", type=Path, required=True, help="folder of weights")
    given = arguments.parse_args()
    rows = read_rows(given.episodes, given.labels)
    data = modality.data(given, rows.episode)
    train, val = (_present(data, rows, split) for split in ("train", "val"))
    if len(np.unique(rows.label[train])) < 2:
        raise InputError(f"pretraining {modality.name}: the training episodes that have this "
                         "modality are all of one class; enlarge the cohort")  # fmt: skip
    device, schedule = pick_device(given.device), Schedule(**given.schedule)
    histories = {}
    for seed in given.seeds:
        make_repeatable(seed, given.torch_threads)
        model = Unimodal(modality.encoder(given, data, train)).to(device)
        progress = given.output / f".seed{seed}.progress"
        histories[seed] = fit(model, data, rows.label, train, val, schedule, seed, device,
                              progress, modality.name)  # fmt: skip
        save_weights(model, given.output / f"seed{seed}.safetensors")
        progress.unlink(missing_ok=True)
    write_json(given.output / "history.json", {"trained_on": len(train), "seeds": histories})


def embed(modality: Modality, doc: str | None) -> None:
    """Embeds every eligible episode with the frozen encoder; also the unimodal predictions."""
    arguments = parser(doc)
    add_training_arguments(arguments)
    modality.arguments(arguments)
    arguments.add_argument("--weights", nargs="+", required=True, help="one file per seed")
    arguments.add_argument("--batch-size", type=int, default=256)
    add_missing_argument(arguments)
    arguments.add_argument("--output", required=True, help="embeddings")
    arguments.add_argument("--predictions", required=True, help="of the unimodal model")
    given = arguments.parse_args()
    rows = read_rows(given.episodes, given.labels)
    data = modality.data(given, rows.episode)
    device = pick_device(given.device)
    here = np.flatnonzero(data.present())
    features, said = [], []
    for seed, weights in zip(given.seeds, given.weights, strict=True):
        make_repeatable(seed, given.torch_threads)
        model = Unimodal(modality.encoder(given, data, here), both=True).to(device)
        load_weights(model, weights)
        made = evaluate(model, data, here, given.batch_size, device)
        features.append(_embedding_frame(rows.episode[here], seed, made[:, :-2].numpy()))
        guess = _unimodal_predictions(rows, here, seed, made[:, -2:])
        said.append(guess[here] if given.missing == "complete" else guess)
    table = pl.concat(features)
    write_table(table, given.output, embedding_contract(table["embedding"].dtype.shape[0]))
    write_table(pl.concat(said), given.predictions, PREDICTIONS)
    log.info("%s: %d of %d episodes embedded", modality.name, len(here), len(rows.episode))


def _present(data: ModalityData, rows: TaskRows, split: str) -> np.ndarray:
    own = rows.of(split)
    return own[data.present()[own]]


def _embedding_frame(episode: np.ndarray, seed: int, feature: np.ndarray) -> pl.DataFrame:
    shape = pl.Array(pl.Float32, feature.shape[1])
    return pl.DataFrame(
        {"episode_id": episode, "seed": np.full(len(episode), seed),
         "embedding": pl.Series(feature, dtype=shape)}
    )  # fmt: skip


def _unimodal_predictions(
    rows: TaskRows, here: np.ndarray, seed: int, logits: torch.Tensor
) -> pl.DataFrame:
    """Probabilities of all episodes.

    ASSUME without the modality the best guess is the share of positives among training episodes.
    """
    probability = np.full(len(rows.episode), rows.label[rows.of("train")].mean())
    probability[here] = logits.softmax(dim=1)[:, 1].numpy()
    return predictions(rows, seed, probability)
