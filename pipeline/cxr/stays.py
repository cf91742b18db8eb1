"""Modality `c` of ICU stays: of the films taken before each horizon one memory token.

ResNet-18 sees every film once, whatever the number of horizons; weights are softmax(hours / 48)
over the films that a horizon knows. In training BatchNorm takes its statistics from all films of a
batch: data must hold none from after the last horizon (`before` of `pipeline.cxr.dataset.load`).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pipeline.cxr.dataset import CxrData, load
from pipeline.cxr.encoder import WIDTH, CxrEncoder
from pipeline.training.checkpoint import load_pretrained
from pipeline.training.modality import Given, Tokens
from pipeline.training.recency import known_by


class StayCxrEncoder(nn.Module):
    """Batch of `pipeline.cxr.dataset`, K horizons → token c: (B, K, 512), present (B, K)."""

    widths = {"c": WIDTH}  # noqa: RUF012 — of the class, never changed

    def __init__(self, hours_scale: float = 48.0) -> None:
        super().__init__()
        self.films = CxrEncoder(hours_scale)

    def forward(self, batch: dict[str, torch.Tensor], horizons: Sequence[float]) -> Tokens:
        """`horizons`: hours from the arrival; zeros where no film was taken before one."""
        feature = self.films.features(batch["film"])  # (F, 512)
        size, scale = len(batch["count"]), self.films.hours_scale
        return {"c": known_by(feature, batch["hours"], batch["owner"], size, horizons, scale)}


class CxrOfStays:
    """Films of the store."""

    def data(self, given: Given, episodes: np.ndarray) -> CxrData:
        """The films of these stays.

        Given: films, decoded, store, pixels, full as for admissions, and before (hours).
        """
        return load(
            given["films"], given["decoded"], Path(given["store"]), given["pixels"], episodes,
            given["full"], given["before"],
        )  # fmt: skip

    def encoder(self, given: Given, data: CxrData, train: np.ndarray) -> StayCxrEncoder:
        """ResNet-18. Given: hours_scale, pretrained as for admissions."""
        encoder = StayCxrEncoder(given["hours_scale"])
        if given["pretrained"]:
            load_pretrained(encoder.films.net, given["pretrained"], but="fc.")
        return encoder


STAYS = CxrOfStays()
