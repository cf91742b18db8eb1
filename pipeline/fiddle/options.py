"""What may be chosen: the horizon, the step and the thresholds, with the paper's defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pipeline.stage.errors import InputError

STATISTICS = ("min", "max", "mean")


@dataclass(frozen=True)
class Options:
    """Settings of FIDDLE; the defaults are the paper's, at a horizon of 48 hours."""

    hours: float = 48  # the horizon: rows at or after it do not exist
    step: float = 1  # hours per bin
    theta_1: float = 0.001  # a variable is recorded in more than this share of the ids
    theta_2: float = 0.001  # a feature is 1 and is 0 in more than this share of the ids
    theta_freq: float = 1.0  # frequent: at least so many records per observed bin
    statistics: tuple[str, ...] = STATISTICS
    ordinal: bool = False  # one feature per lower edge, not one per bin

    @property
    def bins(self) -> int:
        """How many whole steps fit into the horizon."""
        return int(self.hours // self.step)


def options(settings: Mapping[str, Any]) -> Options:
    """The options of a settings mapping; `InputError` for a key or a value that makes no sense.

    >>> options({"hours": 4, "statistics": ["max"]}).bins
    4
    >>> options({"theta": 1})
    Traceback (most recent call last):
    pipeline.stage.errors.InputError: fiddle: unknown setting theta; known: hours, step, ...
    """
    known = [field.name for field in fields(Options)]
    if unknown := sorted(set(settings) - set(known)):
        raise InputError(f"fiddle: unknown setting {unknown[0]}; known: {', '.join(known)}")
    values = dict(settings)
    if "statistics" in values:
        values["statistics"] = tuple(values["statistics"])
        if unknown := sorted(set(values["statistics"]) - set(STATISTICS)):
            raise InputError(f"fiddle: unknown statistic {unknown[0]}; known: min, max, mean")
    chosen = Options(**values)
    if not 0 < chosen.step <= chosen.hours:
        raise InputError("fiddle: expected 0 < step <= hours")
    # variance > θ(1 - θ) is θ < share < 1 - θ below 0.5 only
    for name, limit in (("theta_1", 1), ("theta_2", 0.5)):
        if not 0 <= getattr(chosen, name) < limit:
            raise InputError(f"fiddle: {name} must be at least 0 and below {limit}")
    return chosen
