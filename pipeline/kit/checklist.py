"""The TRIPOD+AI checklist of a kit: where each item is answered, and what is for the authors.

27 items (Collins et al. 2024, BMJ 385:e078378) in our own short words. An item counts as answered
only where a file of the kit really holds the answer to all of it; partly where it holds some.
"""

import csv
from pathlib import Path

from pipeline.kit.calibration import calibrated_by, hidden_bins
from pipeline.kit.fitted import WAYS, weights_words
from pipeline.kit.inputs import Kit, listed
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
    """The items for one result: for the authors where it lacks them, partly where it hides some."""
    made = []
    for item in items():
        if lacks(kit, item["item"]):
            item |= {"status": "authors", "where": "the result has no such figures"}
        elif item["item"] == "13" and not weights_words(kit):
            item |= {"status": "authors", "where": ""}
        elif item["status"] == "answered" and (but := only_partly(kit, item["item"])):
            item |= {"status": "partly", "where": f"{item['where']}; {but}"}
        made.append(item)
    return made


def lacks(kit: Kit, item: str) -> bool:
    """Whether a result lacks the figures that an item needs."""
    numbers = kit.numbers
    if item in ("23a", "12e"):
        return kit.test["auroc"]["value"] is None
    need = NEEDS.get(item)
    if need == "calibration":
        return not shown_ways(kit)
    if need == "operating_points":
        return not any(one["reason"] is None for one in numbers["operating_points"])
    if need == "flow":
        return not numbers["flow"]["steps" if item == "6b" else "splits"]
    return need == "table_one" and not numbers["table_one"]["columns"]


def shown_ways(kit: Kit) -> list[str]:
    """The ways of recalibration that have figures, before and after."""
    shown = {one["method"] for one in kit.numbers["calibration"] if one["reason"] is None}
    return [way for way in WAYS if way in shown]


def only_partly(kit: Kit, item: str) -> str:
    """What is missing of an item that whole results answer; empty where nothing is."""
    if item in ("12f", "24"):
        without = [words for way, words in WAYS.items() if way not in shown_ways(kit)]
        return f"{listed(without)}: not shown" if without else ""
    if item in ("6b", "21"):
        flow = kit.numbers["flow"]
        own = (
            [one[key] for one in flow["steps"] for key in ("episodes", "patients", "excluded")]
            if item == "6b"
            else [
                one[key] for one in flow["splits"] for key in ("episodes", "patients", "positives")
            ]
        )
        return "small counts are hidden" if any(isinstance(count, str) for count in own) else ""
    if item in ("12e", "23a"):
        gone = unshown(kit)
        return f"without figures, or partly hidden: {listed(gone)}" if gone else ""
    return ""


def unshown(kit: Kit) -> list[str]:
    """The sections of performance that have no figures, or hide some of them."""
    numbers, own = kit.numbers, calibrated_by(kit)
    groups = [group for one in numbers["fairness"]["attributes"] for group in one["groups"]]
    gone = {
        "curves": kit.curves["roc"] is None or kit.curves["pr"] is None,
        "calibration": own is None or own["reason"] is not None or bool(
            hidden_bins(own["histogram"])),
        "decision curve": numbers["decision"]["reason"] is not None
        or bool(numbers["decision"]["hidden_at"]),
        "operating points": any(one["reason"] for one in numbers["operating_points"])
        or not numbers["operating_points"],
        "groups": not groups or any(
            group["reason"] or group["reason_at_threshold"] for group in groups),
    }  # fmt: skip
    return [words for words, true in gone.items() if true]


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
