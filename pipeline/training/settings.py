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


class Schedule(Section):
    """How a model is trained; the epoch that is best on validation is kept."""

    epochs: Whole = key("passes over the training episodes", le=10_000)
    batch_size: int = key("episodes per step", ge=2, le=65_536)
    learning_rate: Number = key("learning rate of the first step", gt=0, le=1)
    weight_decay: Number = key("weight decay per step, times the learning rate", ge=0, le=1)
    optimiser: Literal["adam", "adamw"] = optional("optimiser", "adamw")
    decay: Literal["cosine", "constant"] = optional(
        "learning rate over the steps: to 0 by a cosine, or constant", "cosine"
    )
    # of all weights; where several encoders train together, of each encoder's and of all others
    clip: Annotated[float, Field(gt=0), AS_WRITTEN] | None = optional(
        "largest norm of a gradient; null: any", 1.0
    )


class Training(Schedule):
    """A schedule, and what protocols choose of it."""

    class_weights: Weights = optional("of the loss, negative and positive", [1.0, 1.0])
    # the published code forgets it in these two, not where the single model predicts
    eval_mode: bool = optional("whether validation and embedding switch to evaluation", True)


def add_schedule_argument(arguments: argparse.ArgumentParser) -> None:
    """`--schedule`: a `Training` as JSON."""
    parse = json_argument("schedule", Training)
    arguments.add_argument("--schedule", type=parse, required=True, help="JSON, see config")
