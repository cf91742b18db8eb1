"""Embeds episodes with the frozen encoder of a modality, and says what it alone predicts.

    python -m pipeline.training.embed --data '{"note": {…}}' --weights seed0.safetensors …

The corrected protocol fits the single model's linear head once more, on the fusion share, as it
does with fusion heads: single and fused models learn from the same patients (`--head-on fusion`).
The published one keeps the head that the encoder was trained with; it predicts in evaluation mode,
and only its embeddings are made in training mode, which its code forgets to leave (`eval_mode`).
"""

import argparse
from pathlib import Path

import numpy as np
import polars as pl
import torch

from pipeline.cohort.rows import PREDICTIONS, TaskRows, predictions, read_rows
from pipeline.stage.command import log, parser, run
from pipeline.stage.tables import Contract, write_table
from pipeline.training.arguments import add_head_argument, add_training_arguments
from pipeline.training.batches import evaluate
from pipeline.training.checkpoint import load_weights, save_weights
from pipeline.training.device import make_repeatable, pick_device
from pipeline.training.embeddings import Embeddings
from pipeline.training.features import LinearHead
from pipeline.training.modality import add_data_argument, find, read_data
from pipeline.training.refit import refit
from pipeline.training.schedule import add_schedule_argument
from pipeline.training.unimodal import Unimodal

BATCH = 256
FEW = 10  # of episodes without the modality: as many weigh as much as all others


def embedding_contract(width: int) -> Contract:
    """episode × seed: `width` float32. Episodes that lack the modality have no row."""
    return Contract(
        {"episode_id": pl.Int64, "seed": pl.Int64, "embedding": pl.Array(pl.Float32, width)},
        key=("episode_id", "seed"),
    )


def _arguments() -> argparse.Namespace:
    arguments = parser(__doc__)
    add_training_arguments(arguments)
    add_data_argument(arguments)
    add_schedule_argument(arguments)
    arguments.add_argument("--weights", nargs="+", required=True, help="one file per seed")
    add_head_argument(arguments)
    arguments.add_argument("--heads", type=Path, required=True, help="folder of the heads")
    arguments.add_argument("--output", required=True, help="embeddings")
    arguments.add_argument("--predictions", required=True, help="of the unimodal model")
    return arguments.parse_args()


def main() -> None:
    """Embeds every eligible episode; also the unimodal predictions."""
    given = _arguments()
    ((name, own),) = given.data.items()
    rows = read_rows(given.episodes, given.labels)
    data = read_data(given.data, rows.episode)[name]
    device, here = pick_device(given.device), data.present()
    train = rows.of("train")
    fitted = train[here[train]]  # as in pretraining
    some = np.flatnonzero(here)
    features, said = [], []
    for seed, weights in zip(given.seeds, given.weights, strict=True):
        make_repeatable(seed, given.torch_threads)
        model = Unimodal(find(name).encoder(own, data, fitted), both=True).to(device)
        load_weights(model, weights)
        made = evaluate(model, data, some, BATCH, device)
        feature, logits = made[:, :-2], made[:, -2:]  # (N, width), (N, 2)
        if not given.schedule.eval_mode:  # after the predictions: it moves the running statistics
            feature = evaluate(model, data, some, BATCH, device, eval_mode=False)[:, :-2]
        features.append(_embedding_frame(rows.episode[here], seed, feature.numpy()))
        head = LinearHead(1, feature.shape[1]).to(device)
        if given.head_on == "train":
            head.linear.load_state_dict(model.head.state_dict())
        else:
            value = np.zeros((len(here), 1, feature.shape[1]), np.float32)
            value[here, 0] = feature.numpy()
            alone = Embeddings(value, here[:, None])
            refit(head, alone, rows, given.schedule, seed, device, given.heads, name)
            logits = evaluate(head, alone, some, 1024, device)
        save_weights(head, given.heads / f"head_seed{seed}.safetensors")
        said.append(_unimodal_predictions(rows, here, seed, logits))
    write_table(pl.concat(features), given.output, embedding_contract(feature.shape[1]))
    write_table(pl.concat(said), given.predictions, PREDICTIONS)
    log.info("%s: %d of %d episodes embedded", name, here.sum(), len(here))


def guess_without(rows: TaskRows, here: np.ndarray) -> float:
    """The share of positives among the training episodes that lack the modality.

    That an episode has no film may itself tell something. ASSUME of few such episodes the share is
    drawn towards that of all training episodes, which weighs as much as `FEW` of them.
    """
    fitted = np.union1d(rows.of("train"), rows.of("fusion"))
    label = rows.label[fitted[~here[fitted]]]
    return float((label.sum() + FEW * rows.label[fitted].mean()) / (len(label) + FEW))


def _embedding_frame(episode: np.ndarray, seed: int, feature: np.ndarray) -> pl.DataFrame:
    shape = pl.Array(pl.Float32, feature.shape[1])
    return pl.DataFrame(
        {"episode_id": episode, "seed": np.full(len(episode), seed),
         "embedding": pl.Series(feature, dtype=shape)}
    )  # fmt: skip


def _unimodal_predictions(
    rows: TaskRows, here: np.ndarray, seed: int, logits: torch.Tensor
) -> pl.DataFrame:
    """Probabilities of all episodes: of those that lack the modality `guess_without`."""
    probability = np.full(len(rows.episode), guess_without(rows, here))
    probability[here] = logits.softmax(dim=1)[:, 1].numpy()
    return predictions(rows, seed, probability)


if __name__ == "__main__":
    run(main)
