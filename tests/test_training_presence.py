"""What an encoder learns from a batch depends on the episodes that have its modality alone.

Its gradient, the statistics of its BatchNorm and its weights after a step of the optimiser are
those of a batch of these episodes: alone, in joint training and in training of several tasks.
"""

import numpy as np
import pytest
import torch
from encoder_data import ToyNetwork, starts
from stays_at_hand import small, stays
from torch import nn

from pipeline.cxr.encoder_resnet18 import FilmsNetwork
from pipeline.cxr.film_data import Films
from pipeline.ehr.encoder_fiddle import FiddleNetwork
from pipeline.fusion.heads import HEADS
from pipeline.fusion.joint import Encoders, JointData, JointExamples, JointModel
from pipeline.note.encoder_doc2vec import Doc2VecNetwork
from pipeline.note.reports import Reports, Vectors
from pipeline.training.examples import Examples
from pipeline.training.items import mean_by_horizon
from pipeline.training.loop import optimiser_of, train_steps
from pipeline.training.modality import Feature
from pipeline.training.settings import Training
from pipeline.unimed.examples import TasksExamples
from pipeline.unimed.model import UniMed

CPU = torch.device("cpu")
PIXELS, SIZE, COUNT = 32, 6, 12
FILMS = np.array([0, 2, 0, 0, 1, 0, 0, 3, 0, 1, 0, 0])  # of each episode
REPORTS = np.array([1, 0, 2, 0, 1, 1, 0, 1, 3, 0, 1, 1])
LABEL = np.array([0, 1, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0])


def films(count=FILMS, seed=1):
    random = np.random.default_rng(seed)
    total = count.sum()
    images = random.integers(0, 256, (total, PIXELS, PIXELS), np.uint8)
    hours = random.uniform(0, 3, total).astype(np.float32)
    chunk, row = np.zeros(total, int), np.arange(total)
    return Films(hours, starts(count), [images], chunk, row, (PIXELS, PIXELS))


def reports():
    random = np.random.default_rng(2)
    total = REPORTS.sum()
    vector = random.normal(size=(total, SIZE)).astype(np.float32)
    hours = np.zeros(total, np.float32)
    return Reports(hours, starts(REPORTS), Vectors(vector), np.arange(total))


def bias():
    """An encoder of what every episode has, as the EHR's."""
    return Feature(ToyNetwork(nn.Linear(2, 512)))


class Numbers:
    def batch(self, rows):
        return {"value": torch.from_numpy(np.stack([rows, rows % 3], 1).astype(np.float32))}

    def present(self):
        return np.ones(COUNT, bool)


def joint(head, names=("ehr", "cxr", "note")):
    each = {"ehr": Numbers(), "cxr": films(), "note": reports()}
    each = {name: each[name] for name in names}
    data = JointData(each, np.stack([own.present() for own in each.values()], axis=1))
    torch.manual_seed(0)
    networks = {"cxr": FilmsNetwork(48.0), "note": Doc2VecNetwork(SIZE)}
    encoders = {"ehr": bias()} | {name: Feature(net) for name, net in networks.items()}
    encoders = {name: encoders[name] for name in names}
    made = HEADS[head](len(names), told=True)
    return JointModel(Encoders(encoders), made, 0.0), JointExamples(data, LABEL, ROWS, ROWS)


ROWS = np.arange(COUNT)


def stepped(model, encoder, examples, rows, schedule):
    """Gradients, and weights and buffers after the step, of one encoder and one batch."""
    optimiser = optimiser_of(schedule, model)
    train_steps(model, examples, [rows], schedule, [schedule.learning_rate], optimiser, CPU)
    gradient = {name: weight.grad for name, weight in encoder.named_parameters()}
    return gradient, {name: value.clone() for name, value in encoder.state_dict().items()}


def assert_same(one, other, rate):
    """But for rounding: a gradient near 0 moves a weight by as much as a large one."""
    (gradient, state), (others_gradient, others_state) = one, other
    for name, value in gradient.items():
        within = 1e-4 * value.abs().max().item()
        torch.testing.assert_close(others_gradient[name], value, rtol=0, atol=within)
    for name, value in state.items():
        difference = (others_state[name] - value).double().abs()
        assert difference.mean() < rate / 1000, name


# a clip that bites: the norm of others' gradients must not shrink the step of this encoder
SCHEDULE = Training(epochs=3, batch_size=32, learning_rate=0.001, weight_decay=0.01, clip=0.05)
CHANGES = [{}, {"clip": None, "class_weights": [1.5, 1.0]}]


@pytest.mark.parametrize("name", ["cxr", "note"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("change", CHANGES, ids=["clipped", "not clipped, weighted classes"])
def test_in_joint_training_an_encoder_s_step_is_that_of_its_own_episodes(name, head, change):
    schedule, found = SCHEDULE.model_copy(update=change), []
    # films of others change a film's features by BatchNorm, and so what is left for the reports
    having, names = {
        "cxr": (FILMS > 0, ("ehr", "cxr", "note")),
        "note": (REPORTS > 0, ("ehr", "note")),
    }[name]
    for rows in (ROWS, np.flatnonzero(having)):
        model, examples = joint(head, names)
        encoder = model.encoders.each[name]
        found.append(stepped(model, encoder, examples, rows, schedule))
    assert_same(*found, schedule.learning_rate)
    assert any(gradient.abs().max() > 0 for gradient in found[0][0].values())


def test_a_batch_without_a_film_leaves_the_encoder_of_films_as_it_is():
    model, examples = joint("joint")
    encoder = model.encoders.each["cxr"]
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    _, after = stepped(model, encoder, examples, np.flatnonzero(FILMS == 0), SCHEDULE)
    assert all(torch.equal(before[name], after[name]) for name in before)  # no decay either


def test_alone_all_weights_are_clipped_together_and_unscaled():
    model = bias()
    ((weights, factor),) = Examples(Numbers(), LABEL, ROWS, ROWS).gradient_groups(
        model, ROWS, SCHEDULE
    )
    assert {id(w) for w in weights} == {id(w) for w in model.parameters()} and factor == 1


def several(*tasks, eligible=None, late=(), **changes):
    """Stays, all `eligible` if none is given (N, K); films of some, known by 4 h but for `late`."""
    settings = small(dropout=0.0, **changes)
    own = stays(COUNT, list(tasks), settings)
    own.eligible[:] = True if eligible is None else eligible
    own.each = {"ehr": own.each["ehr"], "cxr": films()}
    for stay in late:
        own.each["cxr"].hours[starts(FILMS)[stay] : starts(FILMS)[stay + 1]] += 10
    torch.manual_seed(0)
    encoders = {"ehr": FiddleNetwork(own.each["ehr"].sizes, 1.0), "cxr": FilmsNetwork(48.0)}
    model = UniMed(encoders, own.tasks, own.groups, settings)
    return model, TasksExamples(own, own.label, ROWS, ROWS, settings)


@pytest.mark.parametrize("task", ["shock_4h", "diagnoses_48h"])
@pytest.mark.parametrize("change", [{}, {"clip": None}], ids=["clipped", "not clipped"])
def test_in_training_of_icu_stays_the_step_is_that_of_the_stays_with_films(task, change):
    found, schedule = [], SCHEDULE.model_copy(update=change)
    for rows in (ROWS, np.flatnonzero(FILMS)):
        model, examples = several(task)
        found.append(stepped(model, model.memory.encoders["cxr"], examples, rows, schedule))
    assert_same(*found, schedule.learning_rate)


FEW = np.ones((COUNT, 2), bool)  # of those with films one alone is eligible for the second task
FEW[np.flatnonzero(FILMS)[1:], 1] = False


@pytest.mark.parametrize("decoder", ["transformer", "gru"])
@pytest.mark.parametrize(
    ("tasks", "late", "changes"),
    [
        (("shock_4h", "arf_4h"), (), {}),
        (("shock_4h", "mortality_48h"), (4, 9), {}),  # two films come after the first task
        (("shock_4h", "diagnoses_48h"), (), {"weights": "uncertainty"}),
    ],
    ids=["one horizon", "two horizons", "learnt weights"],
)
def test_of_several_tasks_the_step_is_that_of_the_stays_with_films(decoder, tasks, late, changes):
    found, schedule = [], SCHEDULE.model_copy(update={"clip": None})
    for rows in (ROWS, np.flatnonzero(FILMS)):
        model, examples = several(*tasks, eligible=FEW, late=late, decoder=decoder, **changes)
        found.append(stepped(model, model.memory.encoders["cxr"], examples, rows, schedule))
        assert not model.memory.features  # no graph is kept
    assert_same(*found, schedule.learning_rate)


def test_a_task_counts_the_films_that_were_known_by_its_horizon():
    """A film from after a task's horizon is none to it, whether its stay is eligible or not."""
    found, without = [], np.ones((COUNT, 2), bool)
    without[4, 0] = False
    for eligible in (None, without):
        model, examples = several("shock_4h", "mortality_48h", eligible=eligible, late=(4,),
                                  feedback="none")  # fmt: skip
        found.append(stepped(model, model.memory.encoders["cxr"], examples, ROWS, SCHEDULE))
    assert_same(*found, SCHEDULE.learning_rate)


def test_an_encoder_that_learns_nothing_is_trained_beside():
    model, examples = several("shock_4h", "arf_4h", eligible=FEW)
    frozen = model.memory.encoders["cxr"].requires_grad_(False)
    schedule = SCHEDULE.model_copy(update={"weight_decay": 0.0})
    gradient, _ = stepped(model, frozen, examples, ROWS, schedule)
    assert set(gradient.values()) == {None}
    assert model.heads[0][0].weight.grad.abs().max() > 0


@pytest.mark.parametrize("kind", ["film", "report"])
def test_data_and_tokens_agree_on_who_has_a_modality_by_a_horizon(kind):
    hours, rows = [0.5, 1.5, 2.5, 4.0], np.arange(COUNT)
    data = films()
    if kind == "report":
        own = films(REPORTS)
        vectors = Vectors(np.zeros((REPORTS.sum(), 2), np.float32))
        data = Reports(own.hours, own.start, vectors, np.arange(REPORTS.sum()))
    batch = data.batch(rows)
    value = torch.zeros(len(batch["owner"]), 1)
    _, present = mean_by_horizon(value, batch, hours, 48.0)
    assert np.array_equal(np.stack([data.known_by(h) for h in hours], 1), present.numpy())
    assert len({tuple(column) for column in present.T.tolist()}) > 1


def test_the_rest_learns_from_all_stays_as_if_encoders_had_no_gradient_of_their_own():
    model, examples = several("shock_4h", "arf_4h", eligible=FEW)
    schedule = SCHEDULE.model_copy(update={"clip": None})
    stepped(model, model.memory.encoders["cxr"], examples, ROWS, schedule)
    other, _ = several("shock_4h", "arf_4h", eligible=FEW)
    other.train().sampling = 0.0
    examples.loss(other(examples.data.batch(ROWS)), ROWS, ROWS, schedule, 1).backward()
    ours, plain = (dict(one.named_parameters()) for one in (model, other))
    rest = [name for name in ours if not name.startswith("memory.encoders.cxr")]
    for name in rest:
        assert (ours[name].grad is None) == (plain[name].grad is None)
        if plain[name].grad is not None:
            torch.testing.assert_close(ours[name].grad, plain[name].grad)


def test_who_has_no_film_has_a_token_that_says_so():
    model, examples = several("shock_4h")
    batch = examples.data.batch(ROWS)
    memory = model.memory(batch, [4])
    place = model.memory.names.index("c")
    none = memory[FILMS == 0, 0, place]
    torch.testing.assert_close(none, model.memory.missing["c"].expand_as(none))
    assert not torch.isclose(memory[FILMS > 0, 0, place], model.memory.missing["c"]).all(1).any()
