"""Who has which modality: counts, what is hidden of them, and figures on the complete episodes."""

import json
import re
import sys

import jsonschema
import numpy as np
import polars as pl
import pytest
from scipy.optimize import linprog
from sklearn.metrics import roc_auc_score
from test_evaluation_comparison import compare_tables, tables
from test_evaluation_result import SCHEMA, evaluate, hospital
from test_evaluation_tasks import VALID
from test_evaluation_tasks import evaluate as evaluate_stays
from unimed_tables import stays, write

from pipeline.cohort.rows import ABSENT, PREDICTIONS
from pipeline.evaluation import attribution
from pipeline.evaluation.sections.coverage import NONE, Presence, coverage, parse, read_presence
from pipeline.report.words import words
from pipeline.stage.errors import InputError
from pipeline.stage.result import in_tasks
from pipeline.stage.tables import write_table

IDS = np.arange(400) + 20_000_000  # of `hospital`


def who(share, seed):
    """Some of the episodes, whatever their patient."""
    return IDS[np.random.default_rng(seed).random(len(IDS)) < share]


def listed(folder, **letters):
    """`--present` of modalities that these episodes have; None: not at hand."""
    given = {}
    for letter, ids in letters.items():
        if ids is None:
            given[letter] = {"reason": "no such table"}
            continue
        pl.DataFrame({"episode_id": np.repeat(ids, 2)}).write_parquet(folder / f"{letter}.parquet")
        given[letter] = {"table": f"{folder}/{letter}.parquet", "by": "selected"}
    return ["--present", json.dumps(given)]


def frame(ids, splits=("train", "test")):
    return pl.DataFrame({"episode_id": ids, "split": np.resize(splits, len(ids))})


def presence(**letters):
    return Presence(letters, dict.fromkeys(letters, "selected"), {})


def test_every_combination_is_counted_once_and_adds_up_to_its_modalities():
    known = presence(e=who(0.9, 0), c=who(0.2, 1), n=who(0.8, 2))
    found = coverage([frame(IDS)], known, 0, ("train", "test"))
    for name, ids in (("train", IDS[::2]), ("test", IDS[1::2])):
        own = found["splits"][name]
        has = {letter: {*own_ids.tolist()} for letter, own_ids in known.has.items()}
        assert own["n"] == 200 == sum(own["combinations"].values())
        for combination, count in own["combinations"].items():
            letters = "" if combination == NONE else combination
            plain = [i for i in ids if all((i in has[x]) == (x in letters) for x in "ecn")]
            assert count == len(plain)
        for letter in "ecn":
            assert own["modalities"][letter] == len(has[letter] & {*ids.tolist()})
    assert list(own["combinations"]) == ["e", "c", "n", "ec", "en", "cn", "ecn", NONE]


def reachable(found, letters="ecn"):
    """Lowest and highest count of each combination that is hidden, by all that is shown."""
    names = [*found["combinations"]]
    rows, totals = [np.ones(len(names))], [found["n"]]
    for name, count in found["combinations"].items():
        if count is not None:
            rows.append(np.array([own == name for own in names], float))
            totals.append(count)
    for letter, count in found["modalities"].items():
        if isinstance(count, int):  # ">n" follows from the combinations that are shown
            rows.append(np.array([own != NONE and letter in own for own in names], float))
            totals.append(count)
    ends = {}
    for k, name in enumerate(names):
        if found["combinations"][name] is None:
            one = np.eye(len(names))[k]
            low, high = (
                sign * linprog(sign * one, A_eq=np.array(rows), b_eq=totals).fun for sign in (1, -1)
            )
            ends[name] = (low, high)
    return ends


def test_a_few_episodes_of_a_combination_follow_from_nothing_that_is_shown():
    random, hid = np.random.default_rng(0), 0
    for _ in range(40):
        shares = random.choice([0.02, 0.05, 0.2, 0.5, 0.9, 0.99], 3)
        ids = np.arange(random.integers(40, 400))
        has = {x: ids[random.random(len(ids)) < p] for x, p in zip("ecn", shares, strict=True)}
        known = presence(**has)
        found = coverage([frame(ids, ("test",))], known, 10, ("test",))["splits"]["test"]
        counts = coverage([frame(ids, ("test",))], known, 0, ("test",))["splits"]["test"]
        ends = reachable(found)
        for name, count in counts["combinations"].items():
            if 0 < count < 10:
                low, high = ends[name]
                assert low <= count <= high and low < 1 and high >= 10
                hid += 1
            elif count == 0:
                assert found["combinations"][name] == 0  # that nobody has it may be known
            elif name not in ends:
                assert found["combinations"][name] == count
        for letter, count in found["modalities"].items():
            least = int(count[1:]) + 1 if isinstance(count, str) else count or 0
            assert least <= counts["modalities"][letter]
    assert hid > 50


def test_rows_before_the_horizon_count(tmp_path):
    films = {"episode_id": [1, 1, 2, 3], "minute": [9, 500, 250, 1]}
    pl.DataFrame(films).write_parquet(tmp_path / "films.parquet")

    def has(hours, table):
        return read_presence({"c": {"table": table, "by": "selected"}}, hours).has["c"].tolist()

    assert has(None, f"{tmp_path}/films.parquet") == [1, 2, 3]
    assert has(4, f"{tmp_path}/films.parquet") == [1, 3]
    with pytest.raises(InputError, match=r"nowhere\.parquet: cannot tell who has the modality"):
        has(4, f"{tmp_path}/nowhere.parquet")
    for text in ("{", "[]", '{"c": {"table": "x"}}'):
        with pytest.raises(InputError, match="--present: expected JSON"):
            parse(text)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return hospital(tmp_path_factory.mktemp("hospital"))


def test_figures_of_the_complete_episodes_are_those_of_a_table_without_the_others(
    monkeypatch, source, tmp_path
):
    has = {"e": IDS, "c": who(0.6, 1), "n": who(0.9, 2)}
    inside = pl.col("episode_id").is_in(np.intersect1d(has["c"], has["n"]).tolist())
    test = pl.read_parquet(source / "ecn_early_mortality.parquet").filter(split="test")
    absent = test.with_columns(
        modality=pl.lit("c"), rate=1.0, probability=pl.col("probability") / 2
    )
    write_table(absent, tmp_path / "absent.parquet", ABSENT)
    more = ["--absent", f"{tmp_path}/absent.parquet"]
    made, *_ = evaluate(monkeypatch, source, tmp_path / "a", *more, *listed(tmp_path, **has))
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    for path in source.iterdir():
        if path.match("*_unimodal_mortality.parquet") or path.match("*_early_mortality.parquet"):
            write_table(pl.read_parquet(path).filter(inside), fewer / path.name, PREDICTIONS)
        else:
            (fewer / path.name).write_bytes(path.read_bytes())
    write_table(absent.filter(inside), tmp_path / "absent.parquet", ABSENT)
    plain, *_ = evaluate(monkeypatch, fewer, tmp_path / "b", *more)
    assert made["complete"]["reason"] is None
    assert made["ceiling"]["population_auroc"] is not None
    plain["ceiling"]["population_auroc"] = None  # it is that of all episodes
    for part in ("metrics", "ceiling", "comparisons", "missing"):
        assert made["complete"][part] == plain[part]
    counts = made["coverage"]["splits"]["test"]["combinations"]
    assert made["complete"]["metrics"]["test"]["n"] == counts["ecn"] < counts["ecn"] + counts["en"]
    by_hand = test.filter(inside, seed=0).select("label", "probability")
    value = roc_auc_score(by_hand["label"], by_hand["probability"])
    assert made["complete"]["metrics"]["test"]["auroc"]["by_run"][0]["value"] == pytest.approx(
        value, abs=1e-6
    )
    said = words(in_tasks(made), tmp_path / "a.json", {"c": "chest films"})
    assert f"on the {counts['ecn']} test episodes with all modalities" in said
    assert "chest films" in said.split("Modalities")[1]


def test_without_the_films_of_a_source_nobody_is_known_to_be_complete(
    monkeypatch, source, tmp_path
):
    arguments = listed(tmp_path, e=IDS, c=None, n=who(0.9, 2))
    made, *_ = evaluate(monkeypatch, source, tmp_path / "out", *arguments)
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    assert made["complete"] == {
        "reason": "c: no such table",
        **dict.fromkeys(("metrics", "ceiling", "comparisons", "missing")),
    }
    test = made["coverage"]["splits"]["test"]
    assert test["modalities"]["c"] is None and test["modalities"]["e"] == 160
    assert [*test["combinations"]] == ["e", "n", "en", NONE]
    assert "c: no such table" in words(in_tasks(made), tmp_path / "out.json", {})


@pytest.mark.parametrize(
    ("has", "reason"),
    [
        (IDS[:0], "no episodes in this split"),
        (IDS[10:], "fewer than 10 positive or negative episodes are not complete"),
        (IDS[6:10], "hidden|fewer than 10 positive or negative episodes"),
    ],
)
def test_too_few_complete_episodes_or_too_few_others_have_no_figures(
    monkeypatch, source, tmp_path, has, reason
):
    arguments = [*listed(tmp_path, e=IDS, c=has), "--suppress-below", "10"]
    made, *_ = evaluate(monkeypatch, source, tmp_path / "out", *arguments)
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    assert re.match(reason, made["complete"]["reason"])
    assert made["complete"]["comparisons"] is made["complete"]["missing"] is None
    test = made["complete"]["metrics"]["test"]
    assert test["auroc"]["value"] is None and test["n"] in (0, None)
    assert made["metrics"]["test"]["auroc"]["value"] is not None


def test_where_validation_is_withheld_that_of_the_singles_is_as_well(monkeypatch, source, tmp_path):
    test = pl.read_parquet(source / "ecn_early_mortality.parquet").filter(seed=0)
    lacking = [
        test.filter(split=split, label=label)["episode_id"].head(count)
        for split, count in (("val", 3), ("test", 15))
        for label in (0, 1)
    ]
    kept = np.setdiff1d(IDS, pl.concat(lacking).to_numpy())
    arguments = [*listed(tmp_path, e=IDS, c=kept), "--suppress-below", "10"]
    made, *_ = evaluate(monkeypatch, source, tmp_path / "out", *arguments)
    own = made["complete"]
    assert own["reason"] is None and own["metrics"]["val"]["auroc"]["value"] is None
    assert own["comparisons"]["singles"]
    for name, single in own["comparisons"]["singles"].items():
        assert single["validation_auroc"] is None and single["test_auroc"] is not None
        assert made["comparisons"]["singles"][name]["validation_auroc"] is not None


def test_contrasts_and_shapley_values_of_the_complete_are_those_without_the_others(
    monkeypatch, tmp_path
):
    ids = np.arange(600)
    filmed = ids[np.random.default_rng(1).random(600) < 0.5]
    paths = tables(tmp_path)
    found = compare_tables(monkeypatch, tmp_path, paths, *listed(tmp_path, e=ids, c=filmed))
    (tmp_path / "fewer").mkdir()
    fewer = [tmp_path / "fewer" / path.name for path in paths]
    for path, own in zip(paths, fewer, strict=True):
        kept = pl.col("episode_id").is_in(filmed.tolist())
        pl.read_parquet(path).filter(kept).write_parquet(own)
    plain = compare_tables(monkeypatch, tmp_path / "fewer", fewer)
    for part in ("tasks", "contrasts"):
        assert found["complete"][part] == plain[part]
    nothing = {"reason": "presence was not given", "tasks": {}, "contrasts": []}
    assert plain["complete"] == nothing

    def attribute(folder, *more):
        sets = ["e", "c", "n", "ec", "en", "cn", "ecn"]
        model = {s: "unimodal" if len(s) == 1 else "early" for s in sets}
        given = [f"{s}={folder}/{s}_{own}_mortality.parquet" for s, own in model.items()]
        command = "attribution --task mortality --fusion early --protocol corrected --resamples 99"
        output = f"{folder}/shapley.json"
        arguments = [*command.split(), "--predictions", *given, "--output", output, *more]
        monkeypatch.setattr(sys, "argv", arguments)
        attribution.main()
        return json.loads((folder / "shapley.json").read_text())

    found = attribute(tmp_path, *listed(tmp_path, e=ids, c=filmed))
    plain = attribute(tmp_path / "fewer")
    for part in ("test", "shapley", "total", "differences"):
        assert found["complete"][part] == plain[part]


def test_icu_stays_count_what_was_known_before_each_task(monkeypatch, tmp_path):
    folder = write(tmp_path)
    facts, _, _, eligible, *_ = stays()
    ids = facts["episode_id"].to_numpy()
    minute = np.random.default_rng(0).integers(0, 24 * 60, len(ids))
    notes = pl.DataFrame({"episode_id": ids, "minute": minute})
    notes.write_parquet(tmp_path / "notes.parquet")
    given = {
        "e": {"table": f"{tmp_path}/episodes.parquet", "by": "assumed"},
        "n": {"table": f"{tmp_path}/notes.parquet", "by": "selected"},
    }
    made, _ = evaluate_stays(monkeypatch, folder, "--present", json.dumps(given))
    VALID.validate(made)
    for task, hours in (("shock_4h", 4), ("arf_12h", 12), ("diagnoses_48h", 48)):
        own = made["tasks"][task]
        tested = (facts["split"] == "test").to_numpy() & eligible[task]
        known = int((tested & (minute < 60 * hours)).sum())
        assert own["coverage"]["splits"]["test"]["modalities"] == {"e": tested.sum(), "n": known}
        assert own["complete"]["metrics"]["test"]["n"] == known
    whole = made["tasks"]["diagnoses_48h"]
    assert whole["complete"]["metrics"] == whole["metrics"]  # all were known by then
    assert "with all modalities" in words(made, tmp_path / "a.json", {})
