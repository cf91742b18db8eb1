"""Two CPU processes (gloo), started by torchrun, train as one does; only the first one writes.

Notes and EHR hold no BatchNorm: gradients of the parts of a batch add up to those of the whole, so
that curves and weights differ by rounding alone. Films would differ by more: ResNet-18's BatchNorm
normalises by its own process's part of a batch (on GPUs over all parts, gloo has no such
operation), so a film's feature depends on how the batch is shared out.
"""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from checkout import REPOSITORY
from safetensors.torch import load_file
from torch import nn

from pipeline.ehr.signals import classes, vocabulary
from pipeline.plan import launch
from pipeline.training.examples import batch_loss
from pipeline.training.processes import Processes

TOLERANCE = 1e-4  # of losses, AUROCs and weights; float32 sums in another order
SPLITS = ["train"] * 33 + ["fusion"] * 8 + ["val"] * 15 + ["test"] * 4
IDS = np.arange(700, 760)
SCHEDULE = {"steps": 15, "check": 5, "patience": 3, "batch_size": 8, "learning_rate": 0.003}
SCHEDULE |= {"weight_decay": 0.01}
DOC2VEC = {"encoder": "doc2vec", "before": None, "standardise": True}
SPY = '''"""Notes which process renames a file to its final name."""
import os, sys

def hook(event, arguments):
    if event == "os.rename":
        with open(os.environ["SPY"], "a") as log:
            log.write(os.environ.get("RANK", "-") + " " + str(arguments[1]) + "\\n")

sys.addaudithook(hook)
'''
# as Slurm's: starts the command once per task, fails where one failed
SRUN = """#!/bin/bash
while [ "$1" != python ]; do [ "$1" = --ntasks ] && count=$2; shift; done
for ((node = 0; node < count; node++)); do "$@" & started+=($!); done
for task in "${started[@]}"; do wait "$task" || failed=1; done
exit "${failed:-0}"
"""


def lists(values, width):
    return pl.Series(values.astype(np.float32), dtype=pl.Array(pl.Float32, width))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """60 episodes whose notes and first token follow the label."""
    folder, random = tmp_path_factory.mktemp("processes"), np.random.default_rng(0)
    label = random.integers(0, 2, len(IDS)).astype(np.int8)
    episodes = pl.DataFrame({"episode_id": IDS, "subject_id": IDS, "split": SPLITS})
    notes = [(int(e), f"{e}-{k}", 60 * k) for e in IDS[IDS % 6 > 0] for k in range(1 + e % 3)]
    follows = np.array([label[e - 700] for e, _, _ in notes])
    vector = random.normal(size=(len(notes), 16)) + 0.7 * follows[:, None]
    of_token = [
        (int(e), 30 * k, int(random.integers(1, 50))) for e in IDS for k in range(1 + e % 4)
    ]
    of_token += [(int(e), 0, 60 + 100 * int(y)) for e, y in zip(IDS, label, strict=True)]
    tables = {
        "episodes": episodes,
        "labels": episodes.select("episode_id", eligible=True).with_columns(label=label),
        "notes": pl.DataFrame(notes, orient="row", schema=["episode_id", "note_id", "minute"]),
        "vectors": pl.DataFrame({"note_id": [n for _, n, _ in notes], "vector": lists(vector, 16)}),
        "tokens": pl.DataFrame(of_token, orient="row", schema=["episode_id", "minute", "token"])
        .with_columns(pl.col("minute").alias("known"), until=pl.lit(None, pl.Int32)),
        "demographics": pl.DataFrame({"episode_id": IDS} | dict.fromkeys(classes("published"), 1)),
    }  # fmt: skip
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")
    (folder / "sitecustomize.py").write_text(SPY)
    return folder


def stage(files, name, processes, module, *flags, nodes=1):
    """Runs a stage as a rule does, in one process or several; the folder of its weights."""
    output = files / name
    output.mkdir()
    (output / "srun").write_text(SRUN)
    (output / "srun").chmod(0o755)
    given = ["--episodes", files / "episodes.parquet", "--labels", files / "labels.parquet"]
    given += ["--task", "mortality"]
    given += ["--schedule", json.dumps(SCHEDULE), "--torch-threads", 1, "--device", "cpu"]
    words = shlex.join(map(str, [module, *given, "--seeds", 0, *flags]))
    path = os.pathsep.join([str(files), str(REPOSITORY)])
    spied = {"PYTHONPATH": path, "SPY": str(output / "spy.log"), "OMP_NUM_THREADS": "1"}
    spied["PIPELINE_USAGE"] = str(output / "usage")
    spied["SLURM_JOB_ID"] = str(os.getpid())
    spied["PATH"] = f"{output}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    found = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{launch.command(nodes, processes)} {words}"],
        cwd=files, env=os.environ | spied, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return output


def paths(files, *names):
    return {name: str(files / f"{name}.parquet") for name in names}


def pretrained(files, name, processes, nodes=1):
    data = {"note": paths(files, "notes", "vectors") | DOC2VEC}
    flags = ["--data", json.dumps(data), "--output", files / name]
    return stage(files, name, processes, "pipeline.training.pretrain", *flags, nodes=nodes)


def fused(files, name, processes):
    ehr = {"encoder": "tokens", "before": None, "window_hours": 48}
    ehr |= {"signals": "published", "start_by_value": False}
    data = {
        "ehr": paths(files, "tokens", "demographics") | ehr,
        "note": paths(files, "notes", "vectors") | DOC2VEC,
    }
    flags = ["--data", json.dumps(data), "--head", "joint", "--letters", "en"]
    flags += ["--head-on", "fusion"]
    flags += ["--weights", files / name, "--absent", files / name / "absent.parquet"]
    flags += ["--output", files / name / "predictions.parquet"]
    return stage(files, name, processes, "pipeline.fusion.joint", *flags)


def checked(folder):
    """Loss and validation AUROC (checks, 2)."""
    history = json.loads((folder / "history.json").read_text())["seeds"]["0"]["checks"]
    return np.array([[check["loss"], check["val_auroc"]] for check in history])


def assert_equal_trainings(one, two):
    first, second = checked(one), checked(two)
    np.testing.assert_allclose(first, second, atol=TOLERANCE, rtol=0)
    assert first[-1, 0] < first[0, 0] - 0.01  # something was learnt
    weights = [load_file(folder / "seed0.safetensors") for folder in (one, two)]
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], atol=TOLERANCE, rtol=0)


def assert_only_the_first_wrote(folder):
    written = [line.split(maxsplit=1) for line in (folder / "spy.log").read_text().splitlines()]
    assert {rank for rank, path in written if str(folder) in path} == {"0"}
    assert any(path.endswith("seed0.safetensors") for _, path in written)


@pytest.fixture(scope="module")
def two(files):
    """A training by two processes of one node."""
    return pretrained(files, "two", 2)


def test_two_processes_pretrain_as_one_does(files, two):
    one = pretrained(files, "one", 1)
    assert_equal_trainings(one, two)
    assert_only_the_first_wrote(two)
    names = {path.name for path in one.iterdir()}
    assert {path.name for path in two.iterdir()} == names


def test_two_nodes_of_one_process_train_as_two_processes_of_one_node(files, two):
    """Two torchruns that find each other, as on two nodes; here on one."""
    apart = pretrained(files, "apart", 1, nodes=2)
    weights = [folder / "seed0.safetensors" for folder in (two, apart)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert_only_the_first_wrote(apart)


def test_several_nodes_are_refused_where_there_is_no_slurm(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert launch.refusal(1) == []
    (line,) = launch.refusal(2)
    assert line == "config.torch.nodes: 2 nodes need Slurm's srun, which is not here; set 1"


@pytest.mark.slow
def test_two_processes_fuse_jointly_as_one_does(files):
    one, two = fused(files, "one-joint", 1), fused(files, "two-joint", 2)
    assert_equal_trainings(one, two)
    assert_only_the_first_wrote(two)
    for name in ("predictions", "absent"):
        first, second = (pl.read_parquet(folder / f"{name}.parquet") for folder in (one, two))
        others = pl.all().exclude("probability")
        assert first.select(others).equals(second.select(others))
        difference = (first["probability"] - second["probability"]).abs().max()
        assert difference <= TOLERANCE


@pytest.mark.parametrize("size", [2, 5, 8])
@pytest.mark.parametrize("count", [2, 3])
def test_every_row_of_a_batch_is_in_one_share_and_none_is_empty(size, count):
    if size < count:
        pytest.skip("a batch of fewer rows than processes repeats them")
    shares = [Processes(count, rank).share(np.arange(size)) for rank in range(count)]
    assert sorted(np.concatenate(shares)) == list(range(size))
    assert min(map(len, shares)) > 0


def test_the_mean_over_shares_of_unequal_weight_is_the_loss_of_the_batch():
    """Five rows in two processes: three rows, two rows; the classes weigh 1 and 10."""
    torch.manual_seed(0)
    logits, target = torch.randn(5, 2), torch.tensor([0, 1, 0, 0, 1])
    weights = torch.tensor([1.0, 10.0])
    whole = nn.functional.cross_entropy(logits, target, weight=weights)
    shares = [Processes(2, rank).share(np.arange(5)) for rank in range(2)]
    mass = (3 * 1 + 2 * 10) / 2
    parts = [batch_loss(logits[own], target[own], weights, mass) for own in shares]
    torch.testing.assert_close(sum(parts) / 2, whole)


def test_one_process_needs_no_group_and_keeps_its_model():
    model = nn.Linear(2, 2)
    with Processes() as processes:
        assert processes.first
        assert processes.parallel(model, torch.device("cpu")) is model
        assert processes.mean(0.5) == 0.5
        processes.wait()


def test_the_data_set_fits_the_vocabulary(files):
    tokens = pl.read_parquet(files / "tokens.parquet")["token"]
    assert tokens.max() < vocabulary("published").size
