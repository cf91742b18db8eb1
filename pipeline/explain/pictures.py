"""Global pictures of attributions: means over the explained items, those of few patients hidden."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipeline.evaluation.sections.suppression import rounded_count
from pipeline.stage.explanations import LEAST, Named
from pipeline.stage.sections import Count


@dataclass(frozen=True)
class Shown:
    """How counts are shown: below a threshold as "<10", the others in tens; 0 shows all."""

    suppress: int

    def __call__(self, count: int) -> Count:
        """A count.

        >>> Shown(0)(7), Shown(10)(7), Shown(10)(127)
        (7, '<10', 130)
        """
        shown = rounded_count(count, self.suppress)
        assert isinstance(shown, int | str)
        return shown

    @property
    def least(self) -> int:
        """Patients behind a mean that is shown."""
        return max(1, self.suppress)


def grouped(name: Sequence[str], subject: np.ndarray, value: np.ndarray, cause: np.ndarray | None,
            most: Shown, least: int | None = None) -> list[Named]:  # fmt: skip
    """Mean attributions of parts by name, groups of few patients left out, the strongest first.

    `least`: patients of a group; else those of `most`.

    >>> grouped(["a", "b", "a"], np.array([1, 1, 2]), np.array([1.0, 5, -2]), None, Shown(0), 2)
    [{'name': 'a', 'mean': -0.5, 'strength': 1.5, 'parts': 2, 'patients': 2, 'cause': None}]
    """
    table = pl.DataFrame(
        {"name": name, "subject": subject, "value": value,
         "cause": np.zeros(len(value)) if cause is None else cause.astype(float)}
    )  # fmt: skip
    rows = table.group_by("name").agg(
        pl.col("value").mean().alias("mean"), pl.col("value").abs().mean().alias("strength"),
        pl.len().alias("parts"), pl.col("subject").n_unique().alias("patients"),
        pl.col("cause").mean(),
    ).with_columns(pl.col("mean", "strength").round(9)).filter(
        pl.col("patients") >= (most.least if least is None else least)
    ).sort(-pl.col("strength"), "name")  # fmt: skip
    return [
        {"name": one["name"], "mean": one["mean"], "strength": one["strength"],
         "parts": most(one["parts"]), "patients": most(one["patients"]),
         "cause": None if cause is None else one["cause"]}
        for one in rows.to_dicts()
    ]  # fmt: skip


def words_shown(suppress: int) -> int:
    """Patients in whose reports a word must occur to be shown: 10, of the synthetic hospital too.

    >>> words_shown(0), words_shown(20)
    (10, 20)
    """
    return max(LEAST, suppress)
