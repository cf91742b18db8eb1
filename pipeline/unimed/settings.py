"""What a UniMed model is: its decoder, its tasks and how they see each other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from pipeline.cohort.task import find
from pipeline.stage.errors import InputError
from pipeline.stage.settings import Number, Section, Whole, key

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


class UnimedModel(Section):
    """The model `unimed`; the variants change some of it."""

    decoder: Literal["transformer", "gru", "gru-attention"] = key("decoder over tasks")
    width: int = key("width of tokens and decoder, a multiple of heads; 512 as published",
                     ge=8, le=4096)  # fmt: skip
    layers: Whole = key("layers of the transformer", le=48)
    heads: Whole = key("attention heads of the transformer", le=64)
    dropout: Number = key("dropout", ge=0, lt=1)
    order: Literal["time", "reversed", "shuffled"] = key(
        "order in which the decoder meets the tasks; other than `time` only where hours is the "
        "first task's or less"
    )
    feedback: Literal["predicted", "none", "truth"] = key(
        "what later tasks are told of earlier ones; `truth` is an upper bound and no model"
    )
    parallel: bool = key("true: no task sees another")
    hours: Annotated[int, Field(ge=1, le=48)] | None = key(
        "every task sees only so many hours after arrival (of admissions: after admission), 4 as "
        "published; null: all up to its prediction"
    )
    weights: Literal["equal", "uncertainty"] = key("of the tasks' losses; `uncertainty`: learnt")
    diagnoses: Literal["bce", "softmax"] = key("loss of diagnoses; softmax as published")
    training_share: Number = key("share of the training patients", ge=0.0001, le=1)

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

        >>> text = '{"decoder": "gru", "width": 8, "layers": 1, "heads": 2, "dropout": 0.1, '
        >>> text += '"order": "reversed", "feedback": "predicted", "parallel": false, "hours": 4, '
        >>> text += '"weights": "equal", "diagnoses": "bce", "training_share": 1.0}'
        >>> model = UnimedModel.model_validate_json(text)
        >>> tasks = model.tasks(["shock_4h", "arf_12h"])
        >>> model.order_of(tasks), tasks[1].horizon
        ([1, 0], 4)
        """
        order = list(range(len(tasks)))
        if self.order == "reversed":
            order.reverse()
        elif self.order == "shuffled":
            import numpy as np  # not for a plan, which takes the settings from here

            order = np.random.default_rng(SHUFFLE).permutation(order).tolist()
        seen = [tasks[number].horizon for number in order]
        if seen != sorted(seen) and not self.parallel:
            raise InputError(f"unimed.order {self.order}: a task would see what is known only "
                             "later; set hours to the first task's")  # fmt: skip
        return order
