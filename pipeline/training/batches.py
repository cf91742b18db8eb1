"""Batches by row numbers, made ahead of the model, and what a model makes of them.

Batches of a pass are of nearly equal size, so that BatchNorm never meets a lone sample.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch import nn

from pipeline.stage.progress import JobProgress
from pipeline.training.precision import half_precision

Batch = dict[str, torch.Tensor]


def within(batch: Batch, name: str) -> Batch:
    """The tensors of one modality in a batch of several, where they are `<name>.<tensor>`."""
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in batch.items() if k.startswith(prefix)}


class Data(Protocol):
    """Rows that a model can be trained on."""

    def batch(self, rows: np.ndarray) -> Batch:
        """The tensors of these rows; the first dimension of the model's output follows `rows`."""
        ...


def batches(rows: np.ndarray, size: int, order: np.random.Generator | None = None
            ) -> list[np.ndarray]:  # fmt: skip
    """Splits `rows` into batches of at most `size`, nearly equal, shuffled by `order`.

    >>> [len(b) for b in batches(np.arange(9), 4)]
    [3, 3, 3]
    """
    if order is not None:
        rows = order.permutation(rows)
    return np.array_split(rows, max(1, -(-len(rows) // size)))


def onto(value: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor of the host on the device, without waiting for the copy."""
    return pinned(value, device).to(device, non_blocking=True)


def pinned(value: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor in memory that a GPU reads by itself, where the device is one."""
    return value.pin_memory() if device.type == "cuda" else value


def ahead(data: Data, parts: list[np.ndarray], device: torch.device) -> Iterator[Batch]:
    """Batches on the device; the next one is made while the model works on this one.

    `parts`: the row numbers of each batch, at least one.
    """

    def make(rows: np.ndarray) -> Batch:
        return {name: pinned(value, device) for name, value in data.batch(rows).items()}

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(make, parts[0])
        for following in [*parts[1:], None]:
            batch = waiting.result()
            if following is not None:
                waiting = pool.submit(make, following)
            yield {name: value.to(device, non_blocking=True) for name, value in batch.items()}


@torch.no_grad()
def evaluate(model: nn.Module, data: Data, rows: np.ndarray, size: int, device: torch.device,
             eval_mode: bool = True) -> torch.Tensor:  # fmt: skip
    """What `model` makes of the rows, in their order, float32 on the CPU.

    `eval_mode`: False leaves BatchNorm in training mode, as the published code does by mistake in
    validation and embedding: its running statistics then move.
    """
    model.train(not eval_mode)
    outputs, parts = [], batches(rows, size)
    progress = JobProgress("passing rows through the model", len(parts))
    for batch in progress.each(ahead(data, parts, device)):
        with half_precision(device):
            outputs.append(model(batch).float().cpu())
    return torch.cat(outputs)
