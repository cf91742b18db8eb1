"""AUROC of every model with its interval, beside the best reachable: a forest plot.

A panel per task (column) and protocol (row); in it a group of rows per modality set, a dot and
interval per model, and a bar at the oracle's AUROC on the same episodes, where it is known.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.report.drawing import BAR, REFERENCE, STYLE, look_of
from pipeline.report.names import models_in_order, sets_in_order, unique
from pipeline.report.results import FlatResults, Name, Part
from pipeline.report.verdicts import interval_words
from pipeline.stage.registry import PROTOCOLS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCH = 0.115  # per model
GAP = 1.2  # rows between modality sets
TITLE = "AUROC of every model"

COLUMNS = 3  # of the figure by task

Look = tuple[str, bool, Part]  # model, whether it takes several tasks together, its figures
Rows = dict[tuple[str, str], float]  # modalities and model → height in the panel


def figure(results: FlatResults) -> "Figure":
    """A panel per task and protocol; hollow marks are models on summary statistics."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    tasks = unique(name.task for name in results)
    protocols = [p for p in PROTOCOLS if any(name.protocol == p for name in results)]
    rows = {p: places([n[2:] for n in results if n.protocol == p]) for p in protocols}
    heights = [max(r.values()) + GAP for r in rows.values()]
    with rc_context(STYLE):
        size = (1.2 + 3.8 * len(tasks), 1.5 + 0.4 * len(protocols) + INCH * sum(heights))
        drawn = Figure(figsize=size, layout="constrained")
        panels = drawn.subplots(
            len(protocols),
            len(tasks),
            sharex="col",
            sharey="row",
            squeeze=False,
            height_ratios=heights,
        )
        for line, protocol in zip(panels, protocols, strict=True):
            for panel, task in zip(line, tasks, strict=True):
                panel.set_title(f"{task}, {protocol}")
                _panel(panel, results, (protocol, task), rows[protocol])
            _sets(line[0], rows[protocol])
        for panel in panels[-1]:
            panel.set_xlabel("AUROC on the test episodes")
        _legend(drawn, results)
        title = f"{TITLE}; {interval_words(results.values())}"
        drawn.suptitle(title, x=0.01, ha="left", fontsize=10)
    return drawn


def places(names: list[tuple[str, str]]) -> Rows:
    """A height for each model, set by set, with a gap between sets.

    >>> places([("e", "unimodal"), ("ec", "joint"), ("ec", "early")])
    {('e', 'unimodal'): 0.0, ('ec', 'early'): 2.2, ('ec', 'joint'): 3.2}
    """
    rows: Rows = {}
    height = -1.0 - GAP
    for modalities in sets_in_order(letters for letters, _ in names):
        height += GAP
        for model in models_in_order(m for letters, m in names if letters == modalities):
            height += 1
            rows[modalities, model] = round(height, 6) + 0.0  # no −0
    return rows


def _panel(panel: "Axes", results: FlatResults, which: tuple[str, str], rows: Rows) -> None:
    """Draws the models of one (protocol, task)."""
    panel.axvline(0.5, color=REFERENCE, lw=0.9, ls=":")
    for (modalities, model), y in rows.items():
        result = results.get(Name(*which, modalities, model))
        if result is not None:
            _mark(panel, result, y, look_of(model))
    panel.grid(False, axis="y")
    panel.tick_params(axis="y", length=0)


def _mark(panel: "Axes", part: Part, y: float, look: tuple[str, str, str]) -> None:
    """A model's AUROC and its interval at a height, and the oracle's; nothing of none."""
    auroc, (colour, marker, face) = part["metrics"]["test"]["auroc"], look
    if auroc["value"] is None:
        return
    panel.plot([auroc["low"], auroc["high"]], [y, y], color=colour, lw=1.2, zorder=2)
    panel.plot(auroc["value"], y, color=colour, marker=marker, ms=4.5, mfc=face, zorder=3)
    best = part["ceiling"]["oracle_auroc"]["value"] if part["ceiling"] else None
    if best is not None:
        panel.plot([best, best], [y - 0.5, y + 0.5], color=BAR, lw=1.6, zorder=1)


def _sets(panel: "Axes", rows: Rows) -> None:
    """Names the modality sets on the left of a line of panels, the first on top."""
    heights: dict[str, list[float]] = {}
    for (modalities, _), y in rows.items():
        heights.setdefault(modalities, []).append(y)
    middles = [sum(each) / len(each) for each in heights.values()]
    panel.set_yticks(middles, list(heights), fontweight="bold")
    panel.set_ylim(max(rows.values()) + GAP, -GAP)


def _legend(drawn: "Figure", results: FlatResults) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for model in models_in_order(name.model for name in results):
        colour, marker, face = look_of(model)
        handles.append(Line2D([], [], color=colour, marker=marker, ms=4.5, mfc=face, label=model))
    if any(result["ceiling"] for result in results.values()):
        bar = Line2D([], [], color=BAR, marker="|", ls="", mew=1.6, ms=9)
        bar.set_label("oracle (best reachable)")
        handles.append(bar)
    drawn.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False)


def by_task(tasks: Mapping[str, Mapping[str, Look]], rows: list[str], title: str) -> "Figure":
    """A panel per task, a row per model, in this order; `tasks`: its title → words → look.

    Models that take several tasks together are drawn hollow.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    lines = -(-len(tasks) // COLUMNS)
    with rc_context(STYLE):
        size = (2.6 + 3.2 * COLUMNS, 0.5 + lines * (0.8 + 0.2 * len(rows)))
        drawn = Figure(figsize=size, layout="constrained")
        panels = list(drawn.subplots(lines, COLUMNS, sharey=True, squeeze=False).flat)
        for panel, (task, models) in zip(panels, tasks.items(), strict=False):
            panel.set_title(task)
            panel.axvline(0.5, color=REFERENCE, lw=0.9, ls=":")
            for words, (model, together, part) in models.items():
                _mark(panel, part, rows.index(words), look_of(model, together))
            panel.set_xlabel("AUROC on the test episodes")
        for panel in panels[len(tasks) :]:
            panel.set_axis_off()
        for panel in drawn.axes:
            panel.set_yticks(range(len(rows)), rows)
            panel.set_ylim(len(rows) - 0.5, -0.5)
            panel.grid(False, axis="y")
            panel.tick_params(axis="y", length=0)
        drawn.suptitle(f"{TITLE}; {title}", x=0.01, ha="left", fontsize=10)
    return drawn
