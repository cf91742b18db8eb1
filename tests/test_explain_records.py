"""Explanations of records: parts of the EHR, what stands in their place, statistics made anew."""

import json
import math
from datetime import datetime, timedelta
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from pipeline.ehr.bins import BOUNDS
from pipeline.ehr.events import EVENTS
from pipeline.ehr.signals import vocabulary
from pipeline.ehr.statistics import STATISTICS, describe
from pipeline.ehr.steps import read_steps
from pipeline.ehr.summary import WithStatistics
from pipeline.ehr.tokens import DEMOGRAPHICS, TOKENS, demographics, tokenise
from pipeline.explain import ehr
from pipeline.explain.ehr import EIGHTHS, Grid, in_eighths, medians
from pipeline.explain.model import Given
from pipeline.explain.parts import attribute
from pipeline.explain.scoring import scores
from pipeline.stage.parts import write_parts
from pipeline.stage.tables import read_values, write_table

ZERO = datetime(2150, 1, 1)
SIGNALS = {"lactate": (0.5, 6.0), "sodium": (130.0, 150.0), "heart_rate": (50.0, 140.0)}
EPISODES, TRAIN = 40, 20


def events_of(seed=0):
    """Readings of three signals, a score, a text and two intervals, some over eighths."""
    random = np.random.default_rng(seed)
    rows = []
    for episode in range(1, EPISODES + 1):
        for signal, (low, high) in SIGNALS.items():
            kind = "chart" if signal == "heart_rate" else "lab"
            rows += [(episode, minute, None, kind, signal, random.uniform(low, high))
                     for minute in random.integers(-30, 2800, random.integers(2, 6))]  # fmt: skip
        rows += [(episode, minute, None, "chart", "gcs_eye", float(random.integers(1, 5)))
                 for minute in random.integers(0, 2800, 3)]  # fmt: skip
        rows.append((episode, int(random.integers(0, 2800)), None, "chart",
                     "gcs_verbal_intubated", 1.0))  # fmt: skip
        begin = int(random.integers(-20, 1500))
        end = None if episode % 3 == 0 else begin + int(random.integers(0, 1200))
        rows.append((episode, begin, end, "interval", "vasopressor", None))
        rows.append((episode, begin + 50, begin + 50, "interval", "bronchoscopy", None))
    table = pl.DataFrame(
        rows, schema=["episode_id", "minute", "end_minute", "kind", "signal", "value"],
        orient="row", schema_overrides=dict(EVENTS.columns, value=pl.Float64),
    )  # fmt: skip
    return table.with_columns(void=False, known=pl.col("minute") + 5).select(
        list(EVENTS.columns)).cast(dict(EVENTS.columns))  # fmt: skip


def episodes_of():
    size = EPISODES
    return pl.DataFrame(
        {"episode_id": np.arange(1, size + 1), "hadm_id": np.arange(1, size + 1),
         "clock_zero": [ZERO] * size, "prediction_time": [ZERO + timedelta(hours=48)] * size,
         "age": 60, "sex": "F", "insurance": "Medicare", "language": "ENGLISH",
         "marital_status": "SINGLE", "race": "WHITE"}
    )  # fmt: skip


class Looks(nn.Module):
    """Log odds: how many lactate tokens lie in the upper half, and a statistic of sodium."""

    def __init__(self, column):
        super().__init__()
        self.first, self.column = vocabulary().offsets()["lactate"], column
        self.horizon = math.inf

    def forward(self, batch):
        high = (batch["token"] >= self.first + 100) & (batch["token"] < self.first + 200)
        ends = torch.cat([batch["bag"][1:], torch.tensor([len(high)])])
        total = torch.nn.functional.pad(high.double().cumsum(0), (1, 0))
        by_step = total[ends] - total[batch["bag"]]
        owner = torch.arange(len(batch["lengths"])).repeat_interleave(batch["lengths"])
        odds = torch.zeros(len(batch["lengths"])).double().index_add(0, owner, by_step)
        made = torch.zeros(len(odds), 512)
        made[:, 0] = odds
        if self.column is not None:
            made[:, 0] += batch["statistics"][:, 0, self.column].nan_to_num() / 100
        return made


class First(nn.Module):
    def forward(self, batch):
        odds = batch["embedding"][:, 0, 0]
        return torch.stack([torch.zeros_like(odds), odds], dim=1)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """The files of a small cohort, and `Given` of a planted model."""
    folder = tmp_path_factory.mktemp("records")
    events, episodes = events_of(), episodes_of()
    write_parts([events], folder / "events.parquet", EVENTS)
    bounds = pl.DataFrame([(s, *b, 100) for s, b in SIGNALS.items()], schema=list(BOUNDS.columns),
                          orient="row").cast(dict(BOUNDS.columns))  # fmt: skip
    write_table(bounds, folder / "bins.parquet", BOUNDS)
    write_parts([tokenise(events, bounds, vocabulary())], folder / "tokens.parquet", TOKENS)
    write_table(demographics(episodes), folder / "demographics.parquet", DEMOGRAPHICS)
    write_table(describe(events, episodes, 48), folder / "48h.parquet", STATISTICS)
    episodes.write_parquet(folder / "episodes.parquet")
    ids = np.arange(1, EPISODES + 1)
    steps = read_steps(folder / "tokens.parquet", folder / "demographics.parquet", ids, 48,
                       math.inf)  # fmt: skip
    value = read_values(folder / "48h.parquet", ids).astype(np.float32)[:, None]
    split = np.where(ids <= TRAIN, "train", "test")
    rows = SimpleNamespace(episode=ids, subject=ids, label=ids % 2,
                           of=lambda name: np.flatnonzero(split == name))  # fmt: skip
    files = {name: folder / f"{name}.parquet" for name in ("events", "bins", "episodes")}
    settings = {"before": None, "window_hours": 48, "signals": "corrected", "encoder": "tokens"}

    def build(column=None, **change):
        parts = {
            "name": "ehr", "settings": settings, "data": WithStatistics(steps, value, [48.0]),
            "rows": rows, "feature": Looks(column), "head": First(),
            "device": torch.device("cpu"), "files": files, "truth": None, "seed": 0, "most": 99,
            "suppress": 0,
        }  # fmt: skip
        return Given(**parts | change)

    return build


def column_of(name):
    return [c for c in STATISTICS.columns if c != "episode_id"].index(name)


def test_intervals_in_eighths_tell_the_same_statistics_as_whole_ones():
    events, episodes = events_of(3), episodes_of()
    grid = Grid(vocabulary(), 48, 48)
    pieces = in_eighths(events, grid).drop("eighth")
    assert pieces.height > events.height
    assert describe(pieces, episodes, 48).equals(describe(events, episodes, 48))


@pytest.mark.parametrize("hours", [48, 12, 4])
def test_tokens_and_events_agree_on_the_eighth_of_a_minute(hours):
    grid = Grid(vocabulary(), 48, hours)
    minute = np.arange(-100, hours * 60)
    bins = np.clip(minute * 200 // (48 * 60), 0, 199)
    of_events = pl.DataFrame({"minute": minute}).select(grid.eighth_of(pl.col("minute")))
    assert (of_events.to_series().to_numpy() == grid.eighth(bins)).all()
    starts = [minute[grid.eighth(bins) == n].min() for n in range(1, EIGHTHS)]
    assert starts == grid.first_minutes
    assert np.allclose(np.array(starts) / 60, grid.edges[1:-1], atol=1 / 60)


def test_nothing_taken_away_is_the_record_as_the_model_reads_it(given):
    made = ehr.explain(given(column_of("sodium_max")))
    none = np.zeros((len(made.row), made.items.widest), bool)
    own = given(column_of("sodium_max"))
    odds = own.log_odds(own.feature(own.data.batch(made.row)))
    assert np.allclose(made.occluded(np.arange(len(made.row)), none), odds, atol=1e-6)


def test_a_model_that_counts_high_lactates_is_explained_by_lactate(given):
    made = ehr.explain(given())
    whole, value = attribute(made.occluded, made.items)
    record = made.picture.record
    names = np.array(record.grid.names)[record.cell // EIGHTHS]
    assert (value[names != "lactate"] == 0).all() and (value[names == "lactate"] != 0).any()
    cause = names == "lactate"
    items = type(made.items)(made.items.episode, made.items.subject, made.items.label,
                             made.items.start, cause)  # fmt: skip
    told = scores(made.occluded, items, whole, value, 0, "lactate", None, 0, lambda n: n)
    assert told["share"]["value"]["value"] > 0.9 and told["informative"]
    decoy = type(items)(items.episode, items.subject, items.label, items.start, names == "sodium")
    told = scores(made.occluded, decoy, whole, value, 0, "sodium", None, 0, lambda n: n)
    assert told["share"]["difference"]["high"] < 0 and told["informative"] is False
    assert made.picture(value)["signals"][0]["name"] == "lactate"


def test_a_statistic_follows_the_readings_that_are_replaced(given):
    """All of sodium taken away: its maximum is the median of the training episodes' readings."""
    made = ehr.explain(given(column_of("sodium_max")))
    record, items = made.picture.record, made.items
    sodium = items.dense(np.array(record.grid.names)[record.cell // EIGHTHS] == "sodium")
    everyone = np.arange(len(made.row))
    lactate = made.occluded(everyone, np.zeros_like(sodium)) - record.given.data.value[
        made.row, 0, column_of("sodium_max")] / 100  # fmt: skip
    events = events_of().filter(pl.col("episode_id") <= TRAIN, pl.col("signal") == "sodium")
    middle = events["value"].median()
    assert np.allclose(made.occluded(everyone, sodium) - lactate, middle / 100, atol=1e-4)


def test_what_has_no_value_vanishes(given):
    made = ehr.explain(given())
    record, items = made.picture.record, made.items
    names = np.array(record.grid.names)[record.cell // EIGHTHS]
    assert {"vasopressor", "bronchoscopy", "gcs_verbal_intubated"} <= set(names)
    gone = items.dense(np.isin(names, ["vasopressor", "gcs_verbal_intubated"]))
    statistics = record._statistics(np.arange(len(made.row)), gone)[:, 0]
    for column in ("vasopressor_minutes", "vasopressor_running", "gcs_verbal_intubated_charted"):
        assert (statistics[:, column_of(column)] == 0).all()
        assert (record.given.data.value[made.row, 0, column_of(column)] != 0).any()
    batch = record._tokens(np.arange(len(made.row)), gone)
    first = vocabulary().offsets()["vasopressor"]
    assert not (batch["token"] == first).any()
    assert (torch.diff(batch["bag"]) >= 0).all() and int(batch["bag"].max()) <= len(batch["token"])


def test_medians_are_of_training_episodes_alone():
    events = events_of()
    some = medians(events.filter(pl.col("episode_id") <= TRAIN), vocabulary())
    assert set(some["signal"]) == {*SIGNALS, "gcs_eye"}
    assert not some.equals(medians(events, vocabulary()))


def test_cells_of_few_real_patients_are_hidden_and_counts_are_rounded(given):
    made = ehr.explain(given(suppress=10))
    _, value = attribute(made.occluded, made.items)
    cells = made.picture(value)["cells"]
    shown = [(n, s) for ns, ss in zip(cells["patients"], cells["strength"], strict=True)
             for n, s in zip(ns, ss, strict=True)]  # fmt: skip
    assert any(n == "<10" for n, _ in shown) and any(s is not None for _, s in shown)
    assert all(s is None for n, s in shown if n in ("<10", 0))
    assert all(n % 10 == 0 for n, _ in shown if not isinstance(n, str))
    assert json.dumps(cells)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"data": object()}, "encoder tokens alone"), ({"files": {}}, "corrected protocol alone")],
)
def test_what_cannot_be_explained_says_why(given, change, reason):
    assert reason in ehr.explain(given(**change))
