"""One result: what a model's predictions of its tasks are worth, and everything they rest on.

In: the model's predictions (a table per fold), those of the single-modality models and of baselines
on statistics, the known truth (of the synthetic hospital), labels and attrition of every task; for
subgroups, sensitivity analyses and missing modalities the episodes, whom each analysis leaves out
and more predictions; who has which modality. Out: the result, its curves, and a sidecar with time,
memory and host per stage. Every field is typed in `pipeline.stage.result`. Result and curves hold
no time, host or path: they are the same bytes in every run.

Probabilities are the model's own, or recalibrated (`sections/recalibrated.py`); rankings stay, so
what is compared by AUROC needs no recalibration.

A binary task is measured by `sections/binary.py`, one of many labels by `sections/diagnoses.py`.
Diagnoses carry no time stamp: they are coded after the stay, and a code may say what happened
before it.
"""

import argparse
import os
from collections.abc import Mapping
from typing import Any, cast

import polars as pl

from pipeline.cohort.attrition import reasons
from pipeline.cohort.task import find
from pipeline.evaluation.diagnosis_tables import Fold, hold_diagnoses, read_diagnoses
from pipeline.evaluation.predictions import (
    hold_against_labels,
    name_parts,
    read_tasks,
    seeds,
)
from pipeline.evaluation.provenance import (
    cohort_fingerprint,
    definition_of,
    definitions_version,
    endings,
    environment,
    external_files,
    unreadable_films,
    usage,
)
from pipeline.evaluation.sections.attention import attention, read_attention
from pipeline.evaluation.sections.binary import Beside, measure
from pipeline.evaluation.sections.coverage import add_present_argument, read_presence
from pipeline.evaluation.sections.diagnoses import measure_many
from pipeline.evaluation.sections.recalibrated import METHODS, recalibrate
from pipeline.evaluation.sections.suppression import shown, shown_attrition
from pipeline.evaluation.statistics.bootstrap import Resampling, described
from pipeline.evaluation.statistics.figures import rounded
from pipeline.stage.command import pairs, parsed, parser, run
from pipeline.stage.curves import Curves, RecallCurve, TaskCurves
from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json, write_json
from pipeline.stage.privacy import tell, warn
from pipeline.stage.result import SCHEMA_VERSION, Binary, Cohort, Part, Result, flat
from pipeline.stage.sections import Recalibration
from pipeline.stage.tables import read_table

Tables = dict[str, list[pl.DataFrame]]  # binary task → its predictions, a table per fold
Fits = dict[str, Recalibration]  # binary task → how its predictions were recalibrated; or empty


def recalibrate_tasks(args: argparse.Namespace, tables: Tables) -> tuple[Tables, Fits]:
    """The predictions recalibrated as `--recalibration` asks, and what was fitted."""
    method, fits = args.recalibration, Fits()
    if method == "none":
        return tables, fits
    made = Tables()
    for task, frames in tables.items():
        made[task], fitted = recalibrate(frames, method, task, args.suppress_below)
        fits[task] = {"method": method, "by_run": fitted}
    return made, fits


def measured(args: argparse.Namespace, tables: Tables, folds: list[Fold], fits: Fits
             ) -> tuple[dict[str, Part], dict[str, TaskCurves | RecallCurve]]:  # fmt: skip
    """Every task's part of the result and its curves, in the order of --labels.

    `folds`: predictions of diagnoses, if they are among the tasks.
    """
    resampling = Resampling(args.resamples, args.seed, max(1, args.suppress_below))
    tasks: dict[str, Part] = {}
    curves: dict[str, TaskCurves | RecallCurve] = {}
    for task, labels in args.labels.items():
        asked = find(task, args.protocol)
        presence = read_presence(args.present, asked.hours)
        table = read_json(args.attrition[task])
        definition = definition_of(table, args.source)
        attrition = shown_attrition(table["conditions"], args.suppress_below)
        if asked.kind == "many":
            hold_diagnoses(folds, labels, task, args.episodes)
            versions = read_table(labels, ["episode_id", "icd_version"])
            ranking, curves[task] = measure_many(
                folds, presence, resampling, args.suppress_below, versions
            )
            tasks[task] = {**ranking, "definition": definition, "attrition": attrition}
        else:
            hold_against_labels(tables[task], labels, task)
            head = name_parts(args.target)
            binary, curves[task] = measure(
                tables[task],
                f"{head['modalities']}_{head['model']}_{task}",
                beside(args, task),
                resampling,
                args.suppress_below,
                presence,
            )
            if task in fits:
                binary["recalibration"] = fits[task]
            tasks[task] = {**binary, "definition": definition, "attrition": attrition}
    return rounded(tasks), rounded(curves)


def beside(args: argparse.Namespace, task: str) -> Beside:
    """The files that say more about the episodes of one task."""
    return Beside(
        singles=args.singles,
        baselines=args.baselines,
        truth=args.truth,
        episodes=args.episodes,
        without=args.without.get(task),
        absent=args.absent,
        truth_of=args.truth_of.get(task),
    )


def without_empty(part: Part, args: argparse.Namespace) -> Part:
    """A task without comparisons and missing modalities where no predictions of them were given.

    >>> part = {"comparisons": {"singles": {}}, "missing": None, "complete": {"missing": None}}
    >>> tried = argparse.Namespace(singles=[], baselines=[], absent=["x.parquet"])
    >>> without_empty(part, tried)
    {'missing': None, 'complete': {'missing': None}}
    """
    if "comparisons" not in part:
        return part
    whole = cast(Binary, part)
    others = args.singles or args.baselines
    empty = ["comparisons"] * (not others) + ["missing"] * (not args.absent)
    kept: Any = {key: value for key, value in whole.items() if key not in empty}
    kept["complete"] = {k: value for k, value in whole["complete"].items() if k not in empty}
    return cast(Binary, kept)


def everyone(tables: Tables, folds: list[Fold]) -> list[pl.DataFrame]:
    """All predicted episodes with split and label, a table per task and fold: the cohort.

    The label of diagnoses is the list of the stay's groups, as text.
    """
    frames = [frame for folds_of in tables.values() for frame in folds_of]
    for fold in folds:
        groups = fold.groups.sort("episode_id", "group").group_by("episode_id")
        listed = groups.agg(label=pl.col("group").sort().cast(pl.String).str.join(" "))
        frames.append(fold.frame.join(listed, on="episode_id", how="left"))
    return [frame.select("episode_id", "subject_id", "split", "label").unique() for frame in frames]


def cohort(frames: list[pl.DataFrame], looks_ahead: list[str], smallest: int) -> Cohort:
    """Fingerprint and size of the cohort; `frames`: of `everyone`."""
    who = pl.concat(frame.select("episode_id", "subject_id") for frame in frames).unique()
    return {
        "fingerprint": cohort_fingerprint(*frames),
        "episodes": shown(who["episode_id"].n_unique(), smallest),
        "patients": shown(who["subject_id"].n_unique(), smallest),
        "looks_ahead": looks_ahead,
    }


def same_seeds(args: argparse.Namespace, tables: Tables, folds: list[Fold]) -> list[int]:
    """The seeds of all predictions; `InputError` where a task has others."""
    each = {tuple(seeds(frames[0])) for frames in tables.values()}
    each |= {tuple(seeds(fold.frame)) for fold in folds}
    if len(each) > 1:
        files = ", ".join([*args.predictions[:1], *args.diagnoses[:1]])
        raise InputError(f"{files}: the tasks have other seeds; predict all of them with the same")
    return list(*each)


def check_tasks(args: argparse.Namespace, tables: Tables, folds: list[Fold]) -> None:
    """Raises `InputError` unless labels and attrition are of the tasks that were predicted."""
    kinds = {task: find(task, args.protocol).kind for task in args.labels}
    binary = {task for task, kind in kinds.items() if kind == "binary"}
    if binary != set(tables) or bool(folds) != ("many" in kinds.values()):
        predicted = [*tables, *["diagnoses"] * bool(folds)]
        raise InputError(
            f"--labels of {', '.join(args.labels)}, but predictions are of {', '.join(predicted)}"
        )
    if lacking := [task for task in args.labels if task not in args.attrition]:
        raise InputError(f"--attrition: none of {', '.join(lacking)}")


def _arguments() -> argparse.Namespace:
    arguments = parser(__doc__)
    add = arguments.add_argument
    add("--target", required=True, help="modalities_model_task, e.g. ecn_early_mortality")
    add("--protocol", required=True, help="corrected or published; recorded")
    add("--experiment", help="its name, if it has one; recorded")
    add("--predictions", nargs="+", required=True, help="predictions of this target, one per fold")
    add("--labels", nargs="+", required=True, metavar="TASK=PATH", help="of the target's tasks")
    add("--attrition", nargs="+", required=True, metavar="TASK=PATH", help="JSON of their labels")
    add("--episodes", help="table of episodes: their split, and for subgroups")
    add("--singles", nargs="*", default=[], help="those of single models, each named by its target")
    add("--baselines", nargs="*", default=[], help="those of baselines on statistics, likewise")
    add("--recalibration", choices=("none", *METHODS), default="none", help="of the probabilities, "
        "fitted on validation by fold and seed")  # fmt: skip
    add("--absent", nargs="*", default=[], help="those with a modality missing, one per fold")
    add("--without", nargs="*", default=[], metavar="TASK=PATH", help="marks of its sensitivity "
        "analyses")  # fmt: skip
    add("--diagnoses", nargs="*", default=[], help="predictions of diagnoses, one per fold")
    add("--groups", nargs="*", default=[], help="true groups of stays, one per fold")
    add("--vocabulary", nargs="*", default=[], help="of the groups, one per fold")
    add("--attention", nargs="*", default=[], help="JSON, one per fold")
    add("--truth", help="folder with ceilings.json and oracle_<task>.parquet, where it is known")
    add("--truth-of", nargs="*", default=[], metavar="TASK=NAME", help="if not the task's own")
    add_present_argument(arguments)
    add("--histories", nargs="*", default=[], help="of the trainings behind it, JSON, fold by fold")
    add("--readable", help="JSON of films needed and unreadable, of results that read films")
    add("--external", default="{}", help="JSON: modality → files of the user's behind its encoder")
    add("--source", default="{}", help="JSON of the kind of source behind the result; recorded")
    add("--settings", default="{}", help="JSON of the settings behind the result; recorded")
    add("--threads", type=int, default=1, help="torch threads of the training; recorded")
    add("--lock", default="requirements.lock", help="pinned requirements; their hash is recorded")
    add("--modules", nargs="+", required=True, help="modules and files that made it; hashed")
    add("--suppress-below", type=int, default=0, help="counts below are shown as '<N'")
    add("--resamples", type=int, default=1000, help="bootstrap resamples of patients and seeds")
    add("--seed", type=int, default=0, help="seed of the bootstrap")
    folder = os.environ.get("PIPELINE_USAGE", "results/usage")  # of the experiment
    add("--usage", default=folder, help="folder of the stages' records, for the sidecar")
    add("--output", required=True, help="the result, JSON")
    add("--curves", required=True, help="its curves, JSON")
    add("--sidecar", required=True, help="time, memory and host per stage, JSON")
    args = arguments.parse_args()
    for name in ("labels", "attrition", "without", "truth_of"):
        setattr(args, name, pairs(getattr(args, name), f"--{name.replace('_', '-')}"))
    for name in ("source", "settings", "external"):
        setattr(args, name, parsed(getattr(args, name), f"--{name}"))
    return args


def warn_if_beaten(target: str, tasks: Mapping[str, Part]) -> None:
    """Says on the screen which single model or baseline is better, task by task."""
    for task, part in tasks.items():
        by = cast(Binary, part)["comparisons"]["beaten_by"] if "comparisons" in part else []
        if by:
            warn(
                "%s, %s: beaten by %s on the same test episodes (comparisons of the result)",
                target,
                task,
                ", ".join(by),
            )


def single_admission_task(args: argparse.Namespace) -> str | None:
    """The one binary task of admissions whose result has the flat form; None of others."""
    first, *others = (find(task, args.protocol) for task in args.labels)
    if others or name_parts(args.target)["task"] != first.name:  # a sequence may hold one task
        return None
    return first.name if (first.unit, first.kind) == ("admission", "binary") else None


def _version(args: argparse.Namespace) -> int:
    files = [*args.predictions, *args.diagnoses, *args.singles, *args.baselines, *args.absent]
    return definitions_version(files, {path: read_json(path) for path in args.attrition.values()})


def main() -> None:
    """Reads predictions, measures every task, writes the result, its curves and its sidecar."""
    args = _arguments()
    tables = read_tasks(args.predictions)
    folds = read_diagnoses(args.diagnoses, args.groups, args.vocabulary)
    check_tasks(args, tables, folds)
    trained, head = same_seeds(args, tables, folds), name_parts(args.target)
    tables, fits = recalibrate_tasks(args, tables)
    tasks, drawn = measured(args, tables, folds, fits)
    ahead = dict.fromkeys(text for part in tasks.values() for text in reasons(part["attrition"]))
    one = single_admission_task(args)
    result: Result = {
        "schema_version": SCHEMA_VERSION,
        "definitions_version": _version(args),
        "target": args.target,
        "modalities": head["modalities"],
        "model": head["model"],
        "task": head["task"],
        "protocol": args.protocol,
        **({"experiment": args.experiment} if args.experiment else {}),  # type: ignore[typeddict-item]
        "source": args.source,
        "tasks": tasks if one else {t: without_empty(part, args) for t, part in tasks.items()},
        "attention": rounded(
            attention(read_attention(args.attention, trained, args.suppress_below))
        ),
        "bootstrap": described(Resampling(args.resamples, args.seed), len(trained)),
        "seeds": trained,
        "folds": len(args.predictions),
        "threads": args.threads,
        "settings": args.settings,
        "cohort": cohort(everyone(tables, folds), list(ahead), args.suppress_below),
        "unreadable_films": unreadable_films(args.readable, args.suppress_below),
        "external": external_files(args.external, args.suppress_below),
        "training": endings(args.histories),
        "environment": environment(args.modules, args.lock),
    }
    curves: Curves = {"target": args.target, "split": "test", "tasks": drawn}
    write_json(args.curves, drawn[one] if one else curves)
    write_json(args.sidecar, {"target": args.target, **usage(args.usage, args.modules)})
    write_json(args.output, flat(result) if one else result)
    tell("%s: %s", args.target, ", ".join(tasks))
    warn_if_beaten(args.target, tasks)


if __name__ == "__main__":
    run(main)
