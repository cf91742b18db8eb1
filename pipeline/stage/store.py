"""Stores of arrays: each film is decoded, each film or report embedded, once, whatever cohort asks.

A store has a folder per way of making its values (see `size_folder`, `key_of`). A run that meets
new items adds one array `<chunk>.npy`, a row per item, named by a digest of its content, and an
index: the row of each item, and a stamp of what it was made from. A store is no output of a rule,
so that Snakemake does not delete it when a cohort changes. An array that is damaged or gone is made
again: its items count as new, and it is set aside with the tables that name it. Needs no torch.
"""

import hashlib
import json
import os
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.stage import digests
from pipeline.stage.arguments import files_among
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

    An index that is damaged, or of an older format, which lacks columns, is ignored: its items are
    made again.
    """
    schema = pl.Schema({key: pl.String, "stamp": pl.String, "chunk": pl.String, "row": pl.Int64})
    files = digests.intact(sorted(folder.glob("*.parquet")))
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
    """Where items (columns `key`, stamp, any other) lie: with chunk and row, null of new ones.

    Those of an array that is damaged or gone are new.
    """
    stored = read_index(folder, key).join(items, on=[key, "stamp"], how="semi")
    arrays = (folder / f"{chunk}.npy" for chunk in stored["chunk"].unique().to_list())
    usable = digests.intact(path for path in arrays if path.is_file())
    stored = stored.filter(pl.col("chunk").is_in([path.stem for path in usable]))
    stored = stored.sort("chunk", "row").unique([key, "stamp"], keep="first")
    return items.join(stored, on=[key, "stamp"], how="left", maintain_order="left")


def open_chunks(folder: Path, chunks: Iterable[str]) -> list[np.ndarray]:
    """Arrays of the store, mapped into memory: (N, P, P) uint8 or (N, D) float32.

    Raises `InputError` where one is damaged or gone, and sets it aside with the tables that name
    it; OSError where it cannot be read. Of the processes of a training the first one alone looks
    for damage: a store holds up to 20 GB.
    """
    paths = [folder / f"{chunk}.npy" for chunk in chunks]
    first = os.environ.get("RANK", "0") == "0"
    if first and (damaged := sorted({*paths} - {*digests.intact(paths)})):
        raise _refused(damaged, "damaged")
    return [_open(path) for path in paths]


def _open(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _refused([path], f"missing or unreadable ({type(error).__name__})") from error


def _refused(paths: list[Path], why: str) -> InputError:
    """Sets arrays and the tables that name them aside; the error that says so."""
    for path in paths:
        digests.set_aside(path)
    tables = [table for path in paths for table in _set_aside_tables(path.stem)]
    advice = "the same command makes it again" if tables else (
        "delete the tables that name it to make it again"
    )  # fmt: skip
    return InputError(f"{', '.join(map(str, paths))}: {why}: an array of the store: {advice}")


def _set_aside_tables(chunk: str) -> list[Path]:
    """Sets aside the tables among the command's arguments that name an array; their paths.

    Snakemake knows these tables, not the arrays: the job that makes them fills the store, too.
    """
    paths = [path for path in files_among(sys.argv[1:]) if path.suffix == ".parquet"]
    tables = [path for path in paths if "chunk" in pl.read_parquet_schema(path)]
    naming = [
        path for path in tables
        if pl.read_parquet(path, columns=["chunk"])["chunk"].str.ends_with(chunk).any()
    ]  # fmt: skip
    for path in naming:
        digests.set_aside(path, damaged=False)
    return naming


def gather(folder: Path, places: pl.DataFrame) -> np.ndarray:
    """The values of some places (chunk, row; at least one), in their order."""
    row, (names, number) = places["row"].to_numpy(), np.unique(places["chunk"], return_inverse=True)
    arrays = open_chunks(folder, names)
    values = np.empty((len(row), *arrays[0].shape[1:]), arrays[0].dtype)
    for each, array in enumerate(arrays):  # one gather per array of the store
        here = number == each
        values[here] = array[row[here]]
    return values
