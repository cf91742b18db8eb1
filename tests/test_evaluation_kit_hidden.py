"""No count of few episodes follows from a kit, its result and the result's curves, taken together.

The attack knows all counts that they show, those that follow from exact rates, and that counts add
up: levels to columns, splits and outcomes to all, combinations to modalities, groups to the test
episodes, cells of the confusion matrix to a group, bars of the histogram to what is called at a
threshold. Points of the curves lie between thresholds that are told: of a higher one neither count
is greater. It is a linear programme over the unknown counts; for each count that is 1 to 9 it asks
for the least and the greatest number that fits. Ends and middles of intervals tell no more than the
rounded values do: a test of its own.
"""

import json

import numpy as np
import polars as pl
import pytest
from measured_kits import hospital, made_kit, made_result, predictions
from scipy.optimize import linprog
from scipy.sparse import csr_matrix

from pipeline.cohort.rows import PREDICTIONS
from pipeline.evaluation.predictions import SPLITS
from pipeline.evaluation.sections import rounded_curves, table_one
from pipeline.evaluation.sections.subgroups import ATTRIBUTES, MORE, UNKNOWN, grouped
from pipeline.stage.tables import write_table

FEW = 10
OUTCOMES = ("negative", "positive")
CELLS = {"hit": "true_positive", "missed": "false_negative", "alarm": "false_positive",
         "spared": "true_negative"}  # fmt: skip


class Attack:
    """Unknown counts by name, with what is known of each, and sums of them that are equal.

    `seeds`: counts of calls are means over them. `every`: of a name of a split, its episodes of all
    folds, which the result counts; a kit's Table 1 and flow are of the first.
    """

    def __init__(self, seeds=1, folds=1):
        self.place, self.low, self.high, self.sums = {}, [], [], []
        self.seeds, self.folds = seeds, folds

    @property
    def runs(self):
        return self.seeds * self.folds

    def every(self, split):
        return split if self.folds == 1 else f"every {split}"

    def step(self, name):
        """What a count is a multiple of."""
        calls = isinstance(name, tuple) and (name[-1] in (*CELLS, *CELLS.values())
                                             or name[0] in ("bar", "called"))  # fmt: skip
        return 1 / self.seeds if calls else 1

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
        step = self.step(name)
        low, high = (step, FEW - step) if isinstance(value, str) else (value, value)
        if not isinstance(value, str) and not exact and value:
            assert value % 10 == 0, f"{name} is not rounded"
            low, high = max(FEW, value - 5), value + 5 - step
        self.low[at], self.high[at] = max(self.low[at], low), min(self.high[at], high)

    def add_up(self, whole, parts):
        """The parts make the whole."""
        self.sums.append([(self.count(whole), -1.0), *((self.count(part), 1.0) for part in parts)])

    def range(self, name):
        """The least and the greatest number that a count may be."""
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
        step = self.step(name)
        return np.ceil(found[0] / step - 1e-6) * step, np.floor(found[1] / step + 1e-6) * step


def read_table_one(attack, table):
    for column in table["columns"]:
        attack.shown(("all", column["name"]), column["episodes"])
    attack.add_up(("all", "overall"), [("all", split) for split in SPLITS])
    attack.add_up(("all", "overall"), [("all", side) for side in OUTCOMES])
    for side, name in (("positive", "cases"), ("negative", "controls")):
        attack.add_up(("all", side), [(name, split) for split in SPLITS])
    rows = {row["variable"]: row for row in table["variables"]
            if row["kind"] == "classes" and not row["reason"]}  # fmt: skip
    for kind, row in rows.items():
        read_levels(attack, kind, row)
    for kind in rows:
        for name in ("overall", *SPLITS, *OUTCOMES) if kind.startswith("with_") else ():
            inside = [("combination", one["level"], name) for one in rows["combination"]["levels"]
                      if kind[-1] in one["level"] != "none"]  # fmt: skip
            attack.add_up((kind, "yes", name), inside)


def read_levels(attack, kind, row):
    levels = [UNKNOWN, *(one["level"] for one in row["levels"])]
    for name, n in row["missing"].items():
        attack.shown((kind, UNKNOWN, name), n)
    for one in row["levels"]:
        for name, cell in one["cells"].items():
            attack.shown((kind, one["level"], name), cell["n"])
    for name in ("overall", *SPLITS, *OUTCOMES):
        attack.add_up(("all", name), [(kind, level, name) for level in levels])
    for level in levels:
        for parts in (SPLITS, OUTCOMES):
            attack.add_up((kind, level, "overall"), [(kind, level, part) for part in parts])


def read_result(attack, result):
    """The exact numbers of the result."""
    attack.shown(("all", "overall"), result["cohort"]["attrition"][-1]["episodes"], exact=True)
    for split in SPLITS:
        part, every = result["metrics"][split], attack.every(split)
        attack.shown(("all", every), part["n"], exact=True)
        attack.shown(("cases", every), part["positives"], exact=True)
        for one in dict.fromkeys((split, every)):
            attack.add_up(("all", one), [("cases", one), ("controls", one)])
        counted = result["coverage"]["splits"][split]
        for letters, n in counted["combinations"].items():
            attack.shown(("combination", letters, every), n, exact=True)
        for letter, n in counted["modalities"].items():
            attack.shown((f"with_{letter}", "yes", every), n, exact=True)
    for kind, groups in result["subgroups"].items():
        for group in groups or []:
            name = (kind, group["group"], attack.every("test"))
            attack.shown(name, group["n"], exact=True)
            attack.shown((*name, "cases"), group["positives"], exact=True)


def read_groups(attack, made):
    """Fairness: groups of the test episodes, exact, and the cells that follow from their rates."""
    for attribute in made["fairness"]["attributes"]:
        kind, groups = attribute["attribute"], attribute["groups"]
        for group in groups:
            name = (kind, group["group"], attack.every("test"))
            attack.shown(name, group["n"], exact=True)
            attack.shown((*name, "cases"), group["positives"], exact=True)
            attack.add_up(name, [(*name, "cases"), (*name, "controls")])
            attack.add_up((*name, "cases"), [(*name, "hit"), (*name, "missed")])
            attack.add_up((*name, "controls"), [(*name, "alarm"), (*name, "spared")])
            rates = (("hit", "sensitivity", group["positives"]), ("spared", "specificity", None))
            for cell, rate, whole in rates:
                if group[rate]["value"] is not None:
                    whole = group["n"] - group["positives"] if whole is None else whole
                    n = round(group[rate]["value"] * whole * attack.seeds) / attack.seeds
                    if attack.folds == 1:
                        attack.shown((*name, cell), n, exact=True)
        if groups:
            cells = {part: ("result", CELLS[part]) for part in CELLS}
            test = attack.every("test")
            wholes = {"cases": ("cases", test), "controls": ("controls", test), **cells}
            for part, whole in wholes.items():
                attack.add_up(whole, [(kind, g["group"], test, part) for g in groups])


def read_points(attack, made, result):
    """Confusion matrices: rounded, but exact at the result's threshold."""
    for point in made["operating_points"]:
        name = point["chosen_by"] if point["aim"] is None else (point["chosen_by"], point["aim"])
        if point["confusion"] is None:
            continue
        for cell, n in point["confusion"].items():
            attack.shown((name, cell), n, exact=name == "result")
        every = attack.every("test")
        attack.add_up(("cases", every), [(name, "true_positive"), (name, "false_negative")])
        attack.add_up(("controls", every), [(name, "false_positive"), (name, "true_negative")])
    told, test = result["threshold"], result["metrics"]["test"]
    if told["sensitivity"]["value"] is not None and attack.folds == 1:
        wholes = {"true_positive": ("sensitivity", test["positives"]),
                  "true_negative": ("specificity", test["n"] - test["positives"])}  # fmt: skip
        for cell, (rate, whole) in wholes.items():
            n = round(told[rate]["value"] * whole * attack.seeds) / attack.seeds
            attack.shown(("result", cell), n, exact=True)
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
        attack.add_up((whole, attack.every("test")), names)
        for place, at in enumerate(bars["edges"][1:-1], start=1):
            near = [k for k, one in enumerate(curves["thresholds"]) if abs(one - at) < 1e-9]
            attack.add_up(("called", side, place), names[place:])
            if near and attack.runs == 1 and curves["model"]["value"][near[0]] is not None:
                called = (truth["probability"] >= at) & (truth["label"] == (side == "positives"))
                attack.shown(("called", side, place), (called.sum() + 5) // 10 * 10)


def read_curves(attack, curves, made, result):
    """Points of ROC and precision-recall, and groups by risk, between the thresholds that are told.

    Where the threshold is higher, or one count is surely smaller, neither count is greater.
    """
    test = result["metrics"]["test"]
    wholes = test["positives"], test["n"] - test["positives"]
    nodes = called_in_bars(attack, made["calibration"][0]["histogram"]["edges"])
    for point in made["operating_points"]:
        name = point["chosen_by"] if point["aim"] is None else (point["chosen_by"], point["aim"])
        if point["confusion"] is not None:
            nodes.append(((name, "true_positive"), (name, "false_positive"),
                          point["by_run"][0]["threshold"]))  # fmt: skip
    nodes += curve_points(attack, curves["roc"], wholes, "alarm")
    nodes += curve_points(attack, curves["pr"], wholes, "hit")
    groups, exact = curves["calibration"], [0, 0]
    pairs = zip(groups["n"][::-1], groups["observed"][::-1], strict=True)
    for place, (n, share) in enumerate(pairs):
        exact = [exact[0] + round(n * share), exact[1] + round(n * (1 - share))]
        nodes.append((("group", place, "hit"), ("group", place, "alarm"), None))
        for name, count in zip(nodes[-1][:2], exact, strict=True):
            attack.shown(name, count, exact=True)
    narrow(attack, nodes)


def called_in_bars(attack, edges):
    """Those called at each edge: at least and at most as many as in the bars above it."""
    nodes = []
    for place, edge in list(enumerate(edges))[1:-1]:
        nodes.append((("called", "positives", place), ("called", "negatives", place), edge))
        for name in nodes[-1][:2]:
            bars = [attack.place["bar", name[1], k] for k in range(place, len(edges) - 1)]
            bound(attack, name, *(sum(of[bar] for bar in bars)
                                  for of in (attack.low, attack.high)))  # fmt: skip
    return nodes


def curve_points(attack, curve, wholes, placed):
    """Points of a curve: its places tell one count exactly, its values the other one rounded."""
    shown = [(n + FEW // 2) // FEW * FEW for n in wholes]
    roc, nodes = placed == "alarm", []
    x, y = (curve[key] for key in (("fpr", "tpr") if roc else ("recall", "precision")))
    for place, (at, value) in enumerate(zip(x, y, strict=True)):
        if value is None:
            continue
        hits = (value if roc else at) * shown[0]
        alarms = at * shown[1] if roc else hits / value - hits
        names = [(placed, place, side) for side in ("hit", "alarm")]
        for name, count, whole in zip(names, (hits, alarms), wholes, strict=True):
            near = round(count / FEW) * FEW
            assert abs(near - count) < 1e-2, "a point of a curve is not rounded"
            exact = name[2] == placed
            attack.shown(name, min(near, whole) if exact else near, exact=exact)
            bound(attack, name, 0, whole)
        nodes.append((*names, None))
    return nodes


def of_first(attack):
    """The episodes of a split of the first fold are among those of all folds."""
    for name in list(attack.place):
        at = [k for k, part in enumerate(name) if isinstance(part, str) and part[:6] == "every "]
        if at and name[at[0] + 1 :] == ():
            first = (*name[: at[0]], name[at[0]].removeprefix("every "))
            attack.add_up(name, [first, ("others", *name)])


def bound(attack, name, low, high):
    at = attack.count(name)
    attack.low[at], attack.high[at] = max(attack.low[at], low), min(attack.high[at], high)


def narrow(attack, nodes):
    """Bounds of counts from those of thresholds that are surely above or below."""
    at = np.array([[attack.count(hit), attack.count(alarm)] for hit, alarm, _ in nodes])  # (n, 2)
    cut = np.array([np.nan if threshold is None else threshold for *_, threshold in nodes])
    while True:
        low, high = (np.array(of)[at] for of in (attack.low, attack.high))
        above = (high[:, None] < low[None, :]).any(axis=2) | (cut[:, None] > cut[None, :])
        least = np.where(above[:, :, None], low[:, None], 0.0).max(axis=0)
        most = np.where(above[:, :, None], high[None, :], np.inf).min(axis=1)
        new_low, new_high = np.maximum(low, least), np.minimum(high, most)
        if (new_low == low).all() and (new_high == high).all():
            return
        for (hit, alarm), lows, highs in zip(at, new_low, new_high, strict=True):
            for place, one, other in zip((hit, alarm), lows, highs, strict=True):
                attack.low[place], attack.high[place] = float(one), float(other)


def true_counts(folder, result):
    """Name → true number of every count that the attack may ask for."""
    groups = pl.read_parquet(folder / "true.parquet")
    has = {letter: pl.read_parquet(folder / f"{name}.parquet")
           for letter, name in (("c", "films"), ("n", "notes"))}  # fmt: skip
    sets = pl.lit("e")
    for letter, table in has.items():
        inside = pl.col("episode_id").is_in(table["episode_id"].unique().to_list())
        groups = groups.with_columns(pl.when(inside).then(pl.lit("yes")).otherwise(pl.lit("no"))
                                     .alias(f"with_{letter}"))  # fmt: skip
        sets = sets + pl.when(inside).then(pl.lit(letter)).otherwise(pl.lit(""))
    groups = groups.with_columns(combination=sets)
    folds = [pl.read_parquet(path).join(groups, on="episode_id") for path in predictions(folder)]
    seeds = folds[0]["seed"].n_unique()
    frame = folds[0].filter(pl.col("seed") == pl.col("seed").min())
    every = "every " if len(folds) > 1 else ""
    masks = {"overall": pl.lit(True), "positive": pl.col("label") == 1,
             "negative": pl.col("label") == 0}  # fmt: skip
    for split in SPLITS:
        ids = pl.concat(fold.filter(split=split)["episode_id"] for fold in folds).unique()
        masks[f"{every}{split}"] = pl.col("episode_id").is_in(ids.to_list())
        masks[split] = pl.col("split") == split
    cuts = pl.DataFrame([{"fold": run.get("fold", 0), "seed": run["seed"], "cut": run["threshold"]}
                         for run in result["threshold"]["by_run"]],
                        schema={"fold": pl.Int64, "seed": pl.Int64, "cut": pl.Float64})  # fmt: skip
    test = pl.concat(fold.filter(split="test").with_columns(fold=pl.lit(k, pl.Int64))
                     for k, fold in enumerate(folds))  # fmt: skip
    called, label = pl.col("probability") >= pl.col("cut"), pl.col("label") == 1
    cells = {"hit": called & label, "missed": ~called & label, "alarm": called & ~label,
             "spared": ~called & ~label}  # fmt: skip
    test, found = test.join(cuts, on=["fold", "seed"], how="left"), {}
    for kind in (*ATTRIBUTES, *MORE, "admission_type", "with_c", "with_n", "combination"):
        for (level,) in frame.select(pl.col(kind).unique()).iter_rows():
            own, tested = (one.filter(pl.col(kind) == level) for one in (frame, test))
            for name, mask in masks.items():
                found[kind, level, name] = own.filter(mask).height
            name = (kind, level, f"{every}test")
            cases = int(own.filter(masks[f"{every}test"])["label"].sum())
            found |= {(*name, "cases"): cases, (*name, "controls"): found[name] - cases}
            found |= {(*name, cell): tested.filter(mask).height / seeds
                      for cell, mask in cells.items()}  # fmt: skip
    for split in dict.fromkeys((*SPLITS, *(f"{every}{split}" for split in SPLITS))):
        part = frame.filter(masks[split])["label"]
        found["cases", split] = int(part.sum())
        found["controls", split] = len(part) - int(part.sum())
    for side, value in (("positives", 1), ("negatives", 0)):
        scores = test.filter(label=value)["probability"].to_numpy()
        for place, n in enumerate(np.histogram(scores, np.linspace(0, 1, 21))[0].tolist()):
            found["bar", side, place] = n / seeds
    return found


def attributes(folder):
    """The groups as the kit has them, exact, of all episodes."""
    episodes = pl.read_parquet(folder / "episodes.parquet")
    more = pl.read_parquet(folder / "characteristics.parquet")
    groups = grouped(episodes.join(more, on="episode_id"), {**ATTRIBUTES, **MORE})
    own = episodes.select("episode_id", "admission_type")
    groups.join(own, on="episode_id").write_parquet(folder / "true.parquet")


def attacked(monkeypatch, folder, n, draw, change=None, **more):
    """The small counts of a hospital, name → true number, and those that the attack tells."""
    folder = hospital(folder, n=n, draw=draw, **more)
    if change:
        change(folder)
    attributes(folder)
    result = made_result(monkeypatch, folder, "--suppress-below", str(FEW))
    made = made_kit(monkeypatch, folder, "--suppress-below", str(FEW))
    attack = Attack(len(made["head"]["seeds"]), made["head"]["folds"])
    read_table_one(attack, made["table_one"])
    read_result(attack, result)
    read_groups(attack, made)
    read_points(attack, made, result)
    read_bars(attack, made, pl.read_parquet(predictions(folder)[0]).filter(split="test"))
    curves = json.loads((folder / "curves.json").read_text())
    if attack.folds > 1:
        of_first(attack)
    if curves["roc"] is not None and attack.runs == 1:
        read_curves(attack, curves, made, result)
    small = {name: true for name, true in true_counts(folder, result).items()
             if 0 < true < FEW and name in attack.place}  # fmt: skip
    told = {}
    for name, true in small.items():
        low, high = attack.range(name)
        assert low <= true <= high, (name, low, true, high)  # the attack knows nothing wrong
        if low == high:
            told[name] = true
    return small, told


# the last three: of those that once told a combination
DRAWS = [(0, 400), (1, 500), (2, 700), (3, 900), (4, 1500), (106, 3000), (124, 700), (134, 3000)]


@pytest.mark.parametrize(("draw", "n"), DRAWS)
def test_no_small_count_follows_from_all_that_is_shown(monkeypatch, tmp_path, draw, n):
    prevalence = 0.2 if (draw // 4) % 2 == 0 else 0.05
    small, told = attacked(monkeypatch, tmp_path, n, draw, prevalence=prevalence)
    assert len(small) > 10
    assert not told


@pytest.mark.parametrize("more", [{"folds": 3}, {"seeds": 2}])
def test_nor_with_several_folds_or_seeds(monkeypatch, tmp_path, more):
    small, told = attacked(monkeypatch, tmp_path, 700, 5, prevalence=0.1, **more)
    assert len(small) > 10
    assert any(len(name) == 4 or "every" in str(name) for name in small)
    assert not told


def few_positives(folder):
    """9 positives of validation, and a number of the others that ends in 6."""
    path = predictions(folder)[0]
    table = pl.read_parquet(path).sort("episode_id")
    label, split = table["label"].to_numpy().copy(), table["split"].to_numpy()

    def make(of, count):
        rows = np.flatnonzero(split == of)
        label[rows] = 0
        label[rows[:count]] = 1

    make("val", 9)
    others = int(label[(split != "val") & (split != "train")].sum())
    make("train", 40 + (6 - others) % 10)
    write_table(table.with_columns(label=pl.Series(label)), path, PREDICTIONS)
    labels = pl.read_parquet(folder / "labels.parquet").sort("episode_id")
    labels.with_columns(label=pl.Series(label)).write_parquet(folder / "labels.parquet")


def test_few_positives_of_validation_do_not_follow_from_the_outcomes(monkeypatch, tmp_path):
    small, told = attacked(monkeypatch, tmp_path, 1000, 2, few_positives, prevalence=0.04)
    assert small["cases", "val"] == 9
    assert not told
    made = json.loads((tmp_path / "numbers.json").read_text())
    assert "hides" not in made["table_one"] and made["table_one"]["reason_outcome"]
    assert {column["name"] for column in made["table_one"]["columns"]} == {"overall", *SPLITS}
    shown = {split["split"]: split["positives"] for split in made["flow"]["splits"]}
    assert [name for name, n in shown.items() if n == "hidden"] == ["val"]  # as in the result
    aims = [point for point in made["operating_points"] if point["aim"] is not None]
    assert all(point["reason"].startswith("validation: fewer than 10") for point in aims)


def test_ends_of_intervals_tell_no_more_than_rounded_counts(monkeypatch, tmp_path):
    folder = hospital(tmp_path, n=1500, draw=1)
    result = made_result(monkeypatch, folder, "--suppress-below", str(FEW))
    made = made_kit(monkeypatch, folder, "--suppress-below", str(FEW))
    wholes = {"sensitivity": ("true_positive", "false_negative"), "ppv": ("true_positive",
              "false_positive"), "npv": ("true_negative", "false_negative")}  # fmt: skip
    ends = []
    for point in made["operating_points"]:
        if point["confusion"] is None:
            continue
        if point["aim"] is None:  # as the result has it
            assert point["sensitivity"] == result["threshold"]["sensitivity"]
            continue
        for name, cells in wholes.items():
            whole = sum(point["confusion"][cell] for cell in cells)
            ends += [point[name][end] * whole / FEW for end in ("low", "high")
                     if 0 < point[name][end] < 1]  # fmt: skip
    assert len(ends) > 10
    assert np.abs(ends - np.round(ends)).max() < 1e-3
    curve, n = made["decision"]["model"], result["metrics"]["test"]["n"]
    pairs = zip(curve["low"], curve["value"], strict=True)
    low = np.array([end for end, value in pairs if end is not None and end != value]) * n / FEW
    assert len(low) > 5
    assert np.abs(low - np.round(low)).max() < 1e-3


def test_without_rounding_the_attack_tells_small_counts(monkeypatch, tmp_path):
    def exact(count, threshold, secret=False):
        return "hidden" if secret else f"<{threshold}" if 0 < count < threshold else int(count)

    def by_column(table, who, also=()):
        return {name for name, flags in who.items() if 0 < (flags & table.inside["test"]).sum() < 5}

    monkeypatch.setattr(table_one, "rounded_count", exact)
    monkeypatch.setattr(table_one.Table, "hidden", by_column)
    rounded = Attack.shown
    monkeypatch.setattr(Attack, "shown", lambda self, name, value, exact=False: rounded(
        self, name, value, exact or (isinstance(value, int) and value % 10 > 0)
    ))  # fmt: skip
    assert attacked(monkeypatch, tmp_path, 700, 3)[1]


def test_exact_curves_are_seen(monkeypatch, tmp_path):
    monkeypatch.setattr(rounded_curves, "rounded_count", lambda count, threshold: int(count))
    with pytest.raises(AssertionError, match="a point of a curve is not rounded"):
        attacked(monkeypatch, tmp_path, 400, 0)


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

    for attribute in made["fairness"]["attributes"]:  # exact, as the result's subgroups
        for group in attribute["groups"]:
            del group["n"], group["positives"]
    assert made["operating_points"][-1].pop("chosen_by") == "result"
    del made["operating_points"][-1]["confusion"]
    found = walk(made)
    assert len(found) > 200
    assert {value for value in found if isinstance(value, str)} <= {"<10", "hidden"}
    assert all(value % 10 == 0 for value in found if isinstance(value, int | float))
    assert "hidden" in found
    assert json.dumps(made).count('"hidden"') == found.count("hidden")
    for row in made["table_one"]["variables"]:  # hidden in a column: hidden in all
        for level in row["levels"] if not row["variable"].startswith(("with_", "comb")) else []:
            assert len({cell["n"] == "hidden" for cell in level["cells"].values()}) == 1
