"""The CXR encoder: every film counts, whatever else is in the batch."""

import numpy as np
import pytest
import torch

from pipeline.cxr import encoder as module
from pipeline.cxr.dataset import CxrData
from pipeline.cxr.encoder import CxrEncoder
from pipeline.training.unimodal import Unimodal

PIXELS = 32


def films(hours, seed=0, pixels=PIXELS):
    """Episodes with films at these hours."""
    count = [len(times) for times in hours]
    images = np.random.default_rng(seed).integers(0, 256, (sum(count), pixels, pixels), np.uint8)
    return CxrData(
        arrays=[images],
        chunk=np.zeros(sum(count), int),
        row=np.arange(sum(count)),
        hours=np.array([h for times in hours for h in times], np.float32),
        start=np.concatenate([[0], np.cumsum(count)]).astype(int),
        pixels=pixels,
    )


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    made = CxrEncoder(hours_scale=48.0)
    with torch.no_grad():  # BatchNorm as after some training, not at its start
        made.train()(films([[1.0]] * 16, seed=9).batch(np.arange(16)))
    return made.eval()


def test_parameter_counts_of_the_paper(encoder):
    assert sum(p.numel() for p in encoder.parameters()) == 11_439_168
    assert sum(p.numel() for p in Unimodal(encoder).parameters()) == 11_439_168 + 2 * 512 + 2


def test_films_are_weighted_by_recency_and_none_is_lost(encoder):
    weights = encoder.weights(films([[4.0, 12.0], [30.0], [1.0, 1.0, 1.0]]).batch(np.arange(3)))
    assert weights.tolist() == pytest.approx([0.4584, 0.5416, 1, 1 / 3, 1 / 3, 1 / 3], abs=1e-4)
    published = torch.tensor([4.0, 12.0]).softmax(dim=0)
    assert published[0] < 0.001  # by raw hours the first film would be lost


def test_weights_are_a_softmax_of_hours_by_window_at_any_hour(encoder):
    hours = [[-20.0, 0.0, 47.9], [700.0, 699.0]]
    weights = encoder.weights(films(hours).batch(np.arange(2)))
    expected = torch.cat([(torch.tensor(times) / 48).softmax(dim=0) for times in hours])
    torch.testing.assert_close(weights, expected)


@torch.no_grad()
def test_a_feature_is_the_weighted_sum_of_those_of_its_films(encoder):
    data = films([[4.0, 12.0, 40.0]])
    image = torch.from_numpy(data.arrays[0]).float() / 255
    each = torch.cat([encoder.net(one.expand(1, 3, -1, -1)) for one in image])
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
def test_an_episode_without_films_is_zeros(encoder):
    data = films([[], [5.0], []])
    assert data.present().tolist() == [False, True, False]
    made = encoder(data.batch(np.arange(3)))
    assert not made[[0, 2]].any()
    assert made[1].any()
    assert not encoder(data.batch(np.array([0, 2]))).any()


def test_evaluation_leaves_batch_norm_as_it_is_and_training_moves_it():
    torch.manual_seed(0)
    made, data = CxrEncoder(48.0), films([[1.0], [2.0]])
    start = {k: v.clone() for k, v in made.state_dict().items()}
    made.eval()(data.batch(np.arange(2)))
    assert all(torch.equal(v, start[k]) for k, v in made.state_dict().items())
    made.train()(data.batch(np.arange(2)))
    assert not torch.equal(made.net.bn1.running_mean, start["net.bn1.running_mean"])


def test_gradient_reaches_every_parameter_beside_an_episode_without_films():
    torch.manual_seed(0)
    model = Unimodal(CxrEncoder(48.0)).train()
    model(films([[1.0, 2.0], [], [3.0]]).batch(np.arange(3))).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert all(p.grad.any() for p in model.parameters())


def test_a_lone_film_of_the_default_size_can_be_trained_on():
    made = CxrEncoder(48.0).train()
    assert made(films([[1.0]], pixels=64).batch(np.array([0]))).isfinite().all()
