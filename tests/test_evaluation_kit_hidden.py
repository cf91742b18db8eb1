"""No count of few episodes follows from the figures of a kit and of its result, taken together.

The attack knows everything that both show, and that counts add up: levels to columns, splits and
outcomes to all, groups to the test episodes, cells of the confusion matrix to a group, bars of the
histogram to what is called at a threshold. It is a linear programme over the unknown counts; for
each count that is 1 to 9 it asks for the least and the greatest number that fits.
"""

import json

import numpy as np
import polars as pl
import pytest
from measured_kits import hospital, made_kit, made_result, predictions
from scipy.optimize import linprog
from scipy.sparse import csr_matrix

from pipeline.evaluation.predictions import SPLITS
from pipeline.evaluation.sections import fairness, table_one
from pipeline.evaluation.sections.subgroups import ATTRIBUTES, MORE, UNKNOWN, grouped

FEW = 10
OUTCOMES = ("negative", "positive")


class Attack:
    """Unknown counts by name, with what is known of each, and sums of them that are equal."""

    def __init__(self):
        self.place, self.low, self.high, self.sums = {}, [], [], []

    def count(self, name):
        """The place of a count; at first it is anything from 0."""
        if name not in self.place:
            self.place[name] = len(self.low)
            self.low.append(0.0)
            self.high.append(np.inf)
        return self.place[name]

    def shown(self, name, value, exact=False):
        """What a table shows of a count: a multiple of 10, <10, hidden; or the exact number."""
        at = self.count(name)
        if value in (None, "hidden") or (isinstance(value, str) and value[0] == ">"):
            return
        low, high = (1, 9) if isinstance(value, str) else (value, value)
        if not isinstance(value, str) and not exact and value:
            assert value % 10 == 0, f"{name} is not rounded"
            low, high = max(FEW, value - 5), value + 4
        self.low[at], self.high[at] = max(self.low[at], low), min(self.high[at], high)

    def add_up(self, whole, parts):
        """The parts make the whole."""
        self.sums.append([(self.count(whole), -1.0), *((self.count(part), 1.0) for part in parts)])

    def range(self, name):
        """The least and the greatest whole number that a count may be."""
        rows = [row for row, terms in enumerate(self.sums) for _ in terms]
        columns, factors = zip(*(term for terms in self.sums for term in terms), strict=True)
        matrix = csr_matrix((factors, (rows, columns)), shape=(len(self.sums), len(self.low)))
        found = []
        for sign in (1, -1):
            goal = np.zeros(len(self.low))
            goal[self.place[name]] = sign
            bounds = list(zip(self.low, self.high, strict=True))
            made = linprog(goal, A_eq=matrix, b_eq=np.zeros(len(self.sums)), bounds=bounds)
            if made.status == 3:
                found.append(np.inf)
                continue
            assert made.status == 0, "what is shown contradicts itself"
            found.append(made.fun * sign)
        return np.ceil(found[0] - 1e-6), np.floor(found[1] + 1e-6)


def read_table_one(attack, table):
    for column in table["columns"]:
        attack.shown(("all", column["name"]), column["episodes"])
    names = [column["name"] for column in table["columns"]]
    attack.add_up(("all", "overall"), [("all", split) for split in SPLITS])
    attack.add_up(("all", "overall"), [("all", side) for side in OUTCOMES])
    for row in table["variables"]:
        if row["kind"] != "classes" or row["reason"]:
            continue
        kind, levels = row["variable"], [one["level"] for one in row["levels"]]
        for name in names:
            attack.shown((kind, UNKNOWN, name), row["missing"][name])
            for one in row["levels"]:
                attack.shown((kind, one["level"], name), one["cells"][name]["n"])
            attack.add_up(("all", name), [(kind, level, name) for level in (*levels, UNKNOWN)])
        for level in (*levels, UNKNOWN):
            for parts in (SPLITS, OUTCOMES):
                attack.add_up((kind, level, "overall"), [(kind, level, part) for part in parts])
        if kind.startswith("with_"):
            letter = kind[-1]
            for name in names:
                sets = [one["level"] for row in table["variables"]
                        if row["variable"] == "combination" for one in row["levels"]]  # fmt: skip
                inside = [("combination", one, name) for one in sets if letter in one != "none"]
                attack.add_up((kind, "yes", name), inside)


def read_result(attack, result):
    """The exact numbers of the result."""
    for split in SPLITS:
        part = result["metrics"][split]
        attack.shown(("all", split), part["n"], exact=True)
        attack.shown(("cases", split), part["positives"], exact=True)
        attack.add_up(("all", split), [("cases", split), ("controls", split)])
        for side, name in (("positive", "cases"), ("negative", "controls")):
            if split == "train":
                attack.add_up(("all", side), [(name, one) for one in SPLITS])
        counted = result["coverage"]["splits"][split]
        for letters, n in counted["combinations"].items():
            attack.shown(("combination", letters, split), n, exact=True)
        for letter, n in counted["modalities"].items():
            attack.shown((f"with_{letter}", "yes", split), n, exact=True)
    for kind, groups in result["subgroups"].items():
        for group in groups or []:
            name = (kind, group["group"], "test")
            attack.shown(name, group["n"], exact=True)
            attack.shown((*name, "cases"), group["positives"], exact=True)


def read_groups(attack, made):
    """Fairness: groups of the test episodes, and what they show at the threshold."""
    for attribute in made["fairness"]["attributes"]:
        kind, groups = attribute["attribute"], attribute["groups"]
        for group in groups:
            name = (kind, group["group"], "test")
            attack.shown(name, group["n"])
            attack.shown((*name, "cases"), group["positives"])
            attack.add_up(name, [(*name, "cases"), (*name, "controls")])
            attack.add_up((*name, "cases"), [(*name, "hit"), (*name, "missed")])
            attack.add_up((*name, "controls"), [(*name, "alarm"), (*name, "spared")])
        if groups:
            for part, whole in (("cases", ("cases", "test")), ("controls", ("controls", "test")),
                                ("hit", ("result", "true_positive")),
                                ("missed", ("result", "false_negative")),
                                ("alarm", ("result", "false_positive")),
                                ("spared", ("result", "true_negative"))):  # fmt: skip
                attack.add_up(whole, [(kind, g["group"], "test", part) for g in groups])


def read_points(attack, made, result):
    """Confusion matrices, and net benefit, which tells hits and alarms of all thresholds."""
    for point in made["operating_points"]:
        name = point["chosen_by"] if point["aim"] is None else (point["chosen_by"], point["aim"])
        if point["confusion"] is None:
            continue
        for cell, n in point["confusion"].items():
            attack.shown((name, cell), n)
        attack.add_up(("cases", "test"), [(name, "true_positive"), (name, "false_negative")])
        attack.add_up(("controls", "test"), [(name, "false_positive"), (name, "true_negative")])
    told = result["threshold"]
    if told["sensitivity"]["value"] is not None:
        hits = told["sensitivity"]["value"] * result["metrics"]["test"]["positives"]
        attack.shown(("result", "true_positive"), round(hits), exact=True)
    for split in made["flow"]["splits"]:
        attack.shown(("all", split["split"]), split["episodes"])
        attack.shown(("cases", split["split"]), split["positives"])


def read_bars(attack, made, truth):
    """The histogram beside the decision curve: whoever is called at a threshold is in a bar."""
    curves, bars = made["decision"], made["calibration"][0]["histogram"]
    if bars is None:
        return
    for side, whole in (("positives", "cases"), ("negatives", "controls")):
        names = [("bar", side, place) for place in range(len(bars[side]))]
        for name, n in zip(names, bars[side], strict=True):
            attack.shown(name, n)
        attack.add_up((whole, "test"), names)
        for place, at in enumerate(bars["edges"][1:-1], start=1):
            near = [k for k, one in enumerate(curves["thresholds"]) if abs(one - at) < 1e-9]
            attack.add_up(("called", side, place), names[place:])
            if near and curves["model"]["value"][near[0]] is not None:
                called = (truth["probability"] >= at) & (truth["label"] == (side == "positives"))
                attack.shown(("called", side, place), (called.sum() + 5) // 10 * 10)


def true_counts(folder):
    """Name → true number, of all counts of Table 1, groups and bars."""
    frame = pl.read_parquet(predictions(folder)[0])
    frame = frame.join(pl.read_parquet(folder / "true.parquet"), on="episode_id")
    masks = {"overall": pl.lit(True), "positive": pl.col("label") == 1,
             "negative": pl.col("label") == 0}  # fmt: skip
    masks |= {split: pl.col("split") == split for split in SPLITS}
    found = {}
    for kind in ("sex", "race", "insurance", "language", "care_unit"):
        for (level,) in frame.select(pl.col(kind).unique()).iter_rows():
            own = frame.filter(pl.col(kind) == level)
            for name, mask in masks.items():
                found[kind, level, name] = own.filter(mask).height
            test = own.filter(split="test")
            found[kind, level, "test", "cases"] = int(test["label"].sum())
            found[kind, level, "test", "controls"] = test.height - int(test["label"].sum())
    return found


def attributes(folder):
    """The groups as the kit has them, exact, of all episodes."""
    episodes = pl.read_parquet(folder / "episodes.parquet")
    more = pl.read_parquet(folder / "characteristics.parquet")
    grouped(episodes.join(more, on="episode_id"), {**ATTRIBUTES, **MORE}).write_parquet(
        folder / "true.parquet"
    )


def attacked(monkeypatch, folder, n, draw):
    """The small counts of a hospital, name → true number, and those that the attack tells."""
    folder = hospital(folder, n=n, draw=draw)
    attributes(folder)
    result = made_result(monkeypatch, folder, "--suppress-below", str(FEW))
    made = made_kit(monkeypatch, folder, "--suppress-below", str(FEW))
    attack = Attack()
    read_table_one(attack, made["table_one"])
    read_result(attack, result)
    read_groups(attack, made)
    read_points(attack, made, result)
    read_bars(attack, made, pl.read_parquet(predictions(folder)[0]).filter(split="test"))
    small = {name: true for name, true in true_counts(folder).items()
             if 0 < true < FEW and name in attack.place}  # fmt: skip
    told = {}
    for name, true in small.items():
        low, high = attack.range(name)
        assert low <= true <= high, (name, low, true, high)  # the attack knows nothing wrong
        if low == high:
            told[name] = true
    return small, told


@pytest.mark.parametrize(("draw", "n"), [(0, 400), (1, 500), (2, 700), (3, 900), (4, 1500)])
def test_no_small_count_follows_from_all_that_is_shown(monkeypatch, tmp_path, draw, n):
    small, told = attacked(monkeypatch, tmp_path, n, draw)
    assert len(small) > 10
    assert not told


def test_without_rounding_the_attack_tells_small_counts(monkeypatch, tmp_path):
    def exact(count, threshold, secret=False):
        return "hidden" if secret else f"<{threshold}" if 0 < count < threshold else int(count)

    for module in (table_one, fairness):
        monkeypatch.setattr(module, "rounded_count", exact)
    rounded = Attack.shown
    monkeypatch.setattr(Attack, "shown", lambda self, name, value, exact=False: rounded(
        self, name, value, exact or (isinstance(value, int) and value % 10 > 0)
    ))  # fmt: skip
    assert attacked(monkeypatch, tmp_path, 700, 3)[1]


def test_the_attack_finds_what_is_not_hidden():
    attack = Attack()
    attack.shown(("all", "test"), 103, exact=True)
    attack.shown("many", 100)
    attack.shown("few", "<10")
    attack.add_up(("all", "test"), ["many", "few"])
    assert attack.range("few") == (1, 8)
    attack.shown("many", 96, exact=True)
    assert attack.range("few") == (7, 7)


def test_everything_shown_is_rounded_or_hidden(monkeypatch, tmp_path):
    folder = hospital(tmp_path, n=700, draw=2)
    made_result(monkeypatch, folder, "--suppress-below", str(FEW))
    made = made_kit(monkeypatch, folder, "--suppress-below", str(FEW))
    counts = {
        "n",
        "episodes",
        "patients",
        "positives",
        "negatives",
        "excluded",
        "selected",
        "used",
        "unreadable",
        "true_positive",
        "false_positive",
        "false_negative",
        "true_negative",
    }

    def walk(value, key=""):
        if isinstance(value, dict):
            within = key == "missing"  # column → count
            return [
                found for name, one in value.items() for found in walk(one, "n" if within else name)
            ]
        if isinstance(value, list):
            return [found for one in value for found in walk(one, key)]
        return [value] if key in counts else []

    found = walk(made)
    assert len(found) > 200
    assert {value for value in found if isinstance(value, str)} <= {"<10", "hidden"}
    assert all(value % 10 == 0 for value in found if isinstance(value, int | float))
    assert "hidden" in found
    assert json.dumps(made).count('"hidden"') == found.count("hidden")
