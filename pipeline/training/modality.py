"""The small interface through which training and fusion know a modality."""

import argparse
from typing import Any, Protocol

import numpy as np
from torch import nn

from pipeline.training.batches import Data


class ModalityData(Data, Protocol):
    """Episodes of one modality; some may lack it."""

    def present(self) -> np.ndarray:
        """Which episodes have the modality (bool, one per episode)."""
        ...


class Modality(Protocol):
    """A folder `pipeline/<name>/` offers one: its data and its encoder."""

    name: str

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds the modality's own inputs and settings to a stage's arguments."""
        ...

    def data(self, given: argparse.Namespace, episodes: np.ndarray) -> Any:
        """The `ModalityData` of these episodes (ids)."""
        ...

    def encoder(self, given: argparse.Namespace, data: Any, train: np.ndarray
                ) -> nn.Module:  # fmt: skip
        """A fresh encoder, batch → (B, 512); `train`: rows that statistics may be taken from."""
        ...
