"""Embeds episodes with a frozen encoder; every modality's `embed` runs this."""

import argparse

import numpy as np
import polars as pl
import torch

from pipeline.cohort.rows import PREDICTIONS, TaskRows, predictions, read_rows
from pipeline.common.command import log, parser
from pipeline.common.tables import Contract, write_table
from pipeline.training.arguments import add_missing_argument, add_training_arguments
from pipeline.training.batches import evaluate
from pipeline.training.checkpoint import load_weights
from pipeline.training.device import make_repeatable, pick_device
from pipeline.training.modality import Modality
from pipeline.training.unimodal import Unimodal


def embedding_contract(width: int) -> Contract:
    """episode × seed: `width` float32. Episodes that lack the modality have no row."""
    return Contract(
        {"episode_id": pl.Int64, "seed": pl.Int64, "embedding": pl.Array(pl.Float32, width)},
        key=("episode_id", "seed"),
    )


def add_arguments(arguments: argparse.ArgumentParser, modality: Modality) -> None:
    """The arguments of the stage: inputs, settings, outputs."""
    add_training_arguments(arguments)
    modality.arguments(arguments)
    arguments.add_argument("--weights", nargs="+", required=True, help="one file per seed")
    arguments.add_argument("--batch-size", type=int, default=256)
    add_missing_argument(arguments)
    arguments.add_argument("--output", required=True, help="embeddings")
    arguments.add_argument("--predictions", required=True, help="of the unimodal model")


def embed(modality: Modality, doc: str | None) -> None:
    """Embeds every eligible episode with the frozen encoder; also the unimodal predictions."""
    arguments = parser(doc)
    add_arguments(arguments, modality)
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
        made = evaluate(model, data, here, given.batch_size, device)  # (N, width + 2)
        features.append(_embedding_frame(rows.episode[here], seed, made[:, :-2].numpy()))
        guess = _unimodal_predictions(rows, here, seed, made[:, -2:])
        said.append(guess[here] if given.missing == "complete" else guess)
    write_table(pl.concat(features), given.output, embedding_contract(made.shape[1] - 2))
    write_table(pl.concat(said), given.predictions, PREDICTIONS)
    log.info("%s: %d of %d episodes embedded", modality.name, len(here), len(rows.episode))


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
