"""Embeds episodes with the frozen encoder of a modality, and predicts by that modality alone.

    python -m pipeline.training.embed --data '{"note": {…}}' --weights seed0.safetensors …

The corrected protocol fits the single model's head once more, on the fusion share, and chooses its
shape, as it does with fusion heads: single and fused models learn from the same patients by the
same rule (`--head-on fusion`). What was chosen is in `heads.json`, beside the heads' weights.
The published one keeps the head that the encoder was trained with; it predicts in evaluation mode,
and only its embeddings are made in training mode, which its code forgets to leave (`eval_mode`).
"""

import argparse
from pathlib import Path

import numpy as np
import polars as pl
import torch

from pipeline.cohort.rows import PREDICTIONS, TaskRows, predictions, read_rows
from pipeline.stage.command import parser, run
from pipeline.stage.files import write_json
from pipeline.stage.privacy import shown_part, tell
from pipeline.stage.tables import Contract, write_table
from pipeline.training.batches import evaluate
from pipeline.training.checkpoint import load_weights, save_weights
from pipeline.training.embeddings import Embeddings
from pipeline.training.features import LinearHead, Unimodal
from pipeline.training.fitted import AdditiveHead
from pipeline.training.modality import ModalityData, add_data_argument, feature_of, read_data
from pipeline.training.processes import make_repeatable, pick_device
from pipeline.training.seeds import add_head_argument, add_training_arguments
from pipeline.training.settings import add_schedule_argument
from pipeline.training.shape import SHAPES, Choice, choose

BATCH = 256
FEW = 10  # of episodes without the modality: as many weigh as much as all others


def embedding_contract(width: int) -> Contract:
    """episode × seed: `width` float32. Episodes that lack the modality have no row."""
    return Contract(
        {"episode_id": pl.Int64, "seed": pl.Int64, "embedding": pl.Array(pl.Float32, width)},
        key=("episode_id", "seed"),
    )


def _arguments() -> argparse.Namespace:
    options = parser(__doc__)
    add_training_arguments(options)
    add_data_argument(options)
    add_schedule_argument(options)
    options.add_argument("--weights", nargs="+", required=True, help="one file per seed")
    add_head_argument(options)
    options.add_argument("--heads", type=Path, required=True, help="folder of the heads")
    options.add_argument("--output", required=True, help="embeddings")
    options.add_argument("--predictions", required=True, help="of the unimodal model")
    return options.parse_args()


def main() -> None:
    """Embeds every eligible episode; also the unimodal predictions."""
    arguments = _arguments()
    ((name, settings),) = arguments.data.items()
    rows = read_rows(arguments.episodes, arguments.labels, arguments.task)
    data = read_data(arguments.data, rows.episode)[name]
    have, train = data.present(), rows.of("train")
    embeddings, tables = [], []
    choices: dict[int, Choice] = {}
    for seed, weights in zip(arguments.seeds, arguments.weights, strict=True):
        make_repeatable(seed, arguments.torch_threads, arguments.precision)
        # as in pretraining: statistics of the training episodes that have the modality
        feature = feature_of(name, settings, data, train[have[train]])
        model = Unimodal(feature, both=True).to(pick_device(arguments.device))
        load_weights(model, weights)
        value, logits = embed(model, data, rows, arguments)
        path = arguments.heads / f"head_seed{seed}.safetensors"
        if arguments.head_on == "train":
            trained = LinearHead(1, value.shape[1])
            trained.linear.load_state_dict(model.head.state_dict())
            save_weights(trained, path)
        else:
            alone = as_embeddings(value, have)
            fusion, val = (part[have[part]] for part in (rows.of("fusion"), rows.of("val")))
            head, choices[seed] = choose(AdditiveHead, SHAPES, alone, rows, fusion, val, 0.0, seed,
                                         name)  # fmt: skip
            logits = evaluate(head, alone, np.flatnonzero(have), 1024, torch.device("cpu"))
            save_weights(head, path)
        embeddings.append(_embedding_frame(rows.episode[have], seed, value))
        tables.append(_unimodal_predictions(rows, have, seed, logits))
    write_table(pl.concat(embeddings), arguments.output, embedding_contract(value.shape[1]))
    write_table(pl.concat(tables), arguments.predictions, PREDICTIONS)
    if choices:
        write_json(arguments.heads / "heads.json", {"seeds": choices})
    tell("%s: %s of %s episodes embedded", name, shown_part(int(have.sum()), len(have)),
         len(have))  # fmt: skip


def embed(model: Unimodal, data: ModalityData, rows: TaskRows, arguments: argparse.Namespace
          ) -> tuple[np.ndarray, torch.Tensor]:  # fmt: skip
    """Features (n, 512) of the episodes that have the modality, and the logits (n, 2) of the head
    that was trained with the encoder."""
    some, device = np.flatnonzero(data.present()), pick_device(arguments.device)
    made = evaluate(model, data, some, BATCH, device)
    feature, logits = made[:, :-2].numpy(), made[:, -2:]
    if not arguments.schedule.eval_mode:  # after the predictions: it moves the running statistics
        feature = evaluate(model, data, some, BATCH, device, eval_mode=False)[:, :-2].numpy()
    return feature, logits


def as_embeddings(feature: np.ndarray, have: np.ndarray) -> Embeddings:
    """Features (n, D) of the episodes that have the one modality, as those of all N episodes."""
    value = np.zeros((len(have), 1, feature.shape[1]), np.float32)
    value[have, 0] = feature
    return Embeddings(value, have[:, None])


def guess_without(rows: TaskRows, have: np.ndarray) -> float:
    """The share of positives among the training episodes that lack the modality.

    That an episode has no film may itself tell something. ASSUME of few such episodes the share is
    drawn towards that of all training episodes, which weighs as much as `FEW` of them.
    """
    fitted = np.union1d(rows.of("train"), rows.of("fusion"))
    label = rows.label[fitted[~have[fitted]]]
    return float((label.sum() + FEW * rows.label[fitted].mean()) / (len(label) + FEW))


def _embedding_frame(episode: np.ndarray, seed: int, feature: np.ndarray) -> pl.DataFrame:
    shape = pl.Array(pl.Float32, feature.shape[1])
    return pl.DataFrame(
        {"episode_id": episode, "seed": np.full(len(episode), seed),
         "embedding": pl.Series(feature, dtype=shape)}
    )  # fmt: skip


def _unimodal_predictions(
    rows: TaskRows, have: np.ndarray, seed: int, logits: torch.Tensor
) -> pl.DataFrame:
    """Probabilities of all episodes: of those that lack the modality `guess_without`."""
    probability = np.full(len(rows.episode), guess_without(rows, have))
    probability[have] = logits.softmax(dim=1)[:, 1].numpy()
    return predictions(rows, seed, probability)


if __name__ == "__main__":
    run(main)
