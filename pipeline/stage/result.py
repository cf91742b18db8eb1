"""The types of a result and how it is read; every field is described once.

In memory every result has one form, a head and a part per task (`Result`). In public a result of
one task of admissions is flat (`FlatResult`, result.schema.json), every other one keeps its `tasks`
(multitask.schema.json). The types of the parts' sections are in `pipeline.stage.sections`, those of
comparisons and attributions in `pipeline.stage.comparison`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict

from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json
from pipeline.stage.sections import (
    Analysis,
    AtLeastOne,
    Attention,
    Calibration,
    Ceiling,
    Comparisons,
    Complete,
    CompleteRankings,
    Condition,
    Count,
    Coverage,
    Definition,
    Metrics,
    Missing,
    Rankings,
    Recalibration,
    Share,
    Subgroups,
    Threshold,
    exact,
)

SCHEMA_VERSION: Final = 3
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@exact
class Measured(TypedDict):
    """What is measured of every binary task."""

    metrics: Metrics
    """Counts and metrics per split."""
    ceiling: Ceiling | None
    """The best reachable score, known for synthetic data only; null where no truth is known."""
    recalibration: NotRequired[Recalibration]
    """What was fitted on validation; absent where the probabilities are the model's own."""
    calibration: Calibration
    """Weak calibration on test."""
    threshold: Threshold
    """The model at one threshold, on test."""
    subgroups: Subgroups | None
    """AUROC within groups of the test episodes; null without a table of episodes."""
    sensitivity: list[Analysis]
    """Sensitivity analyses, one each; empty where the task has none."""
    coverage: Coverage
    """How many episodes have which modality of the config before the task is predicted."""
    complete: Complete
    """The same on the episodes that have all modalities of the config by then."""


@exact
class Binary(Measured):
    """A binary task."""

    comparisons: NotRequired[Comparisons]
    """The model beside models of one modality and baselines; absent where there are none."""
    missing: NotRequired[list[Missing] | None]
    """What a modality is worth to the trained model: AUROC on test with the modality made missing.
    Null where test has no metrics; absent where the model has no such scenarios."""
    definition: Definition | None
    """What the task asks; null of labels that recorded none."""
    attrition: list[Condition]
    """How many are left after each condition, in order."""


@exact
class Many(TypedDict):
    """One task of many labels: the ranking of diagnosis groups.

    Diagnoses carry no time stamp: they are coded after the stay.
    """

    vocabulary: list[AtLeastOne]
    """Number of groups, fold by fold."""
    metrics: Rankings
    """Per split."""
    coverage: Coverage
    """How many eligible stays of val and test have which modality before the task is predicted."""
    complete: CompleteRankings
    """The same on the stays that have all modalities of the config by then."""
    definition: Definition | None
    """What the task asks; null of labels that recorded none."""
    attrition: list[Condition]
    """How many are left after each condition, in order."""


@exact
class Bootstrap(TypedDict):
    """How the intervals were made: percentiles over resampled patients and trainings."""

    unit: str
    """What is drawn with replacement."""
    level: Share
    """Coverage of the intervals."""
    resamples: AtLeastOne
    """Number of resamples."""
    seed: int
    """Seed of the draws."""
    training_noise: bool
    """Whether seeds of the training are resampled too, with Student's quantiles for their small
    number. False with fewer than 5 seeds: training noise is then in no interval, and no verdict
    rests on it."""


@exact
class Cohort(TypedDict):
    """The episodes with predictions, of all tasks."""

    fingerprint: Digest
    """SHA-256 over the sorted (episode_id, split, label) of every task: equal cohorts, equal
    fingerprints."""
    episodes: Count
    """Episodes with a prediction for any task, in all splits."""
    patients: Count
    """Patients of these episodes."""
    looks_ahead: list[str]
    """The conditions that look ahead, in words; empty where none does. Such a cohort cannot be told
    at the prediction time."""


@exact
class FlatCohort(Cohort):
    """The episodes with predictions, and how they were selected."""

    attrition: list[Condition]
    """How many are left after each condition, in order."""


@exact
class Source(TypedDict):
    """What the data are, as given by the workflow."""

    kind: NotRequired[str]
    """synthetic (effects are planted), mimic, meds (a data set in MEDS) or hourly (concept
    tables per stay and hour)."""
    releases: NotRequired[dict[str, str]]
    """Release of each data set that the source holds, by its title; empty for the synthetic
    hospital."""


@exact
class Films(TypedDict):
    """Chest films that cannot be read (absent, damaged, no JPEG, less than 32 pixels a side).

    They count as missing. Above a share of those needed (config: cxr.unreadable) there is no
    result.
    """

    needed: Count
    """Films of all episodes of the cohort, each once."""
    unreadable: Count
    """Those of them that cannot be read."""


@exact
class External(TypedDict):
    """Files of the user's that an encoder starts from or reads: pretrained weights, embeddings."""

    sha256: Digest
    """SHA-256 over their names and contents."""
    needed: NotRequired[Count]
    """Films or reports of the cohort, each once, where embeddings were made elsewhere."""
    missing: NotRequired[Count]
    """Those of them that have no embedding, and count as missing."""


@exact
class Ended(TypedDict):
    """How one training ended, of one part of the model, fold and seed."""

    part: str
    """What was trained: the encoder of a modality, or all parts together under the model's name."""
    fold: Count
    """Number of the fold, from 0."""
    seed: int
    """Seed of the training."""
    precision: str
    """Of its numbers: fp32 or bf16."""
    steps: AtLeastOne
    """Steps that it was trained."""
    best_step: AtLeastOne
    """The step after which its weights were best on validation: they are kept."""
    stopped: Literal["patience", "budget", "epochs"]
    """By what it ended: no better check in so many (patience), all steps of the budget (budget), or
    all passes of a schedule in epochs (epochs)."""
    rising: bool | None
    """Whether the budget ended with the best check: more steps might give more. Null where no one
    can tell: validation did not choose, or the schedule is in epochs."""


@exact
class Environment(TypedDict):
    """Versions and fingerprints of what made the result."""

    python: str
    """Version of Python."""
    packages: dict[str, str]
    """Installed versions of the key packages."""
    lock_sha256: Digest
    """SHA-256 of the file of pinned requirements."""
    code_sha256: Digest
    """SHA-256 over path and content of every source file of the modules."""
    modules: list[str]
    """Modules that made the result; the files that they import are part of the fingerprint."""


@exact
class Head(TypedDict):
    """What every result says beside its tasks."""

    schema_version: Literal[3]
    """Version of this schema; it grows when a field changes its meaning or goes away."""
    definitions_version: AtLeastOne
    """Version of the definitions behind the result: queries of cohorts, tasks and selections,
    catalogues of signals, groups of diagnoses. Results of two versions are not compared. Results
    without this field are of version 1."""
    target: str
    """Name of the result: modalities_model_task; task all or admission: several tasks by one
    decoder."""
    modalities: str
    """Letters of the modalities that the model reads, e.g. e (EHR), c (chest films), n (notes)."""
    model: str
    """Model or fusion, e.g. unimodal, early, joint, late, unimed; a variant is unimed-<name>."""
    task: str
    """What is predicted, e.g. mortality; all or admission of several tasks by one decoder."""
    protocol: str
    """Set of choices: corrected, or published (the paper's, its flaws included)."""
    experiment: NotRequired[str]
    """Name of the experiment; absent of a run without a name."""
    source: Source
    """What the data are."""
    bootstrap: Bootstrap
    """How the intervals were made."""
    seeds: list[int]
    """Training seeds; a metric is the mean over seeds and folds, within each resample too."""
    folds: AtLeastOne
    """Folds of cross-validation; 1: a single split."""
    threads: AtLeastOne
    """Threads of the training: weights depend on their number."""
    settings: dict[str, Any]
    """The settings behind the result, as given by the workflow."""
    unreadable_films: Films | None
    """Films that cannot be read and count as missing; null where the model reads no films."""
    external: NotRequired[dict[str, External]]
    """Modality → files of the user's behind its encoder; empty where there are none."""
    training: list[Ended]
    """How each training behind the result ended; empty where none trains in steps or epochs."""
    environment: Environment
    """Versions and fingerprints of what made the result."""


Part = Binary | Many


@exact
class Result(Head):
    """Result of one model on its tasks.

    Metrics with 95 % intervals per task, and everything they rest on. Two runs of the same code on
    the same data on one machine give the same bytes. Floats are rounded to 6 digits. Where the
    source is real, counts from 1 to 9 are shown as "<10" (or another threshold).
    """

    tasks: dict[str, Part]
    """Each task's part, in the order of time."""
    attention: Attention | None
    """Mean attention on the test episodes; null where the model has none."""
    cohort: Cohort
    """The episodes with predictions."""


@exact
class FlatResult(Head, Measured):
    """Result of one model on one task of admissions.

    Metrics with 95 % intervals, and everything they rest on. Two runs of the same code on the same
    data on one machine give the same bytes. Floats are rounded to 6 digits. Where the source is
    real, counts from 1 to 9 are shown as "<10" (or another threshold).
    """

    task_definition: Definition | None
    """What the task asks; null of labels that recorded none."""
    comparisons: Comparisons
    """The model beside models of one modality and baselines, paired by test episode."""
    missing: list[Missing] | None
    """What a modality is worth to the trained model: AUROC on test with the modality made missing.
    Null where that was not tried, or where test has no metrics."""
    attention: NotRequired[Attention]
    """Mean attention on the test episodes; absent where the model has none."""
    cohort: FlatCohort
    """The episodes with predictions."""


OPTIONAL = "recalibration"  # a section that is absent where the config asks for none
SECTIONS = ("metrics", "ceiling", "comparisons", "calibration", "threshold", "subgroups",
            "sensitivity", "missing", "coverage", "complete")  # fmt: skip


def flat(result: Result) -> FlatResult:
    """The public form of a result of one binary task that has all `SECTIONS`."""
    (part,) = cast(dict[str, Binary], result["tasks"]).values()
    sizes = dict(result["cohort"])
    looks_ahead = {"looks_ahead": sizes.pop("looks_ahead")}
    replaced: dict[str, dict[str, Any]] = {
        "tasks": {
            "task_definition": part["definition"],
            **_sections(part),
        },
        "attention": {"attention": result["attention"]} if result["attention"] else {},
        "cohort": {"cohort": {**sizes, "attrition": part["attrition"], **looks_ahead}},
    }
    public: dict[str, Any] = {}
    for key, value in result.items():
        public |= replaced.get(key, {key: value})
    return cast(FlatResult, public)


def _sections(part: Mapping[str, Any]) -> dict[str, Any]:
    """The `SECTIONS` of a part, and the optional one where there is one."""
    return {name: part[name] for name in (*SECTIONS, OPTIONAL) if name != OPTIONAL or name in part}


def in_tasks(result: FlatResult) -> Result:
    """The form in memory of a result in its public form; the inverse of `flat`."""
    sizes = dict(result["cohort"])
    part = _sections(result)
    part |= {"definition": result["task_definition"], "attrition": sizes.pop("attrition")}
    tasks = {"tasks": {result["task"]: part}, "attention": result.get("attention")}
    private: dict[str, Any] = {}
    for key, value in result.items():
        if key == "task_definition":
            private |= tasks
        elif key not in (*SECTIONS, OPTIONAL, "attention"):
            private[key] = sizes if key == "cohort" else value
    return cast(Result, private)


def read_result(path: str | Path) -> Result:
    """A result in the form in memory; `InputError` for a file that is none, or of another form."""
    content = read_json(path)
    if not isinstance(content, dict) or "target" not in content or "seeds" not in content:
        raise InputError(f"{path}: not a result; expected the JSON of pipeline.evaluation.result")
    check_version(path, content, SCHEMA_VERSION)
    return cast(Result, content) if "tasks" in content else in_tasks(cast(FlatResult, content))


def check_version(path: str | Path, content: dict[str, Any], expected: int) -> None:
    """Raises `InputError` where other code than this made a file: its `schema_version` differs."""
    if (version := content.get("schema_version")) != expected:
        raise InputError(
            f"{path}: schema_version {version}, expected {expected}; other code made it: make it "
            "again"
        )
