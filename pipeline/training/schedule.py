"""How to train: optimiser, rate, batch, budget, class weights; the same fields for every model."""

import argparse
import json
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


@dataclass(frozen=True)
class Schedule:
    """One training.

    `decay`: cosine (the rate falls to 0) or constant. `clip`: the largest norm of the gradient of
    all weights; where several encoders train together, of each encoder's and of all other weights'.
    `class_weights`: of the loss, negative and positive. `eval_mode`: whether validation and
    embedding switch the model to evaluation; the published code forgets it in these two, not where
    the single model predicts.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    optimiser: str = "adamw"
    decay: str = "cosine"
    clip: float | None = 1.0
    class_weights: tuple[float, float] = (1.0, 1.0)
    eval_mode: bool = True

    def rates(self, epoch: int, steps: int) -> list[float]:
        """The learning rate of each of the `steps` of an epoch (counted from 0).

        >>> [round(rate, 3) for rate in Schedule(2, 8, 1.0, 0.0).rates(1, 2)]
        [0.5, 0.146]
        """
        if self.decay == "constant":
            return [self.learning_rate] * steps
        done = (epoch * steps + np.arange(steps)) / (self.epochs * steps)
        return (self.learning_rate * 0.5 * (1 + np.cos(np.pi * done))).tolist()

    def optimiser_of(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimiser of the parameters that are not frozen."""
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        # fused: one pass over the weights, at small batches a third of the time of a step
        return OPTIMISERS[self.optimiser](
            weights, lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
        )


def add_schedule_argument(arguments: argparse.ArgumentParser) -> None:
    """`--schedule`: the fields of `Schedule` as JSON."""
    arguments.add_argument("--schedule", type=_parse, required=True, help="JSON, see config")


def _parse(text: str) -> Schedule:
    fields = json.loads(text)
    return Schedule(**fields | {"class_weights": tuple(fields.get("class_weights", (1.0, 1.0)))})
