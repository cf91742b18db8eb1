"""How long a training lasts: a budget in steps, stopped early by what validation says.

A training in steps is validated every `check` steps and stops after `patience` checks without a
better one, at the latest when its budget is spent. One in epochs, as published, is validated after
every epoch and spends its whole budget. Either way the weights of the best check are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

import numpy as np

from pipeline.training.batches import batches
from pipeline.training.settings import Training

End = Literal["patience", "budget", "epochs"]


class Check(TypedDict):
    """What a training came to after so many steps.

    `loss`: mean over the steps since the check before. `val_auroc`: null where the validation rows
    are of one class.
    """

    step: int
    loss: float
    val_auroc: float | None


class History(TypedDict):
    """How one training went.

    `trained_on`: number of episodes. `steps`: how many were trained; `best_step`: the one whose
    weights are kept. `stopped`: by what it ended. `rising`: whether the budget ended with
    the best check, so that more steps might give more; null where no one can tell: validation did
    not choose, or the budget is in epochs.
    """

    trained_on: int
    steps: int
    best_step: int
    stopped: End
    rising: bool | None
    checks: list[Check]


@dataclass(frozen=True)
class Budget:
    """`steps` at most, a check every `check` steps; no `patience`: all steps are trained."""

    steps: int
    check: int
    patience: int | None

    def next_steps(self, checks: Sequence[Check]) -> range:
        """The steps (from 0) until the next check; empty where the training has ended.

        >>> Budget(50, 20, 3).next_steps([{"step": 40, "val_auroc": None}])
        range(40, 50)
        """
        done = checks[-1]["step"] if checks else 0
        end = done if self.ended(checks) else min(done + self.check, self.steps)
        return range(done, end)

    def ended(self, checks: Sequence[Check]) -> End | None:
        """By what a training has ended; None where it has not."""
        if not checks:
            return None
        waited = len(checks) - 1 - best_of(checks)
        if self.patience is not None and chosen(checks) and waited >= self.patience:
            return "patience"
        if checks[-1]["step"] < self.steps:
            return None
        return "epochs" if self.patience is None else "budget"


def budget_of(schedule: Training, rows: int) -> Budget:
    """The budget of a training on so many rows.

    >>> schedule = Training(epochs=3, batch_size=8, learning_rate=0.1, weight_decay=0.0)
    >>> budget_of(schedule, rows=20)
    Budget(steps=9, check=3, patience=None)
    """
    if schedule.epochs is None:
        assert schedule.steps and schedule.check and schedule.patience
        return Budget(schedule.steps, schedule.check, schedule.patience)
    epoch = len(batches(np.arange(rows), schedule.batch_size))
    return Budget(schedule.epochs * epoch, epoch, None)


def chosen(checks: Sequence[Check]) -> bool:
    """Whether validation chooses among the checks."""
    return any(check["val_auroc"] is not None for check in checks)


def best_of(checks: Sequence[Check]) -> int:
    """The check (from 0) to be kept: the first of the best, the last where validation cannot tell.

    >>> best_of([{"val_auroc": 0.7}, {"val_auroc": 0.8}, {"val_auroc": 0.8}])
    1
    >>> best_of([{"val_auroc": None}, {"val_auroc": None}])
    1
    """
    if not chosen(checks):
        return len(checks) - 1
    aurocs = [-1.0 if c["val_auroc"] is None else c["val_auroc"] for c in checks]
    return aurocs.index(max(aurocs))


def history_of(checks: list[Check], budget: Budget, trained_on: int) -> History:
    """The history of a training that has ended."""
    ended = budget.ended(checks)
    assert ended
    known = chosen(checks) and ended != "epochs"
    return {
        "trained_on": trained_on,
        "steps": checks[-1]["step"],
        "best_step": checks[best_of(checks)]["step"],
        "stopped": ended,
        "rising": ended == "budget" and best_of(checks) == len(checks) - 1 if known else None,
        "checks": checks,
    }


def batches_of(rows: np.ndarray, size: int, seed: int, steps: range) -> list[np.ndarray]:
    """The batches of these steps (from 0) of passes over `rows`, each shuffled anew by the seed.

    They depend on the step alone, so that a training may go on from any.

    >>> whole = batches_of(np.arange(6), 2, 0, range(5))
    >>> [part.tolist() for part in batches_of(np.arange(6), 2, 0, range(3, 5))] == [
    ...     part.tolist() for part in whole[3:]]
    True
    """
    each = len(batches(rows, size))
    passes = range(steps.start // each, (steps.stop - 1) // each + 1)
    drawn = {k: batches(rows, size, np.random.default_rng([seed, k])) for k in passes}
    return [drawn[step // each][step % each] for step in steps]
