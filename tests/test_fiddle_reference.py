"""FIDDLE's features: against a slow reference of the sheet, and against the original's output."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from fiddle_reference import reference
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from pipeline.fiddle.fit import fit
from pipeline.fiddle.options import options
from pipeline.fiddle.rows import LONG
from pipeline.fiddle.transform import transform
from pipeline.stage.database import connect

ORIGINAL = json.loads((Path(__file__).parent / "fiddle_original.json").read_text())["cases"]


def made(rows, ids, settings, on=None, published=False, tmp="/tmp"):
    """Fitted on `on`, used on `ids`: the fit, and per table feature → its cells (id, bin)."""
    long = pl.DataFrame(rows, schema=LONG, orient="row")
    with connect(1, 500, tmp) as database:
        fitted = fit(database, long, np.array(on or ids), options(settings), published)
        parts = list(transform(database, long, np.array(ids), fitted))
    cells = {"S": {}, "X": {}}
    for static, series, _ in parts:
        for name, part in (("S", static), ("X", series)):
            for row in pl.from_arrow(part).rows():
                cell = (row[0], 0) if name == "S" else row[:2]
                cells[name].setdefault(row[-1], set()).add(cell)
    return fitted, cells


def same_as(expected, rows, ids, settings, published):
    """Names, order, aliases and every cell are as expected: table → (name, aliases, cells)."""
    fitted, cells = made(rows, ids, settings, published=published)
    for name, kept in expected.items():
        assert fitted.features[name] == [{"name": n, "aliases": a} for n, a, _ in kept]
        assert [cells[name].get(k, set()) for k in range(len(kept))] == [own for *_, own in kept]


NUMBERS = st.sampled_from(["1", "2", "2.5", "3", "4", "7", "-1", "0.125", "1e1"])
TEXTS = st.sampled_from(["low", "high", "1", "2", "3.5"])
RECORDS = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.sampled_from([-0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.75, 3.0, 3.5]),
        st.one_of(
            st.tuples(st.sampled_from(["HR", "SpO2", "Na"]), NUMBERS),
            st.tuples(st.sampled_from(["Rhythm", "Code"]), TEXTS),
        ),
    ),
    min_size=1,
    max_size=40,
)
FIXED = st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["sex", "age"]), TEXTS), max_size=8)


@effort(max_examples=25)
@given(RECORDS, FIXED, st.sampled_from([0.0, 0.3]), st.sampled_from([0.3, 1.0]))
def test_every_cell_is_that_of_the_sheet(records, fixed, theta, often):
    rows = [(i, t, variable, value) for i, t, (variable, value) in records]
    rows += [(i, None, variable, value) for i, variable, value in fixed]
    settings = {"hours": 3, "step": 1, "theta_1": theta, "theta_2": theta, "theta_freq": often}
    expected = reference(rows, [1, 2, 3, 4, 5], settings)
    same_as(expected, rows, [1, 2, 3, 4, 5], settings, published=False)


@pytest.mark.parametrize("case", ORIGINAL, ids=["one-hot", "ordinal"])
def test_published_equals_the_original_to_the_cell(case):
    fitted, cells = made(case["rows"], case["ids"], case["settings"], published=True)
    ids = sorted(case["ids"])
    for name in ("S", "X"):
        theirs = case[name]
        ours = {one["name"]: one["aliases"] for one in fitted.features[name]}
        assert {n: set(a) for n, a in ours.items()} == {
            n: set(theirs["aliases"].get(n, [])) for n in theirs["names"]
        }
        expected = {n: set() for n in theirs["names"]}
        for row, *bin_, feature in theirs["ones"]:
            expected[theirs["names"][feature]].add((ids[row], *(bin_ or [0])))
        assert {n: cells[name].get(k, set()) for k, n in enumerate(ours)} == expected


def test_original_holds_what_the_comparison_is_for():
    first, second = ORIGINAL
    aliases = [alias for own in first["X"]["aliases"].values() for alias in own]
    names = first["X"]["names"]
    assert any("_delta_time_" in n for n in names)
    assert any(n.startswith("MIXED_value_(") for n in names)
    assert "MIXED_value_low" in names
    assert "PAIRCOPY_value_9" in aliases
    assert "RARE_value_3" not in [*names, *aliases]
    assert any("_mean>=" in n for n in second["X"]["names"])
