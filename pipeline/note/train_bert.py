"""Trains a small BERT on the reports of the source's training subjects, whatever the cohort.

python -m pipeline.note.train_bert --notes clean.parquet
    --radiology results/source/radiology.parquet --split '{…}' --settings '{…}' --tokens 128
    --torch-threads 1 --output DIR

It is for the synthetic hospital, whose reports mean nothing to ClinicalBERT: masked language
modelling (Devlin et al. 2019: of 15 % of the pieces 80 % are masked, 10 % replaced, 10 % kept) from
scratch, with its own WordPieces. The output is a folder as transformers writes it: safetensors, no
pickles. The same machine and threads give the same bytes.
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch.nn import functional as F
from transformers import BertConfig, BertForMaskedLM

from pipeline.cohort import eras
from pipeline.cohort.settings import Fold
from pipeline.note.pieces import SPECIAL, as_written, train_tokenizer, windows
from pipeline.note.reports import padded
from pipeline.note.settings import TinyBert
from pipeline.stage.command import parser, run
from pipeline.stage.database import connect
from pipeline.stage.errors import InputError
from pipeline.stage.files import whole
from pipeline.stage.privacy import tell
from pipeline.stage.progress import JobProgress
from pipeline.stage.settings import json_argument
from pipeline.training.processes import make_repeatable, pick_device

BATCH, RATE = 32, 2e-3  # windows per step; highest learning rate, after a tenth of the steps
MASKED, HIDDEN, REPLACED = 0.15, 0.8, 0.1  # of the pieces; of those
PAD, MASK = SPECIAL.index("[PAD]"), SPECIAL.index("[MASK]")
QUERY = """
SELECT note_id FROM read_parquet($notes) WHERE trained_on(subject_id, charttime)
ORDER BY md5(note_id), note_id LIMIT $most  -- a sample, whatever the order of the file
"""


def sample(
    notes: str, radiology: str, split: Fold, most: int, tables: Sequence[str] = ()
) -> pl.DataFrame:
    """At most `most` reports of training subjects, as they were written: note_id, text.

    `notes`: the cleaned reports; `radiology`: those of the source, with their texts;
    `tables`: of the source, where the split is by era (`pipeline.cohort.eras`).
    """
    with connect(1, 2000, tempfile.gettempdir()) as database:
        eras.prepare_fit(database, split, tables)
        chosen = as_written(database, radiology, QUERY, {"notes": notes, "most": most})
    if chosen.is_empty():
        raise InputError(f"{notes}: no report of a training subject to train a BERT on")
    return chosen.sort("note_id")


def hide(tokens: torch.Tensor, vocabulary: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens (W, T) with some hidden, and which of them (bool) to predict; never special ones."""
    hidden = (torch.rand(tokens.shape) < MASKED) & (tokens >= len(SPECIAL))
    fate = torch.rand(tokens.shape)
    other = torch.randint(len(SPECIAL), vocabulary, tokens.shape)
    visible = torch.where(hidden & (fate < HIDDEN), MASK, tokens)
    return torch.where(hidden & (fate >= 1 - REPLACED), other, visible), hidden


def train(table: pl.DataFrame, config: BertConfig, settings: TinyBert,
          device: torch.device) -> BertForMaskedLM:  # fmt: skip
    """A BERT that predicts hidden pieces of these windows (column tokens)."""
    model = BertForMaskedLM(config).train()
    model.to(device)
    parts = np.array_split(np.arange(table.height), -(-table.height // BATCH))
    steps = settings.epochs * len(parts)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    pace = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.1)
    progress = JobProgress("training BERT", steps)
    for epoch in range(settings.epochs):
        order = np.random.default_rng([settings.seed, epoch]).permutation(table.height)
        losses = [_step(model, table["tokens"].gather(order[rows]), optimiser, pace, device)
                  for rows in progress.each(parts)]  # fmt: skip
        tell(f"epoch {epoch}: loss {np.mean(losses[-100:]):.3f}")
    return model.cpu().eval()


def _step(model: BertForMaskedLM, tokens: pl.Series, optimiser: torch.optim.Optimizer,
          pace: torch.optim.lr_scheduler.LRScheduler, device: torch.device) -> float:  # fmt: skip
    flat = torch.from_numpy(tokens.explode().to_numpy().astype(int))
    true, mask = padded(flat, torch.from_numpy(tokens.list.len().to_numpy().astype(int)))
    visible, hidden = (part.to(device) for part in hide(true, model.config.vocab_size))
    attended = mask.long().to(device)
    state = model.bert(visible, attention_mask=attended).last_hidden_state  # (W, T, D)
    predicted = model.cls(state[hidden])  # only the hidden pieces: saves a quarter of the work
    loss = F.cross_entropy(predicted, true.to(device)[hidden], reduction="sum")
    loss = loss / hidden.sum().clamp(min=1)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad()
    if pace.last_epoch < pace.total_steps:  # type: ignore[attr-defined]
        pace.step()
    return loss.item()


def main() -> None:
    """Learns WordPieces and weights, writes the folder."""
    options = parser(__doc__)
    options.add_argument("--notes", required=True, help="cleaned reports")
    options.add_argument("--radiology", required=True, help="reports of the source")
    parse_split = json_argument("split", Fold)
    options.add_argument("--split", type=parse_split, required=True, help="JSON: salt and shares")
    options.add_argument("--eras", nargs="+", default=[], help=eras.HELP)
    parse_settings = json_argument("note.bert.tiny", TinyBert)
    options.add_argument("--settings", type=parse_settings, required=True, help="JSON, see config")
    options.add_argument("--tokens", type=int, required=True, help="of a window")
    options.add_argument("--torch-threads", type=int, required=True)
    options.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 …")
    options.add_argument("--output", required=True, type=Path, help="folder of the model")
    arguments = options.parse_args()
    settings, split = arguments.settings, arguments.split
    make_repeatable(settings.seed, arguments.torch_threads)
    files = arguments.notes, arguments.radiology
    notes = sample(*files, split, settings.reports, arguments.eras)
    tokenizer = train_tokenizer(notes["text"].to_list(), settings.vocabulary)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=4 * settings.width,
        max_position_embeddings=arguments.tokens,
    )
    table = windows(tokenizer, notes, arguments.tokens)
    model = train(table, config, settings, pick_device(arguments.device))
    with tempfile.TemporaryDirectory() as folder:
        model.bert.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        for path in sorted(Path(folder).iterdir()):
            with whole(arguments.output / path.name) as part:
                shutil.copyfile(path, part)
    tell("%s reports, %s pieces in the vocabulary", notes.height, len(tokenizer))


if __name__ == "__main__":
    run(main)
