"""Clinical scores as models: the order of the score, calibrated on training patients."""

import sys

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.cohort.rows import TaskRows
from pipeline.fusion import scores
from pipeline.stage.errors import InputError

SPLITS = np.repeat(["train", "fusion", "val", "test"], [400, 200, 200, 200])


def rows_of(label, split=SPLITS):
    number = np.arange(len(label))
    return TaskRows("mortality", number, number, split, label)


@pytest.fixture
def drawn():
    """Points of 1,000 episodes, and deaths whose log odds rise by 0.3 a point."""
    random = np.random.default_rng(0)
    points = random.integers(0, 20, 1000).astype(float)
    chance = 1 / (1 + np.exp(-(0.3 * points - 4)))
    return points, (random.random(1000) < chance).astype(int)


def test_the_auroc_is_that_of_the_score_and_the_probabilities_are_calibrated(drawn):
    points, label = drawn
    probability = scores.fit(points, rows_of(label))
    assert roc_auc_score(label, probability.round(7)) == roc_auc_score(label, points)
    assert scores.calibrated(points, label)[1] == pytest.approx(0.3, abs=0.05)
    fitted = np.isin(SPLITS, ["train", "fusion"])
    assert probability[fitted].mean() == pytest.approx(label[fitted].mean(), abs=0.001)


def test_it_is_fitted_on_train_and_fusion_alone(drawn):
    points, label = drawn
    first = scores.fit(points, rows_of(label))
    for split, same in (("train", False), ("fusion", False), ("val", True), ("test", True)):
        other = np.where(split == SPLITS, 1 - label, label)
        assert np.array_equal(scores.fit(points, rows_of(other)), first) == same, split


def test_a_score_by_which_the_risk_falls_keeps_its_order_and_says_so(drawn, caplog):
    points, label = drawn
    probability = scores.fit(-points, rows_of(label))
    assert roc_auc_score(label, probability.round(7)) == roc_auc_score(label, -points) < 0.5
    assert probability == pytest.approx(label[:600].mean(), abs=0.03)
    assert "the risk does not rise with the score" in caplog.text


def test_every_seed_has_the_same_predictions_and_a_lacking_episode_is_an_error(
    drawn, tmp_path, monkeypatch
):
    points, label = drawn
    number = np.arange(1000)
    episodes = pl.DataFrame({"episode_id": number, "subject_id": number, "split": SPLITS})
    episodes.write_parquet(tmp_path / "episodes.parquet")
    labels = pl.DataFrame({"episode_id": number, "eligible": True, "label": label})
    labels.write_parquet(tmp_path / "labels.parquet")
    table = pl.DataFrame({"episode_id": number[::-1], "total": points[::-1].astype(int)})
    table.write_parquet(tmp_path / "scores.parquet")
    files = {name: tmp_path / f"{name}.parquet" for name in ("episodes", "labels", "scores")}
    flags = [str(word) for name, path in files.items() for word in (f"--{name}", path)]
    output = tmp_path / "made.parquet"
    command = ["scores", *flags, "--task", "mortality", "--seeds", "0", "7", "--output"]
    monkeypatch.setattr(sys, "argv", [*command, str(output)])
    scores.main()
    made = pl.read_parquet(output)
    first, second = (made.filter(seed=seed).drop("seed") for seed in (0, 7))
    assert first.equals(second) and first.height == 1000
    assert roc_auc_score(first["label"], first["probability"]) == roc_auc_score(label, points)
    table.filter(pl.col("episode_id") > 2).write_parquet(tmp_path / "scores.parquet")
    with pytest.raises(InputError, match=r"scores.parquet: <10 episode\(s\) missing"):
        scores.main()
