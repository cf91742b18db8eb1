"""HAIM's statistics: against a plain loop, ties, single readings, intervals, the stage's bytes."""

import sys
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.ehr.events import EVENTS
from pipeline.ehr.statistics import (
    INTERVAL_COLUMNS,
    NAMES,
    READ,
    STATISTICS,
    main,
    of_intervals,
    of_readings,
)

START = datetime(2150, 1, 1, 7, 30)
WINDOW = 2880
IDS = [9, 4, 7]  # no order
EPISODES = pl.DataFrame(
    {
        "episode_id": IDS,
        "clock_zero": START,
        "prediction_time": START + timedelta(minutes=WINDOW),
        "age": [91, 34, 18],
        "sex": ["F", "M", "F"],
        "insurance": ["Medicare", None, "Medicaid"],
        "language": ["ENGLISH", "?", None],
        "marital_status": [None, "SINGLE", "WIDOWED"],
        "race": ["WHITE", "ASIAN - CHINESE", None],
    }
)


def table(rows):
    return pl.DataFrame(rows, schema=dict(EVENTS.columns), orient="row")


def reading(minute, value, signal="lactate", episode=4):
    return (episode, minute, None, "chart", signal, value, False, minute)


def interval(minute, end, signal="vasopressor", episode=4):
    return (episode, minute, end, "interval", signal, None, False, minute)


def by_loop(readings):
    """The 11 statistics of one series of (minute, value), as one would write them on paper."""
    if not readings:
        return [None] * 11
    minutes = sorted({minute for minute, _ in readings})
    value = [float(np.mean([v for m, v in readings if m == minute])) for minute in minutes]
    hour = [minute / 60 for minute in minutes]
    steps = [b - a for a, b in pairwise(value)]
    size = [abs(step) for step in steps]
    inner = range(1, len(value) - 1)
    several = len(value) > 1
    return [
        max(value), min(value), float(np.mean(value)), float(np.var(value)),
        sum(steps) / len(steps) if several else None, sum(size) / len(size) if several else None,
        max(size) if several else None, sum(size), value[-1] - value[0],
        sum(value[i - 1] < value[i] > value[i + 1] for i in inner),
        float(np.polyfit(hour, value, 1)[0]) if several else None,
    ]  # fmt: skip


series = st.lists(
    st.tuples(st.integers(-600, WINDOW), st.integers(0, 40).map(lambda n: n / 8)), max_size=12
)


@given(st.lists(series, min_size=6, max_size=6), st.randoms())
@example([[(5, 1.0)], [], [(0, 2.0), (0, 3.0)], [(9, 4.9)] * 4, [(1, 0.1), (2, 0.1)], []], None)
def test_statistics_are_those_of_a_plain_loop(drawn, shuffler):
    """Three episodes and two signals, in any order, ties in time and constant series included."""
    places = [(episode, signal) for episode in IDS for signal in ("lactate", "heart_rate")]
    rows = [
        reading(m, v, signal, episode)
        for (episode, signal), readings in zip(places, drawn, strict=True)
        for m, v in readings
    ]
    if shuffler:
        shuffler.shuffle(rows)
    made = of_readings(table(rows), EPISODES)
    for (episode, signal), readings in zip(places, drawn, strict=True):
        found = made.row(IDS.index(episode), named=True)
        for name, expected in zip(NAMES, by_loop(readings), strict=True):
            value = found[f"{signal}_{name}"]
            assert (value is None) == (expected is None), name
            assert expected is None or value == pytest.approx(expected, abs=1e-4, rel=1e-5), name


def stats(*rows, signal="lactate"):
    made = of_readings(table(rows), EPISODES).row(IDS.index(4), named=True)
    return {name: made[f"{signal}_{name}"] for name in NAMES}


def test_a_single_reading_has_no_differences_and_no_slope():
    undefined = ["mean_difference", "mean_absolute_difference", "max_absolute_difference", "slope"]
    found = stats(reading(60, 2.5))
    assert [name for name, value in found.items() if value is None] == undefined
    assert (found["mean"], found["variance"], found["last_minus_first"]) == (2.5, 0, 0)


def test_a_constant_series_has_no_spread_at_all():
    found = stats(*(reading(minute, 0.1) for minute in (0, 7, 19)))
    zero = [name for name in NAMES if name not in ("max", "min", "mean")]
    assert [found[name] for name in zero] == [0] * len(zero)
    assert found["max"] == found["min"] == found["mean"] == pytest.approx(0.1)


def test_a_plateau_and_the_ends_are_no_peaks():
    values = [9, 1, 4, 4, 1, 3, 2, 8]
    assert stats(*(reading(m, float(v)) for m, v in enumerate(values)))["peaks"] == 1


def test_the_slope_is_per_hour():
    assert stats(reading(-30, 1.0), reading(0, 2.0))["slope"] == pytest.approx(2)


def test_a_signal_is_never_mixed_with_its_neighbour():
    """Neither the signal before nor the episode before reaches into a series."""
    rows = [reading(m, v) for m, v in ((1, 3.0), (2, 5.0))]
    alone = stats(*rows)
    others = [reading(m, 1e3, s, e) for m in (0, 3) for s in READ for e in IDS
              if (s, e) != ("lactate", 4)]  # fmt: skip
    assert stats(*rows, *others) == alone


def test_nothing_read_is_null_everywhere():
    made = of_readings(table([]), EPISODES)
    assert made.height == 3
    assert made.null_count().row(0) == (3,) * len(READ) * len(NAMES)


def ran(*rows, signal="vasopressor"):
    made = of_intervals(table(rows), EPISODES, WINDOW / 60).row(IDS.index(4), named=True)
    return made[f"{signal}_minutes"], made[f"{signal}_running"]


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([], (0, 0)),
        ([(100, 160)], (60, 0)),
        ([(100, 160), (130, 140), (150, 200)], (100, 0)),  # two at once count once
        ([(100, 200), (110, 120), (150, 160)], (100, 0)),
        ([(2800, None)], (80, 1)),  # still running: until the prediction time
        ([(-60, 60), (2800, None)], (200, 1)),  # begun in the emergency department
        ([(2800, WINDOW - 1)], (79, 0)),
        ([(2800, WINDOW)], (80, 1)),  # its end is not known before
        ([(WINDOW, None)], (0, 0)),  # begins at the prediction time
        ([(WINDOW + 60, None), (WINDOW + 10, WINDOW + 20)], (0, 0)),  # begins later
        ([(10, 20), (15, None)], (WINDOW - 10, 1)),
        ([(7, 7)], (0, 0)),
    ],
)
def test_minutes_and_state_of_intervals(intervals, expected):
    rows = [interval(begin, end) for begin, end in intervals]
    assert ran(*rows) == expected
    assert ran(*reversed(rows), interval(0, None, episode=7), interval(0, 9, "eeg")) == expected
    assert ran(*rows, signal="crrt") == (0, 0)


@given(
    st.lists(
        st.tuples(st.integers(-600, WINDOW - 1), st.integers(0, 3 * WINDOW)).map(
            lambda p: (p[0], p[0] + p[1] if p[0] + p[1] < WINDOW else None)
        ),
        max_size=8,
    )
)
def test_minutes_are_those_of_a_set_of_minutes(intervals):
    """An end that is not before the prediction time is not known then: null."""
    covered = {
        minute
        for begin, end in intervals
        for minute in range(begin, WINDOW if end is None else min(end, WINDOW))
    }
    expected = (len(covered), float(any(end is None for _, end in intervals)))
    assert ran(*(interval(*each) for each in intervals)) == expected


def stage(folder, monkeypatch, events, hours=48):
    folder.mkdir()
    EPISODES.write_parquet(folder / "episodes.parquet")
    events.write_parquet(folder / "events.parquet")
    given = [f"--{name}={folder}/{name}.parquet" for name in ("episodes", "events", "output")]
    monkeypatch.setattr(sys, "argv", ["statistics", *given, f"--hours={hours}"])
    main()
    return folder / "output.parquet"


def test_the_stage_writes_every_episode_and_the_same_bytes(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    rows = [reading(int(m), float(v), str(s), int(e)) for m, v, s, e in zip(
        random.integers(0, 200, 400), random.normal(9, 2, 400).round(4),
        random.choice(READ[:4], 400), random.choice(IDS[:2], 400), strict=True)]  # fmt: skip
    events = table([*rows, interval(3, 9), interval(5, None)])
    first = stage(tmp_path / "first", monkeypatch, events)
    second = stage(tmp_path / "second", monkeypatch, events.sample(fraction=1, shuffle=True))
    assert first.read_bytes() == second.read_bytes()
    made = pl.read_parquet(first)
    assert made.columns == list(STATISTICS.columns)
    assert made["episode_id"].to_list() == sorted(IDS)
    unread = made.filter(episode_id=7).row(0, named=True)  # no event at all
    assert [unread[name] for name in INTERVAL_COLUMNS] == [0] * len(INTERVAL_COLUMNS)


def test_demographics_are_one_hot(tmp_path, monkeypatch):
    made = pl.read_parquet(stage(tmp_path / "made", monkeypatch, table([])))
    assert made["age_decade"].to_list() == [2, 0, 8]
    for name, classes in (("sex", 2), ("insurance", 3), ("marital_status", 5), ("race", 8)):
        hot = made.select(f"{name}_{code}" for code in range(classes))
        assert hot.sum_horizontal().to_list() == [1, 1, 1]
    assert (
        made.filter(episode_id=9).select("sex_0", "race_0", "marital_status_4").row(0) == (1,) * 3
    )
