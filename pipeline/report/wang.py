"""Wang's page: every modality set, model and task of admissions, under both protocols.

It answers the paper's two claims and shows the tables behind the answers; the csv has a row per
result.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pipeline.report import attribution, forest, page
from pipeline.report.attribution import shapley_table
from pipeline.report.beaten import beaten_table
from pipeline.report.names import Letters, models_in_order, sets_in_order, unique
from pipeline.report.numbers import bullets, columns
from pipeline.report.page import Page, Study, joined, looking_ahead, pictures
from pipeline.report.results import (
    FlatResults,
    arranged,
    gain,
    is_synthetic,
    of_one_task,
    parts_of,
    test_of,
)
from pipeline.report.robustness import complete_table, missing_table, sensitivity_table
from pipeline.report.verdicts import interval_lines
from pipeline.report.wang_claims import answers
from pipeline.report.wang_task import section
from pipeline.stage.command import run
from pipeline.stage.registry import PROTOCOLS

METRICS = ("auroc", "auprc", "brier")


def text(study: Study, figures: list[str]) -> str:
    """The Markdown page; `figures` are paths relative to it."""
    study = in_order(study)
    results, letters = of_one_task(study.results), study.letters
    return joined([
        "# Every modality set, model and task",
        introduction(results, letters),
        answers(study.differences, study.attributions, is_synthetic(study.results), letters),
        beaten_table(parts_of(study.results)),
        *pictures(figures),
        *(section(task, results, study.differences) for task in unique(n.task for n in results)),
        complete_table(results, study.differences, letters),
        shapley_table(study.attributions, results, letters),
        missing_table(results, letters),
        sensitivity_table(results),
    ])  # fmt: skip


def introduction(results: FlatResults, letters: Letters) -> str:
    """What is counted, and how to read a cell."""
    counts = [f"{sum(name.protocol == p for name in results)} {p}" for p in PROTOCOLS]
    known = unique("".join(sets_in_order(name.modalities for name in results)))
    words = ", ".join(f"**{letter}** {letters.get(letter, '')}".strip() for letter in known)
    return bullets([
        f"{len(results)} results: {', '.join(counts)}. A dash: not made.",
        "Cells: AUROC on the test episodes with its 95 % interval; where there are several seeds "
        "or folds their mean, and SD, their standard deviation.",
        *interval_lines(results.values()),
        f"Modalities: {words}.",
        "Oracle: the best reader of these modalities on the same episodes, known for synthetic "
        "data only.",
        "The two protocols differ in patients, labels and split: their difference has no paired "
        "interval. The published one repeats the paper's flaws, patients in both training and test "
        "among them, which its intervals do not know of.",
        *looking_ahead(results.values()),
    ])  # fmt: skip


def in_order(study: Study) -> Study:
    """Everything in the order of tasks, models and protocols in which the page shows it."""
    results = arranged(study.results)
    tasks = unique(name.task for name in results)
    models = models_in_order([*(n.model for n in results), *(a["fusion"] for a in
                                                             study.attributions)])  # fmt: skip

    def place(task: str) -> tuple[int, str]:
        return tasks.index(task) if task in tasks else len(tasks), task

    compared = sorted(study.differences.tasks, key=lambda one: (place(one[1]), one[0]))
    attributions = sorted(
        study.attributions,
        key=lambda one: (place(one["task"]), models.index(one["fusion"]), one["protocol"]),
    )
    differences = replace(study.differences, tasks=compared)
    return replace(study, results=results, differences=differences, attributions=attributions)


def csv_rows(study: Study) -> Iterator[dict[str, Any]]:
    """One row per result: its name, counts, metrics, distance to the oracle, gain over a single."""
    results = of_one_task(in_order(study).results)
    for name, result in results.items():
        test, ceiling = result["metrics"]["test"], result["ceiling"] or {}
        row: dict[str, Any] = name._asdict()
        row |= {key: test[key] for key in ("n", "patients", "positives", "prevalence")}
        reason = (result.get("complete") or {}).get("reason")
        complete = {} if reason else test_of(result, complete=True)
        row |= {"n_complete": complete.get("n"), **columns("auroc_complete", complete.get("auroc"))}
        for metric in METRICS:
            row |= columns(metric, test[metric]) | {f"{metric}_sd": test[metric].get("sd")}
        row["population_ceiling"] = ceiling.get("population_auroc")
        for key in ("oracle_auroc", "oracle_minus_model"):
            row |= columns(key, ceiling.get(key))
        difference = gain(study.differences.rows, name)
        row |= {
            "best_single": difference["second"].removesuffix(f"_{name.task}"),
            **columns("gain", difference),
        }
        row |= {f"gain_{key}": difference[key] for key in ("seed_sd", "p", "p_holm")}
        row["beaten_by"] = " ".join((result["comparisons"] or {}).get("beaten_by", []))
        yield row


PAGE = Page(
    text,
    csv_rows,
    {
        "wang": (forest.TITLE, lambda study: forest.figure(of_one_task(in_order(study).results))),
        "attribution": (
            attribution.TITLE,
            lambda study: attribution.figure(study.attributions, study.letters),
        ),
    },
)


def main() -> None:
    """Reads results, contrasts and attributions, writes the page, the csv and the figures."""
    page.write(PAGE, page.arguments(__doc__))


if __name__ == "__main__":
    run(main)
