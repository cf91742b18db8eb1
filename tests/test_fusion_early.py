"""Early fusion: absent modalities, the share that the head is fitted on, modality dropout."""

import json
import sys

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from pipeline.fusion import early
from pipeline.fusion.absent import RATES, lost
from pipeline.fusion.heads import FAMILIES
from pipeline.stage.errors import InputError
from pipeline.training.embeddings import Embeddings, read_embeddings
from pipeline.training.fitted import principal

WIDTH = 4
FROZEN = ("early", "gated")  # the models of this stage
SPLITS = ["train"] * 20 + ["fusion"] * 40 + ["val"] * 20 + ["test"] * 20
IDS = np.arange(500, 600)
KINDS = ("weight", "bias")
SCHEDULE = {"epochs": 3, "batch_size": 8, "learning_rate": 0.01, "weight_decay": 0.0}


def embeddings(here, seed=0):
    """Random embeddings, zero where absent."""
    here = np.asarray(here, bool)
    value = np.random.default_rng(seed).normal(3, 2, (*here.shape, WIDTH)).astype(np.float32)
    return Embeddings(value * here[..., None], here)


HERE = np.ones((100, 2), bool)
HERE[[25, 65, 85], 1] = False  # one without the second modality in fusion, val and test
HERE[[86], 0] = False


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Runs the stage on 100 episodes, two modalities, two seeds; labels follow the embeddings."""
    table = {"episode_id": IDS, "subject_id": IDS, "split": SPLITS}
    pl.DataFrame(table).write_parquet(tmp_path / "episodes.parquet")
    data = [embeddings(HERE, seed) for seed in (0, 1)]
    truth = (data[0].value[:, 0, 0] > 3).astype(np.int8)
    for model, (family, shapes) in FAMILIES.items():  # to be quick: two of the shapes
        monkeypatch.setitem(FAMILIES, model, (family, [shapes[2], shapes[4]]))

    def run(folder, label=truth, head_on="fusion", seeds=(0, 1), value=None, dropout=0.1,
            model="early"):  # fmt: skip
        labels = {"episode_id": IDS, "eligible": [True] * 100, "label": label}
        pl.DataFrame(labels).write_parquet(tmp_path / "labels.parquet")
        paths = [tmp_path / f"modality{k}.parquet" for k in (0, 1)]
        for k, path in enumerate(paths):
            write_embeddings(path, k, value or data)
        output = tmp_path / folder / "predictions.parquet"
        given = ["--episodes", tmp_path / "episodes.parquet", "--torch-threads", 1]
        given += ["--task", "mortality"]
        given += ["--labels", tmp_path / "labels.parquet", "--device", "cpu"]
        given += ["--embeddings", *paths, "--seeds", *seeds, "--letters", "ec"]
        given += ["--schedule", json.dumps(SCHEDULE), "--model", model, "--head-on", head_on]
        given += ["--modality-dropout", dropout, "--weights", tmp_path / folder]
        given += ["--absent", output.with_name("absent.parquet"), "--output", output]
        monkeypatch.setattr(sys, "argv", ["early", *map(str, given)])
        early.main()
        return pl.read_parquet(output)

    run.data, run.truth = data, truth
    return run


def write_embeddings(path, modality, data):
    """The table of one modality, a row per episode that has it and seed."""
    tables = []
    for seed, given in enumerate(data):
        rows = np.flatnonzero(given.here[:, modality])
        shape = pl.Array(pl.Float32, WIDTH)
        columns = {"episode_id": IDS[rows], "seed": np.full(len(rows), seed)}
        columns["embedding"] = pl.Series(given.value[rows, modality], dtype=shape)
        tables.append(pl.DataFrame(columns))
    pl.concat(tables).sample(fraction=1, shuffle=True, seed=1).write_parquet(path)


def test_embeddings_are_read_in_the_order_asked_and_of_one_seed(stage, tmp_path):
    stage("any")
    ids = IDS[[85, 3, 86]]
    paths = [str(tmp_path / f"modality{k}.parquet") for k in (0, 1)]
    read = read_embeddings(paths, 1, ids)
    assert read.here.tolist() == [[True, False], [True, True], [False, True]]
    np.testing.assert_array_equal(read.value, stage.data[1].value[[85, 3, 86]])


def test_a_seed_without_embeddings_is_a_clear_error(stage, tmp_path):
    with pytest.raises(InputError, match=r"modality0\.parquet: .* seed 2"):
        stage("any", seeds=(0, 1, 2))
    assert not (tmp_path / "any" / "predictions.parquet").exists()


def test_every_episode_is_predicted_whatever_it_lacks(stage, tmp_path):
    said = stage("any")
    assert said.select("episode_id", "seed").rows() == [(e, s) for e in IDS for s in (0, 1)]
    assert said["probability"].is_between(0, 1).all()
    names = {path.name for path in (tmp_path / "any").glob("[!.]*")}
    assert names == {
        "absent.parquet",
        "history.json",
        "predictions.parquet",
        "seed0.safetensors",
        "seed1.safetensors",
    }


def weights(folder):
    return [(folder / f"seed{seed}.safetensors").read_bytes() for seed in (0, 1)]


def test_the_head_is_fitted_on_the_fusion_share_alone(stage, tmp_path):
    stage("first")
    changed = stage.truth.copy()
    changed[:20], changed[80:] = 1 - changed[:20], 1 - changed[80:]  # train and test
    stage("second", label=changed)
    assert weights(tmp_path / "first") == weights(tmp_path / "second")
    others = [Embeddings(d.value.copy(), d.here) for d in stage.data]
    for data in others:
        data.value[:20] += 5 * data.here[:20, :, None]
        data.value[80:] += 5 * data.here[80:, :, None]
    stage("third", value=others)
    assert weights(tmp_path / "first") == weights(tmp_path / "third")
    changed[20:60] = 1 - changed[20:60]  # fusion
    stage("fourth", label=changed)
    assert weights(tmp_path / "first") != weights(tmp_path / "fourth")


def test_two_runs_are_equal_to_the_byte(stage, tmp_path):
    stage("first")
    stage("second")
    for path in (tmp_path / "first").glob("[!.]*"):
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


def test_the_published_head_is_fitted_on_the_rows_of_the_encoders_unscaled(stage, tmp_path):
    stage("first", head_on="train")
    changed = stage.truth.copy()
    changed[20:60], changed[80:] = 1 - changed[20:60], 1 - changed[80:]  # fusion and test
    stage("second", head_on="train", label=changed)
    assert weights(tmp_path / "first") == weights(tmp_path / "second")
    changed[:20] = 1 - changed[:20]
    stage("third", head_on="train", label=changed)
    assert weights(tmp_path / "first") != weights(tmp_path / "third")
    kept = load_file(tmp_path / "first" / "seed0.safetensors")
    assert set(kept) == {f"head.{layer}.{of}" for layer in ("hidden", "out") for of in KINDS}
    history = json.loads((tmp_path / "first" / "history.json").read_text())
    assert history["seeds"]["0"]["trained_on"] == 20


def test_modality_dropout_changes_the_training(stage, tmp_path):
    stage("never", dropout=0)
    stage("often", dropout=0.5)
    assert weights(tmp_path / "never") != weights(tmp_path / "often")


def test_a_test_episode_that_loses_a_modality_is_predicted_as_one_that_lacks_it(stage, tmp_path):
    said = stage("any").filter(split="test")
    absent = pl.read_parquet(tmp_path / "any" / "absent.parquet")
    cases = absent.group_by("seed", "modality", "rate").len()
    assert {(m, r) for _, m, r, _ in cases.rows()} == {(m, r) for m in "ec" for r in RATES}
    assert cases["len"].to_list() == [20] * 2 * 2 * 4
    both = absent.join(said, on=["episode_id", "seed"], suffix="_whole")
    whole = pl.col("probability") == pl.col("probability_whole")
    for rate in RATES:
        gone = IDS[80:][lost(IDS[80:], rate)]
        part = both.filter(pl.col("rate") == rate)
        assert part.filter(~pl.col("episode_id").is_in(gone)).select(whole.all()).item()
    # what was not there cannot be lost
    lacking = both.filter(pl.col("episode_id") == IDS[85], modality="c")
    assert lacking.height == 8 and lacking.select(whole.all()).item()
    present = both.filter(~pl.col("episode_id").is_in(IDS[[85, 86]]), rate=1.0)
    assert not present.select(whole.any()).item()


def test_the_moments_of_the_fusion_share_are_kept_with_the_weights(stage, tmp_path):
    stage("any")
    mean, directions = principal(stage.data[0], np.arange(20, 60))
    kept = load_file(tmp_path / "any" / "seed0.safetensors")
    assert torch.equal(kept["mean"], mean.float())
    assert torch.equal(kept["directions"], directions.float())


@pytest.mark.parametrize("model", FROZEN)
def test_what_is_chosen_stands_in_the_history_of_each_seed(stage, tmp_path, model):
    stage(model, model=model)
    history = json.loads((tmp_path / model / "history.json").read_text())["seeds"]
    for seed in ("0", "1"):
        choice = history[seed]
        best = min(choice["candidates"], key=lambda one: one["log_loss"])
        assert (choice["hidden"], choice["strength"]) == (best["hidden"], best["strength"])
        assert choice["fitted_on"] == 40


def test_a_fusion_share_of_one_class_is_a_clear_error(stage):
    label = stage.truth.copy()
    label[20:60] = 0
    with pytest.raises(InputError, match="the episodes of fusion are all of one class"):
        stage("any", label=label)
    assert stage("published", label=label, head_on="train").height == 200
