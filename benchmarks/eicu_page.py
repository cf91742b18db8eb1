"""Table of docs/hourly.md, from the record of eicu.py.

python benchmarks/eicu_page.py
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from record import REPOSITORY

sys.path.insert(0, str(REPOSITORY))

from pipeline.evaluation.statistics.significance import SEEDS
from pipeline.hospital.judge_words import number

RECORD, PAGE = REPOSITORY / "benchmarks/records/eicu.json", REPOSITORY / "docs/hourly.md"
MARK = "<!-- eicu -->"
HEADS = ("model", "AUROC", "average precision", "calibration slope", "encoder − model, paired")
CAVEAT = "**{} deaths carry little**: where a paired interval holds 0 nothing is shown."


def text(made: Mapping[str, Any]) -> str:
    """What stands between the marks of the page."""
    seeds = len(made["seeds"])
    over = "patients and training seeds" if seeds >= SEEDS else "patients alone"
    said = (
        f"{made['stays']:,} stays, {made['deaths']} deaths, {made['folds']} folds, {seeds} "
        f"seed{'s' * (seeds > 1)}; 95 % intervals over {over}. "
    )
    lines = ["| " + " | ".join(HEADS) + " |", "|---" * len(HEADS) + "|"]
    for row in made["models"]:
        gain = row["encoder_minus_model"]
        cells = (
            f"ours: {row['model']}" if row["ours"] else row["model"],
            number(row["auroc"]),
            number(row["average_precision"]),
            number(row["slope"], 2),
            number(gain) if gain else "",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(["", said + CAVEAT.format(made["deaths"]), "", *lines, ""])


def main() -> None:
    """Writes the table into the page."""
    before, _, rest = PAGE.read_text().partition(MARK)
    after = rest.partition(MARK)[2]
    made = json.loads(RECORD.read_text())
    PAGE.write_text(before + MARK + "\n" + text(made) + "\n" + MARK + after)


if __name__ == "__main__":
    main()
