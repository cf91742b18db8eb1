"""The threshold: chosen on validation by the share of positives, applied to test, ties stated."""

import numpy as np
import pytest
from prediction_tables import fold
from sklearn import metrics as sklearn

from pipeline.evaluation.predictions import samples
from pipeline.evaluation.sections.threshold import MEASURES, at_threshold, choose, threshold
from pipeline.evaluation.statistics.bootstrap import Resampling
from pipeline.evaluation.statistics.figures import NOTHING
from pipeline.evaluation.statistics.sample import Sample

FEW = Resampling(count=200)
RUN = [{"seed": 0, "fold": 0}]


def part(n, share, seed, shift=1.5):
    random = np.random.default_rng(seed)
    label = random.random(n) < share
    score = random.normal(size=n) + shift * label - 1
    who = np.arange(n) + 10_000 * seed
    return Sample(who, who, label, 1 / (1 + np.exp(-score))[None])


def parts(**other):
    plain = {
        "train": part(600, 0.3, 1),
        "fusion": part(300, 0.3, 2),
        "val": part(200, 0.5, 3),
        "test": part(400, 0.3, 4),
    }
    return plain | other


@pytest.mark.parametrize(
    ("score", "share", "called"),
    [
        ([0.1, 0.2, 0.3, 0.4], 0.25, 1),
        ([0.1, 0.2, 0.3, 0.4], 0.5, 2),
        ([0.1, 0.2, 0.3, 0.4], 0.01, 1),
        ([0.1, 0.2, 0.3, 0.4], 1.0, 4),
        ([0.5, 0.5, 0.5, 0.9], 0.5, 1),
        ([0.5, 0.5, 0.5, 0.9], 0.7, 4),
        ([0.5, 0.5, 0.5, 0.5], 0.2, 4),
        ([0.0, 0.0, 1.0, 1.0], 0.5, 2),
    ],
)
def test_the_share_comes_as_near_as_ties_allow(score, share, called):
    score = np.array(score)
    value = choose(score, share)
    assert (score >= value).sum() == called
    assert value not in score or score.min() == 0


def test_measures_at_the_threshold_agree_with_scikit_learn():
    random = np.random.default_rng(0)
    label, called = random.random(200) < 0.3, random.random((1, 200)) < 0.4
    weights = random.integers(0, 4, (3, 200)).astype(float)
    ours = at_threshold(label, called, weights)[:, 0]
    for row, values in zip(weights, ours, strict=True):
        how = {"sample_weight": row}
        assert values == pytest.approx(
            [
                sklearn.recall_score(label, called[0], **how),
                sklearn.recall_score(~label, ~called[0], **how),
                sklearn.precision_score(label, called[0], **how),
                sklearn.f1_score(label, called[0], **how),
                np.average(called[0], weights=row),
                sklearn.precision_score(~label, ~called[0], **how),
            ]
        )


def test_it_is_chosen_on_validation_by_the_prevalence_of_all_training_patients():
    given = parts()
    made = threshold(given, RUN, FEW, 0)
    labels = np.concatenate([given[s].label for s in ("train", "fusion", "val")])
    (run,) = made["by_run"]
    assert run["prevalence"] == labels.mean()
    assert run["share_on_validation"] == pytest.approx(labels.mean(), abs=0.5 / 200)
    called = given["test"].probability[0] >= run["threshold"]
    sensitivity = called[given["test"].label].mean()
    assert made["sensitivity"]["value"] == pytest.approx(sensitivity)
    assert made["sensitivity"]["low"] < sensitivity < made["sensitivity"]["high"]
    assert made["share_positive"]["value"] == pytest.approx(called.mean())


def test_test_episodes_do_not_move_it():
    first = threshold(parts(), RUN, FEW, 0)
    second = threshold(parts(test=part(500, 0.1, 9, shift=4)), RUN, FEW, 0)
    assert first["by_run"] == second["by_run"]
    assert first["precision"] != second["precision"]


def test_every_fold_and_seed_has_its_own():
    frames = [fold(k, shift=2.0 * k) for k in range(3)]
    given = {s: samples(frames, s) for s in ("train", "fusion", "val", "test")}
    names = [{"seed": s, "fold": k} for k in range(3) for s in (0, 1)]
    made = threshold(given, names, FEW, 0)
    values = [run["threshold"] for run in made["by_run"]]
    assert [(run["fold"], run["seed"]) for run in made["by_run"]] == [
        (k, s) for k in range(3) for s in (0, 1)
    ]
    assert max(values[:2]) < min(values[4:])
    assert made["share_positive"]["value"] == pytest.approx(0.3, abs=0.1)


def test_without_validation_it_is_null_with_the_reason():
    made = threshold(parts(val=part(0, 0.5, 3)), RUN, FEW, 0)
    assert made["reason"] == "no validation episodes to choose it on"
    assert made["by_run"] == []
    assert all(made[name] == NOTHING for name in MEASURES)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"test": part(400, 0.01, 4)}, "fewer than 10 positive or negative episodes"),
        ({"fusion": part(300, 0.01, 2)}, "fewer than 10 positive or negative training patients"),
        ({"test": part(400, 0.3, 4, shift=3)}, "a cell of the confusion table holds fewer than 10"),
    ],
)
def test_small_cells_are_withheld_on_real_data(other, reason):
    assert threshold(parts(**other), RUN, FEW, 0)["reason"] is None
    made = threshold(parts(**other), RUN, FEW, 10)
    assert made["reason"].startswith(reason)
    assert made["by_run"] == []
    assert made["sensitivity"] == NOTHING
