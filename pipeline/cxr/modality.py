"""Modality `c` as training and fusion see it."""

from pathlib import Path

import numpy as np

from pipeline.cxr.dataset import CxrData, load
from pipeline.cxr.encoder import CxrEncoder
from pipeline.training.checkpoint import load_pretrained
from pipeline.training.modality import Given


class Cxr:
    """Films of the store."""

    def data(self, given: Given, episodes: np.ndarray) -> CxrData:
        """The films of these episodes.

        Given: films, decoded (one table per shard), store, pixels, full (decoded at full scale).
        """
        store = Path(given["store"])
        return load(
            given["films"], given["decoded"], store, given["pixels"], episodes, given["full"]
        )

    def encoder(self, given: Given, data: CxrData, train: np.ndarray) -> CxrEncoder:
        """ResNet-18. Given: hours_scale, one_by_one, pretrained (ImageNet weights, or null)."""
        encoder = CxrEncoder(given["hours_scale"], given["one_by_one"])
        if given["pretrained"]:
            load_pretrained(encoder.net, given["pretrained"], but="fc.")
        return encoder


MODALITY = Cxr()
