"""Films that cannot be read, of all that are needed: few are counted, many stop the run."""

import json
import sys

import polars as pl
import pytest

from pipeline.cxr import readable
from pipeline.cxr.decode import DECODED
from pipeline.cxr.films import FILMS
from pipeline.stage.errors import InputError

SHARDS = [f"p{k}" for k in range(10, 20)]


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """Runs the stage on 1,000 films, 100 a shard; `faults`: shard → fault → how many have it."""

    def run(faults, limit=0.01, beyond=0):
        rows = []
        for shard in SHARDS:
            ids = [f"{shard}-{k}" for k in range(100)]
            wrong = [name for name, count in faults.get(shard, {}).items() for _ in range(count)]
            fault = wrong + [None] * (100 - len(wrong))
            chunk = [None if name else "x" for name in fault]
            row = [None if name else 0 for name in fault]
            table = pl.DataFrame([ids, chunk, row, fault], schema=DECODED.columns)
            table.write_parquet(tmp_path / f"{shard}.parquet")
            rows += [(1, name, 1, 1, 0) for name in ids]
        rows += [(2, name, 1, 1, 0) for _, name, *_ in rows]  # every film of two episodes
        rows += [(3, f"p20-{k}", 2, 1, 0) for k in range(beyond)]
        films = pl.DataFrame(rows, schema=FILMS.columns, orient="row")
        films.write_parquet(tmp_path / "films.parquet")
        given = ["--films", tmp_path / "films.parquet", "--root", "/data/jpg", "--limit", limit]
        given += ["--decoded", *(tmp_path / f"{shard}.parquet" for shard in SHARDS)]
        given += ["--output", tmp_path / "readable.json"]
        (tmp_path / "readable.json").unlink(missing_ok=True)
        monkeypatch.setattr(sys, "argv", ["readable", *map(str, given)])
        readable.main()
        return json.loads((tmp_path / "readable.json").read_text())

    return run


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_a_share_up_to_the_limit_warns_and_is_counted(judge, caplog):
    assert judge({}) == {"needed": 1000, "unreadable": 0}
    assert not warnings(caplog)
    # a tenth of the films of one shard, a hundredth of all: shards are not judged one by one
    assert judge({"p12": {"absent": 10}}) == {"needed": 1000, "unreadable": 10}
    (line,) = warnings(caplog)
    assert line.startswith("/data/jpg/files: of 1,000 films that the cohort needs 10 cannot be")


def test_more_than_the_limit_stops_with_counts_and_folder(judge, tmp_path):
    spread = {shard: {"absent": 1} for shard in SHARDS} | {"p19": {"empty": 70, "no JPEG": 3}}
    with pytest.raises(InputError) as caught:
        judge(spread)
    text = str(caught.value)
    assert text.startswith(
        "/data/jpg/files: of 1,000 films that the cohort needs 82 cannot be read: 70 empty, <10 "
        "absent, <10 no JPEG; at most 1.0% may be unreadable (config: cxr.unreadable)"
    )
    assert "p19-" not in text and not (tmp_path / "readable.json").exists()
    assert "--forcerun decode_films --" in text
    lines = (tmp_path / "unreadable.txt").read_text().splitlines()
    assert len(lines) == 82
    assert lines[0] == "absent\t/data/jpg/files/p1/p1/s1/p10-0.jpg"
    assert judge(spread, limit=0.082)["unreadable"] == 82


def test_no_film_may_be_unreadable_where_the_limit_is_0_and_all_where_it_is_1(judge):
    with pytest.raises(InputError, match="needs <10 cannot be read"):
        judge({"p10": {"absent": 1}}, limit=0)
    everything = {shard: {"a damaged JPEG": 100} for shard in SHARDS}
    assert judge(everything, limit=1)["unreadable"] == 1000


def test_a_film_that_no_shard_holds_cannot_be_read(judge):
    with pytest.raises(InputError, match="50 of patients in none of the folders p10 … p19"):
        judge({}, beyond=50)
