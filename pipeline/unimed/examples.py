"""What UniMed's errors cost: the sum over tasks, each over the stays that are eligible for it."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

from pipeline.training.examples import Examples, of_encoders
from pipeline.training.schedule import Schedule
from pipeline.unimed.data import Stays
from pipeline.unimed.model import UniMed
from pipeline.unimed.settings import Settings, Task


def columns(tasks: list[Task], groups: int) -> list[slice]:
    """The columns of each task in the model's output.

    >>> columns([Task("shock_4h", 4, 4), Task("diagnoses_48h", 48, 48)], 5)
    [slice(0, 1, None), slice(1, 6, None)]
    """
    ends = np.cumsum([groups if task.several else 1 for task in tasks]).tolist()
    return [
        slice(end - (groups if t.several else 1), end) for t, end in zip(tasks, ends, strict=True)
    ]


@dataclass(frozen=True)
class StayExamples(Examples):
    """Several tasks; `data` are `Stays`, `labels` theirs. The schedule's class weights are unused.

    Of the `settings` diagnoses: bce, summed over the groups (each counts as a binary task does), or
    softmax over them as published.
    """

    settings: Settings

    @property
    def stays(self) -> Stays:
        """The data."""
        return cast(Stays, self.data)

    def before(self, model: nn.Module, epoch: int, epochs: int) -> None:
        """Scheduled sampling: all are told the truth in the first epoch, none in the last."""
        cast(UniMed, model).sampling = 1 - epoch / (epochs - 1) if epochs > 1 else 0.0

    def loss(self, output: torch.Tensor, mine: np.ndarray, whole: np.ndarray, schedule: Schedule,
             count: int) -> torch.Tensor:  # fmt: skip
        """Unweighted sum over tasks, or weighted by learnt variances (Kendall et al. 2018)."""
        stays, total = self.stays, output.new_zeros((), dtype=torch.float32)
        own = columns(stays.tasks, stays.groups)
        output = output.float()
        for k in stays.asked:
            task, part = stays.tasks[k], own[k]
            size = stays.eligible[whole, k].sum() / count
            if not size:
                continue
            here = torch.as_tensor(stays.eligible[mine, k], device=output.device)
            loss = (self._errors(task, output[:, part], mine, k) * here).sum() / size
            if output.shape[1] > own[-1].stop:
                spread = output[0, own[-1].stop + k]  # log σ², the same in every row
                loss = loss * (-spread).exp() + spread / 2
            total = total + loss
        return total

    def parts(self, model: nn.Module, whole: np.ndarray, schedule: Schedule
              ) -> Iterator[tuple[list[nn.Parameter], float]]:  # fmt: skip
        """Of each encoder by itself: the stays that lack its modality do not count.

        ASSUME a stay weighs as many tasks as it is eligible for: exact where all stays of a batch
        are eligible for the same tasks.
        """
        stays, own = self.stays, cast(UniMed, model)
        mass = stays.eligible[whole][:, stays.asked].sum(axis=1)
        here = {name: data.present()[whole] for name, data in stays.each.items()}
        return of_encoders(own, own.memory.encoders, mass, here)

    def _errors(self, task: Task, logits: torch.Tensor, rows: np.ndarray, k: int) -> torch.Tensor:
        """The error of each row (B)."""
        if not task.several:
            target = torch.as_tensor(self.stays.label[rows, k], device=logits.device)
            return F.binary_cross_entropy_with_logits(logits[:, 0], target, reduction="none")
        target = torch.as_tensor(self.stays.multi_hot(rows), device=logits.device)
        if self.settings.diagnoses == "softmax":
            share = target / target.sum(1, keepdim=True).clamp(min=1)
            return -(share * logits.log_softmax(1)).sum(1)
        return F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(1)

    def can_choose(self) -> bool:
        """Whether the validation rows of any task can choose an epoch."""
        return any(self._choosers(k) is not None for k in self.stays.asked)

    def _choosers(self, k: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Validation rows, by position, and truth (n, labels) of a task with both classes."""
        here = np.flatnonzero(self.stays.eligible[self.val, k])
        rows = self.val[here]
        several = self.stays.tasks[k].several
        truth = self.stays.multi_hot(rows) if several else self.stays.label[rows, k][:, None]
        both = (truth.min(0, initial=1) == 0) & (truth.max(0, initial=0) == 1)
        return (here, np.where(both, truth, -1)) if both.any() else None

    def score(self, output: torch.Tensor) -> float | None:
        """Mean over tasks of the AUROC; of the diagnoses the mean over groups with both classes."""
        found = []
        parts = columns(self.stays.tasks, self.stays.groups)
        for k in self.stays.asked:
            if (chosen := self._choosers(k)) is None:
                continue
            part = parts[k]
            here, truth = chosen
            both = truth[0] >= 0
            said = output[:, part].numpy()[here][:, both]
            found.append(roc_auc_score(truth[:, both], said, average="macro"))
        return float(np.mean(found)) if found else None

    def facts(self) -> dict[str, np.ndarray]:
        """Labels, and what the model is: its start does not tell. The data hold the rest."""
        said = json.dumps([asdict(self.settings), *map(asdict, self.stays.tasks)], sort_keys=True)
        return {**super().facts(), "model": np.frombuffer(said.encode(), np.uint8)}
