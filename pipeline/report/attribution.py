"""Shapley values of the modalities, by task, fusion and protocol: a table, and a figure.

Both are of the attributions that `pipeline.evaluation.attribution` writes.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.evaluation.attribution import shapley
from pipeline.report.drawing import REFERENCE, STYLE
from pipeline.report.names import Letters, letter_words, models_in_order, unique
from pipeline.report.numbers import cell, p_cell, sd_cell, short, table
from pipeline.report.results import FlatResults
from pipeline.report.verdicts import interval_words
from pipeline.stage.comparison import Attribution
from pipeline.stage.registry import PROTOCOLS, subsets

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette and a shape each: told apart with any colour vision, and without colour
LOOKS = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "D"), ("#CC79A7", "^"), ("#E69F00", "v"))
STEP = 0.2  # between the modalities of one fusion; fusions are 1 apart
TITLE = "Shapley values of the modalities"
SHAPLEY = (
    "Shapley values: the gain in test AUROC by a modality, averaged over all orders in which the "
    "modalities can be added; they sum to the AUROC of all minus .500. p-values are corrected over "
    "the pairs of modalities. Episodes: all, or those that have all modalities of the config."
)
EVERY = "with all modalities"


def figure(attributions: list[Attribution], words: Letters) -> "Figure":
    """A panel per task (column) and protocol (row): rows per fusion, a dot per modality."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    tasks = unique(one["task"] for one in attributions)
    protocols = [p for p in PROTOCOLS if any(one["protocol"] == p for one in attributions)]
    fusions = models_in_order(one["fusion"] for one in attributions)
    letters = unique(letter for one in attributions for letter in one["modalities"])
    with rc_context(STYLE):
        size = (1.2 + 3.8 * len(tasks), 1.3 + len(protocols) * (0.6 + 0.62 * len(fusions)))
        drawn = Figure(figsize=size, layout="constrained")
        panels = drawn.subplots(len(protocols), len(tasks), sharex=True, sharey=True, squeeze=False)
        panels[0, 0].set_yticks(range(len(fusions)), fusions)
        panels[0, 0].set_ylim(len(fusions) - 0.5, -0.5)
        panels[0, 0].xaxis.set_major_locator(MaxNLocator(4))
        for row, protocol in zip(panels, protocols, strict=True):
            for panel, task in zip(row, tasks, strict=True):
                chosen = [a for a in attributions if (a["task"], a["protocol"]) == (task, protocol)]
                _panel(panel, chosen, fusions, letters)
                panel.set_title(f"{task}, {protocol}")
        _legend(drawn, letters, words)
        for panel in panels[-1]:
            panel.set_xlabel("gain in test AUROC")
        subtitle = f"average gain over all orders of adding them; {interval_words(attributions)}"
        drawn.suptitle(f"{TITLE}: {subtitle}", x=0.01, ha="left", fontsize=10)
    return drawn


def _panel(
    panel: "Axes", chosen: list[Attribution], fusions: list[str], letters: list[str]
) -> None:
    panel.axvline(0, color=REFERENCE, lw=0.9)
    panel.grid(False, axis="y")
    panel.tick_params(axis="y", length=0)
    for attribution in chosen:
        _values(panel, attribution, fusions.index(attribution["fusion"]), letters)


def _values(panel: "Axes", attribution: Mapping[str, Any], row: int, letters: list[str]) -> None:
    if not attribution["shapley"]:
        reason = attribution["test"]["reason"]
        panel.text(0.02, row, f"not shown: {reason}", va="center", fontsize=7.5)
    for letter, value in attribution["shapley"].items():
        place = letters.index(letter)
        colour, marker = LOOKS[place % len(LOOKS)]
        y = row + STEP * (place - (len(letters) - 1) / 2)
        panel.plot([value["low"], value["high"]], [y, y], color=colour, lw=1.4)
        panel.plot(value["value"], y, color=colour, marker=marker, ms=5)


def _legend(drawn: "Figure", letters: list[str], words: Letters) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker=marker, ms=5, label=letter_words(letter, words))
        for letter, (colour, marker) in zip(letters, LOOKS * len(letters), strict=False)
    ]
    drawn.legend(handles=handles, loc="outside lower center", ncols=len(letters), frameon=False)


def shapley_table(attributions: list[Attribution], results: FlatResults, words: Letters) -> str:
    """Shapley values and their differences, with the values that the known ceilings give."""
    known = [a for a in attributions if a["shapley"]]
    if not known:
        return ""
    letters = known[0]["modalities"]
    pairs = [(row["first"], row["second"]) for row in known[0]["differences"]]
    names = [letter_words(letter, words) for letter in letters]
    header = ["task", "fusion", "protocol", "episodes", *names, "all − .500"]
    header += [f"{one} − {two}, SD between seeds, p (Holm)" for one, two in pairs]
    rows = []
    for task in unique(a["task"] for a in known):
        rows += [
            _shapley_row({**a, **part}, letters, pairs, who)
            for a in known
            if a["task"] == task
            for who, part in (("all", a), (EVERY, a.get("complete") or {}))
            if part.get("shapley")
        ]
        if truth := _planted(task, letters, results):
            rows.append(
                [
                    task,
                    "ceiling",
                    "–",
                    "–",
                    *map(short, truth),
                    short(sum(truth)),
                    *[""] * len(pairs),
                ]
            )
    return "\n\n".join(["## What each modality contributes", SHAPLEY, table(header, rows, words=4)])


def _shapley_row(
    attribution: dict[str, Any], letters: list[str], pairs: list[tuple[str, str]], who: str
) -> list[str]:
    values = [cell(attribution["shapley"].get(letter)) for letter in letters]
    between = {(row["first"], row["second"]): row for row in attribution["differences"]}
    differences = [
        f"{cell(row, sign=True)}, {sd_cell(row)}, {p_cell(row['p_holm'])}"
        if (row := between.get(pair))
        else "–"
        for pair in pairs
    ]
    head = [attribution["task"], attribution["fusion"], attribution["protocol"], who]
    return [*head, *values, cell(attribution["total"]), *differences]


def _planted(task: str, letters: list[str], results: FlatResults) -> list[float]:
    """Shapley values of the best reachable AUROCs in the population; empty where unknown."""
    ceilings = {
        name.modalities: result["ceiling"]["population_auroc"]
        for name, result in results.items()
        if name.task == task and result["ceiling"]
    }
    worth = [ceilings.get(s) for s in subsets("".join(letters))]
    if None in worth:
        return []
    return shapley(np.array(worth, dtype=float), "".join(letters)).tolist()
