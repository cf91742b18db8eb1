"""Modality `c` as training and fusion see it."""

import argparse
from pathlib import Path

import numpy as np

from pipeline.cxr.dataset import CxrData, load
from pipeline.cxr.encoder import CxrEncoder
from pipeline.training.checkpoint import load_pretrained


class Cxr:
    """Films of the store."""

    name = "cxr"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Inputs: films, where they lie in the store, pretrained weights if any."""
        parser.add_argument("--films", required=True)
        parser.add_argument("--decoded", nargs="+", required=True, help="one table per shard")
        parser.add_argument("--store", required=True, type=Path)
        parser.add_argument("--pixels", required=True, type=int)
        parser.add_argument("--window-hours", type=float, required=True)
        parser.add_argument("--pretrained", default="", help="safetensors of a ResNet-18, or none")

    def data(self, given: argparse.Namespace, episodes: np.ndarray) -> CxrData:
        """The films of these episodes."""
        return load(given.films, given.decoded, given.store, given.pixels, episodes)

    def encoder(self, given: argparse.Namespace, data: CxrData, train: np.ndarray) -> CxrEncoder:
        """ResNet-18, from random or given weights."""
        encoder = CxrEncoder(given.window_hours)
        if given.pretrained:
            load_pretrained(encoder.net, given.pretrained, but="fc.")
        return encoder
