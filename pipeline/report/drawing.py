"""What all figures share: style, colours, and how they are written.

The same result gives the same bytes: no date, and identifiers of an SVG derive from a fixed salt.
Text stays text, in the reader's sans-serif font.
"""

import logging
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.fusion.registry import MODELS, is_decoder
from pipeline.report.names import STATISTICS
from pipeline.stage.files import whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart with any colour vision; a shape each, without colour too
MODEL, ORACLE, REFERENCE, BAR = "#0072B2", "#D55E00", "#8C8C8C", "#595959"
LOOKS = (
    ("#000000", "o"),
    ("#0072B2", "s"),
    ("#D55E00", "D"),
    ("#009E73", "^"),
    ("#CC79A7", "v"),
    ("#56B4E9", "P"),
    ("#E69F00", "X"),
)
UNDATED: dict[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "png": {"Software": None},
}
UNIMED, OTHER = ("#7F3C8D", "h"), ("#8C8C8C", "*")

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


def look_of(model: str, hollow: bool = False) -> tuple[str, str, str]:
    """Colour, marker and face of a model, by its place in the registry; hollow: on statistics.

    >>> look_of("unimodal"), look_of("gbdt-stats"), look_of("new")
    (('#000000', 'o', '#000000'), ('#D55E00', 'D', 'white'), ('#8C8C8C', '*', '#8C8C8C'))
    """
    base = model.removesuffix(STATISTICS)
    known = [name for name in MODELS if not name.endswith(STATISTICS)]
    other = UNIMED if is_decoder(model) else OTHER
    colour, marker = LOOKS[known.index(base) % len(LOOKS)] if base in known else other
    return colour, marker, "white" if hollow or base != model else colour


def gaps(values: Iterable[float | None]) -> list[float]:
    """Values as a line is drawn: with gaps where they are hidden.

    >>> gaps([0.5, None])
    [0.5, nan]
    """
    return [math.nan if value is None else value for value in values]


def hidden_note(values: Iterable[float | None]) -> str:
    """What a legend says of a curve's gaps; empty where it has none.

    >>> hidden_note([0.5, None]), hidden_note([0.5, 0.7])
    ('\\nRounded counts; gaps: few in a cell', '')
    """
    return "\nRounded counts; gaps: few in a cell" if None in list(values) else ""


def save(drawn: "Figure", path: str | Path, title: str, style: Any = STYLE) -> None:
    """Writes the figure with a title for screen readers, whole or not at all, undated.

    As svg, pdf or png (300 dpi), by the ending of `path`.
    """
    from matplotlib import rc_context

    logging.getLogger("fontTools").setLevel(logging.WARNING)  # tells every table of a font
    kind = Path(path).suffix[1:]
    with rc_context(style), whole(path) as part:
        drawn.savefig(part, format=kind, dpi=300, metadata={**UNDATED[kind], "Title": title})
