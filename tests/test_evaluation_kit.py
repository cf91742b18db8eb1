"""The figures of a kit: schema, bytes, each section against figures made otherwise, small data."""

import json

import jsonschema
import numpy as np
import polars as pl
import pytest
from measured_kits import HOURS, hospital, made_kit, made_result, predictions
from sklearn import metrics

from pipeline.cohort.rows import PREDICTIONS
from pipeline.evaluation.predictions import SPLITS, samples
from pipeline.evaluation.sections.calibrated import _histogram
from pipeline.evaluation.sections.coverage import Presence
from pipeline.evaluation.sections.fairness import fairness
from pipeline.evaluation.sections.table_one import classes, columns_of, numbers, table_one
from pipeline.evaluation.sections.told import Told, hidden_splits
from pipeline.evaluation.statistics.bootstrap import Resampling
from pipeline.evaluation.statistics.sample import Sample
from pipeline.stage.errors import InputError
from pipeline.stage.kit import read_numbers
from pipeline.stage.modules import ROOT
from pipeline.stage.tables import write_table

SCHEMA = json.loads((ROOT / "pipeline/evaluation/kit.schema.json").read_text())


def valid(made):
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    return made


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def home(tmp_path_factory, monkeypatch_module):
    folder = hospital(tmp_path_factory.mktemp("kit"))
    made_result(monkeypatch_module, folder)
    return folder


@pytest.fixture(scope="module")
def made(home, monkeypatch_module):
    return made_kit(monkeypatch_module, home)


@pytest.fixture(scope="module")
def test_rows(home):
    return pl.read_parquet(predictions(home)[0]).filter(split="test").sort("episode_id")


def test_the_figures_follow_their_schema_and_are_the_same_bytes_again(made, home, monkeypatch):
    valid(made)
    before = (home / "numbers.json").read_bytes()
    made_kit(monkeypatch, home)
    assert (home / "numbers.json").read_bytes() == before
    assert read_numbers(home / "numbers.json")["head"]["target"] == "e_unimodal_mortality"
    with pytest.raises(InputError, match="not figures of a kit"):
        read_numbers(home / "result.json")


def test_table_one_counts_the_episodes_of_the_task(made, home):
    episodes = pl.read_parquet(home / "episodes.parquet")
    facts = pl.read_parquet(predictions(home)[0]).sort("episode_id")
    columns = {column["name"]: column for column in made["table_one"]["columns"]}
    assert columns["overall"]["episodes"] == episodes.height
    assert columns["positive"]["episodes"] == facts["label"].sum()
    rows = {row["variable"]: row for row in made["table_one"]["variables"]}
    sex = {level["level"]: level["cells"]["test"]["n"] for level in rows["sex"]["levels"]}
    own = episodes.filter(facts["split"] == "test")["sex"].value_counts()
    assert sex == dict(own.iter_rows())
    age = episodes.filter(facts["label"] == 1)["age"]
    found = rows["age"]["summaries"]["positive"]
    assert found["mean"] == pytest.approx(age.mean(), abs=1e-6)
    assert found["sd"] == pytest.approx(age.std(), abs=1e-6)
    assert found["q3"] == np.quantile(age.to_numpy(), 0.75)
    assert rows["language"]["missing"]["overall"] == episodes["language"].null_count()
    shares = [level["cells"]["overall"]["share"] for level in rows["combination"]["levels"]]
    assert sum(shares) == pytest.approx(1, abs=1e-5)


def test_the_flow_counts_films_and_reports_before_the_prediction_alone(made, home):
    films = pl.read_parquet(home / "films.parquet").filter(pl.col("minute") < 60 * HOURS)
    bad = pl.read_parquet(home / "decoded.parquet").drop_nulls("fault")
    lines = {line["modality"]: line for line in made["flow"]["files"]}
    assert 0 < films.height < pl.read_parquet(home / "films.parquet").height
    assert lines["c"]["selected"] == films.height
    unreadable = films.join(bad, on="dicom_id").height
    assert lines["c"]["unreadable"] == unreadable > 0
    assert lines["c"]["used"] == films.height - unreadable
    assert lines["n"]["unreadable"] is lines["n"]["used"] is None  # the model reads no reports
    assert [step["excluded"] for step in made["flow"]["steps"]] == [None, 35, 25]


def test_operating_points_hold_on_validation_and_are_measured_on_test(made, home, test_rows):
    table = pl.read_parquet(predictions(home)[0])
    val = table.filter(split="val")
    points = {(p["chosen_by"], p["aim"]): p for p in made["operating_points"]}
    assert len(points) == 8
    label, score = val["label"].to_numpy() == 1, val["probability"].to_numpy()
    at = points["sensitivity", 0.9]["by_run"][0]["threshold"]
    assert (score[label] >= at).mean() == pytest.approx(0.9, abs=0.5 / label.sum() + 1e-9)
    at = points["specificity", 0.95]["by_run"][0]["threshold"]
    assert (score[~label] < at).mean() == pytest.approx(0.95, abs=0.5 / (~label).sum() + 1e-9)
    at = points["alert_rate", 0.1]["by_run"][0]["threshold"]
    assert (score >= at).mean() == pytest.approx(0.1, abs=0.5 / len(score) + 1e-9)
    own = points["result", None]
    called = test_rows["probability"].to_numpy() >= own["by_run"][0]["threshold"]
    cells = metrics.confusion_matrix(test_rows["label"], called)
    names = ("true_negative", "false_positive", "false_negative", "true_positive")
    assert [own["confusion"][name] for name in names] == cells.ravel().tolist()
    told = json.loads((home / "result.json").read_text())["threshold"]
    assert own["sensitivity"] == told["sensitivity"]
    assert own["ppv"] == told["precision"]
    for point in points.values():
        assert point["sensitivity"]["low"] <= point["sensitivity"]["value"]
        assert point["sensitivity"]["value"] <= point["sensitivity"]["high"]


def test_a_group_and_its_rest_make_the_whole(made, test_rows, home):
    groups = {a["attribute"]: a["groups"] for a in made["fairness"]["attributes"]}
    assert set(groups) == {"sex", "age", "race", "insurance", "language", "care_unit", "era"}
    sexes = {group["group"]: group for group in groups["sex"]}
    episodes = pl.read_parquet(home / "episodes.parquet").select("episode_id", "sex")
    rows = test_rows.join(episodes, on="episode_id", maintain_order="left")
    for name, group in sexes.items():
        part = rows.filter(sex=name)
        auroc = metrics.roc_auc_score(part["label"], part["probability"])
        assert group["auroc"]["value"] == pytest.approx(auroc, abs=1e-6)
        assert (group["n"], group["positives"]) == (part.height, part["label"].sum())
    women, men = sexes["F"], sexes["M"]
    for name in ("auroc", "sensitivity", "specificity", "ppv"):
        gap = women["minus_rest"][name]
        assert gap["value"] == pytest.approx(women[name]["value"] - men[name]["value"], abs=2e-6)
        assert gap["value"] == pytest.approx(-men["minus_rest"][name]["value"], abs=2e-6)
        assert gap["low"] < gap["value"] < gap["high"]
    small = [g for g in groups["race"] if g["n"] - g["positives"] < 10 or g["positives"] < 10]
    assert small
    assert all(group["reason"] and group["auroc"]["value"] is None for group in small)


def test_recalibration_repairs_what_is_wrong_and_shows_before_and_after(monkeypatch, tmp_path):
    folder = hospital(tmp_path, n=3000, slope=2.5)  # too extreme
    made_result(monkeypatch, folder)
    made = {way["method"]: way for way in made_kit(monkeypatch, folder)["calibration"]}
    assert made["none"]["slope"]["value"] < 0.5
    for way in ("platt", "temperature"):
        assert made[way]["slope"]["value"] == pytest.approx(1, abs=0.25)
        for name in ("brier_minus_none", "ici_minus_none"):
            assert made[way][name]["value"] < made[way][name]["high"] < 0
    assert made["none"]["by_run"] == []
    assert made["platt"]["by_run"][0]["slope"] == pytest.approx(0.4, abs=0.1)
    assert made["temperature"]["by_run"][0]["intercept"] == 0
    for way in made.values():
        bars = way["histogram"]
        assert sum(bars["negatives"]) + sum(bars["positives"]) == sum(g["n"] for g in way["groups"])
        risk, observed = (np.array(way["smooth"][key]) for key in ("risk", "observed"))
        assert np.all(np.diff(risk) > 0)
        near = np.abs(observed - risk).mean()
        assert near < 0.08 if way["method"] != "none" else near > 0.04


def test_net_benefit_is_beside_all_none_and_sofa(made, test_rows):
    curves = made["decision"]
    label, score = test_rows["label"].to_numpy() == 1, test_rows["probability"].to_numpy()
    for place, at in enumerate(curves["thresholds"]):
        cost, called = at / (1 - at), score >= at
        own = (called & label).mean() - (called & ~label).mean() * cost
        assert curves["model"]["value"][place] == pytest.approx(own, abs=1e-6)
        everybody = label.mean() - (~label).mean() * cost
        assert curves["treat_all"]["value"][place] == pytest.approx(everybody, abs=1e-6)
        better = own - max(everybody, 0)
        assert curves["model_minus_default"]["value"][place] == pytest.approx(better, abs=1e-6)
        gap = own - curves["sofa"]["value"][place]
        assert curves["model_minus_sofa"]["value"][place] == pytest.approx(gap, abs=2e-6)
    assert set(curves["treat_none"]["value"]) == {0.0}
    assert curves["thresholds"][0] == 0.01
    assert curves["hidden_at"] == []
    middle = len(curves["thresholds"]) // 2
    assert curves["model"]["value"][middle] > max(
        curves["treat_all"]["value"][middle], curves["sofa"]["value"][middle], 0
    )


@pytest.mark.parametrize("suppress", ["0", "10"])
def test_seeds_folds_and_absent_sections_on_small_data(monkeypatch, tmp_path, suppress):
    folder = hospital(tmp_path, n=160, seeds=2, folds=2, draw=3)
    more = ("--suppress-below", suppress)
    made_result(monkeypatch, folder, *more)
    made = valid(made_kit(monkeypatch, folder, *more, "--faults", "{}", score=False))
    assert (made["head"]["seeds"], made["head"]["folds"]) == ([0, 1], 2)
    rows = {row["variable"]: row for row in made["table_one"]["variables"]}
    assert rows["sofa"]["reason"] == "no tables"
    assert made["decision"]["reason"] is None
    assert made["decision"]["sofa_reason"] == "no tables"
    if suppress == "0":
        runs = made["calibration"][1]["by_run"]
        assert [(run["fold"], run["seed"]) for run in runs] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_one_class_has_reasons_and_no_figures(monkeypatch, tmp_path):
    folder = hospital(tmp_path, n=120)
    table = pl.read_parquet(predictions(folder)[0]).with_columns(label=pl.lit(0, pl.Int8))
    write_table(table, predictions(folder)[0], PREDICTIONS)
    labels = pl.read_parquet(folder / "labels.parquet").with_columns(label=pl.lit(0, pl.Int8))
    labels.write_parquet(folder / "labels.parquet")
    made_result(monkeypatch, folder)
    made = valid(made_kit(monkeypatch, folder))
    assert "one class" in made["decision"]["reason"]
    assert all("one class" in way["reason"] for way in made["calibration"])
    assert made["calibration"][1]["by_run"][0]["reason"] == "validation has one class only"
    assert made["fairness"]["reason"]
    assert all(point["reason"] for point in made["operating_points"])


def test_a_kit_is_of_one_binary_task(monkeypatch, home, tmp_path):
    several = {"target": "e_unimed_all", "seeds": [0], "schema_version": 3, "protocol": "corrected",
               "tasks": {"shock_4h": {}, "arf_12h": {}}}  # fmt: skip
    (tmp_path / "several.json").write_text(json.dumps(several))
    with pytest.raises(InputError, match="of one binary task; it has shock_4h, arf_12h"):
        made_kit(monkeypatch, home, "--result", f"{tmp_path}/several.json")


def test_hidden_columns_levels_and_unknown_values():
    n = 300
    facts = pl.DataFrame({"split": ["train"] * 250 + ["val"] * 25 + ["test"] * 25,
                          "label": [1] * 4 + [0] * 296, "subject_id": range(n)})  # fmt: skip
    table = columns_of(facts, 10)
    assert table.secret == {"negative", "positive"}  # one follows from the other
    assert columns_of(facts, 0).secret == frozenset()
    few = np.array([None] * 3 + ["B"] * 17 + ["A"] * 280, dtype=object)
    row = classes(table, "x", "X", few)
    assert row["missing"]["overall"] == row["levels"][1]["cells"]["overall"]["n"] == "hidden"
    assert row["levels"][0]["cells"]["overall"]["n"] == 280
    in_all_columns = {cell["n"] for cell in row["levels"][1]["cells"].values()}
    assert in_all_columns == {"hidden"}
    assert row["levels"][0]["cells"]["positive"] == {"n": "hidden", "share": None}
    assert row["smd_outcome"] is None
    age = numbers(table, "age", "Age", np.where(np.arange(n) < 5, np.nan, 50.0 + np.arange(n)))
    assert age["missing"]["overall"] == "hidden"
    assert age["summaries"]["positive"]["mean"] is None
    assert age["summaries"]["test"]["mean"] is not None
    nine = facts.with_columns(subject_id=pl.when(split="test").then(pl.col("subject_id") % 9)
                              .otherwise("subject_id"))  # fmt: skip
    age = numbers(columns_of(nine, 10), "age", "Age", 50.0 + np.arange(n))
    assert age["summaries"]["test"]["mean"] is None  # 25 episodes of 9 patients
    assert age["summaries"]["val"]["mean"] is not None


def test_the_better_default_is_that_of_each_fold(monkeypatch, tmp_path):
    folder = hospital(tmp_path, n=500, folds=3, draw=1)
    made_result(monkeypatch, folder)
    made = made_kit(monkeypatch, folder)["decision"]
    at, each = np.array(made["thresholds"]), []
    for path in predictions(folder):
        test = pl.read_parquet(path).filter(split="test")
        label, score = test["label"].to_numpy() == 1, test["probability"].to_numpy()
        cost, called = at / (1 - at), score >= at[:, None]
        own = (called & label).mean(axis=1) - (called & ~label).mean(axis=1) * cost
        each.append(own - np.maximum(label.mean() - (~label).mean() * cost, 0))
    np.testing.assert_allclose(
        made["model_minus_default"]["value"], np.mean(each, axis=0), atol=2e-6
    )
    low, high = (np.array(made["model_minus_default"][end]) for end in ("low", "high"))
    assert np.all(low <= made["model_minus_default"]["value"])
    assert np.all(high >= made["model_minus_default"]["value"])


def test_episodes_without_sofa_are_left_out_of_its_curve_and_counted(monkeypatch, home, tmp_path):
    points = pl.read_parquet(home / "sofa.parquet").with_columns(
        total=pl.when(pl.col("episode_id") % 7 > 0).then("total")
    )
    points.write_parquet(tmp_path / "sofa.parquet")
    asked = ("--scores", f"{tmp_path}/sofa.parquet", "--output", f"{tmp_path}/numbers.json")
    made_kit(monkeypatch, home, *asked)
    made = json.loads((tmp_path / "numbers.json").read_text())["decision"]
    test = pl.read_parquet(predictions(home)[0]).filter(split="test")
    assert made["sofa_unknown"] == (test["episode_id"] % 7 == 0).sum() > 0
    test = test.filter(pl.col("episode_id") % 7 > 0)
    label, score = test["label"].to_numpy() == 1, test["probability"].to_numpy()
    place = 9
    at = made["thresholds"][place]
    own = (label & (score >= at)).mean() - (~label & (score >= at)).mean() * at / (1 - at)
    gap = own - made["sofa"]["value"][place]
    assert made["model_minus_sofa"]["value"][place] == pytest.approx(gap, abs=2e-6)
    flat = points.with_columns(total=pl.lit(3.0))
    flat.write_parquet(tmp_path / "sofa.parquet")
    made_kit(monkeypatch, home, *asked)
    made = json.loads((tmp_path / "numbers.json").read_text())["decision"]
    assert made["sofa"] is made["sofa_unknown"] is None
    assert "SOFA tells the classes" in made["sofa_reason"]
    assert "predictions" not in made["sofa_reason"]


def test_no_difference_to_a_rest_of_few(home, made):
    frame = pl.read_parquet(predictions(home)[0])
    test = samples([frame], "test")
    positives = test.episode[test.label]
    few = [*positives[:9].tolist(), *test.episode[~test.label][:40].tolist()]
    episodes = pl.DataFrame({"episode_id": test.episode}).with_columns(
        sex=pl.when(pl.col("episode_id").is_in(few)).then(pl.lit("F")).otherwise(pl.lit("M"))
    )
    episodes = episodes.with_columns(age=pl.lit(50), race=pl.lit("WHITE"), language=pl.lit("x"))
    groups = fairness(test, episodes, np.array([0.3]), None, Resampling(50), 0)["attributes"][0]
    small, large = groups["groups"]
    assert small["reason"] and small["reason_rest"] is None
    assert large["auroc"]["value"] is not None
    assert "fewer than 10" in large["reason_rest"]
    assert {gap["value"] for gap in large["minus_rest"].values()} == {None}
    sexes = {a["attribute"]: a["groups"] for a in made["fairness"]["attributes"]}["sex"]
    assert {group["reason_rest"] for group in sexes} == {None}


def test_unreadable_files_are_unknown_where_nobody_looked(monkeypatch, home, tmp_path):
    made_kit(monkeypatch, home, "--faults", '{"c": []}', "--output", f"{tmp_path}/n.json")
    made = json.loads((tmp_path / "n.json").read_text())
    films, reports = made["flow"]["files"]
    assert films["selected"] > 0
    assert films["unreadable"] is films["used"] is None
    assert "no table says" in films["unreadable_reason"]
    assert reports["unreadable_reason"] == "the model does not read this modality"
    rows = {row["variable"]: row["words"] for row in made["table_one"]["variables"]}
    assert rows["with_e"] == "With modality e (assumed of all)"
    assert rows["with_c"] == "With modality c"
    assert "without a value count 0" in rows["sofa"]


def test_an_empty_split_neither_hides_nor_is_hidden():
    facts = pl.DataFrame({"split": ["train"] * 50 + ["fusion"] * 5 + ["test"] * 25,
                          "label": [1, 0] * 40, "subject_id": range(80)})  # fmt: skip
    assert columns_of(facts, 10).secret == {"fusion", "test"}  # not the empty val
    assert hidden_splits(facts, 10) == {"fusion", "test"}


def big_table(told, **more):
    """Table 1 of 1,200 episodes, all groups of which are large; `more`: as `table_one`."""
    n = 1200
    facts = pl.DataFrame({"episode_id": range(n), "subject_id": range(n),
                          "split": ["train", "fusion", "val", "test"] * (n // 4),
                          "label": [k // 4 % 2 for k in range(n)]})  # fmt: skip
    episodes = pl.DataFrame({"episode_id": range(n), "age": [50.0] * n,
                             "sex": [("F", "M", "X")[k // 8 % 3] for k in range(n)]})  # fmt: skip
    presence = Presence({"c": np.arange(0, n, 3)}, {"c": "selected"}, {})
    made = table_one(facts, episodes, presence, "no tables", 10, told, **more)
    return {row["variable"]: row for row in made["variables"]}


def shown(row, level, column):
    return next(one for one in row["levels"] if one["level"] == level)["cells"][column]["n"]


def test_a_modality_that_the_result_alone_hides_is_hidden():
    shared = {split: {"c": 100} for split in ("train", "fusion", "test")}
    told = Told(frozenset(), dict.fromkeys(SPLITS, 300), {**shared, "val": {"c": None}},
                {split: {"c": 100, "none": 200} for split in SPLITS})  # fmt: skip
    rows = big_table(told)
    assert shown(rows["with_c"], "yes", "val") == "hidden"
    assert shown(rows["with_c"], "yes", "overall") == "hidden"  # it would follow
    assert shown(rows["with_c"], "yes", "test") == 100
    assert shown(rows["combination"], "none", "negative") == "hidden"
    assert shown(big_table(Told())["with_c"], "yes", "overall") == 400


def test_of_several_folds_the_coverage_of_the_result_tells_nothing_of_the_first():
    counts = {**{split: {"c": 250} for split in SPLITS}, "val": {"c": None}}
    told = Told(frozenset(), dict.fromkeys(SPLITS, 700), counts, counts, folds=3)
    rows = big_table(told)
    assert told.with_or_without("c") == {}
    assert {shown(rows["with_c"], "yes", column) for column in SPLITS} == {"hidden"}


def test_of_several_folds_positives_are_hidden_in_all_splits():
    one, three = (Told(frozenset({"val"}), folds=folds) for folds in (1, 3))
    assert [one.hides_outcome(split) for split in SPLITS] == [False, False, True, False]
    assert all(three.hides_outcome(split) for split in SPLITS)
    assert not any(Told(folds=3).hides_outcome(split) for split in SPLITS)


def test_a_group_that_is_hidden_elsewhere_is_hidden_in_table_one():
    """Fairness may hide another complement: from both together the small group would follow."""
    rows = big_table(Told(), groups={"sex": {"F", "X"}})
    assert shown(rows["sex"], "F", "test") == shown(rows["sex"], "X", "overall") == "hidden"
    assert shown(rows["sex"], "M", "test") == 100


def test_a_bar_of_few_takes_another_with_it():
    """Its count would follow from the number of test episodes."""
    score = np.repeat([0.025, 0.125, 0.225], [300, 100, 104])
    label = np.concatenate([np.arange(300) < 100, np.arange(100) < 30, np.arange(104) < 100])
    test = Sample(np.arange(504), np.arange(504), label, score[None])
    bars = _histogram(test, 10)
    assert bars["positives"][4] == bars["negatives"][4] == "hidden"
    assert bars["positives"][2] == bars["negatives"][2] == "hidden"
    assert (bars["positives"][0], bars["negatives"][0]) == (100, 200)
    assert _histogram(test, 0)["negatives"][4] == 4
