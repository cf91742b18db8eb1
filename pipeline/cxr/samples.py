"""Films at random, as many as MIMIC's episodes have: to measure what a step of training takes."""

from collections.abc import Callable

import numpy as np
import torch

from pipeline.cxr.film_data import Films
from pipeline.training.items import offsets
from pipeline.training.modality import Settings

SIZE = 768  # numbers of a vector


def films(settings: Settings, count: int, random: np.random.Generator) -> Films:
    """Two films on average of `count` episodes, in memory, or their vectors by a frozen network.

    Settings: pixels, trained (if any).
    """
    frozen, edge = settings.get("trained") == "frozen", settings["pixels"]
    each = 1 + random.binomial(3, 1 / 3, count)  # ASSUME 1 to 4, 2 on average
    number = int(each.sum())
    return Films(
        hours=random.uniform(0, 48, number).astype(np.float32),
        start=offsets(each),
        arrays=[
            random.standard_normal((number, SIZE), np.float32)
            if frozen
            else random.integers(0, 256, (number, edge, edge), np.uint8)
        ],
        chunk=np.zeros(number, np.int64),
        row=np.arange(number),
        shape=(SIZE,) if frozen else (edge, edge),
        content="vector" if frozen else "film",
    )


def black(settings: Settings, device: torch.device) -> tuple[Callable[[], object], int]:
    """A call that embeds a batch of films by the frozen network, and their number.

    Settings: model, weights, pixels.
    """
    from pipeline.cxr.backbone import load_backbone
    from pipeline.cxr.embed import BATCH, embed

    network = load_backbone(settings["model"], settings["weights"]).to(device)
    film = torch.zeros(BATCH, settings["pixels"], settings["pixels"], dtype=torch.uint8)
    return (lambda: embed(network, film, device)), BATCH


SAMPLES = {"resnet18": films, "backbone": films}
FROZEN = {"backbone": ("films", black)}  # what is embedded once, before any training
