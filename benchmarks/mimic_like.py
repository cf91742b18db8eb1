"""Admissions in memory with as many events, films and reports as MIMIC's have; values at random.

An admission of 48 h: about 250 event times of about 5 tokens each, 1 to 4 films of 224 pixels (2 on
average), 1 to 8 reports (4 on average).
"""

from pathlib import Path

import numpy as np
import yaml

from pipeline.cxr.film_data import Films
from pipeline.ehr.samples import TIMES, tokens
from pipeline.ehr.steps import Steps
from pipeline.note.reports import Reports
from pipeline.note.samples import SIZE, vectors
from pipeline.stage.store import open_chunks
from pipeline.training.items import offsets
from pipeline.training.modality import ModalityData
from pipeline.training.settings import Training

REPOSITORY = Path(__file__).resolve().parents[1]

PIXELS = 224
CHUNK = 512  # films per array of the store


def cxr(count: int, random: np.random.Generator, folder: Path, pixels: int = PIXELS) -> Films:
    """Films of `count` admissions, in a store in `folder` that is mapped as every store is."""
    each = 1 + random.binomial(3, 1 / 3, count)
    films = int(each.sum())
    folder.mkdir(parents=True, exist_ok=True)
    arrays = []
    for first in range(0, films, CHUNK):
        shape = (min(CHUNK, films - first), pixels, pixels)
        np.save(folder / f"{first}.npy", random.integers(0, 256, shape, np.uint8))
        arrays += open_chunks(folder, [str(first)])
    place = random.permutation(films)  # the films of an admission do not lie together
    return Films(
        hours=random.uniform(0, 48, films).astype(np.float32),
        start=offsets(each),
        arrays=arrays,
        chunk=place // CHUNK,
        row=place % CHUNK,
        shape=(pixels, pixels),
    )


def described(data: Steps | Films | Reports) -> str:
    """How much of a modality an admission has, in words."""
    if isinstance(data, Steps):
        times = np.diff(data.episode_start).mean()
        each = len(data.token) / len(data.time_bin)
        return f"{times:.0f} event times of {each:.1f} tokens per admission"
    each = np.diff(data.start).mean()
    if isinstance(data, Films):
        return f"{each:.1f} films of {data.shape[0]} pixels per admission"
    return f"{each:.1f} reports of {SIZE} numbers per admission"


def everything(count: int, folder: Path, pixels: int = PIXELS, times: int = TIMES
               ) -> dict[str, ModalityData]:  # fmt: skip
    """All modalities of the same admissions."""
    random = np.random.default_rng(0)
    return {
        "ehr": tokens({"signals": "corrected"}, count, random, times),
        "cxr": cxr(count, random, folder, pixels),
        "note": vectors({}, count, random),
    }


def settings() -> dict[str, dict[str, object]]:
    """The encoders' settings in the corrected protocol."""
    with (REPOSITORY / "workflow/protocols/corrected.yaml").open() as stream:
        given = yaml.safe_load(stream)
    encoders = {"ehr": "tokens", "cxr": "resnet18", "note": "doc2vec"}
    return {
        name: given[name]
        | {"pretrained": None, "augment": None, "encoder": encoder, "before": None}
        for name, encoder in encoders.items()
    }


def schedule(size: int) -> Training:
    """How the configuration trains, in batches of `size`."""
    with (REPOSITORY / "config.yaml").open() as stream:
        return Training(**yaml.safe_load(stream)["schedule"] | {"batch_size": size})
