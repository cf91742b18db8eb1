"""Differences between models on the same test episodes, p-values corrected for their number.

In: tables of predictions named {modalities}_{model}_{task}. Out: one JSON, typed in
`pipeline.stage.comparison`: the figure of every model on every task, and a paired difference for
each comparison of the families that are asked for (`pipeline.evaluation.families`). Binary tasks
are compared by AUROC, diagnoses by Recall@10; both are means over seeds. Patients are resampled,
and seeds where there are enough (`pipeline.evaluation.statistics.figures`; with fewer there is no
verdict); both sides see the same resamples. The margin within which two models are equivalent was
fixed before any result was seen. p-values are Holm-corrected over a family, all tasks of the file
together. `complete` holds the same on the episodes that have all modalities of the config when a
task is predicted.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import polars as pl
from typing_extensions import TypedDict

from pipeline.cohort.task import SEQUENCES, find
from pipeline.evaluation.families import Variants, families
from pipeline.evaluation.panel import (
    Paired,
    Panel,
    RankingTables,
    differences,
    episodes_of,
    measured,
    ranked,
    read_panels,
    same_cohort,
)
from pipeline.evaluation.predictions import by_name, name_parts
from pipeline.evaluation.sections.comparisons import mean_auroc
from pipeline.evaluation.sections.coverage import Presence, add_present_argument, read_presence
from pipeline.evaluation.sections.suppression import shown
from pipeline.evaluation.statistics.bootstrap import Resampling, described
from pipeline.evaluation.statistics.figures import Figures, rounded
from pipeline.evaluation.statistics.significance import MARGIN, holm, verdict
from pipeline.stage.command import parsed, parser, run
from pipeline.stage.comparison import (
    SCHEMA_VERSION,
    Compared,
    ComparedTask,
    Comparison,
    CompleteCompared,
    Contrast,
    Family,
    Trained,
)
from pipeline.stage.database import in_training_share
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.stage.privacy import tell
from pipeline.stage.sections import Count
from pipeline.stage.tables import read_table, version_of_tables


class Shares(TypedDict, total=False):
    """What a model is trained on: splits of its encoders and of its head, share of the patients."""

    encoders: list[str]
    head: list[str]
    share: float


TrainedOn = Mapping[str, Shares]  # by model, as the workflow knows them
Folds = Sequence[pl.DataFrame]  # episode_id, subject_id and split of each fold


@dataclass(frozen=True)
class Question:
    """What is compared: families, UniMed's variants, and how figures are drawn and shown.

    `diagnoses`: name of the task of many labels; `trained_on`: see `TrainedOn`; `together`: target
    of several tasks → the episodes of any of them, see `of_any_task`.
    """

    protocol: str
    families: Sequence[Family]
    variants: Variants
    resampling: Resampling
    smallest: int
    diagnoses: str | None = None
    trained_on: TrainedOn | None = None
    together: Mapping[str, Folds] = field(default_factory=dict)


def best_single(panel: Panel, names: Sequence[str], least: int) -> str | None:
    """The unimodal model of these with the highest validation AUROC; ties: the first."""
    known = {
        name: value
        for name in names
        if name in panel.validation
        if (value := mean_auroc(panel.validation[name], least)) is not None
    }
    return max(known, key=lambda name: known[name], default=None)


def contrasts(
    question: Question, task: str, panel: Panel | None, names: Sequence[str], figures: Figures
) -> list[Contrast]:
    """Every comparison of one task; p-values are not yet corrected.

    `panel`: of a binary task; `figures` (…, M) of the targets `names`.
    """

    def best(singles: Sequence[str]) -> str | None:
        return best_single(panel, singles, max(1, question.smallest)) if panel else None

    return [
        contrast(family, task, row)
        for family, pairs in families(
            names, task, question.families, question.variants, best
        ).items()
        for row in differences(pairs, names, figures)
    ]


def contrast(family: Family, task: str, row: Paired) -> Contrast:
    """A difference as the answer to the question of its family."""
    return {"family": family, "task": task, **row, "p_holm": row["p"], "verdict": verdict(row)}


def corrected(rows: list[Contrast]) -> list[Contrast]:
    """The comparisons with Holm's p over the family of each, all tasks together.

    >>> each = [("early", 0.01), ("bound", 0.01), ("early", 0.04)]
    >>> rows = [{"family": family, "p": p} for family, p in each]
    >>> [row["p_holm"] for row in corrected(rows)]
    [0.02, 0.01, 0.04]
    """
    holmed: dict[int, float] = {}
    for family in {row["family"] for row in rows}:
        places = [place for place, row in enumerate(rows) if row["family"] == family]
        p_values = holm([rows[place]["p"] for place in places])
        holmed |= {place: p for place, p in zip(places, p_values, strict=True) if p is not None}
    return [{**row, "p_holm": holmed[place]} for place, row in enumerate(rows)]


def of_any_task(
    panels: Mapping[str, Panel], diagnoses: Mapping[str, Sequence[str]]
) -> dict[str, Folds]:
    """Target of several tasks → per fold the episodes that are eligible for any of its tasks.

    `panels`: its binary tasks; `diagnoses`: its predictions of many labels, a table per fold.
    """
    frames: dict[str, list[Folds]] = {}
    for panel in panels.values():
        for name, folds in panel.episodes.items():
            if name_parts(name)["task"] in SEQUENCES:
                frames.setdefault(name, []).append(folds)
    for name, paths in diagnoses.items():
        if name in frames:
            columns = ["episode_id", "subject_id", "split"]
            frames[name].append([episodes_of(read_table(path, columns)) for path in paths])
    return {
        name: [pl.concat(one).unique() for one in zip(*each, strict=True)]
        for name, each in frames.items()
    }


def check_names(panels: Mapping[str, Panel]) -> None:
    """Raises `InputError` where a table holds another task than its name says."""
    for task, panel in panels.items():
        for name in panel.tests:
            if name_parts(name)["task"] not in (task, *SEQUENCES):
                raise InputError(
                    f"{name}.parquet: holds predictions of {task}; a table is named after its "
                    "target, modalities_model_task: name it so"
                )


def _mean(folds: Folds, split: str, share: float) -> int:
    """Episodes of a split and of a share of the patients, mean over folds."""
    subjects = [fold.filter(split=split)["subject_id"].to_numpy() for fold in folds]
    return round(sum(in_training_share(each, share).sum() for each in subjects) / len(folds))


def trained(panel: Panel, question: Question) -> dict[str, Trained]:
    """How many episodes of the panel's task each model was trained on, mean over folds.

    A table of predictions holds the eligible episodes of every split, so they are counted there.
    """

    def count(folds: Folds, part: Literal["encoders", "head"], shares: Shares) -> Count:
        if part not in shares:
            return None
        each = [_mean(folds, split, shares.get("share", 1.0)) for split in shares[part]]
        countable = sum(n for n in each if shown(n, question.smallest) == n)
        if len(each) > 1 and 0 < countable < sum(each):
            return f">{countable}"  # else a hidden count would follow from the sum
        return shown(sum(each), question.smallest)

    counts: dict[str, Trained] = {}
    for name, folds in panel.episodes.items():
        shares = (question.trained_on or {}).get(name_parts(name)["model"], Shares())
        together = question.together.get(name)
        counts[name] = {
            "encoders": count(folds, "encoders", shares),
            "head": count(folds, "head", shares),
            "of_any_task": count(together, "head", shares) if together else None,
        }
    return counts


def compared(
    question: Question,
    panels: Mapping[str, Panel],
    rankings: RankingTables,
    presence: Mapping[str, Presence] | None = None,
) -> tuple[Compared, int]:
    """Figures of every target and every comparison, task by task; the fewest seeds behind them.

    `presence`: task → who has which modality by then; of the episodes with all of them alone.
    """
    tasks: dict[str, ComparedTask] = {}
    rows: list[Contrast] = []
    trainings: list[int] = []

    def add(task: str, panel: Panel | None, names: Sequence[str], figures: Figures) -> None:
        tasks[task]["models"] = {name: figures.estimate(i) for i, name in enumerate(names)}
        rows.extend(contrasts(question, task, panel, names, figures))
        trainings.append(figures.seeds)

    for task in sorted(panels, key=lambda task: find(task, question.protocol).hours or 0):
        complete = presence[task] if presence else None
        panel, test, figures = measured(
            panels[task], question.resampling, question.smallest, complete
        )
        tasks[task] = {"metric": "auroc", "test": test, "models": {}}
        if not test["reason"]:
            add(task, panel, list(panel.tests), figures)
        if question.trained_on is not None and presence is None:
            tasks[task]["trained_on"] = trained(panel, question)
    if rankings.targets:
        many = question.diagnoses or ""
        counts, names, figures = ranked(
            rankings, question.resampling, question.smallest, presence[many] if presence else None
        )
        if counts:
            tasks[many] = {"metric": "recall@10", "test": counts, "models": {}}
            if not counts["reason"]:
                add(many, None, names, figures)
    return {"tasks": tasks, "contrasts": corrected(rows)}, min(trainings, default=1)


def _arguments() -> argparse.Namespace:
    arguments = parser(__doc__)
    add = arguments.add_argument
    add("--protocol", required=True, help="corrected or published; recorded")
    add("--families", nargs="+", required=True, choices=get_args(Family), help="the questions")
    add("--predictions", nargs="+", required=True, help="modalities_model_task.parquet, all folds")
    add("--diagnoses", nargs="*", default=[], help="….diagnoses.parquet, of targets with that task")
    add("--diagnoses-task", nargs="?", help="the name of that task, such as diagnoses_48h")
    add("--groups", nargs="*", default=[], help="true groups of stays, one per fold")
    add("--vocabulary", nargs="*", default=[], help="of the groups, one per fold")
    add("--variants", default="{}", help="JSON: variant of UniMed → the settings that it changes")
    add("--trained-on", help="JSON: model → the splits that its encoders and its head see, and of "
        "which share of the patients")  # fmt: skip
    add("--trained-diagnoses", nargs="*", default=[], help="….diagnoses.parquet, to count the "
        "training episodes of targets of several tasks")  # fmt: skip
    add_present_argument(arguments)
    add("--suppress-below", type=int, default=0, help="counts below are shown as '<N'")
    # p cannot be below 2 / resamples, and Holm multiplies it by the size of the family
    add("--resamples", type=int, default=5000, help="bootstrap resamples of patients and seeds")
    add("--seed", type=int, default=0, help="seed of the bootstrap")
    add("--output", required=True, help="the comparisons, JSON")
    return arguments.parse_args()


def _diagnoses(paths: Sequence[str]) -> dict[str, list[str]]:
    """Target → its tables of diagnoses, `<target>.diagnoses.parquet`."""
    return {Path(name).stem: tables for name, tables in by_name(paths).items()}


def _question(args: argparse.Namespace, panels: Mapping[str, Panel]) -> Question:
    return Question(
        args.protocol,
        args.families,
        parsed(args.variants, "--variants"),
        Resampling(args.resamples, args.seed),
        args.suppress_below,
        args.diagnoses_task,
        parsed(args.trained_on, "--trained-on") if args.trained_on else None,
        of_any_task(panels, _diagnoses(args.trained_diagnoses)),
    )


def of_complete(
    args: argparse.Namespace,
    question: Question,
    panels: Mapping[str, Panel],
    rankings: RankingTables,
) -> CompleteCompared:
    """The comparisons on the episodes with all modalities; without it being known, a reason."""
    if reason := read_presence(args.present).why_unknown:
        return {"reason": reason, "tasks": {}, "contrasts": []}
    tasks = [*panels, *[args.diagnoses_task] * bool(args.diagnoses_task)]
    presence = {
        task: read_presence(args.present, find(task, args.protocol).hours) for task in tasks
    }
    return {"reason": None, **compared(question, panels, rankings, presence)[0]}


def main() -> None:
    """Reads all predictions, writes the comparisons of their models on every task."""
    args = _arguments()
    if args.diagnoses and not args.diagnoses_task:
        raise InputError("--diagnoses without --diagnoses-task")
    panels = read_panels(by_name(args.predictions))
    question = _question(args, panels)
    check_names(panels)
    if "papers" in args.families:
        for task, panel in panels.items():
            same_cohort(panel, task)
    rankings = RankingTables(_diagnoses(args.diagnoses), args.groups, args.vocabulary)
    everyone, fewest = compared(question, panels, rankings)
    comparison: Comparison = {
        "schema_version": SCHEMA_VERSION,
        "definitions_version": version_of_tables([*args.predictions, *args.diagnoses]),
        "protocol": args.protocol,
        "margin": MARGIN,
        **rounded(everyone),
        "complete": rounded(of_complete(args, question, panels, rankings)),
        "bootstrap": described(question.resampling, fewest),
    }
    write_json(args.output, comparison)
    tell(f"{len(everyone['tasks'])} tasks, {len(everyone['contrasts'])} comparisons")


if __name__ == "__main__":
    run(main)
