"""The EHR's grid: what each cell holds at each horizon, by hand; statistics beside an encoder."""

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from encoder_data import grid

from pipeline.cohort.episodes import EPISODES
from pipeline.ehr.encoder_grid import CLIP, ENCODER, LONGEST, GridNetwork
from pipeline.ehr.grid import READ, RUN, Bins, Grid, fewest
from pipeline.ehr.signals import CLASSES
from pipeline.ehr.steps import NEVER
from pipeline.ehr.summary import Beside, WithStatistics, beside, with_statistics
from pipeline.stage.errors import InputError
from pipeline.training.precision import half_precision, use_precision

BINS = Bins(120, 48)
GRID = '{"hours": 2, "network": "gru", "width": 8}'  # as a stage is told
FIRST = 12  # bins before clock zero
HEART, LACTATE = READ.index("heart_rate"), READ.index("lactate")
PRESSOR, TUBE = RUN.index("vasopressor"), RUN.index("intubation")
CODES = list(CLASSES.values())


def event(signal, minute, value=None, known=None, end=None, void=False, episode=7):
    known = minute if known is None else known
    return (episode, minute, end, "any", signal, value, void, known)


@pytest.fixture
def made(tmp_path):
    """The grid of episodes 9 (without any event) and 7, in that order, of these events."""

    def build(*events, before=48.0):
        names = ["episode_id", "minute", "end_minute", "kind", "signal", "value", "void", "known"]
        types = dict.fromkeys(("minute", "end_minute", "known"), pl.Int32) | {
            "value": pl.Float64, "signal": pl.String
        }  # fmt: skip
        table = pl.DataFrame(sorted(events), names, orient="row", schema_overrides=types)
        table.write_parquet(tmp_path / "events.parquet")
        fixed = dict.fromkeys(EPISODES.columns)
        rows = pl.DataFrame([fixed | {"episode_id": k, "age": 60} for k in (7, 9)],
                            schema=dict(EPISODES.columns))  # fmt: skip
        rows.write_parquet(tmp_path / "episodes.parquet")
        files = {name: tmp_path / f"{name}.parquet" for name in ("events", "episodes")}
        settings = {**files, "grid": GRID, "before": None if math.isinf(before) else before}
        return ENCODER.data(settings, np.array([9, 7]))

    return build


def cells(data, hours, network=None):
    """Values, masks and times since (L, S), shares and whether (L, I) of episode 7."""
    network = network or GridNetwork(BINS, "gru", 8, CODES)
    table = network.cells(data.batch(np.array([0, 1])), hours)
    sizes = [len(READ)] * 3 + [len(RUN)] * 2
    return [part[1].numpy() for part in table.split(sizes, dim=2)]


def hours_since(cell):
    return math.expm1(cell * math.log1p(LONGEST)) / 60


def test_a_cell_has_the_last_value_known_its_mask_and_the_time_since(made):
    data = made(
        event("heart_rate", -30, 3.0), event("heart_rate", 10, 1.0),
        event("heart_rate", 110, 2.0, known=250), event("lactate", 130, 4.0),
    )  # fmt: skip
    value, here, since, *_ = cells(data, 48.0)
    assert value[FIRST - 1 :, HEART].tolist() == [3.0] + [2.0] * 24
    assert here[:, HEART].nonzero()[0].tolist() == [FIRST - 1, FIRST]
    assert value[:, LACTATE].tolist() == [0.0] * (FIRST + 1) + [4.0] * 23
    assert since[0, LACTATE] == 1
    assert [hours_since(since[k, HEART]) for k in (FIRST - 1, FIRST, -1)] == pytest.approx(
        [0.5, 1 / 6, 48 - 110 / 60], abs=1e-4
    )
    early = cells(data, 4.0)  # the second reading is known ten minutes later
    assert early[0][FIRST:, HEART].tolist() == [1.0, 1.0]
    late = cells(data, 5.0)  # a bin of half its length
    assert late[0][FIRST:, HEART].tolist() == [2.0] * 3
    assert hours_since(late[2][-1, LACTATE]) == pytest.approx(5 - 130 / 60, abs=1e-4)


def test_an_interval_is_the_share_of_each_bin_in_which_it_ran_as_it_was_known(made):
    data = made(
        event("vasopressor", 60, end=180), event("vasopressor", 180, end=300),
        event("vasopressor", 200, end=280), event("intubation", 600, end=600),
    )  # fmt: skip
    *_, share, ran = cells(data, 48.0)
    # two at once count twice, up to the whole bin
    assert share[FIRST : FIRST + 4, PRESSOR] == pytest.approx([0.5, 1.0, 0.5 + 40 / 120, 0.0])
    assert share[FIRST + 5, TUBE] == pytest.approx(1 / 120)
    assert ran[:, TUBE].nonzero()[0].tolist() == [FIRST + 5]
    *_, share, _ = cells(data, 3.0)  # nothing had ended; it had run in all of the cut bin
    assert share[FIRST:, PRESSOR].tolist() == [0.5, 1.0]


def test_what_turns_out_void_is_there_until_then(made):
    rows = [
        event("vasopressor", 60, end=300, void=True),
        event("heart_rate", 70, 3.0, end=300, void=True),
        event("heart_rate", 65, 2.0),
    ]
    shares, values = [], []
    for hours in (4.0, 5.0, 6.0):
        value, _, _, share, _ = cells(made(*rows), hours)
        shares.append(share[FIRST:, PRESSOR].sum())
        values.append(value[-1, HEART])
    assert (shares, values) == ([1.5, 2.5, 0.0], [3.0, 3.0, 2.0])
    everything = made(*rows, before=math.inf)
    assert len(everything.intervals.value) == 0
    assert everything.readings.value.tolist() == [2.0]


def test_episodes_without_any_event_have_empty_grids(made):
    value, here, since, share, ran = cells(made(), 48.0)
    assert not (value.any() or here.any() or share.any() or ran.any())
    assert (since == 1).all()


def test_the_fewest_readings_give_the_cells_of_all_readings_at_every_horizon():
    random = np.random.default_rng(0)
    size = 4000
    frame = pl.DataFrame({
        "row": random.integers(0, 4, size), "signal": random.integers(0, 3, size),
        "minute": random.integers(-1440, 2880, size), "value": random.normal(size=size),
    }).with_columns(
        known=pl.col("minute") + pl.Series(random.integers(0, 300, size)),
        until=pl.when(pl.Series(random.random(size) < 0.2)).then(
            pl.col("minute") + pl.Series(random.integers(100, 600, size))),
    )  # fmt: skip
    kept = fewest(frame, 120)
    assert kept.height < 0.5 * size
    cell = ["row", "signal", pl.col("minute") // 120]
    for hours in (1, 4, 7, 30, 60):
        last = [
            part.filter(
                pl.col("known") < 60 * hours, pl.col("until").fill_null(NEVER) >= 60 * hours
            ).sort("minute", "known", "value").group_by(cell).agg(pl.col("value").last())
            .sort("row", "signal", "minute")
            for part in (frame, kept)
        ]  # fmt: skip
        assert last[0].equals(last[1])


def test_values_are_standardised_by_training_patients_and_clipped():
    data = grid(6, seed=1)
    network = GridNetwork(BINS, "gru", 8, CODES)
    network.learn(data, np.array([0, 2, 4]))
    other = replace(data.readings, value=data.readings.value.copy())
    start = other.start
    for k in (1, 3, 5):
        other.value[start[k] : start[k + 1]] *= 1000
    same = GridNetwork(BINS, "gru", 8, CODES)
    same.learn(Grid(other, data.intervals, data.demographics), np.array([0, 2, 4]))
    assert torch.equal(network.mean, same.mean) and torch.equal(network.scale, same.scale)
    signal = data.readings.signal[: start[1]]
    assert network.mean.abs().sum() > 0 and len(signal)
    wild = Grid(other, data.intervals, data.demographics)
    value = same.cells(wild.batch(np.arange(6)), 48.0)[..., : len(READ)]
    assert value.abs().max() == CLIP


@pytest.mark.parametrize("kind", ["gru", "tcn"])
def test_gradients_reach_every_weight_and_episodes_do_not_depend_on_their_batch(kind):
    torch.manual_seed(0)
    data = grid(12, seed=3)
    network = GridNetwork(BINS, kind, 16, CODES)
    network.learn(data, np.arange(12))
    feature, _ = network(data.batch(np.arange(12)), [48.0])["e"]
    feature.square().sum().backward()
    assert not [name for name, weight in network.named_parameters() if weight.grad is None]
    network.eval()
    with torch.no_grad():
        together = network(data.batch(np.arange(12)), [12.0])["e"][0]
        alone = torch.cat([network(data.batch(np.array([k])), [12.0])["e"][0] for k in range(12)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["gru", "tcn"])
def test_it_is_computed_in_bfloat16_too(kind):
    data, network = grid(3), GridNetwork(BINS, kind, 16, CODES).eval()
    with torch.no_grad():
        exact = network(data.batch(np.arange(3)), [48.0])["e"][0]
        use_precision("bf16")
        try:
            with half_precision(torch.device("cpu")):
                half = network(data.batch(np.arange(3)), [48.0])["e"][0]
        finally:
            use_precision("fp32")
    torch.testing.assert_close(half.float(), exact, atol=0.05, rtol=0.05)


def statistics(tmp_path, change=0.0):
    """Tables at 4 and 12 hours of episodes 0 to 5; `change` of that at 12."""
    random, tables = np.random.default_rng(0), {}
    for hours in (4, 12):
        table = random.normal(size=(6, 3)) + (change if hours == 12 else 0)
        table[::2, 1] = np.nan
        frame = pl.DataFrame({"episode_id": np.arange(6)}).hstack(
            pl.from_numpy(table, ["a", "b", "c"]).fill_nan(None)
        )
        frame.write_parquet(tmp_path / f"{hours}h.parquet")
        tables[str(hours)] = str(tmp_path / f"{hours}h.parquet")
    return {"statistics": tables}


def with_network(tmp_path, change=0.0):
    data = with_statistics(grid(6), statistics(tmp_path, change), np.arange(6))
    torch.manual_seed(0)
    network = beside(lambda own: GridNetwork(BINS, "gru", 8, CODES), data, np.arange(4)).eval()
    return data, network


@torch.no_grad()
def test_a_horizon_reads_the_statistics_of_its_own_hours(tmp_path):
    tokens = []
    for change in (0.0, 50.0):
        data, network = with_network(tmp_path, change)
        tokens.append(network(data.batch(np.arange(6)), [4.0, 12.0, math.inf]))
    (before, _), (after, _) = (made["statistics"] for made in tokens)
    assert before.shape == (6, 3, network.widths["statistics"])
    assert torch.equal(before[:, 0], after[:, 0])
    assert torch.equal(before[:, 1], before[:, 2]) and not torch.equal(before[:, 0], before[:, 1])
    for name in ("e",):
        assert torch.equal(tokens[0][name][0], tokens[1][name][0])
    with pytest.raises(InputError, match="no statistics of the EHR at 5 hours, only at 4, 12"):
        network(data.batch(np.arange(6)), [5.0])


@torch.no_grad()
def test_statistics_are_imputed_and_scaled_by_training_patients(tmp_path):
    data, network = with_network(tmp_path)
    wild = replace(data, value=data.value.copy())
    wild.value[4:] = 1000.0  # of others than those rows
    other = beside(lambda own: GridNetwork(BINS, "gru", 8, CODES), wild, np.arange(4))
    learnt = network.statistics
    for name in ("fill", "mean", "scale"):
        assert torch.equal(getattr(other.statistics, name), getattr(learnt, name))
    b = data.value[:4, 0, 1]
    assert learnt.fill[0, 1] == pytest.approx(np.nanmedian(b))
    full = np.where(np.isnan(b), np.nanmedian(b), b)
    assert learnt.mean[0, 1].item() == pytest.approx(full.mean(), abs=1e-6)


def test_the_network_is_that_of_the_settings(made):
    data = made(event("heart_rate", 10, 1.0), event("heart_rate", 20, 3.0))
    settings = {"grid": GRID, "window_hours": 48}
    network = ENCODER.network(settings, data, np.array([1]))
    assert (network.bins, network.widths) == (BINS, {"e": 16})
    assert network.gru is not None
    # of the two readings in a bin the last one is there
    assert (network.mean[HEART], network.scale[HEART]) == (3, 1)


def test_without_tables_there_are_no_statistics(tmp_path):
    data = grid(6)
    assert with_statistics(data, {}, np.arange(6)) is data
    plain = beside(lambda own: GridNetwork(BINS, "gru", 8, CODES), data, np.arange(4))
    assert not isinstance(plain, Beside)
    with pytest.raises(InputError, match=r"4h.parquet: <10 episode\(s\) missing"):
        with_statistics(data, statistics(tmp_path), np.arange(7))
    assert isinstance(with_network(tmp_path)[0], WithStatistics)
