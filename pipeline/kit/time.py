"""How early a model can tell: AUROC and calibration by the hours until the prediction.

    python -m pipeline.kit.time --results results/window_*h/{ecn_early,e_gbdt-stats}_mortality.json
        --output results/time/mortality

Writes one figure as svg, pdf and png, and its numbers as csv: `--output` and ending. The results
are of one task of admissions in experiments that differ by cohort.window_hours
(experiments/window_6h.yaml …). Each window is another cohort (who was in an ICU by then, and is
still in hospital): a line shows what one may expect at each, not how the same patients change.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipeline.kit.style import (
    COLOURS,
    DOUBLE,
    GREY,
    MARKERS,
    MM,
    Picture,
    Row,
    figure,
    legend,
    write,
)
from pipeline.report.names import model_words, task_words
from pipeline.report.numbers import columns, with_interval
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import tell
from pipeline.stage.result import Binary, Result, read_result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = {
    "auroc": "AUROC",
    "slope": "Calibration slope",
    "in_the_large": "Calibration in the large",
}
RIGHT = {"auroc": 0.5, "slope": 1.0, "in_the_large": 0.0}  # chance; right; right
ASIDE = 0.12  # of the distance of two windows: points of two models stand beside one another


def row_of(result: Result, path: str) -> Row:
    """What the figure shows of a result; `InputError` where it is of no single binary task, or
    does not say its hours."""
    names = list(result["tasks"])
    part = cast(Binary, result["tasks"][names[0]])
    if len(names) > 1 or "calibration" not in part:
        raise InputError(f"{path}: expected a result of one binary task, it has {', '.join(names)}")
    definition = part["definition"]
    if definition is None or definition["hours"] is None:
        raise InputError(f"{path}: it does not say how many hours it predicts after; make it again")
    test = part["metrics"]["test"]
    return {
        "target": result["target"], "task": names[0], "hours": definition["hours"],
        "experiment": result.get("experiment", ""), "n": test["n"],
        "positives": test["positives"], "reason": test["reason"], "auroc": test["auroc"],
        "slope": part["calibration"]["slope"], "in_the_large": part["calibration"]["intercept"],
    }  # fmt: skip


def rows_of(paths: Sequence[str]) -> list[Row]:
    """A row per result, by target in the order given, then by hours.

    Raises `InputError` where they are of several tasks, or two are of one target and window.
    """
    rows = [row_of(read_result(path), path) for path in paths]
    if len(tasks := list(dict.fromkeys(row["task"] for row in rows))) > 1:
        raise InputError(f"--results: of {' and '.join(tasks)}; a figure is of one task")
    targets = list(dict.fromkeys(row["target"] for row in rows))
    rows.sort(key=lambda row: (targets.index(row["target"]), row["hours"]))
    for row, after in pairwise(rows):
        if (row["target"], row["hours"]) == (after["target"], after["hours"]):
            raise InputError(
                f"--results: {row['target']} twice at {row['hours']:g} h; give each once"
            )
    return rows


def words_of(target: str) -> str:
    """A target for the legend: its model and the letters that it reads.

    >>> words_of("ecn_early_mortality")
    'early fusion (ecn)'
    """
    letters, model, _ = target.split("_", 2)
    return f"{model_words(model)} ({letters})"


def picture(rows: Sequence[Row]) -> Picture:
    """The figure, with its numbers."""
    task = task_words(rows[0]["task"])
    title = f"How early can it tell: {task} by hours after admission"
    told = [f"{words_of(row['target'])} at {row['hours']:g} h: AUROC {with_interval(row['auroc'])}"
            for row in rows]  # fmt: skip
    alt = f"{title}. {'; '.join(told)}. Each window is another cohort."
    return Picture(title, alt, [_flat(row) for row in rows], lambda: _drawn(rows), wide=True)


def _flat(row: Row) -> Row:
    """A row of the csv: an estimate takes three columns."""
    made: Row = {}
    for name, value in row.items():
        made |= columns(name, value) if name in FIGURES else {name: value}
    return made


def _drawn(rows: Sequence[Row]) -> "Figure":
    drawn = figure(DOUBLE, 72 * MM)
    hours = sorted({row["hours"] for row in rows})
    targets = list(dict.fromkeys(row["target"] for row in rows))
    for panel, (name, words) in zip(drawn.subplots(1, 3), FIGURES.items(), strict=True):
        panel.axhline(RIGHT[name], color=GREY, lw=0.8, ls=":")
        for place, target in enumerate(targets):
            own = [row for row in rows if row["target"] == target]
            _line(panel, own, name, hours, place, (place - (len(targets) - 1) / 2) * ASIDE)
        panel.set_title(words)
        panel.set_xticks(range(len(hours)), [f"{hour:g}" for hour in hours])
        panel.set(xlabel="Hours after admission", xlim=(-0.4, len(hours) - 0.6))
    legend(drawn.axes[0], columns=max(1, len(targets)))
    return drawn


def _line(
    panel: Any, rows: Sequence[Row], name: str, hours: list[float], place: int, aside: float
) -> None:
    """One model in one panel; a window without a figure is left out."""
    colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
    known = [row for row in rows if row[name]["value"] is not None]
    at = [hours.index(row["hours"]) + aside for row in known]
    panel.plot(at, [row[name]["value"] for row in known], color=colour, marker=marker,
               label=words_of(rows[0]["target"]))  # fmt: skip
    for x, row in zip(at, known, strict=True):
        if row[name]["low"] is not None:
            panel.plot([x, x], [row[name]["low"], row[name]["high"]], color=colour, lw=1)


def main() -> None:
    """Reads the results, writes the figure and its numbers."""
    arguments = parser(__doc__)
    arguments.add_argument("--results", nargs="+", required=True, help="of one task, JSON")
    arguments.add_argument("--output", required=True, type=Path, help="the figure, without ending")
    args = arguments.parse_args()
    rows = rows_of(args.results)
    write(picture(rows), args.output)
    tell("%s: %s results", str(args.output), str(len(rows)))


if __name__ == "__main__":
    run(main)
