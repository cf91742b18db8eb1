"""Decodes the films of one shard (p10 … p19) that the store does not hold yet.

    python -m pipeline.cxr.decode --films films.parquet --shard p10 --root …/mimic-cxr-jpg/2.1.0
        --pixels 64 --store results/cxr/store --output decoded/p10.parquet

A film becomes grey and square (its aspect ratio is not kept, as published). The JPEG is decoded at
the smallest scale that is still a third larger than `--pixels`, then resized: less than half the
work for full-size films, and less than half a grey level off on average (benchmarks/films.py). With
`--full` it is decoded at full size and resized as published; the store keeps such films apart
(`<pixels>-full`). A film that cannot be read is counted and treated as missing; the table tells why
(`fault`). Only JPEGs are read, which have 8 bits: a PNG of 16 bits would turn white.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image, UnidentifiedImageError

from pipeline.cxr.film_files import NO_FILE, locate
from pipeline.cxr.limits import (
    MOST_PIXELS,
    MOST_SECONDS,
    TooLargeError,
    TooSlowError,
    open_jpeg,
)  # fmt: skip
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import LEAST as LEAST_SHOWN
from pipeline.stage.privacy import shown, shown_part, shown_parts, tell
from pipeline.stage.progress import JobProgress
from pipeline.stage.store import append, find, size_folder
from pipeline.stage.tables import Contract, read_table, write_table

KEY = "dicom_id"
MANY = 10  # where at least so many films are needed and none is there, the folder is wrong
SCALED = 4  # decode at 4/3 of the size: decoded at just the size, real films are too blocky
CHUNK = 4096  # films decoded before they are written: bounds memory
LEAST = 32  # pixels per side; what is smaller is no film
ABSENT, EMPTY, OTHER, SMALL, DAMAGED, LARGE, SLOW = (
    "absent", "empty", "no JPEG", f"less than {LEAST} pixels a side", "a damaged JPEG",
    f"more than {MOST_PIXELS:,} pixels", f"more than {MOST_SECONDS:g} s to decode",
)  # fmt: skip
DECODED = Contract(
    {"dicom_id": pl.String, "chunk": pl.String, "row": pl.Int64, "fault": pl.String},
    key=(KEY,),
    nullable=("chunk", "row", "fault"),
    units={"chunk, row": "place in the store, null where the film could not be read (`fault`)"},
)


class TooSmallError(ValueError):
    """A film of less than `LEAST` pixels a side."""


def decode(path: str, pixels: int, full: bool = False) -> np.ndarray:
    """One film as (pixels, pixels) uint8.

    Raises UnidentifiedImageError where it is no JPEG, TooSmallError, TooLargeError, TooSlowError,
    and OSError where it is damaged.
    """
    with open_jpeg(path) as image:
        if min(image.size) < LEAST:
            raise TooSmallError
        drafted = None if full else image.draft("L", (SCALED * pixels // 3,) * 2)
        # a scaled film ends within its last pixels: without the box it would be shifted slightly
        box = drafted[1] if drafted else None
        grey, square = image.convert("L"), (pixels, pixels)
        if full:
            return between_four(grey, pixels)
        return np.asarray(grey.resize(square, Image.Resampling.BILINEAR, box))


def between_four(grey: Image.Image, pixels: int) -> np.ndarray:
    """The published resize (OpenCV's default): each pixel from the nearest four of the film.

    The others are ignored, where Pillow's own resize averages over all.
    """
    steps = (grey.width / pixels, 0, 0, 0, grey.height / pixels, 0)
    square, how = (pixels, pixels), Image.Transform.AFFINE
    smaller = grey.convert("F").transform(square, how, steps, Image.Resampling.BILINEAR)
    return np.rint(np.asarray(smaller)).astype(np.uint8)


def try_decode(pixels: int, full: bool = False) -> Callable[[str], np.ndarray | str]:
    """A function that decodes a film, or returns what is wrong with it, such as `EMPTY`."""

    def attempt(path: str) -> np.ndarray | str:
        if not Path(path).is_file():
            return NO_FILE
        try:
            return decode(path, pixels, full)
        except UnidentifiedImageError:
            return OTHER if Path(path).stat().st_size else EMPTY
        except TooSmallError:
            return SMALL
        except (TooLargeError, Image.DecompressionBombError):
            return LARGE
        except TooSlowError:
            return SLOW
        except (OSError, ValueError):
            return DAMAGED

    return attempt


def decode_new(
    films: pl.DataFrame, folder: Path, pixels: int, threads: int, full: bool = False
) -> pl.DataFrame:
    """Decodes films (dicom_id, stamp, path) into the store; returns the others: dicom_id, fault."""
    failed = [pl.DataFrame(schema={"dicom_id": pl.String, "fault": pl.String})]
    progress = JobProgress(f"decoding films of {folder.name}", films.height)
    with ThreadPoolExecutor(threads) as pool:
        for part in films.iter_slices(CHUNK):
            images = list(progress.each(pool.map(try_decode(pixels, full), part["path"])))
            fault = [image if isinstance(image, str) else None for image in images]
            part = part.with_columns(pl.Series("fault", fault, pl.String))
            failed.append(part.drop_nulls("fault").select("dicom_id", "fault"))
            good = [image for image in images if not isinstance(image, str)]
            if good:
                append(folder, part.filter(pl.col("fault").is_null()), np.stack(good), KEY)
    return pl.concat(failed)


def places(films: pl.DataFrame, failed: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """Where each film (dicom_id, stamp) lies in the store, or why it is not there (`DECODED`)."""
    placed = find(films, folder, KEY).join(failed, on="dicom_id", how="left")
    absent = pl.when(pl.col("stamp").is_null()).then(pl.lit(ABSENT))
    return placed.with_columns(pl.coalesce("fault", absent))


def in_words(decoded: pl.DataFrame) -> str:
    """How many films cannot be read, and why; small counts are hidden.

    >>> in_words(pl.DataFrame({"fault": [None] * 30 + ["absent"] * 12 + ["empty"]}))
    '13 cannot be read: absent, <10 empty'
    >>> in_words(pl.DataFrame({"fault": [None] * 3 + ["absent"] * 12}))
    'all but <10 cannot be read: absent, <10 readable'
    """
    faults = dict(decoded["fault"].drop_nulls().value_counts().rows())
    readable = decoded["fault"].null_count()
    # few would follow from the films of the shard and their faults
    few = {"readable": readable} if faults and readable < LEAST_SHOWN else {}
    why = shown_parts(faults | few)
    bad = shown_part(decoded.height - readable, decoded.height)
    return f"{bad} cannot be read" + (f": {why}" if why else "")


def main() -> None:
    """Decodes the films of the shard that are new, writes where each film lies."""
    options = parser(__doc__)
    options.add_argument("--films", required=True)
    options.add_argument("--shard", required=True, help="p10 … p19")
    options.add_argument("--root", required=True, type=Path, help="folder of MIMIC-CXR-JPG")
    options.add_argument("--pixels", required=True, type=int)
    options.add_argument("--full", action="store_true", help="decode at full size, then resize")
    options.add_argument("--store", required=True, type=Path)
    options.add_argument("--output", required=True)
    options.add_argument("--threads", type=int, default=1)
    arguments = options.parse_args()
    folder = size_folder(arguments.store, arguments.pixels, arguments.full) / arguments.shard
    films = locate(read_table(arguments.films), arguments.shard, arguments.root)
    present = films.drop_nulls("stamp")
    if films.height >= MANY and present.is_empty():
        raise InputError(
            f"{arguments.root}/files/{arguments.shard}: none of the {shown(films.height)} films "
            "that the cohort needs is there; copy them, or set source.mimic_cxr_jpg"
        )
    new = find(present, folder, KEY).filter(pl.col("chunk").is_null())
    failed = decode_new(
        new.sort("dicom_id"), folder, arguments.pixels, arguments.threads, arguments.full
    )
    table = places(films, failed, folder)
    write_table(table, arguments.output, DECODED)
    looked_for = new.height + films.height - present.height  # so that absent ones do not follow
    tell("%s films, %s of them new; %s", films.height, shown_part(looked_for, films.height),
         in_words(table))  # fmt: skip


if __name__ == "__main__":
    run(main)
