"""A source file read through a pipe: whole, checked, and never a hang whatever its reader does."""

import gzip
import random
import time
from pathlib import Path

import pytest

from pipeline.common.errors import InputError
from pipeline.extract import csvfile
from pipeline.extract.csvfile import CHUNK, feed

LONG = random.Random(0).randbytes(3 * CHUNK).hex().encode() + b"\n"  # more than a pipe holds


@pytest.fixture
def zipped(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(LONG, 1))
    return path


def read(path):
    return Path(path).read_bytes()


def test_the_reader_gets_every_byte(zipped):
    with feed(zipped) as path:
        assert read(path) == LONG


def test_a_reader_that_stops_early_still_hears_of_damage(zipped):
    zipped.write_bytes(zipped.read_bytes()[:-1])
    with (
        pytest.raises(InputError, match="truncated"),
        feed(zipped) as fed,
        Path(fed).open("rb") as s,
    ):
        s.read(10)


def test_damage_is_named_before_the_reader_s_own_error(zipped):
    zipped.write_bytes(zipped.read_bytes()[:-1])
    with pytest.raises(InputError, match="truncated"), feed(zipped):
        raise ValueError("a row that cannot be read")
    with pytest.raises(ValueError), feed(whole_file(zipped)):
        raise ValueError("a row that cannot be read")


def whole_file(path):
    path.write_bytes(gzip.compress(LONG, 1))
    return path


def test_a_cancelled_reader_ends_at_once(zipped, monkeypatch):
    read = []
    monkeypatch.setattr(csvfile, "_write", lambda *_: read.append(1) or time.sleep(0.5))
    with pytest.raises(KeyboardInterrupt), feed(zipped):
        raise KeyboardInterrupt
    assert len(read) <= 2  # of six chunks


def test_a_file_that_is_gone_is_an_error_not_a_wait(zipped):
    zipped.unlink()
    with pytest.raises(InputError, match="No such file"), feed(zipped) as path:
        assert read(path) == b""


def test_quotations_are_counted_where_asked(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'1,"a\n')
    with feed(path) as fed:
        assert read(fed) == b'1,"a\n'
    with pytest.raises(InputError, match="cut off"), feed(path, count_quotes=True) as fed:
        read(fed)
