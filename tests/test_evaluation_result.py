"""The result as a whole: schema, bytes, suppression, one class, truth, speed."""

import json
import shutil
import sys
import time

import jsonschema
import numpy as np
import polars as pl
import pytest
from prediction_tables import DEFINITION, VERSIONED

from pipeline.cohort.rows import ABSENT, PREDICTIONS
from pipeline.evaluation import result
from pipeline.evaluation.predictions import SPLITS
from pipeline.evaluation.statistics.figures import NOTHING
from pipeline.stage.errors import InputError
from pipeline.stage.modules import ROOT
from pipeline.stage.tables import write_table

SCHEMA = json.loads((ROOT / "pipeline/evaluation/result.schema.json").read_text())
ATTRITION = [
    {"condition": "adult", "episodes": 400, "subjects": 300},
    {"condition": "split test", "episodes": 160, "subjects": 7},
]
NAMES = ("result.json", "curves.json", "run.json")


def hospital(folder, n=400, seeds=2):
    """Tables of predictions of ecn_early and of three single modalities, and their oracle."""
    random = np.random.default_rng(0)
    latent = random.normal(size=(3, n)) * np.array([[1.4], [0.9], [0.5]])
    eta = latent.sum(axis=0) - 1.5
    label = random.random(n) < 1 / (1 + np.exp(-eta))
    facts = pl.DataFrame(
        {
            "task": ["mortality"] * n,
            "episode_id": np.arange(n) + 20_000_000,
            "subject_id": np.arange(n) // 2 + 10_000_000,
            "split": np.array(SPLITS)[np.array([0, 1, 2, 3, 3])[np.arange(n) // 2 % 5]],
            "label": label.astype(np.int8),
        }
    )
    scores = {"ecn_early": eta} | {
        f"{m}_unimodal": row - 1.5 for m, row in zip("ecn", latent, strict=True)
    }
    for name, score in scores.items():
        noisy = [score + 0.3 * random.normal(size=n) for _ in range(seeds)]
        tables = [
            facts.with_columns(seed=pl.lit(s, pl.Int64), probability=1 / (1 + np.exp(-value)))
            for s, value in enumerate(noisy)
        ]
        write_table(pl.concat(tables), folder / f"{name}_mortality.parquet", PREDICTIONS)
    oracle = {"hadm_id": facts["episode_id"], "ecn": 1 / (1 + np.exp(-eta))}
    pl.DataFrame(oracle).write_parquet(folder / "oracle_mortality.parquet")
    (folder / "ceilings.json").write_text(json.dumps({"mortality": {"ecn": 0.85}}))
    (folder / "attrition.json").write_text(
        json.dumps({"conditions": ATTRITION, "definition": DEFINITION})
    )
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return hospital(tmp_path_factory.mktemp("hospital"))


def labels_of(source):
    """The labels of the predictions, which a test may have changed."""
    facts = pl.read_parquet(source / "ecn_early_mortality.parquet")
    known = facts.select("episode_id", "label", eligible=pl.lit(True)).unique()
    known.write_parquet(source / "labels.parquet")
    return source / "labels.parquet"


def evaluate(monkeypatch, source, output, *more, truth=True):
    """Runs the command; more arguments override the usual ones. Returns the three files read."""
    singles = [str(source / f"{m}_unimodal_mortality.parquet") for m in "nce"]
    known = ["--truth", str(source)] if truth else []
    paths = [str(output / name) for name in NAMES]
    command = (
        f"result --target ecn_early_mortality --protocol corrected --predictions "
        f"{source}/ecn_early_mortality.parquet --resamples 200 "
        f"--lock {ROOT}/requirements.lock --modules pipeline.evaluation.result --usage {source}/use"
        f" --output {paths[0]} --curves {paths[1]} --sidecar {paths[2]}"
    ).split()
    settings = ["--settings", '{"rate": 1e-07}']
    settings += ["--attrition", f"mortality={source}/attrition.json"]
    settings += ["--labels", f"mortality={labels_of(source)}"]
    monkeypatch.setattr(sys, "argv", [*command, *settings, *known, "--singles", *singles, *more])
    result.main()
    return [json.loads((output / name).read_text()) for name in NAMES]


def relabelled(source, folder, **columns):
    """The same tables with columns replaced by Polars expressions."""
    for path in source.glob("*_mortality.parquet"):
        frame = pl.read_parquet(path)
        exchanged = frame if "hadm_id" in frame.columns else frame.with_columns(**columns)
        exchanged.write_parquet(folder / path.name, metadata=VERSIONED)
    for path in source.glob("*.json"):
        (folder / path.name).write_text(path.read_text())
    return folder


def test_result_follows_its_schema(monkeypatch, source, tmp_path):
    made, drawn, _ = evaluate(monkeypatch, source, tmp_path)
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    test = made["metrics"]["test"]
    assert (test["n"], test["patients"]) == (160, 80)
    assert list(made["metrics"]) == list(SPLITS)
    assert test["auroc"]["low"] < test["auroc"]["value"] < test["auroc"]["high"]
    values = [run["value"] for run in test["auroc"]["by_run"]]
    assert np.mean(values) == pytest.approx(test["auroc"]["value"], abs=2e-6)
    assert np.std(values, ddof=1) == pytest.approx(test["auroc"]["sd"], abs=2e-6)
    assert made["seeds"] == [0, 1]
    assert made["settings"] == {"rate": 1e-07}
    assert made["cohort"]["attrition"] == ATTRITION
    assert made["cohort"]["looks_ahead"] == []
    assert len(drawn["roc"]["fpr"]) == 101
    assert set(made["environment"]["packages"]) >= {"numpy", "polars", "torch"}


def test_a_cohort_that_looks_ahead_says_so(monkeypatch, source, tmp_path):
    rows = [ATTRITION[0], {**ATTRITION[1], "looks_ahead": True}]
    (tmp_path / "ahead.json").write_text(json.dumps({"conditions": rows, "definition": DEFINITION}))
    more = ("--attrition", f"mortality={tmp_path}/ahead.json", "--suppress-below", "10")
    made = evaluate(monkeypatch, source, tmp_path, *more)[0]
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    assert made["cohort"]["looks_ahead"] == [ATTRITION[1]["condition"]]


def everything(source, folder):
    """Two folds of everything that may be given: arguments of the command."""
    paths: dict[str, list[str]] = {}
    for k in range(2):
        (folder / str(k)).mkdir()
        for path in sorted(source.glob("*_*_mortality.parquet")):
            table, patient = pl.read_parquet(path), pl.col("subject_id") % 5
            moved = pl.when(patient == 3 + k).then(pl.lit("test")).otherwise(pl.lit("train"))
            moved = pl.when(patient == k).then(pl.lit("val")).otherwise(moved)
            write_table(table.with_columns(split=moved), folder / f"{k}/{path.name}", PREDICTIONS)
            paths.setdefault(path.stem, []).append(f"{folder}/{k}/{path.name}")
        test = pl.read_parquet(paths["ecn_early_mortality"][k]).filter(split="test")
        scenario = test.with_columns(modality=pl.lit("c"), rate=1.0, probability=0.5)
        write_table(scenario, folder / f"{k}/absent.parquet", ABSENT)
    who = table.select(pl.col("episode_id").unique().sort())
    n = np.arange(who.height)
    more = who.with_columns(
        sex=pl.Series(np.where(n % 2 == 0, "F", "M")),
        age=pl.Series(20 + n % 70),
        race=pl.lit("WHITE"),
        insurance=pl.lit(None, pl.String),
    )
    more.write_parquet(folder / "more.parquet")
    marks = {"early deaths": pl.Series(n % 4 == 0), "hospice": pl.Series(n % 3 == 0)}
    who.with_columns(**marks).write_parquet(folder / "without.parquet")
    singles = [path for name, two in paths.items() if "unimodal" in name for path in two]
    return [
        *("--predictions", *paths["ecn_early_mortality"], "--singles", *singles),
        *("--absent", f"{folder}/0/absent.parquet", f"{folder}/1/absent.parquet"),
        *("--episodes", f"{folder}/more.parquet"),
        *("--without", f"mortality={folder}/without.parquet"),
        *("--source", '{"kind": "synthetic", "releases": {}}'),
    ]


def test_folds_and_everything_beside_them(monkeypatch, source, tmp_path):
    made, drawn, _ = evaluate(monkeypatch, source, tmp_path, *everything(source, tmp_path))
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    assert (made["folds"], made["seeds"]) == (2, [0, 1])
    assert made["source"] == {"kind": "synthetic", "releases": {}}
    test = made["metrics"]["test"]
    runs = [(run["fold"], run["seed"]) for run in test["auroc"]["by_run"]]
    assert runs == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert made["cohort"]["episodes"] == 400
    assert test["n"] == 160
    assert len(made["threshold"]["by_run"]) == 4
    assert made["ceiling"]["left_out"] == {"model": 0, "other": 0}
    assert [group["group"] for group in made["subgroups"]["sex"]] == ["F", "M"]
    assert made["subgroups"]["era"] is None
    assert [one["left_out"] for one in made["sensitivity"]] == ["early deaths", "hospice"]
    assert all(0 < one["n"] < test["n"] for one in made["sensitivity"])
    assert [row["rate"] for row in made["missing"]] == [0, 1]
    assert made["missing"][0]["auroc"]["value"] == test["auroc"]["value"]
    assert made["missing"][1]["auroc"]["value"] == 0.5
    assert len(drawn["roc"]["tpr"]) == 101


def test_how_each_training_ended_is_told_by_part_fold_and_seed(monkeypatch, source, tmp_path):
    assert evaluate(monkeypatch, source, tmp_path)[0]["training"] == []
    given = ["--histories"]
    for fold in range(2):
        for part in ("ehr", "note"):
            seeds = {
                str(seed): {
                    "trained_on": 9, "steps": 40, "best_step": 10 * (1 + seed), "checks": [],
                    "stopped": "patience" if fold else "budget", "rising": not fold,
                }
                for seed in range(2)
            }  # fmt: skip
            path = tmp_path / f"{part}{fold}.json"
            path.write_text(json.dumps({"part": part, "precision": "fp32", "seeds": seeds}))
    given += [str(tmp_path / f"{part}{k}.json") for part in ("ehr", "note") for k in range(2)]
    made = evaluate(monkeypatch, source, tmp_path, *given)[0]
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    told = [(one["part"], one["fold"], one["seed"], one["rising"]) for one in made["training"]]
    assert told == [
        (part, k, seed, not k) for part in ("ehr", "note") for k in range(2) for seed in range(2)
    ]
    assert [one["best_step"] for one in made["training"]] == [10, 20] * 4


def test_films_that_cannot_be_read_are_counted_and_small_counts_hidden(
    monkeypatch, source, tmp_path
):
    assert evaluate(monkeypatch, source, tmp_path)[0]["unreadable_films"] is None  # it reads none
    (tmp_path / "readable.json").write_text('{"needed": 1234, "unreadable": 7}')
    given = ["--readable", str(tmp_path / "readable.json")]
    made, _, _ = evaluate(monkeypatch, source, tmp_path, *given)
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    assert made["unreadable_films"] == {"needed": 1234, "unreadable": 7}
    made, _, _ = evaluate(monkeypatch, source, tmp_path, *given, "--suppress-below", "10")
    assert made["unreadable_films"] == {"needed": 1234, "unreadable": "<10"}
    (tmp_path / "readable.json").write_text('{"needed": 1234, "unreadable": 1230}')
    made, _, _ = evaluate(monkeypatch, source, tmp_path, *given, "--suppress-below", "10")
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    assert made["unreadable_films"] == {"needed": 1234, "unreadable": ">1224"}


def test_files_of_the_users_behind_an_encoder_are_told_by_digest_and_counts(
    monkeypatch, source, tmp_path
):
    assert evaluate(monkeypatch, source, tmp_path)[0]["external"] == {}
    for name in ("mine.parquet", "weights.safetensors"):
        (tmp_path / name).write_text(name)
    (tmp_path / "counts.json").write_text('{"needed": 1234, "missing": 7, "width": 3}')
    told = {
        "note": {"files": [f"{tmp_path}/mine.parquet"], "counts": f"{tmp_path}/counts.json"},
        "cxr": {"files": [f"{tmp_path}/weights.safetensors"], "counts": None},
    }
    given = ["--external", json.dumps(told), "--suppress-below", "10"]
    made, _, _ = evaluate(monkeypatch, source, tmp_path, *given)
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    first = made["external"]["note"]
    assert {k: first[k] for k in ("needed", "missing")} == {"needed": 1234, "missing": "<10"}
    assert made["external"]["cxr"].keys() == {"sha256"}
    assert first["sha256"] != made["external"]["cxr"]["sha256"]
    (tmp_path / "mine.parquet").write_text("edited")
    again, _, _ = evaluate(monkeypatch, source, tmp_path, *given)
    assert again["external"]["note"]["sha256"] != first["sha256"]


def test_p_values_are_corrected_for_the_singles_compared_with(monkeypatch, source, tmp_path):
    singles = evaluate(monkeypatch, source, tmp_path)[0]["comparisons"]["singles"].values()
    assert all(0 < single["p"] <= single["p_holm"] <= 1 for single in singles)
    lowest = min(singles, key=lambda single: single["p"])
    assert lowest["p_holm"] == pytest.approx(3 * lowest["p"], abs=2e-6)
    for single in singles:
        gain = single["model_minus_single"]
        assert (single["p"] > 0.06) <= (gain["low"] <= 0 <= gain["high"])


def test_two_runs_give_the_same_bytes_and_no_path_or_time(monkeypatch, source, tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        evaluate(monkeypatch, source, folder)
    for name in NAMES[:2]:
        first, second = ((folder / name).read_bytes() for folder in folders)
        assert first == second
        assert str(tmp_path).encode() not in first
        assert str(source).encode() not in first


def test_order_of_rows_and_arguments_does_not_matter(monkeypatch, source, tmp_path):
    evaluate(monkeypatch, source, tmp_path / "one")
    for path in relabelled(source, tmp_path).glob("*_mortality.parquet"):
        pl.read_parquet(path).sample(fraction=1, shuffle=True, seed=1).write_parquet(
            path, metadata=VERSIONED
        )
    singles = [str(tmp_path / f"{m}_unimodal_mortality.parquet") for m in "ecn"]
    evaluate(monkeypatch, tmp_path, tmp_path / "two", "--singles", *singles)
    assert (tmp_path / "one/result.json").read_bytes() == (
        tmp_path / "two/result.json"
    ).read_bytes()


def test_oracle_and_gain_over_the_best_single(monkeypatch, source, tmp_path):
    made, drawn, _ = evaluate(monkeypatch, source, tmp_path)
    ceiling, compared = made["ceiling"], made["comparisons"]
    test = made["metrics"]["test"]["auroc"]["value"]
    assert ceiling["population_auroc"] == 0.85
    assert ceiling["left_out"] == {"model": 0, "other": 0}
    difference = ceiling["oracle_auroc"]["value"] - test
    assert ceiling["oracle_minus_model"]["value"] == pytest.approx(difference, abs=2e-6)
    assert drawn["roc"]["oracle"] is not None
    assert list(compared["singles"]) == [f"{m}_unimodal_mortality" for m in "cen"]
    gain = compared["singles"]["e_unimodal_mortality"]
    assert gain["model_minus_single"]["value"] == pytest.approx(test - gain["test_auroc"], abs=2e-6)


def test_the_best_single_is_chosen_on_validation(monkeypatch, source, tmp_path):
    folder = relabelled(source, tmp_path)
    path = folder / "e_unimodal_mortality.parquet"
    ruined = pl.when(split="test").then(1 - pl.col("probability")).otherwise("probability")
    pl.read_parquet(path).with_columns(probability=ruined).write_parquet(path, metadata=VERSIONED)
    compared = evaluate(monkeypatch, folder, folder)[0]["comparisons"]
    assert compared["best_single"] == "e_unimodal_mortality"
    assert compared["singles"]["e_unimodal_mortality"]["test_auroc"] < 0.5


def test_what_beats_the_model_is_told_with_its_interval(monkeypatch, caplog, source, tmp_path):
    """A baseline that knows more is better, one that predicts nearly the same is level with it."""
    folder = relabelled(source, tmp_path)
    frame, score = pl.read_parquet(folder / "ecn_early_mortality.parquet"), pl.col("probability")
    odds = (score / (1 - score)).log()
    for name, value in {"gbdt": odds + pl.col("label"), "logistic": odds + 0.001}.items():
        known = frame.with_columns(probability=1 / (1 + (-value).exp()))
        known.write_parquet(folder / f"e_{name}-stats_mortality.parquet", metadata=VERSIONED)
    files = [f"{folder}/e_{name}-stats_mortality.parquet" for name in ("logistic", "gbdt")]
    made, *_ = evaluate(monkeypatch, folder, tmp_path / "out", "--baselines", *files)
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    compared = made["comparisons"]
    better, level = "e_gbdt-stats_mortality", "e_logistic-stats_mortality"
    assert list(compared["baselines"]) == [better, level]
    lost = compared["baselines"][better]["model_minus_baseline"]
    assert lost["value"] < lost["high"] < 0
    assert compared["beaten_by"] == [better]
    assert compared["not_better_than"][0] == level
    alone = made["metrics"]["test"]["auroc"]["value"] - lost["value"]
    assert compared["baselines"][better]["test_auroc"] == pytest.approx(alone, abs=2e-6)
    assert "beaten by e_gbdt-stats_mortality on the same test episodes" in caplog.text
    assert "logistic-stats" not in caplog.text
    # singles and their correction are those without baselines
    bare, *_ = evaluate(monkeypatch, folder, tmp_path / "bare")
    assert bare["comparisons"]["singles"] == compared["singles"]
    assert bare["comparisons"]["beaten_by"] == []
    assert bare["comparisons"]["not_better_than"] == compared["not_better_than"][1:]


def test_a_table_of_another_task_is_no_baseline(monkeypatch, source, tmp_path):
    path = tmp_path / "e_gbdt-stats_shock_4h.parquet"
    shutil.copy(source / "e_unimodal_mortality.parquet", path)
    made, *_ = evaluate(monkeypatch, source, tmp_path, "--baselines", str(path))
    assert made["comparisons"]["baselines"] == {}


def test_unequal_episodes_are_paired_and_counted(monkeypatch, source, tmp_path):
    folder = relabelled(source, tmp_path)
    path = folder / "c_unimodal_mortality.parquet"
    frame = pl.read_parquet(path)
    dropped = frame.filter(split="test")["episode_id"].unique().sort()[:25].to_list()
    frame.filter(~pl.col("episode_id").is_in(dropped)).write_parquet(path, metadata=VERSIONED)
    made = evaluate(monkeypatch, folder, folder)[0]
    left_out = made["comparisons"]["singles"]["c_unimodal_mortality"]["left_out"]
    assert left_out == {"model": 25, "other": 0}


def test_unknown_truth_is_null(monkeypatch, source, tmp_path):
    for more in ({"truth": False}, {"truth": True}):
        folder = tmp_path if more["truth"] else source
        if more["truth"]:
            relabelled(source, folder)
            (folder / "oracle_mortality.parquet").unlink()
        made, drawn, _ = evaluate(monkeypatch, folder, tmp_path / "out", **more)
        assert made["ceiling"] is None
        assert drawn["roc"]["oracle"] is None
        jsonschema.Draft202012Validator(SCHEMA).validate(made)


def test_one_class_in_test_gives_null_with_the_reason(monkeypatch, source, tmp_path):
    none = pl.when(split="test").then(0).otherwise("label").cast(pl.Int8)
    folder = relabelled(source, tmp_path, label=none)
    made, drawn, _ = evaluate(monkeypatch, folder, folder)
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    test = made["metrics"]["test"]
    assert test["reason"] == drawn["reason"] == "one class only: 0 of 160 positive"
    assert test["auroc"] == test["brier"] == NOTHING | {"sd": None}
    assert made["ceiling"]["oracle_auroc"]["value"] is None
    assert made["calibration"]["slope"]["value"] is None
    assert made["comparisons"]["best_single"] == "e_unimodal_mortality"
    assert made["metrics"]["val"]["auroc"]["value"] > 0.5


def test_a_split_without_episodes_says_so(monkeypatch, source, tmp_path):
    moved = pl.col("split").replace({"fusion": "train", "val": "train"})
    folder = relabelled(source, tmp_path, split=moved)
    made, _, _ = evaluate(monkeypatch, folder, folder)
    assert made["metrics"]["val"]["reason"] == "no episodes in this split"
    assert made["comparisons"]["best_single"] is None
    jsonschema.Draft202012Validator(SCHEMA).validate(made)


def test_small_counts_are_hidden_everywhere(monkeypatch, source, tmp_path):
    rank = pl.col("episode_id").rank("dense").over("split", "label")
    few = pl.when(pl.col("split") == "test").then((pl.col("label") == 1) & (rank <= 6))
    many = few.when(pl.col("split") == "val").then((pl.col("label") == 1) | (rank > 4))
    folder = relabelled(source, tmp_path, label=many.otherwise(pl.col("label") == 1).cast(pl.Int8))
    bare = evaluate(monkeypatch, folder, tmp_path / "bare")[0]["metrics"]
    assert bare["test"]["positives"] == 6
    assert bare["val"]["n"] - bare["val"]["positives"] == 4
    made, drawn, _ = evaluate(monkeypatch, folder, tmp_path / "real", "--suppress-below", "10")
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    test, val = made["metrics"]["test"], made["metrics"]["val"]
    assert (test["n"], test["positives"], test["prevalence"]) == (160, "<10", None)
    assert (val["n"], val["positives"], val["prevalence"]) == (80, ">70", None)
    assert bare["test"]["auroc"]["value"] is not None
    assert test["auroc"] == val["auroc"] == NOTHING | {"sd": None}
    assert made["ceiling"]["oracle_auroc"] == made["calibration"]["slope"] == NOTHING
    for single in made["comparisons"]["singles"].values():
        assert single["validation_auroc"] is single["test_auroc"] is single["p"] is None
        assert single["model_minus_single"] == NOTHING | {"seed_sd": None}
    assert made["cohort"]["attrition"][1]["subjects"] == "<10"
    assert drawn["reason"] == "fewer than 10 positive or negative episodes"
    assert drawn["roc"] is drawn["pr"] is drawn["calibration"] is None


def test_fingerprint_follows_cohort_split_and_label_only(monkeypatch, source, tmp_path):
    def fingerprint(name, **columns):
        folder = tmp_path / name
        folder.mkdir()
        relabelled(source, folder, **columns)
        return evaluate(monkeypatch, folder, folder)[0]["cohort"]["fingerprint"]

    same = fingerprint("same")
    assert fingerprint("scores", probability=pl.col("probability") / 2) == same
    assert fingerprint("ids", episode_id=pl.col("episode_id") + 1) != same
    assert fingerprint("splits", split=pl.col("split").replace({"fusion": "val"})) != same


def test_sidecar_lists_stages_and_survives_rubbish(monkeypatch, source, tmp_path):
    folder = relabelled(source, tmp_path)
    empty = {"stages": [], "total_seconds": 0, "peak_mb": 0, "hosts": []}
    assert evaluate(monkeypatch, folder, folder)[2] == {"target": "ecn_early_mortality"} | empty
    (folder / "use").mkdir()
    stage = "pipeline.evaluation.result"
    base = {"stage": stage, "made": "x", "seconds": 1.5, "peak_mb": 70, "host": "h"}
    for number, started in enumerate(["2026-01-02T00:00:00", "2026-01-01T00:00:00"]):
        record = json.dumps({**base, "peak_mb": 70 + number, "started": started})
        (folder / f"use/{number}.json").write_text(record)
    (folder / "use/cut.json").write_text('{"stage": ')
    sidecar = evaluate(monkeypatch, folder, folder)[2]
    assert [stage["peak_mb"] for stage in sidecar["stages"]] == [71, 70]
    assert (sidecar["total_seconds"], sidecar["peak_mb"]) == (3.0, 71)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--settings", "{rate: 1}"], "--settings: not valid JSON"),
        (["--lock", "nowhere.lock"], "nowhere.lock: no such file"),
        (["--modules", "pipeline.nothing"], "--modules: no module pipeline.nothing"),
        (["--source", "synthetic"], "--source: not valid JSON"),
        (["--absent", "a", "b"], r"--absent: 2 table\(s\), expected 1, one per fold"),
        (["--target", "mortality"], "expected modalities_model_task"),
        (["--predictions", "nowhere.parquet"], "nowhere.parquet: not a readable parquet"),
    ],
)
def test_bad_input_leaves_no_result(monkeypatch, source, tmp_path, more, message):
    with pytest.raises(InputError, match=message):
        evaluate(monkeypatch, source, tmp_path, *more)
    assert list(tmp_path.iterdir()) == []


def test_the_definition_of_the_task_stands_in_the_result(monkeypatch, source, tmp_path):
    more = ("--source", '{"kind": "mimic", "releases": {"MIMIC-IV": "3.1"}}')
    made = evaluate(monkeypatch, source, tmp_path, *more)[0]
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    assert made["definitions_version"] == DEFINITION["version"]
    own = {key: value for key, value in DEFINITION.items() if key != "version"}
    assert made["task_definition"] == {**own, "releases": {"MIMIC-IV": "3.1"}}


def test_predictions_and_labels_of_two_versions_make_no_result(monkeypatch, source, tmp_path):
    old = tmp_path / "old.json"
    old.write_text(json.dumps({"conditions": ATTRITION}))  # of before there were versions
    with pytest.raises(InputError, match=r"cannot mix versions.*old\.json has version 1.*have ver"):
        evaluate(monkeypatch, source, tmp_path, "--attrition", f"mortality={old}")
    folder = relabelled(source, tmp_path)
    path = folder / "c_unimodal_mortality.parquet"
    pl.read_parquet(path).write_parquet(path)
    with pytest.raises(InputError, match=r"c_unimodal_mortality\.parquet has version 1"):
        evaluate(monkeypatch, folder, folder)


def test_two_thousand_episodes_take_less_than_five_seconds(monkeypatch, tmp_path):
    source = hospital(tmp_path, n=2000, seeds=3)
    started = time.process_time()
    evaluate(monkeypatch, source, tmp_path, "--resamples", "1000")
    assert time.process_time() - started < 5
