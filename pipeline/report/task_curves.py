"""Curves of every task of a result of ICU stays on its test stays, as one SVG.

A row per binary task: ROC, precision-recall, calibration; a panel for diagnoses: recall among the
first k groups beside its ceiling and the prior (groups ranked by their frequency in training).
Aggregates only; the same result gives the same bytes.
"""

from typing import TYPE_CHECKING, Any

from pipeline.report.curves import MODEL, ORACLE, REFERENCE, STYLE, draw_curves, save
from pipeline.report.numbers import averaged, interval_words, with_interval
from pipeline.report.task_names import in_words
from pipeline.stage.command import parser, run
from pipeline.stage.files import read_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 12.6, 4.5  # inches of a row
MARKED = "10"  # the k whose figures are in the legend


def figure(result: dict[str, Any], curves: dict[str, Any]) -> "Figure":
    """A row per task of a result (as `pipeline.evaluation.result` writes it)."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    tasks = result["tasks"]
    with rc_context(STYLE):
        drawn = Figure(figsize=(WIDTH, HEIGHT * len(tasks) + 0.3), layout="constrained")
        rows = drawn.subfigures(len(tasks), 1, squeeze=False)[:, 0]
        for row, (task, found) in zip(rows, tasks.items(), strict=True):
            row.suptitle(_title(task, found), x=0.01, ha="left", fontsize=10)
            if "vocabulary" in found:
                _recall(row.subplots(1, 1), found["metrics"]["test"], curves["tasks"][task])
            else:
                draw_curves(row.subplots(1, 3), found, curves["tasks"][task])
        mean = averaged(result)
        name = f"{result['target']}, {result['protocol']} protocol{'; ' if mean else ''}{mean}"
        drawn.suptitle(f"{name}; {interval_words([result], 'bands')}", x=0.01, ha="left")
    return drawn


def _title(task: str, found: dict[str, Any]) -> str:
    test = found["metrics"]["test"]
    who = f"{test['n']} test stays of {test['patients']} patients"
    if "vocabulary" in found:
        sizes = " / ".join(map(str, found["vocabulary"]))
        return f"{in_words(task)}: {who}, {test['with_group']} with one of {sizes} groups"
    return f"{in_words(task)}: {who}, {test['positives']} positive"


def _recall(panel: "Axes", test: dict[str, Any], curve: dict[str, Any]) -> None:
    """Recall against k; the legend names the figures at the marked k."""
    panel.set(xlabel="k: groups that are named", ylabel="Recall@k", ylim=(0, 1.01))
    panel.set_xlim(0, curve["k"][-1])
    panel.set_title("Recall of diagnosis groups")
    if curve["model"] is None:
        panel.text(curve["k"][-1] / 2, 0.5, f"not shown: {curve['reason']}", ha="center")
        return
    at = {
        kind: with_interval(test["recall"][MARKED][kind]) for kind in ("model", "ceiling", "prior")
    }
    panel.plot(curve["k"], curve["ceiling"], color=ORACLE, lw=1, ls="--",
               label=f"ceiling {at['ceiling']}")  # fmt: skip
    panel.fill_between(curve["k"], curve["low"], curve["high"], color=MODEL, alpha=0.18, lw=0)
    panel.plot(curve["k"], curve["model"], color=MODEL, lw=1.8, label=f"model {at['model']}")
    panel.plot(curve["k"], curve["prior"], color=REFERENCE, lw=1.2, ls=":",
               label=f"prior {at['prior']}")  # fmt: skip
    panel.legend(title=f"Recall@{MARKED} (95 % interval)", title_fontsize=8, loc="lower right",
                 framealpha=0.9, edgecolor="none", alignment="left")  # fmt: skip


def main() -> None:
    """Reads a result and its curves, writes the picture."""
    arguments = parser(__doc__)
    arguments.add_argument("--result", required=True, help="the result, JSON")
    arguments.add_argument("--curves", required=True, help="its curves, JSON")
    arguments.add_argument("--output", required=True, help="the picture, SVG")
    args = arguments.parse_args()
    result = read_json(args.result)
    save(figure(result, read_json(args.curves)), args.output, result["target"])


if __name__ == "__main__":
    run(main)
