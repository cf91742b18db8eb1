"""Embeds the reports of the cohort with a frozen text model, each once, into a store.

    python -m pipeline.note.embed --tokens tokens.parquet --model DIR
        --store results/note/embedded --output bert.parquet --facts bert.json

The store has a folder per model: a digest of its weights and of the precision. As the store of
films it is no rule's output: a changed cohort embeds new reports only, and none is deleted. A
report is embedded anew where its pieces change.
"""

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import torch

from pipeline.note import bert
from pipeline.note.bert import TextModel, load_text_model, mean_by
from pipeline.note.notes import vector_contract
from pipeline.note.reports import padded
from pipeline.stage.command import parser, run
from pipeline.stage.database import connect
from pipeline.stage.files import write_json
from pipeline.stage.model_folders import digest_of_files, files_of_model, model_folder
from pipeline.stage.privacy import shown_part, tell
from pipeline.stage.progress import JobProgress
from pipeline.stage.store import append, find, gather, key_of
from pipeline.stage.tables import read_table, write_table
from pipeline.training.precision import half_precision, precision_of
from pipeline.training.processes import add_compute_arguments, make_repeatable, pick_device

ITEM = "note_id"
CHUNK = 8192  # reports embedded before they are written: bounds memory, and what a kill costs
BATCH = 32  # windows that pass the model together, always as many: the last bits depend on it
STAMPS = """
SELECT note_id, sha256(string_agg(CAST(tokens AS VARCHAR), ' ' ORDER BY "window")) AS stamp
FROM windows GROUP BY note_id ORDER BY note_id
"""


def stamped(windows: pl.DataFrame) -> pl.DataFrame:
    """The reports of windows (note_id, window, tokens) and a digest of their tokens: note_id,
    stamp."""
    with connect(1, 2000, tempfile.gettempdir()) as database:
        database.register("windows", windows)
        return database.sql(STAMPS).pl()


def widths(length: np.ndarray, most: int | None) -> np.ndarray:
    """Tokens to which windows of these lengths are padded: few values, at most `most`.

    A window's vector is the same, to the last bit, whichever windows are new with it only if its
    batch always has the same shape.

    >>> widths(np.array([3, 24, 100, 300, 510]), 510).tolist()
    [8, 24, 112, 320, 510]
    """
    octave = 2.0 ** np.ceil(np.log2(np.maximum(length, 1)))
    step = np.maximum(octave / 8, 8).astype(np.int64)
    return np.minimum(-(-length // step) * step, most or np.iinfo(np.int64).max)


@torch.inference_mode()
def embed(model: TextModel, tokens: pl.Series, device: torch.device,
          progress: JobProgress) -> torch.Tensor:  # fmt: skip
    """Vectors of windows, in their order: (W, width) float32 on the CPU."""
    length = tokens.list.len().to_numpy().astype(np.int64)
    vectors, width = torch.empty(len(tokens), model.width), widths(length, model.most)
    for size in np.unique(width):
        alike = np.flatnonzero(width == size)
        for rows in np.split(alike, np.arange(BATCH, len(alike), BATCH)):
            full = np.resize(rows, BATCH)  # fewer are filled up with themselves
            flat = torch.from_numpy(tokens.gather(full).explode().to_numpy().astype(np.int64))
            piece, mask = padded(flat, torch.from_numpy(length[full]), int(size))
            with half_precision(device):
                made = model(piece.to(device), mask.to(device)).cpu()
            vectors[rows] = made[: len(rows)]
            progress.add(int(length[rows].sum()))
    return vectors


def embed_new(model: TextModel, windows: pl.DataFrame, reports: pl.DataFrame, folder: Path,
              device: torch.device) -> None:  # fmt: skip
    """Adds the vectors of `reports` (note_id, stamp) to the store, by their windows."""
    of_new = windows.join(reports, on=ITEM, how="semi")
    length = of_new["tokens"].list.len().to_numpy().astype(np.int64)
    token = of_new["tokens"].explode().drop_nulls().to_numpy()
    model.check(token, int(length.max(initial=0)))
    progress = JobProgress("embedding reports", int(length.sum()))
    for part in reports.sort(ITEM).iter_slices(CHUNK):
        some = of_new.join(part, on=ITEM, how="semi").sort(ITEM, "window")
        owner = torch.from_numpy(some[ITEM].rle_id().to_numpy().astype(np.int64))
        vectors = mean_by(embed(model, some["tokens"], device, progress), owner, part.height)
        append(folder, part, vectors.numpy(), ITEM)


def main() -> None:
    """Embeds what is new, writes a vector per report, and which weights made them."""
    options = parser(__doc__)
    options.add_argument("--tokens", required=True, help="windows of the reports")
    options.add_argument("--model", required=True, help="folder or hub name of a text model")
    options.add_argument("--store", required=True, type=Path, help="of vectors")
    add_compute_arguments(options)
    options.add_argument("--output", required=True)
    options.add_argument("--facts", required=True, help="JSON: the model and its weights")
    arguments = options.parse_args()
    make_repeatable(0, arguments.torch_threads, arguments.precision)
    device, name = pick_device(arguments.device), arguments.model
    model = load_text_model(name).to(device)
    facts = {
        "model": Path(name).name if Path(name).is_dir() else name,
        "weights_sha256": digest_of_files(files_of_model(model_folder(name))),
        "width": model.width, "first_token": model.first, "precision": precision_of(device),
    }  # fmt: skip
    folder = arguments.store / key_of(facts, bert.__file__)
    windows = read_table(arguments.tokens)
    reports = stamped(windows)
    new = find(reports, folder, ITEM).filter(pl.col("chunk").is_null()).select(ITEM, "stamp")
    embed_new(model, windows, new, folder, device)
    table = find(reports, folder, ITEM)
    vector = gather(folder, table) if table.height else np.empty((0, model.width), np.float32)
    column = pl.Series("vector", vector, dtype=pl.Array(pl.Float32, model.width))
    write_table(table.select(ITEM, column), arguments.output, vector_contract(model.width))
    write_json(arguments.facts, facts)
    tell(
        f"%s reports: %s embedded now, vectors of {model.width}, {facts['precision']}",
        table.height,
        shown_part(new.height, table.height),
    )


if __name__ == "__main__":
    run(main)
