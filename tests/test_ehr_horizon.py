"""What a task of an early hour reads of the EHR is what was known then, to the last bit.

A source is read twice: whole, and as one would have found it at the hour, with another future. Both
are selected to 48 hours; what is then cut at the hour must be the same. Among what tells them apart
are infusions that turn out void later.
"""

import json
import math
import sys

import numpy as np
import polars as pl
import pytest
import torch
from test_ehr_long import (
    DRUG,
    HR,
    RULE,
    VENTILATION,
    at,
    history,
    read,
    runs,
    stage_main,
    stay,
    until,
    write_tables,
)

from pipeline.ehr import events as events_stage
from pipeline.ehr import tokens as tokens_stage
from pipeline.ehr.encoder_grid import GridNetwork
from pipeline.ehr.grid import Bins, read_grid
from pipeline.ehr.signals import CLASSES, vocabulary
from pipeline.ehr.statistics import describe
from pipeline.ehr.steps import known_before, read_steps
from pipeline.ehr.tokens import CODES
from pipeline.fiddle.fit import fit
from pipeline.fiddle.options import options
from pipeline.fiddle.transform import transform
from pipeline.stage.database import connect

BOUNDS = pl.DataFrame(
    {"signal": ["heart_rate", "lactate", "urine"], "low": [0.0] * 3, "high": [200.0, 40.0, 500.0]}
)
HOURS = [1, 4, 12, 48]


def admission(number=1, hadm=5, **change):
    """Of it the episode is the first 48 hours, with six in the emergency department."""
    return stay(number, hadm=hadm, stay_id=None, **change)


def void(starttime, endtime, **change):
    """A vasopressor of which it turns out that nothing was given."""
    return runs(starttime, endtime, DRUG, rate=7.0, amount=0.0, **change)


def source():
    """Every hour has something, stored at once and late; infusions turn out void at all hours."""
    rows = history()
    rows["inputevents"] += [void(at(h, 40), at(h + 2, 20)) for h in range(-2, 50, 2)]
    rows["inputevents"] += [runs(at(h, 50), at(h + 3), statusdescription="Rewritten")
                            for h in range(0, 40, 5)]  # fmt: skip
    rows["chartevents"] += [read(at(h, 30), HR, 300.0, storetime=at(h + 9)) for h in range(0, 30)]
    return rows


@pytest.fixture
def selected(tmp_path, monkeypatch):
    """Runs the selection on tiny source tables: the events."""

    def run(episodes, **tables):
        write_tables(tmp_path, episodes, tables)
        output = tmp_path / "events.parquet"
        command = ["events", "--episodes", tmp_path / "episodes.parquet", "--source", tmp_path]
        command += ["--availability", json.dumps(RULE), "--output", output, "--temp", tmp_path]
        monkeypatch.setattr(sys, "argv", [*map(str, command)])
        events_stage.main()
        return pl.read_parquet(output)

    return run


@pytest.fixture
def listed(selected, tmp_path, monkeypatch):
    """Events and the long table."""

    def run(episodes, unit="stay", **tables):
        events = selected(episodes, **tables)
        return events, stage_main(monkeypatch, tmp_path, tmp_path / "long.parquet", unit=unit)

    return run


def tokens_at(table, hours):
    """The tokens known before an hour, of a table of tokens or of events."""
    if "signal" in table.columns:
        table = tokens_stage.tokenise(table, BOUNDS, vocabulary())
    known = tokens_stage.at_horizon(table, hours)
    return known.select("episode_id", "minute", "token").unique().sort(pl.all())


def statistics_at(events, episodes, hours):
    return describe(events, pl.DataFrame(episodes), hours)


EPISODES = {
    "stay": [stay(1), stay(2, at(3), clock_zero=at(5), observed_from=at(-6))],
    "admission": [admission()],
}


@pytest.mark.parametrize("unit", EPISODES)
@pytest.mark.parametrize("hour", HOURS)
def test_what_becomes_known_later_changes_nothing_at_an_earlier_hour(selected, unit, hour):
    """Of stay 2, whose clock begins five hours later, the same at its own hour."""
    episodes = EPISODES[unit]
    for number, zero in enumerate((0, 5)[: len(episodes)]):
        own = [episodes[number]]
        now = hour + zero
        whole = selected(own, **source())
        then = selected(own, **{name: until(rows, now) for name, rows in source().items()})
        if hour < 48:
            assert not whole.equals(then)
        assert tokens_at(whole, hour).height > 5 * hour
        assert tokens_at(whole, hour).equals(tokens_at(then, hour))
        assert statistics_at(whole, own, hour).equals(statistics_at(then, own, hour))


@pytest.mark.parametrize("hour", HOURS[:3])
def test_the_encoder_reads_before_an_hour_what_was_known_before_it(selected, tmp_path, hour):
    """Of one table, which serves an earlier and a later hour, too; void infusions included."""
    read = []
    for rows in (source(), {name: until(rows, hour) for name, rows in source().items()}):
        made = tokens_stage.tokenise(selected([stay()], **rows), BOUNDS, vocabulary())
        made.write_parquet(tmp_path / "tokens.parquet")
        fixed = pl.DataFrame({"episode_id": [1], **dict.fromkeys(CLASSES, 0)})
        fixed.write_parquet(tmp_path / "fixed.parquet")
        paths = tmp_path / "tokens.parquet", tmp_path / "fixed.parquet"
        steps = read_steps(*paths, np.array([1]), window_hours=48, before=48)
        read.append(known_before(steps.batch(np.array([0])), hour))
        expected = tokens_at(made, hour)["token"].to_list()
        assert sorted(set(read[-1]["token"].tolist())) == sorted(set(expected))
        assert read[-1]["lengths"].item() == tokens_at(made, hour)["minute"].n_unique()
    whole, then = read
    for name in ("token", "bag", "time_bin", "lengths"):
        assert torch.equal(whole[name], then[name])


@pytest.mark.parametrize("hour", HOURS[:3])
def test_the_grid_of_an_hour_is_that_of_the_source_as_it_was_then(selected, tmp_path, hour):
    """To the last bit, of values known a minute later and of infusions that turn out void."""
    network = GridNetwork(Bins(120, 48), "gru", 8, [*CLASSES.values()]).eval()
    fixed = {"episode_id": [1], "age": [60], **dict.fromkeys(CODES, None)}
    pl.DataFrame(fixed).write_parquet(tmp_path / "fixed.parquet")
    tokens, cells = [], []
    for rows in (source(), {name: until(rows, hour) for name, rows in source().items()}):
        selected([stay()], **rows)
        files = tmp_path / "events.parquet", tmp_path / "fixed.parquet"
        batch = read_grid(*files, np.array([1]), 120, before=48).batch(np.array([0]))
        cells.append([network.cells(batch, float(h)) for h in (hour, 48)])
        tokens.append(network(batch, [float(hour)])["e"][0])
    assert torch.equal(cells[0][0], cells[1][0]) and torch.equal(*tokens)
    assert not torch.equal(cells[0][1], cells[1][1])
    assert cells[0][0].count_nonzero() > 5 * hour


@pytest.mark.parametrize("hour", HOURS[:3])
def test_the_cut_at_an_hour_is_that_of_a_selection_up_to_it(selected, hour):
    """The query itself, with its prediction time at the hour."""
    whole = selected([stay()], **source())
    at_hour = selected([stay() | {"prediction_time": at(hour)}], **source())
    names = ["minute", "end_minute", "kind", "signal", "value"]
    early = events_stage.at_horizon(whole, hour).select(names).unique().sort(pl.all())
    expected = events_stage.at_horizon(at_hour, math.inf).select(names).unique().sort(pl.all())
    assert early.height > 4 * hour and early.equals(expected)
    assert tokens_at(whole, hour).equals(tokens_at(at_hour, math.inf))


def test_a_void_infusion_runs_for_who_asks_before_its_end_and_never_was_for_who_asks_later(
    selected,
):
    rows = [void(at(1), at(6)), void(at(2), at(3), storetime=at(2)), runs(at(1, 30), at(2))]
    events = selected([stay()], inputevents=rows)
    pressor, marks = vocabulary().offsets()["vasopressor"], {}
    for hours in (1.25, 2.5, 4, 6, 6.1, math.inf):
        made = tokens_at(events, hours).filter(token=pressor)
        marks[hours] = made["minute"].to_list()
    assert marks == {
        1.25: [60], 2.5: [60, 90, 120], 4: [60, 90], 6: [60, 90], 6.1: [90], math.inf: [90]
    }  # fmt: skip
    running = {h: statistics_at(events, [stay()], h)["vasopressor_running"][0] for h in (4, 12)}
    assert running == {4: 1, 12: 0}
    minutes = {h: statistics_at(events, [stay()], h)["vasopressor_minutes"][0] for h in (4, 12)}
    assert minutes == {4: 180, 12: 30}


def test_a_step_that_only_a_void_infusion_made_goes_with_it(selected):
    """What else ran at that minute is no token of a time at which nothing was charted."""
    rows = {
        "inputevents": [void(at(2), at(6))],
        "procedureevents": [runs(at(1), None, VENTILATION)],
    }
    events = selected([stay()], **rows)
    ventilated = vocabulary().offsets()["invasive_ventilation"]
    found = [
        tokens_at(events, hours).filter(token=ventilated)["minute"].to_list() for hours in (4, 7)
    ]
    assert found == [[60, 120], [60]]


@pytest.mark.parametrize("unit", EPISODES)
@pytest.mark.parametrize("hour", HOURS[1:3])
def test_fiddle_reads_before_an_hour_what_was_known_before_it(listed, tmp_path, unit, hour):
    """Fitted on one source; of both the features before the hour are the same."""
    chosen = options({"hours": 48, "theta_1": 0.0, "theta_2": 0.0})
    episodes = EPISODES[unit][:1]
    ids, found = np.array([1]), []
    _, whole = listed(episodes, unit, **source())
    _, then = listed(episodes, unit, **{n: until(rows, hour) for n, rows in source().items()})
    assert not whole.equals(then)
    with connect(1, 1000, tmp_path) as database:
        fitted = fit(database, whole, ids, chosen)
        for long in (whole, then):
            ((static, series, _),) = transform(database, long, ids, fitted)
            cells = pl.DataFrame(series)
            found.append((pl.DataFrame(static), cells.filter(pl.col("bin") < hour), cells))
    (static, early, every), (same_static, same_early, others) = found
    assert early.height > 4 * hour and not every.equals(others)
    assert static.equals(same_static) and early.equals(same_early)


def test_an_admission_has_rows_of_all_its_stays_and_of_the_emergency_department(listed):
    rows = [read(at(-1), number=50.0), read(at(5), stay_id=1), read(at(7), stay_id=2)]
    rows += [read(at(9), stay_id=None), read(at(10), hadm_id=6)]
    events, long = listed([admission(end=at(9, 30))], "admission", chartevents=rows)
    assert events["minute"].to_list() == [-60, 300, 420, 540]
    assert long.drop_nulls("t")["t"].to_list() == [5.0, 7.0, 9.0]
    static = dict(long.filter(pl.col("t").is_null()).select("variable", "value").rows())
    assert (static["before: HR"], static["hours since: HR"]) == ("50", "1")
    assert "admission_type" in static
    assert not {"first_careunit", "hours_to_icu"} & set(static)


def test_a_stay_has_rows_of_its_admission_from_a_day_before_the_arrival_on(selected):
    """Also those of another stay; not those from before the observation."""
    late = [stay(observed_from=at(-30), clock_zero=at(2))]
    rows = [read(at(hour), stay_id=number) for hour, number in ((-23, 9), (-22, 9), (-1, None))]
    assert selected(late, chartevents=rows)["minute"].to_list() == [-24 * 60, -3 * 60]
    assert selected([stay()], chartevents=rows)["minute"].to_list() == [-60]


def test_what_still_runs_a_day_before_the_arrival_is_of_the_stay_whenever_it_began(selected):
    """Over by then, or begun before the admission was observed: not of it."""
    stays = [stay(1), stay(2, at(72), observed_from=at(-6))]
    rows = [
        runs(at(5, minute), end) for minute, end in enumerate([at(48), at(48, 1), at(80), None])
    ]
    kept = selected(stays, inputevents=[*rows, runs(at(-7), at(80))])
    kept = kept.filter(signal="vasopressor")
    assert kept.select("episode_id", "minute", "end_minute").rows() == [
        (1, 300, None), (1, 301, None), (1, 302, None), (1, 303, None),
        (2, -67 * 60 + 1, -24 * 60 + 1), (2, -67 * 60 + 2, 8 * 60), (2, -67 * 60 + 3, None),
    ]  # fmt: skip


def test_two_stays_of_an_admission_share_events_by_their_own_clocks(selected):
    stays = [stay(1), stay(2, at(20), observed_from=at(-6)), stay(3, at(20), hadm=6)]
    found = selected(stays, chartevents=[read(at(19, 59)), read(at(21))])
    assert found.select("episode_id", "minute").rows() == [
        (1, 20 * 60 - 1), (1, 21 * 60), (2, -1), (2, 60)
    ]  # fmt: skip
