"""Infers the Doc2Vec vector of every report that some episode uses, each once.

    python -m pipeline.note.vectors --notes notes.parquet --episode-notes … --model DIR --output …

Processes share the work; the vectors do not depend on how many there are.
"""

import multiprocessing
import tempfile
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from pipeline.note.doc2vec import infer, load, words_read
from pipeline.note.notes import vector_contract
from pipeline.note.settings import Letters
from pipeline.stage.command import parser, run
from pipeline.stage.database import connect
from pipeline.stage.files import read_json
from pipeline.stage.privacy import tell
from pipeline.stage.progress import JobProgress
from pipeline.stage.tables import reading, write_table

PART = 256  # texts that a process takes at a time: a second's work
_model: list[object] = []  # one model per process


def _start(folder: Path) -> None:
    _model[:] = [load(folder)]


def _vectors(texts: list[str]) -> np.ndarray:
    return np.stack([infer(_model[0], text, seed=0) for text in texts])


def infer_all(folder: Path, texts: list[str], processes: int) -> np.ndarray:
    """(texts, size) float32, by `processes` processes."""
    if not texts:
        size = read_json(folder / "model.json")["settings"]["vector_size"]
        return np.empty((0, size), np.float32)
    parts = [texts[first : first + PART] for first in range(0, len(texts), PART)]
    progress = JobProgress("inferring report vectors", len(parts))
    if processes == 1:
        _start(folder)
        return np.concatenate(list(progress.each(map(_vectors, parts))))
    with multiprocessing.get_context("spawn").Pool(processes, _start, (folder,)) as pool:
        return np.concatenate(list(progress.each(pool.imap(_vectors, parts))))


def words_of(notes: str | Path, used: str | Path, letters: Letters, threads: int = 1
             ) -> pl.DataFrame:  # fmt: skip
    """What Doc2Vec reads of the cleaned reports that some episode uses: note_id, words."""
    query = (
        f"SELECT note_id, {words_read(letters)} AS words FROM read_parquet($notes) AS notes"
        " SEMI JOIN read_parquet($used) AS used USING (note_id) ORDER BY note_id"
    )
    files = {"notes": str(notes), "used": str(used)}
    temp = tempfile.gettempdir()
    with connect(threads, 2000, temp) as database, reading(notes, duckdb.Error):
        return database.sql(query, params=files).pl()


def write_vectors(names: pl.Series, vectors: np.ndarray, output: str | Path) -> None:
    """Writes the vectors (n, size) of reports by their note_id."""
    size = vectors.shape[1]
    made = pl.Series("vector", vectors.astype(np.float32), dtype=pl.Array(pl.Float32, size))
    write_table(names.to_frame().with_columns(made), output, vector_contract(size))


def main() -> None:
    """Infers the vectors, writes them."""
    options = parser(__doc__)
    options.add_argument("--notes", required=True, help="cleaned reports")
    options.add_argument("--episode-notes", required=True)
    options.add_argument("--model", required=True, type=Path)
    options.add_argument("--output", required=True)
    options.add_argument("--threads", type=int, default=1)
    arguments = options.parse_args()
    letters = Letters(**read_json(arguments.model / "model.json")["letters"])
    notes = words_of(arguments.notes, arguments.episode_notes, letters, arguments.threads)
    vectors = infer_all(arguments.model, notes["words"].to_list(), arguments.threads)
    write_vectors(notes["note_id"], vectors, arguments.output)
    tell(f"%s reports, vectors of {vectors.shape[1]}", notes.height)


if __name__ == "__main__":
    run(main)
