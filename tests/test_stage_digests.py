"""Damage to what a job wrote is seen by whoever reads it, and the file is set aside."""

import errno
import json
import os
from pathlib import Path
from threading import Barrier

import numpy as np
import polars as pl
import pytest
import torch

from pipeline.stage import damage, digests, owner, store
from pipeline.stage.damage import damaged
from pipeline.stage.errors import InputError, MemoryShortError
from pipeline.stage.faults import explained
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
    assert store.open_chunks(tmp_path, [chunk])[0].shape == (2, 9, 9)
    flip(tmp_path / f"{chunk}.npy")
    assert store.find(FILMS, tmp_path, "dicom_id")["chunk"].null_count() == 2
    with pytest.raises(InputError, match=r"damaged.*the same command makes it again"):
        store.open_chunks(tmp_path, [chunk])
    assert not table.exists()
    assert (tmp_path / f"{chunk}.npy.damaged").is_file()
    store.append(tmp_path, FILMS, np.zeros((2, 9, 9), np.uint8), "dicom_id")
    assert store.find(FILMS, tmp_path, "dicom_id").equals(placed)
    assert store.open_chunks(tmp_path, [chunk])[0].shape == (2, 9, 9)


def raises(error):
    """A function that raises an error, whatever it is asked."""

    def failing(*_, **__):
        raise error

    return failing


def system_error(number):
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE, errno.EACCES])
def test_a_file_that_cannot_be_read_now_is_not_taken_for_damaged(
    job, tmp_path, monkeypatch, number
):
    path = tmp_path / "result.json"
    write_json(path, 1)
    monkeypatch.setattr("hashlib.file_digest", raises(system_error(number)))
    with pytest.raises(OSError) as caught:
        read_json(path)
    assert caught.value.errno == number
    assert path.exists() and digests.recorded(path)


@pytest.fixture
def chunks(job, tmp_path):
    """The names of two arrays of a store."""
    for name in ("a", "b"):
        films = pl.DataFrame({"dicom_id": [name], "stamp": ["1"]})
        store.append(tmp_path, films, np.zeros((1, 9, 9), np.uint8), "dicom_id")
    return sorted(path.stem for path in tmp_path.glob("*.npy"))


def test_an_array_that_finds_no_room_in_memory_stays_where_it_is(chunks, tmp_path, monkeypatch):
    monkeypatch.setattr("numpy.load", raises(system_error(errno.ENOMEM)))
    with pytest.raises(OSError) as caught:
        store.open_chunks(tmp_path, chunks)
    assert isinstance(explained(caught.value, []), MemoryShortError)
    assert all((tmp_path / f"{chunk}.npy").is_file() for chunk in chunks)


def test_arrays_are_hashed_side_by_side(chunks, tmp_path, monkeypatch):
    together, digest = Barrier(2, timeout=20), digests.digest
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(digests, "digest", lambda path: (together.wait(), digest(path))[1])
    assert len(store.open_chunks(tmp_path, chunks)) == 2


def test_of_the_processes_of_a_training_the_first_alone_hashes(chunks, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with monkeypatch.context() as hashing_refused:
        hashing_refused.setattr(digests, "digest", raises(AssertionError))
        assert len(store.open_chunks(tmp_path, chunks)) == 2
    cut(tmp_path / f"{chunks[0]}.npy")  # no array any more, whoever looks
    with pytest.raises(InputError, match="unreadable"):
        store.open_chunks(tmp_path, chunks)


def test_a_damaged_argument_explains_a_failure_of_any_reader(job, tmp_path):
    path = tmp_path / "events.parquet"
    write_table(pl.DataFrame({"item": range(1000)}), path, ITEMS)
    arguments = ["--events", str(path), "--data", json.dumps({"ehr": {"files": [str(path)]}})]
    assert damaged(ZeroDivisionError(), arguments) == []
    cut(path)
    (line,) = damaged(ZeroDivisionError(), arguments[2:])
    assert str(path) in line and not path.exists()


def test_of_an_error_that_names_its_file_that_one_alone_is_looked_at(job, tmp_path, monkeypatch):
    paths = [tmp_path / name for name in ("a.parquet", "b.parquet")]
    for path in paths:
        write_table(pl.DataFrame({"item": range(1000)}), path, ITEMS)
        cut(path)
    arguments = ["--source", str(tmp_path)]
    assert damaged(InputError("config: no such key"), arguments) == []
    assert damaged(FileNotFoundError(2, "No such file", "c.parquet"), arguments) == []
    (line,) = damaged(InputError(f"{paths[1]}: column age is missing"), arguments)
    assert str(paths[1]) in line and not paths[1].exists() and paths[0].exists()


def test_a_file_whose_digest_holds_is_not_read_a_second_time_and_a_long_search_is_said(
    job, tmp_path, monkeypatch, caplog
):
    caplog.set_level("INFO")
    write_table(pl.DataFrame({"item": range(1000)}), tmp_path / "items.parquet", ITEMS)
    monkeypatch.setitem(damage._CHECKS, ".parquet", raises(ValueError))
    assert damaged(OSError("IO Error"), [str(tmp_path)]) == []
    assert not caplog.text
    monkeypatch.setattr(damage, "LONG", 0)
    assert damaged(OSError("IO Error"), [str(tmp_path)]) == []
    assert "looking for damage among its inputs, < 0.1 MB" in caplog.text


def test_an_input_that_cannot_be_read_is_named_and_not_called_damaged(tmp_path, monkeypatch):
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "x.parquet")
    monkeypatch.setitem(damage._CHECKS, ".parquet", raises(system_error(errno.EIO)))
    (line,) = damaged(OSError("IO Error"), [str(tmp_path / "x.parquet")])
    assert line == f"{tmp_path}/x.parquet: Input/output error"


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
