"""Shapley values of the modalities with their intervals, by task, fusion and protocol, as one SVG.

In: attributions (`pipeline.evaluation.attribution`). A panel per task (column) and protocol (row).
"""

from typing import TYPE_CHECKING, Any

from pipeline.report.catalogue import LETTERS, models_in_order, same_definitions, unique
from pipeline.report.curves import REFERENCE, STYLE, save
from pipeline.report.numbers import interval_words
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json
from pipeline.stage.names import PROTOCOLS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette and a shape each: told apart with any colour vision, and without colour
LOOKS = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "D"), ("#CC79A7", "^"), ("#E69F00", "v"))
STEP = 0.2  # between the modalities of one fusion; fusions are 1 apart
TITLE = "Shapley values of the modalities"


def figure(attributions: list[dict[str, Any]]) -> "Figure":
    """A panel per task and protocol: a group of rows per fusion, a dot per modality."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    tasks = unique(found["task"] for found in attributions)
    protocols = [p for p in PROTOCOLS if any(found["protocol"] == p for found in attributions)]
    fusions = models_in_order(found["fusion"] for found in attributions)
    letters = unique(letter for found in attributions for letter in found["modalities"])
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
        _legend(drawn, letters)
        for panel in panels[-1]:
            panel.set_xlabel("gain in test AUROC")
        subtitle = f"average gain over all orders of adding them; {interval_words(attributions)}"
        drawn.suptitle(f"{TITLE}: {subtitle}", x=0.01, ha="left", fontsize=10)
    return drawn


def _panel(
    panel: "Axes", chosen: list[dict[str, Any]], fusions: list[str], letters: list[str]
) -> None:
    panel.axvline(0, color=REFERENCE, lw=0.9)
    panel.grid(False, axis="y")
    panel.tick_params(axis="y", length=0)
    for found in chosen:
        _values(panel, found, fusions.index(found["fusion"]), letters)


def _values(panel: "Axes", found: dict[str, Any], row: int, letters: list[str]) -> None:
    if not found["shapley"]:
        panel.text(0.02, row, f"not shown: {found['test']['reason']}", va="center", fontsize=7.5)
    for letter, value in found["shapley"].items():
        place = letters.index(letter)
        colour, marker = LOOKS[place % len(LOOKS)]
        y = row + STEP * (place - (len(letters) - 1) / 2)
        panel.plot([value["low"], value["high"]], [y, y], color=colour, lw=1.4)
        panel.plot(value["value"], y, color=colour, marker=marker, ms=5)


def _legend(drawn: "Figure", letters: list[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker=marker, ms=5, label=LETTERS.get(letter, letter))
        for letter, (colour, marker) in zip(letters, LOOKS * len(letters), strict=False)
    ]
    drawn.legend(handles=handles, loc="outside lower center", ncols=len(letters), frameon=False)


def main() -> None:
    """Reads the attributions, writes the picture."""
    arguments = parser(__doc__)
    arguments.add_argument("--attribution", nargs="+", required=True, help="attributions, JSON")
    arguments.add_argument("--output", required=True, help="the picture, SVG")
    args = arguments.parse_args()
    attributions = [read_json(path) for path in args.attribution]
    for path, found in zip(args.attribution, attributions, strict=True):
        if "shapley" not in found:
            raise InputError(f"{path}: not an attribution of pipeline.evaluation.attribution")
    same_definitions(zip(args.attribution, attributions, strict=True))
    save(figure(attributions), args.output, TITLE)


if __name__ == "__main__":
    run(main)
