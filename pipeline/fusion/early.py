"""Early fusion: a head on the concatenated embeddings of frozen encoders.

    python -m pipeline.fusion.early --embeddings ehr.parquet cxr.parquet … --output said.parquet

Wang et al. 2024, section 2.4. In the corrected protocol the head has a non-linearity, meets
modality dropout, and is fitted on the fusion share, which the encoders never saw, on embeddings
standardised by that share; the published head is linear and fitted on the encoders' own rows.
"""

import argparse
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.cohort.rows import ABSENT, PREDICTIONS, TaskRows, predictions, read_rows
from pipeline.fusion.absent import add_absent_arguments, scenarios_of_head
from pipeline.fusion.heads import Dropping, EarlyHead
from pipeline.stage.command import log, parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.stage.tables import write_table
from pipeline.training.arguments import add_head_argument, add_training_arguments
from pipeline.training.batches import evaluate
from pipeline.training.checkpoint import History, progress_file, save_weights
from pipeline.training.device import make_repeatable, pick_device
from pipeline.training.embeddings import read_embeddings
from pipeline.training.loop import Examples, fit
from pipeline.training.schedule import add_schedule_argument


def _arguments() -> argparse.Namespace:
    arguments = parser(__doc__)
    add_training_arguments(arguments)
    add_schedule_argument(arguments)
    add_absent_arguments(arguments)
    arguments.add_argument("--embeddings", nargs="+", required=True, help="one table per modality")
    add_head_argument(arguments)
    arguments.add_argument("--dropout", type=float, required=True, help="of the corrected head")
    arguments.add_argument("--weights", type=Path, required=True, help="folder of weights")
    arguments.add_argument("--output", required=True, help="predictions")
    return arguments.parse_args()


def fit_head(given: argparse.Namespace, rows: TaskRows, seed: int
             ) -> tuple[pl.DataFrame, pl.DataFrame, History]:  # fmt: skip
    """Fits one head and writes its weights; predictions, those without a modality, history."""
    data = read_embeddings(given.embeddings, seed, rows.episode)
    own, val = rows.of(given.head_on), rows.of("val")
    if len(np.unique(rows.label[own])) < 2:
        raise InputError(f"early fusion: the episodes of the {given.head_on} share are all of one "
                         "class; enlarge the cohort or the share")  # fmt: skip
    make_repeatable(seed, given.torch_threads)
    device, progress = pick_device(given.device), progress_file(given.weights, seed)
    corrected = given.head_on == "fusion"
    _, modalities, width = data.value.shape
    head = EarlyHead(modalities, width, rectified=corrected, dropout=given.dropout)
    if corrected:
        head.begin(data, own, rows.label[own].mean())
    model = Dropping(head, given.modality_dropout).to(device)
    examples = Examples(data, rows.label, own, val)
    epochs = fit(model, examples, given.schedule, seed, device, progress, "early")
    logits = evaluate(head, data, np.arange(len(rows.episode)), 1024, device)  # (N, 2)
    save_weights(head, given.weights / f"seed{seed}.safetensors")
    said = predictions(rows, seed, logits.softmax(dim=1)[:, 1].numpy())
    without = scenarios_of_head(head, data, rows, given.letters, seed, device)
    return said, without, {"trained_on": len(own), "epochs": epochs}


def main() -> None:
    """Parses the arguments, fits the head per seed, predicts every episode."""
    given = _arguments()
    rows = read_rows(given.episodes, given.labels)
    fitted = {seed: fit_head(given, rows, seed) for seed in given.seeds}
    said = pl.concat(table for table, _, _ in fitted.values())
    histories = {seed: history for seed, (_, _, history) in fitted.items()}
    write_json(given.weights / "history.json", {"seeds": histories})
    write_table(pl.concat(table for _, table, _ in fitted.values()), given.absent, ABSENT)
    write_table(said, given.output, PREDICTIONS)
    log.info("early fusion of %s: %d predictions", given.letters, said.height)


if __name__ == "__main__":
    run(main)
