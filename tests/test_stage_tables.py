"""Tables and files: contracts that hold, the same bytes for the same rows, whole or absent."""

import json

import numpy as np
import polars as pl
import pytest

from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json, whole, write_json
from pipeline.stage.tables import ROW_GROUP, Contract, check, read_table, write_table
from pipeline.training.items import take

VISITS = Contract(
    {"visit": pl.Int64, "minute": pl.Int32, "value": pl.Float64},
    key=("visit", "minute"),
    nullable=("value",),
)


def visits(**change):
    columns = {"visit": [2, 1, 1], "minute": [5, 9, 3], "value": [0.5, None, 1.5]} | change
    return pl.DataFrame(columns, schema_overrides=VISITS.columns)


def test_rows_are_ordered_by_the_key_and_columns_as_promised():
    kept = check(
        visits(extra=["a", "b", "c"]).select("extra", "value", "minute", "visit"), VISITS, ""
    )
    assert kept.columns == ["visit", "minute", "value"]
    assert kept.rows() == [(1, 3, 1.5), (1, 9, None), (2, 5, 0.5)]


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (visits().drop("minute"), r"column\(s\) minute missing"),
        (visits().cast({"minute": pl.Int64}), "minute is Int64, expected Int32"),
        (visits(minute=[5, None, 3]), r"minute is null in <10 row\(s\)"),
        (visits(minute=[5, 3, 3]), r"key \(visit, minute\) repeats in <10 row\(s\)"),
    ],
    ids=["missing", "type", "null", "key"],
)
def test_a_broken_contract_is_said_by_table_and_column_and_nothing_is_written(
    tmp_path, frame, said
):
    path = tmp_path / "visits.parquet"
    with pytest.raises(InputError, match=rf"visits\.parquet: {said}"):
        write_table(frame, path, VISITS)
    assert not list(tmp_path.iterdir())


def test_without_a_key_all_columns_order_the_rows_and_duplicates_stay():
    contract = Contract({"a": pl.Int64, "b": pl.Int64})
    frame = pl.DataFrame({"b": [1, 0, 0, 0], "a": [1, 2, 1, 1]})
    assert check(frame, contract, "t").rows() == [(1, 0), (1, 0), (1, 1), (2, 0)]


def test_the_same_rows_in_any_order_and_chunking_are_the_same_bytes(tmp_path):
    rows = pl.DataFrame({"visit": range(ROW_GROUP + 9), "minute": 0, "value": 0.25})
    rows = rows.cast(VISITS.columns)
    shuffled = pl.concat([rows[70_000:], rows[:70_000]], rechunk=False).reverse()
    write_table(rows, tmp_path / "a.parquet", VISITS)
    write_table(shuffled, tmp_path / "b.parquet", VISITS)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_an_empty_table_is_a_table(tmp_path):
    write_table(visits()[:0], tmp_path / "none.parquet", VISITS)
    assert read_table(tmp_path / "none.parquet").schema == VISITS.columns


def test_a_table_that_cannot_be_read_is_named(tmp_path):
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 and no more")
    for path in (broken, tmp_path / "absent.parquet"):
        with pytest.raises(InputError, match=rf"{path.name}: not a readable parquet table"):
            read_table(path)


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_file_is_whole_or_what_it_was(tmp_path, failure):
    path = tmp_path / "deep" / "numbers.txt"
    with pytest.raises(failure), whole(path) as part:
        part.write_text("half")
        raise failure
    assert not list(path.parent.iterdir())
    with whole(path) as part:
        part.write_text("whole")
    with pytest.raises(failure), whole(path) as part:
        part.write_text("half")
        raise failure
    assert [file.name for file in path.parent.iterdir()] == ["numbers.txt"]
    assert path.read_text() == "whole"


def test_json_keeps_the_order_of_keys_and_refuses_what_json_has_not(tmp_path):
    path = tmp_path / "result.json"
    write_json(path, {"b": 1, "a": [0.5, None, "é"]})
    assert (
        path.read_text()
        == json.dumps({"b": 1, "a": [0.5, None, "é"]}, indent=2)[:-2].replace("\\u00e9", "é")
        + "\n}\n"
    )
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"auroc": float("nan")})
    assert path.read_bytes() == before
    assert read_json(path) == {"b": 1, "a": [0.5, None, "é"]}


def test_json_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "broken.json").write_text('{"a": ')
    for name in ("broken.json", "absent.json"):
        with pytest.raises(InputError, match=f"{name}: not a readable JSON file"):
            read_json(tmp_path / name)


def test_rows_of_unequal_length_are_taken_as_by_a_loop():
    random = np.random.default_rng(0)
    start = np.concatenate([[0], np.cumsum(random.integers(0, 4, 30))])
    for rows in (random.permutation(30), random.integers(0, 30, 50), np.array([7]), np.arange(0)):
        places, count = take(start, rows)
        slow = [place for row in rows for place in range(start[row], start[row + 1])]
        assert places.tolist() == slow
        assert count.tolist() == [start[row + 1] - start[row] for row in rows]
