"""Early fusion: a head on the concatenated embeddings of frozen encoders.

    python -m pipeline.fusion.early --embeddings ehr.parquet … --output predictions.parquet

Wang et al. 2024, section 2.4. In the corrected protocol the head has a non-linearity, meets
modality dropout, and is fitted on the fusion share, which the encoders never saw, on embeddings
standardised by that share; the published head is linear and fitted on the encoders' own rows.
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
from pipeline.fusion.heads import Dropping, EarlyHead
from pipeline.stage.command import log, parser, run
from pipeline.stage.tables import write_table
from pipeline.training.batches import evaluate
from pipeline.training.embeddings import Embeddings, read_embeddings
from pipeline.training.examples import Examples
from pipeline.training.seeds import add_head_argument, add_training_arguments, train_seeds
from pipeline.training.settings import add_schedule_argument


def _arguments() -> argparse.Namespace:
    options = parser(__doc__)
    add_training_arguments(options)
    add_schedule_argument(options)
    add_absent_arguments(options)
    options.add_argument("--embeddings", nargs="+", required=True, help="one table per modality")
    add_head_argument(options)
    options.add_argument("--dropout", type=float, required=True, help="of the corrected head")
    options.add_argument("--weights", type=Path, required=True, help="folder of weights")
    options.add_argument("--output", required=True, help="predictions")
    return options.parse_args()


def build_head(arguments: argparse.Namespace, data: Embeddings, rows: TaskRows) -> Dropping:
    """A fresh head for the embeddings of one seed."""
    corrected, fitted = arguments.head_on == "fusion", rows.of(arguments.head_on)
    _, modalities, width = data.value.shape
    head = EarlyHead(modalities, width, rectified=corrected, dropout=arguments.dropout)
    if corrected:
        head.begin(data, fitted, rows.label[fitted].mean())
    return Dropping(head, arguments.modality_dropout)


def main() -> None:
    """Fits the head per seed, predicts every episode, and test episodes without a modality."""
    arguments = _arguments()
    rows = read_rows(arguments.episodes, arguments.labels, arguments.task)
    fitted, val = rows.of(arguments.head_on), rows.of("val")
    check_classes(rows, np.ones(len(rows.episode), bool), "", [arguments.head_on])
    data = {
        seed: read_embeddings(arguments.embeddings, seed, rows.episode) for seed in arguments.seeds
    }

    def build(seed: int) -> tuple[nn.Module, Examples]:
        examples = Examples(data[seed], rows.label, fitted, val)
        return build_head(arguments, data[seed], rows), examples

    def predict(model: nn.Module, seed: int, device: torch.device
                ) -> tuple[pl.DataFrame, pl.DataFrame]:  # fmt: skip
        head = cast(Dropping, model).head
        logits = evaluate(head, data[seed], np.arange(len(rows.episode)), 1024, device)  # (N, 2)
        table = predictions(rows, seed, logits.softmax(dim=1)[:, 1].numpy())
        absent = scenarios_of_head(head, data[seed], rows, arguments.letters, seed, device)
        return table, absent

    made = train_seeds(arguments, "early", arguments.weights, build, predict)
    tables, absent = (pl.concat(each) for each in zip(*made, strict=True))
    write_table(absent, arguments.absent, ABSENT)
    write_table(tables, arguments.output, PREDICTIONS)
    log.info("early fusion of %s: %d predictions", arguments.letters, tables.height)


if __name__ == "__main__":
    run(main)
