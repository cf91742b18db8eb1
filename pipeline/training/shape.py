"""The shape of a head on frozen features: its penalty and hidden units, chosen on validation.

How strong the penalty is, and whether there is a hidden layer of which width, is chosen by the log
loss of episodes that were not fitted on: those of the fitted share in a cross-validation (folds by
patient) and those of validation, together. Validation alone, with some tens of positives, says too
little. The head itself is fitted on its share alone, so that validation can choose a threshold.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np
import torch
from torch.nn import functional as F
from typing_extensions import TypedDict

from pipeline.cohort.rows import TaskRows, check_classes
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import tell
from pipeline.training.embeddings import Embeddings
from pipeline.training.fitted import FittedHead, Known, odds_of, principal, train

FOLDS = 5


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


STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
SHAPES = [*shapes([0], STRENGTHS), *shapes([4, 16], [0.1])]
Family = Callable[[torch.Tensor, torch.Tensor, int, torch.Generator], FittedHead]


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
    tell(
        f"{name} seed {seed}  head fitted on %s: {shape.hidden} hidden units, strength "
        f"{shape.strength:g}; log loss {losses[best]:.4f} where not fitted",
        size,
    )
    each = [{**asdict(one), "log_loss": round(loss, 6)}
            for one, loss in zip(tried, losses, strict=True) if np.isfinite(loss)]  # fmt: skip
    return {"fitted_on": size, "hidden": shape.hidden, "strength": shape.strength,
            "candidates": each}  # fmt: skip
