"""Stores of arrays: each film is decoded, each film or report embedded, once, whatever cohort asks.

A store has a folder per way of making its values (see `size_folder`, `key_of`). A run that meets
new items adds one array `<chunk>.npy`, a row per item, named by a digest of its content, and an
index: the row of each item, and a stamp of what it was made from. A store is no output of a rule,
so that Snakemake does not delete it when a cohort changes. Needs no torch.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.stage.errors import InputError
from pipeline.stage.files import whole


def size_folder(store: Path, pixels: int, full: bool = False) -> Path:
    """The folder of films of this size; films that are decoded at full size have their own.

    >>> size_folder(Path("store"), 224, full=True).as_posix()
    'store/224-full'
    """
    return store / (f"{pixels}-full" if full else str(pixels))


def key_of(facts: Mapping[str, object], code: str) -> str:
    """The folder of vectors by one network: a digest of what decides a vector.

    `facts`: the network, its weights and how items are shown to it; `code`: the file of the module
    that computes the vectors.
    """
    told = [facts, hashlib.sha256(Path(code).read_bytes()).hexdigest()]
    return _digest(json.dumps(told, sort_keys=True).encode())


def read_index(folder: Path, key: str) -> pl.DataFrame:
    """Every item in the store: `key` (dicom_id, note_id), stamp (of what it was made from), chunk,
    row.

    An index of an older format, which lacks columns, is ignored: its items are made again.
    """
    schema = pl.Schema({key: pl.String, "stamp": pl.String, "chunk": pl.String, "row": pl.Int64})
    files = sorted(folder.glob("*.parquet"))
    parts = [path for path in files if schema.keys() <= pl.read_parquet_schema(path).keys()]
    if not parts:
        return pl.DataFrame(schema=schema)
    # an item that was replaced is there twice: the stamp tells which array is its
    return pl.concat(pl.read_parquet(path, columns=list(schema)).cast(schema) for path in parts)


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:20]


def append(folder: Path, items: pl.DataFrame, values: np.ndarray, key: str) -> None:
    """Adds items (columns `key`, stamp) and their values: (N, P, P) uint8 or (N, D) float32.

    The index is written last, so that items count as stored only once their values are.
    """
    chunk = _digest("\n".join(items[key]).encode(), values.tobytes())
    with whole(folder / f"{chunk}.npy") as part, part.open("wb") as stream:
        np.save(stream, values, allow_pickle=False)
    index = items.select(key, "stamp", pl.lit(chunk).alias("chunk"),
                         pl.int_range(pl.len()).alias("row"))  # fmt: skip
    name = _digest(chunk.encode(), "\n".join(items["stamp"]).encode())
    with whole(folder / f"{name}.parquet") as part:
        index.write_parquet(part)


def find(items: pl.DataFrame, folder: Path, key: str) -> pl.DataFrame:
    """Where items (columns `key`, stamp, any other) lie: with chunk and row, null of new ones."""
    stored = read_index(folder, key).sort("chunk", "row").unique([key, "stamp"], keep="first")
    return items.join(stored, on=[key, "stamp"], how="left", maintain_order="left")


def open_chunk(folder: Path, chunk: str) -> np.ndarray:
    """One array of the store, mapped into memory: (N, P, P) uint8 or (N, D) float32."""
    path = folder / f"{chunk}.npy"
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: missing from the store ({type(error).__name__}); delete its "
                         "folder and the tables that name it to make them again"
                         ) from error  # fmt: skip


def gather(folder: Path, places: pl.DataFrame) -> np.ndarray:
    """The values of some places (chunk, row; at least one), in their order."""
    row, chunk = places["row"].to_numpy(), places["chunk"].to_numpy()
    values: np.ndarray | None = None
    for name in np.unique(chunk):  # one gather per array of the store
        array, here = open_chunk(folder, str(name)), chunk == name
        if values is None:
            values = np.empty((len(row), *array.shape[1:]), array.dtype)
        values[here] = array[row[here]]
    assert values is not None
    return values
