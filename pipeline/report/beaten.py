"""Where single models and baselines are better than a model, in words and in a table.

Differences are paired on the same test episodes, see `pipeline.evaluation.sections.comparisons`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.evaluation.statistics.significance import SEEDS, undecided_for
from pipeline.report.numbers import Estimate, cell, table, with_interval
from pipeline.report.results import Name, Part

BEATEN = (
    "Single models and baselines on statistics of the record that are better than a model on the "
    "same test episodes: the 95 % interval of the paired difference of AUROC, model − other, lies "
    f"below 0. With fewer than {SEEDS} training seeds it holds the chance of patients alone."
)


def gains_of(comparisons: Mapping[str, Any]) -> dict[str, Estimate]:
    """Single models and baselines by name → the paired difference of AUROC, model − other."""
    return {
        name: other[key]
        for kind, key in (("singles", "model_minus_single"), ("baselines", "model_minus_baseline"))
        for name, other in comparisons.get(kind, {}).items()
    }


def turned(difference: Estimate) -> dict[str, float]:
    """The same difference the other way round.

    >>> turned({"value": -0.02, "low": -0.03, "high": -0.01})
    {'value': 0.02, 'low': 0.01, 'high': 0.03}
    """
    return {key: -difference[of] for key, of in (("value", "value"), ("low", "high"),
                                                 ("high", "low"))}  # fmt: skip


def beaten_lines(comparisons: Mapping[str, Any] | None, seeds: int) -> dict[str, str]:
    """By which others a model is beaten, and than which it is not better, of so many seeds.

    >>> gain = {"value": -0.02, "low": -0.03, "high": -0.01}
    >>> compared = {"baselines": {"e_gbdt-stats_x": {"model_minus_baseline": gain}},
    ...             "beaten_by": ["e_gbdt-stats_x"], "not_better_than": []}
    >>> beaten_lines(compared, 1)
    {'Beaten by': 'e_gbdt-stats_x by 0.020 (0.010 to 0.030); over patients alone, seeds: 1'}
    """
    compared = comparisons or {}
    gains = gains_of(compared)
    texts = {
        "Beaten by": [
            f"{name} by {with_interval(turned(gains[name]))}"
            for name in compared.get("beaten_by", [])
        ],
        "Not better than": [
            f"{name}: model − it {with_interval(gains[name], sign=True)}"
            for name in compared.get("not_better_than", [])
        ],
    }
    alone = f"; over patients alone, seeds: {seeds}" if undecided_for(seeds) else ""
    return {name: f"{', '.join(each)}{alone}" for name, each in texts.items() if each}


def beaten_table(parts: Iterable[tuple[Name, str, Part]]) -> str:
    """A row per model and task that is beaten, with every difference; empty where none is."""
    rows = []
    for name, task, part in parts:
        compared = part.get("comparisons") or {}
        gains = gains_of(compared)
        each = [f"{other.removesuffix(f'_{task}')} {cell(gains[other], sign=True)}"
                for other in compared.get("beaten_by", [])]  # fmt: skip
        if each:
            rows.append([f"{name.modalities} {name.model}", task, name.protocol, "; ".join(each)])
    if not rows:
        return ""
    return f"{BEATEN}\n\n{table(['model', 'task', 'protocol', 'beaten by'], rows, words=4)}"
