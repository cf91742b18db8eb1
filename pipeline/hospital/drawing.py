"""Draws chest films: only heart and lungs show the latent of the films, in one of two ways.

A film is a torso with two lungs and a heart. Position, exposure grain and build vary from film to
film. `congestion`: `shown_c` widens the heart and whitens the lower lungs. `focal`: the heart keeps
its size, and each patient has one of three lesions, on the side `left` or `right`, which grows with
`shown_c` from nothing at −3.2: mottled consolidation of an upper lobe, an effusion that rises from
the base, or nodules in both lungs. Each film shows `shown_c` as well in the second way as in the
first: far better than to one standard deviation of the noise of a latent.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 78, 64  # pixels; portrait like a real film, so that resizing has work to do
EXTREME = 6.0  # the latent of a trap film; no film shows more
BATCH = 64  # films drawn at once: they fit into the processor's cache
WRITERS = 2  # threads that encode and write

LEAST = -3.2  # focal: latent below which there is no lesion
NODULES = 6

Way = Literal["congestion", "focal"]
Values = np.ndarray | float
Coordinates = tuple[np.ndarray, np.ndarray]  # down (B, H, 1) and to the right (B, 1, W), −1 … 1


def _blob(
    at: Coordinates, center: tuple[Values, Values], height: float, width: Values
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


class Lesion(NamedTuple):
    """Which lesion each film shows, and where; arrays of one row per film."""

    kind: np.ndarray  # index of `LESIONS`
    side: np.ndarray  # −1, 1
    phase: np.ndarray  # of the mottling, (N, 2)
    nodules: np.ndarray  # their places: down and to the right, (N, NODULES, 2)


def draw_lesions(rng: np.random.Generator, row: np.ndarray) -> Lesion:
    """The lesion of each film; films of the same `row` (admission) have the same, but mottling."""
    size = int(row.max(initial=-1)) + 1
    kind, right = rng.integers(0, len(LESIONS), size), rng.integers(0, 2, size)
    nodules = rng.uniform(-1, 1, (size, NODULES, 2))
    phase = rng.uniform(0, 2 * np.pi, (len(row), 2))
    return Lesion(kind[row], 2 * right[row] - 1, phase, nodules[row])


def _consolidation(
    grown: np.ndarray, lesion: Lesion, gap: np.ndarray, at: Coordinates
) -> np.ndarray:
    where = _blob(at, (-0.38, lesion.side[:, None, None] * gap), 0.24, 0.24)
    down, right = lesion.phase[:, 0, None, None], lesion.phase[:, 1, None, None]
    mottling = 1 + 0.35 * np.sin(23 * at[0] + down) * np.sin(19 * at[1] + right)
    return 15 * grown * where * mottling


def _effusion(grown: np.ndarray, lesion: Lesion, gap: np.ndarray, at: Coordinates) -> np.ndarray:
    beside = np.abs(at[1] - lesion.side[:, None, None] * gap)
    surface = 0.62 - 0.16 * grown - 0.5 * np.maximum(beside - 0.1, 0)  # a meniscus
    inside = 1 / (1 + np.exp(np.clip(14 * (beside - 0.3), -30, 30)))
    return 75 * inside / (1 + np.exp(np.clip(-25 * (at[0] - surface), -30, 30)))


def _nodules(grown: np.ndarray, lesion: Lesion, gap: np.ndarray, at: Coordinates) -> np.ndarray:
    film = np.zeros(())
    for number in range(NODULES):  # half of them in either lung
        side = 1 if number % 2 else -1
        down, right = (lesion.nodules[:, number, k, None, None] for k in (0, 1))
        film = film + _blob(at, (-0.05 + 0.42 * down, side * gap + 0.15 * right), 0.11, 0.13)
    return 17 * grown * np.minimum(film, 1)


LESIONS = (_consolidation, _effusion, _nodules)


def shade_focal(
    latent: np.ndarray, gap: np.ndarray, build: np.ndarray, at: Coordinates, lesion: Lesion
) -> np.ndarray:
    """Films of one lesion each, without grain, (B, H, W)."""
    torso = _blob(at, (0.15, 0), 1.15, 0.92 * build)
    lungs = np.maximum(*(_blob(at, (-0.05, s * gap), 0.62, 0.32 * build) for s in (-1, 1)))
    heart = _blob(at, (0.25, 0.08), 0.3, np.full_like(build, 0.3))
    grown = np.maximum(latent - LEAST, 0)
    film = 20 + 135 * torso + lungs * (60 * heart - 95)
    for kind, shape in enumerate(LESIONS):
        some = np.flatnonzero(lesion.kind == kind)
        if some.size:
            part = Lesion(*(column[some] for column in lesion))
            there = at[0][some], at[1][some]
            film[some] += lungs[some] * shape(grown[some], part, gap[some], there)
    return film


def draw(
    rng: np.random.Generator, shown: np.ndarray, lateral: np.ndarray, lesion: Lesion | None = None
) -> Iterator[np.ndarray]:
    """Grey films of the latent as shown, uint8, in batches (B, HEIGHT, WIDTH).

    `lesion`: of films that show it by focal lesions; None: by congestion.
    """
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
        build = 1 + 0.04 * broad[part]
        if lesion is None:
            film = _shade(latent[part], gap[part], build, at)
        else:
            some = Lesion(*(column[part] for column in lesion))
            film = shade_focal(latent[part], gap[part], build, at, some)
        film += rng.standard_normal(film.shape) * 6
        yield np.clip(film, 0, 255).astype(np.uint8)


def write_films(
    rng: np.random.Generator,
    shown: np.ndarray,
    lateral: np.ndarray,
    paths: list[Path | None],
    lesion: Lesion | None = None,
) -> None:
    """Writes each film as JPEG to its path; those without a path are drawn, not written."""

    def write(image: np.ndarray, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path, quality=92)

    waiting = iter(paths)
    with ThreadPoolExecutor(WRITERS) as pool:
        for batch in draw(rng, shown, lateral, lesion):
            wanted = [(film, path) for film, path in zip(batch, waiting, strict=False) if path]
            for done in [pool.submit(write, film, path) for film, path in wanted]:
                done.result()
