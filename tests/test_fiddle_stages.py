"""FIDDLE's stages: window and bin edges, ties, nulls, leaks, causality, unseen values, bytes."""

import json
import random
import sys

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from test_fiddle_reference import made

from pipeline.fiddle import fit as fit_stage
from pipeline.fiddle import transform as transform_stage
from pipeline.fiddle.fitted import FEATURES
from pipeline.fiddle.options import options
from pipeline.fiddle.rows import LONG
from pipeline.stage.errors import InputError

PLAIN = {"hours": 4, "step": 1, "theta_1": 0, "theta_2": 0}


def named(fitted, cells, table="X"):
    """Feature or alias → its cells; X of ids 1 and 2 where an alias is a complement."""
    every = {(i, k) for i in (1, 2) for k in range(4)}
    found = {}
    for number, feature in enumerate(fitted.features[table]):
        for name in [feature["name"], *feature["aliases"]]:
            own = cells[table].get(number, set())
            found[name.removeprefix("~{").removesuffix("}")] = (
                every - own if name[0] == "~" else own
            )
    return found


def test_window_is_from_0_to_before_the_horizon():
    rows = [(1, -0.01, "a", "x"), (1, 0.0, "b", "x"), (1, 3.99, "c", "x"), (1, 4.0, "d", "x")]
    found = named(*made(rows, [1, 2], PLAIN))
    assert found == {"b_value_x": {(1, 0)}, "c_value_x": {(1, 3)}}


def test_last_record_of_a_bin_counts_and_the_later_row_of_a_tie():
    rows = [(1, 0.9, "a", "late"), (1, 0.1, "a", "soon"), (1, 1.0, "a", "soon")]
    rows += [
        (2, 0.5, "a", "soon"),
        (2, 0.5, "a", "late"),
        (3, 0.5, "a", "late"),
        (3, 0.5, "a", "soon"),
    ]
    found = named(*made(rows, [1, 2, 3], PLAIN))
    assert found["a_value_late"] == {(1, 0), (2, 0)}
    assert found["a_value_soon"] == {(1, 1), (3, 0)}


def test_null_is_no_record_and_text_that_parses_is_a_number():
    rows = [(1, 0.0, "a", None), (1, 1.0, "a", "1e1"), (2, 1.0, "a", "10.5"), (3, 1.0, "a", " 11 ")]
    rows += [(2, 0.0, "nothing", None)]
    fitted, cells = made(rows, [1, 2, 3], PLAIN)
    found = named(fitted, cells)
    assert [one.name for one in fitted.variables] == ["a"]
    assert {min(cells): name for name, cells in found.items()} == {
        (1, 1): "a_value_(9.999, 10.2]",
        (2, 1): "a_value_(10.4, 10.6]",
        (3, 1): "a_value_(10.8, 11.0]",
    }


def test_value_on_an_edge_is_in_the_lower_bin_and_beyond_the_range_in_the_outer_ones():
    rows = [(i, 0.0, "a", str(i)) for i in range(1, 12)]  # edges 1, 3, 5, 7, 9, 11
    rows += [(i, 3.0, "b", "x") for i in range(1, 12)]  # observed for long: a is not frequent
    rows += [
        (20, 0.0, "a", "3.0"),
        (21, 0.0, "a", "3.01"),
        (22, 0.0, "a", "-99"),
        (23, 0.0, "a", "99"),
    ]
    fitted, cells = made(rows, [20, 21, 22, 23], PLAIN, on=list(range(1, 12)))
    found = named(fitted, cells)
    assert found["a_value_(0.999, 3.0]"] == {(20, 0), (22, 0)}
    assert found["a_value_(3.0, 5.0]"] == {(21, 0)}
    assert found["a_value_(9.0, 11.0]"] == {(23, 0)}


def test_nothing_of_other_ids_reaches_the_fit():
    rows = [(i, 0.1 * i, v, str(i * k)) for i in range(1, 9) for k, v in enumerate("ab")]
    others = [
        (99, 0.0, "a", "1e9"),
        (99, 0.0, "b", "text"),
        (99, 0.0, "c", "1"),
        (99, None, "a", "5"),
    ]
    on = list(range(1, 9))
    assert made(rows, on, PLAIN, on=on)[0] == made(rows + others, [99], PLAIN, on=on)[0]


def test_unseen_categories_and_variables_have_no_feature():
    rows = [(i, 0.0, "a", "xy"[i % 2]) for i in range(4)]
    rows += [(9, 0.0, "a", "z"), (9, 1.0, "new", "1"), (9, 2.0, "a", "y")]
    fitted, cells = made(rows, [9], PLAIN, on=[0, 1, 2, 3])
    assert named(fitted, cells) == {"a_value_x": set(), "a_value_y": {(9, 2)}}


def test_frequent_variable_is_carried_and_never_filled_before_its_first_record():
    rows = [(1, t, "hr", v) for t, v in [(1.0, "60"), (1.5, "90"), (1.7, "75"), (3.2, "80")]]
    rows += [(2, t / 2, "hr", str(50 + 7 * t)) for t in range(8)]
    found = named(*made(rows, [1, 2], PLAIN))
    own = {name: {k for i, k in cells if i == 1} for name, cells in found.items()}
    parts = {"value", "min", "max", "mean"}
    for part in parts:
        assert set().union(*(own[n] for n in own if f"hr_{part}_" in n)) == {1, 2, 3}
    assert own["hr_mask"] == {1, 3}
    assert own["hr_delta_time_0"] == {0, 1, 3}
    assert own["hr_delta_time_1"] == {2}


def hourly(*stays):
    """Each stay has one record of hr in each of its first hours."""
    return [(i, k + 0.5, "hr", str(60 + k)) for i, n in enumerate(stays, 1) for k in range(n)]


def kinds(rows, ids, published=False, **settings):
    fitted, _ = made(rows, ids, PLAIN | settings, published=published)
    return {one.name: one.kind for one in fitted.variables}


def test_stays_that_end_early_hide_no_frequent_variable_but_as_published():
    rows = hourly(4, 4, 2, 1)
    assert kinds(rows, [1, 2, 3, 4])["hr"] == "frequent"
    assert kinds(rows, [1, 2, 3, 4], published=True)["hr"] == "sparse"
    assert kinds(hourly(4, 4), [1, 2], published=True)["hr"] == "frequent"
    assert kinds([*hourly(5, 3), (2, 3.5, "hr", "1")], [1, 2], published=True)["hr"] == "frequent"


def test_a_stay_is_observed_up_to_its_last_record_of_any_timed_variable():
    rows = hourly(4, 2)
    assert kinds([*rows, (2, 1.99, "lab", "x")], [1, 2])["hr"] == "frequent"
    assert kinds([*rows, (2, 2.0, "lab", "x")], [1, 2])["hr"] == "sparse"  # a third hour
    assert kinds([*rows, (2, 4.0, "lab", "x")], [1, 2])["hr"] == "frequent"  # beyond the horizon
    part = [(i, 4.5, "lab", "x") for i in (1, 2)]  # in the half of a bin before the horizon
    halves = [row for row in hourly(4, 4) if row[1] in (0.5, 2.5)]
    assert kinds(halves + part, [1, 2], hours=5, step=2)["hr"] == "frequent"
    fixed = [(3, None, "age", "50"), (2, 3.0, "age", "51")]  # time-invariant: observes nothing
    assert kinds(rows + fixed, [1, 2, 3, 4])["hr"] == "frequent"
    assert kinds([*rows[:-1], (2, 1.5, "lab", "x")], [1, 2])["hr"] == "sparse"  # 5 of 6
    assert kinds([*rows, (1, 0.0, "hr", "high")], [1, 2])["hr"] == "sparse"  # not numeric


def test_an_id_without_rows_is_counted_and_has_no_ones():
    rows = [(1, 0.0, "a", "x"), (1, None, "s", "x")]
    settings = PLAIN | {"theta_1": 0.5}
    assert made(rows, [1], settings)[0].variables != ()
    fitted, cells = made(rows, [1, 2], settings)  # recorded in half of the ids: not in more
    assert (fitted.ids, fitted.variables, cells) == (2, (), {"S": {}, "X": {}})


def test_empty_groups():
    for rows in ([], [(1, None, "s", "x")], [(1, k, "a", "x") for k in range(4)]):
        fitted, cells = made(rows, [1], PLAIN)
        assert cells == {"S": {}, "X": {}}  # constant: filtered
        assert fitted.sizes() == {"S": 0, "X": 0}
    with pytest.raises(InputError, match="no episode to fit on"):
        made([(1, 0.0, "a", "x")], [], PLAIN)


def test_timed_row_of_a_time_invariant_variable_counts_only_as_published():
    rows = [(1, None, "s", "x"), (1, 3.0, "s", "y"), (2, None, "s", "y"), (3, 2.0, "s", "y")]
    assert named(*made(rows, [1, 2, 3], PLAIN), "S")["s_value_x"] == {(1, 0)}
    published = named(*made(rows, [1, 2, 3], PLAIN, published=True), "S")
    assert published == {}  # y in all of them: constant


LATER = st.lists(
    st.tuples(st.integers(1, 3), st.floats(2, 3.99), st.sampled_from(["hr", "lab", "rhythm"]),
              st.sampled_from(["1", "55", "-3", "odd", "x"])), max_size=12)  # fmt: skip


@effort(max_examples=12)
@given(LATER, st.integers(0, 10**6))
def test_cells_depend_on_nothing_that_is_later(later, seed):
    draw = random.Random(seed)
    rows = [
        (i, draw.randint(0, 39) / 10, "hr", str(draw.randint(50, 99)))
        for i in range(9)
        for _ in range(6)
    ]
    rows += [(i, draw.randint(0, 39) / 10, "lab", str(draw.randint(1, 9))) for i in range(9)]
    rows += [(i, draw.randint(0, 39) / 10, "rhythm", draw.choice("xyz")) for i in range(9)]
    early = [row for row in rows if row[1] < 2]
    before = made(rows, list(range(9)), PLAIN)
    for changed in (early, early + later):
        both = made(rows + [(100 + r[0], *r[1:]) for r in changed], [*range(9), *range(100, 109)],
                    PLAIN, on=list(range(9)))  # fmt: skip
        assert before[0] == both[0]
        for number in range(before[0].sizes()["X"]):
            own = both[1]["X"].get(number, set())
            kept = {(i, k) for i, k in own if i < 9 and k < 2}
            assert {(i - 100, k) for i, k in own if i >= 100 and k < 2} == kept


@pytest.mark.parametrize("settings", [
    {"theta": 1}, {"statistics": ["median"]}, {"hours": 1, "step": 2}, {"theta_2": 0.5},
])  # fmt: skip
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(InputError, match="fiddle"):
        options(settings)


def run(monkeypatch, main, *arguments):
    monkeypatch.setattr(sys, "argv", ["stage", *map(str, arguments)])
    main()


@pytest.fixture
def files(tmp_path):
    draw = random.Random(0)
    rows = [(i, t / 7, "hr", str(draw.randint(50, 120))) for i in range(40) for t in range(30)]
    values = ["a", "b", "3", "4", "5.5"]
    rows += [(i, draw.random() * 4, f"v{draw.randint(0, 20)}", draw.choice(values))
             for i in range(40) for _ in range(20)]  # fmt: skip
    rows += [(i, None, "age", str(draw.randint(18, 90))) for i in range(40)]
    long = pl.DataFrame(rows, schema=LONG, orient="row").sort(
        "episode_id", "t", "variable", "value"
    )
    long.write_parquet(tmp_path / "long.parquet", row_group_size=100)
    split = ["train", "fusion", "val", "test"]
    ids = list(range(41))  # 40 has no rows
    pl.DataFrame({"episode_id": ids, "split": [split[i % 4] for i in ids]}).write_parquet(
        tmp_path / "episodes.parquet"
    )
    return tmp_path


def stages(monkeypatch, folder, to, threads, *mode, **settings):
    to.mkdir()
    shared = ["--long", folder / "long.parquet", "--episodes", folder / "episodes.parquet",
              "--threads", threads, "--memory-mb", 500, "--temp", folder]  # fmt: skip
    run(monkeypatch, fit_stage.main, *shared, "--fitted-on", "train", "fusion", "--settings",
        json.dumps(PLAIN | settings), *mode, "--output", to / "fitted.json")  # fmt: skip
    made = {"output": "X", "static": "S", "features": "features"}
    paths = [
        part for option, name in made.items() for part in (f"--{option}", to / f"{name}.parquet")
    ]
    run(monkeypatch, transform_stage.main, *shared, "--fitted", to / "fitted.json", *paths)
    return {path.name: path.read_bytes() for path in to.iterdir()}


def test_stages_repeat_to_the_byte_and_keep_their_contracts(files, monkeypatch):
    once = stages(monkeypatch, files, files / "once", 1)
    assert once == stages(monkeypatch, files, files / "twice", 2)
    for name, contract in (
        ("S", transform_stage.S),
        ("X", transform_stage.X),
        ("features", FEATURES),
    ):
        table = pl.read_parquet(files / "once" / f"{name}.parquet")
        assert dict(table.schema) == dict(contract.columns)
        assert not table.is_empty()
        assert table.select(contract.key).is_unique().all()
        assert table.equals(table.sort(contract.key))
    fitted = json.loads((files / "once/fitted.json").read_text())
    assert fitted["ids"] == 21


@pytest.mark.parametrize("mode", [[], ["--published"]], ids=["corrected", "published"])
def test_texts_without_a_feature_are_not_written_and_nothing_else_changes(files, monkeypatch, mode):
    long = pl.read_parquet(files / "long.parquet")
    rows = [(i, i % 4 + 0.1, "note", f"only of {i}" if i % 5 else "often") for i in range(40)]
    rows += [(i, i % 3 + 0.2, "mixed", f"only of {i}" if i % 9 == 0 else str(i)) for i in range(40)]
    more = pl.DataFrame(rows, schema=LONG, orient="row")
    pl.concat([long, more]).write_parquet(files / "long.parquet")
    once = stages(monkeypatch, files, files / "once", 1, *mode, theta_2=0.08)
    monkeypatch.setattr(fit_stage, "kept_only", lambda learnt: learnt)
    every = stages(monkeypatch, files, files / "every", 1, *mode, theta_2=0.08)
    changed = {name for name in once if once[name] != every[name]}
    assert changed == {"fitted.json"}
    assert b"only of" in every["fitted.json"]
    assert b"only of" not in once["fitted.json"]
    assert b"often" in once["fitted.json"]
    features = pl.read_parquet(files / "once/features.parquet")["name"]
    assert features.str.starts_with("mixed_value_(").any()


@pytest.mark.parametrize(("more", "said"), [(3, "<10"), (12, "12")])
def test_few_values_without_a_feature_are_not_counted_in_the_log(
    files, monkeypatch, caplog, more, said
):
    long = pl.read_parquet(files / "long.parquet").filter(~pl.col("variable").str.starts_with("v"))
    rows = [(i, float(k), "v", "ab"[(i + k) % 2]) for i in range(40) for k in (0, 1)]
    # not in training, but in test stays: 3, 7, …
    rows += [(3 + 4 * (k // 2), 2.0 + k % 2, "v", "unseen") for k in range(more)]
    pl.concat([long, pl.DataFrame(rows, schema=LONG, orient="row")]).write_parquet(
        files / "long.parquet"
    )
    with caplog.at_level("INFO"):
        stages(monkeypatch, files, files / "told", 1)
    assert f"{said} value(s) of a category without a feature of its own" in caplog.text


def test_parts_of_episodes_make_no_difference(files, monkeypatch):
    whole = stages(monkeypatch, files, files / "whole", 1)
    monkeypatch.setattr(transform_stage, "PART", 7)
    stages(monkeypatch, files, files / "parts", 1)
    for name in ("S", "X"):
        one, other = (pl.read_parquet(files / to / f"{name}.parquet") for to in ("whole", "parts"))
        assert one.equals(other)
    assert whole["fitted.json"] == (files / "parts/fitted.json").read_bytes()


def test_a_table_of_another_shape_is_refused_by_name(files, monkeypatch):
    long = pl.read_parquet(files / "long.parquet").cast({"t": pl.Float32})
    long.write_parquet(files / "long.parquet")
    with pytest.raises(InputError, match=r"long\.parquet: t is Float32, expected Float64"):
        stages(monkeypatch, files, files / "other", 1)
