"""Tables of predictions: what is refused, and how two of them are paired."""

import numpy as np
import polars as pl
import pytest

from pipeline.evaluation.predictions import PREDICTIONS, pair, read_predictions, sample
from pipeline.stage.errors import InputError
from pipeline.stage.tables import write_table


def table(**columns):
    plain = {
        "episode_id": [11, 11, 12, 12, 13, 13],
        "subject_id": [1, 1, 1, 1, 2, 2],
        "seed": [0, 1] * 3,
        "split": ["test"] * 4 + ["val"] * 2,
        "label": [1, 1, 0, 0, 1, 1],
        "probability": [0.9, 0.8, 0.1, 0.2, 0.7, 0.6],
    }
    return pl.DataFrame(plain | columns, schema=dict(PREDICTIONS.columns))


def test_one_split_as_arrays(tmp_path):
    write_table(table().reverse(), tmp_path / "p.parquet", PREDICTIONS)
    test = sample(read_predictions(tmp_path / "p.parquet"), "test")
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
        ({"probability": [0.9, 0.8, 0.1, 0.2, 0.7, 1.1]}, r"probability is outside \[0, 1\] in 1"),
        ({"probability": [float("nan")] * 6}, r"probability is outside \[0, 1\] in 6"),
        ({"label": [1, 1, 0, 0, 2, 2]}, "label is neither 0 nor 1 in 2"),
        ({"split": ["test"] * 4 + ["dev"] * 2}, "split is none of train, fusion, val, test"),
        ({"label": [1, 0, 0, 0, 1, 1]}, "label of an episode differ between seeds"),
        ({"seed": [0, 1, 0, 1, 0, 2]}, "6 rows, expected 3 episodes × 3 seeds"),
    ],
)
def test_impossible_tables_are_refused(tmp_path, columns, message):
    path = tmp_path / "p.parquet"
    write_table(table(**columns), path, PREDICTIONS)
    with pytest.raises(InputError, match=message) as error:
        read_predictions(path)
    assert str(path) in str(error.value)


def test_no_rows_are_refused(tmp_path):
    write_table(table().clear(), tmp_path / "p.parquet", PREDICTIONS)
    with pytest.raises(InputError, match="no predictions"):
        read_predictions(tmp_path / "p.parquet")


def test_pairing_keeps_common_episodes_and_counts_the_others():
    whole = sample(table(split=["test"] * 6), "test")
    part = whole.rows(np.array([1, 2]))
    one, two, left_out = pair(whole, part, "other")
    assert one.episode.tolist() == two.episode.tolist() == [12, 13]
    assert left_out == {"model": 1, "other": 0}


def test_pairing_refuses_other_labels():
    first = sample(table(), "test")
    second = sample(table(label=[1, 1, 1, 1, 1, 1]), "test")
    with pytest.raises(InputError, match=r"e_unimodal: 1 label\(s\) differ"):
        pair(first, second, "e_unimodal")
