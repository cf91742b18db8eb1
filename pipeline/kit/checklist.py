"""The TRIPOD+AI checklist of a kit: where each item is answered, and what is for the authors.

27 items (Collins et al. 2024, BMJ 385:e078378) in our own short words. An item counts as answered
only where a file of the kit really holds the answer to all of it; partly where it holds some.
"""

import csv
from pathlib import Path

from pipeline.kit.inputs import Kit
from pipeline.report.numbers import table

ITEMS = Path(__file__).parent / "checklist.csv"
AUTHORS = "for the authors"
# item → the section of the numbers that must have figures, so that the item is answered
NEEDS = {"12f": "calibration", "24": "calibration", "20c": "table_one", "15": "operating_points",
         "6b": "flow", "21": "flow"}  # fmt: skip


def items() -> list[dict[str, str]]:
    """Item, section, what it asks for, status (answered, partly, authors) and where."""
    with ITEMS.open(newline="") as file:
        return list(csv.DictReader(file))


def judged(kit: Kit) -> list[dict[str, str]]:
    """The items for one result: those whose figures it lacks are for the authors."""
    made = []
    for item in items():
        if lacks(kit, item["item"]):
            item |= {"status": "authors", "where": "the result has no such figures"}
        made.append(item)
    return made


def lacks(kit: Kit, item: str) -> bool:
    """Whether a result lacks the figures that an item needs."""
    numbers = kit.numbers
    if item in ("23a", "12e"):
        return kit.test["auroc"]["value"] is None
    need = NEEDS.get(item)
    if need == "calibration":
        scaled = [one for one in numbers["calibration"] if one["method"] != "none"]
        return not any(one["reason"] is None for one in scaled)
    if need == "operating_points":
        return not any(one["reason"] is None for one in numbers["operating_points"])
    if need == "flow":
        return not numbers["flow"]["steps" if item == "6b" else "splits"]
    return need == "table_one" and not numbers["table_one"]["columns"]


def where(item: dict[str, str]) -> str:
    """Where an item is answered, in words."""
    if item["status"] == "authors":
        return f"{AUTHORS} ({item['where']})" if item["where"] else AUTHORS
    return f"{'partly: ' if item['status'] == 'partly' else ''}{item['where']}"


def markdown(kit: Kit) -> str:
    """The checklist as a page."""
    own = judged(kit)
    counts = {status: sum(item["status"] == status for item in own)
              for status in ("answered", "partly", "authors")}  # fmt: skip
    lines = [[item["item"], item["section"], item["about"], where(item)] for item in own]
    return "\n\n".join([
        f"# TRIPOD+AI checklist: {kit.name}",
        "Items of TRIPOD+AI (Collins et al. 2024, BMJ 385:e078378) in short words of our own; the "
        "wording that counts is the original's. Study: development with internal evaluation. Of "
        f"{len(own)} items and sub-items {counts['answered']} are answered by the kit, "
        f"{counts['partly']} partly; {counts['authors']} only the authors can answer.",
        table(["item", "section", "asks for", "answered"], lines, words=4),
    ]) + "\n"  # fmt: skip
