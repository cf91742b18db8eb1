"""The stores of films: each film is decoded, and embedded by a network, once, whatever cohort asks.

The store of decoded films has a folder per size (and way of decoding) and shard (p10 … p19), the
one of vectors a folder per network (see `pipeline.cxr.embed`). A run that meets new films adds one
array `<chunk>.npy`, (films, pixels, pixels) uint8 or (films, width) float32, named by a digest of
its content, and an index: the row of each film, and a stamp of what it was made from. A store is no
output of a rule, so that Snakemake does not delete it when a cohort changes.
"""

import hashlib
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.stage.errors import InputError
from pipeline.stage.files import whole

INDEX = {"dicom_id": pl.String, "stamp": pl.String, "chunk": pl.String, "row": pl.Int64}


def size_folder(store: Path, pixels: int, full: bool = False) -> Path:
    """The folder of films of this size; films that are decoded at full size have their own.

    >>> size_folder(Path("store"), 224, full=True).as_posix()
    'store/224-full'
    """
    return store / (f"{pixels}-full" if full else str(pixels))


def read_index(folder: Path) -> pl.DataFrame:
    """Every film in the store: dicom_id, stamp (of what it was made from), chunk, row.

    An index of an older format, which lacks columns, is ignored: its films are decoded again.
    """
    schema = pl.Schema(INDEX)
    files = sorted(folder.glob("*.parquet"))
    parts = [path for path in files if INDEX.keys() <= pl.read_parquet_schema(path).keys()]
    if not parts:
        return pl.DataFrame(schema=schema)
    # a film whose file was replaced is there twice: the stamp tells which array is its
    return pl.concat(pl.read_parquet(path, columns=list(INDEX)).cast(schema) for path in parts)


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:20]


def append(folder: Path, films: pl.DataFrame, values: np.ndarray) -> None:
    """Adds films (columns dicom_id, stamp) and their values, (N, P, P) uint8 or (N, D) float32.

    The index is written last, so that films count as stored only once their values are.
    """
    chunk = _digest("\n".join(films["dicom_id"]).encode(), values.tobytes())
    with whole(folder / f"{chunk}.npy") as part, part.open("wb") as stream:
        np.save(stream, values, allow_pickle=False)
    index = films.select("dicom_id", "stamp", pl.lit(chunk).alias("chunk"),
                         pl.int_range(pl.len()).alias("row"))  # fmt: skip
    name = _digest(chunk.encode(), "\n".join(films["stamp"]).encode())
    with whole(folder / f"{name}.parquet") as part:
        index.write_parquet(part)


def open_chunk(folder: Path, chunk: str) -> np.ndarray:
    """One array of the store, mapped into memory: (N, P, P) uint8 or (N, D) float32."""
    path = folder / f"{chunk}.npy"
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: films missing from the store ({type(error).__name__}); delete "
                         "its folder and the tables of its films to make them again"
                         ) from error  # fmt: skip
