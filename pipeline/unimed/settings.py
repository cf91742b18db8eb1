"""What a UniMed model is: its decoder, its tasks and how they see each other."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.stage import multitask
from pipeline.stage.errors import InputError

SHUFFLE = 0  # seed of the order `shuffled`: four tasks as 3, 1, 2, 4


@dataclass(frozen=True)
class Task:
    """A task of ICU stays. `hours`: when it is predicted; `horizon`: hours that it sees.

    `told`: its outcome is told to later tasks and not learnt (an upper bound of a single task).
    """

    name: str
    hours: int
    horizon: int
    told: bool = False

    @property
    def several(self) -> bool:
        """Whether it has many labels (the diagnoses) and not one."""
        return self.name.startswith("diagnoses")


@dataclass(frozen=True)
class Settings:
    """The settings of config `unimed.model`, see there."""

    decoder: str
    width: int
    layers: int
    heads: int
    dropout: float
    order: str
    feedback: str
    parallel: bool
    hours: int | None
    weights: str
    diagnoses: str
    training_share: float

    def tasks(self, names: list[str], told: Sequence[str] = ()) -> list[Task]:
        """Tasks with the horizon that the settings allow: first those whose outcome is `told`.

        Raises `InputError` where an outcome is told that no task is fed.
        """
        if told and self.feedback != "truth":
            raise InputError(
                f"unimed: outcomes are told where feedback is truth, not {self.feedback}"
            )
        every = [*told, *names]
        horizons = multitask.horizons({"hours": self.hours}, every)
        hours = [multitask.hours(name) for name in every]
        known = [name in told for name in every]
        return [Task(*each) for each in zip(every, hours, horizons, known, strict=True)]

    def steps(self, tasks: list[Task]) -> list[int]:
        """The tasks, by number, in the order in which the decoder meets them.

        Raises `InputError` where a task would come after one that has seen more than it may.
        """
        steps = list(range(len(tasks)))
        if self.order == "reversed":
            steps.reverse()
        elif self.order == "shuffled":
            steps = np.random.default_rng(SHUFFLE).permutation(steps).tolist()
        seen = [tasks[step].horizon for step in steps]
        if seen != sorted(seen) and not self.parallel:
            raise InputError(f"unimed.order {self.order}: a task would see what is known only "
                             "later; set hours to the first task's")  # fmt: skip
        return steps


def parse(text: str) -> Settings:
    """Settings from JSON.

    >>> text = '{"decoder": "gru", "width": 8, "layers": 1, "heads": 2, "dropout": 0.1, '
    >>> text += '"order": "reversed", "feedback": "predicted", "parallel": false, "hours": 4, '
    >>> text += '"weights": "equal", "diagnoses": "bce", "training_share": 1.0}'
    >>> own = parse(text)
    >>> own.steps(own.tasks(["shock_4h", "arf_12h"])), own.tasks(["arf_12h"])[0].horizon
    ([1, 0], 4)
    """
    try:
        return Settings(**json.loads(text))
    except (TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"expected all of {[*Settings.__annotations__]}"
                                         ) from error  # fmt: skip
