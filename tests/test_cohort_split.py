"""The split: one definition in SQL and in Python, shares as asked, bad settings refused."""

import json

import duckdb
import polars as pl
import pytest
from episodes_at_hand import split_by

from pipeline.cohort.settings import Fold
from pipeline.cohort.split import create_macro, split_of
from pipeline.stage.errors import InputError
from pipeline.stage.settings import json_argument

SHARES = {"train": 0.35, "fusion": 0.25, "val": 0.10, "test": 0.30}


def in_sql(subjects, split):
    with duckdb.connect() as database:
        create_macro(database, split)
        database.register("subjects", pl.DataFrame({"subject_id": subjects}))
        query = "SELECT subject_id, split_of(subject_id) FROM subjects ORDER BY subject_id"
        return database.sql(query).fetchall()


@pytest.mark.parametrize("salt", ["a", "it's; DROP", "größe:1"])
def test_sql_and_python_agree_for_every_patient(salt):
    split = split_by(salt, SHARES)
    subjects = list(range(10_000_000, 10_002_000))
    assert in_sql(subjects, split) == [(s, split_of(s, split)) for s in subjects]


def test_hash_is_the_documented_one():
    # md5sum of "a:10000032" ends in fedee627c86ab1ec; read little-endian that is 0xecb1… = 0.92 of
    # 2^64; the others begin 0xc6 = 0.78, 0x54 = 0.33, 0xaa = 0.67. All results depend on this.
    found = [split_of(s, split_by("a", SHARES)) for s in range(10000032, 10000036)]
    assert found == ["test", "test", "train", "val"]


def test_shares_are_met():
    found = pl.Series([name for _, name in in_sql(list(range(20_000)), split_by("a", SHARES))])
    for name, share in SHARES.items():
        assert (found == name).mean() == pytest.approx(share, abs=0.015)


def test_another_salt_is_another_split():
    subjects = list(range(1000))
    one, other = in_sql(subjects, split_by("a", SHARES)), in_sql(subjects, split_by("b", SHARES))
    assert 500 < sum(x != y for x, y in zip(one, other, strict=True)) < 900


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test": 0.31}, "config: split: the shares of .* sum to 1.01, expected 1"),
        ({"test": 0.30 + 2e-9}, "sum to"),
        ({"val": 0.0, "test": 0.40}, "config: split.val: "),
        ({"validation": 0.1}, "config: split.validation: "),
        ({"fold": True, "folds": 3}, "config: split.fold: "),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(InputError, match=message):
        json_argument("split", Fold)(json.dumps({"salt": "a", **SHARES, **change}))


def test_shares_that_sum_to_one_but_for_rounding_are_taken():
    thirds = {"train": 0.1, "fusion": 0.2, "val": 0.3, "test": 0.4 + 1e-10}
    assert split_by("a", thirds).upper_ends[-1][1] == pytest.approx(1)


def test_folds_are_turned_round_and_test_nobody_twice():
    shares = {"train": 0.45, "fusion": 0.22, "val": 0.08, "test": 0.25}
    subjects = list(range(10_000_000, 10_004_000))
    folds = [split_by("a", shares, fold, 4) for fold in range(4)]
    assert in_sql(subjects, folds[0]) == in_sql(
        subjects, split_by("a", shares)
    )  # fold 0 is as ever
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
    split = split_by("a", SHARES, fold, 3)
    subjects = list(range(10_000_000, 10_002_000))
    assert in_sql(subjects, split) == [(s, split_of(s, split)) for s in subjects]
