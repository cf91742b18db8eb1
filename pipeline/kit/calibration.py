"""Figures of calibration and use: reliability with its risks, recalibration, net benefit."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pipeline.kit.fitted import WAYS
from pipeline.kit.flow import amount
from pipeline.kit.inputs import Kit
from pipeline.kit.style import (
    COLOURS,
    GREY,
    MARKERS,
    MM,
    SINGLE,
    Picture,
    Row,
    figure,
    legend,
    not_shown,
)
from pipeline.report.drawing import gaps
from pipeline.report.numbers import columns, number, with_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOT_FITTED = "not fitted"  # as reasons of `evaluation.sections.calibrated` begin
METHODS = {"none": "own risks"} | {way: f"after {words}" for way, words in WAYS.items()}
LINES = {
    "model": ("model", COLOURS[0], "-"),
    "sofa": ("SOFA, recalibrated", COLOURS[1], "-."),
    "treat_all": ("treat all", GREY, "--"),
    "treat_none": ("treat none", "#000000", ":"),
}


def calibrated_by(kit: Kit, method: str | None = None) -> Any:
    """Calibration by a method; that of the result's own probabilities without one.

    Where the result's way could not be fitted, its probabilities are the model's own.
    """
    found = {one["method"]: one for one in kit.numbers["calibration"]}
    used = found.get(method or kit.numbers["head"]["recalibration"])
    fitted = method or used is None or not (used["reason"] or "").startswith(NOT_FITTED)
    return used if fitted else found["none"]


def calibration(kit: Kit) -> Picture:
    """Reliability with intervals and the smooth curve; the distribution of risks below."""
    own, title = calibrated_by(kit), "Calibration"
    if own is None or own["reason"] or not own["groups"]:
        return not_shown(title, own and own["reason"])
    groups = own["groups"]
    slope, large = with_interval(own["slope"], 2), with_interval(own["in_the_large"], 2)
    first, last = groups[0], groups[-1]
    alt = (
        f"Calibration of {kit.name} on test in {len(groups)} groups by risk: slope {slope}, in the "
        f"large {large}. Lowest group: predicted {number(first['mean_risk'])}, observed "
        f"{number(first['observed']['value'])}; highest group: predicted "
        f"{number(last['mean_risk'])}, observed {number(last['observed']['value'])}."
    )
    alt += hidden_words(own["histogram"])

    def draw() -> "Figure":
        drawn = figure(SINGLE, 118 * MM if own["histogram"] else 98 * MM)
        panels = drawn.subplots(
            2 if own["histogram"] else 1, 1, sharex=True, squeeze=False,
            height_ratios=[4, 1.1] if own["histogram"] else [1],
        )[:, 0]  # fmt: skip
        _reliability(panels[0], own)
        if own["histogram"]:
            _risks(panels[1], own["histogram"], panels[0].get_xlim()[1])
        panels[-1].set_xlabel("Predicted risk")
        legend(panels[0], f"Slope {slope}, in the large {large}", 2, *panels[1:])
        return drawn

    return Picture(title, alt, _rows(own), draw)


def _rows(own: Any) -> list[Row]:
    """All that the figure shows: the groups by risk, the smooth curve, the bins of risks."""
    rows: list[Row] = [
        {"part": "group by risk", "risk": group["mean_risk"],
         **columns("observed", group["observed"]), "n": group["n"]} for group in own["groups"]
    ]  # fmt: skip
    if smooth := own["smooth"]:
        names = {"risk": "risk", "observed": "observed", "low": "observed_low",
                 "high": "observed_high"}  # fmt: skip
        values = zip(*(smooth[key] for key in names), strict=True)
        rows += [{"part": "smooth curve"} | dict(zip(names.values(), at, strict=True))
                 for at in values]  # fmt: skip
    if bins := own["histogram"]:
        edges = pairwise(bins["edges"])
        rows += [
            {"part": "bin of risks", "from": first, "to": last, "negatives": no, "positives": yes}
            for (first, last), no, yes in zip(edges, bins["negatives"], bins["positives"],
                                              strict=True)
        ]  # fmt: skip
    return rows


def hidden_bins(histogram: Any) -> list[tuple[float, float]]:
    """The bins of risks of which a count is hidden, or shown as few, by their edges.

    >>> bins = {"edges": [0, 0.5, 1], "negatives": [20, 0], "positives": ["<10", 30]}
    >>> hidden_bins(bins), hidden_bins(None)
    ([(0, 0.5)], [])
    """
    if not histogram:
        return []
    counts = zip(histogram["negatives"], histogram["positives"], strict=True)
    return [edges for edges, pair in zip(pairwise(histogram["edges"]), counts, strict=True)
            if any(isinstance(count, str) for count in pair)]  # fmt: skip


def hidden_words(histogram: Any) -> str:
    """How many bins are hatched, and why, in a sentence; empty where all are shown."""
    few = len(hidden_bins(histogram))
    if not few:
        return ""
    return (f" Of {len(histogram['edges']) - 1} bins of risks {few} are hatched: few are in them, "
            "and their counts are hidden.")  # fmt: skip


def _reliability(panel: Any, own: Any) -> None:
    groups, smooth = own["groups"], own["smooth"]
    shown = [group for group in groups if group["observed"]["value"] is not None]
    x = [group["mean_risk"] for group in shown]
    observed = [[group["observed"][end] for group in shown] for end in ("value", "low", "high")]
    y, low, high = ([0.0 if v is None else v for v in values] for values in observed)
    panel.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=":", label="perfect")
    if smooth:
        panel.fill_between(smooth["risk"], smooth["low"], smooth["high"], color=COLOURS[0],
                           alpha=0.15, lw=0)  # fmt: skip
        panel.plot(smooth["risk"], smooth["observed"], color=COLOURS[0], lw=1, label="smooth curve")
    below = [max(0.0, at - end) for at, end in zip(y, low, strict=True)]
    above = [max(0.0, end - at) for at, end in zip(y, high, strict=True)]
    panel.errorbar(x, y, yerr=[below, above], color="#000000", marker="o", ls="", elinewidth=0.8,
                   label="groups by risk")  # fmt: skip
    ends = [*x, *high, *(smooth["high"] if smooth else []), *(smooth["risk"] if smooth else [])]
    end = min(1.0, 1.06 * max(ends, default=1))
    panel.set(xlim=(0, end), ylim=(0, end), ylabel="Observed share")


def _risks(panel: Any, histogram: Any, end: float) -> None:
    """A histogram of risks, those with the outcome above the others."""
    edges = histogram["edges"]
    widths = [high - low for low, high in pairwise(edges)]
    counts = {name: [_bar(n) for n in histogram[name]] for name in ("negatives", "positives")}
    panel.bar(edges[:-1], counts["negatives"], widths, align="edge", color="#9ecae1", lw=0,
              label="without the outcome")  # fmt: skip
    panel.bar(edges[:-1], counts["positives"], widths, bottom=counts["negatives"], align="edge",
              color=COLOURS[1], lw=0, label="with the outcome")  # fmt: skip
    for place, (low, high) in enumerate(hidden_bins(histogram)):
        panel.axvspan(low, high, fc="none", ec=GREY, hatch="////", lw=0, zorder=0,
                      label="" if place else "hidden, few episodes")  # fmt: skip
    panel.set(ylabel="Episodes", xlim=(0, end))
    panel.grid(False, axis="x")


def _bar(count: Any) -> float:
    """The height of a bar; none where the count is hidden, whose bin is hatched."""
    return 0.0 if isinstance(count, str) else float(count)


def recalibration(kit: Kit) -> Picture:
    """The curves before and after recalibration that was fitted on validation."""
    title = "Recalibration on validation"
    shown = [(one, _line(one)) for one in kit.numbers["calibration"] if not one["reason"]]
    shown = [(one, line) for one, line in shown if line]
    if len(shown) < 2:
        reasons = [one["reason"] for one in kit.numbers["calibration"] if one["reason"]]
        return not_shown(title, reasons[0] if reasons else "no recalibration could be fitted")
    told = "; ".join(
        f"{METHODS[one['method']]}: slope {with_interval(one['slope'], 2)}, in the large "
        f"{with_interval(one['in_the_large'], 2)}" for one, _ in shown
    )  # fmt: skip

    def draw() -> "Figure":
        drawn = figure(SINGLE, SINGLE + 12 * MM)
        panel = drawn.subplots()
        panel.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=":", label="perfect")
        for (one, line), colour, dash, marker in zip(
            shown, COLOURS, ("-", "--", "-."), MARKERS, strict=False
        ):
            panel.plot(
                [at[0] for at in line],
                [at[1] for at in line],
                color=colour,
                ls=dash,
                marker="" if one["smooth"] else marker,
                label=f"{METHODS[one['method']]}, slope {with_interval(one['slope'], 2)}",
            )
        end = min(1.0, 1.06 * max(max(at[:2]) for _, line in shown for at in line))
        panel.set(xlim=(0, end), ylim=(0, end), xlabel="Predicted risk", ylabel="Observed share")
        panel.set_box_aspect(1)
        legend(panel)
        return drawn

    names = ("risk", "observed", "low", "high")
    rows = [{"method": one["method"]} | dict(zip(names, at, strict=True))
            for one, line in shown for at in line]  # fmt: skip
    return Picture(title, f"Calibration curves on test; {told}.", rows, draw)


def _line(one: Any) -> list[tuple[float, float, float | None, float | None]]:
    """Points of the smooth curve, or of the groups by risk where there is none."""
    if smooth := one["smooth"]:
        return list(zip(*(smooth[key] for key in ("risk", "observed", "low", "high")), strict=True))
    return [(group["mean_risk"], *(group["observed"][end] for end in ("value", "low", "high")))
            for group in one["groups"] if group["observed"]["value"] is not None]  # fmt: skip


def decision(kit: Kit) -> Picture:
    """Net benefit of the model, SOFA, treating all and nobody, by the threshold of risk."""
    curves, title = kit.numbers["decision"], "Decision curve"
    if curves["reason"] or not curves["model"]:
        return not_shown(title, curves["reason"])
    x = curves["thresholds"]
    known = {name: curves[name] for name in LINES if curves[name]}
    at = _nearest(x, kit.numbers)
    told = ", ".join(f"{LINES[name][0]} {number(curve['value'][at], 4)}"
                     for name, curve in known.items())  # fmt: skip
    alt = (f"Net benefit on test at thresholds from {x[0]:g} to {x[-1]:g}. At {x[at]:g}: {told}. "
           f"{_hidden(curves)}").strip()  # fmt: skip

    def draw() -> "Figure":
        drawn = figure(SINGLE, 86 * MM)
        panel = drawn.subplots()
        for name, curve in known.items():
            words, colour, dash = LINES[name]
            words += ", where known" if name == "sofa" and _unknown(curves) else ""
            value, low, high = (gaps(curve[key]) for key in ("value", "low", "high"))
            if name in ("model", "sofa"):
                panel.fill_between(x, low, high, color=colour, alpha=0.13, lw=0)
            panel.plot(x, value, color=colour, ls=dash, label=words)
        tops = [v for name in known for v in known[name]["value"] if v is not None]
        highs = [v for v in curves["model"]["high"] if v is not None]
        top = max([*tops, *highs, 0.01])
        panel.set(xlim=(0, x[-1]), ylim=(-0.25 * top, 1.05 * top))
        panel.set(xlabel="Threshold of risk", ylabel="Net benefit")
        legend(panel, "Bands: 95 %. Gaps: hidden, few episodes" if curves["hidden_at"] else None, 2)
        return drawn

    beside = {name: curves[name] for name in ("model_minus_default", "model_minus_sofa")
              if curves[name]}  # fmt: skip
    unknown = {"sofa_unknown": _unknown(curves)} if _unknown(curves) else {}
    rows = [{"threshold": p} | {f"{name}_{end}".removesuffix("_value"): curve[end][i]
                                for name, curve in (known | beside).items()
                                for end in ("value", "low", "high")} | unknown
            for i, p in enumerate(x)]  # fmt: skip
    return Picture(title, alt, rows, draw)


def _nearest(thresholds: list[float], numbers: Any) -> int:
    """The threshold nearest to the share with the outcome, by place; the middle if hidden."""
    columns = {one["name"]: one for one in numbers["table_one"]["columns"]}
    positive, n = (columns.get(key, {}).get("episodes") for key in ("positive", "overall"))
    known = isinstance(positive, int | float) and isinstance(n, int | float) and n > 0
    share = positive / n if known else thresholds[len(thresholds) // 2]
    return min(range(len(thresholds)), key=lambda i: abs(thresholds[i] - share))


def _unknown(curves: Any) -> Any:
    """How many test episodes the curve of SOFA leaves out; 0 without that curve."""
    return curves["sofa_unknown"] or 0 if curves["sofa"] else 0


def _hidden(curves: Any) -> str:
    """What the curves leave out: episodes without a known SOFA, thresholds that are hidden."""
    told = []
    if unknown := _unknown(curves):
        told.append("SOFA's curve is of the test episodes whose SOFA is known; it leaves out "
                    f"{amount(unknown, 'test episodes')}.")  # fmt: skip
    for key, words in (("hidden_at", "Hidden"), ("sofa_hidden_at", "SOFA's is hidden")):
        if curves[key]:
            told.append(f"{words} at {len(curves[key])} thresholds, where few are called or few "
                        "are not.")  # fmt: skip
    return " ".join(told)
