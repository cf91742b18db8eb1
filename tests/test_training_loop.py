"""The training loop: what is kept, what is repeatable, what a killed training goes on from."""

import logging
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pipeline.stage.errors import InputError
from pipeline.training import loop
from pipeline.training.batches import batches, evaluate
from pipeline.training.budget import Budget
from pipeline.training.checkpoint import save_weights
from pipeline.training.fingerprint import loaded_code
from pipeline.training.loop import Examples, fit, rates
from pipeline.training.processes import make_repeatable, pick_device
from pipeline.training.settings import Training

CPU = torch.device("cpu")
COMMON = {"batch_size": 8, "learning_rate": 0.01, "weight_decay": 0.01}
SCHEDULE = Training(steps=32, check=8, patience=4, **COMMON)
EPOCHS = Training(epochs=4, **COMMON)  # as published


class Killed(Exception):
    """The end of a training between two checks."""


class Table:
    """Rows of numbers; raises on the batch of that number, as a kill would."""

    def __init__(self, value, fails_at=None):
        self.value, self.fails_at, self.asked = value, fails_at, 0

    def batch(self, rows):
        self.asked += 1
        if self.asked == self.fails_at:
            raise Killed
        return {"value": torch.from_numpy(self.value[rows])}


class Toy(nn.Module):
    """All that a resumed training must restore: weights, BatchNorm's buffers, the generator."""

    def __init__(self, dropout=0.3):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 2)
        )

    def forward(self, batch):
        return self.net(batch["value"])


def examples(fails_at=None, one_class=False):
    random = np.random.default_rng(0)
    value = random.normal(size=(80, 4)).astype(np.float32)
    label = (value[:, 0] + random.normal(size=80) > 0).astype(int)
    if one_class:
        label[60:] = 1
    return Examples(Table(value, fails_at), label, np.arange(60), np.arange(60, 80))


@pytest.fixture
def train(tmp_path):
    """Fits a toy; gives its weights as bytes and its history."""

    def run(given=None, schedule=SCHEDULE, seed=0):
        make_repeatable(seed, threads=1)
        model = Toy()
        progress = tmp_path / ".progress"
        history = fit(model, given or examples(), schedule, seed, CPU, progress, "toy")
        save_weights(model, tmp_path / "weights.safetensors")
        progress.unlink()
        return (tmp_path / "weights.safetensors").read_bytes(), history

    return run


def kill(train, batch=25, **change):
    """A training that ends after its second check (8 batches and one of validation each)."""
    with pytest.raises(Killed):
        train(examples(fails_at=batch), **change)


def steps_in(caplog):
    return [int(step) for step in re.findall(r"step (\d+)/", caplog.text)]


def test_batches_are_nearly_equal_and_hold_every_row_once():
    parts = batches(np.arange(33), 32, np.random.default_rng(0))
    assert sorted(map(len, parts)) == [16, 17]  # 32 and a lone row would break BatchNorm
    assert sorted(np.concatenate(parts)) == list(range(33))
    assert [len(part) for part in batches(np.arange(5), 8)] == [5]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(train):
    assert train(seed=1) == train(seed=1)
    assert train(seed=1)[0] != train(seed=2)[0]


@pytest.mark.parametrize("schedule", [SCHEDULE, EPOCHS], ids=["steps", "epochs"])
@pytest.mark.parametrize("batch", [3, 12, 19, 25, 36])
def test_a_killed_training_resumed_is_the_same_to_the_bit(train, caplog, batch, schedule):
    whole = train(schedule=schedule)
    kill(train, batch, schedule=schedule)
    caplog.clear()
    caplog.set_level(logging.INFO, "pipeline")
    assert train(schedule=schedule) == whole
    assert steps_in(caplog) == [8, 16, 24, 32][(batch - 2) // 9 :]


def kept(tmp_path, given=None, schedule=SCHEDULE, seed=0, threads=1, dropout=0.3):
    """A training beside what an earlier one left; its weights."""
    make_repeatable(seed, threads)
    model = Toy(dropout)
    fit(model, given or examples(), schedule, seed, CPU, tmp_path / ".progress", "toy")
    save_weights(model, tmp_path / "weights.safetensors")
    return (tmp_path / "weights.safetensors").read_bytes()


def test_a_finished_training_is_kept_and_not_trained_again(tmp_path, caplog):
    whole = kept(tmp_path)
    caplog.clear()
    caplog.set_level(logging.INFO, "pipeline")
    assert kept(tmp_path) == whole
    assert steps_in(caplog) == []
    assert "toy seed 0  trained before on the same: kept" in caplog.text


def test_of_a_finished_training_no_optimiser_is_kept(tmp_path):
    kept(tmp_path)
    names = set(load_file(tmp_path / ".progress"))
    assert {name.split(".")[0] for name in names} <= {"best", "generator"}


def test_rows_of_other_splits_may_come_and_go(tmp_path, caplog):
    """Row numbers differ then; what the rows hold does not, nor do the weights."""
    whole, given = kept(tmp_path), examples()
    caplog.clear()
    caplog.set_level(logging.INFO, "pipeline")
    value = np.concatenate([np.full((7, 4), 9, np.float32), given.data.value])
    labels = np.concatenate([np.ones(7, int), given.labels])
    moved = Examples(Table(value), labels, given.train + 7, given.val + 7)
    assert kept(tmp_path, moved) == whole
    assert steps_in(caplog) == []
    (tmp_path / ".progress").unlink()
    assert kept(tmp_path, moved) == whole
    assert steps_in(caplog) == [8, 16, 24, 32]


def other_rows():
    given = examples()
    return Examples(given.data, given.labels, given.train[::-1].copy(), given.val)


def other_labels():
    given = examples()
    labels = given.labels.copy()
    labels[[0, 1]] = labels[[1, 0]] if labels[0] != labels[1] else 1 - labels[[0, 1]]
    return Examples(given.data, labels, given.train, given.val)


def other_data(row=slice(None)):
    given = examples()
    value = given.data.value.copy()
    value[row, 0] += 1
    return Examples(Table(value), given.labels, given.train, given.val)


def other_label(row):
    given = examples()
    labels = given.labels.copy()
    labels[row] = 1 - labels[row]
    return Examples(given.data, labels, given.train, given.val)


CHANGES = {
    "seed": {"seed": 5},
    "steps": {"schedule": SCHEDULE.model_copy(update={"steps": 40})},
    "check": {"schedule": SCHEDULE.model_copy(update={"check": 6})},
    "patience": {"schedule": SCHEDULE.model_copy(update={"patience": 3})},
    "rate": {"schedule": SCHEDULE.model_copy(update={"learning_rate": 0.02})},
    "order of rows": {"given": other_rows()},
    "labels": {"given": other_labels()},
    "data": {"given": other_data()},
    "a value of the first row": {"given": other_data(0)},
    "a value of the last row of train": {"given": other_data(59)},
    "a value of validation": {"given": other_data(79)},
    "a label of train": {"given": other_label(59)},
    "a label of validation": {"given": other_label(79)},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_another_training_does_not_go_on_from_this_one(train, caplog, change):
    undisturbed = train(**change)
    kill(train)
    caplog.clear()
    caplog.set_level(logging.INFO, "pipeline")
    assert train(**change) == undisturbed
    assert steps_in(caplog)[0] <= 8


ELSE = {"threads": {"threads": 2}, "dropout": {"dropout": 0.2}}


@pytest.mark.parametrize("change", (CHANGES | ELSE).values(), ids=CHANGES | ELSE)
def test_another_training_is_not_taken_for_a_finished_one(tmp_path, caplog, change):
    kept(tmp_path)
    caplog.clear()
    caplog.set_level(logging.INFO, "pipeline")
    kept(tmp_path, **change)
    assert steps_in(caplog)[0] <= 8
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        ("pipeline.training.fingerprint.torch", "__version__", "9.9.9"),
        ("pipeline.training.fingerprint", "loaded_code", lambda: "edited"),
    ],
    ids=["version of torch", "code"],
)
def test_other_versions_train_anew(tmp_path, caplog, monkeypatch, where, name, value):
    kept(tmp_path)
    monkeypatch.setattr(f"{where}.{name}", value)
    caplog.clear()
    caplog.set_level(logging.INFO, "pipeline")
    kept(tmp_path)
    assert steps_in(caplog) == [8, 16, 24, 32]


def test_the_code_of_a_training_is_that_of_its_stage_and_all_that_was_imported(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("pipeline.hospital.")]:
        monkeypatch.delitem(sys.modules, name)  # of other tests
    digest = loaded_code()
    assert loaded_code() == digest
    monkeypatch.setitem(sys.modules, "pipeline.hospital.make", object())  # as if imported
    assert loaded_code() != digest
    monkeypatch.delitem(sys.modules, "pipeline.hospital.make")
    stage = SimpleNamespace(name="pipeline.hospital.make")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", stage)
    assert loaded_code() != digest


def test_half_a_progress_file_is_ignored(train, tmp_path, caplog):
    whole = train()
    kill(train)
    progress = tmp_path / ".progress"
    for share in (0.0, 0.001, 0.5, 0.999):
        kept = progress.read_bytes()
        progress.write_bytes(kept[: int(share * len(kept))])
        caplog.clear()
        caplog.set_level(logging.INFO, "pipeline")
        assert train() == whole
        assert steps_in(caplog)[0] <= 8
        kill(train)


def scored(monkeypatch, aurocs):
    """Validation says these; the weights that it meets are noted."""
    scores, met = iter(aurocs), []

    def score(model, *rest):
        met.append({k: v.clone() for k, v in model.state_dict().items()})
        return next(scores)

    monkeypatch.setattr(loop, "validate", score)
    return met


@pytest.mark.parametrize("schedule", [SCHEDULE, EPOCHS], ids=["steps", "epochs"])
def test_the_check_with_the_best_validation_auroc_is_kept(train, monkeypatch, tmp_path, schedule):
    met = scored(monkeypatch, [0.6, 0.8, 0.8, 0.7])
    _, history = train(schedule=schedule)
    assert [check["val_auroc"] for check in history["checks"]] == [0.6, 0.8, 0.8, 0.7]
    assert (history["best_step"], history["steps"]) == (16, 32)
    kept = load_file(tmp_path / "weights.safetensors")
    assert all(torch.equal(kept[k], met[1][k]) for k in kept)  # the first of two equals
    assert not all(torch.equal(kept[k], met[3][k]) for k in kept)


AUROCS = {  # of every check → by what it stopped, at which step, whether it was still rising
    "patience": ([0.6, 0.7, 0.7, 0.65, 0.9], "patience", 32, False),
    "no better one from the first on": ([0.6, 0.5, 0.5, 0.9], "patience", 24, False),
    "rising to the end": ([0.5, 0.6, 0.7, 0.8, 0.9], "budget", 40, True),
    "rising shortly before": ([0.5, 0.6, 0.7, 0.8, 0.7], "budget", 40, False),
    "patience at the end of the budget": ([0.5, 0.6, 0.7, 0.6, 0.6], "patience", 40, False),
}


@pytest.mark.parametrize(("aurocs", "stopped", "steps", "rising"), AUROCS.values(), ids=AUROCS)
def test_a_training_stops_by_patience_or_budget_and_says_so(
    train, monkeypatch, caplog, aurocs, stopped, steps, rising
):
    caplog.set_level(logging.INFO, "pipeline")
    scored(monkeypatch, aurocs)
    _, history = train(schedule=Training(steps=40, check=8, patience=2, **COMMON))
    assert (history["stopped"], history["steps"], history["rising"]) == (stopped, steps, rising)
    warned = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert [("still rising at the end of its budget of 40 steps" in text) for text in warned] == [
        True
    ] * rising


def test_a_budget_in_epochs_is_spent_whatever_validation_says(train, monkeypatch, caplog):
    scored(monkeypatch, [0.9, 0.5, 0.5, 0.5])
    _, history = train(schedule=EPOCHS)
    assert (history["stopped"], history["steps"], history["rising"]) == ("epochs", 32, None)
    scored(monkeypatch, [0.1, 0.2, 0.3, 0.4])
    assert train(schedule=EPOCHS)[1]["rising"] is None
    assert "rising" not in caplog.text


def test_weights_are_a_mean_over_steps_and_those_of_epochs_are_not(train, monkeypatch):
    """By the loop's own optimiser, one check: the mean of the weights after each of two steps."""
    one = Training(steps=1, check=2, patience=1, **COMMON)
    two = Training(steps=2, check=2, patience=1, **COMMON)

    def net(schedule):
        met = scored(monkeypatch, [0.5])
        train(schedule=schedule)
        return met[0]["net.0.weight"]

    plain = Training(steps=2, check=1, patience=2, **COMMON)  # a mean over one step
    met = scored(monkeypatch, [0.5, 0.6])
    train(schedule=plain)
    first, second = (weights["net.0.weight"] for weights in met)
    torch.testing.assert_close(net(one), first)
    torch.testing.assert_close(net(two), (first + second) / 2)


@pytest.mark.parametrize("check", [10, 25, 40])
def test_row_numbers_in_the_mean_of_the_weights_are_those_of_the_model(check):
    model = nn.BatchNorm1d(2)
    model.register_buffer("row", torch.arange(3000))
    averaged = loop.average_of(model, Budget(600, check, 4))
    for _ in range(3):
        model.running_mean += 1
        averaged.update_parameters(model)
    assert torch.equal(averaged.module.row, model.row)
    assert (averaged.module.running_mean < model.running_mean).all()  # a mean over steps


def test_a_last_check_may_come_early_and_a_check_may_span_passes(train):
    _, history = train(schedule=Training(steps=25, check=10, patience=9, **COMMON))
    assert [check["step"] for check in history["checks"]] == [10, 20, 25]


def test_without_two_classes_in_validation_the_last_check_is_kept(train, caplog):
    caplog.set_level(logging.INFO, "pipeline")
    weights, history = train(examples(one_class=True))
    assert [check["val_auroc"] for check in history["checks"]] == [None] * 4
    assert (history["best_step"], history["stopped"], history["rising"]) == (32, "budget", None)
    assert "val AUROC in training –" in caplog.text
    given = examples(one_class=True)
    no_validation = Examples(given.data, given.labels, given.train, given.val[:0])
    assert train(no_validation)[0] == weights


def test_a_line_per_check_with_loss_auroc_speed_and_remaining_time(train, caplog):
    caplog.set_level(logging.INFO, "pipeline")
    _, history = train()
    lines = [record.message for record in caplog.records if "loss" in record.message]
    scores = r"loss (\d\.\d{4})  val AUROC in training (0\.\d{4})"
    pattern = rf"toy seed 0  step (\d+)/32  {scores}  \d+ samples/s  at most \d+ s left"
    found = [re.fullmatch(pattern, line) for line in lines]
    assert [match[1] for match in found] == ["8", "16", "24", "32"]
    assert [match[2] for match in found] == [f"{c['loss']:.4f}" for c in history["checks"]]
    assert lines[-1].endswith(" 0 s left")


def test_a_check_reaches_the_screen_after_10_s_and_then_every_30_s(monkeypatch, caplog):
    now = [0.0]
    monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])
    caplog.set_level(logging.INFO, "pipeline")
    announcer = loop.Announcer("toy seed 0", 0, loop.Budget(steps=100, check=10, patience=9))
    for step in range(10, 101, 10):
        now[0] += 8
        checks = [{"step": done, "loss": 0.5, "val_auroc": 0.6} for done in range(10, step + 1, 10)]
        announcer.check(checks, 7.0)
    assert len(caplog.records) == 10
    shown = [one.message for one in caplog.records if one.name == "pipeline.progress"]
    assert [line.split()[4] for line in shown] == ["20/100", "60/100", "100/100"]


def test_the_rate_falls_from_the_first_one_towards_zero_or_stays():
    schedule = Training(steps=12, check=4, patience=1, **COMMON)
    followed = [rate for k in range(0, 12, 4) for rate in rates(schedule, range(k, k + 4), 12)]
    assert followed[0] == 0.01
    assert followed == sorted(followed, reverse=True)
    assert 0 < followed[-1] < 0.0004
    constant = schedule.model_copy(update={"decay": "constant"})
    assert rates(constant, range(8, 12), 12) == [0.01] * 4


def test_training_learns(train):
    schedule = Training(
        steps=160, check=8, patience=20, batch_size=8, learning_rate=0.02, weight_decay=0.0
    )
    _, history = train(schedule=schedule)
    assert max(check["val_auroc"] for check in history["checks"]) > 0.7
    assert history["checks"][-1]["loss"] < history["checks"][0]["loss"]


def test_a_loss_that_is_no_number_is_a_clear_error(train):
    with pytest.raises(InputError, match="learning_rate"):
        train(Examples(Table(np.full((80, 4), np.inf, np.float32)), *vars_of(examples())))


def vars_of(given):
    return given.labels, given.train, given.val


def test_evaluation_follows_the_rows_whatever_the_batch_size_and_leaves_the_model_as_it_is():
    make_repeatable(0, 1)
    model, given = Toy(), examples()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    rows = np.array([7, 3, 50, 9, 0])
    made = evaluate(model, given.data, rows, 2, CPU)
    expected = torch.cat([evaluate(model, given.data, rows[k : k + 1], 9, CPU) for k in range(5)])
    torch.testing.assert_close(made, expected)
    assert made.dtype == torch.float32
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not model.training


def test_frozen_parameters_stay(train, tmp_path):
    make_repeatable(0, 1)
    model = Toy()
    model.net[0].weight.requires_grad_(False)
    start = model.net[0].weight.clone()
    fit(model, examples(), SCHEDULE, 0, CPU, tmp_path / ".progress", "toy")
    assert torch.equal(model.net[0].weight, start)


def test_the_device_is_the_gpu_where_there_is_one():
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert pick_device("cpu") == CPU


def test_on_a_gpu_training_runs_in_bfloat16_and_resumes(tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    device, seen = torch.device("cuda"), set()

    class Watched(Toy):
        def forward(self, batch):
            logits = super().forward(batch)
            seen.add(logits.dtype)
            return logits

    def run(given):
        make_repeatable(0, 1)
        model = Watched().to(device)
        fit(model, given, SCHEDULE, 0, device, tmp_path / ".progress", "toy")
        (tmp_path / ".progress").unlink()
        return {k: v.cpu() for k, v in model.state_dict().items()}

    whole = run(examples())
    with pytest.raises(Killed):
        run(examples(fails_at=25))
    resumed = run(examples())
    assert seen == {torch.bfloat16}
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)


def test_progress_is_no_pickle(train, tmp_path):
    kill(train)
    assert load_file(tmp_path / ".progress")["model.net.0.weight"].shape == (8, 4)
