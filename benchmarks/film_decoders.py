"""Decodes films to squares in one way, on one core: what `films.py` runs for each of them.

    python benchmarks/film_decoders.py scaled 224 pixels.npy a.jpg b.jpg …

Prints the CPU seconds of each film (imports not counted) and leaves the squares as an array. The
way `opencv` needs an environment with opencv-python-headless and numpy, nothing else.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

Decoder = Callable[[str], np.ndarray]


def opencv(pixels: int, reduced: bool) -> Decoder:
    """Full decoding with OpenCV, or its own scaled decoding to an eighth."""
    import cv2

    cv2.setNumThreads(1)
    how = cv2.IMREAD_REDUCED_GRAYSCALE_8 if reduced else cv2.IMREAD_GRAYSCALE

    def decode(path: str) -> np.ndarray:
        return cv2.resize(cv2.imread(path, how), (pixels, pixels), interpolation=cv2.INTER_AREA)

    return decode


def pipeline(pixels: int, full: bool) -> Decoder:
    """The stage's own; `full`: decoding in full with Pillow."""
    from pipeline.cxr.decode import decode

    return lambda path: decode(path, pixels, full)


def huffman(pixels: int) -> Decoder:
    """What every decoder of whole JPEGs must do: their entropy coding, at an eighth, no resize."""
    from PIL import Image

    def decode(path: str) -> np.ndarray:
        with Image.open(path) as image:
            image.draft("L", (1, 1))
            image.load()
        return np.zeros((pixels, pixels), np.uint8)

    return decode


DECODERS: dict[str, Callable[[int], Decoder]] = {
    "scaled": lambda pixels: pipeline(pixels, full=False),
    "pillow": lambda pixels: pipeline(pixels, full=True),
    "opencv": lambda pixels: opencv(pixels, reduced=False),
    "opencv-reduced": lambda pixels: opencv(pixels, reduced=True),
    "huffman": huffman,
}


def main() -> None:
    """One way, all films."""
    way, pixels, output, *paths = sys.argv[1:]
    decode = DECODERS[way](int(pixels))
    decode(paths[0])  # what is loaded at the first use
    seconds, squares = [], []
    for path in paths:
        started = time.thread_time()
        squares.append(decode(path))
        seconds.append(time.thread_time() - started)
    np.save(output, np.stack(squares))
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
