"""Films at random, as many as MIMIC's episodes have: to measure what a step of training takes."""

import numpy as np

from pipeline.cxr.film_data import Films
from pipeline.stage.errors import InputError
from pipeline.training.items import offsets
from pipeline.training.modality import Settings


def films(settings: Settings, count: int, random: np.random.Generator) -> Films:
    """Two films on average of `count` episodes, in memory. Settings: pixels."""
    if settings.get("trained") == "frozen":
        raise InputError("a frozen network is not trained: each film is embedded once")
    edge = settings["pixels"]
    each = 1 + random.binomial(3, 1 / 3, count)  # ASSUME 1 to 4, 2 on average
    number = int(each.sum())
    return Films(
        hours=random.uniform(0, 48, number).astype(np.float32),
        start=offsets(each),
        arrays=[random.integers(0, 256, (number, edge, edge), np.uint8)],
        chunk=np.zeros(number, np.int64),
        row=np.arange(number),
        shape=(edge, edge),
    )


SAMPLES = {"resnet18": films, "backbone": films}
