"""Damage to what a job wrote is seen by whoever reads it, and the file is set aside."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from pipeline.stage import digests, owner, store
from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json, whole, write_json
from pipeline.stage.tables import Contract, read_table, write_table
from pipeline.training.checkpoint import Progress, load_weights, save_weights

ITEMS = Contract({"item": pl.Int64}, key=("item",))


@pytest.fixture
def job(monkeypatch, tmp_path):
    """This process holds the token of its outputs, as a job of the workflow does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(owner.RUN, "1")
    monkeypatch.setattr(owner, "_held", None)
    owner.take("x")


def flip(path):
    """Flips one bit in the middle of a file; its size stays."""
    content, status = bytearray(path.read_bytes()), path.stat()
    content[len(content) // 2] ^= 1
    path.unlink()  # weights of checkouts are links
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def cut(path):
    """Cuts the last bytes off."""
    path.write_bytes(path.read_bytes()[:-9])


def refused(path, read):
    """Reading must fail with one line that names the file, which is set aside."""
    with pytest.raises(InputError, match=r"damaged") as told:
        read()
    assert str(path) in str(told.value) and "\n" not in str(told.value)
    assert not path.exists()
    assert path.with_name(f"{path.name}.damaged").exists()


@pytest.mark.parametrize("damage", [flip, cut])
def test_damaged_json_is_named_and_set_aside(job, tmp_path, damage):
    path = tmp_path / "result.json"
    write_json(path, {"auroc": 0.8125, "more": [1, 2, 3]})
    assert read_json(path)["auroc"] == 0.8125
    path.write_text(path.read_text().replace("8", "9")) if damage is flip else damage(path)
    refused(path, lambda: read_json(path))


@pytest.mark.parametrize("damage", [flip, cut])
def test_damaged_weights_are_named_and_set_aside(job, tmp_path, damage):
    path, model = tmp_path / "seed0.safetensors", torch.nn.Linear(20, 20)
    save_weights(model, path)
    load_weights(model, path)
    damage(path)
    refused(path, lambda: load_weights(model, path))


def test_a_damaged_table_is_named_and_set_aside(job, tmp_path):
    path = tmp_path / "items.parquet"
    write_table(pl.DataFrame({"item": range(1000)}), path, ITEMS)
    assert read_table(path).height == 1000
    flip(path)
    refused(path, lambda: read_table(path))


def test_a_training_does_not_resume_from_damage(job, tmp_path, caplog):
    model = torch.nn.Linear(4, 4)
    optimiser = torch.optim.Adam(model.parameters())
    progress = Progress(tmp_path / ".seed0.progress", {"seed": 0})
    best = {name: value.clone() for name, value in model.state_dict().items()}
    progress.save(model, None, best, optimiser, [], last=False)
    assert progress.load(model, None, optimiser)[0].keys() == best.keys()
    flip(progress.path)
    assert progress.load(model, None, optimiser) == ({}, [])
    assert "starts anew" in caplog.text


FILMS = pl.DataFrame({"dicom_id": ["a", "b"], "stamp": ["1", "2"]})


def test_damaged_films_count_as_new_and_the_table_that_names_them_is_set_aside(
    job, tmp_path, monkeypatch
):
    store.append(tmp_path, FILMS, np.zeros((2, 9, 9), np.uint8), "dicom_id")
    placed = store.find(FILMS, tmp_path, "dicom_id")
    (chunk,) = set(placed["chunk"])
    table = tmp_path / "decoded.parquet"
    placed.write_parquet(table)
    monkeypatch.setattr("sys.argv", ["stage", "--data", json.dumps({"cxr": {"a": [str(table)]}})])
    assert store.open_chunk(tmp_path, chunk).shape == (2, 9, 9)
    flip(tmp_path / f"{chunk}.npy")
    assert store.find(FILMS, tmp_path, "dicom_id")["chunk"].null_count() == 2
    with pytest.raises(InputError, match=r"damaged.*the same command makes it again"):
        store.open_chunk(tmp_path, chunk)
    assert not table.exists()
    store.append(tmp_path, FILMS, np.zeros((2, 9, 9), np.uint8), "dicom_id")
    assert store.find(FILMS, tmp_path, "dicom_id").equals(placed)
    assert store.open_chunk(tmp_path, chunk).shape == (2, 9, 9)


def test_a_damaged_argument_explains_a_failure_of_any_reader(job, tmp_path):
    path = tmp_path / "events.parquet"
    write_table(pl.DataFrame({"item": range(1000)}), path, ITEMS)
    arguments = ["--events", str(path), "--data", json.dumps({"ehr": {"files": [str(path)]}})]
    assert digests.damaged_arguments(arguments) == []
    cut(path)
    (line,) = digests.damaged_arguments(arguments[2:])
    assert str(path) in line and not path.exists()


def test_a_file_that_is_written_again_is_no_damage(job, tmp_path):
    path = tmp_path / "x.json"
    write_json(path, 1)
    write_json(path, 2)
    assert read_json(path) == 2


def test_a_file_of_nobody_s_digest_is_read_as_it_is(job, tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    write_json(path, 1)
    monkeypatch.setattr(owner, "_held", None)  # a stage that is started by hand
    with whole(path) as part:
        part.write_text("3")
    assert not digests.beside(path).exists()
    path.write_text("4")
    assert read_json(path) == 4


def test_a_second_damaged_file_does_not_replace_the_first_and_an_edit_can_be_kept(job, tmp_path):
    path = tmp_path / "x.json"
    for number in (1, 2, 3):
        write_json(path, number)
        path.write_text(f"edit {number}")
        line = digests.set_aside(path)
    there = {one.name: one.read_text() for one in tmp_path.glob("x.json*")}
    assert there == {
        f"x.json.damaged{end}": f"edit {n}" for n, end in enumerate(["", ".2", ".3"], 1)
    }
    assert "set aside as x.json.damaged.3" in line
    assert "to keep an edit instead, rename it back and delete .x.json.sha256" in line
    (tmp_path / "x.json.damaged.3").rename(path)
    digests.beside(path).unlink()
    assert digests.is_intact(path)


def test_a_file_that_cannot_be_set_aside_is_not_called_so(job, tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    write_json(path, 1)
    path.write_text("2")

    def refuse(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "rename", refuse)
    line = digests.set_aside(path)
    assert "damaged" in line and "cannot be set aside (Read-only file system): delete it" in line
    assert "was set aside" not in line


def test_a_file_that_was_made_again_since_the_check_stays(job, tmp_path):
    path = tmp_path / "x.json"
    write_json(path, 1)
    path.write_text("2")
    assert not digests.is_intact(path)
    write_json(path, 3)  # by another process, before this one renames what it found damaged
    line = digests.set_aside(path)
    assert read_json(path) == 3 and not (tmp_path / "x.json.damaged").exists()
    assert "was set aside" not in line and "run the same command" in line
