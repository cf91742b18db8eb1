"""What each task attends to: modality tokens and earlier tasks, a row of heat maps per model.

Of results that have attention; means over test episodes, seeds and folds. A cell is a share of
attention: rows add up to 1. Attention says where a decoder looks, not what a modality is worth (the
tables by modality set say that).
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from pipeline.report.drawing import STYLE
from pipeline.report.names import TOKENS, Letters, task_words, unique
from pipeline.report.numbers import short
from pipeline.report.results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "What each task attends to"
PANELS = {"modality": "over modality tokens", "task": "over earlier tasks"}
INCH = 0.42  # per task
DARK = 0.55  # shares above it are written in white


def figure(results: list[Result], letters: Letters) -> "Figure":
    """A row per result with attention: those of several tasks, if any; a note where none has it."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    names = {**TOKENS, **letters}
    known = [result for result in results if result.get("attention")]
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
                weights = cast(Mapping[str, Any], result["attention"])[kind]
                _map(panel, weights, names if kind == "modality" else {})
                panel.set_title(f"{result['target']}, {words}", fontsize=9)
    return drawn


def columns(weights: dict[str, dict[str, Any]], order: Iterable[str]) -> list[str]:
    """All that some task attends to, in this order; what is not in it as it comes, last.

    >>> columns({"arf_12h": {"n": 0.5, "S": 0.5}}, ["S", "X", "n"])
    ['S', 'n']
    """
    known = unique(key for of_task in weights.values() for key in of_task)
    place = {name: position for position, name in enumerate(order)}
    return sorted(known, key=lambda name: place.get(name, len(place)))


def _map(panel: "Axes", weights: dict[str, dict[str, Any]], names: Mapping[str, str]) -> None:
    """A heat map with its numbers; a cell that cannot be is left blank. `names`: of tokens."""
    across, tasks = columns(weights, names), list(weights)
    words = [names.get(column, task_words(column)) for column in across]
    if not across:
        panel.axis("off")
        panel.text(0.5, 0.5, "one task: none before it", ha="center", transform=panel.transAxes)
        return
    values = [[(weights[t].get(c) or {}).get("value") for c in across] for t in tasks]
    filled = [[float("nan") if v is None else v for v in row] for row in values]
    panel.imshow(filled, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    panel.set_xticks(range(len(across)), words)
    panel.set_yticks(range(len(tasks)), [task_words(task) for task in tasks])
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            if value is not None:
                colour = "white" if value > DARK else "black"
                panel.text(x, y, short(value), ha="center", va="center", color=colour)
