"""What a UniMed model is: its decoder, its tasks and how they see each other."""

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.cohort.task import find
from pipeline.stage.errors import InputError

SHUFFLE = 0  # seed of the order `shuffled`: four tasks as 3, 1, 2, 4


@dataclass(frozen=True)
class Step:
    """A task as a decoder meets it. `hours`: when it is predicted; `horizon`: hours that it sees.

    `many`: it has many labels, not one. `told`: its outcome is told to later tasks and not learnt
    (an upper bound of a single task). `eligibility_known`: whether who is eligible for it is
    decided by its time: by what has happened so far, as tasks of ICU stays ask for incident cases.
    A task of admissions may ask for what comes later (readmission: who is discharged alive), and
    who is coded at all, and so has diagnoses, is known after the discharge.
    """

    name: str
    hours: float
    horizon: float
    many: bool = False
    told: bool = False
    eligibility_known: bool = True


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

    @property
    def softmax(self) -> bool:
        """Whether many labels are a distribution, as published, and not each by itself."""
        return self.diagnoses == "softmax"

    def tasks(self, names: Sequence[str], told: Sequence[str] = (), window: float = math.inf
              ) -> list[Step]:  # fmt: skip
        """Tasks with the horizon that the settings allow: first those whose outcome is `told`.

        `window`: hours after which tasks of admissions are predicted. Raises `InputError` where an
        outcome is told that no task is fed.
        """
        if told and self.feedback != "truth":
            raise InputError(
                f"unimed: outcomes are told where feedback is truth, not {self.feedback}"
            )
        steps = []
        for task in map(find, (*told, *names)):
            hours, many = task.hours or window, task.kind == "many"
            horizon, decided = min(self.hours or hours, hours), task.unit == "stay" and not many
            steps.append(Step(task.name, hours, horizon, many, task.name in told, decided))
        return steps

    def order_of(self, tasks: Sequence[Step]) -> list[int]:
        """The tasks, by number, in the order in which the decoder meets them.

        Raises `InputError` where a task would come after one that has seen more than it may.
        """
        order = list(range(len(tasks)))
        if self.order == "reversed":
            order.reverse()
        elif self.order == "shuffled":
            order = np.random.default_rng(SHUFFLE).permutation(order).tolist()
        seen = [tasks[number].horizon for number in order]
        if seen != sorted(seen) and not self.parallel:
            raise InputError(f"unimed.order {self.order}: a task would see what is known only "
                             "later; set hours to the first task's")  # fmt: skip
        return order


def parse(text: str) -> Settings:
    """Settings from JSON.

    >>> text = '{"decoder": "gru", "width": 8, "layers": 1, "heads": 2, "dropout": 0.1, '
    >>> text += '"order": "reversed", "feedback": "predicted", "parallel": false, "hours": 4, '
    >>> text += '"weights": "equal", "diagnoses": "bce", "training_share": 1.0}'
    >>> settings = parse(text)
    >>> tasks = settings.tasks(["shock_4h", "arf_12h"])
    >>> settings.order_of(tasks), tasks[1].horizon
    ([1, 0], 4)
    """
    try:
        return Settings(**json.loads(text))
    except (TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"expected all of {[*Settings.__annotations__]}"
                                         ) from error  # fmt: skip
