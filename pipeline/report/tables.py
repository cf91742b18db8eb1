"""All results in one page and one csv: every task, modality set, model and protocol.

In: results (`pipeline.evaluation.result`), contrasts and attributions of the same tasks. Out: a
Markdown page that answers the paper's two claims and shows the tables behind the answers, and a csv
with one row per result. Both hold aggregates only.
"""

import argparse
import csv
from os.path import relpath
from pathlib import Path
from typing import Any

from pipeline.report.catalogue import (
    LETTERS,
    SIDECAR,
    Results,
    arranged,
    by_task,
    in_order,
    intervals,
    looking_ahead,
    models_in_order,
    read_results,
    same_definitions,
    unique,
)
from pipeline.report.claims import answers
from pipeline.report.complete import complete_table
from pipeline.report.further import missing_table, sensitivity_table, shapley_table
from pipeline.report.grid import Contrasts, gain, section
from pipeline.stage.command import parser, run
from pipeline.stage.files import read_json, whole
from pipeline.stage.names import PROTOCOLS

METRICS = ("auroc", "auprc", "brier")


def page(
    results: Results,
    contrasts: Contrasts,
    attributions: list[dict[str, Any]],
    figures: list[str],
) -> str:
    """The Markdown page; `figures` are paths relative to it."""
    tasks = unique(task for _, task, *_ in results)
    kinds = {(result.get("source") or {}).get("kind") for result in results.values()}
    parts = [
        "# Every modality set, model and task",
        introduction(results),
        answers(contrasts, attributions, "synthetic" in kinds),
        *(f"![{Path(path).stem}]({path})" for path in figures),
        *(section(task, results, contrasts) for task in tasks),
        complete_table(results, contrasts),
        shapley_table(attributions, results),
        missing_table(results),
        sensitivity_table(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def introduction(results: Results) -> str:
    """What is counted, and how to read a cell."""
    counts = [f"{sum(name[0] == p for name in results)} {p}" for p in PROTOCOLS]
    known = unique("".join(in_order(name[2] for name in results)))
    letters = ", ".join(f"**{letter}** {LETTERS.get(letter, '')}".strip() for letter in known)
    lines = [
        f"{len(results)} results: {', '.join(counts)}. A dash: not made.",
        "Cells: AUROC on the test episodes with its 95 % interval; where there are several seeds "
        "or folds their mean, and SD, their standard deviation.",
        *intervals(results.values()),
        f"Modalities: {letters}.",
        "Oracle: the best reader of these modalities on the same episodes, known for synthetic "
        "data only.",
        "The two protocols differ in patients, labels and split: their difference has no paired "
        "interval. The published one repeats the paper's flaws, patients in both training and test "
        "among them, which its intervals do not know of.",
        *looking_ahead(results.values()),
    ]
    return "\n".join(f"* {line}" for line in lines)


def order(
    results: Results, contrasts: list[dict[str, Any]], attributions: list[dict[str, Any]]
) -> tuple[Results, Contrasts, list[dict[str, Any]]]:
    """Everything in the order of tasks, models and protocols in which the page shows it."""
    results = arranged(results)
    tasks = unique(task for _, task, *_ in results)
    models = models_in_order([*(name[3] for name in results), *(a["fusion"] for a in attributions)])

    def place(found: dict[str, Any]) -> tuple[int, str, int, str]:
        task, model = found["task"], found.get("fusion")
        known = tasks.index(task) if task in tasks else len(tasks)
        return known, task, models.index(model) if model else 0, found["protocol"]

    by_task = {(found["protocol"], found["task"]): found for found in sorted(contrasts, key=place)}
    return results, by_task, sorted(attributions, key=place)


def csv_rows(results: Results, contrasts: Contrasts) -> list[dict[str, Any]]:
    """One row per result: its name, counts, metrics, distance to the oracle, gain over a single."""
    rows = []
    for (protocol, task, modalities, model), result in results.items():
        test, ceiling = result["metrics"]["test"], result["ceiling"] or {}
        row: dict[str, Any] = {"protocol": protocol, "task": task}
        row |= {"modalities": modalities, "model": model}
        row |= {key: test[key] for key in ("n", "patients", "positives", "prevalence")}
        fewer = result.get("complete") or {}
        fewer = {} if fewer.get("reason") else (fewer.get("metrics") or {}).get("test", {})
        row |= {"n_complete": fewer.get("n"), **_columns("auroc_complete", fewer.get("auroc"))}
        for metric in METRICS:
            row |= _columns(metric, test[metric]) | {f"{metric}_sd": test[metric].get("sd")}
        row["population_ceiling"] = ceiling.get("population_auroc")
        row |= _columns("oracle_auroc", ceiling.get("oracle_auroc"))
        row |= _columns("oracle_minus_model", ceiling.get("oracle_minus_model"))
        found = gain(contrasts, protocol, task, f"{modalities}_{model}")
        row |= {"best_single": found["second"], **_columns("gain", found)}
        row |= {"gain_seed_sd": found["seed_sd"], "gain_p": found["p"]}
        row |= {"gain_p_holm": found["p_holm"]}
        rows.append(row)
    return rows


def _columns(name: str, estimate: dict[str, Any] | None) -> dict[str, Any]:
    found = estimate or {}
    return {name: found.get("value")} | {f"{name}_{end}": found.get(end) for end in ("low", "high")}


def _arguments() -> argparse.Namespace:
    arguments = parser(__doc__)
    add = arguments.add_argument
    add("--results", nargs="+", required=True, help="results, JSON; .run.json are passed over")
    add("--contrasts", nargs="*", default=[], help="of pipeline.evaluation.comparison, JSON")
    add("--attribution", nargs="*", default=[], help="of pipeline.evaluation.attribution, JSON")
    add("--figures", nargs="*", default=[], help="pictures that the page shows")
    add("--markdown", required=True, help="the page")
    add("--csv", required=True, help="a row per result")
    return arguments.parse_args()


def main() -> None:
    """Reads results, contrasts and attributions, writes the page and the csv."""
    args = _arguments()
    found, more = read_results(args.results), [*args.contrasts, *args.attribution]
    first = next(path for path in args.results if not path.endswith(SIDECAR))
    compared = [read_json(path) for path in more]
    same_definitions([(first, read_json(first)), *zip(more, compared, strict=True)])
    count = len(args.contrasts)
    each = [task for one in compared[:count] for task in by_task(one)]
    results, contrasts, attributions = order(found, each, compared[count:])
    rows = csv_rows(results, contrasts)
    with whole(args.csv) as part, Path(part).open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    figures = [relpath(path, Path(args.markdown).parent) for path in args.figures]
    with whole(args.markdown) as part:
        part.write_text(page(results, contrasts, attributions, figures))


if __name__ == "__main__":
    run(main)
