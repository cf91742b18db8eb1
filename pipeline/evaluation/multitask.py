"""One result of several tasks of ICU stays: each task's metrics, and what each task attends to.

In: UniMed's predictions (a table per fold), those of diagnoses with the true groups and the
vocabulary, attention, and the labels of the target's tasks. Out: the result
(`multitask.schema.json` describes every field), its curves, and a sidecar with time, memory and
host per stage. A binary task is measured as in `pipeline.evaluation.result`. Diagnoses carry no
time stamp: they are coded after the stay, and a code may say what had happened before it.
"""

import argparse
import logging
from typing import Any

import polars as pl

from pipeline.cohort.attrition import reasons
from pipeline.evaluation.attention import attention, read_attention
from pipeline.evaluation.bootstrap import Resampling, described
from pipeline.evaluation.complete import complete, complete_diagnoses
from pipeline.evaluation.coverage import coverage, read_presence
from pipeline.evaluation.diagnoses import diagnoses
from pipeline.evaluation.diagnosis_tables import SPLITS as RANKED
from pipeline.evaluation.diagnosis_tables import Fold, read_diagnoses
from pipeline.evaluation.folds import runs, seeds
from pipeline.evaluation.measures import Beside, measure, parts, rounded
from pipeline.evaluation.provenance import (
    cohort_fingerprint,
    definition_of,
    definitions_version,
    environment,
    unreadable_films,
    usage,
)
from pipeline.evaluation.result import add_result_arguments, parsed
from pipeline.evaluation.suppression import shown, shown_attrition
from pipeline.evaluation.task_tables import (
    hold_against_labels,
    hold_diagnoses,
    is_diagnoses,
    read_tasks,
    required,
)
from pipeline.stage.command import pairs, parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json, write_json
from pipeline.stage.multitask import hours
from pipeline.stage.result import SCHEMA_VERSION
from pipeline.stage.tables import read_table

log = logging.getLogger("pipeline")

KEPT = (
    "metrics",
    "ceiling",
    "calibration",
    "threshold",
    "subgroups",
    "sensitivity",
)  # of what is measured


def everyone(tasks: dict[str, list[pl.DataFrame]], folds: list[Fold]) -> list[pl.DataFrame]:
    """All predicted stays with split and label, a table per task and fold: the cohort.

    The label of diagnoses is the list of the stay's groups, as text.
    """
    tables = [frame for frames in tasks.values() for frame in frames]
    for fold in folds:
        groups = fold.groups.sort("episode_id", "group").group_by("episode_id")
        listed = groups.agg(label=pl.col("group").sort().cast(pl.String).str.join(" "))
        tables.append(fold.frame.join(listed, on="episode_id", how="left"))
    columns = ("episode_id", "subject_id", "split", "label")
    return [table.select(*columns).unique() for table in tables]


def cohort(tables: list[pl.DataFrame], smallest: int) -> dict[str, Any]:
    """Fingerprint and size of the cohort; `tables`: of `everyone`."""
    who = pl.concat(table.select("episode_id", "subject_id") for table in tables).unique()
    return {
        "fingerprint": cohort_fingerprint(*tables),
        "episodes": shown(who["episode_id"].n_unique(), smallest),
        "patients": shown(who["subject_id"].n_unique(), smallest),
    }


def looks_ahead(tasks: dict[str, Any]) -> list[str]:
    """The conditions of any task's stays that look ahead, each once.

    >>> rows = [{"condition": "adult"}, {"condition": "with a film", "looks_ahead": True}]
    >>> looks_ahead({"shock_4h": {"attrition": rows}, "arf_12h": {"attrition": rows}})
    ['with a film']
    """
    return list(dict.fromkeys(text for own in tasks.values() for text in reasons(own["attrition"])))


def same_seeds(
    args: argparse.Namespace, tasks: dict[str, list[pl.DataFrame]], folds: list[Fold]
) -> list[int]:
    """The seeds of all predictions; `InputError` where diagnoses have others."""
    known = {tuple(seeds(f.frame)) for f in folds} | {tuple(seeds(t[0])) for t in tasks.values()}
    if len(known) > 1:
        raise InputError(f"{args.diagnoses[0]}: other seeds than in {args.predictions[0]}")
    return [seed for one in known for seed in one]


def measured(
    args: argparse.Namespace, tasks: dict[str, list[pl.DataFrame]], folds: list[Fold]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every task's part of the result and its curves, in the order of --labels."""
    resampling = Resampling(args.resamples, args.seed, max(1, args.suppress_below))
    head, attrition = parts(args.target), pairs(args.attrition, "--attrition")
    truths, source = pairs(args.truth_of, "--truth-of"), parsed(args.source, "--source")
    without = pairs(args.without, "--without")
    found: dict[str, Any] = {}
    drawn: dict[str, Any] = {}
    for task, labels in pairs(args.labels, "--labels").items():
        if is_diagnoses(task):
            hold_diagnoses(folds, labels, task, args.episodes)
            named = runs([fold.frame for fold in folds])
            versions = read_table(labels, ["episode_id", "icd_version"])
            found[task], drawn[task] = diagnoses(
                folds, named, resampling, args.suppress_below, versions
            )
            found[task] |= _complete_diagnoses(args, folds, task, resampling, versions)
        else:
            hold_against_labels(tasks[task], labels, task)
            name = f"{head['modalities']}_{head['model']}_{task}"
            beside = Beside(
                truth=args.truth, truth_of=truths.get(task), episodes=args.episodes,
                without=without.get(task),
            )  # fmt: skip
            own = (beside, resampling, args.suppress_below)
            everything, drawn[task] = measure(tasks[task], name, *own)
            found[task] = {key: everything[key] for key in KEPT}
            presence = read_presence(args.present, hours(task))
            found[task]["coverage"] = coverage(tasks[task], presence, args.suppress_below)
            fewer = complete(tasks[task], name, beside, presence, *own[1:])
            found[task]["complete"] = {key: fewer[key] for key in ("reason", "metrics", "ceiling")}
        if task not in attrition:
            raise InputError(f"--attrition: none of {task}")
        table = read_json(attrition[task])
        found[task]["definition"] = definition_of(table, source)
        found[task]["attrition"] = shown_attrition(table["conditions"], args.suppress_below)
    return found, drawn


def _complete_diagnoses(
    args: argparse.Namespace,
    folds: list[Fold],
    task: str,
    resampling: Resampling,
    versions: pl.DataFrame,
) -> dict[str, Any]:
    """Who has which modality of the stays whose diagnoses are predicted, and the complete ones."""
    presence, smallest = read_presence(args.present, hours(task)), args.suppress_below
    return {
        "coverage": coverage([fold.frame for fold in folds], presence, smallest, RANKED),
        "complete": complete_diagnoses(folds, presence, resampling, smallest, versions),
    }


def _arguments() -> argparse.Namespace:
    arguments = parser(__doc__)
    add_result_arguments(arguments)
    add = arguments.add_argument
    add("--predictions", nargs="+", required=True, help="of the binary tasks, one table per fold")
    add("--diagnoses", nargs="*", default=[], help="predictions of diagnoses, one per fold")
    add("--groups", nargs="*", default=[], help="true groups of stays, one per fold")
    add("--vocabulary", nargs="*", default=[], help="of the groups, one per fold")
    add("--attention", nargs="*", default=[], help="JSON, one per fold")
    add("--episodes", required=True, help="table of stays: their split, and for subgroups")
    add("--labels", nargs="+", required=True, metavar="TASK=PATH", help="of the target's tasks")
    add("--attrition", nargs="+", required=True, metavar="TASK=PATH", help="JSON of their labels")
    add("--without", nargs="*", default=[], metavar="TASK=PATH", help="marks of its sensitivity "
        "analyses")  # fmt: skip
    add("--truth-of", nargs="*", default=[], metavar="TASK=NAME", help="if not the task's own")
    return arguments.parse_args()


def main() -> None:
    """Reads predictions, measures every task, writes the result, its curves and its sidecar."""
    args = _arguments()
    tasks = read_tasks(args.predictions)
    folds = read_diagnoses(args.diagnoses, args.groups, args.vocabulary)
    required(pairs(args.labels, "--labels"), tasks, bool(folds))
    own = same_seeds(args, tasks, folds)
    found, drawn = measured(args, tasks, folds)
    labels = {path: read_json(path) for path in pairs(args.attrition, "--attrition").values()}
    version = definitions_version([*args.predictions, *args.diagnoses], labels)
    looked = attention(read_attention(args.attention, own, args.suppress_below))
    result = {
        "schema_version": SCHEMA_VERSION,
        "definitions_version": version,
        "target": args.target,
        **parts(args.target),
        "protocol": args.protocol,
        "source": parsed(args.source, "--source"),
        "tasks": rounded(found),
        "attention": rounded(looked),
        "bootstrap": described(Resampling(args.resamples, args.seed), len(own)),
        "seeds": own,
        "folds": len(args.predictions),
        "threads": args.threads,
        "settings": parsed(args.settings, "--settings"),
        "cohort": cohort(everyone(tasks, folds), args.suppress_below)
        | {"looks_ahead": looks_ahead(found)},
        "unreadable_films": unreadable_films(args.readable, args.suppress_below),
        "environment": environment(args.modules, args.lock),
    }
    write_json(args.curves, {"target": args.target, "split": "test", "tasks": rounded(drawn)})
    write_json(args.sidecar, {"target": args.target, **usage(args.usage, args.modules)})
    write_json(args.output, result)
    log.info("%s: %s", args.target, ", ".join(found))


if __name__ == "__main__":
    run(main)
