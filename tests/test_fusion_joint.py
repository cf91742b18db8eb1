"""Joint and late-averaged fusion: trained end to end, on whom, repeatable, resumable."""

import json
import sys

import numpy as np
import polars as pl
import pytest
import torch
from encoder_data import ToyNetwork
from safetensors.torch import load_file
from torch import nn

from pipeline.fusion import joint
from pipeline.fusion.absent import RATES, lost
from pipeline.fusion.heads import HEADS
from pipeline.fusion.joint import Encoders, JointData, JointModel
from pipeline.stage.errors import InputError
from pipeline.training.checkpoint import Progress
from pipeline.training.modality import Feature

IDS = np.arange(900, 1020)
SPLITS = ["train"] * 50 + ["fusion"] * 30 + ["val"] * 20 + ["test"] * 20
LABEL = IDS % 2
SCHEDULE = {"epochs": 3, "batch_size": 16, "learning_rate": 0.01, "weight_decay": 0.0}


class ToyData:
    """A few numbers per episode."""

    def __init__(self, value, here):
        self.value, self.here = value, here

    def batch(self, rows):
        return {"value": torch.from_numpy(self.value[rows])}

    def present(self):
        return self.here


def toy_feature(size):
    """Of `size` numbers."""
    return Feature(ToyNetwork(nn.Sequential(nn.Linear(size, 32), nn.Tanh(), nn.Linear(32, 512))))


class Toy:
    """A modality whose `size` numbers per episode are given by its `seed`."""

    def data(self, given, episodes):
        random = np.random.default_rng(given["seed"])
        value = random.normal(size=(len(IDS), given["size"])).astype(np.float32)
        value[:, 0] += given["signal"] * (2 * LABEL - 1)
        here = ~np.isin(IDS, given["lacking"])
        if given.get("garbage"):
            value[~here] = 1e4
        own = np.searchsorted(IDS, episodes)
        return ToyData(value[own], here[own])

    def network(self, given, data, train):
        assert data.present()[train].all()
        return toy_feature(given["size"]).network


TOY = {"encoder": "toy", "before": None}
TALL = TOY | {"seed": 1, "size": 3, "signal": 1.5, "lacking": [903, 960, 1005]}
WIDE = TOY | {"seed": 2, "size": 5, "signal": 1.5, "lacking": [904, 1004, 1005]}


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Runs the stage on 120 episodes, positive where the id is odd; the folder of its files."""
    monkeypatch.setattr("pipeline.training.modality.find", lambda name, encoder: Toy())

    def run(
        folder="joint", head="joint", seeds=(0,), label=LABEL, data=None, on="fusion", **change
    ):
        episodes = pl.DataFrame({"episode_id": IDS, "subject_id": IDS, "split": SPLITS})
        episodes.write_parquet(tmp_path / "episodes.parquet")
        labels = episodes.select("episode_id", eligible=True)
        labels = labels.with_columns(label=label.astype(np.int8))
        labels.write_parquet(tmp_path / "labels.parquet")
        own = tmp_path / folder
        given = {
            "episodes": tmp_path / "episodes.parquet", "labels": tmp_path / "labels.parquet",
            "task": "mortality", "torch-threads": 1, "device": "cpu", "head": head, "letters": "tw",
            "head-on": on,
            "schedule": json.dumps(SCHEDULE | change), "modality-dropout": 0.1,
            "data": json.dumps(data or {"tall": TALL, "wide": WIDE}),
            "weights": own, "absent": own / "absent.parquet", "output": own / "said.parquet",
        }  # fmt: skip
        words = [str(word) for key, value in given.items() for word in (f"--{key}", value)]
        monkeypatch.setattr(sys, "argv", ["joint", *words, "--seeds", *map(str, seeds)])
        joint.main()
        return own

    return run


def auroc(table):
    """Share of pairs in order."""
    said = table["probability"].to_numpy()
    above = said[table["label"] == 1][:, None] > said[table["label"] == 0][None]
    return above.mean()


@pytest.mark.parametrize("head", HEADS)
def test_every_parameter_is_trained_and_the_planted_signal_is_learnt(stage, head, monkeypatch):
    started = []
    made = joint.build

    def build(*given):
        model = made(*given)
        started.append({name: value.clone() for name, value in model.state_dict().items()})
        return model

    monkeypatch.setattr(joint, "build", build)
    folder = stage(head=head)
    weights = load_file(folder / "seed0.safetensors")
    encoders = {name for name in weights if name.startswith("encoders.each.")}
    moved = {name for name in encoders if not torch.equal(weights[name], started[0][name])}
    assert moved == encoders and any(".tall." in name for name in moved)
    assert weights["dropping.head.directions"].shape[:2] == (2, 512)  # the head of the fusion share
    choice = json.loads((folder / "heads.json").read_text())["seeds"]["0"]
    assert choice["fitted_on"] == 30
    said = pl.read_parquet(folder / "said.parquet").filter(split="test")
    assert auroc(said) > 0.95
    history = json.loads((folder / "history.json").read_text())["seeds"]["0"]
    assert history["trained_on"] == 50  # the train share; the head once more on the fusion share
    assert history["checks"][-1]["val_auroc"] > 0.9


def test_test_labels_change_nothing_and_fusion_labels_do(stage):
    first = stage("first")
    changed = LABEL.copy()
    changed[100:] = 1 - changed[100:]
    second = stage("second", label=changed)
    assert same(first, second, "seed0.safetensors", "history.json", "absent.parquet")
    changed[50:80] = 1 - changed[50:80]
    one, other = (
        load_file(own / "seed0.safetensors") for own in (first, stage("third", label=changed))
    )
    moved = {name for name in one if not torch.equal(one[name], other[name])}
    assert moved and all(name.startswith("dropping.head.") for name in moved)  # the head alone


def test_the_published_head_stays_as_it_was_trained(stage):
    changed = LABEL.copy()
    changed[50:80] = 1 - changed[50:80]
    first, second = stage("first", on="train"), stage("second", on="train", label=changed)
    assert same(first, second, "seed0.safetensors", "history.json", "absent.parquet")


def same(one, two, *names):
    return all((one / name).read_bytes() == (two / name).read_bytes() for name in names)


@pytest.mark.parametrize("head", HEADS)
def test_two_runs_are_equal_to_the_byte_and_seeds_differ(stage, head):
    first, second = (stage(name, head, seeds=(0, 1)) for name in ("first", "second"))
    names = sorted(path.name for path in first.glob("[!.]*"))
    assert names == [
        "absent.parquet", "heads.json", "history.json", "said.parquet", "seed0.safetensors",
        "seed1.safetensors",
    ]  # fmt: skip
    assert same(first, second, *names)
    assert (first / names[4]).read_bytes() != (first / names[5]).read_bytes()


class Killed(Exception):
    pass


@pytest.mark.parametrize("when", [(0, 2), (1, 1)], ids=["second epoch", "second seed"])
def test_a_killed_training_resumes_bit_for_bit(stage, monkeypatch, when):
    """Modality dropout is on: the generator's state is kept, too."""
    whole, saved = stage("whole", seeds=(0, 1)), []
    save = Progress.save

    def killed(self, *given):
        save(self, *given)
        saved.append(self.path)
        if len(saved) == 3 * when[0] + when[1]:  # three epochs
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "save", killed)
        with pytest.raises(Killed):
            stage("killed", seeds=(0, 1))
    monkeypatch.setattr(
        Progress, "save", lambda self, *given: (saved.append(self.path), save(self, *given))
    )
    resumed = stage("killed", seeds=(0, 1))
    assert len([path for path in saved if path.name.startswith(".seed")]) == 6  # no epoch twice
    assert same(whole, resumed, *(path.name for path in whole.glob("[!.]*")))


def test_a_rerun_on_the_same_rows_trains_nothing_and_says_the_same(stage, monkeypatch):
    first = stage("first", seeds=(0, 1))
    whole = {path.name: path.read_bytes() for path in first.glob("[!.]*")}
    saved = []
    monkeypatch.setattr(Progress, "save", lambda self, *given: saved.append(self.path))
    for name in whole:
        (first / name).unlink()
    assert stage("first", seeds=(0, 1)) == first
    assert saved == []  # neither encoders nor the head
    assert {path.name: path.read_bytes() for path in first.glob("[!.]*")} == whole


def test_what_lies_in_the_place_of_an_absent_modality_does_not_matter(stage):
    first = stage("first")
    garbage = {"tall": TALL | {"garbage": True}, "wide": WIDE | {"garbage": True}}
    second = stage("second", data=garbage)
    assert same(first, second, "seed0.safetensors", "said.parquet", "absent.parquet")


def test_scenarios_without_loss_repeat_the_predictions_and_the_last_removes_the_letter(stage):
    folder = stage(learning_rate=0.0005)  # no probability is 0 or 1
    said = pl.read_parquet(folder / "said.parquet").filter(split="test")
    absent = pl.read_parquet(folder / "absent.parquet")
    assert absent.group_by("modality", "rate").len().height == 2 * len(RATES)
    kept = dict(said.select("episode_id", "probability").rows())
    lacking = {"t": TALL["lacking"], "w": WIDE["lacking"]}
    for letter in "tw":
        own = absent.filter(modality=letter)
        for rate in RATES:
            here = own.filter(rate=rate).sort("episode_id")
            ids = here["episode_id"].to_numpy()
            assert ids.tolist() == IDS[100:].tolist()
            changed = np.abs(here["probability"].to_numpy() - [kept[e] for e in ids]) > 1e-6
            assert (changed == lost(ids, rate) & ~np.isin(ids, lacking[letter])).all()
    nothing = absent.filter(rate=1.0, episode_id=1005)  # lacks both, whatever is removed
    assert nothing["probability"].to_list() == [kept[1005]] * 2


def test_late_averaged_guesses_about_the_prevalence_for_those_who_have_nothing(stage):
    said = pl.read_parquet(stage(head="late-averaged") / "said.parquet")
    assert said.filter(episode_id=1005)["probability"].item() == pytest.approx(0.5, abs=0.1)


def test_training_episodes_of_one_class_are_a_clear_error(stage, tmp_path):
    with pytest.raises(InputError, match="task mortality: the episodes of train are all of one"):
        stage(label=np.where(np.arange(120) < 80, 0, LABEL))
    assert not (tmp_path / "joint").exists()


def joined(**modalities):
    each = {name: ToyData(value, np.ones(len(value), bool)) for name, value in modalities.items()}
    return JointData(each, np.array([[True, False], [False, True], [True, True]]))


def test_joint_batches_carry_the_name_of_their_modality():
    tall, wide = np.ones((3, 2), np.float32), np.zeros((3, 4), np.float32)
    batch = joined(tall=tall, wide=wide).batch(np.array([2, 0]))
    assert {key: tuple(value.shape) for key, value in batch.items()} == {
        "tall.value": (2, 2), "wide.value": (2, 4), "here": (2, 2),
    }  # fmt: skip
    assert batch["here"].tolist() == [[True, True], [True, False]]


class First(nn.Module):
    """The feature of a modality: its first number."""

    def forward(self, batch):
        assert set(batch) == {"value"}  # its own, without the prefix
        return batch["value"][:, :1]


def test_encoders_see_their_own_batch_even_where_names_begin_alike():
    value = np.arange(3, dtype=np.float32)[:, None]
    data = joined(ehr=value + 1, ehr_long=value + 10)
    features = Encoders({"ehr": First(), "ehr_long": First()})(data.batch(np.arange(3)))
    assert features[..., 0].tolist() == [[1, 0], [0, 11], [3, 12]]  # zero where absent


@pytest.mark.parametrize("head", HEADS.values())
def test_an_absent_modality_gives_its_encoder_no_gradient(head):
    torch.manual_seed(0)
    encoders = {"tall": toy_feature(2), "wide": toy_feature(4)}
    model = JointModel(Encoders(encoders), head(2), 0.0)
    random = np.random.default_rng(0)
    data = joined(tall=random.normal(size=(3, 2)).astype(np.float32),
                  wide=random.normal(size=(3, 4)).astype(np.float32))  # fmt: skip
    model(data.batch(np.array([0]))).square().sum().backward()
    assert not any(p.grad.any() for p in encoders["wide"].parameters())
    assert all(p.grad.any() for p in encoders["tall"].parameters())
