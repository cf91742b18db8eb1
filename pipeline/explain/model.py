"""The model behind a result of one modality: its frozen encoder, and the head fitted on it.

Explained is what `{letter}_unimodal_{task}` predicts by one training seed. Everything is computed
in float32: differences of log odds as small as those of one part drown in the rounding of bfloat16.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from pipeline.cohort.rows import TaskRows
from pipeline.explain.causes import Truth
from pipeline.stage import digests
from pipeline.stage.errors import InputError
from pipeline.training.checkpoint import load_weights
from pipeline.training.features import LinearHead, Unimodal
from pipeline.training.fitted import AdditiveHead
from pipeline.training.modality import Feature, ModalityData, Settings, feature_of


@dataclass(frozen=True)
class Given:
    """What a modality's explanations are made from.

    `rows`: the eligible episodes; `data`: the modality of them, in their order. `files`: what is
    read beside the encoder's own files, by name. `truth`: of the synthetic hospital, or None.
    """

    name: str
    settings: Settings
    data: Any
    rows: TaskRows
    feature: Feature
    head: nn.Module
    device: torch.device
    files: Mapping[str, Path]
    truth: Truth | None
    seed: int
    most: int
    suppress: int

    @torch.no_grad()
    def log_odds(self, feature: torch.Tensor) -> np.ndarray:
        """Features (C, 512) of episodes that have the modality → their log odds (C,)."""
        here = torch.ones(len(feature), 1, dtype=torch.bool, device=feature.device)
        logits = self.head({"embedding": feature[:, None], "here": here})
        odds: np.ndarray = (logits[:, 1] - logits[:, 0]).double().cpu().numpy()
        return odds

    def drawn(self, available: int) -> np.ndarray:
        """Which of so many items are explained: at most `most`, drawn by `seed`, ascending."""
        random = np.random.default_rng([self.seed, 0])
        return np.sort(random.permutation(available)[: self.most])


def load_head(path: Path) -> nn.Module:
    """The head beside an encoder's weights, of either protocol, in evaluation mode."""
    if not path.is_file():
        raise InputError(f"{path}: no head beside the weights; make the result of this modality")
    digests.check(path)
    state = load_file(path)
    if "linear.weight" in state:  # the published head, as trained with the encoder
        head: nn.Module = LinearHead(1, state["linear.weight"].shape[1])
    else:
        head = AdditiveHead(state["mean"], state["directions"], state["units"].shape[2],
                            torch.Generator().manual_seed(0)).float()  # fmt: skip
    load_weights(head, path)
    return head.eval()


def load_feature(name: str, settings: Settings, data: ModalityData, train: np.ndarray,
                 weights: Path) -> Feature:  # fmt: skip
    """The trained encoder of a modality, in evaluation mode; `train`: rows, as when it was
    trained."""
    model = Unimodal(feature_of(name, settings, data, train))
    load_weights(model, weights)
    return model.feature.eval()
