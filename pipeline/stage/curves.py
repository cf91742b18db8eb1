"""The types of a result's curves: aggregates that report draws.

A part per task (`Curves`); the file of a result of one task of admissions holds that part alone.
"""

from collections.abc import Sequence
from typing import Literal, NotRequired

from typing_extensions import TypedDict

from pipeline.stage.sections import exact

Line = list[float]  # one number per point of a grid, or per bin
Points = Sequence[float | None]  # likewise; null where it is hidden


@exact
class Band(TypedDict):
    """The 95 % band of a curve."""

    low: Line
    """Lower end at each point."""
    high: Line
    """Upper end at each point."""


@exact
class Rounded(TypedDict):
    """The 95 % band of a curve of which points may be hidden, and the best reachable curve.

    On real data counts behind the points are rounded to tens, and a point is null where one of the
    cells of its confusion matrix holds 1 to 9 episodes.
    """

    low: Points
    """Lower end at each point."""
    high: Points
    """Upper end at each point."""
    oracle: Line | None
    """That of the best reachable predictions; null where they are not known, and on real data."""


@exact
class Roc(Rounded):
    """ROC curve."""

    fpr: Line
    """False positive rate: the grid."""
    tpr: Points
    """True positive rate at each point."""


@exact
class PrecisionRecall(Rounded):
    """Precision-recall curve."""

    recall: Line
    """Recall: the grid."""
    precision: Points
    """Precision at each point."""
    prevalence: float
    """Share of positives: the precision of a prediction by lot."""


@exact
class CalibrationCurve(Band):
    """Observed share of positives in groups by predicted risk."""

    n: Line
    """Episodes in each group, mean over seeds."""
    predicted: Line
    """Mean predicted risk of each group."""
    observed: Line
    """Observed share of positives in each group."""


@exact
class TaskCurves(TypedDict):
    """Curves of a binary task on its test episodes."""

    schema_version: Literal[3]
    """Version of this form, as of a result."""
    target: str
    """Name of the result, of this task alone."""
    split: str
    """The split that is drawn."""
    reason: str | None
    """Why there are no curves; null where there are."""
    roc: Roc | None
    """ROC curve."""
    pr: PrecisionRecall | None
    """Precision-recall curve."""
    calibration: CalibrationCurve | None
    """Calibration curve."""


@exact
class RecallCurve(TypedDict):
    """Recall among the first k groups, of a task of many labels."""

    k: list[int]
    """The grid."""
    model: Line | None
    """The model's recall; null with a reason."""
    ceiling: Line | None
    """The highest that is possible."""
    prior: Line | None
    """Of ranking by frequency in training."""
    reason: str | None
    """Why there is no curve; null where there is one."""
    low: NotRequired[Line]
    """Lower end of the 95 % band of the model's recall; absent with a reason."""
    high: NotRequired[Line]
    """Upper end of it."""


@exact
class Curves(TypedDict):
    """The curves of every task of a result."""

    target: str
    """Name of the result."""
    split: str
    """The split that is drawn."""
    tasks: dict[str, TaskCurves | RecallCurve]
    """Each task's curves, in the order of the result."""
