"""Explanations of films: a planted network, the real one, parts counted as films."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from encoder_data import films
from torch import nn

from pipeline.cxr.encoder_resnet18 import FilmsNetwork
from pipeline.explain.cxr import PATCHES, FilmModel, mean_film
from pipeline.explain.model import Given
from pipeline.explain.parts import Items, attribute
from pipeline.explain.scoring import scores
from pipeline.training.modality import Feature

HOURS = [[1.0], [2.0, 30.0], [], [3.0, 4.0, 5.0], *[[float(k)] for k in range(1, 27)]]
SEEN = slice(4, 8)  # pixels of the one patch that the planted network sees: row 1, column 1 of 32


class Planted(FilmsNetwork):
    """Its first number is the mean brightness of one patch; the rest is 0."""

    def features(self, film):
        made = torch.zeros(len(film), 512)
        made[:, 0] = film.float()[:, SEEN, SEEN].mean(dim=(1, 2)) / 64
        return made


class First(nn.Module):
    """The log odds are the first number of the feature."""

    def forward(self, batch):
        odds = batch["embedding"][:, 0, 0]
        return torch.stack([torch.zeros_like(odds), odds], dim=1)


def model_of(network, some, head=None):
    data = films(HOURS, pixels=32)
    split = np.where(np.arange(len(HOURS)) < 12, "train", "test")
    rows = SimpleNamespace(of=lambda name: np.flatnonzero(split == name))
    feature = Feature(network.eval())
    given = Given("cxr", {}, data, rows, feature, head or First(), torch.device("cpu"), {}, None,
                  0, 99, 0)  # fmt: skip
    return FilmModel(given, network, data, some), data


def items_of(model, cause=None):
    start = np.arange(len(model.row) + 1) * PATCHES**2
    label = model.row % 2
    return Items(model.row, model.row, label, start, cause)


def test_a_network_that_sees_one_patch_is_explained_by_it():
    model, _ = model_of(Planted(48.0), np.arange(32))
    cause = np.zeros((32, PATCHES, PATCHES), bool)
    cause[:, 1, 1] = True
    items = items_of(model, cause.ravel())
    whole, value = attribute(model.occluded, items)
    made = scores(model.occluded, items, whole, value, 0, "planted", None, 0, lambda n: n)
    assert made["share"]["value"]["value"] == pytest.approx(1)
    assert made["pointing"]["value"]["value"] == 1 and made["informative"]
    assert made["pointing"]["chance"]["value"] == pytest.approx(1 / 64)
    picture = mean_film(items, value, 0)
    assert np.argmax(picture["strength"]) == 9 and picture["cause"][1][1] == 1
    elsewhere = items_of(model, np.roll(cause, 1, axis=2).ravel())
    made = scores(model.occluded, elsewhere, whole, value, 0, "planted", None, 0, lambda n: n)
    assert made["share"]["value"]["value"] == 0 and made["informative"] is False


def test_parts_are_films_not_episodes():
    model, data = model_of(Planted(48.0), np.arange(6))
    assert model.row.tolist() == [0, 1, 1, 3, 3, 3]
    items = items_of(model)
    assert len(items.subject) == 6 and items.start[-1] == 6 * 64 and items.widest == 64
    assert data.start[-1] == len(data.row)


def test_without_a_patch_taken_away_an_episode_is_what_the_whole_network_says_of_it():
    torch.manual_seed(0)
    network = FilmsNetwork(48.0)
    head = nn.Linear(512, 2)
    whole = nn.Module()
    whole.forward = lambda batch: head(batch["embedding"][:, 0])
    model, data = model_of(network, np.array([1, 2, 4, 8]), whole)
    odds = model.occluded(np.arange(4), np.zeros((4, 64), bool))
    with torch.no_grad():
        logits = head(Feature(network.eval())(data.batch(model.row)))
    assert np.allclose(odds, (logits[:, 1] - logits[:, 0]).numpy(), atol=1e-4)


def test_what_stands_in_a_patch_is_the_mean_of_training_films():
    model, data = model_of(Planted(48.0), np.arange(32))
    train = data.arrays[0][: data.start[12]].astype(float).mean(axis=0)
    assert np.abs(model.mean.numpy() - train).max() <= 0.51
    gone = np.ones((1, 64), bool)
    covered = model.covered(model.pixels[:1], gone)
    assert torch.equal(covered[0], model.mean)
    one = np.zeros((1, 64), bool)
    one[0, 9] = True
    changed = (model.covered(model.pixels[:1], one) != model.pixels[:1]).numpy()[0]
    assert changed[SEEN, SEEN].mean() > 0.9 and changed.sum() == changed[SEEN, SEEN].sum()


def test_only_the_explained_film_of_an_episode_changes():
    """Episode 3 has three films: each counts by its own weight, and all together by the sum."""
    model, _ = model_of(Planted(48.0), np.array([3, 4, 5]))
    items = items_of(model)
    whole, value = attribute(model.occluded, items)
    assert np.ptp(whole) < 1e-6  # the same episode
    weight = np.exp(np.array([3.0, 4, 5]) / 48)
    bright = model.known[model.own][:, 0].numpy()
    base = float(model.mean[SEEN, SEEN].mean()) / 64
    want = (bright - base) * weight / weight.sum()
    assert np.allclose(value.reshape(3, 64)[:, 9], want, atol=1e-4)
