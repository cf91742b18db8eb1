"""Stored encoders and heads, and what they make of new episodes. The only room of it with torch.

A batch of a few rows is computed by other kernels than a large one, and in bfloat16 a last bit that
differs moves a feature. So no batch has fewer than `LEAST` rows: few are repeated. Then the bits of
an episode do not depend on who else is asked for, as far as was tried: of 160 episodes asked alone
one bit in ten thousand differed with batches of one, none with batches of 4, 8, 16 or 32.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from pipeline.fusion.heads import family_of
from pipeline.fusion.joint import Encoders, JointData
from pipeline.training.batches import Data, evaluate
from pipeline.training.checkpoint import load_weights
from pipeline.training.embed import BATCH
from pipeline.training.embeddings import Embeddings
from pipeline.training.features import Unimodal
from pipeline.training.fitted import AdditiveHead, FittedHead
from pipeline.training.modality import ModalityData, feature_of
from pipeline.training.precision import use_precision
from pipeline.training.processes import make_repeatable

LEAST, HEAD_LEAST = 16, 64  # rows of a batch
HEAD_ROWS = 1024
NOBODY = np.empty(0, np.int64)


def few_as_many(
    model: nn.Module, data: Data, rows: np.ndarray, size: int, device: torch.device,
    least: int = LEAST,
) -> torch.Tensor:  # fmt: skip
    """What `model` makes of the rows, one at least, as `evaluate`; few are repeated."""
    padded = np.resize(rows, max(len(rows), least))
    return evaluate(model, data, padded, size, device)[: len(rows)]


@contextmanager
def _of_nobody() -> Iterator[None]:
    """While a network is built on no episode: its moments are those of the weights, read next."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def encoder(name: str, settings: Mapping[str, Any], data: ModalityData, path: Path,
            device: torch.device) -> Unimodal:  # fmt: skip
    """A frozen encoder with its weights; [feature, logits] per row."""
    with _of_nobody():
        model = Unimodal(feature_of(name, settings, data, NOBODY), both=True)
    model.to(device)
    load_weights(model, path)
    return model


def features(model: Unimodal, data: ModalityData, device: torch.device) -> np.ndarray:
    """(N, 512) of the episodes; zeros where they lack the modality."""
    have = data.present()
    value = np.zeros((len(have), model.feature.width), np.float32)
    if have.any():
        made = few_as_many(model, data, np.flatnonzero(have), BATCH, device)
        value[have] = made[:, :-2].numpy()
    return value


def joint_encoders(settings: Mapping[str, Any], data: Mapping[str, ModalityData], path: Path,
                   device: torch.device) -> Encoders:  # fmt: skip
    """The encoders of a model that trained them together, with their weights."""
    with _of_nobody():
        made = Encoders(
            {name: feature_of(name, settings[name], data[name], NOBODY) for name in data}
        )
    state = {
        name.removeprefix("encoders."): value
        for name, value in load_file(path).items()
        if name.startswith("encoders.")
    }
    made.load_state_dict(state)
    return made.to(device)


def joint_features(model: Encoders, data: Mapping[str, ModalityData], device: torch.device
                   ) -> Embeddings:  # fmt: skip
    """The features of every modality by encoders that trained together."""
    here = np.stack([one.present() for one in data.values()], axis=1)
    both = JointData(dict(data), here)
    value = few_as_many(model, both, np.arange(len(here)), BATCH, device)
    return Embeddings(value.numpy(), here)


def head(model: str | None, path: Path, hidden: int, prefix: str = "") -> FittedHead:
    """A fitted head with its weights: of a fusion model, or (None) of a single modality."""
    family = AdditiveHead if model is None else family_of(model)[0]
    state = {
        name.removeprefix(prefix): value
        for name, value in load_file(path).items()
        if name.startswith(prefix)
    }
    made = family(state["mean"], state["directions"], hidden, torch.Generator()).float()
    made.load_state_dict(state)
    return made


def risks(model: FittedHead, data: Embeddings) -> np.ndarray:
    """The probabilities (N,) of a head; of no episode none."""
    if not len(data.here):
        return np.zeros(0)
    cpu = torch.device("cpu")
    logits = few_as_many(model, data, np.arange(len(data.here)), HEAD_ROWS, cpu, HEAD_LEAST)
    return logits.softmax(dim=1)[:, 1].numpy()


@contextmanager
def computing(threads: int, precision: str) -> Iterator[None]:
    """Torch's threads and precision within a block, as the model was made with them."""
    before, count = use_precision(precision), torch.get_num_threads()
    try:
        make_repeatable(0, threads)
        yield
    finally:
        use_precision(before)
        torch.set_num_threads(count)
