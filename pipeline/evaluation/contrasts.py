"""Differences between the models of one task, paired, with p-values corrected for their number.

Three questions, each a family of comparisons on the same test episodes and the same resamples:

* `best-single`: a model of several modalities minus the best unimodal model of its own modalities;
  the best is chosen on validation, once, not on the test episodes that it is judged by;
* `early`: any other model of a set of modalities minus early fusion of that set;
* `one-less`: a model of all modalities minus the same kind of model without one of them.

In: tables of predictions named {modalities}_{model}_{task}.parquet. Out: one JSON. p-values are
Holm-corrected within a family: each answers one question about one task. `complete` holds the same
on the episodes with all modalities of the config. Intervals and p-values
hold the noise of training where there are enough seeds, see `pipeline.evaluation.figures`.
"""

import argparse
import logging
from typing import Any

from pipeline.evaluation.bootstrap import Resampling, described
from pipeline.evaluation.coverage import add_present_argument, read_presence
from pipeline.evaluation.folds import by_name
from pipeline.evaluation.measures import rounded
from pipeline.evaluation.panel import (
    Panel,
    aurocs,
    differences,
    on_all_and_complete,
    read_panel,
)
from pipeline.evaluation.suppression import shown_counts, why_no_metrics
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.stage.tables import version_of_tables

log = logging.getLogger("pipeline")

SCHEMA_VERSION = 3
SINGLE, REFERENCE = "unimodal", "early"

Pair = tuple[str, str]  # names of two models, as in ecn_early; the difference is first − second


def named_tables(paths: list[str], task: str) -> dict[str, list[str]]:
    """Paths by model, as in `ecn_early`, one per fold; `InputError` for another kind of name.

    >>> named_tables(["results/ec_early_mortality.parquet"], "mortality")
    {'ec_early': ['results/ec_early_mortality.parquet']}
    """
    tables: dict[str, list[str]] = {}
    for stem, folds in by_name(paths).items():
        modalities, model, found = [*stem.split("_", 2), "", ""][:3]
        if found != task:
            raise InputError(f"{folds[0]}: expected a name modalities_model_{task}.parquet")
        tables[f"{modalities}_{model}"] = folds
    return tables


def families(panel: Panel) -> dict[str, list[Pair]]:
    """The comparisons of each question, as far as the panel holds both sides."""
    split = {name: name.split("_", 1) for name in panel.tests}
    several = {name: (s, model) for name, (s, model) in split.items() if len(s) > 1}
    full = max((s for s, _ in several.values()), key=len, default="")
    less = [full.replace(letter, "") for letter in full] if len(full) > 2 else []
    wanted: dict[str, list[tuple[str, str | None]]] = {
        "best-single": [(name, best_single(panel, s)) for name, (s, _) in several.items()],
        "early": [
            (name, f"{s}_{REFERENCE}") for name, (s, model) in several.items() if model != REFERENCE
        ],
        "one-less": [
            (name, f"{rest}_{model}")
            for name, (s, model) in several.items()
            if s == full
            for rest in reversed(less)
        ],
    }
    return {
        question: [(one, two) for one, two in pairs if two is not None and two in panel.tests]
        for question, pairs in wanted.items()
    }


def best_single(panel: Panel, modalities: str) -> str | None:
    """The unimodal model of these modalities with the highest validation AUROC; ties: the first."""
    singles = [f"{letter}_{SINGLE}" for letter in modalities]
    known = {s: v for s in singles if (v := panel.validation.get(s)) is not None}
    return max(known, key=lambda name: known[name], default=None)


def contrasts(panel: Panel, resampling: Resampling, smallest: int = 0) -> dict[str, Any]:
    """AUROC of every model and every comparison of `families`, with intervals and p-values.

    Without both classes in test, or with fewer than `smallest` episodes of one, there are none,
    and a `reason`.
    """
    reason = why_no_metrics(panel.first, smallest)
    head = {"test": {**shown_counts(panel.first, smallest), "reason": reason}}
    if reason:
        return {**head, "models": {}, "contrasts": []}
    figures, names = aurocs(panel, resampling), list(panel.tests)
    models = {name: figures.estimate(i) for i, name in enumerate(names)}
    found = [
        {"family": question, **row}
        for question, pairs in families(panel).items()
        for row in differences(pairs, names, figures)
    ]
    return {**head, "models": models, "contrasts": found}


def _arguments() -> argparse.Namespace:
    arguments = parser(__doc__)
    add = arguments.add_argument
    add("--task", required=True, help="the task of all tables")
    add("--protocol", required=True, help="corrected or published; recorded")
    add(
        "--predictions",
        nargs="+",
        required=True,
        help="tables named modalities_model_task; equal names: folds",
    )
    add_present_argument(arguments)
    add("--suppress-below", type=int, default=0, help="counts below are shown as '<N'")
    # p cannot be below 2 / resamples, and Holm multiplies it by the size of the family
    add("--resamples", type=int, default=5000, help="bootstrap resamples of patients and seeds")
    add("--seed", type=int, default=0, help="seed of the bootstrap")
    add("--output", required=True, help="the comparisons, JSON")
    return arguments.parse_args()


def main() -> None:
    """Reads all predictions of a task, writes the comparisons of its models."""
    args = _arguments()
    tables, least = named_tables(args.predictions, args.task), max(1, args.suppress_below)
    panel, resampling = read_panel(tables, least), Resampling(args.resamples, args.seed)
    presence, smallest = read_presence(args.present), args.suppress_below
    found = rounded(on_all_and_complete(contrasts, tables, panel, presence, resampling, smallest))
    version = version_of_tables(args.predictions)
    head = {"schema_version": SCHEMA_VERSION, "definitions_version": version}
    head |= {"task": args.task, "protocol": args.protocol}
    bootstrap = described(resampling, len(panel.first.probability))
    write_json(args.output, {**head, **found, "bootstrap": bootstrap})
    log.info("%s: %d models, %d comparisons", args.task, len(panel.tests), len(found["contrasts"]))


if __name__ == "__main__":
    run(main)
