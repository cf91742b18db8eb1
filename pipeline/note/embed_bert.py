"""The vector of every report that some ICU stay uses, by a frozen BERT.

python -m pipeline.note.embed_bert --tokens tokens.parquet --model DIR --torch-threads 1
    --output bert.parquet
"""

import numpy as np
import polars as pl
import torch
from transformers import BertModel

from pipeline.note.bert import first_token, load_bert, mean_by
from pipeline.note.notes import vector_contract
from pipeline.note.reports import padded
from pipeline.stage.command import log, parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.progress import JobProgress
from pipeline.stage.tables import read_table, write_table
from pipeline.training.processes import half_precision, make_repeatable, pick_device

BATCH = 64  # windows; of like length, so that little is padding


@torch.inference_mode()
def embed(bert: BertModel, windows: pl.DataFrame, device: torch.device) -> torch.Tensor:
    """[CLS] of windows (column tokens), in their order: (W, width) float32 on the CPU."""
    length = windows["tokens"].list.len().to_numpy().astype(np.int64)
    longest, limit = length.max(initial=0), bert.config.max_position_embeddings
    if longest > limit:
        raise InputError(f"config: note.bert.tokens: {longest}, but this BERT takes {limit}")
    bert.to(device)
    by_length = np.argsort(length, kind="stable")
    progress = JobProgress("embedding reports", int(length.sum()))  # tokens: long windows come last
    made = torch.empty(windows.height, bert.config.hidden_size)
    for rows in np.split(by_length, np.arange(BATCH, windows.height, BATCH)):
        flat = torch.from_numpy(windows["tokens"].gather(rows).explode().to_numpy().astype(int))
        tokens, mask = padded(flat, torch.from_numpy(length[rows]))
        with half_precision(device):
            made[rows] = first_token(bert, tokens.to(device), mask.to(device)).cpu()
        progress.add(int(length[rows].sum()))
    return made


def main() -> None:
    """Parses the arguments, embeds the windows, writes a vector per report."""
    options = parser(__doc__)
    options.add_argument("--tokens", required=True, help="windows of the reports")
    options.add_argument("--model", required=True, help="folder or hub name of a BERT")
    options.add_argument("--torch-threads", type=int, required=True)
    options.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 …")
    options.add_argument("--output", required=True)
    arguments = options.parse_args()
    make_repeatable(0, arguments.torch_threads)
    windows = read_table(arguments.tokens).sort("note_id", "window")
    made = embed(load_bert(arguments.model), windows, pick_device(arguments.device))
    owner = windows["note_id"].rle_id()
    notes = windows.select(pl.col("note_id").unique(maintain_order=True))
    vector = mean_by(made, torch.from_numpy(owner.to_numpy().astype(int)), notes.height)
    size = vector.shape[1]
    column = pl.Series("vector", vector.numpy(), dtype=pl.Array(pl.Float32, size))
    write_table(notes.with_columns(column), arguments.output, vector_contract(size))
    log.info("%d reports, %d windows, vectors of %d", notes.height, windows.height, size)


if __name__ == "__main__":
    run(main)
