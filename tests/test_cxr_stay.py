"""Films of ICU stays: those taken before each horizon, to the second, and nothing of later ones."""

import numpy as np
import polars as pl
import pytest
import torch
from test_cxr_encoder import films as stays_with_films

from pipeline.cxr import dataset
from pipeline.cxr.decode import DECODED
from pipeline.cxr.encoder import CxrEncoder
from pipeline.cxr.films import FILMS
from pipeline.cxr.stays import StayCxrEncoder
from pipeline.training.recency import known_by

HORIZONS = [4.0, 12.0, 48.0]


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    made = StayCxrEncoder()
    with torch.no_grad():  # BatchNorm as after some training, not at its start
        made.train()(stays_with_films([[1.0]] * 16, seed=9).batch(np.arange(16)), [4.0])
    return made.eval()


@torch.no_grad()
def test_the_last_horizon_is_the_encoder_of_admissions(encoder):
    batch = stays_with_films([[-3.0, 12.0, 40.0], [], [5.0]]).batch(np.arange(3))
    made, present = encoder(batch, [48.0])["c"]
    expected = encoder.films(batch)
    assert not expected[1].any()
    torch.testing.assert_close(made[:, 0], expected, atol=1e-6, rtol=1e-5)
    assert present[:, 0].tolist() == [True, False, True]


def test_weights_are_those_of_admissions():
    batch = stays_with_films([[4.0, 12.0], [30.0], [-9.0, 1.0, 1.0]]).batch(np.arange(3))
    weights = CxrEncoder(48.0).weights(batch)
    each = torch.eye(len(weights))
    made, _ = known_by(each, batch["hours"], batch["owner"], 3, [48.0], 48.0)
    torch.testing.assert_close(made[batch["owner"], 0].diagonal(), weights)


@torch.no_grad()
def test_a_film_taken_at_a_horizon_or_later_changes_no_bit_of_it(encoder):
    hours = [[-20.0, 3.9, 4.0, 11.0], [12.0, 47.0], []]
    data = stays_with_films(hours)
    before, present = encoder(data.batch(np.arange(3)), HORIZONS)["c"]
    assert present.tolist() == [[True] * 3, [False, False, True], [False] * 3]
    original = data.arrays[0].copy()
    for k, horizon in enumerate(HORIZONS[:2]):
        data.arrays[0][:] = original
        data.arrays[0][data.hours >= horizon] = 255
        after, _ = encoder(data.batch(np.arange(3)), HORIZONS)["c"]
        assert torch.equal(after[:, : k + 1], before[:, : k + 1])
        assert not torch.equal(after[:, k + 1 :], before[:, k + 1 :])  # the trap is armed


def test_films_after_the_last_horizon_are_not_even_read(tmp_path):
    rows = [(1, "a", 10, 5, 239), (1, "b", 10, 5, 240), (1, "c", 10, 5, -60)]
    pl.DataFrame(rows, schema=FILMS.columns, orient="row").write_parquet(tmp_path / "f.parquet")
    (tmp_path / "store" / "8" / "p10").mkdir(parents=True)
    np.save(tmp_path / "store" / "8" / "p10" / "x.npy", np.zeros((3, 8, 8), np.uint8))
    places = [("a", "x", 0, None), ("b", "x", 1, None), ("c", "x", 2, None)]
    table = pl.DataFrame(places, schema=DECODED.columns, orient="row")
    table.write_parquet(tmp_path / "p10.parquet")
    paths = tmp_path / "f.parquet", [tmp_path / "p10.parquet"], tmp_path / "store"
    data = dataset.load(*paths, 8, np.array([1]), before=4)
    assert data.row.tolist() == [2, 0]
    assert len(dataset.load(*paths, 8, np.array([1])).row) == 3


def test_gradient_reaches_every_parameter_beside_stays_without_films():
    torch.manual_seed(0)
    made = StayCxrEncoder().train()
    batch = stays_with_films([[1.0, 5.0], [], [2.0]]).batch(np.arange(3))
    made(batch, HORIZONS)["c"][0].sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.parameters())
