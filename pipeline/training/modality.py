"""The one interface of a modality: for a batch of episodes and K horizons, `Tokens`.

A modality is a folder `pipeline/<name>/`; an encoder is a file of it, `encoder_<encoder>.py`, with
an object `ENCODER`. A horizon is a number of hours from clock zero: what was known by then counts,
and what became known at or after it changes nothing. One task of admissions is one horizon,
infinite: its tables end at the prediction time. A stage is told of its modalities by one JSON:
modality → the encoder's name, `before` and the files and settings of that encoder.
"""

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from pipeline.stage.errors import InputError
from pipeline.stage.privacy import shown
from pipeline.training.batches import Batch, Data

# `encoder`: its name; `before`: the last horizon, hours, or null for all of the tables
Settings = Mapping[str, Any]
# token → (feature (B, K, width), present (B, K)): what is known of an episode at each of K horizons
Tokens = dict[str, tuple[torch.Tensor, torch.Tensor]]
WIDTH = 512  # of the feature of a modality that heads take


class ModalityData(Data, Protocol):
    """Episodes of one modality; some may lack it."""

    def present(self) -> np.ndarray:
        """Which episodes have the modality (bool, one per episode)."""
        ...

    def known_by(self, hours: float) -> np.ndarray:
        """Which episodes have the modality before so many hours (bool): a token of it is there."""
        ...


class Encoder(Protocol):
    """An encoder of a modality: how its data are read, and its network."""

    def data(self, settings: Settings, episodes: np.ndarray) -> Any:
        """The `ModalityData` of these episodes (ids); nothing known from `before` on is read.

        A file or setting that is missing from `settings` is a KeyError, reported with its name.
        """
        ...

    def network(self, settings: Settings, data: Any, train: np.ndarray) -> nn.Module:
        """A fresh network: batch, horizons → `Tokens`, with `widths`: token → width.

        `train`: rows for statistics. A network that reads the record (the EHR) has `record = True`:
        the record tells who is still eligible for a task.
        """
        ...


def find(modality: str, encoder: str) -> Encoder:
    """An encoder of the folder `pipeline/<modality>/`; `InputError` where there is none."""
    path = f"pipeline.{modality}.encoder_{encoder}"
    missing = (
        f"no encoder {encoder} of the modality {modality}: "
        f"pipeline/{modality}/encoder_{encoder}.py with ENCODER"
    )
    try:
        return import_module(path).ENCODER
    except ModuleNotFoundError as error:
        if error.name not in (path, f"pipeline.{modality}"):  # something that it imports
            raise
        raise InputError(missing) from error
    except AttributeError as error:
        raise InputError(missing) from error


def tokens_of(network: nn.Module, batch: Batch, horizons: Sequence[float]) -> Tokens:
    """The tokens of an encoder's network at K horizons; `InputError` where a shape is wrong."""
    tokens: Tokens = network(batch, horizons)
    for name, (feature, present) in tokens.items():
        shape, width = tuple(present.shape), network.widths[name]  # type: ignore[index]
        if present.ndim != 2 or shape[1] != len(horizons) or feature.shape != (*shape, width):
            raise InputError(
                f"{type(network).__name__}: token {name} is {tuple(feature.shape)}, its presence "
                f"{shape}; expected (B, {len(horizons)}, {width}) and (B, {len(horizons)})"
            )
    return tokens


class Feature(nn.Module):
    """Batch of a modality → its feature (B, 512) for heads: its tokens at one horizon.

    One token of that width is the feature; any others are concatenated and pass a linear layer,
    which is trained with the encoder. Zero stands for a token that is not there.
    """

    width = WIDTH

    def __init__(self, network: nn.Module, horizon: float = math.inf) -> None:
        super().__init__()
        self.network, self.horizon = network, horizon
        widths = [*network.widths.values()]  # type: ignore[operator]
        self.combine = nn.Identity() if widths == [WIDTH] else nn.Linear(sum(widths), WIDTH)

    def forward(self, batch: Batch) -> torch.Tensor:
        """(B, 512)."""
        tokens = tokens_of(self.network, batch, [self.horizon])
        features = [
            torch.where(present, feature[:, 0], 0.0)  # present (B, 1)
            for feature, present in tokens.values()
        ]
        return self.combine(features[0] if len(features) == 1 else torch.cat(features, dim=1))


def horizon_of(settings: Settings) -> float:
    """The last horizon of a modality's settings in hours, infinite where there is none."""
    return math.inf if settings["before"] is None else float(settings["before"])


def add_data_argument(arguments: argparse.ArgumentParser) -> None:
    """`--data`: encoder, files and settings of each modality."""
    arguments.add_argument(
        "--data", type=json.loads, required=True,
        help='JSON: modality → settings, {"note": {"encoder": "bert", "before": null, …}}',
    )  # fmt: skip


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """While a modality's settings are read: one clear line for what --data lacks of it."""
    try:
        yield
    except KeyError as error:
        raise InputError(f"--data: {name} lacks {error}") from error


def read_data(every: Mapping[str, Settings], episodes: np.ndarray) -> dict[str, ModalityData]:
    """The data of every modality, in their order; `every`: modality → settings."""
    data = {}
    for name, settings in every.items():
        with _reading(name):
            data[name] = find(name, settings["encoder"]).data(settings, episodes)
    return data


def network_of(name: str, settings: Settings, data: ModalityData, train: np.ndarray) -> nn.Module:
    """A fresh network of a modality's encoder; `train`: rows for statistics."""
    with _reading(name):
        return find(name, settings["encoder"]).network(settings, data, train)


def feature_of(name: str, settings: Settings, data: ModalityData, train: np.ndarray) -> Feature:
    """The same with its `Feature` at the modality's last horizon."""
    return Feature(network_of(name, settings, data, train), horizon_of(settings))


def check_present(name: str, data: ModalityData, rows: np.ndarray, who: str) -> None:
    """`InputError` where none of these rows has the modality: nothing can be learnt from it.

    Data may name what an episode has of them, `item`: film, report.
    """
    if data.present()[rows].any():
        return
    item = getattr(data, "item", "data")
    raise InputError(
        f"{name}: no {item} in any of the {shown(len(rows))} {who}: the log of its selection says "
        "how many there were at all, and what is unreadable counts as missing; a target without "
        "this modality needs none"
    )
