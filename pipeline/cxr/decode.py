"""Decodes the films of one shard (p10 … p19) that the store does not hold yet.

    python -m pipeline.cxr.decode --films films.parquet --shard p10 --root …/mimic-cxr-jpg/2.1.0
        --pixels 64 --store results/cxr/store --output decoded/p10.parquet

Grey, resized to a square (aspect ratio not kept, as published). The JPEG is decoded at the smallest
scale that is still a third larger than asked, then resized: less than half the work for full-size
films, and less than half a grey level off on average (benchmarks/films.py). With `--full` it is
decoded at its full size, as published; the store keeps such films apart (`<pixels>-full`). A film
that cannot be decoded is counted, named in the log and treated as missing.
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from pipeline.common.command import log, parser, run
from pipeline.common.errors import InputError
from pipeline.common.progress import JobProgress
from pipeline.common.tables import Contract, read_table, write_table
from pipeline.cxr.store import append, read_index, size_folder

MANY = 10  # if so many films are needed and none is there, the folder is wrong
SCALED = 4  # thirds of the size asked for; at once as large as asked, real films are too blocky
CHUNK = 4096  # films decoded before they are written: bounds memory
DECODED = Contract({"dicom_id": pl.String, "chunk": pl.String, "row": pl.Int64}, key=("dicom_id",))


def path_of(root: Path) -> pl.Expr:
    """The JPEG of a film: files/p10/p10000032/s50414267/<dicom_id>.jpg.

    >>> film = pl.DataFrame({"subject_id": [10000032], "study_id": [5], "dicom_id": ["a-b"]})
    >>> film.select(path_of(Path("/x")))["path"].to_list()
    ['/x/files/p10/p10000032/s5/a-b.jpg']
    """
    subject = pl.col("subject_id").cast(pl.String)
    return pl.format(
        f"{root}/files/p{{}}/p{{}}/s{{}}/{{}}.jpg",
        subject.str.slice(0, 2), subject, "study_id", "dicom_id",
    ).alias("path")  # fmt: skip


def decode(path: str, pixels: int, full: bool = False) -> np.ndarray:
    """One film as (pixels, pixels) uint8. Raises OSError where it is no whole JPEG."""
    with Image.open(path) as image:
        drafted = None if full else image.draft("L", (SCALED * pixels // 3,) * 2)
        # a scaled film ends within its last pixels: without the box all would lie off by a fraction
        box = drafted[1] if drafted else None
        # ASSUME bilinear for the published "plain resize"
        grey, square = image.convert("L"), (pixels, pixels)
        return np.asarray(grey.resize(square, Image.Resampling.BILINEAR, box))


def stamp_of(path: str) -> str | None:
    """What tells whether a film must be decoded again: size and time of the file, and this code.

    None where there is no file. As make and rsync do; reading 557 GB to hash them would cost more
    than decoding the few that were copied anew.
    """
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return f"{status.st_size}:{status.st_mtime_ns}:{_own_digest()}"


@cache
def _own_digest() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]


def try_decode(pixels: int, full: bool = False) -> Callable[[str], np.ndarray | None]:
    """A function that decodes a film or gives None."""

    def attempt(path: str) -> np.ndarray | None:
        try:
            return decode(path, pixels, full)
        except (OSError, ValueError, Image.DecompressionBombError):
            return None

    return attempt


def decode_new(
    films: pl.DataFrame, folder: Path, pixels: int, threads: int, full: bool = False
) -> list[str]:
    """Decodes films (dicom_id, stamp, path) into the store; returns the dicom ids that failed."""
    failed: list[str] = []
    progress = JobProgress(f"decoding films of {folder.name}", films.height)
    with ThreadPoolExecutor(threads) as pool:
        for part in films.iter_slices(CHUNK):
            images = list(progress.each(pool.map(try_decode(pixels, full), part["path"])))
            good = pl.Series([image is not None for image in images], dtype=pl.Boolean)
            failed += part.filter(~good)["dicom_id"].to_list()
            if good.any():
                append(folder, part.filter(good), np.stack([i for i in images if i is not None]))
    return failed


def locate(films: pl.DataFrame, shard: str, root: Path) -> pl.DataFrame:
    """The films of a shard, each once: dicom_id, path, stamp (null where there is no file)."""
    mine = pl.col("subject_id").cast(pl.String).str.starts_with(shard.removeprefix("p"))
    placed = films.filter(mine).unique("dicom_id").sort("dicom_id")
    placed = placed.select("dicom_id", path_of(root))
    stamps = [stamp_of(path) for path in placed["path"]]
    return placed.with_columns(pl.Series("stamp", stamps, dtype=pl.String))


def main() -> None:
    """Parses the arguments, decodes what is new, writes where each film of the shard lies."""
    arguments = parser(__doc__)
    arguments.add_argument("--films", required=True)
    arguments.add_argument("--shard", required=True, help="p10 … p19")
    arguments.add_argument("--root", required=True, type=Path, help="folder of MIMIC-CXR-JPG")
    arguments.add_argument("--pixels", required=True, type=int)
    arguments.add_argument("--full", action="store_true", help="decode at full size, then resize")
    arguments.add_argument("--store", required=True, type=Path)
    arguments.add_argument("--output", required=True)
    arguments.add_argument("--threads", type=int, default=1)
    given = arguments.parse_args()
    folder = size_folder(given.store, given.pixels, given.full) / given.shard
    films = locate(read_table(given.films), given.shard, given.root)
    present = films.drop_nulls("stamp")
    if films.height >= MANY and present.is_empty():
        raise InputError(
            f"{given.root}/files/{given.shard}: none of the {films.height} films that the cohort "
            "needs is there; copy them, or set source.mimic_cxr_jpg"
        )
    new = present.join(read_index(folder), on=["dicom_id", "stamp"], how="anti")
    failed = decode_new(new.sort("dicom_id"), folder, given.pixels, given.threads, given.full)
    found = present.join(read_index(folder), on=["dicom_id", "stamp"]).sort("chunk", "row")
    write_table(found.unique("dicom_id", keep="first"), given.output, DECODED)
    absent = films.filter(pl.col("stamp").is_null())["dicom_id"].to_list()
    log.info("%d films: %d decoded now, %d not decodable, %d absent", films.height,
             new.height - len(failed), len(failed), len(absent))  # fmt: skip
    for reason, names in (("not decodable", failed), ("absent", absent)):
        if names:  # treated as missing films
            log.warning("%s: %s%s", reason, ", ".join(names[:20]), " …" if len(names) > 20 else "")


if __name__ == "__main__":
    run(main)
