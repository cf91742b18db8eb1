"""All results of ICU stays in one page and one csv: the paper's three tables and what it left out.

In: results (`pipeline.evaluation.result`) and their comparisons. Out: a Markdown page in the
form of Zhao et al. 2022, Tables I–III, each number beside the published one, and ablations,
training sizes and diagnoses; and a csv with a row per result, task and metric. Aggregates only.
"""

import argparse
import csv
from os.path import relpath
from pathlib import Path
from typing import Any

from pipeline.report import unimed_published as published
from pipeline.report.catalogue import (
    SIDECAR,
    in_order,
    intervals,
    looking_ahead,
    same_definitions,
    unique,
)
from pipeline.report.cells import cell, short, table
from pipeline.report.claims import PLANTED
from pipeline.report.task_names import in_words
from pipeline.report.unimed_claims import (
    bound_sentence,
    by_size,
    count,
    differences,
    how_decided,
    margin_of,
    of_family,
    size_sentence,
)
from pipeline.report.unimed_further import ablations, complete, diagnoses, others, sensitivities
from pipeline.report.unimed_results import (
    ALL,
    MODEL,
    Name,
    Results,
    csv_rows,
    figure_of,
    read_results,
    reference,
    tasks_of,
)
from pipeline.stage.command import parser, run
from pipeline.stage.files import read_json, whole

MARK = "MIMIC-III†"
DAGGER = (
    "† Published on MIMIC-III (Zhao et al. 2022; rows marked Tang: Tang et al. 2020) and **not "
    "comparable**: other patients, other labels, a split by stay, one run."
)


def page(results: Results, contrasts: dict[str, Any] | None, figures: list[str]) -> str:
    """The Markdown page; `figures` are paths relative to it."""
    own = reference(results)
    synthetic = any((r.get("source") or {}).get("kind") == "synthetic" for r in results.values())
    parts = [
        "# Several tasks of ICU stays by one decoder",
        introduction(results, own),
        how_decided(margin_of(contrasts)) if contrasts else "",
        f"> {PLANTED}" if synthetic else "",
        *of_paper(results, contrasts, own),
        *left_out(results, contrasts, own),
        "## Diagnoses",
        diagnoses(results),
        *(f"![{Path(path).stem}]({path})" for path in figures),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def of_paper(results: Results, contrasts: dict[str, Any] | None, own: str) -> list[str]:
    """Tables I to III of the paper, with the differences that belong to them."""
    margin = margin_of(contrasts)
    multitask = of_family(contrasts, "multitask")
    return [
        "## Table I: models",
        table(_header(["model"]), table_one(results, own)),
        DAGGER,
        "## Table II: modalities",
        table(_header(["modalities"]), table_two(results)),
        differences(of_family(contrasts, "modality"), margin),
        "## Table III: decoders, single task → multitask",
        table(_header(["decoder"]), table_three(results, own)),
        count(multitask, margin, "Multitask minus single task"),
        differences(multitask, margin),
    ]


def left_out(results: Results, contrasts: dict[str, Any] | None, own: str) -> list[str]:
    """What the paper has not: training sizes, the upper bound, ablations, other tasks."""
    together = {name: result for name, result in results.items() if name[2] == ALL}
    tasks, margin = tasks_of(together or results), margin_of(contrasts)
    multitask, bound, ablation = (
        of_family(contrasts, family) for family in ("multitask", "bound", "ablation")
    )
    return [
        "## Multitask minus single task by training size",
        by_size(multitask, tasks, own),
        size_sentence(multitask, own, margin),
        "## Single task told the truth about earlier tasks, minus single task: the upper bound",
        differences(bound, margin),
        bound_sentence(bound, margin),
        "## Ablations",
        table(["model", *map(in_words, tasks)], ablations(results, own, tasks)),
        differences(ablation, margin),
        others(results),
        sensitivities(results),
        complete(results),
    ]


def introduction(results: Results, own: str) -> str:
    """What is shown, and how to read a cell."""
    seeds = unique(str(len(result["seeds"])) for result in results.values())
    lines = [
        f"{len(results)} results. A dash: not made, or too few patients.",
        "Cells: AUROC on the test stays, of diagnoses Recall@10, with 95 % interval; mean over "
        f"training seeds ({' or '.join(seeds)}).",
        *intervals(results.values()),
        f"Where nothing else is said the modalities are `{own}`.",
        "Only incident cases: a stay with the onset before the prediction is not eligible.",
        "Diagnoses carry no time stamp: they are coded after the stay, of the whole admission.",
        "Teacher-forced models are told the true outcomes of earlier tasks: a bound, no model.",
        *looking_ahead(results.values()),
    ]
    return "\n".join(f"* {line}" for line in lines)


def _header(first: list[str]) -> list[str]:
    return [*first, *(text for c in published.COLUMNS for text in (in_words(c), MARK))]


def _beside(cells: list[str], row: published.Row | None) -> list[str]:
    """Our cells, each followed by the published number."""
    known = row or (None,) * len(cells)
    return [text for own, p in zip(cells, known, strict=True) for text in (own, short(p))]


def _cells(results: Results, name: Name) -> list[str]:
    """The paper's columns of a target; `each` as its task: every task by its own decoder."""
    modalities, model, task = name
    return [
        cell(figure_of(results, (modalities, model, column if task == "each" else task), column))
        for column in published.COLUMNS
    ]


def table_one(results: Results, own: str) -> list[list[str]]:
    """Models × tasks; models that are not run here have published numbers only."""
    here = {
        "UniMed, single task": _cells(results, (own, MODEL, "each")),
        "UniMed, multitask": _cells(results, (own, MODEL, ALL)),
    }
    nothing = ["–"] * len(published.COLUMNS)
    return [
        [name, *_beside(here.get(name, nothing), row)]
        for name, row in {**published.FIDDLE, **published.MODELS}.items()
    ]


def table_two(results: Results) -> list[list[str]]:
    """Modality sets × tasks, by the decoder of all tasks."""
    sets = in_order([*published.MODALITIES, *(name[0] for name in results)])
    return [
        [f"`{s}`", *_beside(_cells(results, (s, MODEL, ALL)), published.MODALITIES.get(s))]
        for s in sets
    ]


def table_three(results: Results, own: str) -> list[list[str]]:
    """Decoders × tasks: single task, then multitask."""
    return [
        [f"{words}, {kind}", *_beside(_cells(results, (own, model, task)), row)]
        for model, (words, alone, together) in published.DECODERS.items()
        for kind, task, row in (("single", "each", alone), ("multi", ALL, together))
    ]


def _arguments() -> argparse.Namespace:
    arguments = parser(__doc__)
    add = arguments.add_argument
    add("--results", nargs="+", required=True, help="results, JSON; .run.json are passed over")
    add("--contrasts", help="of pipeline.evaluation.comparison, JSON")
    add("--figures", nargs="*", default=[], help="pictures that the page shows")
    add("--markdown", required=True, help="the page")
    add("--csv", required=True, help="a row per result, task and metric")
    return arguments.parse_args()


def main() -> None:
    """Reads results and comparisons, writes the page and the csv."""
    args = _arguments()
    results = read_results(args.results)
    contrasts = read_json(args.contrasts) if args.contrasts else None
    first = next(path for path in args.results if not path.endswith(SIDECAR))
    compared = [(args.contrasts, contrasts)] if contrasts else []
    same_definitions([(first, next(iter(results.values()))), *compared])
    rows = list(csv_rows(results))
    with whole(args.csv) as part, Path(part).open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    figures = [relpath(path, Path(args.markdown).parent) for path in args.figures]
    with whole(args.markdown) as part:
        part.write_text(page(results, contrasts, figures))


if __name__ == "__main__":
    run(main)
