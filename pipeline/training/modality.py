"""The small interface through which training and fusion know a modality.

A folder `pipeline/<name>/` offers `modality.py` with an object `MODALITY`. What a stage is given
of it comes as one JSON: name → its files and settings.
"""

import argparse
import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from torch import nn

from pipeline.common.errors import InputError
from pipeline.training.batches import Data

Given = Mapping[str, Any]


class ModalityData(Data, Protocol):
    """Episodes of one modality; some may lack it."""

    def present(self) -> np.ndarray:
        """Which episodes have the modality (bool, one per episode)."""
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


def find(name: str) -> Modality:
    """The modality of the folder `pipeline/<name>/`; `InputError` where there is none."""
    try:
        return import_module(f"pipeline.{name}.modality").MODALITY
    except (ModuleNotFoundError, AttributeError) as error:
        raise InputError(
            f"no modality {name}: pipeline/{name}/modality.py with MODALITY"
        ) from error


def add_data_argument(arguments: argparse.ArgumentParser) -> None:
    """`--data`: the files and settings of each modality."""
    arguments.add_argument("--data", type=json.loads, required=True,
                           help='JSON: modality → files and settings, {"note": {"notes": …}}'
                           )  # fmt: skip


def read_data(given: Mapping[str, Given], episodes: np.ndarray) -> dict[str, ModalityData]:
    """The data of every modality in `given`, in its order."""
    read = {}
    for name, own in given.items():
        try:
            read[name] = find(name).data(own, episodes)
        except KeyError as error:
            raise InputError(f"--data: {name} lacks {error}") from error
    return read
