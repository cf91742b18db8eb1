"""Differences between models: which are compared, paired intervals, correction, refusals."""

import json
import sys

import numpy as np
import polars as pl
import pytest

from pipeline.evaluation import contrasts
from pipeline.evaluation.bootstrap import Resampling, auroc_difference
from pipeline.evaluation.contrasts import best_single, families
from pipeline.evaluation.panel import Panel
from pipeline.evaluation.predictions import read_predictions, sample
from pipeline.stage.errors import InputError

SETS = ["ec", "en", "cn", "ecn"]
NAMES = [
    *(f"{letter}_unimodal" for letter in "ecn"),
    *(f"{s}_{model}" for s in SETS for model in ("early", "joint", "gbdt")),
    "e_logistic-stats",
    "n_gbdt",
]


def tables(folder, names=NAMES, n=600, positives=None):
    """Predictions of validation and test, better with more modalities; film strongest in val."""
    random = np.random.default_rng(5)
    latent = random.normal(size=(3, n))
    label = random.random(n) < 1 / (1 + np.exp(1 - latent.sum(axis=0)))
    test = np.arange(n) % 3 > 0
    if positives is not None:
        label[test] = np.arange(test.sum()) < positives
    for name in names:
        letters, model = name.split("_")
        seen = sum(latent["ecn".index(letter)] for letter in letters)
        seen = seen + (name == "c_unimodal") * 2.0 * label * ~test
        score = seen + random.normal(0, 1.5 if model == "joint" else 0.4, n)
        facts = {
            "episode_id": np.arange(n),
            "subject_id": np.arange(n) // 6,
            "seed": np.zeros(n, dtype=int),
            "split": np.where(test, "test", "val"),
            "label": label.astype(np.int8),
            "probability": 1 / (1 + np.exp(-score)),
        }
        pl.DataFrame(facts).write_parquet(folder / f"{name}_mortality.parquet")
    return [folder / f"{name}_mortality.parquet" for name in names]


def compare(monkeypatch, folder, paths, *more):
    arguments = ["--task", "mortality", "--protocol", "corrected", "--resamples", "200"]
    files = ["--predictions", *map(str, paths), "--output", str(folder / "out.json")]
    monkeypatch.setattr(sys, "argv", ["contrasts", *arguments, *files, *more])
    contrasts.main()
    return json.loads((folder / "out.json").read_text())


def of(found, family):
    rows = [row for row in found["contrasts"] if row["family"] == family]
    return {(row["first"], row["second"]): row for row in rows}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contrasts")
    with pytest.MonkeyPatch.context() as patch:
        return folder, compare(patch, folder, tables(folder))


def test_which_models_are_compared(found):
    _, result = found
    several = [f"{s}_{model}" for s in SETS for model in ("early", "joint", "gbdt")]
    single = {name: "e_unimodal" if name.startswith("en") else "c_unimodal" for name in several}
    assert set(of(result, "best-single")) == set(single.items())
    others = {(f"{s}_{model}", f"{s}_early") for s in SETS for model in ("joint", "gbdt")}
    assert set(of(result, "early")) == others
    less = {
        (f"ecn_{model}", f"{two}_{model}")
        for two in ("ec", "en", "cn")
        for model in ("early", "joint", "gbdt")
    }
    assert set(of(result, "one-less")) == less
    assert set(result["models"]) == set(NAMES)


def test_a_difference_is_the_paired_one(found):
    folder, result = found
    row = of(result, "best-single")["ecn_early", "c_unimodal"]
    first, second = (
        sample(read_predictions(folder / f"{row[side]}_mortality.parquet"), "test")
        for side in ("first", "second")
    )
    expected = auroc_difference(first, second, Resampling(200))
    assert {key: row[key] for key in expected} == pytest.approx(expected, abs=1e-6)
    assert row["low"] > 0


def test_correction_within_a_family_only(found):
    _, result = found
    for family in ("best-single", "early", "one-less"):
        rows = of(result, family).values()
        smallest = min(row["p"] for row in rows)
        corrected = min(row["p_holm"] for row in rows)
        assert corrected == pytest.approx(min(1, len(rows) * smallest), abs=1e-5)
        assert all(row["p_holm"] >= row["p"] for row in rows)


def test_worse_models_are_told_by_the_sign(found):
    _, result = found
    row = of(result, "early")["ecn_joint", "ecn_early"]
    assert row["high"] < 0
    assert row["p"] < 0.05


def test_the_best_single_is_chosen_on_validation():
    validation = {"e_unimodal": 0.7, "c_unimodal": 0.7, "n_unimodal": None, "e_gbdt": 0.9}
    panel = Panel({}, validation)
    assert best_single(panel, "ecn") == "e_unimodal"  # a tie goes to the first letter
    assert best_single(panel, "cn") == "c_unimodal"
    assert best_single(panel, "n") is None


def test_what_is_not_there_is_not_compared(monkeypatch, tmp_path):
    paths = tables(tmp_path, ["e_unimodal", "n_unimodal", "en_late"])
    result = compare(monkeypatch, tmp_path, paths)
    pairs = [(row["family"], row["first"], row["second"]) for row in result["contrasts"]]
    assert pairs == [("best-single", "en_late", "e_unimodal")]


def test_two_modalities_have_no_smaller_fusion():
    panel = Panel(dict.fromkeys(["e_unimodal", "n_unimodal", "en_early"]), {"e_unimodal": 0.6})
    assert families(panel)["one-less"] == []


@pytest.mark.parametrize(("positives", "reason"), [(0, "one class"), (9, "fewer than 10")])
def test_too_few_patients_give_a_reason(monkeypatch, tmp_path, positives, reason):
    paths = tables(tmp_path, ["e_unimodal", "n_unimodal", "en_early"], positives=positives)
    result = compare(monkeypatch, tmp_path, paths, "--suppress-below", "10")
    assert result["test"]["reason"].startswith(reason)
    assert result["contrasts"] == []
    assert result["models"] == {}


def test_names_and_episodes_that_do_not_fit_are_refused(monkeypatch, tmp_path):
    paths = tables(tmp_path, ["e_unimodal", "n_unimodal"], n=60)
    other = paths[1].rename(tmp_path / "n_unimodal_longstay.parquet")
    with pytest.raises(InputError, match=r"longstay.parquet: expected a name .*_mortality.parquet"):
        compare(monkeypatch, tmp_path, [paths[0], other])
    with pytest.raises(InputError, match="tested in several folds"):
        compare(monkeypatch, tmp_path, [paths[0], paths[0]])
    fewer = tmp_path / "n_gbdt_mortality.parquet"
    pl.read_parquet(paths[0]).filter(pl.col("episode_id") > 2).write_parquet(fewer)
    with pytest.raises(InputError, match=r"its 38 test episodes are not the 40 of"):
        compare(monkeypatch, tmp_path, [paths[0], fewer])


def test_order_of_files_changes_no_number(monkeypatch, tmp_path):
    paths = tables(tmp_path, ["e_unimodal", "n_unimodal", "en_early", "en_joint"], n=120)
    one, two = (compare(monkeypatch, tmp_path, order) for order in (paths, paths[::-1]))
    for family in ("best-single", "early"):
        assert of(one, family) == of(two, family)
