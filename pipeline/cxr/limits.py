"""Limits of what a film may ask of the decoder: the format, the pixels, the time.

A file among the films is input like any other: one that claims to be huge, or whose many scans take
minutes, must not fill the memory or hold up a run.
"""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

MOST_PIXELS = 50_000_000  # MIMIC-CXR's largest films have 11 million, detectors at most 18
MOST_SECONDS = 30.0  # of the processor; a film of 18 million pixels takes .3


class TooLargeError(ValueError):
    """A film of more than `MOST_PIXELS`."""


class TooSlowError(ValueError):
    """A film that takes more than `MOST_SECONDS` to decode."""


class _Timed(io.FileIO):
    """A file that is read in blocks, as decoders do, until the time is up.

    The thread's own time counts: a slow disk or a busy machine changes no result.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self.until = time.thread_time() + MOST_SECONDS

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes; TooSlowError when the time is up."""
        if time.thread_time() > self.until:
            raise TooSlowError
        return super().read(-1 if size is None else size)


@contextmanager
def open_jpeg(path: str | Path) -> Iterator[Image.Image]:
    """A JPEG, not decoded yet, whose decoding ends in time.

    Raises UnidentifiedImageError where the file is anything else, and TooLargeError.
    """
    with _Timed(path) as file, Image.open(file, formats=("JPEG",)) as image:
        if image.format != "JPEG":  # an MPO, several films in one file
            raise UnidentifiedImageError
        if image.width * image.height > MOST_PIXELS:
            raise TooLargeError
        yield image
