"""Differences between UniMed's models on the same test stays, with what follows from each.

Four questions, each a family of comparisons:

* `multitask`: the decoder of all tasks minus the decoder of this task alone;
* `bound`: the decoder of this task alone, told the truth about earlier tasks, minus itself without:
  what feeding outcomes on could win at most;
* `ablation`: each variant minus the model that it changes, both on all tasks;
* `modality`: a set of modalities minus the set without one of them.

Binary tasks are compared by AUROC, diagnoses by Recall@10; both are means over seeds. Patients are
resampled, and seeds where there are enough (`pipeline.evaluation.figures`; with fewer there is no
verdict); both sides see the same. The margin within which two models are equivalent was fixed
before any result was seen. p-values are Holm-corrected over a family, all its tasks together.
In: tables of predictions named {modalities}_{model}_{task}. Out: one JSON; `complete` holds the
same on the stays that have all modalities of the config when a task is predicted.
"""

import argparse
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.evaluation.bootstrap import Resampling, described
from pipeline.evaluation.coverage import Presence, add_present_argument, read_presence
from pipeline.evaluation.diagnoses_panel import diagnoses_panel
from pipeline.evaluation.figures import Figures
from pipeline.evaluation.folds import by_name, samples
from pipeline.evaluation.measures import rounded
from pipeline.evaluation.panel import Panel, aurocs, differences, same_episodes
from pipeline.evaluation.result import parsed
from pipeline.evaluation.significance import MARGIN, holm, verdict
from pipeline.evaluation.suppression import shown_counts, why_no_metrics
from pipeline.evaluation.task_tables import read_tasks
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.stage.multitask import hours
from pipeline.stage.tables import version_of_tables

log = logging.getLogger("pipeline")

SCHEMA_VERSION = 3
ALL, MODEL = "all", "unimed"
QUESTIONS = ("multitask", "bound", "ablation", "modality")

Pair = tuple[str, str]  # names of two targets; the difference is first − second
Compared = tuple[list[str], Figures]  # names of M targets, their figures (…, M)


def reference(model: str, variants: Mapping[str, Mapping[str, Any]]) -> str:
    """The model that a variant changes: of those whose changes are part of its own the nearest.

    >>> variants = {"first-4h": {"hours": 4}, "x": {"hours": 4, "order": "reversed"}}
    >>> reference("unimed-x", variants), reference("unimed-first-4h", variants)
    ('unimed-first-4h', 'unimed')
    """
    own = variants.get(model.removeprefix(f"{MODEL}-"), {}).items()
    within = {
        name: len(change)
        for name, change in variants.items()
        if change.items() <= own and len(change) < len(own)
    }
    nearest = max(within, key=lambda name: within[name], default="")
    return f"{MODEL}-{nearest}" if nearest else MODEL


def families(
    names: list[str], task: str, variants: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[Pair]]:
    """The comparisons of each question about one task, as far as both targets are there.

    >>> names = ["e_unimed_all", "en_unimed_all", "en_unimed_arf_12h", "en_unimed-gru_all"]
    >>> families(names, "arf_12h", {"gru": {"decoder": "gru"}})
    {'multitask': [('en_unimed_all', 'en_unimed_arf_12h')], 'bound': [], \
'ablation': [('en_unimed-gru_all', 'en_unimed_all')], \
'modality': [('en_unimed_all', 'e_unimed_all')]}
    """
    together = [name.split("_")[:2] for name in names if name.endswith(f"_{ALL}")]
    wanted: dict[str, list[Pair]] = {question: [] for question in QUESTIONS}
    for letters, model in together:
        name = f"{letters}_{model}_{ALL}"
        wanted["multitask"].append((name, f"{letters}_{model}_{task}"))
        if model != MODEL:
            changed = reference(model, variants)
            wanted["ablation"].append((name, f"{letters}_{changed}_{ALL}"))
            if variants[model.removeprefix(f"{MODEL}-")].get("feedback") == "truth":
                told = f"{letters}_{model}_{task}"
                wanted["bound"] += [(told, f"{letters}_{changed}_{task}")] * (told in names)
        less = [letters.replace(letter, "") for letter in reversed(letters)]
        wanted["modality"] += [(name, f"{rest}_{model}_{ALL}") for rest in less]
    return {
        question: [pair for pair in pairs if pair[1] in names] for question, pairs in wanted.items()
    }


def binary_panels(tables: Mapping[str, list[str]]) -> dict[str, Panel]:
    """Test predictions of every target by binary task; `tables`: name → a table per fold.

    Raises `InputError` where two targets differ in a task's test stays or labels.
    """
    found: dict[str, Panel] = {}
    paths: dict[str, str] = {}
    for name, folds in tables.items():
        for task, frames in read_tasks(folds).items():
            panel = found.setdefault(task, Panel({}, {}))
            tests = {**panel.tests, name: samples(frames, "test")}
            found[task] = Panel(tests, {})
            same_episodes(
                found[task].first, tests[name], folds[0], paths.setdefault(task, folds[0])
            )
    return found


def of_task(
    compared: Compared, task: str, variants: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Every target's figure, and every difference of one task (p not yet corrected)."""
    names, figures = compared
    models = {name: figures.estimate(i) for i, name in enumerate(names)}
    rows = [
        {"family": question, "task": task, **row, "verdict": verdict(row)}
        for question, pairs in families(names, task, variants).items()
        for row in differences(pairs, names, figures)
    ]
    return models, rows


def corrected(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The differences with Holm's p over the family of each, all tasks together.

    >>> rows = [{"family": f, "p": p} for f, p in [("a", 0.01), ("b", 0.01), ("a", 0.04)]]
    >>> [row["p_holm"] for row in corrected(rows)]
    [0.02, 0.01, 0.04]
    """
    found: dict[int, float | None] = {}
    for question in {row["family"] for row in rows}:
        own = [i for i, row in enumerate(rows) if row["family"] == question]
        found |= dict(zip(own, holm([rows[i]["p"] for i in own]), strict=True))
    return [{**row, "p_holm": found[i]} for i, row in enumerate(rows)]


def within(panel: Panel, presence: Presence | None, smallest: int) -> tuple[Panel, dict[str, Any]]:
    """The panel of the complete stays (of all, without `presence`), and what is said of them."""
    why = None
    if presence is not None:
        why = presence.within(panel.first, smallest)[1]
        own = presence.complete
        panel = Panel({name: test.among(own) for name, test in panel.tests.items()}, {})
    counts = shown_counts(panel.first, smallest)
    if why:
        return panel, {**dict.fromkeys(counts), "reason": why}
    return panel, {**counts, "reason": why_no_metrics(panel.first, smallest)}


def contrasts(
    args: argparse.Namespace,
    variants: Mapping[str, Mapping[str, Any]],
    presence: Callable[[str], Presence] | None = None,
) -> dict[str, Any]:
    """Figures of every target and every comparison, task by task.

    `presence`: task → who has which modality by then; of the stays with all of them alone.
    """
    resampling, smallest = Resampling(args.resamples, args.seed), args.suppress_below
    tasks: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    seeds: list[int] = []  # behind the figures of each task
    panels = binary_panels(by_name(args.predictions))
    for task in sorted(panels, key=hours):
        panel, test = within(panels[task], presence and presence(task), smallest)
        tasks[task] = {"metric": "auroc", "test": test, "models": {}}
        if not test["reason"]:
            compared = (list(panel.tests), aurocs(panel, resampling))
            seeds.append(compared[1].seeds)
            tasks[task]["models"], more = of_task(compared, task, variants)
            rows += more
    named = {Path(name).stem: paths for name, paths in by_name(args.diagnoses).items()}
    tables = (named, args.groups, args.vocabulary)
    own = presence(args.diagnoses_task) if presence and args.diagnoses_task else None
    counts, compared = diagnoses_panel(*tables, resampling, smallest, own)
    if counts:
        if not (task := args.diagnoses_task):
            raise InputError("--diagnoses without --diagnoses-task")
        tasks[task] = {"metric": "recall@10", "test": counts, "models": {}}
        if not counts["reason"]:
            seeds.append(compared[1].seeds)
            tasks[task]["models"], more = of_task(compared, task, variants)
            rows += more
    fewest = min(seeds, default=1)
    found = {"margin": MARGIN, "tasks": tasks, "contrasts": corrected(rows)}
    return {**found, "bootstrap": described(resampling, fewest)}


def _arguments() -> argparse.Namespace:
    arguments = parser(__doc__)
    add = arguments.add_argument
    add("--protocol", required=True, help="recorded")
    add("--predictions", nargs="+", required=True, help="modalities_model_task.parquet, all folds")
    add("--diagnoses", nargs="*", default=[], help="….diagnoses.parquet, of targets with that task")
    add("--diagnoses-task", nargs="?", help="the name of that task, such as diagnoses_48h")
    add("--groups", nargs="*", default=[], help="true groups of stays, one per fold")
    add("--vocabulary", nargs="*", default=[], help="of the groups, one per fold")
    add("--variants", default="{}", help="JSON: variant → the settings that it changes")
    add_present_argument(arguments)
    add("--suppress-below", type=int, default=0, help="counts below are shown as '<N'")
    add("--resamples", type=int, default=5000, help="p-values cannot fall below 2 / resamples")
    add("--seed", type=int, default=0, help="seed of the bootstrap")
    add("--output", required=True, help="the comparisons, JSON")
    return arguments.parse_args()


def main() -> None:
    """Reads all predictions, writes the comparisons of all models on every task."""
    args = _arguments()
    variants = parsed(args.variants, "--variants")

    def presence(task: str) -> Presence:
        return read_presence(args.present, hours(task))

    reason = read_presence(args.present).why_unknown
    fewer = {} if reason else contrasts(args, variants, presence)
    found = rounded(contrasts(args, variants) | {"complete": {"reason": reason, **fewer}})
    version = version_of_tables([*args.predictions, *args.diagnoses])
    head = {"schema_version": SCHEMA_VERSION, "definitions_version": version}
    head |= {"protocol": args.protocol}
    write_json(args.output, {**head, **found})
    log.info("%d tasks, %d comparisons", len(found["tasks"]), len(found["contrasts"]))


if __name__ == "__main__":
    run(main)
