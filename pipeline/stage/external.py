"""The types of an external validation: a stored model, unchanged, on patients of another source.

`pipeline.predict.external` writes them. Figures are means over training seeds; intervals are 95 %,
over patients. Nothing is chosen on the patients there: thresholds are those of home. Counts of real
patients below `suppressed_below` are hidden, and figures that would tell them.
"""

from typing import Final, Literal

from typing_extensions import TypedDict

from pipeline.stage.kit import Smooth
from pipeline.stage.prediction import (
    Ineligible,
    Present,
    Sha256,
    Shift,
    Unit,
    Unknown,
    Unseen,
)
from pipeline.stage.result import Bootstrap, Source
from pipeline.stage.sections import (
    AtLeastOne,
    Count,
    Estimate,
    Fit,
    Share,
    SplitMetrics,
    Whole,
    exact,
)

EXTERNAL_SCHEMA: Final = 1


@exact
class ValidatedModel(TypedDict):
    """The stored model, as it was fitted at home."""

    target: str
    """{modalities}_{model}_{task}."""
    task: str
    """Task."""
    question: str
    """What is predicted, as the task's query has it."""
    unit: Literal["admission", "stay"]
    """What an episode is."""
    hours: Whole
    """Hours from clock zero to the prediction."""
    experiment: str | None
    """Named experiment; null without a name."""
    recalibration: Literal["none", "platt", "temperature"]
    """How risks were recalibrated at home, on validation."""
    source: Source
    """The source that it was fitted on: home."""
    seeds: list[int]
    """Seeds of its training."""
    definitions_version: Whole
    """Version of the definitions."""
    digest: Sha256
    """Digest of the stored model."""
    result: Sha256
    """Digest of the result that it is of."""
    code: Sha256
    """Digest of the code by which it was stored."""


@exact
class CalibrationThere(TypedDict):
    """Calibration of the risks; null where figures are withheld, or without a finite fit."""

    slope: Fit
    """Calibration slope; 1 is right, below 1 risks are too extreme."""
    intercept: Fit
    """Intercept beside that slope: log odds of the outcome at a risk of ½; 0 is right."""
    in_the_large: Fit
    """Intercept with the slope fixed at 1; 0 is right, below 0 risks are too high on average."""
    ici: Estimate
    """Integrated calibration index: mean distance of the risks from a smooth curve of calibration
    (restricted cubic spline of the logit, four knots). A distance is biased upward in resamples: it
    may lie below its own interval."""
    smooth: Smooth | None
    """That curve, with its band; null without one."""


@exact
class AtThreshold(TypedDict):
    """The model at the threshold of each seed that validation at home chose."""

    reason: str | None
    """Why there are no figures; null where there are."""
    thresholds: list[Share]
    """Of the seeds, in their order; empty where the result has none."""
    sensitivity: Estimate
    """Share of positives that are called."""
    specificity: Estimate
    """Share of negatives that are not called."""
    ppv: Estimate
    """Share of positives among those called."""
    alert_rate: Estimate
    """Share of all episodes that are called."""


@exact
class Validated(TypedDict):
    """What the risks are worth among some episodes."""

    metrics: SplitMetrics
    """Counts, discrimination and Brier score, as of a split of a result; null with a reason."""
    calibration: CalibrationThere
    """Calibration of the risks."""
    threshold: AtThreshold
    """The model at the threshold chosen at home."""


@exact
class Spread(TypedDict):
    """A figure over the draws; null where there is none."""

    median: float | None
    """Median of the draws."""
    low: float | None
    """2.5th percentile of the draws: how much it depends on who was drawn."""
    high: float | None
    """97.5th percentile of the draws."""


@exact
class Judged(TypedDict):
    """Risks judged on the patients that were not drawn."""

    slope: Spread
    """Calibration slope."""
    in_the_large: Spread
    """Intercept with the slope fixed at 1."""
    brier: Spread
    """Brier score."""
    ici: Spread
    """Integrated calibration index."""


@exact
class Refit(TypedDict):
    """Intercept and slope fitted again on a few patients of there, judged on the others.

    A refit reads outcomes of there: with it the model is no longer the one of home. No ranking
    changes.
    """

    patients: AtLeastOne
    """How many patients are drawn."""
    reason: str | None
    """Why it was not tried; null where it was."""
    draws: Whole
    """How often patients were drawn."""
    unfitted: Whole
    """Of all fits, one per draw and seed, those without a finite, rising line: there the risks stay
    as they are, and count so."""
    before: Judged | None
    """The risks of home."""
    after: Judged | None
    """The risks after the refit, of the same patients."""
    smooth: Smooth | None
    """Median smooth curve of the refitted risks; its band holds 95 % of the draws, and is none of
    patients."""


@exact
class ExternalValidation(TypedDict):
    """A model fitted at home, unchanged, on the patients of another source."""

    schema_version: Literal[1]
    """Version of this form."""
    name: str
    """Name of the other source in the config."""
    model: ValidatedModel
    """The model."""
    source: Source
    """The other source."""
    suppressed_below: Whole
    """Counts of 1 to one less are hidden; 0: all are shown."""
    bootstrap: Bootstrap
    """How the intervals were made."""
    selection: list[Ineligible]
    """Who is left after each condition: of the cohort and the task as known at the prediction, then
    those whose outcome is known. Steps that few fail are told together."""
    unlabelled: Count
    """Who has a risk, and no outcome by which it could be judged."""
    modalities: dict[str, Present]
    """Modality → who of those judged has it."""
    home: Validated | None
    """Test patients of home; null where their predictions were not given."""
    there: Validated
    """Everybody there who has a risk and an outcome."""
    refits: list[Refit]
    """Calibration before and after a refit of intercept and slope, by the patients it is fitted
    on."""
    shift: list[Shift]
    """Risks of those judged beside those of home, by seed."""
    films_unreadable: Count
    """Films that cannot be read: they count as missing."""
    absent_tables: list[str]
    """Tables that the source lacks."""
    absent_signals: list[str]
    """Signals that home had, and of which this source has no reading."""
    unknown_items: list[Unknown]
    """Items that home did not have, by table."""
    unseen: list[Unseen]
    """Shares of what the encoders never met."""
    units: list[Unit]
    """Signals whose unit looks wrong."""
    notes: list[str]
    """Remarks on versions and precision: what may move the last digits."""
