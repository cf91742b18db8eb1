"""One readable training loop for every encoder and head.

A `Data` gives batches by row numbers; a model turns a batch into logits (B, 2). The epoch with the
best validation AUROC is kept. Batches of an epoch are of nearly equal size, so that BatchNorm never
meets a lone sample.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.common.command import log
from pipeline.training.checkpoint import Progress
from pipeline.training.device import half_precision

Batch = dict[str, torch.Tensor]


class Data(Protocol):
    """Rows that a model can be trained on."""

    def batch(self, rows: np.ndarray) -> Batch:
        """The tensors of these rows; the first dimension of the model's output follows `rows`."""
        ...


@dataclass(frozen=True)
class Schedule:
    """How to train: the same fields for every model. The rate falls to 0 along a cosine."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float


def batches(rows: np.ndarray, size: int, order: np.random.Generator | None = None
            ) -> list[np.ndarray]:  # fmt: skip
    """Splits `rows` into batches of at most `size`, nearly equal, shuffled by `order`.

    >>> [len(b) for b in batches(np.arange(9), 4)]
    [3, 3, 3]
    """
    if order is not None:
        rows = order.permutation(rows)
    return np.array_split(rows, max(1, -(-len(rows) // size)))


def ahead(data: Data, parts: list[np.ndarray], device: torch.device) -> Iterator[Batch]:
    """Batches on the device; the next one is made while the model works on this one."""
    cuda = device.type == "cuda"

    def make(rows: np.ndarray) -> Batch:
        batch = data.batch(rows)
        return {k: v.pin_memory() for k, v in batch.items()} if cuda else batch

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(make, parts[0]) if parts else None
        for following in [*parts[1:], None]:
            if waiting is None:
                return
            batch = waiting.result()
            waiting = pool.submit(make, following) if following is not None else None
            yield {k: v.to(device, non_blocking=cuda) for k, v in batch.items()}


@torch.no_grad()
def evaluate(model: nn.Module, data: Data, rows: np.ndarray, size: int, device: torch.device
             ) -> torch.Tensor:  # fmt: skip
    """What `model` makes of the rows, in evaluation mode, in their order, float32 on the CPU."""
    model.eval()
    outputs = []
    for batch in ahead(data, batches(rows, size), device):
        with half_precision(device):
            outputs.append(model(batch).float().cpu())
    return torch.cat(outputs)


def train_one_epoch(model: nn.Module, data: Data, parts: list[np.ndarray], labels: torch.Tensor,
                    optimiser: torch.optim.Optimizer, rates: list[float], device: torch.device
                    ) -> float:  # fmt: skip
    """One pass over the batches; returns the mean loss per sample."""
    model.train()
    total, count = 0.0, 0
    for batch, rows, rate in zip(ahead(data, parts, device), parts, rates, strict=True):
        for group in optimiser.param_groups:
            group["lr"] = rate
        with half_precision(device):
            logits = model(batch)  # (B, 2)
        loss = F.cross_entropy(logits.float(), labels[rows].to(device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        total += loss.item() * len(rows)
        count += len(rows)
    return total / count


def fit(model: nn.Module, data: Data, labels: np.ndarray, train: np.ndarray, val: np.ndarray,
        schedule: Schedule, seed: int, device: torch.device, progress: Path, name: str
        ) -> list[dict[str, float]]:  # fmt: skip
    """Trains `model` in place and leaves the weights of its best epoch in it.

    `labels`: 0/1 per row of the data; `train`, `val`: row numbers. Returns the history: one record
    of loss and validation AUROC per epoch. Where `val` has one class only, the last epoch is kept.
    """
    from sklearn.metrics import roc_auc_score

    target = torch.as_tensor(labels, dtype=torch.long)
    optimiser = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad],
        lr=schedule.learning_rate, weight_decay=schedule.weight_decay,
    )  # fmt: skip
    # the file's guard: the same schedule, seed and rows, else it is another training
    state = Progress(progress, asdict(schedule) | {"seed": seed, "rows": [len(train), len(val)]})
    best, history = state.load(model, optimiser)
    both = len(np.unique(labels[val])) == 2
    steps = schedule.epochs * len(batches(train, schedule.batch_size))
    began = time.monotonic()
    resumed = len(history)
    for epoch in range(resumed, schedule.epochs):
        order = np.random.default_rng([seed, epoch])
        parts = batches(train, schedule.batch_size, order)
        done = epoch * len(parts) + np.arange(len(parts))
        rates = schedule.learning_rate * 0.5 * (1 + np.cos(np.pi * done / steps))
        tick = time.monotonic()
        loss = train_one_epoch(model, data, parts, target, optimiser, rates.tolist(), device)
        speed = len(train) / (time.monotonic() - tick)
        score = float("-inf")
        if both:
            logits = evaluate(model, data, val, schedule.batch_size * 4, device)
            score = float(roc_auc_score(labels[val], (logits[:, 1] - logits[:, 0]).numpy()))
        if not both or score > max((h["val_auroc"] for h in history), default=-1.0):
            best = {k: v.detach().clone() for k, v in model.state_dict().items()}
        history.append({"loss": round(loss, 6), "val_auroc": round(score, 6) if both else -1.0})
        state.save(model, best, optimiser, history)
        left = (time.monotonic() - began) / (epoch + 1 - resumed) * (schedule.epochs - epoch - 1)
        log.info(
            "%s seed %d  epoch %d/%d  loss %.4f  val AUROC %s  %.0f samples/s  %.0f s left",
            name, seed, epoch + 1, schedule.epochs, loss,
            f"{score:.4f}" if both else "–", speed, left,
        )  # fmt: skip
    model.load_state_dict(best)
    return history
