"""Pretraining and embedding a modality: files, guards, what becomes of missing modalities."""

import json
import logging
import re
import sys
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from encoder_data import ToyNetwork
from safetensors.torch import load_file, save_file
from torch import nn

from pipeline.cxr.film_data import Films
from pipeline.note.reports import Reports
from pipeline.stage.errors import InputError
from pipeline.training import embed, pretrain
from pipeline.training.checkpoint import load_pretrained, load_weights, save_weights
from pipeline.training.features import Unimodal
from pipeline.training.modality import Feature, check_present

SPLITS = ["train"] * 24 + ["fusion"] * 8 + ["val"] * 8 + ["test"] * 8
LACKING = [3, 30, 45]  # rows without the modality
DATA = {"toy": {"encoder": "toy", "before": None, "lacking": LACKING}}
SCHEDULE = {"epochs": 2, "batch_size": 8, "learning_rate": 0.01, "weight_decay": 0.0}


class ToyData:
    """Three numbers per episode; the first follows the label."""

    def __init__(self, value, there):
        self.value, self.there = value, there

    def batch(self, rows):
        return {"value": torch.from_numpy(self.value[rows])}

    def present(self):
        return self.there


class Toy:
    """A modality in twenty lines, as a fourth one would be."""

    def data(self, given, episodes):
        value = np.random.default_rng(0).normal(size=(len(episodes), 3)).astype(np.float32)
        value[:, 0] += 2 * (episodes % 2)
        return ToyData(value, ~np.isin(np.arange(len(episodes)), given["lacking"]))

    def network(self, settings, data, train):
        assert data.present()[train].all()
        return ToyNetwork(nn.Linear(3, 512))


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Runs pretrain or embed on 48 episodes, positive where the id is odd."""
    ids = np.arange(1000, 1048)
    table = {"episode_id": ids, "subject_id": ids, "split": SPLITS}
    pl.DataFrame(table).write_parquet(tmp_path / "episodes.parquet")

    monkeypatch.setitem(sys.modules, "pipeline.toy.encoder_toy", SimpleNamespace(ENCODER=Toy()))

    def run(what, *flags, label=ids % 2, data=DATA):
        labels = {"episode_id": ids, "eligible": [True] * 48, "label": label.astype(np.int8)}
        pl.DataFrame(labels).write_parquet(tmp_path / "labels.parquet")
        given = ["--episodes", tmp_path / "episodes.parquet", "--torch-threads", 1]
        given += ["--labels", tmp_path / "labels.parquet", "--device", "cpu", "--task", "mortality"]
        given += ["--data", json.dumps(data), "--schedule", json.dumps(SCHEDULE), *flags]
        monkeypatch.setattr(sys, "argv", ["stage", *map(str, given)])
        what.main()

    def pretrained(folder="models", seeds=(0, 1), **change):
        run(pretrain, "--seeds", *seeds, "--output", tmp_path / folder, **change)
        return tmp_path / folder

    def embedded(folder, head_on="fusion", heads="heads", **change):
        weights = [folder / f"seed{seed}.safetensors" for seed in (0, 1)]
        outputs = tmp_path / "embeddings.parquet", tmp_path / "predictions.parquet"
        flags = ["--seeds", 0, 1, "--weights", *weights, "--head-on", head_on]
        flags += ["--heads", tmp_path / heads, "--output", outputs[0], "--predictions", outputs[1]]
        run(embed, *flags, **change)
        return tuple(map(pl.read_parquet, outputs))

    run.pretrain, run.embed = pretrained, embedded
    return run


def test_pretraining_leaves_weights_and_outcome_per_seed_a_history_and_nothing_else(stage):
    folder = stage.pretrain()
    assert sorted(path.name for path in folder.iterdir()) == [
        ".seed0.progress",
        ".seed1.progress",
        "history.json",
        "seed0.safetensors",
        "seed1.safetensors",
    ]
    assert set(load_file(folder / "seed0.safetensors")) == {
        "feature.network.net.weight",
        "feature.network.net.bias",
        "head.weight",
        "head.bias",
    }
    told = json.loads((folder / "history.json").read_text())
    assert (told["part"], told["precision"]) == ("toy", "fp32")
    history = told["seeds"]
    assert [history[seed]["trained_on"] for seed in "01"] == [23, 23]  # 24, one lacks the modality
    assert [len(history[seed]["checks"]) for seed in "01"] == [2, 2]


def test_pretraining_twice_gives_the_same_bytes_and_seeds_differ(stage):
    first, second = stage.pretrain("first"), stage.pretrain("second")
    for name in ("seed0.safetensors", "seed1.safetensors", "history.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    seeds = [(first / f"seed{seed}.safetensors").read_bytes() for seed in (0, 1)]
    assert seeds[0] != seeds[1]


def test_a_job_killed_in_its_second_seed_does_not_train_the_first_again(
    stage, tmp_path, monkeypatch, caplog
):
    whole = stage.pretrain("whole")
    with monkeypatch.context() as patch:
        patch.setattr(Toy, "network", killed_at_the_second(Toy.network))
        with pytest.raises(KeyboardInterrupt):
            stage.pretrain()
    for path in (tmp_path / "models").glob("*.safetensors"):
        path.unlink()  # as Snakemake does with the outputs of an incomplete job
    caplog.set_level(logging.INFO, "pipeline")
    resumed = stage.pretrain()
    assert "seed 0  step" not in caplog.text
    assert "seed 1  step 3/6" in caplog.text
    for name in ("seed0.safetensors", "seed1.safetensors", "history.json"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes()


def killed_at_the_second(make):
    made = []

    def encoder(self, *given):
        made.append(given)
        if len(made) == 2:
            raise KeyboardInterrupt
        return make(self, *given)

    return encoder


def test_the_encoder_learns_from_train_and_chooses_by_val_alone(stage):
    label = np.arange(1000, 1048) % 2
    changed = label.copy()
    changed[24:32] = 1 - changed[24:32]  # fusion
    changed[40:] = 1 - changed[40:]  # test
    first, second = stage.pretrain("first"), stage.pretrain("second", label=changed)
    for name in ("seed0.safetensors", "history.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_one_class_among_those_with_the_modality_is_a_clear_error(stage, tmp_path):
    label = np.zeros(48, int)
    label[3] = 1  # the only positive lacks the modality
    with pytest.raises(InputError, match=r"^task mortality: the episodes of train that have toy"):
        stage.pretrain(label=label)
    assert not (tmp_path / "models").exists()


def test_embeddings_are_there_for_every_episode_with_the_modality_in_every_split(stage):
    embeddings, predictions = stage.embed(stage.pretrain())
    ids = [e for k, e in enumerate(range(1000, 1048)) if k not in LACKING]
    assert embeddings.select("episode_id", "seed").rows() == [(e, s) for e in ids for s in (0, 1)]
    assert embeddings.schema["embedding"] == pl.Array(pl.Float32, 512)
    assert predictions.height == 2 * 48


def test_without_the_modality_the_guess_is_the_prevalence_among_those_who_lack_it(stage):
    """Two of the three are training episodes; few are drawn towards all of them."""
    label = np.arange(1000, 1048) % 2
    for ill in (False, True):
        label[LACKING[:2]] = ill
        _, predictions = stage.embed(stage.pretrain(f"models{ill}", label=label), label=label)
        lacking = predictions.filter(pl.col("episode_id").is_in([1000 + k for k in LACKING]))
        expected = (2 * ill + 10 * label[:32].mean()) / 12
        assert lacking["probability"].to_list() == [pytest.approx(expected, abs=1e-6)] * 6


def test_episodes_without_the_modality_teach_the_encoder_nothing(stage):
    label = np.arange(1000, 1048) % 2
    first = stage.pretrain("first", label=label)
    label[LACKING] = 1 - label[LACKING]
    second = stage.pretrain("second", label=label)
    for name in ("seed0.safetensors", "seed1.safetensors", "history.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    label[4] = 1 - label[4]
    third = stage.pretrain("third", label=label)
    name = "seed0.safetensors"
    assert (first / name).read_bytes() != (third / name).read_bytes()


def heads(folder):
    return [(folder / f"head_seed{seed}.safetensors").read_bytes() for seed in (0, 1)]


def test_the_head_is_fitted_again_on_the_fusion_share_alone(stage, tmp_path):
    folder, label = stage.pretrain(), np.arange(1000, 1048) % 2
    _, first = stage.embed(folder, heads="first")
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == [
        "head_seed0.safetensors",
        "head_seed1.safetensors",
        "heads.json",
    ]
    changed = label.copy()
    changed[:24], changed[40:] = 1 - changed[:24], 1 - changed[40:]  # train and test
    _, second = stage.embed(folder, heads="second", label=changed)
    assert heads(tmp_path / "first") == heads(tmp_path / "second")
    having = ~pl.col("episode_id").is_in([1000 + k for k in LACKING])
    assert first.filter(having)["probability"].equals(second.filter(having)["probability"])
    changed[24:32] = 1 - changed[24:32]  # fusion
    _, third = stage.embed(folder, heads="third", label=changed)
    assert heads(tmp_path / "first")[0] != heads(tmp_path / "third")[0]
    assert not first["probability"].equals(third["probability"])


def test_the_published_head_is_the_one_that_was_trained_with_the_encoder(stage):
    folder = stage.pretrain()
    embeddings, predictions = stage.embed(folder, head_on="train")
    model = Unimodal(Feature(ToyNetwork(nn.Linear(3, 512))))
    load_weights(model, folder / "seed1.safetensors")
    feature = torch.tensor(embeddings.filter(seed=1)["embedding"].to_numpy())
    expected = model.head(feature).softmax(dim=1)[:, 1].detach().numpy()
    lacking = pl.col("episode_id").is_in([1000 + k for k in LACKING])
    said = predictions.filter(~lacking, seed=1)["probability"]
    np.testing.assert_allclose(said, expected, atol=1e-6)


def test_a_modality_that_no_training_episode_has_is_a_clear_error(stage, tmp_path):
    data = {"toy": DATA["toy"] | {"lacking": list(range(48))}}
    with pytest.raises(InputError, match=r"^toy: no data in any of the \d+ training episodes: "):
        stage.pretrain(data=data)
    assert not (tmp_path / "models").exists()
    folder = stage.pretrain()
    lacking = [*DATA["toy"]["lacking"], *range(24, 32)]  # the fusion share
    with pytest.raises(InputError, match=r"^toy: none of the episodes of the fusion share has"):
        stage.embed(folder, data={"toy": DATA["toy"] | {"lacking": lacking}})


@pytest.mark.parametrize(("data", "item"), [(Films, "film"), (Reports, "report")])
def test_the_error_names_films_and_reports(data, item):
    empty = data.__new__(data)
    empty.start = np.zeros(31, int)
    with pytest.raises(InputError, match=f"^x: no {item} in any of the 30 training stays"):
        check_present("x", empty, np.arange(30), "training stays")


def test_a_fusion_share_of_one_class_is_a_clear_error(stage, tmp_path):
    label = np.arange(1000, 1048) % 2
    folder = stage.pretrain()
    label[24:32] = 0
    label[30] = 1  # lacks the modality
    with pytest.raises(
        InputError, match=r"^task \w+: the episodes of fusion that have toy are all of one class"
    ) as error:
        stage.embed(folder, label=label)
    text = str(error.value)
    assert "hospital.patients" in text and re.search(r"\nfusion +(<10|hidden) +0\n", text)
    with pytest.raises(InputError, match=r"the episodes of fusion that have toy"):
        stage.pretrain(label=label)  # as soon as it is known
    assert not (tmp_path / "predictions.parquet").exists()
    stage.embed(folder, head_on="train", label=label)  # nothing is fitted there


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"toy": {"encoder": "toy", "before": None}}, "toy lacks 'lacking'"),
        ({"toy": {}}, "toy lacks 'encoder'"),
        ({"tou": {"encoder": "toy"}}, "no encoder toy of the modality tou: pipeline/tou/encoder_"),
    ],
    ids=["setting", "encoder", "modality"],
)
def test_data_that_no_modality_can_read_is_a_clear_error(stage, data, said):
    with pytest.raises(InputError, match=said):
        stage.pretrain(data=data)


def test_weights_of_another_architecture_are_refused_by_name(stage, tmp_path):
    folder = stage.pretrain()
    save_weights(nn.Linear(3, 2), folder / "seed1.safetensors")
    with pytest.raises(InputError, match=r"seed1\.safetensors: weights do not fit"):
        stage.embed(folder)
    assert not (tmp_path / "embeddings.parquet").exists()


@pytest.mark.parametrize("content", [b"", b"no safetensors", None])
def test_weights_that_are_no_weights_are_refused_by_name(tmp_path, content):
    path = tmp_path / "broken.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.safetensors"):
        load_weights(nn.Linear(3, 2), path)


def test_pretrained_weights_start_all_but_the_last_layer(tmp_path):
    path = tmp_path / "start.safetensors"

    def net():
        return nn.ModuleDict({"body": nn.Linear(3, 4), "fc": nn.Linear(4, 2)})

    given, started = net(), net()
    kept = started["fc"].weight.clone()
    save_weights(given, path)
    load_pretrained(started, path, but="fc.")
    assert torch.equal(started["body"].weight, given["body"].weight)
    assert torch.equal(started["fc"].weight, kept)


@pytest.mark.parametrize(
    "content",
    [{"body.weight": (3, 3)}, {"body.weight": (4, 3)}, {"other": (1,), "body.weight": (4, 3)}],
    ids=["shape", "missing", "unknown"],
)
def test_pretrained_weights_of_another_network_are_refused_by_name(tmp_path, content):
    path = tmp_path / "wrong.safetensors"
    save_file({name: torch.zeros(shape) for name, shape in content.items()}, path)
    net = nn.ModuleDict({"body": nn.Linear(3, 4), "fc": nn.Linear(4, 2)})
    with pytest.raises(InputError, match=r"wrong\.safetensors"):
        load_pretrained(net, path, but="fc.")
