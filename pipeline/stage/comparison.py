"""The types of comparisons between models and of attributions to modalities, and their readers.

Evaluation writes them, report reads them; the schemas are generated from here
(`pipeline.stage.schemas`).
"""

from pathlib import Path
from typing import Final, Literal, NotRequired, cast

from typing_extensions import TypedDict

from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json
from pipeline.stage.result import Bootstrap, check_version
from pipeline.stage.sections import (
    AtLeastOne,
    Count,
    Counts,
    Difference,
    Estimate,
    Share,
    StayCounts,
    exact,
)

SCHEMA_VERSION: Final = 4  # of both
Family = Literal[
    "best-single", "early", "one-less", "multitask", "bound", "ablation", "modality", "papers"
]
Verdict = Literal["equivalent", "better", "worse", "undecided", "too few seeds"]


@exact
class TestCounts(Counts):
    """The test episodes of a comparison, as far as they may be counted."""

    reason: str | None
    """Why there are no figures; null where there are."""


@exact
class Trained(TypedDict):
    """How many episodes a model was trained on: what the two papers do differently.

    Of several folds the mean. Each encoder learns from those of its episodes that have its
    modality, which are fewer.
    """

    encoders: Count
    """Episodes of the task that the encoders were trained on; null of models without encoders."""
    head: Count
    """Episodes of the task that the head, the decoder or the baseline was trained on."""
    of_any_task: Count
    """Of a decoder of several tasks: episodes of any of them, from which its encoders and its
    shared weights learn; null of models of one task."""


@exact
class ComparedTask(TypedDict):
    """The figures of all compared models on one task, on the same test episodes."""

    metric: Literal["auroc", "recall@10"]
    """What is compared: AUROC of binary tasks, Recall@10 of tasks of many labels."""
    test: TestCounts | StayCounts
    """The test episodes."""
    models: dict[str, Estimate]
    """Name of a target → its figure; empty with a reason."""
    trained_on: NotRequired[dict[str, Trained]]
    """Name of a target → the episodes behind it; of comparisons across papers alone."""


@exact
class Contrast(Difference):
    """The paired difference of two models, first − second, and what follows from it."""

    family: Family
    """The question that it answers, see `pipeline.evaluation.comparison`."""
    task: str
    """The task on whose test episodes both were measured."""
    first: str
    """Name of the first target."""
    second: str
    """Name of the second target."""
    seeds: AtLeastOne
    """Training seeds that the figures are means of."""
    p: Share
    """Two-sided bootstrap p-value, for the hypothesis that the difference is 0."""
    p_holm: Share
    """The same, corrected by Holm for all comparisons of the family in this file."""
    verdict: Verdict
    """What the interval says, given the margin of equivalence."""


@exact
class Compared(TypedDict):
    """Figures and contrasts on some test episodes."""

    tasks: dict[str, ComparedTask]
    """The figures of every task."""
    contrasts: list[Contrast]
    """Every comparison of two models."""


@exact
class CompleteCompared(Compared):
    """The same on the episodes that have all modalities of the config when a task is predicted."""

    reason: str | None
    """Why there is nothing: it is not known who is complete; null where it is."""


@exact
class Comparison(Compared):
    """Paired differences between models, p-values corrected for their number.

    A family of comparisons answers one question; see `pipeline.evaluation.comparison`.
    """

    schema_version: Literal[4]
    """Version of this schema; it grows when a field changes its meaning or goes away."""
    definitions_version: AtLeastOne
    """Version of the definitions behind the predictions."""
    protocol: str
    """Set of choices: corrected or published."""
    margin: Share
    """Differences below it are called equivalent; fixed before any result was seen."""
    complete: CompleteCompared
    """The same on complete episodes."""
    bootstrap: Bootstrap
    """How the intervals were made."""


@exact
class ModalityDifference(Difference):
    """The difference of two modalities' Shapley values."""

    first: str
    """Letter of the first modality."""
    second: str
    """Letter of the second modality."""
    seeds: AtLeastOne
    """Training seeds that the figures are means of."""
    p: Share
    """Two-sided bootstrap p-value, for the hypothesis that the difference is 0."""
    p_holm: Share
    """The same, corrected by Holm for the pairs of modalities."""


@exact
class Attributed(TypedDict):
    """Shapley values on some test episodes."""

    modalities: list[str]
    """Letters of the modalities."""
    test: TestCounts
    """The test episodes."""
    empty: Share
    """AUROC of a model that sees nothing."""
    aurocs: dict[str, Estimate]
    """Set of modalities → AUROC of its model; empty with a reason."""
    shapley: dict[str, Difference]
    """Letter → its gain in AUROC, averaged over all orders of adding modalities."""
    total: Difference | None
    """Their sum: AUROC of all modalities minus that of none; null with a reason."""
    differences: list[ModalityDifference]
    """Differences of every two modalities."""


@exact
class CompleteAttributed(Attributed):
    """The same on the episodes that have all modalities of the config."""

    reason: str | None
    """Why there are no values; null where there are."""


@exact
class Attribution(Attributed):
    """What each modality contributes: Shapley values from the models of every set of modalities."""

    schema_version: Literal[4]
    """Version of this schema; it grows when a field changes its meaning or goes away."""
    definitions_version: AtLeastOne
    """Version of the definitions behind the predictions."""
    task: str
    """The task."""
    fusion: str
    """Model of the sets of two modalities and more."""
    protocol: str
    """Set of choices: corrected or published."""
    complete: CompleteAttributed
    """The same on the episodes that have all modalities of the config."""
    bootstrap: Bootstrap
    """How the intervals were made."""


def read_comparison(path: str | Path) -> Comparison:
    """Comparisons of models; `InputError` for a file that holds none, or of another form."""
    return cast(Comparison, _read(path, "contrasts", "no comparisons", "comparison"))


def read_attribution(path: str | Path) -> Attribution:
    """An attribution; `InputError` for a file that is none, or of another form."""
    return cast(Attribution, _read(path, "shapley", "not an attribution", "attribution"))


def _read(path: str | Path, key: str, otherwise: str, module: str) -> object:
    """The content of a file that has a key; `otherwise`: what it is without."""
    content = read_json(path)
    if not isinstance(content, dict) or key not in content:
        raise InputError(f"{path}: {otherwise}; expected the JSON of pipeline.evaluation.{module}")
    check_version(path, content, SCHEMA_VERSION)
    return content
