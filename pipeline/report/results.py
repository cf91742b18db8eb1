"""Results of a study and what compares them: read, told apart by name, in the order of pages.

Every result is a head and a part per task, see `pipeline.stage.result`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pipeline.evaluation.statistics.significance import MARGIN
from pipeline.report.names import models_in_order, sets_in_order, unique
from pipeline.stage.comparison import Comparison, Trained
from pipeline.stage.errors import InputError
from pipeline.stage.result import SECTIONS, Result, flat

RANKED = "10"  # k of the recall of diagnosis groups that tables show, as the paper does

Part = Mapping[str, Any]  # what a result says of one task: Binary or Many of pipeline.stage.result
Row = Mapping[str, Any]  # a Contrast of pipeline.stage.comparison, with its protocol


class Name(NamedTuple):
    """What tells results apart. `task` is that of the target: a task, or all tasks of a unit."""

    protocol: str
    task: str
    modalities: str
    model: str

    @property
    def target(self) -> str:
        """As in ecn_early_mortality."""
        return f"{self.modalities}_{self.model}_{self.task}"


NO_GAIN: Row = dict.fromkeys(("value", "low", "high", "seed_sd", "p", "p_holm")) | {"second": ""}

Results = dict[Name, Result]
FlatResults = dict[Name, Part]  # of one task each: head and part in one, as FlatResult is


@dataclass(frozen=True)
class Differences:
    """Every comparison of a study, and those on the episodes with all modalities, as rows.

    `tasks`: (protocol, task) of all that were compared, with rows or without; `margin`: within
    which two models are equivalent; `trained`: target → task → episodes that it was trained on.
    """

    rows: list[Row]
    complete: list[Row]
    tasks: list[tuple[str, str]]
    margin: float
    trained: dict[str, dict[str, Trained]]

    def of_family(self, family: str) -> list[Row]:
        """The comparisons of one question."""
        return [row for row in self.rows if row["family"] == family]


def by_name(files: Iterable[tuple[str, Result]]) -> Results:
    """The results of files by name, in the order given; `InputError` for two of one name."""
    results: Results = {}
    for path, result in files:
        name = Name(result["protocol"], result["task"], result["modalities"], result["model"])
        if name in results:
            raise InputError(f"{path}: a second result of {name.target}, {name.protocol} protocol")
        results[name] = result
    if not results:
        raise InputError("--results: no results given")
    return results


def differences_in(comparisons: Sequence[Comparison]) -> Differences:
    """The rows of all comparisons, file by file."""
    rows: list[Row] = []
    complete: list[Row] = []
    tasks: list[tuple[str, str]] = []
    trained: dict[str, dict[str, Trained]] = {}
    for one in comparisons:
        protocol = {"protocol": one["protocol"]}
        rows += [{**row, **protocol} for row in one["contrasts"]]
        complete += [{**row, **protocol} for row in one["complete"]["contrasts"]]
        tasks += [(one["protocol"], task) for task in one["tasks"]]
        for task, compared in one["tasks"].items():
            for target, counts in compared.get("trained_on", {}).items():
                trained.setdefault(target, {})[task] = counts
    margin = next((one["margin"] for one in comparisons), MARGIN)
    return Differences(rows, complete, tasks, margin, trained)


def gain(rows: Iterable[Row], name: Name) -> Row:
    """The difference of a model and its best single one; nulls where they were not compared."""
    wanted = ("best-single", name.protocol, name.target)
    gains = (row for row in rows if (row["family"], row["protocol"], row["first"]) == wanted)
    return next(gains, NO_GAIN)


def of_one_task(results: Results) -> FlatResults:
    """The results as in the files of one binary task: what is said of it beside the head.

    Raises `InputError` for a result of several tasks, or without all sections of a binary task.
    """
    for name, result in results.items():
        parts = list(result["tasks"].values())
        if len(parts) != 1 or not set(SECTIONS) <= set(parts[0]):
            raise InputError(f"{name.target}: this page shows models of one binary task alone")
    return {name: flat(result) for name, result in results.items()}


def parts_of(results: Results) -> list[tuple[Name, str, Part]]:
    """Every task of every result, with what is said of it."""
    return [(name, task, part) for name, result in results.items()
            for task, part in result["tasks"].items()]  # fmt: skip


def is_ranked(part: Part) -> bool:
    """Whether a task asks for many labels (diagnosis groups, ranked by their probability)."""
    return "vocabulary" in part


def shown_metrics(test: Mapping[str, Any]) -> dict[str, Any]:
    """The two metrics of a task that are shown, the more important first; None: not measured.

    `test`: a split's metrics.
    """
    if "recall" in test:
        recall = (test["recall"] or {}).get(RANKED, {})
        return {f"Recall@{RANKED}": recall.get("model"), "AUROC": test["macro_auroc"]}
    return {"AUROC": test["auroc"], "average precision": test["auprc"]}


def test_of(part: Part, complete: bool = False) -> dict[str, Any]:
    """Counts and metrics of the test episodes; `complete`: of those with all modalities."""
    measured = part.get("complete") or {} if complete else part
    return (measured.get("metrics") or {}).get("test", {})


def figure_of(part: Part | None, complete: bool = False) -> dict[str, Any] | None:
    """The estimate of a task on the test episodes: AUROC, or Recall@10; None if there is none."""
    test = test_of(part or {}, complete)
    return next(iter(shown_metrics(test).values())) if test else None


def arranged(results: Results) -> Results:
    """The results by task (in the order given), modality set, model and protocol."""
    tasks = unique(name.task for name in results)
    sets = sets_in_order(name.modalities for name in results)
    models = models_in_order(name.model for name in results)

    def place(name: Name) -> tuple[int, int, int, str]:
        places = tasks.index(name.task), sets.index(name.modalities), models.index(name.model)
        return *places, name.protocol

    return {name: results[name] for name in sorted(results, key=place)}


def is_synthetic(results: Results) -> bool:
    """Whether any result was made from the synthetic hospital."""
    return any(result["source"].get("kind") == "synthetic" for result in results.values())
