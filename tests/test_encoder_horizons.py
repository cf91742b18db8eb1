"""Every encoder at K horizons: what is known at one or later changes no bit of an earlier one.

And one horizon after everything is the feature of admissions, to the bit.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from encoder_data import WORDS, features, films, grid, reports, steps

from pipeline.cxr.encoder_resnet18 import FilmsNetwork
from pipeline.ehr.encoder_fiddle import FiddleNetwork
from pipeline.ehr.encoder_grid import GridNetwork
from pipeline.ehr.encoder_tokens import TokensNetwork
from pipeline.ehr.grid import Bins
from pipeline.ehr.signals import CLASSES
from pipeline.ehr.steps import NEVER
from pipeline.note.encoder_bert import BertNetwork
from pipeline.note.encoder_doc2vec import Doc2VecNetwork
from pipeline.note.reports import Vectors
from pipeline.training.modality import Feature

HORIZONS = [4.0, 12.0, 12.0, 48.0]
HOURS = [[-20.0, 3.9, 4.0, 11.0], [12.0, 47.0], [], [3.0, 40.0]]
ROWS = np.array([2, 0, 3, 1])


def late_tokens(data, hours):
    """Other tokens, and other minutes of knowledge, of what was known from then on."""
    late = data.known >= 60 * hours
    token = np.where(late, (data.token + 1) % WORDS.size, data.token)
    return replace(data, token=token, known=np.where(late, 48 * 60 - 1, data.known))


def late_features(data, hours):
    cell = np.repeat(np.arange(len(data.series_start) - 1), np.diff(data.series_start))
    late = cell % data.bins >= hours
    return replace(data, series=np.where(late, (data.series + 1) % data.sizes[1], data.series))


def late_grid(data, hours):
    """Other values of what was known from then on, and other ends of what ended from then on."""
    readings = replace(data.readings, value=data.readings.value.copy())
    readings.value[readings.known >= 60 * hours] += 90
    late = data.intervals.end >= 60 * hours
    end = np.where(late, data.intervals.end + 77, data.intervals.end)
    begun = np.where(data.intervals.known >= 60 * hours, data.intervals.minute - 5,
                     data.intervals.minute)  # fmt: skip
    return replace(
        data, readings=readings, intervals=replace(data.intervals, end=end, minute=begun)
    )


def without_void(data):
    """Of one table, all that is there at infinite hours, too."""
    never = [replace(rows, until=np.full_like(rows.until, NEVER))
             for rows in (data.readings, data.intervals)]  # fmt: skip
    return replace(data, readings=never[0], intervals=never[1])


def grid_network(kind):
    network = GridNetwork(Bins(120, 48), kind, 256, list(CLASSES.values()))
    network.learn(grid(4), np.arange(4))
    return network


def late_films(data, hours):
    image = data.arrays[0].copy()
    image[data.hours >= hours] = 255
    return replace(data, arrays=[image])


def late_reports(data, hours):
    vector = data.content.vector.copy()
    vector[data.which[data.hours >= hours]] *= -1
    return replace(data, content=Vectors(vector))


CASES = {
    "tokens": (
        lambda: steps([5, 30, 0, 12], seed=7),
        lambda: TokensNetwork(WORDS, list(CLASSES.values())),
        late_tokens,
    ),
    "fiddle": (
        lambda: features(np.random.default_rng(0), 4),
        lambda: FiddleNetwork((5, 11), 1.0),
        late_features,
    ),
    "grid: gru": (lambda: without_void(grid(4)), lambda: grid_network("gru"), late_grid),
    "grid: tcn": (lambda: without_void(grid(4)), lambda: grid_network("tcn"), late_grid),
    "resnet18": (lambda: films(HOURS), lambda: FilmsNetwork(48.0), late_films),
    "doc2vec": (lambda: reports(HOURS, 16), lambda: Doc2VecNetwork(16), late_reports),
    "bert": (lambda: reports(HOURS, 16), lambda: BertNetwork(16), late_reports),
}


@pytest.fixture(params=list(CASES), scope="module")
def case(request):
    """Data of four episodes, a network in evaluation, and what changes the data from an hour on."""
    data, network, late = CASES[request.param]
    torch.manual_seed(0)
    return data(), network().eval(), late


@torch.no_grad()
def tokens(network, data, horizons):
    return network(data.batch(ROWS), horizons)


@pytest.mark.parametrize("hours", [4, 12])
def test_what_is_known_at_a_horizon_or_later_changes_no_bit_of_an_earlier_one(case, hours):
    data, network, late = case
    before, after = (tokens(network, own, HORIZONS) for own in (data, late(data, hours)))
    moved = dict.fromkeys(HORIZONS, False)
    for name, (feature, present) in before.items():
        for k, horizon in enumerate(HORIZONS):
            same = torch.equal(after[name][0][:, k], feature[:, k])
            same &= torch.equal(after[name][1][:, k], present[:, k])
            assert same or horizon > hours, (name, horizon)
            moved[horizon] |= not same
    assert moved[48.0]  # the trap is armed
    assert hours != 4 or moved[12.0]


def test_equal_horizons_give_equal_tokens_and_shapes_are_those_of_the_widths(case):
    data, network, _ = case
    for name, (feature, present) in tokens(network, data, HORIZONS).items():
        assert feature.shape == (4, 4, network.widths[name])
        assert present.shape == (4, 4)
        assert present.dtype == torch.bool
        assert torch.equal(feature[:, 1], feature[:, 2])


def test_a_horizon_after_everything_is_that_of_a_task_without_one_to_the_bit(case):
    data, network, _ = case
    for feature, present in tokens(network, data, [48.0, torch.inf]).values():
        assert torch.equal(feature[:, 0], feature[:, 1])
        assert torch.equal(present[:, 0], present[:, 1])


def test_presence_is_what_the_data_tell_of_each_horizon(case):
    data, network, _ = case
    for k, horizon in enumerate(HORIZONS):
        present = [p[:, k].numpy() for _, p in tokens(network, data, HORIZONS).values()]
        assert np.array_equal(np.any(present, axis=0), data.known_by(horizon)[ROWS])


@torch.no_grad()
def test_a_feature_for_heads_is_the_one_token_of_512_or_a_layer_on_all(case):
    data, network, _ = case
    feature, batch = Feature(network, 12.0).eval(), data.batch(ROWS)
    each = network(batch, [12.0]).values()
    expected = torch.cat([torch.where(here, value[:, 0], 0.0) for value, here in each], dim=1)
    if [*network.widths.values()] != [512]:
        expected = feature.combine(expected)
        counts = [p.numel() for p in feature.combine.parameters()]
        assert sum(counts) == 512 * (sum(network.widths.values()) + 1)
    assert torch.equal(feature(batch), expected)
    assert expected.shape == (4, 512)
