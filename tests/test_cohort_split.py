"""The split: one definition in SQL and in Python, shares as asked, bad settings refused."""

import json

import duckdb
import polars as pl
import pytest

from pipeline.cohort.split import Split, create_macro, parse, split_of
from pipeline.stage.errors import InputError

SHARES = {"train": 0.35, "fusion": 0.25, "val": 0.10, "test": 0.30}


def in_sql(subjects, split):
    with duckdb.connect() as database:
        create_macro(database, split)
        database.register("subjects", pl.DataFrame({"subject_id": subjects}))
        query = "SELECT subject_id, split_of(subject_id) FROM subjects ORDER BY subject_id"
        return database.sql(query).fetchall()


@pytest.mark.parametrize("salt", ["a", "it's; DROP", "größe:1"])
def test_sql_and_python_agree_for_every_patient(salt):
    split = Split(salt, SHARES)
    subjects = list(range(10_000_000, 10_002_000))
    assert in_sql(subjects, split) == [(s, split_of(s, split)) for s in subjects]


def test_hash_is_the_documented_one():
    # md5sum of "a:10000032" ends in fedee627c86ab1ec; read little-endian that is 0xecb1… = 0.92 of
    # 2^64; the others begin 0xc6 = 0.78, 0x54 = 0.33, 0xaa = 0.67. All results depend on this.
    found = [split_of(s, Split("a", SHARES)) for s in range(10000032, 10000036)]
    assert found == ["test", "test", "train", "val"]


def test_shares_are_met():
    found = pl.Series([name for _, name in in_sql(list(range(20_000)), Split("a", SHARES))])
    for name, share in SHARES.items():
        assert (found == name).mean() == pytest.approx(share, abs=0.015)


def test_another_salt_is_another_split():
    subjects = list(range(1000))
    one, other = in_sql(subjects, Split("a", SHARES)), in_sql(subjects, Split("b", SHARES))
    assert 500 < sum(x != y for x, y in zip(one, other, strict=True)) < 900


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test": 0.31}, "sum to 1.01, expected 1"),
        ({"val": 0.0, "test": 0.40}, "share of val must be a number above 0"),
        ({"val": -0.1, "test": 0.50}, "share of val must be a number above 0"),
        ({"val": "10 %"}, "share of val must be a number above 0"),
        ({"val": None}, "share of val must be a number above 0"),
        ({"salt": ""}, "salt must be a text"),
        ({"salt": 7}, "salt must be a text"),
        ({"validation": 0.1}, "validation unknown"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(InputError, match=message):
        parse(json.dumps({"salt": "a", **SHARES, **change}))


def test_missing_split_is_named():
    with pytest.raises(InputError, match="fusion missing"):
        parse(json.dumps({"salt": "a", "train": 0.6, "val": 0.1, "test": 0.3}))


def test_shares_that_sum_to_one_but_for_rounding_are_taken():
    thirds = {"train": 0.1, "fusion": 0.2, "val": 0.3, "test": 0.4}
    assert parse(json.dumps({"salt": "a", **thirds})).upper_ends[-1][1] == pytest.approx(1)
    with pytest.raises(InputError, match="sum to"):
        Split("a", {**thirds, "test": 0.4 + 2e-9})


def test_folds_are_turned_round_and_test_nobody_twice():
    shares = {"train": 0.45, "fusion": 0.22, "val": 0.08, "test": 0.25}
    subjects = list(range(10_000_000, 10_004_000))
    folds = [Split("a", shares, fold, 4) for fold in range(4)]
    assert in_sql(subjects, folds[0]) == in_sql(subjects, Split("a", shares))  # fold 0 is as ever
    tested = []
    for fold in folds:
        found = in_sql(subjects, fold)
        assert found == [(s, split_of(s, fold)) for s in subjects]
        names = pl.Series([name for _, name in found])
        assert names.value_counts(normalize=True).height == 4
        assert (names == "test").mean() == pytest.approx(0.25, abs=0.03)
        tested += [subject for subject, name in found if name == "test"]
    assert sorted(tested) == subjects  # with a quarter for each of four, everybody once


@pytest.mark.parametrize("fold", [1, 2])
def test_thirds_of_the_circle_are_the_same_in_sql_and_in_python(fold):
    split = Split("a", SHARES, fold, 3)
    subjects = list(range(10_000_000, 10_002_000))
    assert in_sql(subjects, split) == [(s, split_of(s, split)) for s in subjects]


def test_folds_are_given_as_json():
    given = {"salt": "a", **SHARES, "fold": 2, "folds": 3}
    assert parse(json.dumps(given)) == Split("a", SHARES, 2, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fold": 0, "folds": 4}, "test share 0.3 is more than 1/4"),
        ({"fold": 3, "folds": 3}, "fold must be a whole number from 0 to folds - 1"),
        ({"fold": -1, "folds": 3}, "fold must be a whole number"),
        ({"fold": 0.5, "folds": 3}, "fold must be a whole number"),
        ({"fold": True, "folds": 3}, "fold must be a whole number"),
        ({"folds": 3}, "go together"),
    ],
)
def test_impossible_folds_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        parse(json.dumps({"salt": "a", **SHARES, **change}))
