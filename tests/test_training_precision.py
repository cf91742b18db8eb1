"""Precision: by what the processor has; part of the fingerprint; in training and embedding."""

import numpy as np
import pytest
import torch
from encoder_data import films
from torch import nn

from pipeline.cxr.encoder_resnet18 import FilmsNetwork
from pipeline.training import precision
from pipeline.training.batches import evaluate
from pipeline.training.examples import Examples
from pipeline.training.features import Unimodal
from pipeline.training.fingerprint import fingerprint
from pipeline.training.modality import Feature
from pipeline.training.precision import half_precision, precision_of, use_precision
from pipeline.training.processes import make_repeatable

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def afterwards():
    yield
    use_precision("fp32")


@pytest.mark.parametrize("native", [True, False])
def test_auto_is_what_the_processor_has(monkeypatch, native):
    monkeypatch.setattr(precision, "_this_processor", lambda: native)
    assert precision_of(CPU) == "fp32"  # the start
    use_precision("auto")
    assert precision_of(CPU) == ("bf16" if native else "fp32")
    for setting in ("fp32", "bf16"):
        use_precision(setting)
        assert precision_of(CPU) == setting


def test_layers_compute_in_the_precision_and_give_float32():
    inside, layer = [], nn.Linear(4, 2)
    layer.register_forward_hook(lambda layer, given, out: inside.append(out.dtype))

    class Toy(nn.Module):
        def forward(self, batch):
            return layer(batch["value"])

    class Rows:
        def batch(self, rows):
            return {"value": torch.ones(len(rows), 4)}

    for setting in ("fp32", "bf16"):
        make_repeatable(0, 1, setting)
        made = evaluate(Toy(), Rows(), np.arange(3), 3, CPU)
        assert made.dtype == torch.float32
    assert inside == [torch.float32, torch.bfloat16]
    make_repeatable(0, 1)  # no precision: left as it is
    assert precision_of(CPU) == "bf16"


def test_the_precision_is_part_of_the_fingerprint():
    data = films([[1.0]] * 4)
    examples = Examples(data, np.array([0, 1, 0, 1]), np.arange(2), np.arange(2, 4))
    prints = []
    for setting in ("fp32", "bf16", "fp32"):
        make_repeatable(0, 1, setting)
        prints.append(fingerprint(Unimodal(Feature(FilmsNetwork(48.0))), examples, CPU))
    assert prints[0] == prints[2] != prints[1]


@pytest.mark.parametrize("setting", ["fp32", "bf16"])
def test_films_train_in_either_precision_and_nearly_alike(setting):
    make_repeatable(0, 1, setting)
    made, forms = FilmsNetwork(48.0).train(), []
    made.net.register_forward_pre_hook(lambda net, given: forms.append(given[0].stride()[1]))
    batch = films([[1.0, 2.0], [3.0]], pixels=64).batch(np.arange(2))
    with half_precision(CPU):
        feature, _ = made(batch, [torch.inf])["c"]
    feature.square().mean().backward()
    assert (forms[0] == 1) == (setting == "bf16")  # channels last in memory
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in made.parameters())
    make_repeatable(0, 1, "fp32")
    plain, _ = FilmsNetwork(48.0).train()(batch, [torch.inf])["c"]
    off = (feature - plain).abs().max() / plain.abs().max()
    assert (off == 0) == (setting == "fp32")
    assert off < 0.1
