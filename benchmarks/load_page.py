"""Table and figure of what each stage takes in hospitals of several sizes (load.py)."""

import sys
from collections.abc import Mapping, Sequence
from math import inf, log
from pathlib import Path
from typing import Any

from record import REPOSITORY
from workflow_runs import Cost

sys.path.insert(0, str(REPOSITORY))

from matplotlib import rc_context
from matplotlib.figure import Figure

from pipeline.report.drawing import LOOKS, STYLE, save

LEAST = 5.0  # seconds of processors that the last step in size costs: below it is noise
# a budget of steps, whatever the size; early ends differ
BUDGET = ("training.pretrain ehr", "training.pretrain cxr", "training.pretrain note")
FULL = 101_646  # admissions of full_run.py
MODELS = ("training", "fusion", "evaluation", "note.doc2vec", "note.vectors", "report")
HEAD = """# How stages grow with the hospital

Made by `make bench QUESTIONS=load`. Seconds are of processors, start-up included, of all jobs of a
stage; MB are of the largest process. **Start-up** is where the line through the two smaller sizes
meets 0 patients. **Slope**: of the log of time without start-up on the log of patients, over the
last step; of stages with two sizes start-up is not known: the slope is of the whole time. **Bend**:
what a further patient takes in the last step over what one took in the step before; 1 is linear,
1.10 was asked for. It is given where the last step costs {least:g} s or more and no budget of steps
ends the stage. The last column is the [run at full size](full_run.json): 101,646 admissions,
readings 5 times and reports 10 times as dense, 2 epochs of Doc2Vec, not 20, films of 1,500
admissions.
"""


Row = Mapping[int, Cost]  # patients → cost


def by_stage(hospitals: Sequence[Mapping[str, Any]]) -> dict[str, dict[int, Cost]]:
    """Stage → patients → its cost, in the order of the first hospital's stages."""
    table: dict[str, dict[int, Cost]] = {}
    for hospital in hospitals:
        for stage, cost in hospital["stages"].items():
            table.setdefault(stage, {})[hospital["patients"]] = Cost(**cost)
    return table


def start_up(row: Row) -> float:
    """Seconds at 0 patients, by the line through the two smaller of three sizes; else 0.

    >>> start_up({1000: Cost(7), 2000: Cost(9), 8000: Cost(21)})
    5.0
    """
    if len(row) < 3:
        return 0.0
    (first, one), (second, two), *_ = sorted(row.items())
    return min(max(0.0, one.cpu - first * (two.cpu - one.cpu) / (second - first)), one.cpu)


def slope(row: Row) -> float | None:
    """The slope of log time (without start-up) on log patients, of the last step in size.

    >>> slope({1000: Cost(7), 2000: Cost(9), 8000: Cost(21)})
    1.0
    >>> slope({1000: Cost(7)})
    """
    if len(row) < 2:
        return None
    *_, (before, smaller), (last, larger) = sorted(row.items())
    small, large = (max(cost.cpu - start_up(row), 0.01) for cost in (smaller, larger))
    return log(large / small) / log(last / before)


def bend(row: Row) -> float | None:
    """What a patient more takes in the last step in size, over that of the step before.

    None where there are not three sizes, or the last step costs less than `LEAST` seconds.

    >>> bend({1000: Cost(7), 2000: Cost(9), 8000: Cost(21)}), bend({1: Cost(), 2: Cost()})
    (1.0, None)
    """
    if len(row) < 3:
        return None
    (n1, first), (n2, second), (n3, third) = sorted(row.items())[-3:]
    if third.cpu - second.cpu < LEAST:
        return None
    earlier = (second.cpu - first.cpu) / (n2 - n1)
    return (third.cpu - second.cpu) / (n3 - n2) / earlier if earlier > 0 else inf


def growth(row: Row) -> float | None:
    """Peak memory at the largest size over that at the size before."""
    peaks = [cost.peak_mb for _, cost in sorted(row.items())]
    return peaks[-1] / peaks[-2] if len(peaks) > 1 else None


def page(hospitals: Sequence[Mapping[str, Any]], full: Mapping[str, Cost],
         why: Mapping[str, str]) -> str:  # fmt: skip
    """The table of every stage, and why those bend that do; Markdown."""
    sizes = [hospital["patients"] for hospital in hospitals]
    lines = [HEAD.format(least=LEAST)]
    for hospital in hospitals:
        counts = ", ".join(f"{count:,} of {name}" for name, count in hospital["rows"].items())
        lines.append(f"* {hospital['patients']:,} patients, `{hospital['target']}`: {counts} rows")
    heads = [*(f"{n:,} patients" for n in sizes), "start-up", "slope", "bend", "memory of the last "
             "size over the one before", "101,646 admissions"]  # fmt: skip
    lines += ["", "| stage | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for stage, row in by_stage(hospitals).items():
        cells = [_cost(row.get(n)) for n in sizes]
        cells.append(f"{start_up(row):.1f} s" if len(row) > 2 else "")
        bent = None if stage in BUDGET else bend(row)
        cells += [_number(slope(row)), _number(bent), _number(growth(row))]
        cells.append(_cost(full.get(stage)))
        lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    lines += ["", "## What bends, and why", "", *(f"* **{s}**: {w}" for s, w in why.items())]
    return "\n".join(lines) + "\n"


def _cost(cost: Cost | None) -> str:
    return f"{cost.cpu:.1f} s, {cost.peak_mb:,} MB" if cost else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def draw(hospitals: Sequence[Mapping[str, Any]], full: Mapping[str, Cost],
         output: Path) -> None:  # fmt: skip
    """Time and memory on admissions, log-log, of stages that take long; hollow: the record."""
    table = by_stage(hospitals)
    admissions = {h["patients"]: h["rows"]["admissions"] for h in hospitals}
    shown = {name: row for name, row in table.items()
             if max(cost.cpu for cost in row.values()) >= LEAST}  # fmt: skip
    with rc_context(STYLE):
        drawn = Figure(figsize=(11, 9), layout="constrained")
        axes = drawn.subplots(2, 2, sharex=True, sharey="row")
        for column, of_models in enumerate((False, True)):
            names = [name for name in shown if name.startswith(MODELS) is of_models]
            for place, name in enumerate(names):
                _draw_stage(axes[:, column], place, name, shown[name], admissions,
                            full.get(name))  # fmt: skip
            _finish(axes[:, column], list(admissions.values()))
            axes[0, column].set_title("models and results" if of_models else "tables, films, text")
        drawn.suptitle("Time and memory of stages; dashed: linear. Hollow: 101,646 admissions, "
                       "readings 5 ×, reports 10 × as dense", x=0.01, ha="left")  # fmt: skip
        save(drawn, output, "Time and memory of each stage on hospitals of several sizes")


def _draw_stage(axes: Any, place: int, name: str, row: Row, admissions: Mapping[int, int],
                full: Cost | None) -> None:  # fmt: skip
    colour, marker = LOOKS[place % len(LOOKS)]
    line = "-" if place < len(LOOKS) else ":"
    sizes = [admissions[n] for n in row]
    for axis, what in zip(axes, ("cpu", "peak_mb"), strict=True):
        heights = [getattr(cost, what) for cost in row.values()]
        axis.plot(sizes, heights, line, color=colour, marker=marker, markersize=4, label=name)
        if full:
            height = getattr(full, what)
            axis.plot([FULL], [height], color=colour, marker=marker, markerfacecolor="white")


def _finish(axes: Any, sizes: Sequence[int]) -> None:
    """Scales, and the linear line."""
    time, memory = axes
    for axis in axes:
        axis.set(xscale="log", yscale="log")
        axis.grid(visible=True, which="both")
    for low in (0.1, 1, 10, 100):
        ends = [low, low * sizes[-1] / sizes[0]]
        time.plot([sizes[0], sizes[-1]], ends, "--", color="#8C8C8C", linewidth=0.7, zorder=0)
    time.set_ylabel("seconds of processors, start-up included")
    memory.set_ylabel("peak memory, MB")
    memory.set_xlabel("admissions")
    memory.legend(loc="upper left", bbox_to_anchor=(0, -0.14), ncols=2, frameon=False)
