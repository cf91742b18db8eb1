"""Fusion heads: features of the modalities (B, M, D) and which there are (B, M) → logits (B, 2).

Wang et al. 2024, section 2.4. Early, as published: Linear(512·n, 512) → Linear(512, 2) without a
non-linearity between. Joint: one linear layer on all (`LinearHead` of pipeline.training.features).
Late-averaged: one linear layer per modality, logits averaged. Gated: attention over the modalities.

Those that train with their encoders, by batches, are `HEADS`; those that are fitted on frozen
features, of which the corrected protocol chooses the shape, are `FAMILIES`, by model
(`pipeline.training.shape`). Both are told which modalities there are: that an episode has no film
may itself tell something, and how much the rest tells depends on it.
"""

import torch
from torch import nn

from pipeline.stage.errors import InputError
from pipeline.training.features import Absence, LinearHead
from pipeline.training.fitted import AdditiveHead, FittedHead, weights
from pipeline.training.shape import SHAPES, STRENGTHS, Family, Shape, shapes

HIDDEN = 512
GATED = [*shapes([0], STRENGTHS), *shapes([1], (0.1, 0.3, 1.0, 3.0))]
Batch = dict[str, torch.Tensor]


class EarlyHead(nn.Module):
    """The published head: two linear layers on all embeddings; an absent modality is zero."""

    def __init__(self, modalities: int, width: int = HIDDEN) -> None:
        super().__init__()
        self.hidden = nn.Linear(modalities * width, HIDDEN)
        self.out = nn.Linear(HIDDEN, 2)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits (B, 2)."""
        value = batch["embedding"] * batch["here"].unsqueeze(-1)
        return self.out(self.hidden(value.flatten(1)))


class LateHead(nn.Module):
    """One linear layer per modality; the mean of the logits of the modalities that are there.

    `prior`: logits of an episode that has none of them. `told`: which there are is an input, too.
    """

    prior: torch.Tensor

    def __init__(self, modalities: int, width: int = HIDDEN, told: bool = False) -> None:
        super().__init__()
        self.absence = Absence(modalities, width, 2, told)
        self.each = nn.ModuleList(nn.Linear(width, 2) for _ in range(modalities))
        self.register_buffer("prior", torch.zeros(2))

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits (B, 2)."""
        here = batch["here"].float().unsqueeze(-1)  # (B, M, 1)
        value = (batch["embedding"] * here).unbind(dim=1)
        logits = torch.stack([f(v) for f, v in zip(self.each, value, strict=True)], dim=1)
        count = here.sum(dim=1)
        mean = (logits * here).sum(dim=1) / count.clamp(min=1) + self.absence(batch["here"])
        return torch.where(count > 0, mean, self.prior)


class Attention(nn.Module):
    """A token per modality (…, B, M, 2) and which there are (…, B, M) → log odds (…, B).

    A token is what a modality says, and how much that counts: the softmax of the latter over the
    modalities weighs the former. In place of an absent modality stands a learnt token of its own:
    without a film the others may count more. Of equal weights it is the sum of what each says; what
    counts more whoever is there is told by what it says, not by a weight of its own, which no
    penalty would hold.
    """

    def __init__(self, modalities: int) -> None:
        super().__init__()
        self.absent = weights(modalities, 2)

    def forward(self, token: torch.Tensor, here: torch.Tensor) -> torch.Tensor:
        """(…, B)."""
        token = torch.where(here.unsqueeze(-1), token, self.absent)
        share = token[..., 1].softmax(dim=-1) * len(self.absent)  # 1 on average
        return (share * token[..., 0]).sum(dim=-1)


class GatedHead(FittedHead):
    """Attention over one token per modality.

    How much a modality counts depends on which there are; with `hidden`, on its features, too.
    """

    def __init__(self, mean: torch.Tensor, directions: torch.Tensor, hidden: int,
                 draw: torch.Generator) -> None:  # fmt: skip
        super().__init__(mean, directions)
        modalities, kept = self.size
        self.said = weights(modalities, kept)
        self.counts = weights(modalities, kept) if hidden else None
        self.attention = Attention(modalities)

    def each(self, value: torch.Tensor) -> torch.Tensor:
        """The tokens (B, M, 2)."""
        said = torch.einsum("bmk,mk->bm", value, self.said)
        counts = torch.zeros_like(said)
        if self.counts is not None:
            counts = torch.einsum("bmk,mk->bm", value, self.counts)
        return torch.stack([said, counts], dim=-1)

    def together(self, each: torch.Tensor, here: torch.Tensor) -> torch.Tensor:
        """(…, B)."""
        return self.bias + self.attention(each, here)


class AveragedHead(FittedHead):
    """The mean of what the modalities that are there say, beside which are absent; linear."""

    def __init__(self, mean: torch.Tensor, directions: torch.Tensor, hidden: int,
                 draw: torch.Generator) -> None:  # fmt: skip
        super().__init__(mean, directions)
        modalities, kept = self.size
        self.linear, self.shift = weights(modalities, kept), weights(modalities)
        self.absent = weights(modalities)

    def each(self, value: torch.Tensor) -> torch.Tensor:
        """The log odds of each modality (B, M, 1)."""
        return (torch.einsum("bmk,mk->bm", value, self.linear) + self.shift).unsqueeze(-1)

    def together(self, each: torch.Tensor, here: torch.Tensor) -> torch.Tensor:
        """(…, B)."""
        there = here.to(each.dtype)
        count = there.sum(dim=-1)
        mean = (each[..., 0] * there).sum(dim=-1) / count.clamp(min=1)
        told = mean + (1 - there) @ self.absent
        return self.bias + torch.where(count > 0, told, 0.0)  # of who has none: the constant guess


class TrainedGatedHead(nn.Module):
    """Attention over one token per modality, trained with the encoders by batches."""

    def __init__(self, modalities: int, width: int = HIDDEN, told: bool = True) -> None:
        super().__init__()
        self.token = nn.ModuleList(nn.Linear(width, 2) for _ in range(modalities))
        self.attention = Attention(modalities).float()

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits (B, 2)."""
        each = zip(self.token, batch["embedding"].unbind(dim=1), strict=True)
        token = torch.stack([layer(value) for layer, value in each], dim=1)  # (B, M, 2)
        odds = self.attention(token, batch["here"])
        return torch.stack([-odds / 2, odds / 2], dim=1)


HEADS: dict[str, type[LinearHead] | type[LateHead] | type[TrainedGatedHead]] = {
    "joint": LinearHead,
    "late-averaged": LateHead,
    "gated-joint": TrainedGatedHead,
}  # of models that train end to end
FAMILIES: dict[str, tuple[Family, list[Shape]]] = {
    "early": (AdditiveHead, SHAPES),
    "joint": (AdditiveHead, SHAPES),
    "late-averaged": (AveragedHead, shapes([0], STRENGTHS)),
    "gated": (GatedHead, GATED),
    "gated-joint": (GatedHead, GATED),
}  # by model: the head that is fitted on frozen features, and the shapes to choose from


def family_of(model: str) -> tuple[Family, list[Shape]]:
    """The head of a model and its shapes; `InputError` where it has none."""
    if model not in FAMILIES:
        raise InputError(f"{model}: no head; add it to FAMILIES in pipeline/fusion/heads.py")
    return FAMILIES[model]


class Dropping(nn.Module):
    """A head that meets modality dropout in training by batches: it learns to do without.

    Each modality of an episode vanishes with chance `rate`; where all would, none does.
    """

    def __init__(self, head: nn.Module, rate: float) -> None:
        super().__init__()
        self.head, self.rate = head, rate

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits (B, 2)."""
        if self.training and self.rate:
            here = batch["here"]
            kept = here & (torch.rand(here.shape, device=here.device) >= self.rate)
            batch = batch | {"here": torch.where(kept.any(dim=1, keepdim=True), kept, here)}
        logits: torch.Tensor = self.head(batch)
        return logits
