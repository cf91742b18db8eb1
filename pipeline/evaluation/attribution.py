"""What each modality contributes: Shapley values from the models of every set of modalities.

In: the predictions of one kind of fusion for each set of two modalities and more, and of the
unimodal models. The worth v of a set is the test AUROC of its model, .5 for no modality. A modality
receives its gain in AUROC averaged over all orders in which the modalities can be added, so that
the values of all modalities sum to v(all) − .5. The same patients (and, where there are enough,
the same seeds) are resampled for every set.
Out: values and their differences with intervals, as JSON; `complete`: the same on the episodes
with all modalities of the config.
"""

import argparse
from itertools import combinations
from math import comb

import numpy as np

from pipeline.cohort.task import find
from pipeline.evaluation.panel import Panel, aurocs, differences, read_panels
from pipeline.evaluation.sections.coverage import add_present_argument, read_presence
from pipeline.evaluation.sections.suppression import NO_COUNTS, shown_counts, why_no_metrics
from pipeline.evaluation.statistics.bootstrap import Resampling, described
from pipeline.evaluation.statistics.figures import GAP, rounded
from pipeline.evaluation.statistics.metrics import Floats
from pipeline.evaluation.statistics.significance import holm
from pipeline.stage.command import parser, run
from pipeline.stage.comparison import (
    SCHEMA_VERSION,
    Attributed,
    Attribution,
    CompleteAttributed,
    ModalityDifference,
)
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.stage.privacy import tell
from pipeline.stage.registry import subsets
from pipeline.stage.tables import version_of_tables

EMPTY = 0.5  # AUROC of a model that sees nothing


def shapley(worth: Floats, modalities: str, empty: float = EMPTY) -> Floats:
    """Shapley values (…, n) of n modalities from the worth (…, 2ⁿ − 1) of `subsets(modalities)`.

    φ_i = Σ over sets S without i of [v(S ∪ i) − v(S)] / (n · C(n − 1, |S|)).

    >>> shapley(np.array([0.7, 0.6, 0.9]), "en").round(3)
    array([0.25, 0.15])
    """
    sets, n = subsets(modalities), len(modalities)
    column = {frozenset(letters): position for position, letters in enumerate(sets)}
    gains = np.zeros((len(sets), n))  # φ = (v − v(∅)) · gains
    for players, position in column.items():
        for i, letter in enumerate(modalities):
            if letter in players:
                gains[position, i] = 1 / (n * comb(n - 1, len(players) - 1))
            else:
                gains[position, i] = -1 / (n * comb(n - 1, len(players)))
    return (worth - empty) @ gains


def named_tables(pairs: list[str]) -> dict[str, list[str]]:
    """Paths of `set=path` arguments by set, in the order of `subsets`; commas separate folds.

    Raises `InputError` for a pair without `=`, a set given twice, or a set that is missing.

    >>> named_tables(["en=c.parquet", "n=b.parquet", "e=a.parquet"])
    {'e': ['a.parquet'], 'n': ['b.parquet'], 'en': ['c.parquet']}
    """
    paths: dict[str, list[str]] = {}
    for pair in pairs:
        letters, equals, path = pair.partition("=")
        if not (letters and equals and path):
            raise InputError(f"--predictions {pair}: expected set=path, as in ec=x.parquet")
        if letters in paths:
            raise InputError(f"--predictions: the set {letters} is given twice")
        paths[letters] = path.split(",")
    largest: str = max(paths, key=len, default="")
    wanted = subsets(largest)
    if set(wanted) != set(paths):
        raise InputError(
            f"--predictions: Shapley values need every set of modalities, {', '.join(wanted)}; "
            f"given {', '.join(paths)}"
        )
    return {letters: paths[letters] for letters in wanted}


def nothing(modalities: str) -> Attributed:
    """An attribution without values."""
    return {
        "modalities": list(modalities), "test": {**NO_COUNTS, "reason": None}, "empty": EMPTY,
        "aurocs": {}, "shapley": {}, "total": None, "differences": [],
    }  # fmt: skip


def attribution(panel: Panel, resampling: Resampling, smallest: int = 0) -> Attributed:
    """Shapley values of the modalities and their differences, with intervals and p-values.

    `panel`: one model per set, in the order of `subsets`. p-values are Holm-corrected over the
    pairs of modalities. Without both classes in test, or with fewer than `smallest` episodes of
    one, there are no values, and a `reason`.
    """
    sets = list(panel.tests)
    modalities = sets[-1]
    reason = why_no_metrics(panel.first, smallest)
    made = nothing(modalities)
    made["test"] = {**shown_counts(panel.first, smallest), "reason": reason}
    if reason:
        return made
    worth = aurocs(panel, resampling)
    values = worth.of(lambda each: shapley(each, modalities), GAP)
    total = values.of(lambda each: each.sum(axis=-1), GAP)  # is v(all) − .5
    rows = differences(list(combinations(modalities, 2)), modalities, values)
    corrected = holm([row["p"] for row in rows])
    between: list[ModalityDifference] = [
        {**row, "p_holm": p} for row, p in zip(rows, corrected, strict=True)
    ]
    return {
        **made,
        "aurocs": {s: worth.estimate(i) for i, s in enumerate(sets)},
        "shapley": {m: values.difference(i) for i, m in enumerate(modalities)},
        "total": total.difference(),
        "differences": between,
    }


def _arguments() -> argparse.Namespace:
    arguments = parser(__doc__)
    add = arguments.add_argument
    add("--task", required=True, help="recorded")
    add("--fusion", required=True, help="the model of the sets of two and more; recorded")
    add("--protocol", required=True, help="corrected or published; recorded")
    add("--predictions", nargs="+", required=True, metavar="SET=PATH[,PATH]", help="tables")
    add_present_argument(arguments)
    add("--suppress-below", type=int, default=0, help="counts below are shown as '<N'")
    add("--resamples", type=int, default=5000, help="p-values cannot fall below 2 / resamples")
    add("--seed", type=int, default=0, help="seed of the bootstrap")
    add("--output", required=True, help="the values, JSON")
    return arguments.parse_args()


def main() -> None:
    """Reads the predictions of every set, writes the attribution."""
    args = _arguments()
    tables, smallest = named_tables(args.predictions), args.suppress_below
    panels, resampling = read_panels(tables), Resampling(args.resamples, args.seed)
    if args.task not in panels:
        raise InputError(f"--predictions: of {', '.join(panels)}, expected {args.task}")
    panel, presence = (
        panels[args.task],
        read_presence(args.present, find(args.task, args.protocol).hours),
    )
    everyone, fewer = attribution(panel, resampling, smallest), nothing(list(panel.tests)[-1])
    if not (reason := presence.why_unknown or presence.within(panel.first, smallest)[1]):
        fewer = attribution(panel.among(presence.complete), resampling, smallest)
        reason = fewer["test"]["reason"]
    complete: CompleteAttributed = {"reason": reason, **fewer}
    attributed: Attribution = {
        "schema_version": SCHEMA_VERSION,
        "definitions_version": version_of_tables(
            [path for folds in tables.values() for path in folds]
        ),
        "task": args.task,
        "fusion": args.fusion,
        "protocol": args.protocol,
        **rounded(everyone),
        "complete": rounded(complete),
        "bootstrap": described(resampling, len(panel.first.probability)),
    }
    write_json(args.output, attributed)
    shown = ", ".join(f"{m} {value['value']}" for m, value in attributed["shapley"].items())
    tell("%s, %s: Shapley values %s", args.task, args.fusion, shown or attributed["test"]["reason"])


if __name__ == "__main__":
    run(main)
