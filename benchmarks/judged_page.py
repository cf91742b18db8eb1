"""Table and figure of docs/judge.md, from the record of judged.py.

python benchmarks/judged_page.py
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from record import REPOSITORY

sys.path.insert(0, str(REPOSITORY))

from matplotlib import rc_context
from matplotlib.figure import Figure

from pipeline.hospital.judge_words import number
from pipeline.report.drawing import MODEL, ORACLE, STYLE, save

RECORD = REPOSITORY / "benchmarks/records/judged.json"
PAGE, FIGURE = REPOSITORY / "docs/judge.md", REPOSITORY / "docs/judge.svg"
MARK = "<!-- judged -->"
HEADS = ("pipeline", "AUROC", "best reachable", "distance", "calibration slope", "the death, given "
         "the risk", "verdict", "into")  # fmt: skip


def table(made: Mapping[str, Any]) -> list[str]:
    """A line per pipeline."""
    lines = ["| " + " | ".join(HEADS) + " |", "|---" * len(HEADS) + "|"]
    for row in made["pipelines"]:
        found, leak = row["judgement"], row["judgement"]["leak"]
        cells = (
            f"{row['name']}: {row['what']}",
            number(found["auroc"]),
            f"{number(found['oracle_auroc'])}, `{found['modalities']}`",
            number(found["oracle_minus_model"]),
            number(found["calibration"]["slope"], 2),
            number(leak["outcome_beyond_risk"], 2),
            leak["verdict"],
            ", then ".join(map(" or ".join, leak["into"])) or "–",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def traps(made: Mapping[str, Any]) -> list[str]:
    """A line per trap: its correlation with the predictions of each pipeline, `apart`."""
    rows = made["pipelines"]
    names = [bait["name"] for bait in rows[0]["judgement"]["leak"]["baits"]]
    lines = ["| trap | " + " | ".join(row["name"] for row in rows) + " |"]
    lines.append("|---" * (len(rows) + 1) + "|")
    for place, name in enumerate(names):
        found = (row["judgement"]["leak"]["baits"][place]["apart"]["value"] for row in rows)
        cells = ["–" if value is None else f"{value:.2f}" for value in found]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def text(made: Mapping[str, Any]) -> str:
    """What stands between the marks of the page."""
    counts = made["pipelines"][0]["judgement"]["counts"]
    said = (
        f"{counts['judged']:,} test admissions of {counts['patients']:,} patients, "
        f"{counts['positives']:,} deaths, the same for all; hospital of {made['patients']:,} "
        "patients, seed 0."
    )
    middle = "Correlation with each trap, given the risk and the outcome (0 of honest predictions):"
    return "\n".join(["", said, "", *table(made), "", middle, "", *traps(made), ""])


def draw(made: Mapping[str, Any], output: Path) -> None:
    """AUROC and best reachable AUROC of each pipeline, with intervals."""
    rows = made["pipelines"]
    with rc_context(STYLE):
        drawn = Figure(figsize=(7.5, 0.6 * len(rows) + 1.2), layout="constrained")
        axes = drawn.subplots()
        looks = (("oracle_auroc", ORACLE, "D", 0.15, "best reachable"),
                 ("auroc", MODEL, "o", -0.15, "predictions"))  # fmt: skip
        for what, colour, marker, shift, label in looks:
            found = [row["judgement"][what] for row in rows]
            value = [each["value"] for each in found]
            ends = [[v - each["low"] for v, each in zip(value, found, strict=True)],
                    [each["high"] - v for v, each in zip(value, found, strict=True)]]  # fmt: skip
            places = [-k + shift for k in range(len(rows))]
            axes.errorbar(value, places, xerr=ends, fmt=marker, color=colour, markersize=5,
                          linewidth=1.2, label=label)  # fmt: skip
        axes.set_yticks([-k for k in range(len(rows))], [row["name"] for row in rows])
        axes.set_xlabel("AUROC, mortality at 48 h, same test admissions")
        axes.legend(frameon=False, loc="lower left")
        save(drawn, output, "AUROC of pipelines beside the best reachable")


def main() -> None:
    """Writes the table into the page, and the figure beside it."""
    made = json.loads(RECORD.read_text())
    before, _, rest = PAGE.read_text().partition(MARK)
    after = rest.partition(MARK)[2]
    PAGE.write_text(before + MARK + "\n" + text(made) + "\n" + MARK + after)
    draw(made, FIGURE)


if __name__ == "__main__":
    main()
