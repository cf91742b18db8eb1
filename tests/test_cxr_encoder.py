"""Films of an episode: every one counts, at each horizon those taken before it, and no others."""

import numpy as np
import polars as pl
import pytest
import torch
from encoder_data import films

from pipeline.cxr import encoder_resnet18 as module
from pipeline.cxr.decode import DECODED
from pipeline.cxr.encoder_resnet18 import ENCODER, FilmsNetwork
from pipeline.cxr.films import FILMS
from pipeline.training.features import Unimodal
from pipeline.training.items import mean_by_horizon
from pipeline.training.modality import Feature

HORIZONS = [4.0, 12.0, 48.0]


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    made = Feature(FilmsNetwork(hours_scale=48.0))
    with torch.no_grad():  # BatchNorm as after some training, not at its start
        made.train()(films([[1.0]] * 16, seed=9).batch(np.arange(16)))
    return made.eval()


def weights(hours, scale=48.0):
    """The weight of each film in its episode's mean."""
    batch = films(hours, pixels=1).batch(np.arange(len(hours)))
    each = torch.eye(len(batch["owner"]))
    mean, _ = mean_by_horizon(each, batch, [torch.inf], scale)
    return mean[batch["owner"], 0].diagonal()


def test_parameter_counts_of_the_paper(encoder):
    assert sum(p.numel() for p in encoder.parameters()) == 11_439_168
    assert sum(p.numel() for p in Unimodal(encoder).parameters()) == 11_439_168 + 2 * 512 + 2


def test_films_are_weighted_by_recency_and_none_is_lost():
    found = weights([[4.0, 12.0], [30.0], [1.0, 1.0, 1.0]])
    assert found.tolist() == pytest.approx([0.4584, 0.5416, 1, 1 / 3, 1 / 3, 1 / 3], abs=1e-4)
    published = torch.tensor([4.0, 12.0]).softmax(dim=0)
    assert published[0] < 0.001  # by raw hours the first film would be lost


def test_weights_are_a_softmax_of_hours_by_window_at_any_hour():
    hours = [[-20.0, 0.0, 47.9], [700.0, 699.0]]
    expected = torch.cat([(torch.tensor(times) / 48).softmax(dim=0) for times in hours])
    torch.testing.assert_close(weights(hours), expected)


@torch.no_grad()
def test_a_feature_is_the_weighted_sum_of_those_of_its_films(encoder):
    data = films([[4.0, 12.0, 40.0]])
    image = torch.from_numpy(data.arrays[0]).float() / 255
    each = torch.cat([encoder.network.net(one.expand(1, 3, -1, -1)) for one in image])
    expected = ((torch.tensor([4.0, 12.0, 40.0]) / 48).softmax(dim=0)[:, None] * each).sum(dim=0)
    torch.testing.assert_close(encoder(data.batch(np.array([0])))[0], expected)


@torch.no_grad()
def test_a_feature_does_not_depend_on_the_rest_of_the_batch(encoder, monkeypatch):
    data = films([[1.0, 9.0], [], [5.0], [2.0, 3.0, 4.0]])
    together = encoder(data.batch(np.arange(4)))
    alone = torch.cat([encoder(data.batch(np.array([k]))) for k in range(4)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    swapped = encoder(data.batch(np.array([3, 0, 2, 1])))
    torch.testing.assert_close(swapped, together[[3, 0, 2, 1]], atol=1e-5, rtol=1e-5)
    monkeypatch.setattr(module, "PART", 4)  # films in parts
    torch.testing.assert_close(encoder(data.batch(np.arange(4))), together, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_an_episode_without_films_before_a_horizon_is_zeros(encoder):
    data = films([[], [5.0], [-3.0, 40.0]])
    assert data.present().tolist() == [False, True, True]
    made, present = encoder.network(data.batch(np.arange(3)), HORIZONS)["c"]
    assert present.tolist() == [[False] * 3, [False, True, True], [True] * 3]
    assert not made[~present].any()
    assert made[present].any(dim=1).all()
    assert not encoder(data.batch(np.array([0, 0]))).any()


@torch.no_grad()
def test_of_a_later_horizon_the_last_is_that_of_all_films_to_the_bit(encoder):
    batch = films([[-3.0, 12.0, 40.0], [], [5.0]]).batch(np.arange(3))
    made, _ = encoder.network(batch, [48.0])["c"]
    assert torch.equal(made[:, 0], encoder(batch))


def test_evaluation_leaves_batch_norm_as_it_is_and_training_moves_it():
    torch.manual_seed(0)
    made, data = Feature(FilmsNetwork(48.0)), films([[1.0], [2.0]])
    start = {k: v.clone() for k, v in made.state_dict().items()}
    made.eval()(data.batch(np.arange(2)))
    assert all(torch.equal(v, start[k]) for k, v in made.state_dict().items())
    made.train()(data.batch(np.arange(2)))
    assert not torch.equal(made.network.net.bn1.running_mean, start["network.net.bn1.running_mean"])


@pytest.mark.parametrize("horizons", [[torch.inf], HORIZONS], ids=["admission", "stay"])
def test_gradient_reaches_every_parameter_beside_an_episode_without_films(horizons):
    torch.manual_seed(0)
    made = FilmsNetwork(48.0).train()
    batch = films([[1.0, 2.0], [], [3.0]]).batch(np.arange(3))
    made(batch, horizons)["c"][0].square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.parameters())
    assert all(p.grad.any() for p in made.parameters())


def test_a_lone_film_of_the_default_size_can_be_trained_on():
    made = Feature(FilmsNetwork(48.0)).train()
    assert made(films([[1.0]], pixels=64).batch(np.array([0]))).isfinite().all()


def test_films_after_the_last_horizon_are_not_even_read(tmp_path):
    rows = [(1, "a", 10, 5, 239), (1, "b", 10, 5, 240), (1, "c", 10, 5, -60)]
    pl.DataFrame(rows, schema=FILMS.columns, orient="row").write_parquet(tmp_path / "f.parquet")
    (tmp_path / "store" / "8" / "p10").mkdir(parents=True)
    np.save(tmp_path / "store" / "8" / "p10" / "x.npy", np.zeros((3, 8, 8), np.uint8))
    places = [("a", "x", 0, None), ("b", "x", 1, None), ("c", "x", 2, None)]
    table = pl.DataFrame(places, schema=DECODED.columns, orient="row")
    table.write_parquet(tmp_path / "p10.parquet")
    settings = {"films": tmp_path / "f.parquet", "decoded": [tmp_path / "p10.parquet"]}
    settings |= {"store": tmp_path / "store", "pixels": 8, "full": False}
    data = ENCODER.data(settings | {"before": 4}, np.array([1]))
    assert data.row.tolist() == [2, 0]
    everything = ENCODER.data(settings | {"before": None}, np.array([1]))
    assert len(everything.row) == 3
    other = ENCODER.data(settings | {"before": None}, np.array([2]))
    assert other.present().tolist() == [False]
