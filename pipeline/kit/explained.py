"""Figures of explanations: what the models of single modalities follow, beside the planted cause.

Means over the explained test episodes; no film, no sentence, no patient. What is planted is
outlined, where it is known. An explanation that cannot be told from chance says so in its title.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.kit.inputs import Kit, listed
from pipeline.kit.style import COLOURS, DOUBLE, GREY, MM, SINGLE, Picture, figure, not_shown
from pipeline.report.numbers import number, with_interval
from pipeline.stage.explanations import Explanations

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RAISES, LOWERS, SHADES = "#B35806", "#542788", "Blues"  # PuOr's ends: told apart with any eyes
ROWS, BARS, WORDS, SECTIONS = 24, 16, 16, 8  # shown of signals and hours, signals, words, sections
STRONGEST = 4  # named in words
OUTLINED = 0.5  # share of the items in which a place carries the cause
WARNING = "#A00000"
MEASURES = {"share": "share on the cause", "pointing": "pointing game"}
STATISTICS = "-stats"  # ending of the baselines


def of(kit: Kit, modality: str, statistics: bool = False) -> list[Explanations]:
    """The explanations of a modality: of its encoder, or of the baselines on statistics."""
    return [one for one in kit.explanations if one["modality"] == modality
            and one["model"].endswith(STATISTICS) == statistics]  # fmt: skip


def doubts(one: Explanations) -> list[str]:
    """The measures by which an explanation cannot be told from chance."""
    return [words for name, words in (*MEASURES.items(), ("deletion", "deletion curve"))
            if (found := pair(one, name)) and not found[3]]  # fmt: skip


def verdict(one: Explanations) -> str:
    """Whether an explanation can be believed, in words that follow its name."""
    scores = one["scores"]
    if not scores or scores["informative"] is None:
        return f"may be no better than chance, which is not known: {(scores or one)['reason']}"
    if failed := doubts(one):
        return f"is not informative: by {' and '.join(failed)} it cannot be told from chance"
    if scores["share"]:
        return "is better than a random attribution by every measure"
    follows = "follows the model better than a random attribution"
    if scores["reason"] and scores["cause"] is None:
        return f"{follows}; of the planted risk, {scores['reason']}"
    return f"{follows}; whether the model is right is not known"


def titled(panel: "Axes", words: str, one: Explanations) -> None:
    """The title of a panel, with a warning where the explanation is not informative."""
    failed = doubts(one)
    text = f"{words}: not informative\n(cannot be told from chance)" if failed else words
    panel.set_title(text, color=WARNING if failed else "#000000")


def ehr(kit: Kit) -> Picture:
    """Signals × hours: the mean strength of their attributions."""
    title = "What the EHR's encoder follows"
    one = next(iter(of(kit, "ehr")), None)
    if one is None or not one["cells"]:
        return not_shown(
            title, one["reason"] if one else "no encoder of the EHR behind this result is explained"
        )
    cells = one["cells"]
    names, strength = cells["signals"][:ROWS], cells["strength"][:ROWS]
    top = listed(strongest(one)) if one["signals"] else ", ".join(names[:STRONGEST])
    part = _first(len(names), len(cells["signals"]), "signals")
    alt = (f"Heat map of {part} by hours: mean absolute change of the log odds when "
           f"a signal is replaced. Strongest: {top}. The explanation {verdict(one)}.")  # fmt: skip

    def draw() -> "Figure":
        drawn = figure(SINGLE, (22 + 3.4 * max(len(names), 10)) * MM)
        panel = drawn.subplots()
        table = [[0.0 if value is None else value for value in row] for row in strength]
        shown = panel.imshow(table, aspect="auto", cmap=SHADES, vmin=0)
        for row, values in enumerate(strength):
            for column, value in enumerate(values):
                if value is None:
                    panel.text(column, row, "–", ha="center", va="center", color=GREY, fontsize=6.5)
        outline(panel, cells["cause"][:ROWS] if cells["cause"] else None)
        panel.set_yticks(range(len(names)), names)
        panel.set_xticks([n - 0.5 for n in range(len(cells["edges"]))],
                         [f"{edge:g}" for edge in cells["edges"]])  # fmt: skip
        panel.set_xlabel(f"Hours from clock zero; {part}{_outlined(cells['cause'])}")
        panel.grid(False)
        drawn.colorbar(shown, ax=panel, shrink=0.5, label="Mean absolute change of log odds")
        titled(panel, "Signals and hours", one)
        return drawn

    rows = [{"signal": name, "from_hour": first, "to_hour": last, "mean": mean[k], "strength": s[k],
             "patients": n[k], "cause": cells["cause"][r][k] if cells["cause"] else None}
            for r, (name, mean, s, n) in enumerate(zip(
                cells["signals"], cells["mean"], cells["strength"], cells["patients"], strict=True))
            for k, (first, last) in enumerate(zip(cells["edges"], cells["edges"][1:],
                                                  strict=False))]  # fmt: skip
    return Picture(title, alt, rows, draw)


def _first(shown: int, there: int, what: str) -> str:
    """How many are shown, and of how many, where it is a part.

    >>> _first(24, 53, "signals"), _first(3, 3, "words")
    ('the 24 strongest of 53 signals', '3 words')
    """
    return f"{shown} {what}" if shown == there else f"the {shown} strongest of {there} {what}"


def outline(panel: "Axes", cause: Sequence[Sequence[float]] | None) -> None:
    """A line around the cells of a map that carry the cause in most items."""
    if not cause:
        return
    inside = {(r, c) for r, row in enumerate(cause) for c, v in enumerate(row) if v >= OUTLINED}
    sides = {(-1, 0): ((-0.5, 0.5), (-0.5, -0.5)), (1, 0): ((-0.5, 0.5), (0.5, 0.5)),
             (0, -1): ((-0.5, -0.5), (-0.5, 0.5)), (0, 1): ((0.5, 0.5), (-0.5, 0.5))}  # fmt: skip
    for r, c in sorted(inside):
        for (down, right), (across, along) in sides.items():
            if (r + down, c + right) not in inside:
                panel.plot([c + x for x in across], [r + y for y in along], color=COLOURS[1], lw=1)


def _outlined(cause: object) -> str:
    return "\n(outlined: planted cause)" if cause else ""


def statistics(kit: Kit) -> Picture:
    """Signals of the baselines on statistics, a panel each: SHAP values or occlusion."""
    title = "What the baselines on statistics follow"
    known: list[Any] = [one for one in of(kit, "ehr", statistics=True) if one["signals"]]
    if not known:
        return not_shown(title, "no baseline on statistics is explained")
    told = [
        f"{one['target']} by {_method(one)}: {listed(strongest(one))} count most; the explanation "
        f"{verdict(one)}"
        for one in known
    ]

    def draw() -> "Figure":
        drawn = figure(DOUBLE if len(known) > 1 else SINGLE, (24 + 3.4 * BARS) * MM)
        panels = drawn.subplots(1, len(known), squeeze=False)[0]
        for panel, one in zip(panels, known, strict=True):
            bars(panel, (one["signals"] or [])[:BARS], "strength")
            named = one["signals"] or []
            part = _first(len(named[:BARS]), len(named), "signals")
            panel.set_xlabel(f"Mean absolute {_method(one)}, log odds\n{part}{_filled(named)}")
            titled(panel, one["model"], one)
        return drawn

    rows = [
        {"model": one["model"], "method": _method(one), "of": what, **named}
        for one in known
        for what in ("signals", "columns")
        for named in one[what] or []
    ]
    return Picture(title, f"{'. '.join(told)}.", rows, draw, wide=len(known) > 1)


def strongest(one: Explanations) -> list[str]:
    """The signals that count most, with how much."""
    first = (one["signals"] or [])[:STRONGEST]
    return [f"{named['name']} ({number(named['strength'])})" for named in first]


def _method(one: Explanations) -> str:
    return (
        "SHAP value" if one["method"] and "SHAP" in one["method"]["name"] else "change by occlusion"
    )


def bars(panel: "Axes", named: Sequence[Any], key: str) -> None:
    """Horizontal bars; what carries the planted cause is filled, the rest hollow."""
    value = [one[key] for one in named]
    colour = [COLOURS[0] if key == "strength" else RAISES if v > 0 else LOWERS for v in value]
    told = [one["cause"] is None or one["cause"] >= OUTLINED for one in named]
    face = [c if yes else "white" for c, yes in zip(colour, told, strict=True)]
    panel.barh(range(len(named)), value, color=face, edgecolor=colour, lw=0.8, height=0.7)
    panel.set_yticks(range(len(named)), [one["name"] for one in named])
    panel.invert_yaxis()
    panel.grid(False, axis="y")


def _filled(named: Sequence[Any] | None) -> str:
    known = any(one["cause"] is not None for one in named or [])
    return "\n(filled: carries the planted cause)" if known else ""


def cxr(kit: Kit) -> Picture:
    """The mean map over films."""
    title = "What the films' encoder follows"
    one = next(iter(of(kit, "cxr")), None)
    if one is None or not one["film"]:
        return not_shown(
            title, one["reason"] if one else "no encoder of films behind this result is explained"
        )
    film = one["film"]
    flat = [(value, r, c) for r, row in enumerate(film["strength"]) for c, value in enumerate(row)]
    most, row, column = max(flat)
    alt = (f"Map of {film['rows']} by {film['columns']} patches, mean over films: the log odds "
           f"change most ({number(most)}) where patch {row + 1} from the top, {column + 1} from "
           f"the left is replaced. The explanation {verdict(one)}.")  # fmt: skip

    def draw() -> "Figure":
        drawn = figure(SINGLE, SINGLE)
        panel = drawn.subplots()
        shown = panel.imshow(film["strength"], cmap=SHADES, vmin=0)
        outline(panel, film["cause"])
        panel.set_xticks([])
        panel.set_yticks([])
        panel.grid(False)
        panel.set_xlabel(f"Mean over the films of {film['patients']} patients"
                         f"{_outlined(film['cause'])}")  # fmt: skip
        drawn.colorbar(shown, ax=panel, shrink=0.7, label="Mean absolute change of log odds")
        titled(panel, "Patches of films", one)
        return drawn

    rows = [{"row": r, "column": c, "mean": film["mean"][r][c], "strength": value,
             "cause": film["cause"][r][c] if film["cause"] else None}
            for value, r, c in flat]  # fmt: skip
    return Picture(title, alt, rows, draw)


def note(kit: Kit) -> Picture:
    """Words and sections of reports."""
    title = "What the notes' encoder follows"
    one: Any = next(iter(of(kit, "note")), None)
    if one is None or not one["text"]:
        return not_shown(
            title, one["reason"] if one else "no encoder of notes behind this result is explained"
        )
    words, kinds = one["text"]["words"][:WORDS], one["text"]["kinds"][:SECTIONS]
    top = ", ".join(f"{w['name']} ({number(w['mean'], sign=True)})" for w in words[:4])
    alt = (f"Mean change of the log odds by sentences that hold a word: {top}. By section, the "
           f"strongest: {kinds[0]['name'] if kinds else 'none'}.{_noise(one)} "
           f"The explanation {verdict(one)}.")  # fmt: skip

    def draw() -> "Figure":
        drawn = figure(DOUBLE, (26 + 3.4 * WORDS) * MM)
        left, right = drawn.subplots(1, 2)
        bars(left, words, "mean")
        left.axvline(0, color="#404040", lw=0.6)
        left.set_xlabel("Mean change of log odds by the sentences that hold the word\n"
                        "(orange raises the risk, purple lowers it)")  # fmt: skip
        told = _first(len(words), len(one["text"]["words"]), "words")
        titled(left, f"{told[:1].upper()}{told[1:]} of at least 10 patients", one)
        bars(right, kinds, "strength")
        right.set_xlabel(f"Mean absolute change by a sentence{_filled(kinds)}")
        if floor := one["floor"]:
            right.axvline(floor["value"], color="#404040", lw=0.8, ls="--",
                          label="the same report, inferred again")  # fmt: skip
            right.legend(loc="lower right", frameon=False)
        told = _first(len(kinds), len(one["text"]["kinds"]), "sections")
        titled(right, f"{told[:1].upper()}{told[1:]} of reports", one)
        return drawn

    rows = [{"of": what, **named} for what in ("words", "kinds") for named in one["text"][what]]
    if floor := one["floor"]:
        rows.append({"of": "the same report, inferred again", "strength": floor["value"]})
    return Picture(title, alt, rows, draw, wide=True)


def _noise(one: Explanations) -> str:
    """What the same report moves when it is inferred again, in words."""
    if not (floor := one["floor"]):
        return ""
    return f" The same report, inferred again, moves the log odds by {with_interval(floor)}."


def scores(kit: Kit) -> Picture:
    """Every score of every explanation beside that of a random attribution."""
    title = "Can the explanations be believed"
    known: list[Any] = [one for one in kit.explanations if one["scores"] and _any(one)]
    if not known:
        return not_shown(title, "no explanation could be scored")
    told = [f"{one['target']}: {_told(one)}; the explanation {verdict(one)}" for one in known]
    causes = any(one["scores"]["share"] for one in known)

    def draw() -> "Figure":
        panels = [*MEASURES, "deletion"] if causes else ["deletion"]
        drawn = figure(DOUBLE if causes else SINGLE, (26 + 7 * len(known)) * MM)
        for place, (panel, name) in enumerate(zip(
            drawn.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True
        )):  # fmt: skip
            _score_panel(panel, known, name)
            if not place:
                panel.set_yticks(range(len(known)), [one["target"] for one in known])
                panel.set_ylim(len(known) - 0.5, -0.5)
        told = {words: handle for panel in drawn.axes for handle, words in
                zip(*panel.get_legend_handles_labels(), strict=True)}  # fmt: skip
        drawn.legend(told.values(), told, loc="outside lower left", ncols=3, frameon=False)
        return drawn

    rows = [
        {"target": one["target"], "measure": name, **_flat(one, name)}
        for one in known
        for name in (*MEASURES, "deletion")
        if one["scores"][name]
    ]
    return Picture(title, f"{'. '.join(told)}.", rows, draw, wide=causes)


def _any(one: Explanations) -> bool:
    own: Any = one["scores"]
    return bool(own["share"] or own["pointing"] or own["deletion"])


def pair(one: Explanations, name: str) -> tuple[Any, Any, Any, bool] | None:
    """Value, chance and difference of a score, and whether it is told from chance."""
    own: Any = one["scores"]
    score = own[name] if own else None
    if not score:
        return None
    keys = ("moved", "moved_at_random") if name == "deletion" else ("value", "chance")
    return score[keys[0]], score[keys[1]], score["difference"], score["informative"]


def _told(one: Explanations) -> str:
    parts = []
    for name, words in (*MEASURES.items(), ("deletion", "change of log odds by deletion")):
        if found := pair(one, name):
            value, chance, _, informative = found
            parts.append(f"{words} {with_interval(value)}, by chance {number(chance['value'])}"
                         f"{'' if informative else ', not told from chance'}")  # fmt: skip
    return "; ".join(parts)


def _flat(one: Explanations, name: str) -> dict[str, Any]:
    found = pair(one, name)
    assert found
    parts = zip(("value", "chance", "difference"), found[:3], strict=True)
    made = {f"{what}_{end}".removesuffix("_value"): part[end]
            for what, part in parts for end in ("value", "low", "high")}  # fmt: skip
    return {**made, "informative": found[3]}


def _score_panel(panel: "Axes", known: Sequence[Explanations], name: str) -> None:
    panel.set_title(MEASURES.get(name, "deletion"))
    panel.set_xlabel("Mean change of log odds" if name == "deletion" else "Share")
    if name != "deletion":
        panel.set_xlim(0, 1)
    for row, one in enumerate(known):
        if not (found := pair(one, name)):
            panel.text(0.02, row, "not known", va="center", color=GREY, fontsize=6.5)
            continue
        value, chance, _, informative = found
        words = f"attribution, {'' if informative else 'not '}told from chance"
        colour = COLOURS[0] if informative else WARNING
        panel.plot([value["low"], value["high"]], [row, row], color=colour, lw=1)
        panel.plot(value["value"], row, color=colour, marker="o" if informative else "X", ls="",
                   label=words)  # fmt: skip
        panel.plot(chance["value"], row, color=GREY, marker="D", mfc="white", ls="",
                   label="random attribution")  # fmt: skip
