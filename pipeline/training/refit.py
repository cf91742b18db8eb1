"""Fits a head anew, on the fusion share: patients whom its encoders never saw.

So do the single, the joint and the late-averaged models of the corrected protocol, as the early
head does: encoders learn from the train share, heads from the fusion share, the same patients in
the same roles for every model.
"""

from pathlib import Path

import numpy as np
import torch

from pipeline.cohort.rows import TaskRows
from pipeline.stage.errors import InputError
from pipeline.training.device import make_repeatable
from pipeline.training.embeddings import Embeddings
from pipeline.training.features import Head
from pipeline.training.loop import Examples, fit
from pipeline.training.schedule import Schedule


def refit(head: Head, data: Embeddings, rows: TaskRows, schedule: Schedule, seed: int,
          device: torch.device, folder: Path, name: str) -> None:  # fmt: skip
    """Trains `head` in place on the features of the fusion share.

    Episodes without any of the modalities are left out. `folder`: of the weights, for the state of
    the training. `name`: of the modalities. Raises `InputError` where nobody in the share has one,
    and where the share has one class only.
    """
    train, val = (own[data.here[own].any(axis=1)] for own in (rows.of("fusion"), rows.of("val")))
    if not len(train):
        raise InputError(f"{name}: none of the episodes of the fusion share has this modality: "
                         "its selection's log says how many there were at all")  # fmt: skip
    if len(np.unique(rows.label[train])) < 2:
        raise InputError(f"{name}: the episodes of the fusion share that have this modality are "
                         "all of one class; enlarge the cohort or the share")  # fmt: skip
    make_repeatable(seed, torch.get_num_threads())
    head.begin(data, train, rows.label[train].mean())
    progress = folder / f".head{seed}.progress"
    fit(head, Examples(data, rows.label, train, val), schedule, seed, device, progress, "head")
