"""UniMed's loss and the score that chooses among checks, against plain definitions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from stays_at_hand import GROUPS, NAMES, model_of, small, stays

from pipeline.training.fingerprint import fingerprint
from pipeline.training.settings import Training
from pipeline.unimed.examples import TasksExamples

SCHEDULE = Training(epochs=3, batch_size=8, learning_rate=0.01, weight_decay=0.0)
ROWS = np.arange(40)


def examples(own, diagnoses="bce"):
    settings = small(diagnoses=diagnoses)
    return TasksExamples(own, own.label, own.of("train"), own.of("val"), settings)


def plain(own, output, rows, diagnoses="bce"):
    """The sum over tasks of the mean error over eligible stays, one stay after the other."""
    total = 0.0
    for k, task in enumerate(own.tasks):
        errors = []
        for i in rows[own.eligible[rows, k]]:
            if not task.many:
                p = 1 / (1 + np.exp(-output[i, k]))
                errors.append(-np.log(p if own.label[i, k] else 1 - p))
                continue
            true = np.zeros(GROUPS)
            true[own.group[own.group_start[i] : own.group_start[i + 1]]] = 1
            z = output[i, 3 : 3 + GROUPS]
            if diagnoses == "softmax":
                log = z - np.log(np.exp(z).sum())
                errors.append(-(true / max(1, true.sum()) * log).sum())
            else:
                p = 1 / (1 + np.exp(-z))
                errors.append(-(true * np.log(p) + (1 - true) * np.log(1 - p)).sum())
        total += np.mean(errors)
    return total


@pytest.mark.parametrize("diagnoses", ["bce", "softmax"])
def test_the_loss_is_the_sum_over_tasks_of_the_mean_over_their_stays(diagnoses):
    own = stays()
    output = torch.randn(40, 3 + GROUPS, generator=torch.manual_seed(0), dtype=torch.float64)
    found = examples(own, diagnoses).loss(output, ROWS, ROWS, SCHEDULE, 1)
    assert found.item() == pytest.approx(plain(own, output.numpy(), ROWS, diagnoses), rel=1e-5)


def test_parts_of_a_batch_average_to_the_whole():
    own = stays()
    output = torch.randn(40, 3 + GROUPS, generator=torch.manual_seed(0))
    given = examples(own)
    parts = [given.loss(output[rows], rows, ROWS, SCHEDULE, 2) for rows in (ROWS[::2], ROWS[1::2])]
    assert torch.stack(parts).mean().item() == pytest.approx(
        given.loss(output, ROWS, ROWS, SCHEDULE, 1).item()
    )


def test_a_masked_task_teaches_nothing():
    own = stays()
    eligible = own.eligible.copy()
    eligible[:, 1] = False
    masked = replace(own, eligible=eligible)
    output = torch.randn(40, 3 + GROUPS, requires_grad=True)
    examples(masked).loss(output, ROWS, ROWS, SCHEDULE, 1).backward()
    assert not output.grad[:, 1].any()
    assert not output.grad[~own.eligible[:, 0], 0].any()
    assert output.grad[own.eligible[:, 0], 0].all()


def test_learnt_weights_of_the_losses():
    """Kendall et al. 2018: L exp(−s) + s / 2; at s = 0 the plain sum, and s falls with L."""
    settings = small(weights="uncertainty")
    own = stays(settings=settings)
    model = model_of(own, settings).eval()
    given = examples(own)
    output = model(own.batch(ROWS))
    assert output.shape == (40, 3 + GROUPS + 4)
    loss = given.loss(output, ROWS, ROWS, SCHEDULE, 1)
    bare = given.loss(output[:, : 3 + GROUPS].detach(), ROWS, ROWS, SCHEDULE, 1)
    assert loss.item() == pytest.approx(bare.item())
    loss.backward()
    assert 0.5 * 4 - model.log_variance.grad.sum().item() == pytest.approx(bare.item(), rel=1e-5)


def test_the_score_is_the_mean_over_tasks_of_their_auroc():
    own = stays(200)
    given = examples(own)
    val = own.of("val")
    output = torch.randn(len(val), 3 + GROUPS, generator=torch.manual_seed(0))
    expected = []
    for k in range(3):
        here = own.eligible[val, k]
        expected.append(roc_auc_score(own.label[val[here], k], output[here, k]))
    here = own.eligible[val, 3]
    truth = own.multi_hot(val[here])
    expected.append(
        np.mean([roc_auc_score(truth[:, g], output[here, 3 + g]) for g in range(GROUPS)])
    )
    assert given.score(output) == pytest.approx(np.mean(expected))


def test_a_task_of_one_class_does_not_choose_and_neither_does_a_group_that_nobody_has():
    own = stays(200)
    val = own.of("val")
    output = torch.randn(len(val), 3 + GROUPS, generator=torch.manual_seed(0))
    label = own.label.copy()
    label[val, 0] = 0
    rarer = replace(own, label=label, group=np.minimum(own.group, GROUPS - 2))
    assert examples(rarer).can_choose()
    assert np.isfinite(examples(rarer).score(output))
    none = replace(own, label=own.label * 0, group=own.group[:0], group_start=own.group_start * 0)
    assert not examples(none).can_choose()


def test_the_truth_is_told_less_and_less():
    own = stays()
    model = model_of(own)
    told = []
    for done in (0.0, 0.25, 0.5, 0.75):
        examples(own).before(model, done)
        told.append(model.sampling)
    assert told == [1.0, 0.5, 0.0, 0.0]


def test_a_smaller_share_of_the_training_patients_is_part_of_a_larger_one():
    own = stays(400)
    rows = own.of("train")
    half, quarter = own.of_share(rows, 0.5), own.of_share(rows, 0.25)
    assert set(quarter) < set(half) < set(rows)
    assert np.array_equal(own.of_share(rows, 1.0), rows)
    assert len(half) / len(rows) == pytest.approx(0.5, abs=0.1)
    patients = set(own.subject[half])
    assert set(rows[np.isin(own.subject[rows], list(patients))]) == set(half)  # whole patients


def test_the_same_patients_are_the_half_of_every_target():
    own = stays(400)
    rows = own.of("train")
    some = rows[::3]  # another task, other stays
    both = np.intersect1d(own.subject[rows], own.subject[some])
    chosen = [set(own.subject[own.of_share(given, 0.5)]) & set(both) for given in (rows, some)]
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize(
    "change",
    [
        {"feedback": "none"}, {"dropout": 0.2}, {"heads": 1}, {"hours": 4},
        {"diagnoses": "softmax"}, {"parallel": True}, {"hours": 4, "order": "reversed"},
    ],
)  # fmt: skip
def test_another_model_is_another_training_and_never_resumed(change):
    own = stays()
    given = examples(own)
    settings = small(**change)
    other = replace(own, tasks=settings.tasks(NAMES))
    changed = TasksExamples(other, own.label, given.train, given.val, settings)
    made = [(model_of(own), one) for one in (given, changed, examples(own))]
    torch.manual_seed(0)  # the start of a training: its generator counts, too
    prints = {fingerprint(*each, torch.device("cpu")) for each in made}
    assert len(prints) == 2
