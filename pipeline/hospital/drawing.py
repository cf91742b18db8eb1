"""Draws chest films: only heart size and opacities show the latent of the films.

A film is a torso with two lungs and a heart. `shown_c` widens the heart and whitens the lower
lungs; position, exposure grain and build vary from film to film.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 78, 64  # pixels; portrait like a real film, so that resizing has work to do
EXTREME = 6.0  # the latent of a trap film; no film shows more
BATCH = 64  # films drawn at once: they fit into the processor's cache
WRITERS = 2  # threads that encode and write

Values = np.ndarray | float
Coordinates = tuple[np.ndarray, np.ndarray]  # down (B, H, 1) and to the right (B, 1, W), −1 … 1


def _blob(
    at: Coordinates, center: tuple[float, Values], height: float, width: Values
) -> np.ndarray:
    """A soft-edged ellipse, 1 / (1 + exp(10 (r² − 1))), (B, H, W).

    r² is a sum over the axes, so the exponential is a product: no exponential per pixel.
    """
    across = np.exp(np.minimum(10 * (((at[0] - center[0]) / height) ** 2 - 1), 30))  # (B, H, 1)
    along = np.exp(np.minimum(10 * ((at[1] - center[1]) / width) ** 2, 30))  # (B, 1, W)
    return 1 / (1 + across * along)


def _shade(latent: np.ndarray, gap: np.ndarray, build: np.ndarray, at: Coordinates) -> np.ndarray:
    """Films without grain, (B, H, W); the arguments are (B, 1, 1) but for the coordinates."""
    torso = _blob(at, (0.15, 0), 1.15, 0.92 * build)
    lungs = np.maximum(*(_blob(at, (-0.05, s * gap), 0.62, 0.32 * build) for s in (-1, 1)))
    low = np.maximum(*(_blob(at, (0.28, s * gap), 0.3, 0.26) for s in (-1, 1)))
    heart = _blob(at, (0.25, 0.08), 0.3, np.clip(0.30 + 0.045 * latent, 0.08, 0.6))
    return 20 + 135 * torso + lungs * ((16 + 13 * latent) * low + 60 * heart - 95)


def draw(rng: np.random.Generator, shown: np.ndarray, lateral: np.ndarray) -> Iterator[np.ndarray]:
    """Grey films of the latent as shown, uint8, in batches (B, HEIGHT, WIDTH)."""
    size = len(shown)
    latent = np.clip(shown, -EXTREME, EXTREME)[:, None, None]
    down, right, broad = (rng.standard_normal((size, 1, 1)) for _ in range(3))
    gap = np.where(lateral[:, None, None], 0.12, 0.42)
    for first in range(0, size, BATCH):
        part = slice(first, first + BATCH)
        at = (
            np.linspace(-1, 1, HEIGHT)[None, :, None] + 0.06 * down[part],
            np.linspace(-1, 1, WIDTH)[None, None, :] + 0.05 * right[part],
        )
        film = _shade(latent[part], gap[part], 1 + 0.04 * broad[part], at)
        film += rng.standard_normal(film.shape) * 6
        yield np.clip(film, 0, 255).astype(np.uint8)


def write_films(
    rng: np.random.Generator, shown: np.ndarray, lateral: np.ndarray, paths: list[Path | None]
) -> None:
    """Writes each film as JPEG to its path; those without a path are drawn, not written."""

    def write(image: np.ndarray, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path, quality=92)

    waiting = iter(paths)
    with ThreadPoolExecutor(WRITERS) as pool:
        for batch in draw(rng, shown, lateral):
            wanted = [(film, path) for film, path in zip(batch, waiting, strict=False) if path]
            for done in [pool.submit(write, film, path) for film, path in wanted]:
                done.result()
