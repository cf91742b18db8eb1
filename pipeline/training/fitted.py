"""Heads on frozen features: fitted on all episodes at once, their shape chosen on validation.

A head maps the features of M modalities (B, M, D), and which of them there are (B, M), to logits
(B, 2). Training is deterministic and takes no batches: L-BFGS on the whole share, in float64 on the
CPU, with an L2 penalty. Modality dropout is taken in expectation: an episode counts once with every
set of modalities that it may keep, by the chance of that set.

How strong the penalty is, and whether there is a hidden layer of which width, is chosen by the log
loss of episodes that were not fitted on: those of the fitted share in a cross-validation (folds by
patient) and those of validation, together. Validation alone, with some tens of positives, says too
little. The head itself is fitted on its share alone, so that validation can choose a threshold.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from typing_extensions import TypedDict

from pipeline.cohort.rows import TaskRows, check_classes
from pipeline.stage.command import log
from pipeline.stage.errors import InputError
from pipeline.training.embeddings import Embeddings

FOLDS = 5
KEPT = 0.99  # share of a modality's variance that its principal directions hold
EVALUATIONS = 100  # of the loss, at most, in one fit
RARE = 0.01  # a chance
SMALL = 0.1  # standard deviation of weights that must not start equal
Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Shape:
    """A candidate: `hidden` units of a further layer, 0 for none, and how much the data count.

    `strength`: C of a regression whose modalities have a total variance of 1 each: the smaller, the
    more shrinkage.
    """

    hidden: int
    strength: float


def shapes(widths: Sequence[int], strengths: Sequence[float]) -> list[Shape]:
    """The candidates: each width with each strength, the most shrinkage first.

    >>> shapes([0, 8], [1.0, 0.1])[:2]
    [Shape(hidden=0, strength=0.1), Shape(hidden=0, strength=1.0)]
    """
    return [Shape(*one) for one in product(widths, sorted(strengths))]


class Choice(TypedDict):
    """What was chosen for a head, and the mean log loss of every candidate, if one was compared."""

    fitted_on: int
    hidden: int
    strength: float
    candidates: list[dict[str, float]]


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


STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
SHAPES = [*shapes([0], STRENGTHS), *shapes([4, 16], [0.1])]


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
    """The log odds (N,) of a head."""
    return head.together(head.each(known.value), known.here)


def folds_of(subject: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The fold of each episode: a patient's together, patients with a positive spread evenly.

    >>> folds_of(np.array([7, 8, 9, 9]), np.array([0, 1, 0, 0])).tolist()
    [0, 2, 1, 1]
    """
    ids, place = np.unique(subject, return_inverse=True)
    positive = np.zeros(len(ids), int)
    np.maximum.at(positive, place, label)
    fold = np.empty(len(ids), int)
    fold[np.argsort(positive, kind="stable")] = np.arange(len(ids)) % FOLDS
    return fold[place]


def path(build: Callable[[int], FittedHead], known: Known, tried: Sequence[Shape], rate: float
         ) -> list[FittedHead]:  # fmt: skip
    """A head of each shape, fitted on all that is known.

    To be quick, one without hidden units starts from that of the last strength: additive heads have
    one optimum. One with them starts from that without, of the same strength, if there is one.
    """
    share = known.label.mean().logit().item()
    heads: list[FittedHead] = []
    plain: dict[float, FittedHead] = {}  # without hidden units, by strength
    last = None
    for shape in tried:
        head = build(shape.hidden)
        start = plain.get(shape.strength) if shape.hidden else last
        if start is None:
            head.bias.data.fill_(share)
        else:
            start_from(head, start)
        train(head, known, shape.strength, rate)
        heads.append(head)
        if not shape.hidden:
            plain[shape.strength] = last = head
    return heads


@torch.no_grad()
def start_from(head: FittedHead, plain: FittedHead) -> None:
    """Gives a head the weights of one that has fewer or as many of each."""
    for name, weight in plain.named_parameters():
        head.get_parameter(name)[tuple(map(slice, weight.shape))] = weight


Family = Callable[[torch.Tensor, torch.Tensor, int, torch.Generator], FittedHead]


def left_out(build: Callable[[int], FittedHead], known: Known, fold: np.ndarray,
             tried: Sequence[Shape], rate: float) -> torch.Tensor:  # fmt: skip
    """The log odds (T, N) of every episode by heads of each shape, fitted on the other folds.

    NaN where these are of one class.
    """
    odds = torch.full((len(tried), len(fold)), torch.nan, dtype=torch.float64)
    for one in range(FOLDS):
        others, held = known.of(np.flatnonzero(fold != one)), np.flatnonzero(fold == one)
        if len(held) and len(others.label.unique()) == 2:
            heads = path(build, others, tried, rate)
            odds[:, held] = torch.stack([odds_of(head, known.of(held)) for head in heads])
    return odds


def losses_of(odds: torch.Tensor, label: torch.Tensor) -> list[float]:
    """The mean log loss (T) over the episodes (N) that have log odds (T, N); infinite without."""
    told = ~odds.isnan().any(dim=0)
    truth = label[told].expand(len(odds), -1)
    each = F.binary_cross_entropy_with_logits(odds[:, told], truth, reduction="none")
    return each.mean(dim=1).nan_to_num(nan=torch.inf).tolist()


def choose(family: Family, tried: Sequence[Shape], data: Embeddings, rows: TaskRows,
           fitted: np.ndarray, val: np.ndarray, rate: float, seed: int, name: str
           ) -> tuple[FittedHead, Choice]:  # fmt: skip
    """The best of the shapes, fitted on the rows `fitted`; of equals the first.

    `rate`: of modality dropout. Raises `InputError` where there are no such rows, or they are of
    one class.
    """
    if not len(fitted):
        raise InputError(f"{name}: none of the episodes of the fusion share has this modality: "
                         "its selection's log says how many there were at all")  # fmt: skip
    check_classes(rows, np.asarray(data.here.any(axis=1)), name, ["fusion"])
    mean, directions = principal(data, fitted)

    def build(hidden: int) -> FittedHead:
        return family(mean, directions, hidden, torch.Generator().manual_seed(seed))

    both, size = np.concatenate([fitted, val]), len(fitted)
    label = torch.from_numpy(rows.label[both]).double()
    known = Known(build(0).directed(data.batch(both)), torch.from_numpy(data.here[both]), label)
    own, checked = known.of(np.arange(size)), known.of(np.arange(size, len(both)))
    heads = path(build, own, tried, rate)
    fold = folds_of(rows.subject[fitted], rows.label[fitted])
    odds = left_out(build, own, fold, tried, rate)
    of_val = torch.stack([odds_of(head, checked) for head in heads])
    losses = losses_of(torch.cat([odds, of_val], dim=1), label)
    best = int(np.argmin(losses))
    return heads[best].float(), choice_of(tried, losses, best, size, name, seed)


def choice_of(tried: Sequence[Shape], losses: Sequence[float], best: int, size: int, name: str,
              seed: int) -> Choice:  # fmt: skip
    """What was chosen, logged."""
    shape = tried[best]
    log.info("%s seed %d  head fitted on %d: %d hidden units, strength %g; log loss %.4f where not "
             "fitted", name, seed, size, shape.hidden, shape.strength, losses[best])  # fmt: skip
    each = [{**asdict(one), "log_loss": round(loss, 6)}
            for one, loss in zip(tried, losses, strict=True) if np.isfinite(loss)]  # fmt: skip
    return {"fitted_on": size, "hidden": shape.hidden, "strength": shape.strength,
            "candidates": each}  # fmt: skip
