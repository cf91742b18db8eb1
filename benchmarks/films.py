"""Films: decoding full-size JPEGs to the cache against decoding in full; reading the cache.

    python benchmarks/films.py --size full --folder /tmp/films --output films.json

Films are made up: 2,500 × 3,050 grey pixels, a thorax's large shapes, structure at several scales,
noise, JPEG of quality 95 as MIMIC-CXR-JPG's and about as large as its average film (557 GB of
377,110 films). OpenCV comes into an environment of its own in the folder. Seconds of decoding are
CPU seconds of one thread: films per second and core, whatever else the machine does.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from record import REPOSITORY, Record, arguments, spread

WIDTH, HEIGHT, PIXELS = 2500, 3050, 224
NOISE = 1.4  # grey levels; makes the files as large as MIMIC's
OPENCV = "opencv-python-headless==5.0.0.93"
SIZES = {"small": (6, 2, 600), "full": (24, 5, 4096)}  # films, rounds, films of the cache
WAYS = {
    "scaled": "the pipeline's scaled decoding",
    "pillow": "Pillow, in full",
    "opencv": "OpenCV, in full",
    "opencv-reduced": "OpenCV, to an eighth",
    "huffman": "entropy decoding alone (every way's share)",
}


def film(seed: int) -> Image.Image:
    """A film with a thorax's large shapes, ribs, structure of 64 to 4 pixels, and noise."""
    random = np.random.default_rng(seed)
    y = np.linspace(-1, 1, HEIGHT, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, WIDTH, dtype=np.float32)[None, :]
    level = 150 + 30 * np.cos(1.5 * x) - 20 * y + 50 * np.exp(-((x / 0.12) ** 2))
    for side in (-1, 1):
        beyond = ((x - side * 0.42) / 0.33) ** 2 + ((y + 0.05) / 0.62) ** 2 - 1
        level -= 45 * (1 - np.tanh(6 * beyond))  # a lung
    level += 8 * np.cos(40 * (y + 0.5 * x * x)) * (np.abs(x) < 0.85)
    for size, height in ((64, 14), (16, 7), (4, 3)):
        shape = (HEIGHT // size + 2, WIDTH // size + 2)
        structure = Image.fromarray(height * random.standard_normal(shape, np.float32))
        level += np.asarray(structure.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    level += NOISE * random.standard_normal(level.shape, np.float32)
    return Image.fromarray(level.clip(0, 255).astype(np.uint8))


def save(path: Path) -> None:
    """Makes the film of a path, where it is not there."""
    if not path.is_file():
        film(int(path.stem)).save(path, quality=95)


def opencv(folder: Path) -> Path:
    """The Python of an environment with OpenCV."""
    python = folder / "opencv" / "bin" / "python"
    if not python.is_file():
        uv = Path(sys.executable).with_name("uv")
        made = folder / "opencv"
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, made], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, OPENCV], check=True)
    return python


def decoded(
    films: list[Path], folder: Path, rounds: int
) -> tuple[dict[str, list[float]], dict[str, np.ndarray]]:
    """Films per second of each way, one per round, in turn; the squares that it made."""
    speeds: dict[str, list[float]] = {way: [] for way in WAYS}
    squares = {}
    own = opencv(folder)
    for _ in range(rounds):
        for way in WAYS:
            python, output = own if "opencv" in way else sys.executable, folder / f"{way}.npy"
            script = REPOSITORY / "benchmarks" / "film_decoders.py"
            command = [python, script, way, PIXELS, output, *films]
            said = subprocess.run(list(map(str, command)), check=True, capture_output=True)
            speeds[way].append(len(films) / sum(json.loads(said.stdout)))
            squares[way] = np.load(output).astype(np.int16)
    return speeds, squares


def differences(one: np.ndarray, other: np.ndarray) -> str:
    """How far the squares of two ways lie apart, in grey levels, in words."""
    off = np.abs(one - other)
    share = (off > 1).mean()
    return (
        f"{off.mean():.2f} grey levels off on average, at most {off.max()}, "
        f"{share:.2%} of the pixels more than one"
    )


def forget(folder: Path) -> None:
    """Drops a folder's files from the page cache, as far as the system does so when asked."""
    for path in folder.glob("*.npy"):
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def reading(folder: Path, count: int, cold: bool) -> float:
    """Films per second that batches of 32 admissions are read at from a mapped store."""
    sys.path.insert(0, str(REPOSITORY))
    import mimic_like

    data = mimic_like.cxr(count // 2, np.random.default_rng(0), folder, PIXELS)
    if cold:
        forget(folder)
    order = np.random.default_rng(1).permutation(count // 2)
    films, started = 0, time.perf_counter()
    for rows in np.array_split(order, len(order) // 32):
        films += len(data.batch(rows)["film"])
    return films / (time.perf_counter() - started)


def training(count: int) -> float:
    """Films per second and core that ResNet-18 is trained at, forward and backward."""
    sys.path.insert(0, str(REPOSITORY))
    import torch

    from pipeline.cxr.encoder_resnet18 import FilmsNetwork

    torch.set_num_threads(1)
    encoder = FilmsNetwork(48.0).train()
    image = torch.randint(0, 256, (count, PIXELS, PIXELS), dtype=torch.uint8)
    encoder.features(image[:2]).sum().backward()
    started = time.thread_time()
    encoder.features(image).sum().backward()
    return count / (time.thread_time() - started)


def decoding(record: Record, folder: Path, count: int, rounds: int) -> None:
    """Films per second and core of every way, what the squares differ by, what limits it."""
    films = [folder / "films" / f"{number}.jpg" for number in range(count)]
    films[0].parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        list(pool.map(save, films))
    size = statistics.mean(path.stat().st_size for path in films) / 1e6
    speeds, squares = decoded(films, folder, rounds)
    for way, words in WAYS.items():
        note = f"{count} films of {size:.2f} MB" if way == "scaled" else ""
        if way.startswith("opencv"):
            note = "against Pillow: " + differences(squares[way], squares["pillow"])
        record.add(f"decoding, {words}", speeds[way], "films/s and core", note=note)
    off = differences(squares["scaled"], squares["pillow"])
    for other in ("pillow", "opencv"):
        ratios = [a / b for a, b in zip(speeds["scaled"], speeds[other], strict=True)]
        record.ask(f"≥ 2 × {WAYS[other]}", f"{spread(ratios)} ×; {off}" if other == "pillow"
                   else f"{spread(ratios)} ×", statistics.median(ratios) >= 2)  # fmt: skip
    share = [a / b for a, b in zip(speeds["scaled"], speeds["huffman"], strict=True)]
    record.limit = (
        f"Decoding: {statistics.median(share):.0%} of the time is the JPEG's entropy decoding, "
        "which no scale spares. "
    )


def caching(record: Record, folder: Path, count: int, rounds: int) -> None:
    """What the cache gives, cold and warm, against what ResNet-18 takes."""
    found: dict[str, list[float]] = {"cold": [], "warm": [], "trained": []}
    for number in range(rounds):
        found["cold"].append(reading(folder / "cache", count, cold=True))
        found["warm"].append(reading(folder / "cache", count, cold=False))
        if number < 2:
            found["trained"].append(training(8))
    for name, words in (("cold", "from disk"), ("warm", "from the page cache")):
        megabytes = statistics.median(found[name]) * PIXELS * PIXELS / 1e6
        record.add(f"reading the cache, batches of 32, {words}", found[name], "films/s",
                   note=f"{megabytes:.0f} MB/s")  # fmt: skip
    record.add("training ResNet-18, forward and backward", found["trained"], "films/s and core")
    cold, trained = (statistics.median(found[name]) for name in ("cold", "trained"))
    record.ask("reading the cache is never the bottleneck of training",
               f"{cold / trained:.0f} × the films that a core trains on, with pages dropped before",
               cold > trained)  # fmt: skip
    record.limit += (
        f"Reading: a GPU may train on up to {cold:.0f} films/s before it waits for this disk, "
        f"{statistics.median(found['warm']):.0f} from memory, {PIXELS * PIXELS / 1000:.0f} kB each."
    )


def main() -> None:
    """Decoding, then the cache."""
    given = arguments(__doc__)
    films, rounds, cached = SIZES[given.size]
    record = Record("Films: decoding 2,500 × 3,050 pixels to 224, and reading the cache")
    decoding(record, given.folder, films, rounds)
    caching(record, given.folder, cached, rounds)
    record.write(given.output)


if __name__ == "__main__":
    main()
