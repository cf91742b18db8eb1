"""The tables of a kit: made once as words, written as csv, as Markdown and as HTML.

A table is a header and lines; a line of a group has no cells and heads those below it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.kit.calibration import METHODS
from pipeline.kit.discrimination import others
from pipeline.kit.fitted import WAYS, split_words
from pipeline.kit.groups import MEASURES, combination, share_words
from pipeline.kit.inputs import Kit
from pipeline.report.names import unique
from pipeline.report.numbers import cell, number, short
from pipeline.report.numbers import table as markdown_table


@dataclass(frozen=True)
class Line:
    """A row: what it is of, and its cells; without cells it heads the lines below it."""

    label: str
    cells: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """A table in words; `reason`: why it has no lines; `note`: what a reader must know of it."""

    caption: str
    header: Sequence[str]
    lines: Sequence[Line]
    note: str = ""
    reason: str | None = None

    def rows(self) -> list[dict[str, str]]:
        """The lines for a csv, each with the group that heads it."""
        made, group = [], ""
        for line in self.lines:
            if not line.cells:
                group = line.label
                continue
            made.append(
                {"group": group} | dict(zip(self.header, [line.label, *line.cells], strict=True))
            )
        return made or [{"reason": self.reason or "nothing to show"}]

    def markdown(self) -> str:
        """The table as Markdown, with its caption and note."""
        if not self.lines:
            return f"**{self.caption}** Not shown: {self.reason}.\n"
        width = len(self.header) - 1
        rows = [[f"**{line.label}**", *[""] * width] if not line.cells
                else [line.label, *line.cells] for line in self.lines]  # fmt: skip
        clean = [[part.replace("|", "\\|") for part in row] for row in rows]
        parts = [f"**{self.caption}**", markdown_table(list(self.header), clean), self.note]
        return "\n\n".join(part for part in parts if part) + "\n"


def counted(number_: Any) -> str:
    """A count of a kit: whole numbers with thousands, means of seeds rounded, hidden ones as such.

    >>> counted(2264), counted(31.4), counted("<10"), counted(None)
    ('2,264', '31', '<10', '–')
    """
    if number_ is None:
        return "–"
    return number_ if isinstance(number_, str) else f"{number_:,.0f}"


def reasons(parts: Sequence[Any]) -> str:
    """Why parts have no figures, each reason once.

    >>> reasons([{"reason": "one class"}, {"reason": "one class"}, {"reason": None}])
    'one class'
    """
    return "; ".join(unique(part["reason"] for part in parts if part["reason"]))


def without(parts: Sequence[tuple[str, str]]) -> str:
    """Names of parts that have no figures and why, each reason once.

    >>> without([("Sex", "few episodes"), ("Age", "few episodes"), ("Language", "not recorded")])
    'Sex, Age: few episodes; Language: not recorded'
    """
    by_reason: dict[str, list[str]] = {}
    for name, reason in parts:
        by_reason.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items())


def table_one(kit: Kit) -> Table:
    """Who the episodes are: by split and by outcome, with missing values and differences."""
    own = kit.numbers["table_one"]
    names = [column["name"] for column in own["columns"]]
    # shares are named by what this model does with them
    splits = {name: words[:1].upper() + words[1:] for name, words in split_words(kit).items()}
    header = [
        "Variable",
        *(splits.get(column["name"], column["words"]) for column in own["columns"]),
        "SMD outcome",
        "SMD splits",
    ]
    lines = [Line(what, [*(counted(column[what.lower()]) for column in own["columns"]), "", ""])
             for what in ("Episodes", "Patients")]  # fmt: skip
    lacking: list[tuple[str, str]] = []
    for one in own["variables"]:
        if one["reason"]:
            lacking.append((variable_words(one, kit), one["reason"]))
            continue
        ends = [short(one["smd_outcome"]), short(one["smd_splits"])]
        if one["kind"] == "number":
            lines.append(Line(one["words"]))
            for what, words in (("mean", "mean (SD)"), ("median", "median [quartiles]")):
                cells = [_summary(one["summaries"].get(name), what) for name in names]
                lines.append(Line(words, [*cells, *(ends if what == "mean" else ["", ""])]))
        else:
            lines.append(Line(variable_words(one, kit)))
            for place, level in enumerate(one["levels"]):
                cells = [_level(level["cells"].get(column)) for column in names]
                name = level["level"]
                label = combination(name, kit.letters) if one["variable"] == "combination" else name
                lines.append(Line(label, [*cells, *(ends if place == 0 else ["", ""])]))
        if one["missing"].get("overall") not in (0, None):
            cells = [counted(one["missing"].get(name)) for name in names]
            lines.append(Line("not known", [*cells, "", ""]))
    note = (
        "SMD: standardised mean difference, between those with and without the outcome, and the "
        "largest between two splits. Shares are of the episodes for which the variable is "
        f"known. {rounding(kit)}"
    )
    note += " Splits are those of the first fold." if kit.result["folds"] > 1 else ""
    note += f" Without figures: {without(lacking)}." if lacking else ""
    note += f" Not by outcome: {own['reason_outcome']}." if own["reason_outcome"] else ""
    return Table("Table 1. The episodes by split and by outcome.", header, lines, note.strip())


def variable_words(one: Any, kit: Kit) -> str:
    """A variable for readers; a modality by its words, not its letter."""
    letter = one["variable"].removeprefix("with_")
    return f"With {kit.letters[letter]}" if letter in kit.letters else str(one["words"])


def _summary(summary: Any, what: str) -> str:
    if summary is None or summary[what] is None:
        return "–"
    ends = (f"({number(summary['sd'], 1)})" if what == "mean"
            else f"[{number(summary['q1'], 1)}–{number(summary['q3'], 1)}]")  # fmt: skip
    return f"{number(summary[what], 1)} {ends}"


def _level(one: Any) -> str:
    if one is None:
        return "–"
    shown = counted(one["n"])
    return shown if one["share"] is None else f"{shown} ({share_words(one)})"


def rounding(kit: Kit) -> str:
    """How small counts are kept from readers; empty where all are shown."""
    least = kit.numbers["head"]["suppressed_below"]
    if not least:
        return ""
    return (
        f"Counts of 1 to {least - 1} are <{least}, small groups and those from which they would "
        f"follow are hidden; other counts are rounded to multiples of {least}, but for those of "
        "groups and of the result's own threshold, which are exact or withheld."
    )


def performance(kit: Kit) -> Table:
    """Metrics of every split; the figures to quote are those of test."""
    names = {"auroc": "AUROC", "auprc": "Average precision", "brier": "Brier score"}
    header = ["Part", *names.values()]
    lines = [Line(split_words(kit).get(split, split), [cell(part[name]) for name in names])
             for split, part in kit.part["metrics"].items()]  # fmt: skip
    note = "95 % intervals in brackets. The figures to quote are those of test."
    reason = kit.test["reason"]
    note += f" Test has none: {reason}." if reason else ""
    return Table("Discrimination and error by part of the data.", header, lines, note)


def comparison(kit: Kit) -> Table:
    """The model beside single modalities and baselines, paired by test episode."""
    rows = [Line(row["words"], [short(row["auroc"]), cell(row["difference"], sign=True)])
            for row in others(kit)]  # fmt: skip
    reason = None if rows else "its result compares this model with no other"
    return Table(
        "The model beside others on the same test episodes.",
        ["Other model", "AUROC of the other", "Model minus other"],
        rows,
        "",
        reason,
    )


def calibration(kit: Kit) -> Table:
    """Calibration before and after recalibration on validation."""
    words = {"none": METHODS["none"]} | WAYS
    used = kit.numbers["head"]["recalibration"]
    header = ["Risks", "Slope", "In the large", "Brier score", "ICI", "E-max",
              "Brier minus own", "ICI minus own"]  # fmt: skip
    lines: list[Line] = []
    why: list[tuple[str, str]] = []
    for one in kit.numbers["calibration"]:
        label = words[one["method"]] + (" (of this result)" if one["method"] == used else "")
        if one["reason"]:
            why.append((words[one["method"]], one["reason"]))
            continue
        own = one["method"] == "none"
        gaps = [one["brier_minus_none"], one["ici_minus_none"]]
        lines.append(Line(label, [
            cell(one["slope"]), cell(one["in_the_large"]), cell(one["brier"]), cell(one["ici"]),
            cell(one["e_max"]), *("–" if own else cell(gap, sign=True) for gap in gaps),
        ]))  # fmt: skip
    note = ("Fitted on validation, measured on test. Slope 1 and 0 in the large are right; below 0 "
            "the Brier score is better. ICI: integrated calibration index. ICI and E-max are "
            "distances, biased upward in resamples: they can lie below their own intervals, and no "
            "verdict rests on them.")  # fmt: skip
    note += f" Without figures: {without(why)}." if why and lines else ""
    return Table(
        "Calibration before and after recalibration.",
        header,
        lines,
        note,
        reasons(kit.numbers["calibration"]) or "the result has no calibration",
    )


def operating_points(kit: Kit) -> Table:
    """What the model does at thresholds that were chosen on validation."""
    measures = {"sensitivity": "Sensitivity", "specificity": "Specificity", "ppv": "PPV",
                "npv": "NPV", "alert_rate": "Alert rate"}  # fmt: skip
    cells = ("true_positive", "false_positive", "false_negative", "true_negative")
    header = ["Chosen on validation", "Threshold", "TP", "FP", "FN", "TN", *measures.values()]
    lines: list[Line] = []
    why: list[tuple[str, str]] = []
    for one in kit.numbers["operating_points"]:
        if one["reason"]:
            why.append((_point(one), one["reason"]))
            continue
        cuts = [run["threshold"] for run in one["by_run"]]
        spread = short(sum(cuts) / len(cuts)) if cuts else "–"
        confusion = [counted((one["confusion"] or {}).get(name)) for name in cells]
        lines.append(Line(_point(one), [spread, *confusion, *(cell(one[m]) for m in measures)]))
    own = [one["words"] for one in kit.numbers["operating_points"] if one["chosen_by"] == "result"]
    rule = f" Fixed as nearly as the scores allow; the result's own: {own[0]}." if own else ""
    folds = kit.result["folds"] > 1
    several = " Thresholds are means over runs." if folds or len(kit.result["seeds"]) > 1 else ""
    several += " TP, FP, FN and TN are sums over folds." if folds else ""
    note = "Thresholds are held fixed on test; 95 % intervals in brackets."
    note += f"{rule}{several} {rounding(kit)}"
    note += (
        f" Without figures (hidden is not the same as none): {without(why)}."
        if why and lines
        else ""
    )
    return Table(
        "Operating points and their confusion matrices on test.",
        header,
        lines,
        note.strip(),
        reasons(kit.numbers["operating_points"]) or "there are none",
    )


def _point(one: Any) -> str:
    if one["chosen_by"] == "result":
        return "the result's own threshold"
    return f"{one['chosen_by'].replace('_', ' ')} {one['aim']:.2f}"


def groups(kit: Kit) -> Table:
    """The model in every group."""
    return _by_group(kit, "The model by groups of the test episodes.", paired=False)


def group_differences(kit: Kit) -> Table:
    """Each group minus all other test episodes."""
    return _by_group(kit, "Each group minus all other test episodes, paired.", paired=True)


def _by_group(kit: Kit, caption: str, paired: bool) -> Table:
    own = kit.numbers["fairness"]
    lines: list[Line] = []
    why: list[tuple[str, str]] = []
    for one in own["attributes"]:
        if one["reason"]:
            why.append((one["words"], one["reason"]))
            continue
        lines.append(Line(one["words"]))
        for group in one["groups"]:
            source = group["minus_rest"] if paired else group
            counts = [counted(group["n"]), counted(group["positives"])]
            values = [cell(source[name], sign=paired) for name in MEASURES]
            lines.append(Line(group["group"], [*counts, *values]))
            if paired and group["reason_rest"]:
                why.append((f"{one['words']} {group['group']}", group["reason_rest"]))
    note = (f"At the result's one threshold. Groups with fewer than {own['fewest']} positive or "
            f"negative test episodes have no figures: hidden is not the same as no difference. "
            f"{rounding(kit)}").strip()  # fmt: skip
    note += f" Not shown: {without(why)}." if why else ""
    header = ["Group", "Episodes", "Positives", *(measure.column for measure in MEASURES.values())]
    return Table(caption, header, lines, note,
                 own["reason"] or without(why) or "no attribute is known")  # fmt: skip


def sensitivity(kit: Kit) -> Table:
    """AUROC without the test episodes whose outcome is debatable."""
    some = any(one["reason"] for one in kit.part["sensitivity"])
    lines = [Line(one["left_out"], [cell(one["auroc"]), *[one["reason"] or ""] * some])
             for one in kit.part["sensitivity"]]  # fmt: skip
    return Table("Sensitivity analyses.", ["Without", "AUROC", *["Why not shown"] * some], lines,
                 "", None if lines else "the task has none")  # fmt: skip


TABLES: dict[str, Callable[[Kit], Table]] = {
    "table_one": table_one,
    "performance": performance,
    "comparison": comparison,
    "calibration": calibration,
    "operating_points": operating_points,
    "groups": groups,
    "group_differences": group_differences,
    "sensitivity": sensitivity,
}


def tables(kit: Kit) -> dict[str, Table]:
    """Every table of a kit by name."""
    return {name: made(kit) for name, made in TABLES.items()}
