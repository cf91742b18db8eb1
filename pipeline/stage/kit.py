"""The types of the kit of a result: the figures behind its page, of one binary task.

`pipeline.evaluation.kit` writes them, `pipeline.kit` draws and words them. On real data
(`suppressed_below` above 0) groups of few are "hidden", other counts of 1 to 9 are "<10", and every
other count is rounded to a multiple of 10, but those that the result shows exactly: groups, and the
confusion matrix at its own threshold. Shares of rounded counts are computed from these, and their
intervals moved outward to such shares. Null without a reason beside it means: none.
"""

from pathlib import Path
from typing import Annotated, Final, Literal, NotRequired, cast

from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict

from pipeline.stage.curves import Line
from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json
from pipeline.stage.result import Bootstrap, Digest, check_version
from pipeline.stage.sections import (
    AtLeastOne,
    Difference,
    Estimate,
    Fit,
    Positive,
    Run,
    RunParameters,
    Share,
    Whole,
    exact,
)

SCHEMA_VERSION: Final = 1
Number = TypeAliasType(
    "Number",
    Annotated[
        Positive | Whole | Annotated[str, Field(pattern="^(<[0-9]+|hidden)$")],
        Field(
            description='A count (of several seeds their mean); "<10" for 1 to 9, "hidden" of a '
            "small group and of those from which it would follow; the others are multiples of 10 "
            "where the source is real, but those that the result shows exactly."
        ),
    ],
)
Column = Literal["overall", "train", "fusion", "val", "test", "negative", "positive"]
Points = list[float | None]  # one number per threshold; null where it is hidden or undefined
Way = Literal["none", "platt", "temperature"]


@exact
class KitHead(TypedDict):
    """What the figures are of."""

    schema_version: Literal[1]
    """Version of this form."""
    target: str
    """Name of the result: modalities_model_task."""
    modalities: str
    """Letters of the modalities that the model reads."""
    model: str
    """The model."""
    task: str
    """The task, binary."""
    unit: Literal["admission", "stay"]
    """What an episode is."""
    hours: float
    """Hours from clock zero to the prediction."""
    protocol: str
    """Set of choices: corrected or published."""
    experiment: NotRequired[str]
    """Name of the experiment; absent of a run without a name."""
    result_sha256: Digest
    """SHA-256 of the file of the result."""
    suppressed_below: Whole
    """Counts below are hidden, and others rounded to a multiple of 10; 0: all are shown."""
    recalibration: Way
    """How the probabilities of the result were recalibrated; all sections but `calibration`, which
    shows each, are of these."""
    seeds: list[int]
    """Training seeds; figures are means over seeds and folds."""
    folds: AtLeastOne
    """Folds of cross-validation. Table 1 and the flow are of the first fold's splits."""
    bootstrap: Bootstrap
    """How the intervals were made."""


@exact
class TableColumn(TypedDict):
    """A column of Table 1."""

    name: Column
    """overall; a split; or those without and with the outcome."""
    words: str
    """Its title."""
    episodes: Number
    """Episodes in it."""
    patients: Number
    """Patients of these episodes."""


@exact
class Summary(TypedDict):
    """A variable of numbers in one column; null where hidden or nothing is known."""

    mean: float | None
    """Mean of the known values."""
    sd: Positive | None
    """Standard deviation (n − 1)."""
    median: float | None
    """Median."""
    q1: float | None
    """First quartile."""
    q3: float | None
    """Third quartile."""


@exact
class Cell(TypedDict):
    """One level of a variable in one column."""

    n: Number
    """Episodes of this level."""
    share: Share | None
    """Share of the episodes of the column for which the variable is known; null where hidden."""


@exact
class Level(TypedDict):
    """One level of a variable of classes."""

    level: str
    """Its name; yes, of a modality."""
    cells: dict[Column, Cell]
    """Column → number and share."""


@exact
class Variable(TypedDict):
    """A variable of Table 1: a row of numbers, or a row per level."""

    variable: str
    """Name for programs, e.g. age, sex, care_unit, sofa, with_c, combination."""
    words: str
    """Name for readers, with its unit."""
    kind: Literal["number", "classes"]
    """number: `summaries`; classes: `levels`."""
    reason: str | None
    """Why it has no figures: the source lacks it; null where it has."""
    summaries: dict[Column, Summary]
    """Column → mean, SD, median, quartiles; empty of classes."""
    levels: list[Level]
    """The most frequent level first; empty of numbers."""
    missing: dict[Column, Number]
    """Column → episodes for which it is not known; empty with a reason."""
    smd_outcome: float | None
    """Standardised mean difference between episodes with and without the outcome (of classes by
    Yang & Dalton 2012, never negative); null where hidden or undefined."""
    smd_splits: Positive | None
    """The largest absolute one between any two splits."""


@exact
class TableOne(TypedDict):
    """Table 1: the episodes of the task, by split and by outcome."""

    columns: list[TableColumn]
    """Its columns in order."""
    reason_outcome: str | None
    """Why the columns by outcome are left out: the result hides the positives or negatives of a
    split, which would follow from them; null where they are there."""
    variables: list[Variable]
    """Its variables in order."""


@exact
class FlowStep(TypedDict):
    """One condition of the cohort and how many are left."""

    condition: str
    """The condition in words."""
    episodes: Number
    """Episodes that are left."""
    patients: Number
    """Patients that are left."""
    excluded: Number | None
    """Episodes that fail it: the difference of the shown numbers; null of the first step."""
    looks_ahead: bool
    """Whether who meets it is known only after the prediction time."""


@exact
class FlowSplit(TypedDict):
    """One split at the end of the flow."""

    split: Literal["train", "fusion", "val", "test"]
    """Name of the split."""
    episodes: Number
    """Its episodes."""
    patients: Number
    """Their patients."""
    positives: Number
    """Episodes with the outcome; on real data hidden where the result hides them."""


@exact
class FlowFiles(TypedDict):
    """Films or reports of the task's episodes, known before its prediction."""

    modality: str
    """Letter of the modality."""
    words: str
    """films or reports."""
    reason: str | None
    """Why nothing is known of them; null where it is."""
    selected: Number | None
    """Those selected for the task's episodes: known by its prediction time."""
    episodes: Number | None
    """Episodes with at least one of them."""
    unreadable: Number | None
    """Those of them that cannot be read; null with `unreadable_reason`."""
    used: Number | None
    """Those that are read: selected − unreadable; null likewise."""
    unreadable_reason: str | None
    """Why it is not known how many cannot be read; null where it is."""


@exact
class Flow(TypedDict):
    """From the source to the episodes of each split."""

    steps: list[FlowStep]
    """The conditions in order; steps that few failed are told together."""
    splits: list[FlowSplit]
    """The splits of the first fold."""
    files: list[FlowFiles]
    """Films and reports, in the order of the modalities of the config."""


@exact
class RiskGroup(TypedDict):
    """Test episodes of like risk, a tenth of them (neighbours merged where they are few)."""

    n: Number
    """Episodes, mean over seeds."""
    mean_risk: Share
    """Mean predicted risk."""
    observed: Estimate
    """Observed share of positives."""


@exact
class Smooth(TypedDict):
    """A smooth calibration curve: outcome on a restricted cubic spline of the logit."""

    risk: Line
    """Predicted risk: the grid, between the 1st and the 99th percentile."""
    observed: Line
    """Estimated share of positives at this risk."""
    low: Line
    """Lower end of its 95 % band."""
    high: Line
    """Upper end of its 95 % band."""


@exact
class Histogram(TypedDict):
    """How the predicted risks are distributed on test, mean over seeds."""

    edges: list[float]
    """Edges of the bins, one more than bins; the last bin holds the highest risk."""
    negatives: list[Number]
    """Episodes without the outcome in each bin."""
    positives: list[Number]
    """Episodes with the outcome in each bin."""


@exact
class CalibratedBy(TypedDict):
    """Calibration on test after one way of recalibration, fitted on validation run by run."""

    method: Way
    """none: the model's own probabilities; platt: slope and intercept; temperature: slope alone."""
    by_run: list[RunParameters]
    """What was fitted; empty of none."""
    reason: str | None
    """Why there are no figures; null where there are."""
    slope: Fit
    """Calibration slope; 1 is right, below 1 predictions are too extreme."""
    in_the_large: Fit
    """Calibration in the large (intercept with slope 1); 0 is right, below 0 too high risks."""
    brier: Estimate
    """Brier score."""
    ici: Estimate
    """Integrated calibration index: mean distance of the smooth curve from the prediction. A
    distance is biased upward in resamples: the value can lie below its own interval."""
    e_max: Estimate
    """Largest distance of the smooth curve from the prediction, of a test episode between the 1st
    and 99th percentile of risk. Like the ICI it can lie below its own interval."""
    brier_minus_none: Difference
    """Paired difference of the Brier score to the model's own probabilities; below 0 is better."""
    ici_minus_none: Difference
    """Paired difference of the ICI to the model's own probabilities. No verdict rests on it: both
    sides are biased upward in resamples, the smaller one more."""
    groups: list[RiskGroup]
    """Reliability: groups by risk, ascending; empty with a reason."""
    smooth: Smooth | None
    """The smooth curve; null with a reason, or where the spline cannot be fitted."""
    histogram: Histogram | None
    """Distribution of the risks; null with a reason."""


@exact
class NetBenefit(TypedDict):
    """Net benefit at each threshold, with its 95 % band."""

    value: Points
    """TP/n − FP/n · p/(1 − p) at each threshold, mean over runs."""
    low: Points
    """Lower end of the band."""
    high: Points
    """Upper end of the band."""


@exact
class Decision(TypedDict):
    """Decision curves on the test episodes (Vickers & Elkin 2006)."""

    reason: str | None
    """Why there are none; null where there are."""
    thresholds: list[float]
    """Thresholds of risk at or above which one would treat: from .01 by .01 up to twice the
    prevalence on validation, rounded up to a tenth, at least .2 and at most .9. Empty with a
    reason."""
    model: NetBenefit | None
    """The model's."""
    treat_all: NetBenefit | None
    """Of treating everybody."""
    treat_none: NetBenefit | None
    """Of treating nobody: 0."""
    sofa: NetBenefit | None
    """Of the SOFA score, made a probability by a logistic regression on validation; null with
    `sofa_reason`."""
    sofa_reason: str | None
    """Why there is none of SOFA; null where there is."""
    model_minus_default: NetBenefit | None
    """Paired difference: model − the better of treating all and none."""
    model_minus_sofa: NetBenefit | None
    """Paired difference: model − SOFA; null without SOFA."""
    hidden_at: list[float]
    """Thresholds at which the model's is hidden: few are called, or few are not."""
    sofa_hidden_at: list[float]
    """Likewise of SOFA."""
    sofa_unknown: Number | None
    """Test episodes whose SOFA is not known: `sofa` is of the others, `model_minus_sofa` of both on
    the others; null without SOFA."""


@exact
class Confusion(TypedDict):
    """Test episodes by call and outcome: of folds the sum, of seeds the mean.

    Where all is shown, and at the result's own threshold, the rates beside it are means over folds,
    not quotients of these sums. At the other thresholds on real data they are quotients of these
    rounded sums.
    """

    true_positive: Number
    """Called, with the outcome."""
    false_positive: Number
    """Called, without it."""
    false_negative: Number
    """Not called, with it."""
    true_negative: Number
    """Not called, without it."""


@exact
class RunCut(Run):
    """The threshold of one run."""

    threshold: Share
    """Called at or above this probability."""


@exact
class OperatingPoint(TypedDict):
    """The model at one threshold, chosen on validation run by run, applied to test."""

    chosen_by: Literal["sensitivity", "specificity", "alert_rate", "result"]
    """What is fixed on validation; result: the result's own threshold, see its `threshold`."""
    aim: Share | None
    """The value that it is fixed at; null of result."""
    words: str
    """The rule in words."""
    reason: str | None
    """Why there are no figures; null where there are."""
    by_run: list[RunCut]
    """The thresholds; empty with a reason."""
    confusion: Confusion | None
    """Confusion matrix on test; null with a reason."""
    sensitivity: Estimate
    """Share of positives that are called."""
    specificity: Estimate
    """Share of negatives that are not called."""
    ppv: Estimate
    """Share of positives among those called."""
    npv: Estimate
    """Share of negatives among those not called."""
    alert_rate: Estimate
    """Share of episodes that are called."""


@exact
class Gaps(TypedDict):
    """Paired differences of a group to all other test episodes: group − rest."""

    auroc: Difference
    """Of the AUROC."""
    in_the_large: Fit
    """Of the calibration in the large."""
    sensitivity: Difference
    """Of the sensitivity."""
    specificity: Difference
    """Of the specificity."""
    ppv: Difference
    """Of the PPV."""


@exact
class FairGroup(TypedDict):
    """The model in one group of the test episodes, at the result's one threshold."""

    group: str
    """Name of the group; UNKNOWN where the attribute is missing."""
    n: Number
    """Test episodes."""
    positives: Number
    """Of them with the outcome."""
    reason: str | None
    """Why there are no figures (few positives or negatives, or a small group would follow); null
    where there are."""
    reason_at_threshold: str | None
    """Why there are none at the threshold (few in a cell of the confusion matrix, or no threshold);
    null where there are."""
    reason_rest: str | None
    """Why `minus_rest` has no figures although the group has: few positives or negatives are not of
    this group; null otherwise."""
    auroc: Estimate
    """AUROC within the group."""
    in_the_large: Fit
    """Calibration in the large; below 0 the risks of this group are too high."""
    sensitivity: Estimate
    """Share of its positives that are called."""
    specificity: Estimate
    """Share of its negatives that are not called."""
    ppv: Estimate
    """Share of positives among those called."""
    minus_rest: Gaps
    """Paired differences to all others."""


@exact
class Attribute(TypedDict):
    """One attribute and its groups."""

    attribute: Literal["sex", "age", "race", "insurance", "language", "care_unit", "era"]
    """Name for programs."""
    words: str
    """Name for readers."""
    reason: str | None
    """Why it has no groups: it is not known; null where it has."""
    groups: list[FairGroup]
    """Its groups by name; empty with a reason."""


@exact
class Fairness(TypedDict):
    """The model by groups of the test episodes."""

    reason: str | None
    """Why there are no figures at all; null where there are."""
    fewest: Whole
    """Positives and negatives that a group must have for figures."""
    attributes: list[Attribute]
    """Sex, age, race, insurance, language, care unit, era."""


@exact
class Numbers(TypedDict):
    """The figures behind the kit of a result of one binary task.

    The same bytes in every run. Floats are rounded to 6 digits.
    """

    head: KitHead
    """What the figures are of."""
    table_one: TableOne
    """Who the episodes are."""
    flow: Flow
    """How they were selected."""
    calibration: list[CalibratedBy]
    """Calibration of the model's own probabilities, and after Platt and temperature scaling."""
    decision: Decision
    """Decision curves."""
    operating_points: list[OperatingPoint]
    """The model at fixed sensitivity, specificity, alert rate, and at the result's threshold."""
    fairness: Fairness
    """The model by groups."""


def read_numbers(path: str | Path) -> Numbers:
    """The figures of a kit; `InputError` for a file that holds none, or of another form."""
    content = read_json(path)
    if not isinstance(content, dict) or "head" not in content or "table_one" not in content:
        raise InputError(f"{path}: not figures of a kit; expected JSON of pipeline.evaluation.kit")
    check_version(path, content["head"], SCHEMA_VERSION)
    return cast(Numbers, content)
