"""Reports at random, as many as MIMIC's episodes have: to measure what a step of training takes."""

from collections.abc import Callable

import numpy as np
import torch

from pipeline.note.reports import Reports, Vectors
from pipeline.stage.errors import InputError
from pipeline.training.items import offsets
from pipeline.training.modality import Settings
from pipeline.training.precision import half_precision

SIZE = 512  # numbers of a vector


def vectors(settings: Settings, count: int, random: np.random.Generator) -> Reports:
    """Vectors of the reports of `count` episodes, four on average."""
    each = np.clip(random.poisson(4, count), 1, 8)  # ASSUME 1 to 8
    number = int(each.sum())
    return Reports(
        content=Vectors(random.standard_normal((number, SIZE), np.float32)),
        which=random.permutation(number),  # those of an episode do not lie together
        hours=np.zeros(number, np.float32),
        start=offsets(each),
    )


def of_bert(settings: Settings, count: int, random: np.random.Generator) -> Reports:
    """The vectors of a frozen model. Settings: trained."""
    if settings["trained"] != "frozen":
        raise InputError("a text model that learns is not measured beforehand")
    return vectors(settings, count, random)


def windows(settings: Settings, device: torch.device) -> tuple[Callable[[], object], int]:
    """A call that embeds a batch of full windows by the frozen model, and their number.

    Settings: model, tokens.
    """
    from pipeline.note.bert import load_text_model
    from pipeline.note.embed import BATCH

    if not settings["model"]:
        raise InputError("the small BERT is trained first")
    model = load_text_model(settings["model"]).to(device)
    shape = BATCH, min(settings["tokens"], model.most or settings["tokens"])
    tokens = torch.ones(shape, dtype=torch.int64, device=device)

    @torch.inference_mode()
    def embed() -> torch.Tensor:
        with half_precision(device):
            vectors: torch.Tensor = model(tokens, tokens.bool())
        return vectors

    return embed, BATCH


SAMPLES = {"doc2vec": vectors, "bert": of_bert}
FROZEN = {"bert": ("windows of reports", windows)}  # what is embedded once, before any training
