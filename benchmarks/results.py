"""Writes RESULTS.md from the records of the benchmarks: every figure in it is a measured one.

python benchmarks/results.py --records benchmarks/records --size full --output RESULTS.md
"""

import argparse
import json
from pathlib import Path
from typing import Any

from record import spread

QUESTIONS = {  # in the order of the page; why one may have no record
    **dict.fromkeys(("extraction", "meds", "stages", "films", "doc2vec", "training", "startup",
                     "reruns"),
                    "it was left out of the run"),
    "precision": "it was left out of the run",
    "gpu": "it needs a machine with CUDA (make bench QUESTIONS=gpu)",
    "full_size": "it takes half an hour of its own (make bench QUESTIONS=full_size)",
    "full_run": "it takes hours (make bench QUESTIONS=full_run)",
    "load": "it takes hours (make bench QUESTIONS=load)",
    "learning_curve": "it takes hours (make bench QUESTIONS=learning_curve)",
    "chain": "it takes an hour (make bench QUESTIONS=chain)",
    "predict": "it trains a model first (make bench QUESTIONS=predict)",
}  # fmt: skip
HEAD = """# What is fast, what it is compared with, and what limits it

Made by `make bench BENCH={size}`; no figure here is typed by hand. Each is the median of the runs,
with minimum and maximum where there are several; memory is that of the largest process. What is
compared ran in turn, on the same machine; stages of the pipeline, MIMIC_IV_MEDS and the run that
reruns are computed from ran once. "Writes": to a file system on disk, temporary files too.
"""


def digits(values: list[float]) -> int:
    """Digits after the point that a reader wants to see of such values.

    >>> digits([0.123]), digits([12.3]), digits([1234.5])
    (2, 1, 0)
    """
    largest = max(map(abs, values), default=0)
    return 0 if largest >= 100 else 1 if largest >= 10 else 2


def row(measured: dict[str, Any]) -> str:
    """One line of a table."""
    values, peak = measured["values"], measured["peak_mb"]
    memory = f"{peak:,} MB" if peak else ""
    shown = f"{spread(values, digits(values))} {measured['unit']}"
    return f"| {measured['what']} | {shown} | {memory} | {measured['note']} |"


def section(record: dict[str, Any]) -> str:
    """A question: what was measured, what was asked, what limits it."""
    lines = [f"## {record['title']}", "", record["machine"], ""]
    if record["rows"]:
        lines += ["| | | memory | |", "|---|---|---|---|", *map(row, record["rows"]), ""]
    if record["asked"]:
        lines += ["| asked | found | |", "|---|---|---|"]
        lines += [
            f"| {each['asked']} | {each['found']} | {'met' if each['met'] else '**not met**'} |"
            for each in record["asked"]
        ]
        lines.append("")
    if record["limit"]:
        lines += [f"**What limits it now.** {record['limit']}", ""]
    return "\n".join(lines)


def of_question(path: Path) -> str:
    """The section of a question; without a record that it was not measured."""
    if path.exists():
        return section(json.loads(path.read_text()))
    return f"## {path.stem}\n\nNot measured here: {QUESTIONS[path.stem]}.\n"


def main() -> None:
    """Reads the records in the order given, writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, required=True, help="their folder")
    parser.add_argument("--size", required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    head = HEAD.format(size=given.size)
    sections = [of_question(given.records / f"{question}.json") for question in QUESTIONS]
    given.output.write_text("\n".join([head, *sections]))


if __name__ == "__main__":
    main()
