"""A BERT of reports: loaded from a folder, and its vector of every report that some episode uses.

python -m pipeline.note.bert --tokens tokens.parquet --model DIR --torch-threads 1
    --output bert.parquet

A report's vector is the mean, over its windows, of the last layer's [CLS] (Zhao et al. 2022: the
768 numbers of ClinicalBERT); the BERT is frozen. Weights are safetensors; code that comes with a
model is never run, see `pipeline.stage.model_folders`.
"""

from typing import Any

import numpy as np
import polars as pl
import torch
from torch import nn
from transformers import AutoConfig, BertModel
from transformers.utils import logging

from pipeline.note.notes import vector_contract
from pipeline.note.reports import padded
from pipeline.stage.command import log, parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.model_folders import KEY, model_folder
from pipeline.stage.progress import JobProgress
from pipeline.stage.tables import read_table, write_table
from pipeline.training.precision import add_precision_argument, half_precision
from pipeline.training.processes import make_repeatable, pick_device

BATCH = 64  # windows of similar length, so that there is little padding

logging.disable_progress_bar()


def load_bert(model: str) -> BertModel:
    """The BERT of a folder or hub name, in evaluation mode; `InputError` where it is no BERT.

    transformers would draw weights that a file lacks at random: here such a file is refused.
    """
    folder, safe = model_folder(model), {"local_files_only": True, "trust_remote_code": False}
    try:
        kind = AutoConfig.from_pretrained(folder, **safe).model_type
        if kind != "bert":
            raise InputError(f"{KEY}: {model} is a {kind}, expected a bert")
        loaded: Any = BertModel.from_pretrained(
            folder, use_safetensors=True, add_pooling_layer=False, output_loading_info=True, **safe
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise InputError(f"{KEY}: {model} is no BERT: {why}") from error
    bert, report = loaded
    if missing := report["missing_keys"]:
        raise InputError(f"{KEY}: {model} lacks {len(missing)} weights of a BERT")
    return bert.float().eval()


def first_token(bert: BertModel, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The last layer's [CLS] of windows (W, T): (W, width) float32."""
    if not len(tokens):
        return torch.zeros(0, bert.config.hidden_size, device=mask.device)
    return bert(input_ids=tokens, attention_mask=mask.long()).last_hidden_state[:, 0].float()


def mean_by(value: torch.Tensor, owner: torch.Tensor, count: int) -> torch.Tensor:
    """Means of the rows of `value` (W, D) that belong to each of `count` owners: (count, D).

    >>> mean_by(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0, 0, 1]), 2).tolist()
    [[2.0], [5.0]]
    """
    total = value.new_zeros(count, value.shape[1]).index_add(0, owner, value)
    size = torch.bincount(owner, minlength=count).clamp(min=1)
    return total / size[:, None]


class LastLayer(nn.Module):
    """Windows of reports → vectors of reports; of the BERT only the last layer learns.

    The layers below stay in evaluation mode: they store nothing for the gradient and draw no
    dropout.
    """

    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.bert = bert.requires_grad_(False)
        self.width = bert.config.hidden_size
        self.bert.encoder.layer[-1].requires_grad_(True)

    def train(self, mode: bool = True) -> "LastLayer":
        """Training mode of the last layer alone."""
        super().train(mode)
        self.bert.eval()
        self.bert.encoder.layer[-1].train(mode)
        return self

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor, owner: torch.Tensor,
                reports: int) -> torch.Tensor:  # fmt: skip
        """tokens, mask (W, T), owner (W): number of each window's report → (reports, width)."""
        return mean_by(first_token(self.bert, tokens, mask), owner, reports)


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
    vectors = torch.empty(windows.height, bert.config.hidden_size)
    for rows in np.split(by_length, np.arange(BATCH, windows.height, BATCH)):
        flat = torch.from_numpy(windows["tokens"].gather(rows).explode().to_numpy().astype(int))
        tokens, mask = padded(flat, torch.from_numpy(length[rows]))
        with half_precision(device):
            vectors[rows] = first_token(bert, tokens.to(device), mask.to(device)).cpu()
        progress.add(int(length[rows].sum()))
    return vectors


def main() -> None:
    """Embeds the windows, writes a vector per report."""
    options = parser(__doc__)
    options.add_argument("--tokens", required=True, help="windows of the reports")
    options.add_argument("--model", required=True, help="folder or hub name of a BERT")
    options.add_argument("--torch-threads", type=int, required=True)
    options.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 …")
    add_precision_argument(options)
    options.add_argument("--output", required=True)
    arguments = options.parse_args()
    make_repeatable(0, arguments.torch_threads, arguments.precision)
    windows = read_table(arguments.tokens).sort("note_id", "window")
    cls = embed(load_bert(arguments.model), windows, pick_device(arguments.device))
    owner = windows["note_id"].rle_id()
    notes = windows.select(pl.col("note_id").unique(maintain_order=True))
    vector = mean_by(cls, torch.from_numpy(owner.to_numpy().astype(int)), notes.height)
    size = vector.shape[1]
    column = pl.Series("vector", vector.numpy(), dtype=pl.Array(pl.Float32, size))
    write_table(notes.with_columns(column), arguments.output, vector_contract(size))
    log.info("%d reports, %d windows, vectors of %d", notes.height, windows.height, size)


if __name__ == "__main__":
    run(main)
