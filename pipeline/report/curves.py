"""ROC, precision-recall and calibration curve of a result on its test episodes, as one SVG.

A fourth panel shows AUROC with modalities made missing, where the result has it. The picture holds
aggregates only. The same result gives the same bytes: no date, and identifiers of the SVG derive
from a fixed salt. Text stays text, in the reader's sans-serif font.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.report.numbers import averaged, interval_words, modality_name, number, with_interval
from pipeline.stage.command import parser, run
from pipeline.stage.files import read_json, whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart with any colour vision
MODEL, ORACLE, REFERENCE = "#0072B2", "#D55E00", "#8C8C8C"
MODALITIES = (("#009E73", "o"), ("#CC79A7", "s"), ("#E69F00", "^"), ("#56B4E9", "D"))

STYLE: Any = {
    "svg.hashsalt": "curves",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: the layout is the same everywhere
    "font.size": 9,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#595959",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.handlelength": 1.6,
}


def figure(result: dict[str, Any], curves: dict[str, Any]) -> "Figure":
    """The panels of a result and its curves (as `pipeline.evaluation.result` writes them)."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        count = 4 if result["missing"] else 3
        drawn = Figure(figsize=(4.2 * count, 4.7), layout="constrained")
        panels = drawn.subplots(1, count)
        draw_curves(panels, result, curves)
        if result["missing"]:
            _missing(panels[3], result["missing"], result["modalities"])
        drawn.suptitle(_title(result), x=0.01, ha="left", fontsize=10)
    return drawn


def draw_curves(panels: Iterable["Axes"], result: dict[str, Any], curves: dict[str, Any]) -> None:
    """ROC, precision-recall and calibration of one task in the first three panels."""
    for panel, (name, (draw, title, x, y)) in zip(panels, _panels().items(), strict=False):
        panel.set(xlabel=x, ylabel=y, xlim=(0, 1), ylim=(0, 1.01), title=title)
        panel.set_box_aspect(1)
        if curves[name] is None:
            panel.text(0.5, 0.5, f"not shown:\n{curves['reason']}", ha="center", va="center")
        else:
            draw(panel, curves[name], result)


def _panels() -> dict[str, tuple[Any, str, str, str]]:
    """Curve → how it is drawn, title, name of the x axis and of the y axis."""
    return {
        "roc": (_roc, "ROC", "False positive rate", "True positive rate"),
        "pr": (_pr, "Precision-recall", "Recall", "Precision"),
        "calibration": (_calibration, "Calibration", "Predicted risk", "Observed share"),
    }


def _title(result: dict[str, Any]) -> str:
    test = result["metrics"]["test"]
    runs = f", {mean}" if (mean := averaged(result)) else ""
    return (
        f"{result['target']}, {result['protocol']} protocol: {test['n']} test episodes of "
        f"{test['patients']} patients, {test['positives']} positive{runs}; "
        f"{interval_words([result], 'bands')}"
    )


def _curve(panel: "Axes", curve: dict[str, Any], x: str, y: str, labels: tuple[str, str]) -> None:
    panel.fill_between(curve[x], curve["low"], curve["high"], color=MODEL, alpha=0.18, lw=0)
    panel.plot(curve[x], curve[y], color=MODEL, lw=1.8, label=labels[0])
    if curve["oracle"] is not None:
        panel.plot(curve[x], curve["oracle"], color=ORACLE, lw=1, ls="--", label=labels[1])


def _roc(panel: "Axes", curve: dict[str, Any], result: dict[str, Any]) -> None:
    area = with_interval(result["metrics"]["test"]["auroc"])
    best = with_interval(result["ceiling"]["oracle_auroc"]) if result["ceiling"] else ""
    panel.plot([0, 1], [0, 1], color=REFERENCE, lw=0.9, ls=":", label="chance 0.500")
    _curve(panel, curve, "fpr", "tpr", (f"model {area}", f"oracle {best}"))
    _legend(panel, "AUROC (95 % interval)", "lower right")


def _pr(panel: "Axes", curve: dict[str, Any], result: dict[str, Any]) -> None:
    area = with_interval(result["metrics"]["test"]["auprc"])
    prevalence = curve["prevalence"]
    label = f"prevalence {number(prevalence)}"
    panel.axhline(prevalence, color=REFERENCE, lw=0.9, ls=":", label=label)
    _curve(panel, curve, "recall", "precision", (f"model {area}", "oracle"))
    _legend(panel, "Average precision (95 % interval)", "best")


def _calibration(panel: "Axes", curve: dict[str, Any], result: dict[str, Any]) -> None:
    x, y = curve["predicted"], curve["observed"]
    below = [at - low for at, low in zip(y, curve["low"], strict=True)]
    above = [high - at for at, high in zip(y, curve["high"], strict=True)]
    panel.plot([0, 1], [0, 1], color=REFERENCE, lw=0.9, ls=":", label="perfect")
    panel.errorbar(
        x,
        y,
        yerr=[below, above],
        color=MODEL,
        marker="o",
        ms=4,
        lw=1.2,
        elinewidth=1,
        label=f"model, groups by risk: {len(x)}",
    )
    end = min(1.0, 1.12 * max(*x, *curve["high"]))
    panel.set(xlim=(0, end), ylim=(0, end))
    fit = result["calibration"]
    slope, intercept = with_interval(fit["slope"], 2), with_interval(fit["intercept"], 2)
    _legend(panel, f"Slope {slope}\nIntercept {intercept}", "upper left")


def _missing(panel: "Axes", missing: list[dict[str, Any]], order: str) -> None:
    """AUROC against the share of episodes that lack a modality, a line each."""
    complete = next(row["auroc"] for row in missing if row["rate"] == 0)
    label = f"none taken away {number(complete['value'])}"
    panel.axhline(complete["value"], color=REFERENCE, lw=0.9, ls=":", label=label)
    letters = sorted({row["modality"] for row in missing}, key=order.find)
    for place, letter in enumerate(letters):
        rows = [row for row in missing if row["modality"] == letter]
        color, marker = MODALITIES[place % len(MODALITIES)]
        rate = [row["rate"] for row in rows]
        value, low, high = ([row["auroc"][end] for row in rows] for end in ("value", "low", "high"))
        label = f"{modality_name(letter)} {with_interval(rows[-1]['auroc'])}"
        panel.fill_between(rate, low, high, color=color, alpha=0.13, lw=0)
        panel.plot(rate, value, color=color, marker=marker, ms=4.5, lw=1.6, label=label)
    lowest = min(row["auroc"]["low"] for row in missing)
    highest = max(row["auroc"]["high"] for row in missing)
    room = 0.5 * (highest - lowest)  # for the legend, below the lines
    panel.set(xlim=(0, 1.01), ylim=(lowest - room, highest + 0.1 * room), title="Missing modality")
    panel.set(xlabel="Share of episodes without it", ylabel="AUROC")
    panel.set_box_aspect(1)
    share = f"{100 * max(row['rate'] for row in missing):.0f} %"
    _legend(panel, f"AUROC where {share} lack it (95 % interval)", "lower left")


def _legend(panel: "Axes", title: str, place: Any) -> None:
    handles, labels = panel.get_legend_handles_labels()
    order = [*range(1, len(labels)), 0]  # the reference line last
    legend = panel.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        title=title,
        title_fontsize=8,
        loc=place,
        framealpha=0.9,
        edgecolor="none",
        alignment="left",
    )
    legend.set_zorder(5)


def main() -> None:
    """Reads a result and its curves, writes the picture."""
    arguments = parser(__doc__)
    arguments.add_argument("--result", required=True, help="the result, JSON")
    arguments.add_argument("--curves", required=True, help="its curves, JSON")
    arguments.add_argument("--output", required=True, help="the picture, SVG")
    args = arguments.parse_args()
    result = read_json(args.result)
    save(figure(result, read_json(args.curves)), args.output, result["target"])


def save(drawn: "Figure", path: str | Path, title: str) -> None:
    """Writes the figure as SVG with a title for screen readers, whole or not at all, undated."""
    from matplotlib import rc_context

    with rc_context(STYLE), whole(path) as part:
        drawn.savefig(part, format="svg", metadata={"Date": None, "Title": title})


if __name__ == "__main__":
    run(main)
