"""Embeds episodes with the frozen encoder of a modality, and says what it alone predicts.

    python -m pipeline.training.embed --data '{"note": {…}}' --weights seed0.safetensors …

The corrected protocol fits the single model's linear head again, on the fusion share, as it fits
fusion heads: single and fused models learn from the same patients (`--head-on fusion`). The
published one keeps the head that the encoder was trained with.
"""

import argparse
from pathlib import Path

import numpy as np
import polars as pl
import torch

from pipeline.cohort.rows import PREDICTIONS, TaskRows, predictions, read_rows
from pipeline.common.command import log, parser, run
from pipeline.common.errors import InputError
from pipeline.common.tables import Contract, write_table
from pipeline.training.arguments import add_training_arguments
from pipeline.training.batches import evaluate
from pipeline.training.checkpoint import load_weights, progress_file, remove_progress, save_weights
from pipeline.training.device import make_repeatable, pick_device
from pipeline.training.embeddings import Embeddings
from pipeline.training.features import LinearHead
from pipeline.training.loop import Examples, fit
from pipeline.training.modality import add_data_argument, find, read_data
from pipeline.training.schedule import add_schedule_argument
from pipeline.training.unimodal import Unimodal

BATCH = 256


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
    arguments.add_argument("--head-on", choices=["fusion", "train"], required=True,
                           help="fit the head again on the fusion share, or keep it")  # fmt: skip
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
    batch, eval_mode = (BATCH, True) if given.schedule.eval_mode else (1, False)
    features, said = [], []
    for seed, weights in zip(given.seeds, given.weights, strict=True):
        make_repeatable(seed, given.torch_threads)
        model = Unimodal(find(name).encoder(own, data, np.flatnonzero(here)), both=True).to(device)
        load_weights(model, weights)
        made = evaluate(model, data, np.flatnonzero(here), batch, device, eval_mode)
        feature, logits = made[:, :-2], made[:, -2:]  # (N, width), (N, 2)
        features.append(_embedding_frame(rows.episode[here], seed, feature.numpy()))
        head = LinearHead(1, feature.shape[1]).to(device)
        if given.head_on == "fusion":
            logits = refit(head, rows, here, feature.numpy(), seed, given)
        else:
            head.linear.load_state_dict(model.head.state_dict())
        save_weights(head, given.heads / f"head_seed{seed}.safetensors")
        said.append(_unimodal_predictions(rows, here, seed, logits))
    write_table(pl.concat(features), given.output, embedding_contract(feature.shape[1]))
    write_table(pl.concat(said), given.predictions, PREDICTIONS)
    remove_progress(given.heads, given.seeds)
    log.info("%s: %d of %d episodes embedded", name, here.sum(), len(here))


def refit(head: LinearHead, rows: TaskRows, here: np.ndarray, feature: np.ndarray, seed: int,
          given: argparse.Namespace) -> torch.Tensor:  # fmt: skip
    """Fits `head` on the fusion share's features; the logits (N, 2) of the episodes `here`."""
    value = np.zeros((len(here), 1, feature.shape[1]), np.float32)
    value[here, 0] = feature
    data = Embeddings(value, here[:, None])
    train, val = (own[here[own]] for own in (rows.of("fusion"), rows.of("val")))
    if len(np.unique(rows.label[train])) < 2:
        raise InputError("the episodes of the fusion share that have this modality are all of one "
                         "class; enlarge the cohort or the share")  # fmt: skip
    head.standard.learn(data, train)
    device, progress = pick_device(given.device), progress_file(given.heads, seed)
    examples = Examples(data, rows.label, train, val)
    fit(head, examples, given.schedule, seed, device, progress, "head")
    return evaluate(head, data, np.flatnonzero(here), 1024, device)


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


if __name__ == "__main__":
    run(main)
