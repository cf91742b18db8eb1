"""Heads: an absent modality adds nothing of its own; what it tells is learnt; dropping hides in
training only, never everything; what is fitted finds its optimum and the shape that holds."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import nn

from pipeline.cohort.rows import TaskRows
from pipeline.fusion.heads import (
    FAMILIES,
    HEADS,
    AveragedHead,
    Dropping,
    EarlyHead,
    GatedHead,
    LateHead,
    TrainedGatedHead,
    family_of,
)
from pipeline.stage.errors import InputError
from pipeline.training.batches import evaluate
from pipeline.training.embeddings import Embeddings
from pipeline.training.features import LinearHead
from pipeline.training.fitted import (
    AdditiveHead,
    Known,
    kept_sets,
    odds_of,
    principal,
    train,
    without,
)
from pipeline.training.shape import Shape, choose, folds_of, shapes

WIDTH = 6
FITTED = {
    "additive": (AdditiveHead, 0),
    "with hidden units": (AdditiveHead, 3),
    "averaged": (AveragedHead, 0),
    "gated": (GatedHead, 0),
    "gated by its features": (GatedHead, 1),
}


def fitted(family, hidden):
    """A head on three modalities, with weights drawn at random."""

    def made():
        value = np.random.default_rng(0).normal(3, 2, (40, 3, WIDTH)).astype(np.float32)
        mean, directions = principal(Embeddings(value, np.ones((40, 3), bool)), np.arange(40))
        head = family(mean, directions, hidden, torch.Generator())
        for weight in head.parameters():
            weight.data.normal_()
        return head.float()

    return made


ALL = {
    "early, published": lambda: EarlyHead(3, WIDTH),
    "joint": lambda: LinearHead(3, WIDTH),
    "late-averaged": lambda: LateHead(3, WIDTH),
    "gated-joint": lambda: TrainedGatedHead(3, WIDTH),
    **{name: fitted(*family) for name, family in FITTED.items()},
}
each_head = pytest.mark.parametrize("made", ALL.values(), ids=ALL)


def batch(here, seed=0):
    here = torch.tensor(here, dtype=torch.bool)
    drawn = torch.Generator().manual_seed(seed)
    return {"embedding": torch.randn(*here.shape, WIDTH, generator=drawn), "here": here}


def ready(made):
    """A head in evaluation, with a prior where it has one."""
    torch.manual_seed(0)
    head = made().eval()
    if isinstance(head, LateHead):
        head.prior.copy_(torch.tensor([0.8, 0.2]).log())
    return head


@each_head
@torch.no_grad()
def test_what_lies_in_the_place_of_an_absent_modality_does_not_matter(made):
    head, given = ready(made), batch([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 0, 0]])
    expected = head(given)
    absent = ~given["here"].unsqueeze(-1)
    for left in (0.0, 1e6, -1e6, torch.nan) if isinstance(head, FITTED_HEADS) else (0.0, 1e6, -1e6):
        given["embedding"] = given["embedding"].masked_fill(absent, left)
        assert torch.equal(head(given), expected)
    present = given | {"embedding": given["embedding"].masked_fill(absent, 0.0) + ~absent}
    assert not torch.equal(head(present)[:3], expected[:3])


FITTED_HEADS = (AdditiveHead, AveragedHead, GatedHead)


@each_head
@torch.no_grad()
def test_an_absent_modality_changes_its_own_episode_alone(made):
    head, whole = ready(made), batch(np.ones((3, 3)))
    partly = whole | {"here": torch.tensor([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=torch.bool)}
    torch.testing.assert_close(head(partly)[[0, 2]], head(whole)[[0, 2]], atol=1e-6, rtol=0)
    assert not torch.allclose(head(partly)[1], head(whole)[1])


@each_head
def test_an_absent_modality_leaves_no_gradient_in_what_reads_it(made):
    head, given = ready(made), batch([[1, 0, 1], [1, 0, 0]])
    given["embedding"].requires_grad_()
    head(given).square().sum().backward()
    assert not given["embedding"].grad[:, 1].any()
    assert given["embedding"].grad[:, 0].all()


def task_rows(label, subject=None):
    """Three in four episodes are of the fusion share, the others of validation."""
    count = len(label)
    split = np.where(np.arange(count) % 4 < 3, "fusion", "val")
    subject = np.arange(count) if subject is None else subject
    return TaskRows("mortality", np.arange(count), subject, split, label)


def chosen(name, data, rows, tried=None, rate=0.1):
    family, known = FAMILIES[name]
    fusion, val = rows.of("fusion"), rows.of("val")
    return choose(family, tried or known, data, rows, fusion, val, rate, 0, name)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_head_learns_what_an_absence_tells(name):
    """Embeddings are noise; 3 in 4 of the ill lack the second modality, 1 in 4 others."""
    random = np.random.default_rng(0)
    label = random.integers(0, 2, 800)
    lacking = random.random(800) < np.where(label, 0.75, 0.25)
    here = np.stack([np.ones(800, bool), ~lacking], axis=1)
    value = random.normal(size=(800, 2, 8)).astype(np.float32) * here[..., None]
    data, rows = Embeddings(value, here), task_rows(label)
    head, choice = chosen(name, data, rows, shapes([FAMILIES[name][1][0].hidden], [0.1]))
    logits = evaluate(head, data, rows.of("val"), 1024, torch.device("cpu"))
    assert roc_auc_score(label[rows.of("val")], logits[:, 1] - logits[:, 0]) > 0.68  # at best .75
    assert choice["fitted_on"] == 600


def signal(count=240, width=40, seed=0):
    """Embeddings of two modalities of which one number in each tells the label, and their rows."""
    random = np.random.default_rng(seed)
    label = random.integers(0, 2, count)
    value = random.normal(size=(count, 2, width)).astype(np.float32)
    value[:, :, 0] += 2 * label[:, None]
    return Embeddings(value, np.ones((count, 2), bool)), task_rows(label)


def test_a_modality_that_nobody_has_adds_no_directions_to_the_others():
    data, rows = signal(width=40)
    data.value[..., 5:] *= 0.01  # five numbers hold nearly all of the variance
    whole = principal(data, rows.of("fusion"))[1].shape[2]
    data.here[:, 1], data.value[:, 1] = False, 0
    directions = principal(data, rows.of("fusion"))[1]
    assert directions.shape[2] == whole == 5 and directions.isfinite().all()


@pytest.mark.parametrize("name", ["early", "gated"])  # of modalities that are all there
def test_without_hidden_units_it_is_the_regression_of_scikit_learn(name):
    data, rows = signal()
    fusion = rows.of("fusion")
    head, _ = chosen(name, data, rows, [Shape(0, 0.5)], rate=0.0)
    value = head.directed(data.batch(np.arange(240))).flatten(1).double().numpy()
    # the heads are in float32 once fitted
    model = LogisticRegression(C=0.5, tol=1e-10, max_iter=5000).fit(
        value[fusion], rows.label[fusion]
    )
    logits = evaluate(head, data, np.arange(240), 1024, torch.device("cpu"))
    expected = model.decision_function(value)
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], expected, atol=2e-3)


def test_an_interaction_of_modalities_needs_hidden_units_and_is_chosen_by_what_was_not_fitted_on():
    random = np.random.default_rng(0)
    sign = random.integers(0, 2, (400, 2))
    value = 2 * sign[..., None] - 1 + random.normal(0, 0.3, (400, 2, 4))
    label = sign[:, 0] ^ sign[:, 1]  # neither modality alone says anything
    data, rows = Embeddings(value.astype(np.float32), np.ones((400, 2), bool)), task_rows(label)
    head, choice = chosen("early", data, rows, shapes([0, 8], [1.0, 10.0]), rate=0.0)
    logits = evaluate(head, data, rows.of("val"), 1024, torch.device("cpu"))
    assert choice["hidden"] == 8
    assert roc_auc_score(label[rows.of("val")], logits[:, 1] - logits[:, 0]) > 0.99


def test_noise_is_shrunk_and_a_strong_signal_is_not():
    noise, rows = signal()
    noise.value[:, :, 0] -= 2 * rows.label[:, None]
    assert chosen("early", noise, rows)[1]["strength"] == min(
        s.strength for s in FAMILIES["early"][1]
    )
    assert chosen("early", *signal(width=2))[1]["strength"] >= 1


def test_the_choice_depends_on_validation_and_on_the_fusion_share():
    data, rows = signal(width=8)
    _, before = chosen("early", data, rows)
    for split in ("val", "fusion"):
        label = rows.label.copy()
        label[rows.of(split)[::3]] ^= 1
        _, after = chosen("early", data, task_rows(label))
        assert after["candidates"] != before["candidates"]


def test_patients_stay_together_in_folds_and_their_positives_are_spread():
    random = np.random.default_rng(0)
    subject = random.integers(0, 100, 300)
    label = (random.random(300) < 0.1).astype(int)
    fold = folds_of(subject, label)
    assert all(len(set(fold[subject == one])) == 1 for one in subject)
    positive = [len(np.unique(subject[(fold == one) & (label == 1)])) for one in range(5)]
    assert max(positive) - min(positive) <= 1


def test_a_share_of_one_class_and_an_empty_one_are_clear_errors():
    data, rows = signal(width=2)
    with pytest.raises(InputError, match="the episodes of fusion that have early are all of one"):
        chosen("early", data, task_rows(np.zeros(240, int)))
    with pytest.raises(InputError, match="none of the episodes of the fusion share"):
        choose(*FAMILIES["early"], data, rows, np.zeros(0, int), rows.of("val"), 0.1, 0, "early")


def test_without_validation_cases_and_few_positives_the_head_is_fitted_all_the_same():
    data, _ = signal(40, width=2)
    label = np.zeros(40, int)
    label[:2] = 1
    head, choice = chosen("early", data, task_rows(label))
    assert np.isfinite(evaluate(head, data, np.arange(40), 64, torch.device("cpu"))).all()
    assert len(choice["candidates"]) == len(FAMILIES["early"][1])


def test_dropout_in_expectation_is_the_mean_over_what_may_be_kept():
    sets, chance = kept_sets(3, 0.2)
    assert chance.sum().item() == pytest.approx(1)
    here = torch.tensor([[True, True, False], [False, True, False]])
    left = without(here, sets)
    assert left.any(dim=-1).all()  # never none of them
    assert not (left & ~here).any()
    assert (chance @ left[:, 0, 0].double()).item() == pytest.approx((1 - 0.2 + 0.2 * 0.2), 0.02)
    assert left[:, 1, 1].all()


def test_modality_dropout_makes_a_head_lean_on_each_modality():
    """Of two modalities that say the same one alone would do; with dropout both are read."""
    data, rows = signal(width=2)
    known = Known(torch.zeros(240, 2, 1).double(), torch.ones(240, 2, dtype=torch.bool),
                  torch.from_numpy(rows.label).double())  # fmt: skip
    known.value[:, 0, 0] = torch.from_numpy(data.value[:, 0, 0]).double()
    known.value[:, 1, 0] = 0.3 * known.value[:, 0, 0]  # a fainter copy
    alone = []
    for rate in (0.0, 0.4):
        head = AdditiveHead(torch.zeros(2, 1), torch.ones(2, 1, 1), 0, torch.Generator())
        train(head, known, 10.0, rate)
        second = torch.tensor([[False, True]]).expand(240, 2)
        alone.append(odds_of(head, Known(known.value, second, known.label)).std().item())
    assert alone[1] > 1.5 * alone[0]


@torch.no_grad()
def test_the_fewer_modalities_there_are_the_more_each_counts_in_attention():
    mean, directions = torch.zeros(3, 1).double(), torch.ones(3, 1, 1).double()
    head = GatedHead(mean, directions, 0, torch.Generator())
    head.said.fill_(1.0)
    head.attention.absent[:, 1] = -20.0  # nobody looks at what is absent
    value = torch.tensor([[1.0, 0.0, 0.0]]).double()[..., None]
    here = torch.tensor([[[True, True, True]], [[True, False, False]]])
    odds = head.together(head.each(value), here)
    torch.testing.assert_close(odds, torch.tensor([[1.0], [3.0]]).double())


def test_attention_learns_that_the_other_modality_counts_more_where_one_is_absent():
    """Two readings of one severity, each with noise: the best reader weighs a lone one more."""
    random = np.random.default_rng(0)
    severity = random.normal(size=4000)
    label = (random.random(4000) < 1 / (1 + np.exp(-2 * severity))).astype(int)
    value = (severity[:, None] + random.normal(size=(4000, 2)))[..., None].astype(np.float32)
    here = np.stack([np.ones(4000, bool), random.random(4000) < 0.5], axis=1)
    data = Embeddings(value * here[..., None], here)
    slopes = {}
    for name in ("gated", "early"):
        head, _ = chosen(name, data, task_rows(label), shapes([0], [10.0]), rate=0.0)
        at = torch.tensor([[[0.0], [0.0]], [[1.0], [0.0]]])
        for lone in (True, False):
            asked = {"embedding": at, "here": torch.tensor([[True, not lone]] * 2)}
            odds = head(asked)[:, 1]
            slopes[name, lone] = (odds[1] - odds[0]).item()
    assert slopes["gated", True] > 1.2 * slopes["gated", False]
    assert slopes["early", True] == pytest.approx(slopes["early", False], rel=1e-4)


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
    made = {"joint": LinearHead, "late-averaged": LateHead, "gated-joint": TrainedGatedHead}
    assert made == HEADS
    assert FAMILIES.keys() == {*HEADS, "early", "gated"}


def test_a_head_with_log_odds_of_nan_is_refused_not_chosen():
    class Divides(AdditiveHead):
        def together(self, each, here):
            return super().together(each, here) / here.sum(dim=-1)

    known = Known(
        torch.zeros(2, 2, 3).double(), torch.tensor([[True, True], [False, False]]), torch.ones(2)
    )
    head = Divides(torch.zeros(2, 4), torch.zeros(2, 4, 3), 0, torch.Generator())
    with pytest.raises(InputError, match=r"Divides: its log odds are NaN or infinite"):
        odds_of(head, known)
    with pytest.raises(InputError, match=r"early2: no head; add it to FAMILIES in pipeline/fusion"):
        family_of("early2")
