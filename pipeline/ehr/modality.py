"""Modality `e` as training and fusion see it."""

import argparse

import numpy as np

from pipeline.ehr.dataset import EhrData, load
from pipeline.ehr.encoder import EhrEncoder
from pipeline.ehr.signals import CLASSES, vocabulary


class Ehr:
    """Tokens and demographics; every episode has this modality, if only its demographics."""

    name = "ehr"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Inputs: tokens and demographics."""
        parser.add_argument("--tokens", required=True)
        parser.add_argument("--demographics", required=True)
        parser.add_argument("--window-hours", type=float, required=True)

    def data(self, given: argparse.Namespace, episodes: np.ndarray) -> EhrData:
        """The tokens of these episodes."""
        return load(given.tokens, given.demographics, episodes, given.window_hours)

    def encoder(self, given: argparse.Namespace, data: EhrData, train: np.ndarray) -> EhrEncoder:
        """The encoder of Wang et al. 2024 over the catalogue's vocabulary."""
        return EhrEncoder(vocabulary(), list(CLASSES.values()))
