"""The types of what the judge says of somebody's predictions on the synthetic hospital."""

from typing import Final, Literal

from typing_extensions import TypedDict

from pipeline.stage.result import Bootstrap
from pipeline.stage.sections import Calibration, Difference, Estimate, Fit, Share, Whole, exact

SCHEMA_VERSION: Final = 1
Leak = Literal["leaks", "suspect", "none seen"]


@exact
class Judged(TypedDict):
    """How many of the predictions are judged. The hospital is synthetic: no count is hidden."""

    rows: Whole
    """Predictions given."""
    judged: Whole
    """Predictions of episodes of the task: these are judged."""
    patients: Whole
    """Patients of these."""
    positives: Whole
    """Positive episodes among these."""
    no_episode: Whole
    """Predictions of admissions or stays that are no episode of the task, left out."""
    missing: Whole
    """Episodes of the task without a prediction (of the patients on the test list, where one was
    given)."""


@exact
class Bait(TypedDict):
    """A trap: what its rows show of who dies, and how the predictions go with it.

    Correlations with its value from −1 (survives) to 1 (dies), 0 where the admission has none;
    predictions count by their rank. Null where nothing varies.
    """

    name: str
    """Which trap."""
    admissions: Whole
    """Judged admissions that hold it."""
    auroc: Share | None
    """AUROC for death of its value, among the judged admissions that hold it."""
    correlation: Fit
    """Of the predictions with it, nothing held fixed."""
    honest: float | None
    """The same correlation of the best reachable predictions: what honesty shows."""
    beyond_risk: Fit
    """Correlation given the risk that can be known in time; 0 of honest predictions."""
    apart: Fit
    """Correlation given that risk, the outcome and the length of the admission: the trace of this
    trap beside that of all that tell the outcome; 0 of honest predictions."""


@exact
class Leakage(TypedDict):
    """Whether the predictions use what could not be known in time."""

    verdict: Leak
    """leaks: better than the best reachable predictions, by the paired interval, or they tell the
    death beyond the risk that can be known (p < .005) and a trap left its trace. suspect: they tell
    it, and no trap stands out. none seen: neither."""
    above_oracle: bool
    """Whether the AUROC lies above the interval of the best reachable one; without `paired` it says
    little, as it leaves out how uncertain the AUROC of the predictions is."""
    paired: bool
    """Whether the interval of best reachable − predictions lies below 0."""
    outcome_beyond_risk: Fit
    """Correlation of the predictions with the death, given the risk that can be known in time; 0
    of honest predictions. Null where nothing varies."""
    into: list[list[str]]
    """Traps that left a trace of their own, the clearest first, each given those before; those
    that tell nearly the same stand together. Empty where none does (what is read may be the outcome
    itself), and where nothing tells of a leak."""
    baits: list[Bait]
    """Every trap of the hospital."""


@exact
class Splits(TypedDict):
    """The patients of the lists that were given."""

    train: Whole
    """Patients on the list of training."""
    test: Whole
    """Patients on the list of test."""
    in_both: Whole
    """Patients on both lists."""
    judged_in_train: Whole
    """Patients with a judged prediction who are on the list of training."""
    judged_not_in_test: Whole
    """Patients with a judged prediction who are not on the list of test."""


@exact
class Judgement(TypedDict):
    """What the judge says of predictions on the synthetic hospital."""

    schema_version: Literal[1]
    """Version of this form."""
    task: str
    """Which task the predictions are of."""
    modalities: str
    """Which modalities the best reachable predictions read: e record, c films, n notes."""
    counts: Judged
    """How many predictions are judged."""
    auroc: Estimate
    """AUROC of the predictions."""
    oracle_auroc: Estimate
    """The best reachable AUROC on the same episodes."""
    oracle_minus_model: Difference
    """Paired difference of the two."""
    population_auroc: Share | None
    """The best reachable AUROC in the population, no modality missing."""
    brier: Estimate
    """Brier score of the predictions."""
    oracle_brier: Estimate
    """Brier score of the best reachable predictions."""
    calibration: Calibration
    """Weak calibration of the predictions."""
    leak: Leakage
    """Whether they leak, and from where."""
    splits: Splits | None
    """Patients in two splits; null without lists."""
    bootstrap: Bootstrap
    """How the intervals were made."""
