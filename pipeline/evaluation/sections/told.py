"""What a result of real data hides of splits and modalities: its kit hides it, too.

The result shows the rest exactly. A kit that showed more of the same episodes would tell, by
subtraction, what the result hides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import polars as pl

from pipeline.evaluation.predictions import SPLITS
from pipeline.evaluation.sections.suppression import hidden
from pipeline.stage.result import Binary
from pipeline.stage.sections import Count, Counts

OUTCOME_HIDDEN = (
    "hidden: the result does not show the positives or negatives of a split, which would follow"
)


@dataclass(frozen=True)
class Told:
    """`outcome`: splits whose positives or negatives the result hides. `episodes`: split → its
    count; `modalities`: split → letter → its count there, and `combinations` likewise. `folds`: of
    the result; its counts are of all folds together, those of a kit of the first.
    """

    outcome: frozenset[str] = frozenset()
    episodes: Mapping[str, Count] = field(default_factory=dict)
    modalities: Mapping[str, Mapping[str, Count]] = field(default_factory=dict)
    combinations: Mapping[str, Mapping[str, int | None]] = field(default_factory=dict)
    folds: int = 1

    @property
    def why_no_outcome(self) -> str | None:
        """Why nothing is told by outcome of all splits; None where it is."""
        return OUTCOME_HIDDEN if self.outcome else None

    @property
    def hides_modalities(self) -> bool:
        """Whether a number of episodes with a modality or a combination is hidden in a split."""
        shown = [*self.modalities.values(), *self.combinations.values()]
        return any(not isinstance(n, int) for counts in shown for n in counts.values())

    def with_or_without(self, letter: str) -> dict[str, dict[str, Count]]:
        """Split → yes or no → episodes with or without a modality; none of several folds."""
        made: dict[str, dict[str, Count]] = {}
        if self.folds > 1:
            return made
        for split, counts in self.modalities.items():
            n, has = self.episodes[split], counts[letter]
            if isinstance(n, int) and isinstance(has, int):
                made[split] = {"yes": has, "no": n - has}
        return made

    def hides_outcome(self, split: str) -> bool:
        """Whether a kit hides the positives of a split."""
        return bool(self.outcome) if self.folds > 1 else split in self.outcome


def told_by(part: Binary, folds: int, smallest: int) -> Told:
    """What the result of a task hides; nothing where `smallest` is 0."""
    if not smallest:
        return Told(folds=folds)
    counted = part["coverage"]["splits"]
    metrics = cast(Mapping[str, Counts], part["metrics"])
    known = set(part["coverage"]["by"])
    return Told(
        frozenset(
            name
            for name, one in metrics.items()
            if not isinstance(one["positives"], int) or not isinstance(one["n"], int)
        ),
        {name: one["n"] for name, one in counted.items()},
        {
            name: {letter: one["modalities"][letter] for letter in known}
            for name, one in counted.items()
        },
        {name: one["combinations"] for name, one in counted.items()},
        folds,
    )


def hidden_splits(facts: pl.DataFrame, smallest: int) -> set[str]:
    """The splits whose number of episodes is hidden; `facts`: a row per episode with its split."""
    return hidden({name: (facts.filter(split=name).height,) for name in SPLITS}, smallest)
