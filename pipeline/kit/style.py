"""The one style of all figures of a kit: sizes of journals, for print, the same bytes each time.

Widths are those of one column (89 mm) and two (183 mm), as Nature and The Lancet have them; text is
6.5 to 8 points at that size. Colours are those of `pipeline.report.drawing`, told apart with any
colour vision. A legend stands below the panel, where it covers nothing and is never clipped.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from pipeline.kit.names import FORMATS
from pipeline.report import drawing
from pipeline.stage.files import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MM = 1 / 25.4  # inches
SINGLE, DOUBLE = 89 * MM, 183 * MM
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
GREY, PALE = "#6B6B6B", "#E8E8E8"
STYLE: Any = drawing.STYLE | {
    "svg.hashsalt": "kit",
    "pdf.fonttype": 42,  # fonts that a journal can edit
    "font.size": 7,
    "axes.titlesize": 8,
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#404040",
    "grid.linewidth": 0.4,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.2,
    "legend.fontsize": 6.5,
    "legend.title_fontsize": 6.5,
}

Row = dict[str, Any]


@dataclass(frozen=True)
class Picture:
    """A figure before it is drawn.

    `alt`: what it says, with numbers, for those who do not see it; `rows`: its numbers, of the csv;
    `reason`: why there is nothing to draw; `wide`: of two columns.
    """

    title: str
    alt: str = ""
    rows: Sequence[Row] = ()
    draw: "Callable[[], Figure] | None" = None
    reason: str | None = None
    wide: bool = False

    @property
    def shown(self) -> bool:
        """Whether there is something to see."""
        return self.draw is not None


def not_shown(title: str, reason: str | None) -> Picture:
    """A figure that has nothing to show, and says why."""
    why = reason or "the result has no such numbers"
    return Picture(title, f"{title}: not shown, {why}", [{"reason": why}], reason=why)


def figure(width: float, height: float) -> "Figure":
    """An empty figure of a size in inches, laid out so that nothing is clipped."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def legend(panel: "Axes", title: str | None = None, columns: int = 1, *more: "Axes") -> None:
    """The legend below a panel (and of `more`), where it covers nothing; `layout` makes room."""
    found = [one.get_legend_handles_labels() for one in (panel, *more)]
    handles = [handle for shown, _ in found for handle in shown]
    labels = [str(label) for _, words in found for label in words]
    if handles:
        panel.figure.legend(
            handles, labels, title=title, loc="outside lower left", ncols=columns, frameon=False,
            alignment="left", borderaxespad=0.2, columnspacing=1.2,
        )  # fmt: skip


def interval(
    panel: "Axes", estimate: Any, y: float, colour: str, marker: str = "o", hollow: bool = False
) -> None:
    """A value and its 95 % interval at a height; nothing where there is no value."""
    if estimate is None or estimate["value"] is None:
        return
    if estimate["low"] is not None:
        panel.plot([estimate["low"], estimate["high"]], [y, y], color=colour, lw=1, zorder=2)
    face = "white" if hollow else colour
    panel.plot(estimate["value"], y, color=colour, marker=marker, ms=3.6, mfc=face, zorder=3)


def _reason(picture: Picture) -> "Figure":
    drawn = figure(SINGLE, 22 * MM)
    text = fill(f"{picture.title}: not shown, {picture.reason}.", 62)
    drawn.text(0.02, 0.5, text, va="center", fontsize=7)
    return drawn


def write(picture: Picture, base: Path) -> None:
    """Writes a figure as svg, pdf and png of 300 dpi, and its numbers as csv: `base` and ending."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        drawn = picture.draw() if picture.draw else _reason(picture)
        drawn.draw_without_rendering()  # lays it out, once for all formats
        drawn.set_layout_engine("none")
    for kind in FORMATS:
        drawing.save(drawn, base.with_suffix(f".{kind}"), picture.title, STYLE)
    write_csv(base.with_suffix(".csv"), picture.rows)


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Rows as csv, whole or not at all; the columns are those of all rows, in order."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with whole(path) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
