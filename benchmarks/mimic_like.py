"""Admissions in memory with as many events, films and reports as MIMIC's have; values at random.

An admission of 48 h: about 250 event times of about 5 tokens each, 1 to 4 films of 224 pixels (2 on
average), 1 to 8 reports (4 on average).
"""

from pathlib import Path

import numpy as np
import yaml

from pipeline.cxr.film_data import Films
from pipeline.ehr.signals import BINS, classes, vocabulary
from pipeline.ehr.steps import Steps
from pipeline.note.reports import Reports, Vectors
from pipeline.stage.store import open_chunk
from pipeline.training.items import offsets
from pipeline.training.modality import ModalityData
from pipeline.training.settings import Training

REPOSITORY = Path(__file__).resolve().parents[1]

TIMES, PIXELS, VECTOR = 250, 224, 512
CHUNK = 512  # films per array of the store


def ehr(count: int, random: np.random.Generator, times: int = TIMES, signals: str = "corrected"
        ) -> Steps:  # fmt: skip
    """Tokens of `count` admissions, of `times` event times on average; `signals`: of a protocol."""
    spread = random.lognormal(-0.08, 0.4, count)  # mean 1
    steps = np.clip(times * spread, 1, 4 * times).astype(np.int64)
    tokens = 1 + random.poisson(4, steps.sum())
    hours = np.concatenate([np.sort(random.integers(0, BINS, n)) for n in steps])
    demographics = [random.integers(0, n, count) for n in classes(signals).values()]
    return Steps(
        known=np.zeros(tokens.sum(), np.int64),
        time_bin=hours,
        token=random.integers(0, vocabulary(signals).size, tokens.sum()),
        step_start=offsets(tokens),
        episode_start=offsets(steps),
        demographics=np.stack(demographics, axis=1),
    )


def cxr(count: int, random: np.random.Generator, folder: Path, pixels: int = PIXELS) -> Films:
    """Films of `count` admissions, in a store in `folder` that is mapped as every store is."""
    each = 1 + random.binomial(3, 1 / 3, count)
    films = int(each.sum())
    folder.mkdir(parents=True, exist_ok=True)
    arrays = []
    for first in range(0, films, CHUNK):
        shape = (min(CHUNK, films - first), pixels, pixels)
        np.save(folder / f"{first}.npy", random.integers(0, 256, shape, np.uint8))
        arrays.append(open_chunk(folder, str(first)))
    place = random.permutation(films)  # the films of an admission do not lie together
    return Films(
        hours=random.uniform(0, 48, films).astype(np.float32),
        start=offsets(each),
        arrays=arrays,
        chunk=place // CHUNK,
        row=place % CHUNK,
        shape=(pixels, pixels),
    )


def note(count: int, random: np.random.Generator) -> Reports:
    """Vectors of the reports of `count` admissions."""
    each = np.clip(random.poisson(4, count), 1, 8)
    reports = int(each.sum())
    return Reports(
        content=Vectors(random.standard_normal((reports, VECTOR), np.float32)),
        which=random.permutation(reports),
        hours=np.zeros(reports, np.float32),
        start=offsets(each),
    )


def described(data: Steps | Films | Reports) -> str:
    """How much of a modality an admission has, in words."""
    if isinstance(data, Steps):
        times = np.diff(data.episode_start).mean()
        tokens = len(data.token) / len(data.time_bin)
        return f"{times:.0f} event times of {tokens:.1f} tokens per admission"
    each = np.diff(data.start).mean()
    if isinstance(data, Films):
        return f"{each:.1f} films of {data.shape[0]} pixels per admission"
    return f"{each:.1f} reports of {VECTOR} numbers per admission"


def everything(count: int, folder: Path, pixels: int = PIXELS, times: int = TIMES
               ) -> dict[str, ModalityData]:  # fmt: skip
    """All modalities of the same admissions."""
    random = np.random.default_rng(0)
    return {
        "ehr": ehr(count, random, times),
        "cxr": cxr(count, random, folder, pixels),
        "note": note(count, random),
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
