"""Reports at random, as many as MIMIC's episodes have: to measure what a step of training takes."""

import numpy as np

from pipeline.note.reports import Reports, Vectors
from pipeline.training.items import offsets
from pipeline.training.modality import Settings

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


SAMPLES = {"doc2vec": vectors}
