"""The EHR encoder: what a plain per-token reading of the paper gives, and its parameter counts."""

import math

import numpy as np
import pytest
import torch
from encoder_data import WORDS, steps

from pipeline.ehr.encoder_tokens import ENCODER, TokensNetwork, sinusoid, start_by_value
from pipeline.ehr.signals import BINS, CLASSES, Vocabulary
from pipeline.ehr.steps import known_before
from pipeline.training.features import Unimodal
from pipeline.training.modality import Feature

DEMOGRAPHIC_CLASSES = list(CLASSES.values())


def wang():
    """The vocabulary of the paper: 9 chart signals, 3 of them scores, 22 labs, 10 procedures."""
    scores = [
        ("eye", "chart", 4, False),
        ("motor", "chart", 6, False),
        ("verbal", "chart", 6, False),
    ]
    chart = [(f"chart{k}", "chart", BINS, True) for k in range(6)]
    labs = [(f"lab{k}", "lab", BINS, True) for k in range(22)]
    procedures = [(f"procedure{k}", "interval", 1, False) for k in range(10)]
    return Vocabulary((*chart, *scores, *labs, *procedures))


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return Feature(TokensNetwork(WORDS, DEMOGRAPHIC_CLASSES)).eval()


def angle_row(j):
    """Row j of the frozen table: sines then cosines of i·j / (127 · 199), i < 128; row 0 zeros."""
    angles = [i * j / (127 * 199) for i in range(128)]
    row = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
    return torch.tensor(row if j else [0.0] * 256)


def slow_token(encoder, token):
    """Linear([variable; value]) of one token; a procedure is its own embedding."""
    everything = [(block, row) for block in WORDS.blocks for row in range(block[2])]
    (name, kind, _, numeric), row = everything[token]
    variable = [block[0] for block in WORDS.blocks if block[1] == kind].index(name)
    if kind == "interval":
        return encoder.interval.weight[variable]
    tokens = {"chart": encoder.chart, "lab": encoder.lab}[kind]
    value = angle_row(row) if numeric else tokens.scores[name].weight[row]
    return tokens.linear(torch.cat([tokens.variable.weight[variable], value]))


def slow_direction(lstm, steps, suffix):
    """A plain LSTM cell, step by step."""
    part = {n: getattr(lstm, f"{n}_l0{suffix}") for n in ("weight_ih", "weight_hh", "bias_ih")}
    hidden = cell = torch.zeros(256)
    outputs = []
    for step in reversed(steps) if suffix else steps:
        gates = part["weight_ih"] @ step + part["bias_ih"]
        gates = gates + part["weight_hh"] @ hidden + getattr(lstm, f"bias_hh_l0{suffix}")
        enter, forget, new, out = gates.split(256)
        cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
        hidden = out.sigmoid() * cell.tanh()
        outputs.append(hidden)
    return outputs[::-1] if suffix else outputs


def slow_feature(encoder, data, episode):
    """The feature of one episode, token by token, as the paper says it."""
    fixed = [
        embedding.weight[data.demographics[episode, k]]
        for k, embedding in enumerate(encoder.demographics)
    ]
    steps = []
    for step in range(*data.episode_start[episode : episode + 2]):
        tokens = data.token[data.step_start[step] : data.step_start[step + 1]]
        known = [slow_token(encoder, token) for token in tokens]
        most = torch.stack(fixed + known).amax(dim=0)
        steps.append(torch.cat([most, angle_row(int(data.time_bin[step]))]))
    ways = [slow_direction(encoder.lstm, steps, suffix) for suffix in ("", "_reverse")]
    both = [torch.cat(pair) for pair in zip(*ways, strict=True)]
    return torch.stack(both).amax(dim=0)


@torch.no_grad()
def test_the_encoder_equals_a_plain_reading_of_the_paper_token_by_token(encoder):
    data = steps([3, 0, 7, 1])
    slow = torch.stack([slow_feature(encoder.network, data, k) for k in range(4)])
    torch.testing.assert_close(encoder(data.batch(np.arange(4))), slow, atol=1e-5, rtol=0)


def test_episodes_padded_on_a_cpu_and_packed_on_a_gpu_have_one_feature_and_one_gradient(encoder):
    lengths = torch.tensor([3, 1, 40, 12, 12, 7, 1, 2, 30, 5, 9])  # more than are taken together
    steps = torch.randn(int(lengths.sum()), 512, requires_grad=True)
    found = []
    for way in (encoder.network._padded, encoder.network._packed):
        steps.grad = None
        encoder.zero_grad()
        feature = way(steps, lengths)
        feature.square().sum().backward()
        weights = [weight.grad.clone() for weight in encoder.network.lstm.parameters()]
        found.append([feature.detach(), steps.grad.clone(), *weights])
    for padded, packed in zip(*found, strict=True):
        torch.testing.assert_close(padded, packed, atol=1e-5, rtol=1e-4)


def test_the_frozen_table_holds_sines_and_cosines_and_no_value_in_row_0():
    rows = torch.stack([angle_row(j) for j in range(BINS)])
    torch.testing.assert_close(sinusoid(), rows, atol=1e-6, rtol=0)


def test_parameter_counts_of_the_paper():
    model = Unimodal(Feature(TokensNetwork(wang(), [9, 3, 2, 5, 8])))
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    assert (trainable, frozen) == (1_862_146, 153_600)


@torch.no_grad()
def test_a_feature_does_not_depend_on_the_rest_of_the_batch(encoder):
    data = steps([3, 0, 40, 1, 12])
    together = encoder(data.batch(np.arange(5)))
    alone = torch.cat([encoder(data.batch(np.array([k]))) for k in range(5)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    swapped = encoder(data.batch(np.array([4, 2, 0, 1, 3])))
    torch.testing.assert_close(swapped, together[[4, 2, 0, 1, 3]], atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_batch_without_any_event_is_features_of_demographics_alone(encoder):
    data = steps([0, 0])
    slow = torch.stack([slow_feature(encoder.network, data, k) for k in range(2)])
    torch.testing.assert_close(encoder(data.batch(np.arange(2))), slow, atol=1e-5, rtol=0)


def test_gradient_reaches_every_trainable_parameter_and_no_frozen_one():
    torch.manual_seed(0)
    model = Unimodal(Feature(TokensNetwork(WORDS, DEMOGRAPHIC_CLASSES)))
    model(steps([30] * 16).batch(np.arange(16))).square().sum().backward()
    without = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert without == {f"feature.network.{k}" for k in ("chart.values", "lab.values", "times")}


@torch.no_grad()
@pytest.mark.parametrize("by_value", [True, False])
def test_the_corrected_start_moves_a_token_by_its_value_more_than_by_its_variable(
    encoder, by_value
):
    if by_value:
        start_by_value(encoder.network)
    table = encoder.network.chart()
    rates, saturations = table[1:BINS], table[BINS + 5 : 2 * BINS + 4]
    value = (rates[-1] - rates[0]).norm()
    variable = (rates - saturations).norm(dim=1).mean()
    assert (value > variable) == by_value


@pytest.mark.parametrize("by_value", [True, False])
def test_a_protocol_chooses_the_start(by_value):
    given = {"signals": "corrected", "start_by_value": by_value}
    torch.manual_seed(0)
    made = ENCODER.network(given, None, np.arange(1))
    torch.manual_seed(0)
    plain = ENCODER.network(given | {"start_by_value": False}, None, np.arange(1))
    assert torch.equal(made.chart(), plain.chart()) != by_value


def test_before_a_horizon_steps_and_tokens_are_those_that_were_known_by_then():
    """Against a plain loop: a step without a known token is none, an episode without a step one."""
    data = steps([3, 0, 7, 2], seed=4)
    data.known[-5:] = 47 * 60  # of the last episode nothing is known at first
    data.known[:3] = 2 * 60, 12 * 60, 12 * 60 - 1
    batch = data.batch(np.arange(4))
    for hours in (2, 12, 48):
        known = known_before(batch, hours)
        token, bag, lengths, time_bin = [], [], [], []
        for episode in range(4):
            length = 0
            for step in range(*data.episode_start[episode : episode + 2]):
                places = range(*data.step_start[step : step + 2])
                kept = [place for place in places if data.known[place] < 60 * hours]
                if kept:
                    bag.append(len(token))
                    token += [data.token[place] for place in kept]
                    time_bin.append(data.time_bin[step])
                    length += 1
            if not length:
                bag.append(len(token))
                time_bin.append(0)
            lengths.append(max(length, 1))
        for name, expected in {"token": token, "bag": bag, "lengths": lengths}.items():
            assert known[name].tolist() == expected, name
        assert known["time_bin"].tolist() == time_bin


@torch.no_grad()
def test_a_horizon_after_everything_is_the_feature_of_admissions_to_the_bit(encoder):
    batch = steps([3, 0, 40, 1, 12]).batch(np.arange(5))
    made, present = encoder.network(batch, [48.0, torch.inf, 48.0])["e"]
    assert present.all()
    for k in range(3):
        assert torch.equal(made[:, k], encoder(batch))
