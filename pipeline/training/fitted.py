"""Heads on frozen features, fitted on all episodes at once.

A head maps the features of M modalities (B, M, D), and which of them there are (B, M), to logits
(B, 2). Training is deterministic and takes no batches: L-BFGS on the whole share, in float64 on the
CPU, with an L2 penalty. Modality dropout is taken in expectation: an episode counts once with every
set of modalities that it may keep, by the chance of that set. How strong the penalty is, and
whether there is a hidden layer, is chosen in `pipeline.training.shape`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.stage.errors import InputError
from pipeline.training.embeddings import Embeddings

KEPT = 0.99  # share of a modality's variance that its principal directions hold
EVALUATIONS = 100  # of the loss, at most, in one fit
RARE = 0.01  # a chance
SMALL = 0.1  # standard deviation of weights that must not start equal
Batch = dict[str, torch.Tensor]


class FittedHead(nn.Module, ABC):
    """A head on frozen features; an absent modality counts as the mean, and as absent.

    It reads each modality's principal directions, K of them, at a total variance of 1: directions
    in which features hardly vary stay small (see `principal`).
    """

    mean: torch.Tensor
    directions: torch.Tensor

    def __init__(self, mean: torch.Tensor, directions: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)  # (M, D)
        self.register_buffer("directions", directions)  # (M, D, K)
        self.bias = weights()

    @property
    def size(self) -> tuple[int, int]:
        """Modalities, and directions of each."""
        return self.directions.shape[0], self.directions.shape[2]

    def directed(self, batch: Batch) -> torch.Tensor:
        """Batch → (B, M, K); zero, the mean, where a modality is absent."""
        value = batch["embedding"].to(self.mean.dtype) - self.mean
        there = batch["here"].unsqueeze(-1)
        return torch.einsum("bmd,mdk->bmk", value.masked_fill(~there, 0.0), self.directions)

    @abstractmethod
    def each(self, value: torch.Tensor) -> torch.Tensor:
        """What each modality says by itself: (B, M, K) → (B, M, any)."""

    @abstractmethod
    def together(self, each: torch.Tensor, here: torch.Tensor) -> torch.Tensor:
        """The log odds (…, B) of (…, B, M, any), where of each episode `here` (…, B, M) is seen."""

    def penalised(self) -> list[nn.Parameter]:
        """The parameters that the penalty draws to zero: all but scalars."""
        return [weight for weight in self.parameters() if weight.ndim]

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits (B, 2), in full precision whatever encoders compute in."""
        with torch.autocast(batch["here"].device.type, enabled=False):
            odds = self.together(self.each(self.directed(batch)), batch["here"])
        return torch.stack([torch.zeros_like(odds), odds], dim=1)


class AdditiveHead(FittedHead):
    """A linear layer on all modalities and which are absent; with `hidden` units beside it, if any.

    The units (ReLU) read the same and add to it: without them it is a logistic regression.
    """

    def __init__(self, mean: torch.Tensor, directions: torch.Tensor, hidden: int,
                 draw: torch.Generator) -> None:  # fmt: skip
        super().__init__(mean, directions)
        modalities, kept = self.size
        self.linear = weights(modalities, kept, 1)
        self.absent = weights(modalities, 1 + hidden)
        self.units = weights(modalities, kept, hidden, draw=draw)
        self.shift = weights(hidden)
        self.out = weights(hidden, draw=draw)

    def each(self, value: torch.Tensor) -> torch.Tensor:
        """(B, M, 1 + hidden): the linear layer, then the units."""
        return torch.einsum("bmk,mku->bmu", value, torch.cat([self.linear, self.units], dim=2))

    def together(self, each: torch.Tensor, here: torch.Tensor) -> torch.Tensor:
        """(…, B)."""
        total = torch.where(here.unsqueeze(-1), each, self.absent).sum(dim=-2)
        return self.bias + total[..., 0] + torch.relu(total[..., 1:] + self.shift) @ self.out


def weights(*shape: int, draw: torch.Generator | None = None) -> nn.Parameter:
    """Parameters in float64, zero, or small and drawn."""
    if draw is None:
        return nn.Parameter(torch.zeros(shape, dtype=torch.float64))
    return nn.Parameter(SMALL * torch.randn(shape, generator=draw, dtype=torch.float64))


def principal(data: Embeddings, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (M, D) and directions (M, D, K) of the modalities, of those `rows` that have them.

    The K directions hold `KEPT` of the variance of every modality, which is 1 in all of them
    together: of several modalities none counts more because its features are long.
    """
    means, found, needed = [], [], 1
    for place, here in enumerate(data.here[rows].T):
        value = torch.from_numpy(data.value[rows[here], place]).double()
        means.append(value.sum(dim=0) / max(len(value), 1))
        centred = value - means[-1]
        variance, vectors = torch.linalg.eigh(centred.T @ centred / max(len(value), 1))
        variance, total = variance.flip(0).clamp(min=0), float(variance.sum())
        needed = max(needed, int((variance.cumsum(0) < KEPT * total).sum()) + 1)
        found.append(vectors.flip(1) / (total or 1.0) ** 0.5)  # 0: nobody has it, or all the same
    kept = min(needed, data.value.shape[2])
    return torch.stack(means), torch.stack(found)[..., :kept].contiguous()


def kept_sets(modalities: int, rate: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The sets of modalities that dropout may keep (S, M) bool, and the chance of each (S,).

    Sets of a chance below `RARE` are left out, so that few are passed through the head.

    >>> kept_sets(1, 0.25)[1].tolist()
    [0.25, 0.75]
    >>> kept_sets(2, 0.0)[0].tolist()
    [[True, True]]
    """
    sets = torch.tensor(list(product([False, True], repeat=modalities)))
    chance = torch.where(sets, 1.0 - rate, rate).double().prod(dim=1)
    likely = chance >= RARE
    return sets[likely], chance[likely] / chance[likely].sum()


def without(here: torch.Tensor, sets: torch.Tensor) -> torch.Tensor:
    """Which modalities (N, M) are left with each of the sets: (S, N, M); never none of them."""
    left = here & sets[:, None]
    return torch.where(left.any(dim=-1, keepdim=True), left, here)


@dataclass(frozen=True)
class Known:
    """Episodes with what a head reads of them: value (N, M, K), here (N, M), label (N,) 0/1."""

    value: torch.Tensor
    here: torch.Tensor
    label: torch.Tensor

    def of(self, rows: np.ndarray) -> "Known":
        """Some of them."""
        some = torch.from_numpy(rows)
        return Known(self.value[some], self.here[some], self.label[some])


def train(head: FittedHead, known: Known, strength: float, rate: float) -> None:
    """Fits the head in place, from where it is; `rate`: of modality dropout."""
    sets, chance = kept_sets(known.here.shape[1], rate)
    here, label = without(known.here, sets), known.label.expand(len(sets), -1)
    weights, scale = head.penalised(), 0.5 / (strength * len(known.label))
    optimiser = torch.optim.LBFGS(
        head.parameters(), max_iter=EVALUATIONS, max_eval=EVALUATIONS, tolerance_grad=1e-5,
        tolerance_change=1e-7, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        odds = head.together(head.each(known.value).expand(len(sets), -1, -1, -1), here)
        each = F.binary_cross_entropy_with_logits(odds, label, reduction="none").mean(dim=1)
        total = each @ chance + scale * sum(weight.square().sum() for weight in weights)
        total.backward()
        return total

    optimiser.step(loss)


@torch.no_grad()
def odds_of(head: FittedHead, known: Known) -> torch.Tensor:
    """The log odds (N,) of a head; raises `InputError` where they are not all finite."""
    odds = head.together(head.each(known.value), known.here)
    if not odds.isfinite().all():
        raise InputError(
            f"{type(head).__name__}: its log odds are NaN or infinite: does it divide by zero, or "
            "mask by infinity, where an episode has none of the modalities?"
        )
    return odds
