"""The small interface through which training and fusion know a modality.

A folder `pipeline/<name>/` offers `modality.py` with an object `MODALITY`, for admissions, and
`stays.py` with an object `STAYS`, for ICU stays. What a stage is given of it comes as one JSON:
name → its files and settings.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from pipeline.stage.errors import InputError
from pipeline.stage.privacy import shown
from pipeline.training.batches import Data

Given = Mapping[str, Any]
# token → (feature (B, K, width), present (B, K)): what is known of a stay at each of K horizons
Tokens = dict[str, tuple[torch.Tensor, torch.Tensor]]


class ModalityData(Data, Protocol):
    """Episodes of one modality; some may lack it."""

    def present(self) -> np.ndarray:
        """Which episodes have the modality (bool, one per episode)."""
        ...


class StayData(ModalityData, Protocol):
    """ICU stays of one modality."""

    def known_by(self, hours: float) -> np.ndarray:
        """Which stays have the modality before so many hours (bool): a token of it is there."""
        ...


class Modality(Protocol):
    """The data of a modality and the encoder of its data."""

    def data(self, given: Given, episodes: np.ndarray) -> Any:
        """The `ModalityData` of these episodes (ids); `given`: the modality's files and settings.

        A file or setting that is missing from `given` is a KeyError, reported with its name.
        """
        ...

    def encoder(self, given: Given, data: Any, train: np.ndarray) -> nn.Module:
        """A fresh encoder, batch → (B, `width`); `train`: rows for statistics.

        `width` is 512 wherever modalities are fused: heads take features of one size.
        """
        ...


class StayModality(Protocol):
    """A modality of ICU stays, of which several tasks at several horizons are asked."""

    def data(self, given: Given, episodes: np.ndarray) -> Any:
        """The `StayData` of these stays (ids); `given` as for `Modality`."""
        ...

    def encoder(self, given: Given, data: Any, train: np.ndarray) -> nn.Module:
        """A fresh encoder: batch, horizons (K hours) → `Tokens`; `widths`: token → width.

        What it says of a horizon depends on nothing that was known only at or after it.
        """
        ...


def find(name: str) -> Modality:
    """The modality of the folder `pipeline/<name>/`; `InputError` where there is none."""
    return _offered(name, "modality", "MODALITY")


def find_stays(name: str) -> StayModality:
    """The same for ICU stays."""
    return _offered(name, "stays", "STAYS")


def _offered(name: str, module: str, what: str) -> Any:
    path = f"pipeline.{name}.{module}"
    try:
        return getattr(import_module(path), what)
    except ModuleNotFoundError as error:
        if error.name not in (path, f"pipeline.{name}"):  # something that it imports
            raise
        raise InputError(f"no modality {name}: pipeline/{name}/{module}.py with {what}") from error
    except AttributeError as error:
        raise InputError(f"no modality {name}: pipeline/{name}/{module}.py with {what}") from error


def add_data_argument(arguments: argparse.ArgumentParser) -> None:
    """`--data`: the files and settings of each modality."""
    arguments.add_argument("--data", type=json.loads, required=True,
                           help='JSON: modality → files and settings, {"note": {"notes": …}}'
                           )  # fmt: skip


@contextmanager
def reading(name: str) -> Iterator[None]:
    """While the data of a modality are read: what --data lacks of it is one clear line."""
    try:
        yield
    except KeyError as error:
        raise InputError(f"--data: {name} lacks {error}") from error


def check_present(name: str, data: ModalityData, rows: np.ndarray, who: str) -> None:
    """`InputError` where none of these rows has the modality: nothing can be learnt from it.

    Data may call by a name what an episode has of them, `item`: film, report.
    """
    if data.present()[rows].any():
        return
    item = getattr(data, "item", "data")
    raise InputError(
        f"{name}: no {item} in any of the {shown(len(rows))} {who}: the log of its selection says "
        "how many there were at all, and what is unreadable counts as missing; a target without "
        "this modality needs none"
    )


def read_data(given: Mapping[str, Given], episodes: np.ndarray) -> dict[str, ModalityData]:
    """The data of every modality in `given`, in its order."""
    read = {}
    for name, own in given.items():
        with reading(name):
            read[name] = find(name).data(own, episodes)
    return read
