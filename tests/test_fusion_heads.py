"""Heads: what is absent contributes nothing; dropping hides in training only, never everything."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from pipeline.fusion.heads import HEADS, Dropping, EarlyHead, LateHead
from pipeline.training.batches import evaluate
from pipeline.training.embeddings import Embeddings
from pipeline.training.features import LinearHead
from pipeline.training.loop import Examples, fit
from pipeline.training.settings import Training

WIDTH = 6
ALL = {
    "early": lambda: EarlyHead(3, WIDTH, rectified=True, dropout=0.5),
    "early, published": lambda: EarlyHead(3, WIDTH),
    "joint": lambda: LinearHead(3, WIDTH),
    "late-averaged": lambda: LateHead(3, WIDTH),
}
each_head = pytest.mark.parametrize("made", ALL.values(), ids=ALL)


def batch(here, seed=0):
    here = torch.tensor(here, dtype=torch.bool)
    drawn = torch.Generator().manual_seed(seed)
    return {"embedding": torch.randn(*here.shape, WIDTH, generator=drawn), "here": here}


def ready(made):
    """A head in evaluation; standardised where it standardises, with a prior where it has one."""
    torch.manual_seed(0)
    head = made().eval()
    if isinstance(head, LateHead):
        head.prior.copy_(torch.tensor([0.8, 0.2]).log())
    else:
        value = np.random.default_rng(0).normal(3, 2, (40, 3, WIDTH)).astype(np.float32)
        head.standard.learn(Embeddings(value, np.ones((40, 3), bool)), np.arange(40))
    return head


@each_head
@torch.no_grad()
def test_what_lies_in_the_place_of_an_absent_modality_does_not_matter(made):
    head, given = ready(made), batch([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 0, 0]])
    expected = head(given)
    absent = ~given["here"].unsqueeze(-1)
    for left in (0.0, 1e6, -1e6):
        given["embedding"] = given["embedding"].masked_fill(absent, left)
        assert torch.equal(head(given), expected)
    present = given | {"embedding": given["embedding"] + ~absent}
    assert not torch.equal(head(present)[:3], expected[:3])


@each_head
@torch.no_grad()
def test_an_absent_modality_changes_its_own_episode_alone(made):
    head, whole = ready(made), batch(np.ones((3, 3)))
    partly = whole | {"here": torch.tensor([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=torch.bool)}
    torch.testing.assert_close(head(partly)[[0, 2]], head(whole)[[0, 2]], atol=1e-6, rtol=0)
    assert not torch.allclose(head(partly)[1], head(whole)[1])


@each_head
def test_an_absent_modality_leaves_no_gradient_in_its_weights(made):
    head, given = ready(made), batch([[1, 0, 1], [1, 0, 0]])
    given["embedding"].requires_grad_()
    head(given).square().sum().backward()
    assert not given["embedding"].grad[:, 1].any()
    assert given["embedding"].grad[:, 0].all()
    if isinstance(head, LateHead):
        own = head.each[1].weight.grad
    else:
        first = head.hidden if isinstance(head, EarlyHead) else head.linear
        own = first.weight.grad[:, WIDTH : 2 * WIDTH]
    assert not own.any()


@each_head
@torch.no_grad()
def test_an_absent_modality_counts_as_the_mean_of_the_rows_fitted_on(made):
    head, given = ready(made), batch([[1, 0, 1]])
    if isinstance(head, LateHead):
        logits = [head.each[k](given["embedding"][:, k]) for k in (0, 2)]
        expected = sum(logits) / 2
    else:
        at_mean = given["embedding"].clone()
        at_mean[:, 1] = head.standard.mean[1]
        expected = head({"embedding": at_mean, "here": torch.ones(1, 3, dtype=torch.bool)})
    torch.testing.assert_close(head(given), expected)


TOLD = {
    "early": lambda: EarlyHead(2, 512, rectified=True, dropout=0.5),
    "joint": lambda: LinearHead(2, 512, told=True),
    "late-averaged": lambda: LateHead(2, 512, told=True),
}


@pytest.mark.parametrize(("name", "untold"), [*((name, False) for name in TOLD), ("joint", True)])
def test_a_head_learns_what_an_absence_tells_under_the_default_schedule(tmp_path, name, untold):
    """Embeddings are noise; 3 in 4 of the ill lack the second modality, 1 in 4 others."""
    random = np.random.default_rng(0)
    label = random.integers(0, 2, 1600)
    lacking = random.random(1600) < np.where(label, 0.75, 0.25)
    here = np.stack([np.ones(1600, bool), ~lacking], axis=1)
    value = random.normal(size=(1600, 2, 512)).astype(np.float32) * here[..., None]
    data, rows = Embeddings(value, here), np.arange(1600)
    torch.manual_seed(0)
    head = LinearHead(2, 512) if untold else TOLD[name]()
    head.begin(data, rows[:1200], 0.5)
    given = Examples(data, label, rows[:1200], rows[1200:])
    schedule = Training(epochs=3, batch_size=32, learning_rate=0.0005, weight_decay=0.01)
    model = Dropping(head, 0.1)
    fit(model, given, schedule, 0, torch.device("cpu"), tmp_path / "progress", name)
    logits = evaluate(head, data, rows[1200:], 1024, torch.device("cpu"))
    found = roc_auc_score(label[1200:], logits[:, 1] - logits[:, 0])
    assert found < 0.6 if untold else found > 0.68  # at best some .76


@torch.no_grad()
def test_late_averaged_says_the_prior_of_an_episode_that_has_nothing():
    head = ready(ALL["late-averaged"])
    assert head(batch([[0, 0, 0]])).softmax(dim=1)[0, 1].item() == pytest.approx(0.2)


class Seen(nn.Module):
    """A head that keeps what it is shown."""

    def forward(self, given):
        self.here = given["here"]
        return given["embedding"].sum(dim=(1, 2))[:, None].expand(-1, 2)


def shown(rate, here, training):
    torch.manual_seed(0)
    seen = Seen()
    Dropping(seen, rate).train(training)(batch(here))
    return seen.here


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.99])
def test_dropping_hides_with_its_rate_but_never_the_last_modality(rate):
    here = np.random.default_rng(0).random((4000, 3)) < 0.6
    left = shown(rate, here, training=True).numpy()
    assert not (left & ~here).any()
    assert (left.any(axis=1) == here.any(axis=1)).all()
    one = here.sum(axis=1) == 1
    assert (left[one] == here[one]).all()
    full = here.all(axis=1)  # hidden with chance rate, unless all three would be
    expected = 1 - rate + rate**3
    assert left[full].mean() == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(("rate", "training"), [(0.9, False), (0.0, True)])
def test_dropping_is_off_in_evaluation_and_at_rate_0(rate, training):
    here = torch.tensor(np.random.default_rng(0).random((50, 3)) < 0.6)
    assert torch.equal(shown(rate, here.numpy(), training), here)


def test_dropping_does_not_change_the_batch_it_was_given():
    given = batch(np.ones((50, 3)))
    Dropping(Seen(), 0.9).train()(given)
    assert given["here"].all()


def test_the_heads_that_train_end_to_end_are_named_as_their_models():
    assert {"joint": LinearHead, "late-averaged": LateHead} == HEADS


@pytest.mark.parametrize("head", [LinearHead(2, 4), LateHead(2, 4), EarlyHead(2, 4)])
def test_a_head_begins_from_the_share_of_positives_and_the_scale_of_its_rows(head):
    rng = np.random.default_rng(0)
    value = rng.normal(3, 50, (40, 2, 4)).astype(np.float32)
    data = Embeddings(value, np.ones((40, 2), bool))
    head.begin(data, np.arange(30), 0.2)
    standard = head.standard(data.batch(np.arange(30)))
    np.testing.assert_allclose(standard.mean(dim=0), 0, atol=1e-4)
    np.testing.assert_allclose(standard.var(dim=0, unbiased=False).mean(dim=1), 1, rtol=1e-4)
    said = head.eval()(data.batch(np.arange(40))).softmax(dim=1)[:, 1]
    if isinstance(head, EarlyHead):  # its last layer is not zero: dead units would never learn
        assert abs(said.mean().item() - 0.2) < 0.1
    else:
        np.testing.assert_allclose(said.detach(), 0.2, rtol=1e-5)
