"""The types of a result's sections: what is measured of the predictions of one task.

Every field is described once, here; the public schemas take the words from this file, see
`pipeline.stage.schemas`. Evaluation writes these sections, report reads them.
"""

from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypeAliasType, TypedDict

exact = with_config(ConfigDict(extra="forbid", strict=True))  # no other keys, no conversions

Share = Annotated[float, Field(ge=0, le=1)]
Gap = Annotated[float, Field(ge=-1, le=1)]  # a difference of two shares
Positive = Annotated[float, Field(ge=0)]
Whole = Annotated[int, Field(ge=0)]
AtLeastOne = Annotated[int, Field(ge=1)]
Method = Literal["platt", "temperature"]  # of recalibration
Count = TypeAliasType(
    "Count",
    Annotated[
        Whole | Annotated[str, Field(pattern="^[<>][0-9]+$")] | None,
        Field(
            description='A count; "<10" for 1 to 9 where small counts are suppressed, ">n − 10" '
            "where the rest would be as small; null where it is hidden or not known."
        ),
    ],
)


@exact
class Estimate(TypedDict):
    """A value in [0, 1] and its 95 % interval, within [0, 1] too; null where there is none."""

    value: Share | None
    """The value on the sample itself, mean over seeds and folds."""
    low: Share | None
    """Lower end of the interval (2.5th percentile of the resamples)."""
    high: Share | None
    """Upper end of the interval (97.5th percentile)."""


@exact
class Fit(TypedDict):
    """A value without bounds and its 95 % interval; null where it cannot be computed."""

    value: float | None
    """The value on the sample itself, mean over seeds and folds."""
    low: float | None
    """Lower end of the interval (2.5th percentile of the resamples)."""
    high: float | None
    """Upper end of the interval (97.5th percentile)."""


@exact
class Difference(TypedDict):
    """A paired difference of two values in [0, 1] with its 95 % interval; null without one."""

    value: Gap | None
    """The value on the sample itself, mean over seeds and folds."""
    low: Gap | None
    """Lower end of the interval (2.5th percentile of the resamples)."""
    high: Gap | None
    """Upper end of the interval (97.5th percentile)."""
    seed_sd: Positive | None
    """Standard deviation between training seeds, each the mean over folds; null of one seed."""


@exact
class TestedDifference(Difference):
    """A paired difference, and its p-value."""

    p: Share
    """Two-sided bootstrap p-value, for the hypothesis that the difference is 0."""


@exact
class Run(TypedDict):
    """One run: a training seed and a fold."""

    seed: int
    """Seed of the training."""
    fold: Whole
    """Number of the fold, from 0, in the order of the tables."""


@exact
class RunValue(Run):
    """The value of one run."""

    value: float | None
    """Value of this run."""


@exact
class Metric(Estimate):
    """An estimate in [0, 1], with how it varies over runs where there are several."""

    sd: Positive | None
    """Standard deviation over the runs; null with one run. It says what training varies by, the
    interval what the test patients do."""
    by_run: NotRequired[list[RunValue]]
    """Value of each run, fold by fold; absent with one run."""


@exact
class Loss(TypedDict):
    """An estimate that is not below 0, with how it varies over runs where there are several."""

    value: Positive | None
    """The value on the sample itself, mean over seeds and folds."""
    low: Positive | None
    """Lower end of the interval (2.5th percentile of the resamples)."""
    high: Positive | None
    """Upper end of the interval (97.5th percentile)."""
    sd: Positive | None
    """Standard deviation over the runs; null with one run."""
    by_run: NotRequired[list[RunValue]]
    """Value of each run, fold by fold; absent with one run."""


@exact
class Counts(TypedDict):
    """How many episodes there are, as far as it may be shown."""

    n: Count
    """Episodes; each counts once where folds share it. Null where hidden."""
    patients: Count
    """Patients of these episodes."""
    positives: Count
    """Episodes with the outcome."""
    prevalence: Share | None
    """Share of positives; null without episodes, or where it would tell a suppressed count."""


@exact
class SplitMetrics(Counts):
    """One split: counts and metrics."""

    reason: str | None
    """Why the metrics are null; null where they are not. On real data they are withheld where fewer
    than 10 episodes of a class (in a fold) could be counted from their digits."""
    discarded_resamples: Whole
    """Resamples in which one class was missing (in a fold); the intervals rest on the others."""
    auroc: Metric
    """Area under the ROC curve; a tie counts ½."""
    auprc: Metric
    """Average precision (step-wise area under the precision-recall curve)."""
    brier: Metric
    """Brier score: mean squared error of the probability."""
    log_loss: Loss
    """Mean negative log likelihood in nats; probabilities clipped to 1.2e-7 from 0 and 1."""


@exact
class Metrics(TypedDict):
    """Counts and metrics per split; no patient is in two splits of the corrected protocol."""

    train: SplitMetrics
    """Episodes that the encoders were fitted to: says how far they overfit."""
    fusion: SplitMetrics
    """Episodes that the fusion head was fitted to, unseen by the encoders."""
    val: SplitMetrics
    """Episodes that chose checkpoints and the best single modality."""
    test: SplitMetrics
    """Episodes that nothing was fitted to or chosen on: the figures to quote."""


@exact
class Unpaired(TypedDict):
    """Episodes that only one side has."""

    model: Count
    """Episodes of the model that the other side lacks."""
    other: Count
    """Episodes of the other side that the model lacks."""


@exact
class Ceiling(TypedDict):
    """The best reachable score, known for synthetic data only."""

    population_auroc: Share | None
    """AUROC of the best possible reader of these modalities in the whole population (Monte Carlo);
    null if unknown."""
    oracle_auroc: Estimate
    """AUROC of that reader on the very test episodes, with the modalities they have."""
    oracle_minus_model: Difference
    """Paired difference of AUROC, oracle − model, on the test episodes. Far below 0 would mean that
    the model looks ahead."""
    left_out: Unpaired
    """Test episodes that could not be paired."""


@exact
class OtherModel(TypedDict):
    """Another model of the same task beside the model."""

    validation_auroc: Share | None
    """AUROC on validation, mean over seeds and folds; null with one class."""
    test_auroc: Share | None
    """AUROC on the paired test episodes, mean over seeds and folds; null with one class."""
    p: Share | None
    """Two-sided bootstrap p-value of the paired difference, for the hypothesis that it is 0; null
    where there is none."""
    left_out: Unpaired
    """Test episodes that could not be paired."""
    p_holm: Share | None
    """The same p-value, corrected by Holm for the number of such models in this result."""


@exact
class Single(OtherModel):
    """One model of a single modality beside the model."""

    model_minus_single: Difference
    """Paired difference of AUROC, model − single, on test: the gain of fusion."""


@exact
class Baseline(OtherModel):
    """One baseline on statistics of the record beside the model."""

    model_minus_baseline: Difference
    """Paired difference of AUROC, model − baseline, on test."""


@exact
class Comparisons(TypedDict):
    """The model beside models of one modality and baselines, paired by test episode."""

    best_single: str | None
    """Name of the single-modality model with the highest validation AUROC; null without any."""
    singles: dict[str, Single]
    """Single-modality models by name."""
    baselines: dict[str, Baseline]
    """Baselines on statistics of the record by name; empty where the model does not read it."""
    beaten_by: list[str]
    """Of both the names of those that are better than the model: the interval of the difference
    lies below 0. The largest difference first. With fewer than 5 seeds intervals hold the chance of
    patients alone."""
    not_better_than: list[str]
    """Of both the names of those from which the model cannot be told apart: the interval of the
    difference holds 0. The largest difference against the model first."""


@exact
class Calibration(TypedDict):
    """Weak calibration on test: logistic regression of the outcome on the prediction's logit.

    Null with one class, or where classes are separated.
    """

    slope: Fit
    """Calibration slope; 1 is right, below 1 predictions are too extreme."""
    intercept: Fit
    """Calibration in the large (slope fixed at 1); 0 is right, below 0 predictions are too high."""


@exact
class RunParameters(Run):
    """What was fitted on validation, of one run: logit p' = intercept + slope · logit p."""

    slope: float | None
    """Slope; of temperature scaling 1 / T. Null where none could be fitted."""
    intercept: float | None
    """Intercept; 0 of temperature scaling."""
    reason: str | None
    """Why none could be fitted: the probabilities are then left as they are; null where it was."""


@exact
class Recalibration(TypedDict):
    """How the probabilities were recalibrated on validation; their order, so every ranking, stays.

    Every figure of the task that depends on the probabilities themselves is of the recalibrated.
    """

    method: Method
    """platt: slope and intercept; temperature: a slope alone, 1 / T."""
    by_run: list[RunParameters]
    """What was fitted, fold by fold."""


@exact
class RunThreshold(Run):
    """The threshold of one run."""

    threshold: Share
    """Predicted positive at or above this probability."""
    prevalence: Share
    """Share of positives among the training patients (train, fusion, val)."""
    share_on_validation: Share
    """Share predicted positive on validation: as near to the prevalence as ties allow."""


@exact
class Threshold(TypedDict):
    """The model at one threshold (option -r of Wang et al.), on test; it is held fixed there."""

    rule: str
    """How the threshold was chosen, in words."""
    reason: str | None
    """Why there is none; null where there is one."""
    by_run: list[RunThreshold]
    """The threshold of each run, fold by fold."""
    sensitivity: Estimate
    """Share of positives that are predicted positive."""
    specificity: Estimate
    """Share of negatives that are predicted negative."""
    precision: Estimate
    """Share of positives among those predicted positive."""
    f1: Estimate
    """Harmonic mean of sensitivity and precision."""
    share_positive: Estimate
    """Share of the test episodes that are predicted positive."""


@exact
class Group(TypedDict):
    """One group of the test episodes."""

    group: str
    """Name of the group; UNKNOWN where the attribute is missing."""
    n: Whole | None
    """Test episodes; null where hidden."""
    positives: Whole | None
    """Of them positive; null where hidden."""
    reason: str | None
    """Why the AUROC is null or counts are hidden; null where neither is."""
    auroc: Estimate
    """AUROC within the group; null with fewer than 10 positives or negatives."""


@exact
class Subgroups(TypedDict):
    """AUROC within groups of the test episodes, per attribute; null where it is not known."""

    sex: list[Group] | None
    """Sex as recorded."""
    age: list[Group] | None
    """Age at admission in bands of years."""
    race: list[Group] | None
    """Broad groups by the first word of the recorded race."""
    insurance: list[Group] | None
    """Insurance as recorded."""
    era: list[Group] | None
    """Calendar years of the admission, in the groups of MIMIC's anchor years: that of the middle of
    the years that the shifted dates allow."""


@exact
class Analysis(TypedDict):
    """One sensitivity analysis: the test episodes without those whose outcome is debatable."""

    left_out: str
    """Who is left out, in words."""
    n: Count
    """Episodes that are kept; null where hidden."""
    patients: Count
    """Their patients."""
    positives: Count
    """Of them positive."""
    prevalence: Share | None
    """Share of positives."""
    reason: str | None
    """Why the AUROC is null; null where it is not."""
    auroc: Estimate
    """AUROC on the episodes that are kept."""


@exact
class Missing(TypedDict):
    """One modality made missing in a share of the test episodes, at random."""

    modality: str
    """Letter of the modality that is made missing."""
    rate: Share
    """Share of the test episodes in which it is made missing; 0 is the model itself."""
    auroc: Estimate
    """AUROC on all test episodes."""
    minus_complete: Difference
    """Paired difference of AUROC to the predictions with everything."""


@exact
class SplitCoverage(TypedDict):
    """Who has which modality in one split."""

    n: Count
    """Episodes; in several folds each counts once."""
    modalities: dict[str, Count]
    """Letter → episodes with this modality; where hidden combinations would follow from it ">n", at
    least as many as are in combinations that are shown, or null; null too where it is not at
    hand."""
    combinations: dict[str, Whole | None]
    """Combination of the modalities at hand, such as ec, or none → episodes with these and no
    others; null where hidden: few, or needed so that few do not follow from the total."""


@exact
class Coverage(TypedDict):
    """How many episodes have which modality of the config, whatever the target reads.

    In ICU stays: known before the task is predicted.
    """

    by: dict[str, Literal["selected", "assumed"]]
    """Letter of a modality at hand → how it is known, alike for every target: selected (films and
    reports that were selected, known by the prediction time, whether a film can be read or not: see
    unreadable_films), or assumed (every episode is taken to have a record)."""
    unknown: dict[str, str]
    """Letter of a modality that is not at hand → why not."""
    splits: dict[str, SplitCoverage]
    """Counts per split; of tasks of many labels val and test alone."""


@exact
class Complete(TypedDict):
    """The same on the episodes that have all modalities of the config, by the same code.

    Coverage says how many they are.
    """

    reason: str | None
    """Why there are no figures on test; null where there are. Nothing is shown where the other
    episodes, or the positive or negative among them, are so few that they could be counted by the
    difference."""
    metrics: Metrics | None
    """Counts and metrics per split; null where it is not known who is complete."""
    ceiling: Ceiling | None
    """The best reachable score on these test episodes; the population's is of all."""
    comparisons: NotRequired[Comparisons | None]
    """Beside models of one modality; the best is chosen on complete episodes of validation. Absent
    where the task has no comparisons."""
    missing: NotRequired[list[Missing] | None]
    """A modality made missing in a share of these episodes. Absent where that was not tried."""


@exact
class Item(TypedDict):
    """One item of charted events, infusions or procedures."""

    itemid: int
    """Its number in d_items."""
    label: str | None
    """Its label in d_items; null where the labels stage was given none."""


@exact
class Definition(TypedDict):
    """What a task asks, read from its query when the labels were made."""

    query: str
    """File of the query in the repository."""
    question: str
    """The question, as the query's first comment puts it."""
    unit: str
    """What is predicted of: an admission, or an ICU stay."""
    clock_zero: str
    """The event from which hours are counted."""
    hours: float | None
    """From clock zero to the prediction, in hours: what the model may see."""
    items: list[Item]
    """Items of charted events, infusions and procedures that the query names."""
    releases: dict[str, str]
    """Release of each data set of the source, by its title."""


@exact
class Condition(TypedDict):
    """How many are left after one condition of the cohort, and those before it."""

    condition: str
    """The condition, in words."""
    episodes: Count
    """Episodes that are left."""
    subjects: Count
    """Patients that are left."""
    looks_ahead: NotRequired[Literal[True]]
    """True where who meets it is known only after the prediction time; else absent."""


@exact
class Recall(TypedDict):
    """Recall among the k groups that are ranked highest."""

    model: Metric
    """The model's."""
    ceiling: Estimate
    """The highest that is possible: a stay with more than k groups cannot reach 1."""
    prior: Estimate
    """Of ranking by the groups' share of the training stays, the same for every stay."""
    model_minus_prior: TestedDifference
    """Paired difference, model − prior."""


@exact
class Aurocs(TypedDict):
    """AUROC over the groups of some stays."""

    groups_ranked: Whole | None
    """Groups behind the AUROCs: those that enough stays have and enough have not (in the fold with
    the fewest)."""
    macro_auroc: Metric
    """Mean AUROC of the groups; interval of the first order (influence of each patient)."""
    micro_auroc: Metric
    """AUROC of all pairs of stay and group in one ranking; interval likewise."""


@exact
class Ranked(Aurocs):
    """How well the diagnosis groups of some stays are ranked."""

    recall: dict[str, Recall] | None
    """k → recall among the k groups ranked highest, mean over stays, equal scores sharing their
    ranks; null with a reason."""


@exact
class Ranking(Ranked):
    """The stays coded in one version of ICD."""

    n: Count
    """Stays."""
    patients: Count
    """Patients of these stays."""
    reason: str | None
    """Why the metrics are null; null where they are not."""


@exact
class StayCounts(TypedDict):
    """How many stays of a task of many labels there are, as far as it may be shown."""

    n: Count
    """Stays."""
    patients: Count
    """Patients of these stays."""
    with_group: Count
    """Stays with a group of the vocabulary; the others have no recall. Of the complete stays null
    where few of those that are not complete would follow."""
    labels_per_stay: Positive | None
    """Mean number of groups of a stay; null where hidden."""
    reason: str | None
    """Why the metrics are null; null where they are not."""


@exact
class SplitRanking(StayCounts, Ranked):
    """One split of a task of many labels."""

    by_icd_version: dict[str, Ranking]
    """The same by the version of ICD in which the admission is coded (9, 10, 9 and 10): only ICD-9
    goes through a mapping to groups. A version of few stays, and as many others as it takes that
    its number does not follow, is hidden with a reason."""


@exact
class Rankings(TypedDict):
    """Rankings per split."""

    val: SplitRanking
    """Stays that stopped trainings."""
    test: SplitRanking
    """The figures to quote."""


@exact
class CompleteRankings(TypedDict):
    """The same on the stays that have all modalities of the config by then."""

    reason: str | None
    """Why there are no figures on test; null where there are."""
    metrics: Rankings | None
    """Per split; null with a reason."""


@exact
class Weight(TypedDict):
    """A mean attention weight."""

    value: float
    """Mean over runs."""
    sd: Positive | None
    """Standard deviation over runs; null with one."""


@exact
class Attention(TypedDict):
    """Where the decoder looks: mean attention on the test episodes, over seeds and folds."""

    modality: dict[str, dict[str, Weight]]
    """Task → token (S time-invariant, X time series, n notes, c films) → weight; the last, `n`
    where it stands beside them, is a token like the others."""
    task: dict[str, dict[str, Weight]]
    """Task → earlier task → weight."""
