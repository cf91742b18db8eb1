"""How to train, as the config and the stages that train know it."""

import argparse
from typing import Annotated, Literal

from pydantic import Field

from pipeline.stage.settings import (
    AS_WRITTEN,
    Number,
    Section,
    Whole,
    json_argument,
    key,
    optional,
)

Weights = Annotated[
    list[Annotated[float, Field(gt=0), AS_WRITTEN]], Field(min_length=2, max_length=2)
]


class Steps(Section):
    """How a step is made."""

    batch_size: int = key("episodes per step", ge=2, le=65_536)
    learning_rate: Number = key("learning rate of the first step", gt=0, le=1)
    weight_decay: Number = key("weight decay per step, times the learning rate", ge=0, le=1)
    optimiser: Literal["adam", "adamw"] = optional("optimiser", "adamw")
    decay: Literal["cosine", "constant"] = optional(
        "learning rate over the budget: to 0 by a cosine, or constant", "cosine"
    )
    # of all weights; where several encoders train together, of each encoder's and of all others
    clip: Annotated[float, Field(gt=0), AS_WRITTEN] | None = optional(
        "largest norm of a gradient; null: any", 1.0
    )


class Schedule(Steps):
    """How a model is trained: up to so many steps, stopped early by what validation says.

    The weights of the check that is best on validation are kept.
    """

    steps: Whole = key("steps at most", le=10_000_000)
    check: Whole = key("steps between two validations", le=10_000_000)
    patience: Whole = key("a training stops after so many checks without a better one", le=10_000)


class Epochs(Steps):
    """How a model is trained: so many passes over the training episodes; the best one is kept."""

    epochs: Whole = key("passes over the training episodes", le=10_000)


class Training(Steps):
    """A schedule in steps or in epochs, and what protocols choose of it."""

    steps: Whole | None = optional("steps at most", None)
    check: Whole | None = optional("steps between two validations", None)
    patience: Whole | None = optional("checks without a better one until it stops", None)
    epochs: Whole | None = optional("passes over the training episodes, for the three above", None)
    class_weights: Weights = optional("of the loss, negative and positive", [1.0, 1.0])
    # the published code forgets it in these two, not where the single model predicts
    eval_mode: bool = optional("whether validation and embedding switch to evaluation", True)


def add_schedule_argument(arguments: argparse.ArgumentParser) -> None:
    """`--schedule`: a `Training` as JSON."""
    parse = json_argument("schedule", Training)
    arguments.add_argument("--schedule", type=parse, required=True, help="JSON, see config")
