"""One readable training loop for every encoder and head.

A `Data` gives batches by row numbers; a model turns a batch into logits; the `Examples` say what
they cost. The epoch with the best validation AUROC is kept. Under torchrun every process takes its
part of each batch.
"""

import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pipeline.stage.command import log
from pipeline.stage.errors import InputError
from pipeline.training.batches import ahead, batches, evaluate
from pipeline.training.checkpoint import Epoch, Progress
from pipeline.training.examples import Examples
from pipeline.training.fingerprint import fingerprint
from pipeline.training.precision import half_precision
from pipeline.training.processes import SINGLE, Processes
from pipeline.training.settings import Schedule, Training

OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def rates(schedule: Schedule, epoch: int, steps: int) -> list[float]:
    """The learning rate of each of the `steps` of an epoch (counted from 0).

    >>> schedule = Schedule(epochs=2, batch_size=8, learning_rate=1.0, weight_decay=0.0)
    >>> [round(rate, 3) for rate in rates(schedule, 1, 2)]
    [0.5, 0.146]
    """
    if schedule.decay == "constant":
        return [schedule.learning_rate] * steps
    done = (epoch * steps + np.arange(steps)) / (schedule.epochs * steps)
    return (schedule.learning_rate * 0.5 * (1 + np.cos(np.pi * done))).tolist()


def optimiser_of(schedule: Schedule, model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of the parameters that are not frozen."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    # fused: one pass over the weights, at small batches a third of the time of a step
    return OPTIMISERS[schedule.optimiser](
        weights, lr=schedule.learning_rate, weight_decay=schedule.weight_decay, fused=True
    )


def train_one_epoch(model: nn.Module, examples: Examples, parts: list[np.ndarray],
                    schedule: Training, epoch: int, optimiser: torch.optim.Optimizer,
                    device: torch.device, processes: Processes = SINGLE) -> float:  # fmt: skip
    """One pass over the batches `parts`; returns the mean loss over batches of this process."""
    model.train()
    losses = []
    mine = [processes.share(part) for part in parts]
    loader = ahead(examples.data, mine, device)
    for batch, rows, whole, rate in zip(
        loader, mine, parts, rates(schedule, epoch, len(parts)), strict=True
    ):
        for group in optimiser.param_groups:
            group["lr"] = rate
        with half_precision(device):
            output = model(batch)
        loss = examples.loss(output, rows, whole, schedule, processes.count)
        optimiser.zero_grad(set_to_none=True)
        bare = processes.bare(model)
        examples.before_backward(bare, output, rows, whole, processes.count)
        loss.backward()
        for weights, factor in examples.gradient_groups(bare, whole, schedule):
            level(weights, factor, schedule.clip)
        optimiser.step()
        losses.append(loss.detach())  # read at the end: until then a GPU runs ahead of Python
    total = sum(torch.stack(losses).tolist())
    if not math.isfinite(total):
        raise InputError("the loss is not a finite number: lower the schedule's learning_rate")
    return total / len(parts)


def level(weights: list[nn.Parameter], factor: float, clip: float | None) -> None:
    """Multiplies the gradients of some weights, then clips their norm."""
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    if gradients and factor != 1:
        torch._foreach_mul_(gradients, factor)
    if gradients and clip is not None:
        nn.utils.clip_grad_norm_(weights, clip)


def validate(model: nn.Module, examples: Examples, schedule: Training, device: torch.device
             ) -> float | None:  # fmt: skip
    """AUROC on the validation rows, rounded; None where they cannot tell."""
    if not examples.can_choose():
        return None
    size, mode = schedule.batch_size * 4, schedule.eval_mode
    output = evaluate(model, examples.data, examples.val, size, device, mode)
    auroc = examples.score(output)
    return None if auroc is None else round(auroc, 6)


def is_best(auroc: float | None, history: list[Epoch]) -> bool:
    """Whether an epoch is to be kept: the first of the best, or the last where none has an AUROC.

    >>> is_best(0.7, [{"loss": 1.0, "val_auroc": 0.7}]), is_best(None, [])
    (False, True)
    """
    known = [epoch["val_auroc"] for epoch in history if epoch["val_auroc"] is not None]
    return not known if auroc is None else auroc > max(known, default=-1.0)


def fit(model: nn.Module, examples: Examples, schedule: Training, seed: int, device: torch.device,
        progress: Path, name: str, processes: Processes = SINGLE) -> list[Epoch]:  # fmt: skip
    """Trains `model` in place and leaves the weights of its best epoch in it.

    Returns the history: loss and validation AUROC of every epoch. A training that was killed goes
    on after its last whole epoch, found in the file `progress`; weights and history are then the
    same as if it had not been killed. The file keeps what came of a finished training: where
    nothing that decides the weights has changed since, no epoch is trained. Of several processes
    the first validates for all, announces, and writes `progress`.
    """
    if schedule.batch_size < processes.count:
        raise InputError(f"schedule.batch_size {schedule.batch_size} is below torch.processes "
                         f"{processes.count}: every process needs a part")  # fmt: skip
    optimiser = optimiser_of(schedule, model)
    guard = schedule.model_dump() | {"seed": seed, "of": fingerprint(model, examples, device),
                                "processes": processes.count}  # fmt: skip
    state = Progress(progress, guard)
    best, history = state.load(model, optimiser)
    if processes.first and len(history) == schedule.epochs:
        log.info("%s seed %d  trained before on the same: kept", name, seed)
    parallel = processes.parallel(model, device, together=schedule.eval_mode)
    announcer = Announcer(f"{name} seed {seed}", len(history), schedule.epochs)
    for epoch in range(len(history), schedule.epochs):
        parts = batches(examples.train, schedule.batch_size, np.random.default_rng([seed, epoch]))
        examples.before(model, epoch, schedule.epochs)
        tick = time.monotonic()
        loss = train_one_epoch(
            parallel, examples, parts, schedule, epoch, optimiser, device, processes
        )
        speed = len(examples.train) / (time.monotonic() - tick)
        loss, auroc = processes.mean(loss), None
        if processes.first:
            auroc = validate(model, examples, schedule, device)
            if is_best(auroc, history):
                best = {key: value.detach().clone() for key, value in model.state_dict().items()}
        history.append({"loss": round(loss, 6), "val_auroc": auroc})
        if processes.first:
            state.save(model, best, optimiser, history, len(history) == schedule.epochs)
            announcer.epoch(history, speed)
        processes.wait()
    if processes.first:
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
