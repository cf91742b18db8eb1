"""UniMed's page: several tasks of ICU stays by one decoder, beside the figures of the paper.

Tables in the form of Zhao et al. 2022, and what it left out: ablations, training sizes, the upper
bound, diagnoses. The csv has a row per result, task and metric.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from pipeline.report import attention, page
from pipeline.report.beaten import beaten_table
from pipeline.report.names import ALL, Letters, task_hours, task_words, unique
from pipeline.report.numbers import bullets, table
from pipeline.report.page import Page, Study, joined, looking_ahead, pictures
from pipeline.report.results import (
    Differences,
    Part,
    Result,
    Results,
    is_ranked,
    is_synthetic,
    parts_of,
)
from pipeline.report.robustness import complete_by_task, sensitivity_by_task
from pipeline.report.unimed_comparisons import (
    bound_sentence,
    differences,
    size_sentence,
    size_table,
)
from pipeline.report.unimed_tables import (
    DAGGER,
    ablations,
    diagnoses,
    other_tasks,
    table_one,
    table_three,
    table_two,
)
from pipeline.report.verdicts import PLANTED, interval_lines, verdict_counts, verdict_rule
from pipeline.stage.command import run


def text(study: Study, figures: list[str]) -> str:
    """The Markdown page; `figures` are paths relative to it."""
    results, compared = study.results, study.differences
    modalities = reference(results)
    return joined([
        "# Several tasks of ICU stays by one decoder",
        introduction(results, modalities),
        verdict_rule(compared.margin) if compared.rows else "",
        f"> {PLANTED}" if is_synthetic(results) else "",
        beaten_table(parts_of(results)),
        *of_paper(results, compared, modalities),
        *not_in_paper(results, compared, modalities, study.letters),
        "## Diagnoses",
        diagnoses(results),
        *pictures(figures),
    ])  # fmt: skip


def introduction(results: Results, modalities: str) -> str:
    """What is shown, and how to read a cell."""
    seeds = unique(str(len(result["seeds"])) for result in results.values())
    return bullets([
        f"{len(results)} results. A dash: not made, or too few patients.",
        "Cells: AUROC on the test stays, of diagnoses Recall@10, with 95 % interval; mean over "
        f"training seeds ({' or '.join(seeds)}).",
        *interval_lines(results.values()),
        f"Where nothing else is said the modalities are `{modalities}`.",
        "Only incident cases: a stay with the onset before the prediction is not eligible.",
        "Diagnoses carry no time stamp: they are coded after the stay, of the whole admission.",
        "Teacher-forced models are told the true outcomes of earlier tasks: a bound, no model.",
        *looking_ahead(results.values()),
    ])  # fmt: skip


def reference(results: Results) -> str:
    """The modalities that most results have; of several the first."""
    return Counter(name.modalities for name in results).most_common(1)[0][0]


def of_paper(results: Results, compared: Differences, modalities: str) -> list[str]:
    """Tables I to III of the paper, with the differences that belong to them."""
    multitask, margin = compared.of_family("multitask"), compared.margin
    return [
        "## Table I: models",
        table_one(results, modalities),
        DAGGER,
        "## Table II: modalities",
        table_two(results),
        differences(compared.of_family("modality"), margin),
        "## Table III: decoders, single task → multitask",
        table_three(results, modalities),
        verdict_counts(multitask, margin, "Multitask minus single task"),
        differences(multitask, margin),
    ]


def not_in_paper(
    results: Results, compared: Differences, modalities: str, letters: Letters
) -> list[str]:
    """What the paper has not: training sizes, the upper bound, ablations, other tasks."""
    together = {name: result for name, result in results.items() if name.task == ALL}
    tasks, margin = tasks_in_time(together or results), compared.margin
    multitask, bound, ablation = (
        compared.of_family(family) for family in ("multitask", "bound", "ablation")
    )
    return [
        "## Multitask minus single task by training size",
        size_table(multitask, tasks, modalities),
        size_sentence(multitask, modalities, margin),
        "## Single task told the truth about earlier tasks, minus single task: the upper bound",
        differences(bound, margin),
        bound_sentence(bound, margin),
        "## Ablations",
        table(["model", *map(task_words, tasks)], ablations(results, modalities, tasks)),
        differences(ablation, margin),
        other_tasks(results),
        sensitivity_by_task(results),
        complete_by_task(results, letters),
    ]


def tasks_in_time(results: Results) -> list[str]:
    """Every task, in the order of time."""
    known = unique(task for result in results.values() for task in result["tasks"])
    return sorted(known, key=task_hours)


def csv_rows(study: Study) -> Iterator[dict[str, Any]]:
    """One row per result, task and metric, on all test stays and on those with all modalities."""
    for name, result in study.results.items():
        for task, stays, part in _parts(result):
            test = part["metrics"]["test"]
            head = {"protocol": name.protocol, "modalities": name.modalities, "model": name.model}
            head |= {"trained_on": name.task, "task": task, "stays": stays, "n": test["n"]}
            head |= {"patients": test["patients"], "positives": test.get("positives")}
            for metric, estimate in _metrics(part):
                values = {key: estimate.get(key) for key in ("value", "low", "high", "sd")}
                yield {**head, "metric": metric, **values}


def _parts(result: Result) -> Iterator[tuple[str, str, Part]]:
    """Each task on all stays, and on those with all modalities as far as there are figures."""
    for task, part in result["tasks"].items():
        yield task, "all", part
        complete = part.get("complete")
        if complete and not complete["reason"]:
            yield task, "with all modalities", {**part, **complete}


def _metrics(part: Part) -> Iterator[tuple[str, dict[str, Any]]]:
    test = part["metrics"]["test"]
    if not is_ranked(part):
        yield from ((name, test[name]) for name in ("auroc", "auprc", "brier", "log_loss"))
        if part["ceiling"]:
            yield "oracle_auroc", part["ceiling"]["oracle_auroc"]
        return
    for k, kinds in (test["recall"] or {}).items():
        yield from ((f"recall@{k} {kind}", estimate) for kind, estimate in kinds.items())
    yield from ((name, test[name]) for name in ("macro_auroc", "micro_auroc"))


PAGE = Page(
    text,
    csv_rows,
    {
        "unimed_attention": (
            attention.TITLE,
            lambda study: attention.figure(list(study.results.values()), study.letters),
        )
    },
)


def main() -> None:
    """Reads results and comparisons, writes the page, the csv and the figure."""
    page.write(PAGE, page.arguments(__doc__))


if __name__ == "__main__":
    run(main)
