"""What each task attends to: modality tokens and earlier tasks, a row of heat maps per model.

In: results (`pipeline.evaluation.result`) that have attention; means over test stays, seeds and
folds. A cell is a share of attention: rows add up to 1. Attention says where a decoder looks, not
what a modality is worth (the tables by modality set say that). Out: one SVG.
"""

from typing import TYPE_CHECKING, Any

from pipeline.report.catalogue import same_definitions
from pipeline.report.cells import short
from pipeline.report.curves import STYLE, save
from pipeline.report.task_names import TOKENS, in_words
from pipeline.stage.command import parser, run
from pipeline.stage.files import read_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "What each task attends to"
PANELS = {"modality": "over modality tokens", "task": "over earlier tasks"}
INCH = 0.42  # per task
DARK = 0.55  # shares above it are written in white


def figure(results: list[dict[str, Any]]) -> "Figure":
    """A row per result with attention: those of several tasks, if any; a note where none has it."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    known = [result for result in results if result["attention"]]
    shown = [result for result in known if len(result["tasks"]) > 1] or known
    with rc_context(STYLE | {"axes.grid": False}):
        size = max((len(result["tasks"]) for result in shown), default=1)
        high = 0.6 + max(1, len(shown)) * (1.15 + INCH * size)
        drawn = Figure(figsize=(10.5, high), layout=ConstrainedLayoutEngine(h_pad=0.08))
        drawn.suptitle(f"{TITLE}: mean share over the test stays", x=0.01, ha="left", fontsize=10)
        if not shown:
            drawn.text(0.5, 0.4, "no model with attention", ha="center")
            return drawn
        panels = drawn.subplots(len(shown), 2, squeeze=False)
        for row, result in zip(panels, shown, strict=True):
            for panel, (kind, words) in zip(row, PANELS.items(), strict=True):
                _map(panel, result["attention"][kind], kind)
                panel.set_title(f"{result['target']}, {words}", fontsize=9)
    return drawn


def columns(weights: dict[str, dict[str, Any]], kind: str) -> list[str]:
    """All that some task attends to: tokens in the order of TOKENS, tasks as they come.

    >>> columns({"arf_12h": {"n": 0.5, "S": 0.5}}, "modality")
    ['S', 'n']
    """
    found = dict.fromkeys(key for own in weights.values() for key in own)
    if kind == "task":
        return list(found)
    order = list(TOKENS)
    return sorted(found, key=lambda token: order.index(token) if token in order else len(order))


def _map(panel: "Axes", weights: dict[str, dict[str, Any]], kind: str) -> None:
    """A heat map with its numbers; a cell that cannot be is left blank."""
    across, tasks = columns(weights, kind), list(weights)
    words = [TOKENS.get(c, c) if kind == "modality" else in_words(c) for c in across]
    if not across:
        panel.axis("off")
        panel.text(0.5, 0.5, "one task: none before it", ha="center", transform=panel.transAxes)
        return
    values = [[(weights[t].get(c) or {}).get("value") for c in across] for t in tasks]
    filled = [[float("nan") if v is None else v for v in row] for row in values]
    panel.imshow(filled, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    panel.set_xticks(range(len(across)), words)
    panel.set_yticks(range(len(tasks)), [in_words(task) for task in tasks])
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            if value is not None:
                colour = "white" if value > DARK else "black"
                panel.text(x, y, short(value), ha="center", va="center", color=colour)


def main() -> None:
    """Reads the results, writes the picture."""
    arguments = parser(__doc__)
    arguments.add_argument("--results", nargs="+", required=True, help="results, JSON")
    arguments.add_argument("--output", required=True, help="the picture, SVG")
    args = arguments.parse_args()
    results = [read_json(path) for path in args.results]
    same_definitions(zip(args.results, results, strict=True))
    save(figure(results), args.output, TITLE)


if __name__ == "__main__":
    run(main)
