"""Tables of the page across papers: models × tasks, and everything about one task."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.fusion.registry import is_decoder
from pipeline.report.names import (
    Letters,
    full_set,
    model_words,
    models_in_order,
    task_words,
    unique,
)
from pipeline.report.numbers import cell, count, p_cell, sd_cell, table, with_sd
from pipeline.report.page import Study
from pipeline.report.results import Name, Part, Results, Row, is_ranked, test_of
from pipeline.report.robustness import coverage_words
from pipeline.report.verdicts import verdict_words
from pipeline.stage.comparison import Trained
from pipeline.stage.errors import InputError

COUNTS = ("n", "patients", "positives")
METRICS = ("auroc", "auprc", "brier")


class Model(NamedTuple):
    """A row of the page: a model, and whether it takes several tasks together."""

    name: str
    together: bool

    @property
    def words(self) -> str:
        """For readers."""
        kinds = {True: ", all tasks together", False: ", each task alone"}
        return model_words(self.name) + (kinds[self.together] if is_decoder(self.name) else "")


Cells = dict[str, dict[Model, tuple[Name, Part]]]  # task → model → its target, and what it says


def by_task(results: Results) -> Cells:
    """Every binary task of the results of all modalities, with its models in order.

    A task of which there are results of fewer modalities alone is left out. Raises `InputError`
    where two models of a task were made of other episodes, or by other protocols.
    """
    letters = full_set(name.modalities for name in results)
    protocols = unique(name.protocol for name in results)
    if len(protocols) > 1:
        raise InputError(f"--results: of the protocols {', '.join(protocols)}; give those of one")
    cells: Cells = {}
    for task in unique(name.task for name, one in results.items() if name.task in one["tasks"]):
        models = {
            Model(name.model, name.task != task): (name, result["tasks"][task])
            for name, result in results.items()
            if name.modalities == letters and task in result["tasks"]
        }
        order = models_in_order(model.name for model in models)
        if models and not any(is_ranked(part) for _, part in models.values()):
            ordered = sorted(models, key=lambda model: (order.index(model.name), model.together))
            cells[task] = {model: models[model] for model in ordered}
            _same_episodes(task, cells[task])
    return cells


def _same_episodes(task: str, models: Mapping[Model, tuple[Name, Part]]) -> None:
    (first, part), *others = models.values()
    for name, other in others:
        for split, metrics in part["metrics"].items():
            sizes = [[one[key] for key in COUNTS] for one in (metrics, other["metrics"][split])]
            if sizes[0] != sizes[1]:
                raise InputError(
                    f"{name.target}: on {task} its {split} episodes are not those of "
                    f"{first.target} (episodes, patients, positives: {sizes[1]} and {sizes[0]}); "
                    "make both results again from the same labels"
                )


def models_of(cells: Cells) -> list[Model]:
    """Every model of the page, in the order of the registry, UniMed last."""
    known = list(dict.fromkeys(model for models in cells.values() for model in models))
    order = models_in_order(model.name for model in known)
    return sorted(known, key=lambda model: (order.index(model.name), model.together))


TRAINED_ON = ("encoders", "head", "of_any_task")  # counts of training episodes, see Trained
TRAINED = (
    "Episodes of the task that a model is fitted on, encoders + head; of several folds the mean. "
    "Wang's encoders are fitted on the share train and their heads, as the baselines, on the share "
    "fusion, which the encoders never saw; UniMed is fitted on both shares at once, encoders and "
    "decoder. UniMed of all tasks together learns from the episodes of its other tasks, too: in "
    "brackets those of any task. An encoder learns from those that have its modality. So the "
    "differences are also ones of training episodes."
)


def auroc_table(cells: Cells) -> str:
    """Models × tasks; last the best reachable, where a truth is known."""
    rows = [
        [model.words, *(cell(_test(models, model).get("auroc")) for models in cells.values())]
        for model in models_of(cells)
    ]
    best = [cell(_ceiling(models).get("oracle_auroc")) for models in cells.values()]
    rows += [["oracle (best reachable)", *best]] if set(best) != {"–"} else []
    return table(["model", *map(task_words, cells)], rows)


def _test(models: Mapping[Model, tuple[Name, Part]], model: Model) -> Mapping[str, Any]:
    return test_of(models[model][1]) if model in models else {}


def _ceiling(models: Mapping[Model, tuple[Name, Part]]) -> Mapping[str, Any]:
    """What is known of the best reachable score; it depends on the modalities, not on the model."""
    return next((part["ceiling"] for _, part in models.values() if part["ceiling"]), {})


def tested_table(cells: Cells, letters: Letters) -> str:
    """A row per task: test episodes, positives, who has which modality."""
    rows = []
    for task, models in cells.items():
        _, part = next(iter(models.values()))
        test, coverage = test_of(part), part.get("coverage")
        share = "–" if test["prevalence"] is None else f"{100 * test['prevalence']:.1f} %"
        covered = coverage_words(coverage, letters) if coverage else "–"
        rows.append([task_words(task), covered, *(count(test[key]) for key in COUNTS), share])
    return table(["task", "modalities", "episodes", "patients", "positives", "share"], rows, 2)


def trained_table(cells: Cells, trained: Mapping[str, Mapping[str, Trained]]) -> str:
    """Models × tasks: episodes that encoders and head are fitted on, as the comparison counts."""

    def of(model: Model, task: str) -> str:
        name = cells[task][model][0].target if model in cells[task] else ""
        counts = trained.get(name, {}).get(task)
        if counts is None:
            return "–"
        if is_decoder(model.name):
            other = counts.get("of_any_task")
            return count(counts["head"]) + ("" if other is None else f" ({count(other)})")
        return f"{count(counts['encoders'])} + {count(counts['head'])}"

    rows = [[model.words, *(of(model, task) for task in cells)] for model in models_of(cells)]
    return table(["model", *map(task_words, cells)], rows)


def differences_of(task: str, study: Study) -> list[Row]:
    """UniMed minus every other model on a task."""
    return [row for row in study.differences.of_family("papers") if row["task"] == task]


def section(task: str, study: Study, cells: Cells) -> list[str]:
    """One task: every metric of every model, and UniMed minus each of them."""
    words = {name.target: model.words for model, (name, _) in cells[task].items()}
    metrics = [
        [model.words, *(cell(test_of(part)[metric]) for metric in METRICS),
         with_sd((part["ceiling"] or {}).get("oracle_minus_model"))]
        for model, (_, part) in cells[task].items()
    ]  # fmt: skip
    rows = [
        [*(words.get(str(row[side]), str(row[side])) for side in ("first", "second")),
         verdict_words(row, study.differences.margin), cell(row, sign=True), sd_cell(row),
         p_cell(row["p"]), p_cell(row["p_holm"])]
        for row in differences_of(task, study)
    ]  # fmt: skip
    header = ["model", "AUROC", "average precision", "Brier score", "oracle − model"]
    compared = ["model", "minus", "verdict", "difference of AUROC", "SD between seeds", "p"]
    reason = next((test_of(p)["reason"] for _, p in cells[task].values()), None)
    return [
        f"## {task_words(task)}",
        f"No figures: {reason}." if reason else "",
        table(header, metrics),
        table([*compared, "p (Holm)"], rows, words=3) if rows else "UniMed was not compared.",
    ]
