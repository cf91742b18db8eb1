"""The flow diagram: from the source to the episodes of each split, with films and reports."""

from textwrap import wrap
from typing import TYPE_CHECKING, Any

from pipeline.kit.fitted import of_first, split_words
from pipeline.kit.inputs import Kit
from pipeline.kit.style import DOUBLE, MM, Picture, figure, not_shown
from pipeline.report.numbers import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE, PAD, GAP = 3.1, 3.4, 4.5  # mm: of a line of text, around the text, between boxes
WIDTH, LEFT, SIDE = 183.0, 108.0, 62.0  # mm: of all, of the boxes on the left, of those beside
LETTERS = {LEFT: 76, SIDE: 44}  # that fit into a line
FILL, OUT = "#EAF2F8", "#F6F6F6"
Box = tuple[float, float, float, float]  # left, top, width, height


def amount(number: Any, what: str) -> str:
    """A count with its word; of one the singular.

    >>> amount(2264, "episodes"), amount("<10", "films"), amount(None, "films")
    ('2,264 episodes', '<10 films', 'an unknown number of films')
    >>> amount("hidden", "films"), amount("hidden", "with the outcome")
    ('a hidden number of films', 'a hidden number with the outcome')
    """
    if number is None:
        return f"an unknown number of {what}"
    if number == "hidden":
        return f"a hidden number {'' if what.startswith('with') else 'of '}{what}"
    shown = f"{number:,.0f}" if isinstance(number, float) else count(number)
    return f"{shown} {what}"


def steps(kit: Kit) -> list[tuple[list[str], list[str]]]:
    """Lines of each box, and of the box of those excluded before it."""
    made = []
    for step in kit.numbers["flow"]["steps"]:
        words = step["condition"]
        words += " (known only after the prediction time)" if step["looks_ahead"] else ""
        counts = f"{amount(step['episodes'], 'episodes')} of {amount(step['patients'], 'patients')}"
        out = (
            []
            if step["excluded"] in (None, 0)
            else [f"{amount(step['excluded'], 'episodes')} excluded"]
        )
        made.append(([*wrap(words, LETTERS[LEFT]), counts], out))
    return made


def files_words(kit: Kit, one: Any) -> str:
    """Films or reports: selected, unreadable, used; or why nothing is known."""
    letter, words = one["modality"], one["words"]
    words = kit.letters.get(letter, words) if words == letter else words
    if one["reason"]:
        return f"{words}: not known, {one['reason']}"
    text = f"{words}: {amount(one['selected'], 'selected')}"
    if one["episodes"] is not None:
        text += f", of {amount(one['episodes'], 'episodes')}"
    if one["unreadable"] is None:
        return f"{text}; {one['unreadable_reason'] or 'not read by this model'}"
    return f"{text}; {amount(one['unreadable'], 'unreadable')}; {amount(one['used'], 'used')}"


def flow(kit: Kit) -> Picture:
    """The diagram; its csv has a row per box."""
    title, told = "Selection of the episodes", kit.numbers["flow"]
    if not told["steps"]:
        return not_shown(title, "the result has no attrition")
    splits = "; ".join(
        f"{split_words(kit)[one['split']]} {amount(one['episodes'], 'episodes')}, "
        f"{amount(one['positives'], 'with the outcome')}"
        for one in told["splits"]
    )
    parts = [
        f"{step['condition']}: {amount(step['episodes'], 'episodes')}" for step in told["steps"]
    ]
    files = [files_words(kit, one) for one in told["files"]]
    notes = [f"Splits{of_first(kit)}", *files] if of_first(kit) else files
    alt = f"Flow diagram. {'; '.join(parts)}. Splits{of_first(kit)}: {splits}. {'. '.join(files)}"
    alt = alt.strip()
    rows = [
        {
            "box": "condition",
            "words": step["condition"],
            "episodes": step["episodes"],
            "patients": step["patients"],
            "excluded": step["excluded"],
        }
        for step in told["steps"]
    ]
    rows += [
        {
            "box": "split",
            "words": one["split"],
            "episodes": one["episodes"],
            "patients": one["patients"],
            "positives": one["positives"],
        }
        for one in told["splits"]
    ]
    rows += [{"box": "files", "words": one["words"], "episodes": one["episodes"],
              "selected": one["selected"], "unreadable": one["unreadable"], "used": one["used"]}
             for one in told["files"]]  # fmt: skip
    return Picture(title, alt, rows, lambda: _draw(kit, notes), wide=True)


def _draw(kit: Kit, files: list[str]) -> "Figure":
    """Boxes one below another; those excluded stand beside the arrow."""
    texts = steps(kit)
    heights = [LINE * len(lines) + PAD for lines, _ in texts]
    notes = [line for text in files for line in wrap(text, 128)]
    total = sum(heights) + GAP * len(heights) + LINE * 3 + PAD + 2 * GAP + LINE * len(notes)
    drawn = figure(DOUBLE, total * MM)
    drawn.set_layout_engine("none")
    panel = drawn.add_axes((0, 0, 1, 1))
    panel.set(xlim=(0, WIDTH), ylim=(total, 0))
    panel.set_axis_off()
    top, before = 1.0, None
    for (lines, out), height in zip(texts, heights, strict=True):
        box = (1.0, top, LEFT, height)
        if before:
            _arrow(panel, (1 + LEFT / 2, before), (1 + LEFT / 2, top))
        if out:
            middle = top - GAP / 2
            side = (LEFT + 11, middle - (LINE + PAD) / 2, SIDE, LINE + PAD)
            _arrow(panel, (1 + LEFT / 2, middle), (side[0], middle))
            _box(panel, side, out, OUT)
        _box(panel, box, lines, FILL)
        before, top = top + height, top + height + GAP
    _splits(panel, kit, before or top, top + GAP / 2)
    top += GAP / 2 + LINE * 3 + PAD + GAP
    for place, line in enumerate(notes):
        panel.text(1, top + place * LINE, line, fontsize=6.5, va="center")
    return drawn


def _splits(panel: "Axes", kit: Kit, start: float, top: float) -> None:
    splits, words = kit.numbers["flow"]["splits"], split_words(kit)
    width = (WIDTH - 2 - 3 * (len(splits) - 1)) / max(1, len(splits))
    middles = [1 + place * (width + 3) + width / 2 for place in range(len(splits))]
    bar, trunk = (start + top) / 2, 1 + LEFT / 2
    panel.plot([trunk, trunk], [start, bar], color="#404040", lw=0.7)
    panel.plot(
        [min([*middles, trunk]), max([*middles, trunk])], [bar, bar], color="#404040", lw=0.7
    )
    for middle, one in zip(middles, splits, strict=True):
        _arrow(panel, (middle, bar), (middle, top))
        lines = [words[one["split"]], f"{amount(one['episodes'], 'episodes')}",
                 f"{amount(one['positives'], 'with the outcome')}"]  # fmt: skip
        _box(panel, (middle - width / 2, top, width, LINE * 3 + PAD), lines, FILL)


def _box(panel: "Axes", box: Box, lines: list[str], colour: str) -> None:
    from matplotlib.patches import Rectangle

    left, top, width, height = box
    panel.add_patch(Rectangle((left, top), width, height, fc=colour, ec="#404040", lw=0.6))
    for place, line in enumerate(lines):
        y = top + PAD / 2 + LINE * (place + 0.5)
        panel.text(left + 2, y, line, fontsize=6.5, va="center")


def _arrow(panel: "Axes", start: tuple[float, float], end: tuple[float, float]) -> None:
    panel.annotate("", end, start, arrowprops={
        "arrowstyle": "-|>", "lw": 0.7, "color": "#404040", "shrinkA": 0, "shrinkB": 0,
        "mutation_scale": 6,
    })  # fmt: skip
