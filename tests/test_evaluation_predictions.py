"""Tables of predictions: what is refused, how folds are one sample, and how two are paired."""

import numpy as np
import polars as pl
import pytest
from prediction_tables import fold
from sklearn.metrics import roc_auc_score

from pipeline.cohort.rows import PREDICTIONS
from pipeline.evaluation.predictions import read_task, read_tasks, runs, sample, samples
from pipeline.evaluation.sections.binary import split_metrics
from pipeline.evaluation.sections.comparisons import mean_auroc
from pipeline.evaluation.statistics.bootstrap import Resampling, auroc_estimate, per_run
from pipeline.evaluation.statistics.metrics import auroc, unit_weights
from pipeline.evaluation.statistics.sample import Sample, pair
from pipeline.stage.errors import InputError
from pipeline.stage.tables import write_table

FEW = Resampling(count=200)


def table(**columns):
    plain = {
        "task": ["t"] * 6,
        "episode_id": [11, 11, 12, 12, 13, 13],
        "subject_id": [1, 1, 1, 1, 2, 2],
        "seed": [0, 1] * 3,
        "split": ["test"] * 4 + ["val"] * 2,
        "label": [1, 1, 0, 0, 1, 1],
        "probability": [0.9, 0.8, 0.1, 0.2, 0.7, 0.6],
    }
    return pl.DataFrame(plain | columns, schema=dict(PREDICTIONS.columns))


def test_one_split_as_arrays(tmp_path):
    write_table(table().reverse(), tmp_path / "e_x_t.parquet", PREDICTIONS)
    test = sample(read_task([tmp_path / "e_x_t.parquet"], "t")[0], "test")
    assert test.episode.tolist() == [11, 12]
    assert test.label.tolist() == [True, False]
    assert test.probability.tolist() == [[0.9, 0.1], [0.8, 0.2]]
    assert test.counts == {"n": 2, "patients": 1, "positives": 1}


def test_a_split_may_be_empty():
    empty = sample(table(), "train")
    assert empty.counts == {"n": 0, "patients": 0, "positives": 0}
    assert empty.probability.shape == (2, 0)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"probability": [0.9, 0.8, 0.1, 0.2, 0.7, 1.1]},
            r"probability is outside \[0, 1\] in <10",
        ),
        ({"probability": [float("nan")] * 6}, r"probability is outside \[0, 1\] in <10"),
        ({"label": [1, 1, 0, 0, 2, 2]}, "label is neither 0 nor 1 in <10"),
        ({"split": ["test"] * 4 + ["dev"] * 2}, "split is none of train, fusion, val, test"),
        ({"label": [1, 0, 0, 0, 1, 1]}, "label of an episode differ between seeds"),
        ({"seed": [0, 1, 0, 1, 0, 2]}, "<10 rows, expected <10 episodes × 3 seeds"),
    ],
)
def test_impossible_tables_are_refused(tmp_path, columns, message):
    path = tmp_path / "e_x_t.parquet"
    write_table(table(**columns), path, PREDICTIONS)
    with pytest.raises(InputError, match=message) as error:
        read_tasks([path])
    assert str(path) in str(error.value)


def test_how_few_rows_lack_is_not_told(tmp_path):
    rows = pl.concat([table()] * 3).with_columns(
        episode_id=pl.int_range(18), seed=pl.lit(0, pl.Int64)
    )
    rows = pl.concat([rows, rows.head(15).with_columns(seed=pl.lit(1, pl.Int64))])
    write_table(rows, tmp_path / "e_x_t.parquet", PREDICTIONS)
    with pytest.raises(InputError, match="all but <10 rows, expected 18 episodes × 2 seeds"):
        read_tasks([tmp_path / "e_x_t.parquet"])


def test_no_rows_are_refused(tmp_path):
    write_table(table().clear(), tmp_path / "e_x_t.parquet", PREDICTIONS)
    with pytest.raises(InputError, match="no predictions"):
        read_task([tmp_path / "e_x_t.parquet"], "t")[0]


def test_pairing_keeps_common_episodes_and_counts_the_others():
    whole = sample(table(split=["test"] * 6), "test")
    part = whole.rows(np.array([1, 2]))
    one, two, left_out = pair(whole, part, "other")
    assert one.episode.tolist() == two.episode.tolist() == [12, 13]
    assert left_out == {"model": 1, "other": 0}


def test_pairing_refuses_other_labels():
    first = sample(table(), "test")
    second = sample(table(label=[1, 1, 1, 1, 1, 1]), "test")
    with pytest.raises(InputError, match=r"e_unimodal: <10 label\(s\) differ"):
        pair(first, second, "e_unimodal")


def test_auroc_is_the_mean_of_those_within_fold_and_seed():
    frames = [fold(k) for k in range(3)]
    by_run = [
        roc_auc_score(part["label"], part["probability"])
        for frame in frames
        for s in (0, 1)
        for part in [frame.filter(split="test", seed=s)]
    ]
    made = split_metrics(samples(frames, "test"), runs(frames), FEW, 0)
    assert [r["value"] for r in made["auroc"]["by_run"]] == pytest.approx(by_run, abs=1e-12)
    assert [(r["fold"], r["seed"]) for r in made["auroc"]["by_run"]] == [
        (k, s) for k in range(3) for s in (0, 1)
    ]
    assert made["auroc"]["value"] == pytest.approx(np.mean(by_run), abs=1e-12)
    assert made["auroc"]["sd"] == pytest.approx(np.std(by_run, ddof=1), abs=1e-12)
    assert (made["n"], made["patients"]) == (240, 120)


def test_folds_are_never_ranked_against_each_other():
    level = [samples([fold(k) for k in range(3)], "test")]
    level.append(samples([fold(k, shift=2.0 * k) for k in range(3)], "test"))
    same, moved = (auroc_estimate(part, FEW) for part in level)
    assert same["value"] == pytest.approx(moved["value"], abs=1e-12)
    assert same["low"] == pytest.approx(moved["low"], abs=1e-12)


def test_an_episode_in_several_folds_counts_once_and_its_patient_is_drawn_once():
    frames = [fold(k) for k in range(3)]
    train = samples(frames, "train")
    assert train.counts["n"] == pl.concat(frames).filter(split="train")["episode_id"].n_unique()
    assert len(train.label) > train.counts["n"]
    one = samples(frames[:1], "train")
    twice = Sample(
        np.tile(one.episode, 2),
        np.tile(one.subject, 2),
        np.tile(one.label, 2),
        np.tile(one.probability, 2),
        np.arange(2).repeat(len(one.label)),
        2,
    )
    assert auroc_estimate(twice, FEW) == pytest.approx(auroc_estimate(one, FEW), abs=1e-12)


def test_one_class_in_a_fold_leaves_no_metric():
    label = np.arange(240) % 3 == 0
    label[np.arange(240) // 2 % 3 == 1] = False  # fold 1 tests negatives only
    frames = [fold(k, label=label) for k in range(3)]
    test = samples(frames, "test")
    made = split_metrics(test, runs(frames), FEW, 0)
    assert made["reason"] == "one class only in a fold"
    assert made["auroc"]["value"] is made["brier"]["value"] is mean_auroc(test) is None
    assert mean_auroc(samples(frames[:1], "test")) is not None


def test_few_cases_in_one_fold_withhold_the_metrics():
    label = np.arange(240) % 3 == 0
    label[np.arange(240) // 2 % 3 == 1] = False
    label[[2, 3]] = True  # fold 1 tests two positives
    frames = [fold(k, label=label) for k in range(3)]
    made = split_metrics(samples(frames, "test"), runs(frames), FEW, 10)
    assert made["reason"] == "fewer than 10 positive or negative episodes in a fold"
    assert made["auroc"]["value"] is None


def test_pairing_stays_within_the_fold():
    frames = [fold(k) for k in range(2)]
    whole = samples(frames, "train")
    first = frames[1].filter(split="train")[0, "episode_id"]
    lacking = frames[1].filter(pl.col("episode_id") != first)
    one, two, left_out = pair(whole, samples([frames[0], lacking], "train"), "other")
    assert left_out == {"model": 1, "other": 0}
    assert (one.episode == two.episode).all()
    assert (one.fold == two.fold).all()
    assert (one.probability == two.probability).all()
    ones = unit_weights(one.label)
    assert (per_run(auroc, one, ones) == per_run(auroc, two, ones)).all()
    with pytest.raises(InputError, match=r"x: 1 fold\(s\), but 2 of the evaluated"):
        pair(whole, samples(frames[:1], "train"), "x")


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (fold(1, seeds=1), r"b_x_t.parquet: seeds \[0\], but \[0, 1\]"),
        (fold(0), r"40 patient\(s\) are tested in several folds"),
    ],
)
def test_tables_that_are_no_folds_are_refused(tmp_path, second, message):
    paths = [tmp_path / "a_x_t.parquet", tmp_path / "b_x_t.parquet"]
    for path, frame in zip(paths, (fold(0), second), strict=True):
        write_table(frame, path, PREDICTIONS)
    with pytest.raises(InputError, match=message):
        read_tasks(paths)
