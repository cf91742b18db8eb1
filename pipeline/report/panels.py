"""The panels of one task: ROC, precision-recall, calibration; missing modalities; recall."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pipeline.report.drawing import MODEL, ORACLE, REFERENCE, gaps, hidden_note
from pipeline.report.names import Letters, letter_words
from pipeline.report.numbers import number, with_interval
from pipeline.report.results import RANKED, Part, is_ranked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

MODALITIES = (("#009E73", "o"), ("#CC79A7", "s"), ("#E69F00", "^"), ("#56B4E9", "D"))


def draw_task(
    drawn: "Figure | SubFigure", part: Part, curves: dict[str, Any], order: str, letters: Letters
) -> None:
    """All panels of a task, side by side; `order`: the letters of the model's modalities."""
    if is_ranked(part):
        _recall(drawn.subplots(1, 1), part["metrics"]["test"], curves)
        return
    missing = part.get("missing")
    panels = drawn.subplots(1, 4 if missing else 3)
    _curves(panels, part, curves)
    if missing:
        _missing(panels[3], missing, order, letters)


def _curves(panels: Iterable["Axes"], part: Part, curves: dict[str, Any]) -> None:
    """ROC, precision-recall and calibration of a task in the first three panels."""
    for panel, (name, (draw, title, x, y)) in zip(panels, _panels().items(), strict=False):
        panel.set(xlabel=x, ylabel=y, xlim=(0, 1), ylim=(0, 1.01), title=title)
        panel.set_box_aspect(1)
        if curves[name] is None:
            panel.text(0.5, 0.5, f"not shown:\n{curves['reason']}", ha="center", va="center")
        else:
            draw(panel, curves[name], part)


def _panels() -> dict[str, tuple[Any, str, str, str]]:
    """Curve → how it is drawn, title, name of the x axis and of the y axis."""
    return {
        "roc": (_roc, "ROC", "False positive rate", "True positive rate"),
        "pr": (_pr, "Precision-recall", "Recall", "Precision"),
        "calibration": (_calibration, "Calibration", "Predicted risk", "Observed share"),
    }


def _curve(panel: "Axes", curve: dict[str, Any], x: str, y: str, labels: tuple[str, str]) -> None:
    low, value, high = (gaps(curve[key]) for key in ("low", y, "high"))
    panel.fill_between(curve[x], low, high, color=MODEL, alpha=0.18, lw=0)
    panel.plot(curve[x], value, color=MODEL, lw=1.8, label=labels[0])
    if curve["oracle"] is not None:
        panel.plot(curve[x], curve["oracle"], color=ORACLE, lw=1, ls="--", label=labels[1])


def _roc(panel: "Axes", curve: dict[str, Any], part: Part) -> None:
    area = with_interval(part["metrics"]["test"]["auroc"])
    best = with_interval(part["ceiling"]["oracle_auroc"]) if part["ceiling"] else ""
    panel.plot([0, 1], [0, 1], color=REFERENCE, lw=0.9, ls=":", label="chance 0.500")
    _curve(panel, curve, "fpr", "tpr", (f"model {area}", f"oracle {best}"))
    _legend(panel, f"AUROC (95 % interval){hidden_note(curve['tpr'])}", "lower right")


def _pr(panel: "Axes", curve: dict[str, Any], part: Part) -> None:
    area = with_interval(part["metrics"]["test"]["auprc"])
    prevalence = curve["prevalence"]
    label = f"prevalence {number(prevalence)}"
    panel.axhline(prevalence, color=REFERENCE, lw=0.9, ls=":", label=label)
    _curve(panel, curve, "recall", "precision", (f"model {area}", "oracle"))
    title = f"Average precision (95 % interval){hidden_note(curve['precision'])}"
    _legend(panel, title, "best")


def _calibration(panel: "Axes", curve: dict[str, Any], part: Part) -> None:
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
    fit = part["calibration"]
    slope, intercept = with_interval(fit["slope"], 2), with_interval(fit["intercept"], 2)
    _legend(panel, f"Slope {slope}\nIntercept {intercept}", "upper left")


def _missing(panel: "Axes", missing: list[dict[str, Any]], order: str, letters: Letters) -> None:
    """AUROC against the share of episodes that lack a modality, a line each."""
    complete = next(row["auroc"] for row in missing if row["rate"] == 0)
    label = f"none taken away {number(complete['value'])}"
    panel.axhline(complete["value"], color=REFERENCE, lw=0.9, ls=":", label=label)
    taken = sorted({row["modality"] for row in missing}, key=order.find)
    for place, letter in enumerate(taken):
        rows = [row for row in missing if row["modality"] == letter]
        color, marker = MODALITIES[place % len(MODALITIES)]
        rate = [row["rate"] for row in rows]
        value, low, high = ([row["auroc"][end] for row in rows] for end in ("value", "low", "high"))
        label = f"{letter_words(letter, letters)} {with_interval(rows[-1]['auroc'])}"
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


def _recall(panel: "Axes", test: dict[str, Any], curve: dict[str, Any]) -> None:
    """Recall against k; the legend names the figures at the marked k."""
    panel.set(xlabel="k: groups that are named", ylabel="Recall@k", ylim=(0, 1.01))
    panel.set_xlim(0, curve["k"][-1])
    panel.set_title("Recall of diagnosis groups")
    if curve["model"] is None:
        panel.text(curve["k"][-1] / 2, 0.5, f"not shown: {curve['reason']}", ha="center")
        return
    at = {
        kind: with_interval(test["recall"][RANKED][kind]) for kind in ("model", "ceiling", "prior")
    }
    panel.plot(curve["k"], curve["ceiling"], color=ORACLE, lw=1, ls="--",
               label=f"ceiling {at['ceiling']}")  # fmt: skip
    panel.fill_between(curve["k"], curve["low"], curve["high"], color=MODEL, alpha=0.18, lw=0)
    panel.plot(curve["k"], curve["model"], color=MODEL, lw=1.8, label=f"model {at['model']}")
    panel.plot(curve["k"], curve["prior"], color=REFERENCE, lw=1.2, ls=":",
               label=f"prior {at['prior']}")  # fmt: skip
    panel.legend(title=f"Recall@{RANKED} (95 % interval)", title_fontsize=8, loc="lower right",
                 framealpha=0.9, edgecolor="none", alignment="left")  # fmt: skip
