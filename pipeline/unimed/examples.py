"""The loss of UniMed: the sum over tasks, each over the episodes that are eligible for it."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import cast

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

from pipeline.training.examples import Examples, growth, of_encoders
from pipeline.training.settings import Training
from pipeline.unimed.data import Episodes
from pipeline.unimed.model import UniMed
from pipeline.unimed.settings import Step, UnimedModel


def columns(tasks: list[Step], groups: int) -> list[slice]:
    """The columns of each task in the model's output.

    >>> columns([Step("shock_4h", 4, 4), Step("diagnoses_48h", 48, 48, many=True)], 5)
    [slice(0, 1, None), slice(1, 6, None)]
    """
    ends = np.cumsum([groups if task.many else 1 for task in tasks]).tolist()
    return [slice(end - (groups if t.many else 1), end) for t, end in zip(tasks, ends, strict=True)]


def _instead(gradient: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    """A gradient in the place of another."""
    return gradient


@dataclass(frozen=True)
class TasksExamples(Examples):
    """Several tasks; `data` are `Episodes`, `labels` theirs. Class weights are unused.

    Of the `settings` diagnoses: bce, summed over the groups (each counts as a binary task does), or
    softmax over them as published.
    """

    settings: UnimedModel

    @property
    def episodes(self) -> Episodes:
        """The data."""
        return cast(Episodes, self.data)

    def before(self, model: nn.Module, done: float) -> None:
        """Scheduled sampling: all are told the truth at first, none from half of the budget on."""
        cast(UniMed, model).sampling = max(0.0, 1 - 2 * done)

    def loss(self, output: torch.Tensor, mine: np.ndarray, whole: np.ndarray, schedule: Training,
             count: int) -> torch.Tensor:  # fmt: skip
        """Unweighted sum over tasks, or weighted by learnt variances (Kendall et al. 2018)."""
        each = self._losses(output, mine, whole, count)
        return sum(each.values(), output.new_zeros((), dtype=torch.float32))

    def _losses(self, output: torch.Tensor, mine: np.ndarray, whole: np.ndarray, count: int
                ) -> dict[int, torch.Tensor]:  # fmt: skip
        """Task → its loss, of those for which an episode of the batch is eligible."""
        data, losses = self.episodes, {}
        spans = columns(data.tasks, data.groups)
        output = output.float()
        for k in data.asked:
            size = data.eligible[whole, k].sum() / count
            if not size:
                continue
            here = torch.as_tensor(data.eligible[mine, k], device=output.device)
            loss = (self._errors(data.tasks[k], output[:, spans[k]], mine, k) * here).sum() / size
            if output.shape[1] > spans[-1].stop:
                spread = output[0, spans[-1].stop + k]  # log σ², the same in every row
                loss = loss * (-spread).exp() + spread / 2
            losses[k] = loss
        return losses

    def before_backward(self, model: nn.Module, output: torch.Tensor, mine: np.ndarray,
                        whole: np.ndarray, count: int) -> None:  # fmt: skip
        """Of each encoder by itself: episodes without its modality do not count.

        To an encoder the loss of a task is the mean over the episodes that are eligible and whose
        modality was known by the task's horizon: it is larger by a factor of its own for each task.
        Where these differ, what comes back to the encoder is worked out from the tasks' losses (one
        more pass through the decoder), and takes the place of the gradient of their plain sum.
        """
        memory, losses = cast(UniMed, model).memory, self._losses(output, mine, whole, count)
        for name, features in memory.features.items():
            factor = self._factors(name, whole)
            if not features:  # nothing to learn: frozen, or no film in this part of the batch
                continue
            if len({*factor.values()}) < 2:
                by = next(iter(factor.values()), 1.0)
                gradients = [partial(torch.mul, other=by)] * len(features)
            else:
                loss = sum((by * losses[k] for k, by in factor.items()), output.new_zeros(()))
                own_gradients = torch.autograd.grad(loss, features, retain_graph=True)
                gradients = [partial(_instead, gradient) for gradient in own_gradients]
            for feature, hook in zip(features, gradients, strict=True):
                feature.register_hook(hook)
        memory.features.clear()

    def _factors(self, name: str, whole: np.ndarray) -> dict[int, float]:
        """Task → factor of its loss to the encoder of a modality, of tasks that it has part in."""
        data, known = self.episodes, self.known[name][whole]
        eligible = {k: data.eligible[whole, k] for k in data.asked}
        return {
            k: growth(rows, known[:, k])
            for k, rows in eligible.items()
            if (rows & known[:, k]).any()
        }

    @cached_property
    def known(self) -> dict[str, np.ndarray]:
        """Modality → whether each episode has it by the horizon of each task (N, K).

        No step of the decoder reads what its own task may not: horizons rise from step to step.
        """
        horizons = [task.horizon for task in self.episodes.tasks]
        return {
            name: np.stack([data.known_by(hours) for hours in horizons], axis=1)
            for name, data in self.episodes.each.items()
        }

    def gradient_groups(self, model: nn.Module, whole: np.ndarray, schedule: Training
              ) -> Iterator[tuple[list[nn.Parameter], float]]:  # fmt: skip
        """Each encoder is clipped by itself; see `before_backward` for its gradient."""
        return of_encoders(model, cast(UniMed, model).memory.encoders, {})

    def _errors(self, task: Step, logits: torch.Tensor, rows: np.ndarray, k: int) -> torch.Tensor:
        """The error of each row (B)."""
        if not task.many:
            target = torch.as_tensor(self.episodes.label[rows, k], device=logits.device)
            return F.binary_cross_entropy_with_logits(logits[:, 0], target, reduction="none")
        target = torch.as_tensor(self.episodes.multi_hot(rows), device=logits.device)
        if self.settings.softmax:
            share = target / target.sum(1, keepdim=True).clamp(min=1)
            return -(share * logits.log_softmax(1)).sum(1)
        return F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(1)

    def can_choose(self) -> bool:
        """Whether the validation rows of any task can choose among checks."""
        return any(self._choosers(k) is not None for k in self.episodes.asked)

    def _choosers(self, k: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Validation rows, by position, and truth (n, labels) of a task with both classes."""
        data = self.episodes
        here = np.flatnonzero(data.eligible[self.val, k])
        rows = self.val[here]
        many = data.tasks[k].many
        truth = data.multi_hot(rows) if many else data.label[rows, k][:, None]
        both = (truth.min(0, initial=1) == 0) & (truth.max(0, initial=0) == 1)
        return (here, np.where(both, truth, -1)) if both.any() else None

    def score(self, output: torch.Tensor) -> float | None:
        """Mean over tasks of the AUROC; of many labels the mean over those with both classes."""
        aurocs = []
        spans = columns(self.episodes.tasks, self.episodes.groups)
        for k in self.episodes.asked:
            if (chosen := self._choosers(k)) is None:
                continue
            span = spans[k]
            here, truth = chosen
            both = truth[0] >= 0
            score = output[:, span].numpy()[here][:, both]
            aurocs.append(roc_auc_score(truth[:, both], score, average="macro"))
        return float(np.mean(aurocs)) if aurocs else None

    def facts(self) -> dict[str, np.ndarray]:
        """Labels, and what the model is: its start does not tell. The data hold the rest."""
        facts = [self.settings.model_dump(), *map(asdict, self.episodes.tasks)]
        text = json.dumps(facts, sort_keys=True)
        return {**super().facts(), "model": np.frombuffer(text.encode(), np.uint8)}
