"""The figures behind the kit of a result: Table 1, flow, calibration, decisions, groups.

    python -m pipeline.evaluation.kit --result results/ecn_early_mortality.json
        --predictions … --labels … --episodes … --characteristics … --attrition … --present '{…}'
        --hours 48 --scores sofa_48h.parquet --output numbers.json

In: a result of one binary task and the tables that it was made from, an episode a row. Out: one
JSON of aggregates (`pipeline.stage.kit`), the same bytes in every run. What few episodes would tell
is hidden and everything else rounded where `--suppress-below` is above 0, see
`pipeline.evaluation.sections.suppression`.
"""

import argparse
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl

from pipeline.cohort.task import find
from pipeline.evaluation.predictions import (
    SPLITS,
    hold_against_labels,
    read_task,
    runs,
    samples,
    seeds,
)
from pipeline.evaluation.sections.calibrated import calibrated
from pipeline.evaluation.sections.coverage import add_present_argument, read_presence
from pipeline.evaluation.sections.decision import decision
from pipeline.evaluation.sections.fairness import fairness, hidden_groups
from pipeline.evaluation.sections.flow import files, flow
from pipeline.evaluation.sections.operating import operating_points
from pipeline.evaluation.sections.recalibrated import apply, fit_runs
from pipeline.evaluation.sections.table_one import table_one
from pipeline.evaluation.sections.told import told_by
from pipeline.evaluation.statistics.bootstrap import Resampling, described
from pipeline.evaluation.statistics.figures import rounded
from pipeline.evaluation.statistics.metrics import Floats
from pipeline.stage import digests
from pipeline.stage.command import parsed, parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json, write_json
from pipeline.stage.kit import SCHEMA_VERSION, KitHead, Numbers, OperatingPoint, Way
from pipeline.stage.privacy import tell
from pipeline.stage.result import Binary, Result, read_result
from pipeline.stage.tables import read_table, read_values

POINTS = "total"  # column of a clinical score's table


def part_of(result: Result, path: str) -> tuple[str, Binary]:
    """The one binary task of a result; `InputError` where it has several, or one of many labels."""
    task, *others = result["tasks"]
    if others or find(task, result["protocol"]).kind != "binary":
        raise InputError(
            f"{path}: a kit is of a result of one binary task; it has {', '.join(result['tasks'])}"
        )
    return task, cast(Binary, result["tasks"][task])


def used(frames: list[pl.DataFrame], part: Binary, smallest: int) -> list[pl.DataFrame]:
    """The predictions as the result has them: recalibrated where it says so.

    Raises `InputError` where that gives other parameters than the result has.
    """
    if "recalibration" not in part:
        return frames
    told = part["recalibration"]
    fitted = fit_runs(frames, told["method"], smallest)
    if rounded(fitted) != told["by_run"]:
        raise InputError("--predictions: the recalibration of the result is of other predictions")
    return apply(frames, fitted)


def head(result: Result, task: str, args: argparse.Namespace, frames: list[pl.DataFrame]
         ) -> KitHead:  # fmt: skip
    """What the figures are of."""
    part = cast(Binary, result["tasks"][task])
    way: Way = part["recalibration"]["method"] if "recalibration" in part else "none"
    trained = seeds(frames[0])
    made: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "target": result["target"],
        "modalities": result["modalities"],
        "model": result["model"],
        "task": task,
        "unit": find(task, result["protocol"]).unit,
        "hours": args.hours,
        "protocol": result["protocol"],
        **({"experiment": result["experiment"]} if "experiment" in result else {}),
        "result_sha256": digests.digest(Path(args.result)),
        "suppressed_below": args.suppress_below,
        "recalibration": way,
        "seeds": trained,
        "folds": len(frames),
        "bootstrap": described(Resampling(args.resamples, args.seed), len(trained)),
    }
    return cast(KitHead, made)


def described_episodes(facts: pl.DataFrame, args: argparse.Namespace) -> pl.DataFrame:
    """Demographics and characteristics of the episodes, in their order."""
    own = read_table(args.episodes).drop("subject_id", "split")
    more = read_table(args.characteristics)
    joined = facts.select("episode_id").join(
        own.join(more, on="episode_id", how="left"), on="episode_id", how="left",
        maintain_order="left",
    )  # fmt: skip
    if lacking := joined["age"].null_count():
        raise InputError(f"{args.episodes}: {lacking} predicted episode(s) missing; make it again")
    return joined


def points_of(episode: np.ndarray, args: argparse.Namespace) -> Floats | str:
    """SOFA of the episodes (n,), or why there is none."""
    if not args.scores:
        return str(args.no_scores)
    return read_values(args.scores, episode, [POINTS])[:, 0]


def by_episode(facts: pl.DataFrame, points: Floats | str) -> dict[int, float] | str:
    """Episode → its points; or why there are none."""
    if isinstance(points, str):
        return points
    return dict(zip(facts["episode_id"].to_list(), points.tolist(), strict=True))


def result_point(points: list[OperatingPoint]) -> tuple[np.ndarray, str | None]:
    """The thresholds of the result's own operating point, and why there are none."""
    own = next(point for point in points if point["chosen_by"] == "result")
    return np.array([run["threshold"] for run in own["by_run"]]), own["reason"]


def measured(args: argparse.Namespace) -> Numbers:
    """Everything of a kit."""
    result = read_result(args.result)
    task, part = part_of(result, args.result)
    raw = read_task(args.predictions, task)
    hold_against_labels(raw, args.labels, task)
    smallest = args.suppress_below
    resampling = Resampling(args.resamples, args.seed, max(1, smallest))
    frames = used(raw, part, smallest)
    facts = frames[0].select("episode_id", "subject_id", "split", "label").unique()
    facts = facts.sort("episode_id")
    episodes = described_episodes(facts, args)
    points = points_of(facts["episode_id"].to_numpy(), args)
    presence = read_presence(args.present, find(task, result["protocol"]).hours)  # the result's
    listed = files(facts, args.present, args.hours, args.faults, smallest)
    parts = {split: samples(frames, split) for split in SPLITS}
    at = operating_points(parts, runs(frames), resampling, smallest)
    groups = fairness(parts["test"], episodes, *result_point(at), resampling, smallest)
    told = told_by(part, len(frames), smallest)
    return {
        "head": head(result, task, args, frames),
        "table_one": table_one(
            facts, episodes, presence, points, smallest, told, hidden_groups(groups)
        ),
        "flow": flow(read_json(args.attrition)["conditions"], facts, listed, told, smallest),
        "calibration": calibrated(raw, resampling, smallest),
        "decision": decision(frames, by_episode(facts, points), resampling, smallest),
        "operating_points": at,
        "fairness": groups,
    }


def _arguments() -> argparse.Namespace:
    arguments = parser(__doc__)
    add = arguments.add_argument
    add("--result", required=True, help="of one binary task, JSON")
    add("--predictions", nargs="+", required=True, help="of its model, one per fold")
    add("--labels", required=True, help="of the task")
    add("--episodes", required=True, help="of the unit: demographics")
    add("--characteristics", required=True, help="of the unit: care units")
    add("--attrition", required=True, help="of the labels, JSON")
    add_present_argument(arguments)
    add("--hours", type=float, required=True, help="from clock zero to the prediction")
    add("--faults", default="{}", help="JSON: letter of a modality that the model reads → tables "
        "that say which of its files cannot be read")  # fmt: skip
    add("--scores", help="points of SOFA at the prediction time, by episode")
    add("--no-scores", default="no SOFA was given", help="why there are none")
    add("--suppress-below", type=int, default=0, help="counts below are hidden, others rounded")
    add("--resamples", type=int, default=1000, help="bootstrap resamples of patients")
    add("--seed", type=int, default=0, help="seed of the bootstrap")
    add("--output", required=True, help="the figures, JSON")
    args = arguments.parse_args()
    args.faults = parsed(args.faults, "--faults")
    return args


def main() -> None:
    """Reads the result and its tables, writes the figures."""
    args = _arguments()
    made = measured(args)
    write_json(args.output, rounded(made))
    tell("%s: Table 1 of %s variables, %s operating points", made["head"]["target"],
         str(len(made["table_one"]["variables"])), str(len(made["operating_points"])))  # fmt: skip


if __name__ == "__main__":
    run(main)
