"""One readable training loop for every encoder and head.

A `Data` gives batches by row numbers; a model turns a batch into logits; the `Examples` say what
they cost. Every so many steps the model is validated; the check with the best validation AUROC is
kept, and `Budget` says when to stop. Under torchrun every process takes its part of each batch.
"""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pipeline.stage.command import log
from pipeline.stage.errors import InputError
from pipeline.stage.progress import EVERY, FIRST
from pipeline.stage.progress import log as screen
from pipeline.training.batches import ahead, evaluate
from pipeline.training.budget import (
    Budget,
    Check,
    History,
    batches_of,
    best_of,
    budget_of,
    history_of,
)
from pipeline.training.checkpoint import Progress
from pipeline.training.examples import Examples
from pipeline.training.fingerprint import fingerprint
from pipeline.training.precision import half_precision
from pipeline.training.processes import SINGLE, Processes
from pipeline.training.settings import Training

Tensors = tuple[torch.Tensor, ...] | list[torch.Tensor]
OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def rates(schedule: Training, steps: range, budget: int) -> list[float]:
    """The learning rate of each of the `steps` (from 0) of a budget of so many.

    >>> schedule = Training(batch_size=8, learning_rate=1.0, weight_decay=0.0)
    >>> [round(rate, 3) for rate in rates(schedule, range(2, 4), 4)]
    [0.5, 0.146]
    """
    if schedule.decay == "constant":
        return [schedule.learning_rate] * len(steps)
    return (schedule.learning_rate * 0.5 * (1 + np.cos(np.pi * np.array(steps) / budget))).tolist()


def optimiser_of(schedule: Training, model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of the parameters that are not frozen."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    # fused: one pass over the weights, at small batches a third of the time of a step
    return OPTIMISERS[schedule.optimiser](
        weights, lr=schedule.learning_rate, weight_decay=schedule.weight_decay, fused=True
    )


def average_of(model: nn.Module, budget: Budget) -> AveragedModel | None:
    """The mean of the weights of about the last `check` steps, BatchNorm's statistics included.

    It is what is validated and kept: as good as a rate that falls, and ready at any step. Whole
    numbers, such as those of rows, are copied: their mean may be rounded to another row. A budget
    in epochs has none, as published.
    """
    if budget.patience is None:
        return None
    mean = get_ema_multi_avg_fn(1 - 1 / budget.check)

    def update(means: Tensors, values: Tensors, count: torch.Tensor | int) -> None:
        if means[0].is_floating_point():
            mean(means, values, count)
        else:
            torch._foreach_copy_(means, values)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)


def train_steps(model: nn.Module, examples: Examples, parts: Sequence[np.ndarray],
                schedule: Training, rates: Sequence[float], optimiser: torch.optim.Optimizer,
                device: torch.device, averaged: AveragedModel | None = None,
                processes: Processes = SINGLE) -> float:  # fmt: skip
    """A step per batch (rows) of `parts`; returns the mean loss over those of this process."""
    model.train()
    losses = []
    mine = [processes.share(part) for part in parts]
    loader = ahead(examples.data, mine, device)
    for batch, rows, whole, rate in zip(loader, mine, parts, rates, strict=True):
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
        if averaged is not None:
            averaged.update_parameters(bare)
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


def fit(model: nn.Module, examples: Examples, schedule: Training, seed: int, device: torch.device,
        progress: Path, name: str, processes: Processes = SINGLE) -> History:  # fmt: skip
    """Trains `model` in place and leaves the weights of its best check in it.

    Returns the history: loss and validation AUROC of every check, and why it stopped. A training
    that was killed goes on after its last check, found in the file `progress`; weights and history
    are then the same as if it had not been killed. The file keeps what came of a finished training:
    where nothing that decides the weights has changed since, no step is trained. Of several
    processes the first validates for all, announces, and writes `progress`.
    """
    if schedule.batch_size < processes.count:
        raise InputError(f"schedule.batch_size {schedule.batch_size} is below torch.processes "
                         f"{processes.count}: every process needs a part")  # fmt: skip
    budget, rows = budget_of(schedule, len(examples.train)), examples.train
    optimiser = optimiser_of(schedule, model)
    guard = schedule.model_dump() | {"seed": seed, "of": fingerprint(model, examples, device),
                                     "processes": processes.count}  # fmt: skip
    parallel = processes.parallel(model, device, together=schedule.eval_mode)
    averaged = average_of(model, budget)
    validated: nn.Module = model if averaged is None else averaged.module
    state = Progress(progress, guard)
    best, checks = state.load(model, averaged, optimiser)
    if processes.first and budget.ended(checks):
        log.info("%s seed %d  trained before on the same: kept", name, seed)
    announcer = Announcer(f"{name} seed {seed}", len(checks), budget)
    while steps := budget.next_steps(checks):
        parts = batches_of(rows, schedule.batch_size, seed, steps)
        pace = rates(schedule, steps, budget.steps)
        examples.before(model, steps.start / budget.steps)
        tick = time.monotonic()
        loss = train_steps(parallel, examples, parts, schedule, pace, optimiser, device, averaged,
                           processes)  # fmt: skip
        speed = sum(map(len, parts)) / (time.monotonic() - tick)
        auroc = validate(validated, examples, schedule, device) if processes.first else None
        auroc = processes.of_first(auroc)
        loss = round(processes.mean(loss), 6)
        checks.append({"step": steps.stop, "loss": loss, "val_auroc": auroc})
        if processes.first:
            if best_of(checks) == len(checks) - 1:
                best = {key: value.clone() for key, value in validated.state_dict().items()}
            state.save(model, averaged, best, optimiser, checks, bool(budget.ended(checks)))
            announcer.check(checks, speed)
        processes.wait()
    history = history_of(checks, budget, len(rows))
    if processes.first:
        model.load_state_dict(best)
        announcer.end(history)
    return history


class Announcer:
    """A line per check in the log, now and then one on the screen, a warning of too few steps."""

    def __init__(self, name: str, first: int, budget: Budget) -> None:
        self.name, self.first, self.budget = name, first, budget
        self.began = time.monotonic()
        self.next = self.began + FIRST

    def check(self, checks: list[Check], speed: float) -> None:
        """Loss, validation AUROC, samples per second in training, and the remaining time.

        The AUROC is of the network as it trains, whose head is fitted anew afterwards: not the one
        of the result.
        """
        auroc, steps = checks[-1]["val_auroc"], checks[-1]["step"]
        now = time.monotonic()
        each = (now - self.began) / (len(checks) - self.first) / self.budget.check
        on_screen = now >= self.next
        if on_screen:
            self.next = now + EVERY
        (screen if on_screen else log).info(
            "%s  step %d/%d  loss %.4f  val AUROC in training %s  %.0f samples/s  "
            "at most %.0f s left", self.name, steps, self.budget.steps, checks[-1]["loss"],
            "–" if auroc is None else f"{auroc:.4f}", speed, each * (self.budget.steps - steps),
        )  # fmt: skip

    def end(self, history: History) -> None:
        """Why it stopped; a warning where the budget ended while validation still gained."""
        if history["rising"]:
            log.warning("%s  still rising at the end of its budget of %d steps (best: %d): raise "
                        "the schedule's steps", self.name, history["steps"], history["best_step"]
                        )  # fmt: skip
        elif history["stopped"] == "budget":
            log.info("%s  its budget of %d steps ended before patience, kept step %d",
                     self.name, history["steps"], history["best_step"])  # fmt: skip
        elif history["stopped"] == "patience":
            log.info("%s  stopped at step %d of %d, kept step %d: no better check in %d",
                     self.name, history["steps"], self.budget.steps, history["best_step"],
                     self.budget.patience)  # fmt: skip
