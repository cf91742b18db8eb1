"""AUROC of every model with its interval, beside the best reachable: a forest plot as one SVG.

In: results (`pipeline.evaluation.result`). A panel per task (column) and protocol (row); in it a
group of rows per modality set, a dot and interval per model, and a bar at the oracle's AUROC on the
same episodes, where it is known.
"""

from typing import TYPE_CHECKING

from pipeline.report.catalogue import (
    STATISTICS,
    Results,
    arranged,
    in_order,
    models_in_order,
    read_results,
    unique,
)
from pipeline.report.curves import REFERENCE, STYLE, save
from pipeline.report.numbers import interval_words
from pipeline.stage.command import parser, run
from pipeline.stage.names import PROTOCOLS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette and a shape each: told apart with any colour vision, and without colour
LOOKS = {
    "unimodal": ("#000000", "o"),
    "early": ("#0072B2", "s"),
    "joint": ("#D55E00", "D"),
    "late": ("#009E73", "^"),
    "late-averaged": ("#CC79A7", "v"),
    "logistic": ("#56B4E9", "P"),
    "gbdt": ("#E69F00", "X"),
}
OTHER = ("#8C8C8C", "*")
BAR = "#595959"
INCH = 0.115  # per model
GAP = 1.2  # rows between modality sets
TITLE = "AUROC of every model"

Rows = dict[tuple[str, str], float]  # modalities and model → height in the panel


def figure(results: Results) -> "Figure":
    """A panel per task and protocol; hollow marks are models on summary statistics."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    tasks = unique(task for _, task, *_ in results)
    protocols = [p for p in PROTOCOLS if any(name[0] == p for name in results)]
    rows = {p: places([name[2:] for name in results if name[0] == p]) for p in protocols}
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
    for modalities in in_order(letters for letters, _ in names):
        height += GAP
        for model in models_in_order(m for letters, m in names if letters == modalities):
            height += 1
            rows[modalities, model] = round(height, 6) + 0.0  # no −0
    return rows


def _panel(panel: "Axes", results: Results, which: tuple[str, str], rows: Rows) -> None:
    """Draws the models of one (protocol, task)."""
    panel.axvline(0.5, color=REFERENCE, lw=0.9, ls=":")
    for (modalities, model), y in rows.items():
        result = results.get((*which, modalities, model))
        if result is None or result["metrics"]["test"]["auroc"]["value"] is None:
            continue
        auroc = result["metrics"]["test"]["auroc"]
        colour, marker = LOOKS.get(model.removesuffix(STATISTICS), OTHER)
        face = "white" if model.endswith(STATISTICS) else colour
        panel.plot([auroc["low"], auroc["high"]], [y, y], color=colour, lw=1.2, zorder=2)
        panel.plot(auroc["value"], y, color=colour, marker=marker, ms=4.5, mfc=face, zorder=3)
        if result["ceiling"] and result["ceiling"]["oracle_auroc"]["value"] is not None:
            best = result["ceiling"]["oracle_auroc"]["value"]
            panel.plot([best, best], [y - 0.5, y + 0.5], color=BAR, lw=1.6, zorder=1)
    panel.grid(False, axis="y")
    panel.tick_params(axis="y", length=0)


def _sets(panel: "Axes", rows: Rows) -> None:
    """Names the modality sets on the left of a line of panels, the first on top."""
    heights: dict[str, list[float]] = {}
    for (modalities, _), y in rows.items():
        heights.setdefault(modalities, []).append(y)
    middles = [sum(each) / len(each) for each in heights.values()]
    panel.set_yticks(middles, list(heights), fontweight="bold")
    panel.set_ylim(max(rows.values()) + GAP, -GAP)


def _legend(drawn: "Figure", results: Results) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for model in models_in_order(name[3] for name in results):
        colour, marker = LOOKS.get(model.removesuffix(STATISTICS), OTHER)
        face = "white" if model.endswith(STATISTICS) else colour
        handles.append(Line2D([], [], color=colour, marker=marker, ms=4.5, mfc=face, label=model))
    if any(result["ceiling"] for result in results.values()):
        bar = Line2D([], [], color=BAR, marker="|", ls="", mew=1.6, ms=9)
        bar.set_label("oracle (best reachable)")
        handles.append(bar)
    drawn.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False)


def main() -> None:
    """Reads the results, writes the picture."""
    arguments = parser(__doc__)
    arguments.add_argument("--results", nargs="+", required=True, help="results, JSON")
    arguments.add_argument("--output", required=True, help="the picture, SVG")
    args = arguments.parse_args()
    save(figure(arranged(read_results(args.results))), args.output, TITLE)


if __name__ == "__main__":
    run(main)
