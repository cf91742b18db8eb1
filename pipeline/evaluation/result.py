"""One result: metrics of a model's predictions with intervals, and everything they rest on.

In: the model's predictions (a table per fold), those of the single-modality models, the known truth
(for the synthetic hospital), the attrition of the cohort; for subgroups, sensitivity analyses and
missing modalities the episodes, whom each analysis leaves out and more predictions; who has which
modality. Out: the result (`result.schema.json` describes every field), its curves, and a sidecar
with time, memory and host per stage. Result and curves hold no time, host or path: they are the
same bytes in every run.
"""

import argparse
import json
import logging
from typing import Any

import polars as pl

from pipeline.cohort.attrition import reasons
from pipeline.evaluation.bootstrap import Resampling, described
from pipeline.evaluation.complete import complete
from pipeline.evaluation.coverage import add_present_argument, coverage, read_presence
from pipeline.evaluation.folds import read_folds, seeds
from pipeline.evaluation.measures import Beside, measure, parts, rounded
from pipeline.evaluation.provenance import (
    cohort_fingerprint,
    definition_of,
    definitions_version,
    environment,
    unreadable_films,
    usage,
)
from pipeline.evaluation.suppression import shown, shown_attrition
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json, write_json
from pipeline.stage.result import SCHEMA_VERSION

log = logging.getLogger("pipeline")


def parsed(text: str, argument: str) -> Any:
    """The JSON given to an argument; `InputError` where it is none."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{argument}: not valid JSON ({error})") from error


def add_result_arguments(arguments: argparse.ArgumentParser) -> None:
    """What every result is told: what it is of, what it records, and where it is written."""
    add = arguments.add_argument
    add("--target", required=True, help="modalities_model_task, e.g. ecn_early_mortality")
    add("--protocol", required=True, help="corrected or published; recorded")
    add("--source", default="{}", help="JSON of the kind of source behind the result; recorded")
    add("--truth", help="folder with ceilings.json and oracle_<task>.parquet, where it is known")
    add("--readable", help="JSON of films needed and unreadable, of results that read films")
    add("--settings", default="{}", help="JSON of the settings behind the result; recorded")
    add_present_argument(arguments)
    add("--threads", type=int, default=1, help="torch threads of the training; recorded")
    add("--lock", default="requirements.lock", help="pinned requirements; their hash is recorded")
    add("--modules", nargs="+", required=True, help="modules and files that made it; hashed")
    add("--suppress-below", type=int, default=0, help="counts below are shown as '<N'")
    add("--resamples", type=int, default=1000, help="bootstrap resamples of patients and seeds")
    add("--seed", type=int, default=0, help="seed of the bootstrap")
    add("--usage", default="results/usage", help="folder of the stages' records, for the sidecar")
    add("--output", required=True, help="the result, JSON")
    add("--curves", required=True, help="its curves, JSON")
    add("--sidecar", required=True, help="time, memory and host per stage, JSON")


def _arguments() -> argparse.Namespace:
    arguments = parser(__doc__)
    add_result_arguments(arguments)
    add = arguments.add_argument
    add("--predictions", nargs="+", required=True, help="predictions of this target, one per fold")
    add("--singles", nargs="*", default=[], help="those of single models, each named by its target")
    add("--absent", nargs="*", default=[], help="those with a modality missing, one per fold")
    add("--episodes", help="table of episodes, for subgroups")
    add("--without", help="whom the task's sensitivity analyses leave out, parquet")
    add("--attrition", required=True, help="JSON of the labels stage: conditions")
    return arguments.parse_args()


def main() -> None:
    """Reads predictions, measures, and writes the result, its curves and its sidecar."""
    args = _arguments()
    frames = read_folds(args.predictions)
    resampling = Resampling(args.resamples, args.seed, max(1, args.suppress_below))
    attrition, source = read_json(args.attrition), parsed(args.source, "--source")
    beside = Beside(args.singles, args.truth, args.episodes, args.without, args.absent)
    measured, drawn = measure(frames, args.target, beside, resampling, args.suppress_below)
    tables = [*args.predictions, *args.singles, *args.absent]
    version = definitions_version(tables, {args.attrition: attrition})
    presence = read_presence(args.present)
    own = (frames, args.target, beside, presence, resampling, args.suppress_below)
    everyone = pl.concat(frame.select("episode_id", "subject_id").unique() for frame in frames)
    result = {
        "schema_version": SCHEMA_VERSION,
        "definitions_version": version,
        "target": args.target,
        **parts(args.target),
        "protocol": args.protocol,
        "source": source,
        "task_definition": definition_of(attrition, source),
        **rounded(measured),
        "coverage": coverage(frames, presence, args.suppress_below),
        "complete": rounded(complete(*own)),
        "bootstrap": described(resampling, len(seeds(frames[0]))),
        "seeds": seeds(frames[0]),
        "folds": len(frames),
        "threads": args.threads,
        "settings": parsed(args.settings, "--settings"),
        "cohort": {
            "fingerprint": cohort_fingerprint(*frames),
            "episodes": shown(everyone["episode_id"].n_unique(), args.suppress_below),
            "patients": shown(everyone["subject_id"].n_unique(), args.suppress_below),
            "attrition": shown_attrition(attrition["conditions"], args.suppress_below),
            "looks_ahead": reasons(attrition["conditions"]),
        },
        "unreadable_films": unreadable_films(args.readable, args.suppress_below),
        "environment": environment(args.modules, args.lock),
    }
    write_json(args.curves, rounded(drawn))
    write_json(args.sidecar, {"target": args.target, **usage(args.usage, args.modules)})
    write_json(args.output, result)
    auroc = result["metrics"]["test"]["auroc"]
    log.info("%s: test AUROC %s", args.target, auroc["value"])


if __name__ == "__main__":
    run(main)
