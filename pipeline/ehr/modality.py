"""Modality `e` as training and fusion see it."""

import numpy as np

from pipeline.ehr.dataset import EhrData, load
from pipeline.ehr.encoder import EhrEncoder, start_by_value
from pipeline.ehr.signals import classes, vocabulary
from pipeline.training.modality import Given


class Ehr:
    """Tokens and demographics; every episode has this modality, if only its demographics."""

    def data(self, given: Given, episodes: np.ndarray) -> EhrData:
        """The tokens of these episodes. Given: tokens, demographics, window_hours."""
        return load(given["tokens"], given["demographics"], episodes, given["window_hours"])

    def encoder(self, given: Given, data: EhrData, train: np.ndarray) -> EhrEncoder:
        """The encoder of Wang et al. 2024 over a catalogue. Given: signals, start_by_value."""
        name = given["signals"]
        encoder = EhrEncoder(vocabulary(name), list(classes(name).values()))
        if given["start_by_value"]:
            start_by_value(encoder)
        return encoder


MODALITY = Ehr()
