"""Fusion heads: embeddings of the modalities (B, M, D) and which there are (B, M) → logits (B, 2).

Wang et al. 2024, section 2.4. Early: Linear(512·n, 512) → Linear(512, 2), as published without a
non-linearity between, so that it is linear; corrected with one. Joint: one linear layer on all
(`LinearHead` of pipeline.training.features). Late: one linear layer per modality, logits averaged.
The corrected heads are told which modalities there are (`Absence` of pipeline.training.features):
that an episode has no film may itself tell something, and how much the rest tells depends on it.
"""

import numpy as np
import torch
from torch import nn

from pipeline.training.embeddings import Embeddings
from pipeline.training.features import Absence, Head, LinearHead, Standard, guess

HIDDEN = 512
Batch = dict[str, torch.Tensor]


class EarlyHead(Head):
    """Two linear layers on all embeddings; an absent modality is zero, the mean.

    `rectified`: ReLU and dropout between the layers, and which modalities there are as an input
    (corrected protocol).
    """

    def __init__(self, modalities: int, width: int = HIDDEN, rectified: bool = False,
                 dropout: float = 0.0) -> None:  # fmt: skip
        super().__init__()
        self.standard = Standard(modalities, width)
        self.absence = Absence(modalities, width, HIDDEN, told=rectified)
        self.hidden = nn.Linear(modalities * width, HIDDEN)
        self.between = nn.Sequential(nn.ReLU(), nn.Dropout(dropout)) if rectified else nn.Identity()
        self.out = nn.Linear(HIDDEN, 2)

    def begin(self, data: Embeddings, rows: np.ndarray, share: float) -> None:
        """Standardised by `rows`, near the constant guess."""
        self.standard.learn(data, rows)
        with torch.no_grad():
            self.out.bias.copy_(torch.tensor([1 - share, share]).log())

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits (B, 2)."""
        hidden = self.hidden(self.standard(batch).flatten(1)) + self.absence(batch["here"])
        return self.out(self.between(hidden))


class LateHead(Head):
    """One linear layer per modality; the mean of the logits of the modalities that are there.

    `prior`: logits of an episode that has none of them. `told`: which there are is an input, too.
    """

    prior: torch.Tensor

    def __init__(self, modalities: int, width: int = HIDDEN, told: bool = False) -> None:
        super().__init__()
        self.standard = Standard(modalities, width)
        self.absence = Absence(modalities, width, 2, told)
        self.each = nn.ModuleList(nn.Linear(width, 2) for _ in range(modalities))
        self.register_buffer("prior", torch.zeros(2))

    def begin(self, data: Embeddings, rows: np.ndarray, share: float) -> None:
        """Standardised by `rows`, from the constant guess."""
        self.standard.learn(data, rows)
        self.absence.begin()
        for layer in self.each:
            guess(layer, share)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits (B, 2)."""
        here = batch["here"].float().unsqueeze(-1)  # (B, M, 1)
        value = self.standard(batch).unbind(dim=1)
        logits = torch.stack([f(v) for f, v in zip(self.each, value, strict=True)], dim=1)
        count = here.sum(dim=1)
        mean = (logits * here).sum(dim=1) / count.clamp(min=1) + self.absence(batch["here"])
        return torch.where(count > 0, mean, self.prior)


HEADS: dict[str, type[LinearHead] | type[LateHead]] = {
    "joint": LinearHead,
    "late-averaged": LateHead,
}  # of models that train end to end


class Dropping(Head):
    """A head that meets modality dropout in training: it learns to do without.

    Each modality of an episode vanishes with chance `rate`; where all would, none does.
    """

    def __init__(self, head: Head, rate: float) -> None:
        super().__init__()
        self.head, self.rate = head, rate

    def begin(self, data: Embeddings, rows: np.ndarray, share: float) -> None:
        """Of the head."""
        self.head.begin(data, rows, share)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits (B, 2)."""
        if self.training and self.rate:
            here = batch["here"]
            kept = here & (torch.rand(here.shape, device=here.device) >= self.rate)
            batch = batch | {"here": torch.where(kept.any(dim=1, keepdim=True), kept, here)}
        return self.head(batch)
