"""What a model is fitted on, what its errors cost, and what chooses its weights."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

from pipeline.training.batches import Data, batches, onto
from pipeline.training.checkpoint import digest
from pipeline.training.settings import Training


def batch_loss(logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor,
               total: float) -> torch.Tensor:  # fmt: skip
    """Weighted cross entropy of (part of) a batch whose weights sum to `total`: a scalar."""
    return F.cross_entropy(logits.float(), target, weight=weights, reduction="sum") / total


def growth(mass: np.ndarray, here: np.ndarray) -> float:
    """By how much a sum over the rows `here` (B) grows when it is divided by their mass alone.

    `mass` (B): the weight of each row in the loss. 1 where none of the rows counts.

    >>> growth(np.array([1, 1, 2]), np.array([True, True, False]))
    2.0
    """
    part = mass[here].sum()
    return float(mass.sum() / part) if part else 1.0


def of_encoders(model: nn.Module, encoders: nn.ModuleDict, factor: Mapping[str, float]
                ) -> Iterator[tuple[list[nn.Parameter], float]]:  # fmt: skip
    """The `gradient_groups` of a model of several encoders: of each encoder, then of all the rest.

    The loss is a mean over a batch, of whose rows some lack a modality. So that the step of its
    encoder is the one that the others alone would give, its gradient is that of the mean over
    them, by a `factor` (encoder → as in `more`; 1 where there is none), and clipped by itself.
    """
    within: set[int] = set()
    for name, encoder in encoders.items():
        weights = list(encoder.parameters())
        within |= set(map(id, weights))
        yield weights, factor.get(name, 1.0)
    yield [weight for weight in model.parameters() if id(weight) not in within], 1.0


@dataclass(frozen=True)
class Examples:
    """One binary task: rows of `data`, with 0/1 `labels` per row of the data; logits are (B, 2).

    `train`, `val`: row numbers. Where `val` has one class only, it cannot choose.
    """

    data: Data
    labels: np.ndarray
    train: np.ndarray
    val: np.ndarray

    def before(self, model: nn.Module, done: float) -> None:
        """What the model is told when this share of the budget is done: nothing."""

    def loss(self, output: torch.Tensor, mine: np.ndarray, whole: np.ndarray, schedule: Training,
             count: int) -> torch.Tensor:  # fmt: skip
        """The loss of the rows `mine`, a part of the batch `whole` shared by `count` processes.

        Of the whole batch, so that the mean over processes is the gradient of one process.
        """
        weights = onto(torch.tensor(schedule.class_weights, dtype=torch.float32), output.device)
        target = onto(torch.as_tensor(self.labels[mine], dtype=torch.long), output.device)
        mass = sum(schedule.class_weights[y] for y in self.labels[whole]) / count
        return batch_loss(output, target, weights, mass)

    def before_backward(self, model: nn.Module, output: torch.Tensor, mine: np.ndarray,
                        whole: np.ndarray, count: int) -> None:  # fmt: skip
        """What is done to gradients on their way back from the `loss`, of which see: nothing."""

    def gradient_groups(self, model: nn.Module, whole: np.ndarray, schedule: Training
              ) -> Iterator[tuple[list[nn.Parameter], float]]:  # fmt: skip
        """Weights whose gradients are clipped together, and by what each is multiplied before.

        Of one encoder, whose rows all have its modality: all weights, as they are. Where several
        encoders train together, see `of_encoders`.
        """
        yield list(model.parameters()), 1.0

    def can_choose(self) -> bool:
        """Whether the validation rows can choose among checks."""
        return len(np.unique(self.labels[self.val])) == 2

    def score(self, output: torch.Tensor) -> float | None:
        """AUROC of what a model made of the validation rows."""
        score = (output[:, 1] - output[:, 0]).numpy()
        return float(roc_auc_score(self.labels[self.val], score))

    def facts(self) -> dict[str, np.ndarray]:
        """What is learnt beside the data: the labels of the rows, in their order, by name."""
        chosen = {"train": self.train, "val": self.val}
        return {f"labels {name}": self.labels[rows] for name, rows in chosen.items()}

    @cached_property
    def digest(self) -> str:
        """A digest of the facts and of all data of the rows: one pass, whatever the seeds."""
        total = hashlib.sha256(digest(self.facts()).encode())
        for part in batches(np.concatenate([self.train, self.val]), 256):
            total.update(digest(self.data.batch(part)).encode())
        return total.hexdigest()
