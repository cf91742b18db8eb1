"""Figures of discrimination: ROC, precision-recall, and the model beside others on the same test
episodes."""

from typing import TYPE_CHECKING, Any

from pipeline.kit.inputs import Kit
from pipeline.kit.style import (
    COLOURS,
    GREY,
    MM,
    SINGLE,
    Picture,
    figure,
    interval,
    legend,
    not_shown,
)
from pipeline.report.drawing import gaps, hidden_note
from pipeline.report.names import letter_words, model_words
from pipeline.report.numbers import number, with_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODEL, ORACLE = COLOURS[0], COLOURS[1]


def roc(kit: Kit) -> Picture:
    """The ROC curve with its band, and that of the best reachable predictions."""
    curve, title = kit.curves["roc"], "ROC curve"
    if curve is None:
        return not_shown(title, kit.curves["reason"])
    area = with_interval(kit.test["auroc"])
    best = kit.part["ceiling"] and with_interval(kit.part["ceiling"]["oracle_auroc"])
    alt = f"{title} of {kit.name} on test: AUROC {area}"
    alt += f"; best reachable {best}." if curve["oracle"] and best else "."
    alt += _hidden(curve["tpr"])

    def draw() -> "Figure":
        drawn = _square("False positive rate (1 − specificity)", "True positive rate (sensitivity)")
        panel = drawn.axes[0]
        panel.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=":", label="chance, 0.500")
        _curve(panel, curve, "fpr", "tpr", f"model, {area}", f"best reachable, {best}")
        legend(panel, f"AUROC (95 % interval){hidden_note(curve['tpr'])}")
        return drawn

    return Picture(title, alt, _rows(curve, "fpr", "tpr"), draw)


def precision_recall(kit: Kit) -> Picture:
    """The precision-recall curve with its band beside the prevalence."""
    curve, title = kit.curves["pr"], "Precision-recall curve"
    if curve is None:
        return not_shown(title, kit.curves["reason"])
    area, prevalence = with_interval(kit.test["auprc"]), number(curve["prevalence"])
    alt = f"{title} of {kit.name} on test: average precision {area}; prevalence {prevalence}."
    alt += _hidden(curve["precision"])

    def draw() -> "Figure":
        drawn = _square("Recall (sensitivity)", "Precision (positive predictive value)")
        panel = drawn.axes[0]
        panel.axhline(curve["prevalence"], color=GREY, lw=0.8, ls=":",
                      label=f"prevalence, {prevalence}")  # fmt: skip
        _curve(panel, curve, "recall", "precision", f"model, {area}", "best reachable")
        legend(panel, f"Average precision (95 % interval){hidden_note(curve['precision'])}")
        return drawn

    return Picture(title, alt, _rows(curve, "recall", "precision"), draw)


def _square(x: str, y: str) -> "Figure":
    drawn = figure(SINGLE, SINGLE + 12 * MM)
    panel = drawn.subplots()
    panel.set(xlabel=x, ylabel=y, xlim=(0, 1), ylim=(0, 1.01))
    panel.set_box_aspect(1)
    return drawn


def _curve(panel: Any, curve: Any, x: str, y: str, model: str, oracle: str) -> None:
    low, value, high = (gaps(curve[key]) for key in ("low", y, "high"))
    panel.fill_between(curve[x], low, high, color=MODEL, alpha=0.18, lw=0)
    panel.plot(curve[x], value, color=MODEL, label=model)
    if curve["oracle"] is not None:
        panel.plot(curve[x], curve["oracle"], color=ORACLE, lw=0.9, ls="--", label=oracle)


def _rows(curve: Any, x: str, y: str) -> list[dict[str, Any]]:
    names = [x, y, "low", "high", *(["oracle"] if curve["oracle"] else [])]
    return [dict(zip(names, point, strict=True))
            for point in zip(*(curve[name] for name in names), strict=True)]  # fmt: skip


def _hidden(values: list[float | None]) -> str:
    """How many points are hidden, and why, in a sentence; empty where all are shown."""
    if None not in values:
        return ""
    return (f" Of {len(values)} points {values.count(None)} are hidden: few episodes are in a cell "
            "of the confusion matrix; the others are of rounded counts.")  # fmt: skip


def others(kit: Kit) -> list[dict[str, Any]]:
    """The models beside this one: words, kind, AUROC on the paired test episodes, difference."""
    comparisons = kit.part.get("comparisons") or {}
    made = []
    for kind, key in (("single", "singles"), ("baseline", "baselines")):
        for target, other in comparisons.get(key, {}).items():
            letters, model, _ = target.split("_", 2)
            words = " + ".join(letter_words(letter, kit.letters) for letter in letters)
            words += "" if kind == "single" else f", {model_words(model)}"
            made.append({"target": target, "words": words, "kind": kind,
                         "auroc": other["test_auroc"],
                         "difference": other[f"model_minus_{kind}"]})  # fmt: skip
    return made


def comparisons(kit: Kit) -> Picture:
    """Paired differences of AUROC from models of one modality and baselines, and to the oracle."""
    title, rows = "The model beside others", others(kit)
    ceiling = kit.part["ceiling"]
    if ceiling and ceiling["oracle_auroc"]["value"] is not None:
        lower = ceiling["oracle_minus_model"]
        turned = {"value": "value", "low": "high", "high": "low"}
        difference = {end: -lower[at] for end, at in turned.items() if lower[at] is not None}
        if len(difference) == len(turned):
            rows.append({"target": "oracle", "words": "best reachable", "kind": "oracle",
                         "auroc": ceiling["oracle_auroc"]["value"],
                         "difference": difference})  # fmt: skip
    rows = [row for row in rows if row["difference"]["value"] is not None]
    if not rows:
        reason = kit.test["reason"] or "this model is compared with no other in its result"
        return not_shown(title, reason)
    told = "; ".join(f"{row['words']} {with_interval(row['difference'], sign=True)}"
                     for row in rows)  # fmt: skip
    alt = f"AUROC of {kit.name} minus that of others on the same test episodes: {told}."

    def draw() -> "Figure":
        drawn = figure(SINGLE, (18 + 6 * len(rows)) * MM)
        panel = drawn.subplots()
        panel.axvline(0, color=GREY, lw=0.8, ls=":")
        for y, row in enumerate(rows):
            colour = {"oracle": ORACLE, "single": MODEL}.get(row["kind"], COLOURS[2])
            interval(panel, row["difference"], y, colour, "D" if row["kind"] == "oracle" else "o")
        panel.set_yticks(range(len(rows)), [f"{r['words']}\n{number(r['auroc'])}" for r in rows])
        panel.set_ylim(len(rows) - 0.5, -0.5)
        panel.grid(False, axis="y")
        panel.set_xlabel("AUROC of the model minus that of the other (95 % interval)", loc="right")
        return drawn

    flat = [{"other": row["target"], "auroc": row["auroc"]}
            | {f"difference_{end}".removesuffix("_value"): row["difference"][end]
               for end in ("value", "low", "high")} for row in rows]  # fmt: skip
    return Picture(title, alt, flat, draw)
