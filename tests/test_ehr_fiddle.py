"""FIDDLE's tables as tensors, and the two tokens made of them."""

import numpy as np
import polars as pl
import pytest
import torch

from pipeline.ehr.encoder_fiddle import ENCODER, FiddleNetwork
from pipeline.stage.errors import InputError


@pytest.fixture
def given(tmp_path):
    """Stay 7 has S 0, 2 and X in bins 0 and 3; stay 5 has nothing but one X in bin 11."""
    tables = {
        "features": pl.DataFrame(
            {
                "table": ["S"] * 3 + ["X"] * 4,
                "feature": [0, 1, 2, 0, 1, 2, 3],
                "name": ["a", "b", "c", "HR_mask", "HR_value_(1, 2]", "x", "HR_delta_time_(-1, 1]"],
            }
        ),
        "static": pl.DataFrame({"episode_id": [7, 7, 9], "feature": [0, 2, 1]}),
        "series": pl.DataFrame(
            {"episode_id": [5, 7, 7, 7, 9], "bin": [11, 0, 0, 3, 1], "feature": [2, 0, 3, 1, 2]}
        ),
    }
    paths = {}
    for name, table in tables.items():
        paths[name] = str(tmp_path / f"{name}.parquet")
        if name != "features":
            table = table.with_columns(pl.col("feature").cast(pl.Int32))
        table.write_parquet(paths[name])
    return {**paths, "before": 12, "step": 1}


def test_features_follow_the_rows_asked_for(given):
    data = ENCODER.data(given, np.array([5, 7]))
    batch = data.batch(np.array([1, 0, 1]))
    assert batch["static"].tolist() == [0, 2, 0, 2]
    assert batch["static_count"].tolist() == [2, 0, 2]
    assert batch["series"].tolist() == [0, 3, 1, 2, 0, 3, 1]
    count = np.zeros((3, 12), int)
    count[[0, 2], 0], count[[0, 2], 3], count[1, 11] = 2, 1, 1
    assert np.array_equal(batch["series_count"], count)
    assert data.sizes == (3, 4)


def dense(encoder, data, rows, hours):
    """The plain definition: a matrix of zeros and ones through layers; the state after hour T."""
    batch = data.batch(rows)
    matrix = torch.zeros(len(rows), data.bins, data.sizes[1])
    start = 0
    for i in range(len(rows)):
        for j in range(data.bins):
            for _ in range(batch["series_count"][i, j]):
                matrix[i, j, batch["series"][start]] += 1
                start += 1
    inputs = matrix @ encoder.series.weight + encoder.bias["X"]
    return torch.stack([encoder.lstm(inputs[:, :hour])[0][:, -1] for hour in hours], dim=1)


def test_one_pass_gives_the_last_state_of_every_horizon(given):
    data = ENCODER.data(given, np.array([5, 7, 9]))
    encoder = FiddleNetwork(data.sizes, 1)
    rows, hours = np.array([0, 1, 2]), [1, 4, 12]
    with torch.no_grad():
        tokens = encoder(data.batch(rows), hours)
        expected = dense(encoder, data, rows, hours)
    assert torch.allclose(tokens["X"][0], expected, atol=1e-6)
    assert tokens["X"][1].tolist() == [[False, False, True], [True] * 3, [False, True, True]]
    weight = encoder.static.weight
    plain = torch.stack([0 * weight[0], weight[0] + weight[2], weight[1]]) + encoder.bias["S"]
    assert torch.allclose(tokens["S"][0], plain.relu()[:, None].expand(-1, 3, -1))
    assert tokens["S"][1].all()


def test_without_a_last_horizon_every_bin_is_read(given):
    data = ENCODER.data({**given, "before": None}, np.array([5, 7, 9]))
    assert data.bins == 12
    encoder = FiddleNetwork(data.sizes, 1)
    with torch.no_grad():
        tokens = encoder(data.batch(np.arange(3)), [12, torch.inf])
    assert torch.equal(tokens["X"][0][:, 0], tokens["X"][0][:, 1])


def test_a_horizon_within_the_first_bin_is_refused(given):
    data = ENCODER.data({**given, "step": 4}, np.array([9]))
    with pytest.raises(InputError, match=r"fiddle\.step: no bin of 4 h ends by a horizon of 3 h"):
        FiddleNetwork(data.sizes, 4)(data.batch(np.array([0])), [3, 8])


def test_a_short_horizon_reads_no_later_bin(given):
    data = ENCODER.data(given, np.array([5, 7, 9]))
    short = ENCODER.data({**given, "before": 4}, np.array([5, 7, 9]))
    assert short.series.tolist() == [0, 3, 1, 2]
    encoder = FiddleNetwork(data.sizes, 1)
    with torch.no_grad():
        few = encoder(short.batch(np.arange(3)), [1, 4])
        all_bins = encoder(data.batch(np.arange(3)), [1, 4, 12])
    assert torch.allclose(few["X"][0], all_bins["X"][0][:, :2], atol=1e-6)
    assert torch.equal(few["X"][1], all_bins["X"][1][:, :2])


def test_wider_bins_end_at_the_horizon_or_before(given):
    data = ENCODER.data({**given, "step": 4}, np.array([9]))
    assert data.bins == 3
    encoder = FiddleNetwork(data.sizes, 4)
    with torch.no_grad():
        tokens = encoder(data.batch(np.array([0])), [4, 8])
    assert tokens["X"][1].tolist() == [[False, True]]


def test_hours_since_a_record_that_never_was_are_no_record(given):
    """FIDDLE's delta_time is 0, a feature, where a frequent variable was never recorded."""
    series = pl.DataFrame({"episode_id": [5, 5, 7], "bin": [0, 2, 1], "feature": [3, 0, 3]})
    series.with_columns(pl.col("feature").cast(pl.Int32)).write_parquet(given["series"])
    data = ENCODER.data(given, np.array([5, 7]))
    assert data.first.tolist() == [2, 12]


def test_a_table_is_read_in_pieces(given, monkeypatch):
    whole = ENCODER.data(given, np.array([5, 7, 9]))
    monkeypatch.setattr("pipeline.ehr.encoder_fiddle.PART", 2)
    pieces = ENCODER.data(given, np.array([5, 7, 9]))
    for name in ("static", "static_start", "series", "series_start", "first"):
        assert np.array_equal(getattr(whole, name), getattr(pieces, name))


def test_no_feature_at_all_is_said(given, tmp_path):
    pl.DataFrame(schema={"table": pl.String, "feature": pl.Int32, "name": pl.String}).write_parquet(
        given["features"]
    )
    with pytest.raises(InputError, match="FIDDLE kept no feature"):
        ENCODER.data(given, np.array([7]))
