"""Figures by group: a forest of the model in each group, missing modalities, coverage."""

import re
from textwrap import shorten
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.kit.inputs import Kit
from pipeline.kit.style import (
    COLOURS,
    DOUBLE,
    GREY,
    MARKERS,
    MM,
    SINGLE,
    Picture,
    figure,
    interval,
    legend,
    not_shown,
)
from pipeline.report.names import Letters, letter_words
from pipeline.report.numbers import count, number, with_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Measure(NamedTuple):
    """What is measured in each group: in a sentence, at the head of a column, above a panel."""

    words: str
    column: str
    title: str


MEASURES = {
    "auroc": Measure("AUROC", "AUROC", "AUROC"),
    "in_the_large": Measure("calibration in the large", "In the large",
                            "Calibration\nin the large"),
    "sensitivity": Measure("sensitivity", "Sensitivity", "Sensitivity"),
    "specificity": Measure("specificity", "Specificity", "Specificity"),
    "ppv": Measure("positive predictive value", "PPV", "PPV"),
}  # fmt: skip
HIDDEN = "hidden"


def fairness(kit: Kit) -> Picture:
    """The five measures in every group, the model's overall value as a line."""
    return _forest(kit, "The model by group", None)


def differences(kit: Kit) -> Picture:
    """Each group minus all other test episodes."""
    return _forest(kit, "Each group minus all others", 0.0)


def _forest(kit: Kit, title: str, reference: float | None) -> Picture:
    shown = [one for one in kit.numbers["fairness"]["attributes"] if one["groups"]]
    if not shown or not any(_known(group) for one in shown for group in one["groups"]):
        reasons = [group["reason"] for one in shown for group in one["groups"] if group["reason"]]
        return not_shown(title, kit.numbers["fairness"]["reason"] or (reasons or [None])[0])
    paired = reference is not None
    rows = [
        {"attribute": one["attribute"], "group": group["group"], "n": group["n"],
         "positives": group["positives"], "reason": group["reason"]}
        | {f"{name}_{end}".removesuffix("_value"): estimate[end]
           for name, estimate in _of(group, paired).items() for end in ("value", "low", "high")}
        for one in shown for group in one["groups"]
    ]  # fmt: skip
    values = {name: None if paired else _overall(kit)[name] for name in MEASURES}
    return Picture(title, _alt(title, shown, paired), rows,
                   lambda: _draw(shown, values, paired), wide=True)  # fmt: skip


def _known(group: Any) -> bool:
    return group["auroc"]["value"] is not None


def _of(group: Any, paired: bool) -> dict[str, Any]:
    source = group["minus_rest"] if paired else group
    return {name: source[name] for name in MEASURES}


def _overall(kit: Kit) -> dict[str, float | None]:
    """The model's values on all test episodes."""
    own: Any = next(
        (one for one in kit.numbers["operating_points"] if one["chosen_by"] == "result"), {}
    )
    at = {
        name: (own.get(name) or {}).get("value") for name in ("sensitivity", "specificity", "ppv")
    }
    return {"auroc": kit.test["auroc"]["value"], "in_the_large": 0.0, **at}


def _alt(title: str, shown: list[Any], paired: bool) -> str:
    """The lowest and the highest AUROC of each attribute, in words."""
    told = []
    for one in shown:
        known = [(_of(g, paired)["auroc"], g["group"]) for g in one["groups"]]
        known = [pair for pair in known if pair[0]["value"] is not None]
        if known:
            low = min(known, key=lambda pair: pair[0]["value"])
            high = max(known, key=lambda pair: pair[0]["value"])
            told.append(f"{one['words']} from {with_interval(low[0], sign=paired)} ({low[1]}) to "
                        f"{with_interval(high[0], sign=paired)} ({high[1]})")  # fmt: skip
    return f"{title}, AUROC: {'; '.join(told)}. All values are in the table of groups."


def _draw(shown: list[Any], values: dict[str, float | None], paired: bool) -> "Figure":
    lines: list[tuple[str, Any]] = []
    for one in shown:
        lines += [(one["words"], None), *((group["group"], group) for group in one["groups"])]
    drawn = figure(DOUBLE, (16 + 3.7 * len(lines)) * MM)
    panels = drawn.subplots(1, len(MEASURES), sharey=True)
    for panel, (name, measure) in zip(panels, MEASURES.items(), strict=True):
        panel.set_title(measure.title, fontsize=7.5)
        _column(panel, lines, name, values[name], paired)
    panels[0].set_yticks(range(len(lines)), [_label(*line) for line in lines])
    for text, (_, group) in zip(panels[0].get_yticklabels(), lines, strict=True):
        text.set_fontweight("bold" if group is None else "normal")
    panels[0].set_ylim(len(lines) - 0.4, -0.7)
    for panel in panels:
        panel.grid(False, axis="y")
        panel.tick_params(axis="y", length=0)
    return drawn


def _label(words: str, group: Any) -> str:
    if group is None:
        return words
    n = count(group["n"]) if not isinstance(group["n"], float) else f"{group['n']:,.0f}"
    return f"{short_name(words)}, {n}"


def short_name(group: str) -> str:
    """A group as a figure has room for it: its abbreviation where it has one.

    >>> short_name("Medical Intensive Care Unit (MICU)"), short_name("OTHER/UNKNOWN")
    ('MICU', 'OTHER/UNKNOWN')
    """
    named = re.search(r"\(([^()]{2,})\)$", group)
    return named[1] if named else shorten(group, 30, placeholder="…")


def _column(panel: "Axes", lines: list[Any], name: str, value: float | None, paired: bool) -> None:
    line = 0.0 if paired else value
    if line is not None:
        panel.axvline(line, color=GREY, lw=0.8, ls=":")
    for y, (_, group) in enumerate(lines):
        if group is None:
            panel.axhline(y, color="#F3F3F3", lw=9, zorder=0)
            continue
        estimate = _of(group, paired)[name]
        interval(panel, estimate, y, COLOURS[0])
        if estimate["value"] is None:
            panel.annotate(HIDDEN if group["n"] == HIDDEN else "–", (0.5, y),
                           xycoords=("axes fraction", "data"), ha="center", va="center",
                           color=GREY, fontsize=6.5)  # fmt: skip


def missing(kit: Kit) -> Picture:
    """AUROC with a modality made missing in a share of the test episodes."""
    title, rows = "Missing modalities", kit.part.get("missing")
    rows = [row for row in rows or [] if row["auroc"]["value"] is not None]
    if not rows:
        alone = len(kit.result["modalities"]) == 1 and "this model reads one modality alone"
        reason = alone or kit.test["reason"] or "it was not tried with modalities made missing"
        return not_shown(title, reason)
    order = kit.result["modalities"]
    taken = sorted({row["modality"] for row in rows}, key=order.find)
    complete = next(row["auroc"] for row in rows if row["rate"] == 0)
    last = {letter: max((row for row in rows if row["modality"] == letter),
                        key=lambda row: row["rate"]) for letter in taken}  # fmt: skip
    told = "; ".join(f"without {letter_words(letter, kit.letters)} in {100 * row['rate']:.0f} % "
                     f"{with_interval(row['auroc'])}" for letter, row in last.items())  # fmt: skip

    def draw() -> "Figure":
        drawn = figure(SINGLE, 90 * MM)
        panel = drawn.subplots()
        panel.axhline(complete["value"], color=GREY, lw=0.8, ls=":",
                      label=f"nothing taken away, {number(complete['value'])}")  # fmt: skip
        for letter, colour, marker in zip(taken, COLOURS[2:], MARKERS, strict=False):
            own = [row for row in rows if row["modality"] == letter]
            rate = [100 * row["rate"] for row in own]
            value, low, high = (
                [row["auroc"][end] for row in own] for end in ("value", "low", "high")
            )
            panel.fill_between(rate, low, high, color=colour, alpha=0.13, lw=0)
            words = f"{letter_words(letter, kit.letters)}, {with_interval(own[-1]['auroc'])}"
            panel.plot(rate, value, color=colour, marker=marker, label=words)
        panel.set(xlabel="Test episodes that lack it, %", ylabel="AUROC", xlim=(-2, 102))
        legend(panel, "AUROC where all lack it (95 % interval)")
        return drawn

    flat = [{"modality": row["modality"], "rate": row["rate"], **_ends("auroc", row["auroc"]),
             **_ends("minus_complete", row["minus_complete"])} for row in rows]  # fmt: skip
    alt = f"AUROC on test with everything {with_interval(complete)}; {told}."
    return Picture(title, alt, flat, draw)


def _ends(name: str, estimate: Any) -> dict[str, Any]:
    return {
        f"{name}_{end}".removesuffix("_value"): estimate[end] for end in ("value", "low", "high")
    }


def variable(kit: Kit, name: str) -> Any:
    """A variable of Table 1; None where it is none."""
    variables = kit.numbers["table_one"]["variables"]
    return next((one for one in variables if one["variable"] == name), None)


def coverage(kit: Kit) -> Picture:
    """Share of the episodes with each combination of modalities, by split."""
    title, own = "Which modalities episodes have", variable(kit, "combination")
    if own is None or own["reason"] or not own["levels"]:
        return not_shown(title, own and own["reason"])
    levels = [(level["level"], level["cells"]["overall"]) for level in own["levels"]]
    told = ", ".join(
        f"{combination(name, kit.letters)} {share_words(cell)}" for name, cell in levels
    )

    def draw() -> "Figure":
        drawn = figure(SINGLE, (16 + 5 * len(levels)) * MM)
        panel = drawn.subplots()
        shares = [100 * (cell["share"] or 0) for _, cell in levels]
        panel.barh(range(len(levels)), shares, color=COLOURS[0], height=0.7)
        for y, (_, cell) in enumerate(levels):
            panel.text(shares[y] + 1, y, share_words(cell), va="center", fontsize=6.5)
        panel.set_yticks(range(len(levels)), [combination(name, kit.letters) for name, _ in levels])
        panel.set(ylim=(len(levels) - 0.5, -0.5), xlabel="Episodes, %")
        panel.set_xlim(0, 1.22 * max([*shares, 1]))  # room for the words
        panel.set_xticks([tick for tick in panel.get_xticks() if tick <= 100])
        panel.grid(False, axis="y")
        return drawn

    rows = [{"combination": name, "n": cell["n"], "share": cell["share"]} for name, cell in levels]
    return Picture(title, f"Share of all episodes by modalities at hand: {told}.", rows, draw)


def combination(name: str, letters: Letters) -> str:
    """A combination of letters in words.

    >>> combination("ec", {"e": "EHR", "c": "films"}), combination("none", {})
    ('EHR + films', 'none')
    """
    known = set(name) <= set(letters)
    return " + ".join(letters[letter] for letter in name) if known else name


def share_words(cell: Any) -> str:
    """A share in per cent, or how its count is hidden.

    >>> share_words({"n": 120, "share": 0.345}), share_words({"n": "hidden", "share": None})
    ('34.5 %', 'hidden')
    """
    return str(cell["n"]) if cell["share"] is None else f"{100 * cell['share']:.1f} %"
