"""Curves of a result on its test episodes, a row per task, as one SVG.

ROC, precision-recall and calibration of a binary task, and AUROC with modalities made missing where
the result has it; of diagnoses the recall among the first k groups beside its ceiling and the prior
(groups ranked by their frequency in training). Aggregates only.
"""

from typing import TYPE_CHECKING, Any

from pipeline.report.drawing import STYLE, save
from pipeline.report.names import Letters, add_words_argument, letters_of, task_words, unit_words
from pipeline.report.panels import draw_task
from pipeline.report.results import Part, Result, is_ranked
from pipeline.report.verdicts import averaged, interval_words
from pipeline.stage.command import parser, run
from pipeline.stage.files import read_json
from pipeline.stage.result import read_result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 4.2, 4.5  # inches of a panel


def figure(result: Result, curves: dict[str, Any], letters: Letters) -> "Figure":
    """A row of panels per task; `curves`: of each task, or of the one task of a flat result."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    parts, order = result["tasks"], result["modalities"]
    with rc_context(STYLE):
        count = 4 if any(part.get("missing") for part in parts.values()) else 3
        if "tasks" not in curves:
            (part,) = parts.values()
            drawn = Figure(figsize=(WIDTH * count, 4.7), layout="constrained")
            draw_task(drawn, part, curves, order, letters)
            drawn.suptitle(_title(result, part), x=0.01, ha="left", fontsize=10)
            return drawn
        size = (round(WIDTH * count, 1), HEIGHT * len(parts) + 0.3)
        drawn = Figure(figsize=size, layout="constrained")
        rows = drawn.subfigures(len(parts), 1, squeeze=False)[:, 0]
        for row, (task, part) in zip(rows, parts.items(), strict=True):
            row.suptitle(_task_title(task, part), x=0.01, ha="left", fontsize=10)
            draw_task(row, part, curves["tasks"][task], order, letters)
        drawn.suptitle(_tasks_title(result), x=0.01, ha="left")
    return drawn


def _title(result: Result, part: Part) -> str:
    test = part["metrics"]["test"]
    runs = f", {mean}" if (mean := averaged(result)) else ""
    return (
        f"{result['target']}, {result['protocol']} protocol: {test['n']} test episodes of "
        f"{test['patients']} patients, {test['positives']} positive{runs}; "
        f"{interval_words([result], 'bands')}"
    )


def _tasks_title(result: Result) -> str:
    runs = f"; {mean}" if (mean := averaged(result)) else ""
    bands = interval_words([result], "bands")
    return f"{result['target']}, {result['protocol']} protocol{runs}; {bands}"


def _task_title(task: str, part: Part) -> str:
    test = part["metrics"]["test"]
    who = f"{task_words(task)}: {test['n']} test {unit_words(task)} of {test['patients']} patients"
    if is_ranked(part):
        sizes = " / ".join(map(str, part["vocabulary"]))
        return f"{who}, {test['with_group']} with one of {sizes} groups"
    return f"{who}, {test['positives']} positive"


def main() -> None:
    """Reads a result and its curves, writes the picture."""
    arguments = parser(__doc__)
    arguments.add_argument("--result", required=True, help="the result, JSON")
    arguments.add_argument("--curves", required=True, help="its curves, JSON")
    arguments.add_argument("--output", required=True, help="the picture, SVG")
    add_words_argument(arguments)
    args = arguments.parse_args()
    result = read_result(args.result)
    save(figure(result, read_json(args.curves), letters_of(args)), args.output, result["target"])


if __name__ == "__main__":
    run(main)
