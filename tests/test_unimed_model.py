"""UniMed: what each task sees and hears, and what it must not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stays_at_hand import GROUPS, NAMES, SMALL, ReportEncoder, model_of, small, stays

from pipeline.stage.errors import InputError
from pipeline.training.settings import Training
from pipeline.unimed.examples import TasksExamples, columns
from pipeline.unimed.model import UniMed
from pipeline.unimed.predictions import predict
from pipeline.unimed.settings import Step

DECODERS = ["transformer", "gru", "gru-attention"]
ROWS = np.arange(40)


def said(model, own, rows=ROWS, train=False):
    torch.manual_seed(1)
    with torch.no_grad():
        output = model.train(train)(own.batch(rows))
    return [output[:, part] for part in columns(own.tasks, own.groups)]


def after(features, hour, random):
    """The same features before `hour`, others from then on; as many, as in the same batch."""
    series = features.series.copy()
    cell = np.repeat(np.arange(len(features.series_start) - 1), np.diff(features.series_start))
    late = cell % features.bins >= hour
    series[late] = (series[late] + random.integers(1, 11, late.sum())) % 11
    assert late.any()
    return replace(features, series=series)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("hour", [4, 12])
def test_a_task_does_not_feel_what_is_known_only_after_it_to_the_last_bit(decoder, hour):
    own = stays()
    model = model_of(own, small(decoder=decoder))
    before = said(model, own)
    random = np.random.default_rng(5)
    reports = own.each["note"]
    value = np.where(reports.known[:, None] >= hour, 9.0, reports.value).astype(np.float32)
    later = {
        "ehr": after(own.each["ehr"], hour, random),
        "note": type(reports)(reports.known, value),
    }
    now = said(model, replace(own, each=later))
    for task, old, new in zip(own.tasks, before, now, strict=True):
        assert torch.equal(old, new) == (task.hours <= hour), task


def test_an_event_in_the_last_bin_before_a_task_counts():
    own = stays()
    model = model_of(own)
    before = said(model, own)
    later = {**own.each, "ehr": after(own.each["ehr"], 3, np.random.default_rng(5))}
    assert not torch.equal(before[0], said(model, replace(own, each=later))[0])


def test_with_the_first_four_hours_only_no_task_feels_the_fifth():
    settings = small(hours=4)
    own = stays(settings=settings)
    model = model_of(own, settings)
    before = said(model, own)
    now = said(
        model,
        replace(own, each={**own.each, "ehr": after(own.each["ehr"], 4, np.random.default_rng(5))}),
    )
    assert all(map(torch.equal, before, now))


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_prediction_needs_no_truth(decoder):
    own = stays()
    model = model_of(own, small(decoder=decoder))
    lies = replace(
        own, label=1 - own.label, onset=np.zeros_like(own.onset), group=(own.group + 1) % GROUPS
    )
    assert all(map(torch.equal, said(model, own), said(model, lies)))


def test_the_teacher_forced_bound_is_told_the_truth_of_earlier_tasks_only():
    settings = small(feedback="truth")
    own = stays()
    model = model_of(own, settings)
    label = own.label.copy()
    label[:, 1] = 1 - label[:, 1]
    equal = list(map(torch.equal, said(model, own), said(model, replace(own, label=label))))
    assert equal == [True, True, False, False]


def test_in_training_the_truth_is_an_onset_before_the_later_task():
    own = stays()
    model = model_of(own)
    model.sampling = 1.0
    eligible = np.ones_like(own.eligible)
    label, onset = np.ones_like(own.label), np.full_like(own.onset, 11.9)
    told = replace(own, eligible=eligible, label=label, onset=onset)
    fed = []
    outcome = model.outcome[0].forward
    model.outcome[0].forward = lambda share, here: (fed.append(share), outcome(share, here))[1]
    said(model, told, train=True)
    said(
        model, replace(told, onset=np.full_like(onset, 12.0)), train=True
    )  # in the minute of ARF's
    said(model, replace(told, label=label * 0), train=True)
    assert [share.unique().tolist() for share in fed] == [[1.0], [0.0], [0.0]]


def test_sampling_is_a_share_of_the_stays_and_none_when_it_is_over():
    own = stays()
    model = model_of(own)
    truth = replace(own, label=np.ones_like(own.label), onset=np.full_like(own.onset, 5.0))
    fed = []
    outcome = model.outcome[0].forward
    model.outcome[0].forward = lambda share, here: (fed.append(share), outcome(share, here))[1]
    for model.sampling in (0.5, 0.0):
        said(model, truth, train=True)
    assert 8 < (fed[0] == 1).sum() < 32
    assert (fed[1] < 1).all()


def test_a_stay_that_was_not_eligible_is_unknown_to_the_next_task():
    own = stays()
    model = model_of(own)
    eligible = own.eligible.copy()
    eligible[:, 0] = False
    before, now = said(model, own), said(model, replace(own, eligible=eligible))
    changed = (before[1] != now[1])[:, 0].numpy()
    assert np.array_equal(changed, own.eligible[:, 0])
    assert torch.equal(before[0], now[0])


@pytest.mark.parametrize("order", ["time", "reversed"])
def test_who_was_eligible_later_is_not_told_to_a_task_that_ends_before(order):
    """With the first four hours only, whoever is alive in the ICU at 12 or 48 h is not known."""
    settings = small(hours=4, order=order)
    own = stays(settings=settings)
    model = model_of(own, settings)
    before = said(model, own)
    for k in (1, 2, 3):
        eligible = own.eligible.copy()
        eligible[:, k] = ~eligible[:, k]
        assert all(map(torch.equal, before, said(model, replace(own, eligible=eligible))))


def test_tasks_of_one_time_do_not_tell_each_other_who_is_eligible():
    """Eligible at 4 h may be who gets a drug for less than an hour, which 4 h do not tell."""
    own = stays(names=["shock_4h", "arf_4h", "arf_12h"])
    model, eligible = model_of(own), own.eligible.copy()
    eligible[:, 0] = ~eligible[:, 0]
    before, now = said(model, own), said(model, replace(own, eligible=eligible))
    assert all(map(torch.equal, before, now))  # arf_12h is told by arf_4h alone
    eligible = own.eligible.copy()
    eligible[:, 1] = ~eligible[:, 1]
    before, now = said(model, own), said(model, replace(own, eligible=eligible))
    assert list(map(torch.equal, before, now)) == [True, True, False]


def test_reports_do_not_tell_who_was_treated():
    own = stays()
    own = replace(own, each={"note": own.each["note"]})
    torch.manual_seed(0)
    model = UniMed({"note": ReportEncoder()}, own.tasks, own.groups, SMALL)
    same = replace(own, eligible=~own.eligible)
    assert all(map(torch.equal, said(model, own), said(model, same)))


@pytest.mark.parametrize("feedback", ["none", "predicted"])
def test_parallel_tasks_do_not_see_each_other(feedback):
    settings = small(feedback=feedback, parallel=True)
    own = stays()
    model = model_of(own, settings)
    before = said(model, own)
    with torch.no_grad():
        model.index.weight[0] += 1
        model.heads[0][0].weight.mul_(2)
    equal = list(map(torch.equal, before, said(model, own)))
    assert equal == [False, True, True, True]


def test_without_feedback_predictions_of_a_task_do_not_reach_the_next():
    own = stays()
    for feedback, same in (("none", True), ("predicted", False)):
        model = model_of(own, small(feedback=feedback))
        before = said(model, own)
        with torch.no_grad():
            model.heads[0][3].bias += 2
        assert torch.equal(before[1], said(model, own)[1]) == same


def test_feedback_teaches_the_later_task_alone():
    own = stays()
    model = model_of(own).eval()
    output = model(own.batch(ROWS))
    output[:, 1].sum().backward()
    assert not model.heads[0][3].weight.grad.any()
    assert model.outcome[0].embedding.grad.abs().sum() > 0


def test_a_stay_without_reports_has_a_learnt_token_and_a_prediction():
    own = stays()
    model = model_of(own)
    memory = model.memory(own.batch(ROWS), [4, 12, 48, 48])
    unknown = ~(own.each["note"].known < 4)
    assert memory.shape == (40, 4, 3, 16)
    assert model.memory.names == ["S", "X", "n"]
    assert torch.equal(memory[unknown, 0, 2], model.memory.missing["n"].expand(unknown.sum(), -1))
    assert not torch.equal(memory[~unknown, 0, 2][0], model.memory.missing["n"])
    assert all(torch.isfinite(part).all() for part in said(model, own))


@pytest.mark.parametrize("decoder", DECODERS)
def test_attention_is_a_distribution_over_tokens_and_steps(decoder):
    own = stays()
    model = model_of(own, small(decoder=decoder)).eval()
    _, attention = model.decode(own.batch(ROWS))
    for k, looked in enumerate(attention):
        for kind, size in (("memory", 3), ("steps", k + 1)):
            if looked[kind] is not None:
                assert looked[kind].shape == (40, size)
                assert torch.allclose(looked[kind].sum(1), torch.ones(40), atol=1e-6)
    kinds = {kind for kind, weight in attention[0].items() if weight is not None}
    assert (
        kinds
        == {"transformer": {"memory", "steps"}, "gru": set(), "gru-attention": {"memory"}}[decoder]
    )


def test_attention_comes_with_the_number_of_its_stays():
    own = stays()
    eligible = own.eligible.copy()
    test = own.split == "test"
    eligible[test, 1] = False
    found = predict(model_of(own), replace(own, eligible=eligible), 0, torch.device("cpu"))
    counts = (eligible & test[:, None]).sum(axis=0).tolist()
    assert found.attention["stays"] == dict(zip(NAMES, counts, strict=True))
    assert counts[0] > counts[1] == 0
    assert list(found.attention["modality"]) == [NAMES[0], *NAMES[2:]]


@pytest.mark.parametrize("order", ["reversed", "shuffled"])
def test_another_order_of_tasks_needs_one_horizon(order):
    settings = small(order=order)
    with pytest.raises(InputError, match="known only later"):
        settings.order_of(settings.tasks(NAMES))
    first = settings.model_copy(update={"hours": 4})
    steps = first.order_of(first.tasks(NAMES))
    assert sorted(steps) == [0, 1, 2, 3] != steps
    assert (steps == [3, 2, 1, 0]) == (order == "reversed")


def test_in_reverse_the_diagnoses_are_fed_to_the_others():
    settings = small(order="reversed", hours=4)
    own = stays(settings=settings)
    model = model_of(own, settings)
    before = said(model, own)
    for head, same in ((0, [False, True, True, True]), (3, [False] * 4)):
        with torch.no_grad():
            model.heads[head][3].bias += 2
        assert list(map(torch.equal, before, said(model, own))) == same
        with torch.no_grad():
            model.heads[head][3].bias -= 2


def test_a_task_sees_the_hours_of_its_name():
    assert SMALL.tasks(NAMES)[1] == Step("arf_12h", 12, 12)
    assert small(hours=4).tasks(NAMES)[1] == Step("arf_12h", 12, 4)
    assert small(hours=24).tasks(NAMES)[1].horizon == 12


def test_the_published_size():
    """Three layers of width 512: by hand 4 (512² + 512) twice, the feed-forward of 2,048, norms."""
    settings = small(width=512, layers=3, heads=8)
    own = stays(4, settings=settings)
    decoder = model_of(own, settings).decoder
    attention, feed, norms = 4 * (512**2 + 512), 2 * 512 * 2048 + 2048 + 512, 3 * 2 * 512
    assert sum(p.numel() for p in decoder.parameters()) == 3 * (2 * attention + feed + norms)


def test_a_bound_of_one_task_is_told_the_earlier_ones_and_learns_and_says_its_own_alone():
    settings = small(feedback="truth")
    tasks = settings.tasks(["arf_12h"], ["shock_4h"])
    assert [(task.name, task.told) for task in tasks] == [("shock_4h", True), ("arf_12h", False)]
    own = replace(stays(names=NAMES[:2], settings=settings), tasks=tasks)
    model = model_of(own, settings)
    other = replace(own, label=np.stack([1 - own.label[:, 0], own.label[:, 1]], axis=1))
    before, now = said(model, own), said(model, other)
    heard = own.eligible[:, 0]
    assert np.array_equal((before[1] != now[1])[:, 0].numpy(), heard)
    given = TasksExamples(own, own.label, own.of("train"), own.of("val"), settings)
    output = torch.zeros(40, 2, requires_grad=True)
    schedule = Training(epochs=1, batch_size=8, learning_rate=0.01, weight_decay=0.0)
    given.loss(output, ROWS, ROWS, schedule, 1).backward()
    assert not output.grad[:, 0].any()
    assert output.grad[own.eligible[:, 1], 1].all()
    tables = predict(model, own, 0, torch.device("cpu"))
    assert tables.binary["task"].unique().to_list() == ["arf_12h"]


def test_nothing_is_told_to_a_model_that_is_not_fed_the_truth():
    with pytest.raises(InputError, match="where feedback is truth"):
        SMALL.tasks(["arf_12h"], ["shock_4h"])


def test_two_tokens_of_one_name_are_refused():
    data = stays()
    model = model_of(data)
    encoders = {**model.memory.encoders, "waves": ReportEncoder()}
    with pytest.raises(InputError, match="waves calls a token n, as that of another modality"):
        UniMed(encoders, data.tasks, data.groups, SMALL)
