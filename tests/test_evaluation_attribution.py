"""Shapley values: known games, the models of every set, intervals, and input that is refused."""

import json
import sys
from itertools import permutations

import numpy as np
import polars as pl
import pytest
from pydantic import TypeAdapter

from pipeline.evaluation import attribution
from pipeline.evaluation.attribution import named_tables, shapley
from pipeline.evaluation.predictions import read_task, sample
from pipeline.evaluation.statistics.bootstrap import Resampling, auroc_estimate
from pipeline.stage.comparison import Attribution
from pipeline.stage.errors import InputError
from pipeline.stage.registry import subsets

N, SETS = 400, ["e", "c", "n", "ec", "en", "cn", "ecn"]


def tables(folder, strength=(1.6, 0.8, 0.4), n=N, positives=None, seeds=2):
    """Predictions of seven models, each of which sees the latents of its own modalities."""
    random = np.random.default_rng(3)
    latent = random.normal(size=(3, n)) * np.array(strength)[:, None]
    label = random.random(n) < 1 / (1 + np.exp(1 - latent.sum(axis=0)))
    if positives is not None:
        label = np.arange(n) < positives
    paths = {}
    for letters in SETS:
        seen = sum(latent["ecn".index(letter)] for letter in letters)
        frames = [
            pl.DataFrame(
                {
                    "task": ["mortality"] * n,
                    "episode_id": np.arange(n),
                    "subject_id": np.arange(n) // 2,
                    "seed": np.full(n, seed),
                    "split": ["test"] * n,
                    "label": label.astype(np.int8),
                    "probability": 1 / (1 + np.exp(-seen - random.normal(0, 0.2, n))),
                }
            )
            for seed in range(seeds)
        ]
        paths[letters] = folder / f"{letters}.parquet"
        pl.concat(frames).write_parquet(paths[letters])
    return paths


def attribute(monkeypatch, paths, folder=None, more=()):
    folder = folder or next(iter(paths.values())).parent
    pairs = [f"{letters}={path}" for letters, path in paths.items()]
    names = ["--task", "mortality", "--fusion", "early", "--protocol", "corrected"]
    output = ["--output", str(folder / "out.json"), "--resamples", "200", *more]
    monkeypatch.setattr(sys, "argv", ["attribution", *names, "--predictions", *pairs, *output])
    attribution.main()
    made = json.loads((folder / "out.json").read_text())
    TypeAdapter(Attribution).validate_python(made)
    return made


@pytest.mark.parametrize("modalities", ["e", "en", "ecn", "ecnx"])
def test_values_are_the_mean_gain_over_all_orders(modalities):
    random = np.random.default_rng(len(modalities))
    sets = subsets(modalities)
    worth = dict(zip(map(frozenset, sets), random.random(len(sets)), strict=True))
    worth[frozenset()] = 0.5
    gains = {letter: [] for letter in modalities}
    for order in permutations(modalities):
        for position, letter in enumerate(order):
            before = frozenset(order[:position])
            gains[letter].append(worth[before | {letter}] - worth[before])
    found = shapley(np.array([worth[frozenset(s)] for s in sets]), modalities)
    assert found == pytest.approx([np.mean(gains[letter]) for letter in modalities])
    assert found.sum() == pytest.approx(worth[frozenset(modalities)] - 0.5)


def test_one_without_any_gain_gets_nothing_and_equals_get_the_same():
    useless = np.array([0.7, 0.7, 0.5, 0.9, 0.7, 0.7, 0.9])  # n adds nothing to any set
    assert shapley(useless, "ecn") == pytest.approx([0.2, 0.2, 0.0])


def test_values_of_real_tables(monkeypatch, tmp_path):
    paths = tables(tmp_path)
    found = attribute(monkeypatch, paths)
    for letters, path in paths.items():
        same = auroc_estimate(sample(read_task([path], "mortality")[0], "test"), Resampling(200))
        assert found["aurocs"][letters] == pytest.approx(same, abs=1e-6)
    worth = np.array([found["aurocs"][letters]["value"] for letters in SETS])
    values = {m: found["shapley"][m]["value"] for m in "ecn"}
    assert list(values.values()) == pytest.approx(list(shapley(worth, "ecn")), abs=1e-5)
    assert found["total"]["value"] == pytest.approx(worth[-1] - 0.5, abs=1e-6)
    assert sum(values.values()) == pytest.approx(found["total"]["value"], abs=1e-5)
    assert values["e"] > values["c"] > values["n"]
    for value in (*found["shapley"].values(), found["total"]):
        assert value["low"] < value["value"] < value["high"]
    assert found["modalities"] == ["e", "c", "n"]
    assert found["test"]["n"] == N
    assert found["bootstrap"]["resamples"] == 200


def test_differences_are_paired_and_corrected(monkeypatch, tmp_path):
    found = attribute(monkeypatch, tables(tmp_path))
    rows = {row["first"] + row["second"]: row for row in found["differences"]}
    assert list(rows) == ["ec", "en", "cn"]
    values = {m: found["shapley"][m]["value"] for m in "ecn"}
    for pair, row in rows.items():
        assert row["value"] == pytest.approx(values[pair[0]] - values[pair[1]], abs=1e-5)
        assert row["p"] <= row["p_holm"] <= 1
    assert rows["en"]["low"] > 0
    assert rows["en"]["p_holm"] == pytest.approx(3 * rows["en"]["p"], abs=1e-5)


def test_folds_are_averaged_and_must_be_given_for_every_set(monkeypatch, tmp_path):
    (tmp_path / "other").mkdir()
    folds = tables(tmp_path), tables(tmp_path / "other", strength=(0.2, 1.0, 1.0))
    for path in folds[1].values():  # other patients are tested in the other fold
        moved = pl.read_parquet(path).with_columns(pl.col("episode_id", "subject_id") + 10_000)
        moved.write_parquet(path)
    single = [attribute(monkeypatch, fold) for fold in folds]
    both = {letters: f"{folds[0][letters]},{folds[1][letters]}" for letters in SETS}
    found = attribute(monkeypatch, both, tmp_path)
    for letter in "ecn":
        values = [one["shapley"][letter]["value"] for one in single]
        assert found["shapley"][letter]["value"] == pytest.approx(np.mean(values), abs=1e-5)
    assert found["test"]["n"] == 2 * N
    with pytest.raises(InputError, match=r"c.parquet: 1 fold\(s\), but 2 of"):
        attribute(monkeypatch, {**both, "c": folds[0]["c"]}, tmp_path)


def test_order_of_arguments_changes_nothing(monkeypatch, tmp_path):
    paths = tables(tmp_path)
    found = attribute(monkeypatch, paths)
    assert attribute(monkeypatch, dict(reversed(paths.items()))) == found


@pytest.mark.parametrize(
    ("positives", "reason"), [(0, "one class only"), (7, "fewer than 10 positive")]
)
def test_too_few_patients_give_a_reason_and_no_values(monkeypatch, tmp_path, positives, reason):
    paths = tables(tmp_path, positives=positives)
    found = attribute(monkeypatch, paths, more=["--suppress-below", "10"])
    assert found["test"]["reason"].startswith(reason)
    assert found["test"]["positives"] == (0 if positives == 0 else "<10")
    assert found["shapley"] == {}
    assert found["differences"] == []


def test_other_test_episodes_are_refused(monkeypatch, tmp_path):
    paths = tables(tmp_path)
    pl.read_parquet(paths["ec"]).filter(pl.col("episode_id") > 0).write_parquet(paths["ec"])
    with pytest.raises(InputError, match=r"ec.parquet: its test episodes \(all but <10\) are not"):
        attribute(monkeypatch, paths)


def test_other_labels_are_refused(monkeypatch, tmp_path):
    paths = tables(tmp_path)
    flipped = pl.read_parquet(paths["n"]).with_columns(label=1 - pl.col("label"))
    flipped.write_parquet(paths["n"])
    with pytest.raises(
        InputError, match=r"n.parquet: test labels differ from those of .*e.parquet"
    ):
        attribute(monkeypatch, paths)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["e=a", "c=b"], "need every set"),
        (["e=a", "en=b"], "need every set of modalities, e, n, en; given e, en"),
        (["e=a", "n=b", "en=c", "e=d"], "e is given twice"),
        (["e", "n=b", "en=c"], "expected set=path"),
        (["e=", "n=b", "en=c"], "expected set=path"),
    ],
)
def test_sets_that_do_not_make_a_game_are_refused(pairs, message):
    with pytest.raises(InputError, match=message):
        named_tables(pairs)
