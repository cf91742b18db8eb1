"""Fusion of frozen encoders: a head on their embeddings, `early` or `gated`.

    python -m pipeline.fusion.early --model early --embeddings ehr.parquet … --output predictions…

early: Wang et al. 2024, section 2.4; in the corrected protocol its penalty, and whether there is a
hidden layer, are chosen (`pipeline.training.shape`), on the fusion share, which the encoders never
saw, on embeddings standardised by that share. The published head is linear, of the paper's size,
and trained by batches on the encoders' own rows. gated: attention over the modalities, of which an
absent one has a token of its own; corrected protocol only.
"""

import argparse
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
import torch
from torch import nn

from pipeline.cohort.rows import (
    ABSENT,
    PREDICTIONS,
    TaskRows,
    check_classes,
    predictions,
    read_rows,
)
from pipeline.fusion.absent import add_absent_arguments, scenarios_of_head
from pipeline.fusion.heads import Dropping, EarlyHead, family_of
from pipeline.stage.command import parser, run
from pipeline.stage.files import write_json
from pipeline.stage.privacy import tell
from pipeline.stage.tables import write_table
from pipeline.training.batches import evaluate
from pipeline.training.checkpoint import save_weights
from pipeline.training.embeddings import Embeddings, read_embeddings
from pipeline.training.examples import Examples
from pipeline.training.processes import make_repeatable, pick_device
from pipeline.training.seeds import add_head_argument, add_training_arguments, train_seeds
from pipeline.training.settings import add_schedule_argument
from pipeline.training.shape import choose

Tables = tuple[pl.DataFrame, pl.DataFrame]  # predictions, and those with a modality missing


def _arguments() -> argparse.Namespace:
    options = parser(__doc__)
    add_training_arguments(options)
    add_schedule_argument(options)
    add_absent_arguments(options)
    options.add_argument("--model", required=True, help="of the heads in heads.py")
    options.add_argument("--embeddings", nargs="+", required=True, help="one table per modality")
    add_head_argument(options)
    options.add_argument("--weights", type=Path, required=True, help="folder of weights")
    options.add_argument("--output", required=True, help="predictions")
    return options.parse_args()


def main() -> None:
    """Fits the head per seed, predicts every episode, and test episodes without a modality."""
    arguments = _arguments()
    rows = read_rows(arguments.episodes, arguments.labels, arguments.task)
    check_classes(rows, np.ones(len(rows.episode), bool), "", [arguments.head_on])
    data = {
        seed: read_embeddings(arguments.embeddings, seed, rows.episode) for seed in arguments.seeds
    }
    made = (published if arguments.head_on == "train" else chosen)(arguments, data, rows)
    tables, absent = (pl.concat(each) for each in zip(*made, strict=True))
    write_table(absent, arguments.absent, ABSENT)
    write_table(tables, arguments.output, PREDICTIONS)
    tell("%s fusion of %s: %s predictions", arguments.model, arguments.letters, tables.height)


def chosen(arguments: argparse.Namespace, data: dict[int, Embeddings], rows: TaskRows
           ) -> list[Tables]:  # fmt: skip
    """The tables of each seed by a head whose shape is chosen; writes weights and history."""
    family, tried = family_of(arguments.model)
    choices, made, folder = {}, [], arguments.weights
    for seed in arguments.seeds:
        make_repeatable(seed, arguments.torch_threads)
        head, choices[seed] = choose(family, tried, data[seed], rows, rows.of("fusion"),
                                     rows.of("val"), arguments.modality_dropout, seed,
                                     arguments.model)  # fmt: skip
        made.append(tables_of(head, data[seed], rows, seed, arguments))
        save_weights(head, folder / f"seed{seed}.safetensors")
    write_json(folder / "history.json", {"seeds": choices})
    return made


def published(arguments: argparse.Namespace, data: dict[int, Embeddings], rows: TaskRows
              ) -> list[Tables]:  # fmt: skip
    """The tables of each seed by the paper's head, trained by batches as the encoders are."""

    def build(seed: int) -> tuple[nn.Module, Examples]:
        _, modalities, width = data[seed].value.shape
        head = Dropping(EarlyHead(modalities, width), arguments.modality_dropout)
        return head, Examples(data[seed], rows.label, rows.of("train"), rows.of("val"))

    def finish(model: nn.Module, seed: int, device: torch.device) -> Tables:
        return tables_of(cast(Dropping, model).head, data[seed], rows, seed, arguments)

    return train_seeds(arguments, "early", arguments.weights, build, finish)


def tables_of(head: nn.Module, data: Embeddings, rows: TaskRows, seed: int,
              arguments: argparse.Namespace) -> Tables:  # fmt: skip
    """Predictions of every episode, and of the test episodes without each modality."""
    device = pick_device(arguments.device)
    logits = evaluate(head.to(device), data, np.arange(len(rows.episode)), 1024, device)  # (N, 2)
    table = predictions(rows, seed, logits.softmax(dim=1)[:, 1].numpy())
    return table, scenarios_of_head(head, data, rows, arguments.letters, seed, device)


if __name__ == "__main__":
    run(main)
