"""One readable training loop for every encoder and head.

A `Data` gives batches by row numbers; a model turns a batch into logits (B, 2). The epoch with the
best validation AUROC is kept.
"""

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

from pipeline.common.command import log
from pipeline.common.errors import InputError
from pipeline.training.batches import Data, ahead, batches, evaluate
from pipeline.training.checkpoint import Epoch, Progress, digest
from pipeline.training.device import half_precision


@dataclass(frozen=True)
class Examples:
    """What a model is fitted on: rows of `data`, with 0/1 `labels` per row of the data.

    `train`, `val`: row numbers. Where `val` has one class only, it cannot choose an epoch.
    """

    data: Data
    labels: np.ndarray
    train: np.ndarray
    val: np.ndarray


@dataclass(frozen=True)
class Schedule:
    """How to train: the same fields for every model. The rate falls to 0 along a cosine."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float

    def rates(self, epoch: int, steps: int) -> list[float]:
        """The learning rate of each of the `steps` of an epoch (counted from 0).

        >>> [round(rate, 3) for rate in Schedule(2, 8, 1.0, 0.0).rates(1, 2)]
        [0.5, 0.146]
        """
        done = (epoch * steps + np.arange(steps)) / (self.epochs * steps)
        return (self.learning_rate * 0.5 * (1 + np.cos(np.pi * done))).tolist()


def train_one_epoch(model: nn.Module, examples: Examples, parts: list[np.ndarray],
                    rates: list[float], optimiser: torch.optim.Optimizer, device: torch.device
                    ) -> float:  # fmt: skip
    """One pass over the batches `parts`, one rate each; returns the mean loss per sample."""
    model.train()
    total = 0.0
    loader = ahead(examples.data, parts, device)
    for batch, rows, rate in zip(loader, parts, rates, strict=True):
        for group in optimiser.param_groups:
            group["lr"] = rate
        with half_precision(device):
            logits = model(batch)  # (B, 2)
        target = torch.as_tensor(examples.labels[rows], dtype=torch.long, device=device)
        loss = F.cross_entropy(logits.float(), target)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        total += loss.item() * len(rows)
    if not math.isfinite(total):
        raise InputError("the loss is not a finite number: lower the schedule's learning_rate")
    return total / sum(map(len, parts))


def validate(model: nn.Module, examples: Examples, size: int, device: torch.device
             ) -> float | None:  # fmt: skip
    """AUROC on the validation rows, rounded; None where they are of one class."""
    truth = examples.labels[examples.val]
    if len(np.unique(truth)) < 2:
        return None
    logits = evaluate(model, examples.data, examples.val, size, device)  # (N, 2)
    return round(float(roc_auc_score(truth, (logits[:, 1] - logits[:, 0]).numpy())), 6)


def is_best(auroc: float | None, history: list[Epoch]) -> bool:
    """Whether an epoch is to be kept: the first of the best, or the last where none has an AUROC.

    >>> is_best(0.7, [{"loss": 1.0, "val_auroc": 0.7}]), is_best(None, [])
    (False, True)
    """
    before = [epoch["val_auroc"] for epoch in history]
    return auroc is None or all(other is None or auroc > other for other in before)


def fit(model: nn.Module, examples: Examples, schedule: Schedule, seed: int, device: torch.device,
        progress: Path, name: str) -> list[Epoch]:  # fmt: skip
    """Trains `model` in place and leaves the weights of its best epoch in it.

    Returns the history: loss and validation AUROC of every epoch. A training that was killed goes
    on after its last whole epoch, found in the file `progress`; weights and history are then the
    same as if it had not been killed. The caller removes the file when all its work is done.
    """
    optimiser = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad],
        lr=schedule.learning_rate, weight_decay=schedule.weight_decay,
    )  # fmt: skip
    guard = asdict(schedule) | {"seed": seed, "of": fingerprint(model, examples)}
    state = Progress(progress, guard)
    best, history = state.load(model, optimiser)
    said = Announcer(f"{name} seed {seed}", len(history), schedule.epochs)
    for epoch in range(len(history), schedule.epochs):
        parts = batches(examples.train, schedule.batch_size, np.random.default_rng([seed, epoch]))
        rates = schedule.rates(epoch, len(parts))
        tick = time.monotonic()
        loss = train_one_epoch(model, examples, parts, rates, optimiser, device)
        speed = len(examples.train) / (time.monotonic() - tick)
        auroc = validate(model, examples, schedule.batch_size * 4, device)
        if is_best(auroc, history):
            best = {key: value.detach().clone() for key, value in model.state_dict().items()}
        history.append({"loss": round(loss, 6), "val_auroc": auroc})
        state.save(model, best, optimiser, history)
        said.epoch(history, speed)
    model.load_state_dict(best)
    return history


class Announcer:
    """One line per epoch, in the log and on screen."""

    def __init__(self, name: str, first: int, epochs: int) -> None:
        self.name, self.first, self.epochs = name, first, epochs
        self.began = time.monotonic()

    def epoch(self, history: list[Epoch], speed: float) -> None:
        """Loss, validation AUROC, samples per second in training, and the remaining time."""
        done, auroc = len(history), history[-1]["val_auroc"]
        each = (time.monotonic() - self.began) / (done - self.first)
        log.info(
            "%s  epoch %d/%d  loss %.4f  val AUROC %s  %.0f samples/s  %.0f s left",
            self.name, done, self.epochs, history[-1]["loss"],
            "–" if auroc is None else f"{auroc:.4f}", speed, each * (self.epochs - done),
        )  # fmt: skip


def fingerprint(model: nn.Module, examples: Examples) -> str:
    """A digest of what is fitted on what: rows, labels, start of the model, a batch of the data.

    Two trainings of one fingerprint, schedule and seed are the same training.
    """
    start = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    sample = examples.data.batch(examples.train[:64])
    chosen = {name: getattr(examples, name) for name in ("train", "val")}
    labels = {f"labels {name}": examples.labels[rows] for name, rows in chosen.items()}
    return digest({**chosen, **labels, **start, **{f"batch {k}": v for k, v in sample.items()}})
