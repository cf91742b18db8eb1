"""Films of ICU stays: those taken before each horizon, to the second, and nothing of later ones."""

import json
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from test_cxr_encoder import films as stays_with_films

from pipeline.cxr import dataset, films
from pipeline.cxr.decode import DECODED
from pipeline.cxr.encoder import CxrEncoder
from pipeline.cxr.films import FILMS
from pipeline.cxr.stays import StayCxrEncoder
from pipeline.training.recency import known_by

ZERO = datetime(2150, 3, 1, 8, 0, 50)
RULE = {"enforced": True, "films": ["film_time"]}
TIME = pl.Datetime("us")
HORIZONS = [4.0, 12.0, 48.0]


def at(hours=0, seconds=0):
    return ZERO + timedelta(hours=hours, seconds=seconds)


def stay(number=1, subject=10, hadm=1, start=ZERO, observed_from=None, arrival=None):
    row = {"episode_id": number, "subject_id": subject, "hadm_id": hadm, "start": start}
    row |= {"observed_from": observed_from or start - timedelta(hours=6)}
    zero = arrival or start
    return row | {"clock_zero": zero, "prediction_time": zero + timedelta(hours=48)}


def film(name, time, subject=10, view="antero-posterior"):
    return {
        "dicom_id": name,
        "subject_id": subject,
        "study_id": 5,
        "film_time": time,
        "view_position": None,
        "view_code_sequence_code_meaning": view,
    }


@pytest.fixture
def select(tmp_path, monkeypatch):
    """Runs the selection on these films: (stay, film, minute)."""

    def run(rows, stays=None, rule=RULE):
        times = pl.col("start", "clock_zero", "observed_from", "prediction_time").cast(TIME)
        pl.DataFrame(stays or [stay()]).with_columns(times).write_parquet(tmp_path / "e.parquet")
        kinds = {"film_time": TIME, "view_position": pl.String}
        kinds |= {"view_code_sequence_code_meaning": pl.String}
        pl.DataFrame(rows, schema_overrides=kinds).write_parquet(tmp_path / "m.parquet")
        given = ["--episodes", tmp_path / "e.parquet", "--metadata", tmp_path / "m.parquet"]
        given += [
            "--query",
            Path(films.__file__).with_name("films_stay.sql"),
            "--availability",
            json.dumps(rule),
        ]
        given += ["--views", "antero-posterior"]
        given += ["--output", tmp_path / "out.parquet", "--temp", tmp_path]
        monkeypatch.setattr(sys, "argv", ["films", *map(str, given)])
        films.main()
        table = pl.read_parquet(tmp_path / "out.parquet")
        return table.select("episode_id", "dicom_id", "minute").rows()

    return run


def test_films_count_from_the_observation_on_and_before_the_cut_to_the_second(select):
    rows = [film("a", at(-6, -1)), film("b", at(-6)), film("c", at(0, -1)), film("d", at(4, -5))]
    rows += [film("e", at(4)), film("f", at(48, -1)), film("g", at(48)), film("h", None)]
    kept = [(1, "b", -360), (1, "c", -1), (1, "d", 239), (1, "e", 240), (1, "f", 2879)]
    assert select(rows) == kept
    off = select(rows, rule=RULE | {"enforced": False})
    assert [name for _, name, _ in off] == [*"bcdefg"]


def test_minutes_count_from_the_patients_arrival_and_earlier_films_stay_known(select):
    hours = {"a": -1, "b": 2, "c": 7, "d": 50, "e": 51}
    rows = [film(name, at(hour)) for name, hour in hours.items()]
    kept = [(1, "a", -240), (1, "b", -60), (1, "c", 240), (1, "d", 2820)]
    assert select(rows, [stay(arrival=at(3))]) == kept


def test_a_film_belongs_to_one_admission_and_to_all_its_stays(select):
    stays = [stay(1), stay(2, start=at(50), observed_from=at(-6))]
    stays += [stay(3, hadm=2, start=at(80), observed_from=at(70)), stay(4, 20, 3)]
    rows = [film("a", at(-1)), film("b", at(47)), film("c", at(70, -1)), film("d", at(70))]
    rows += [film("e", at(1), view="lateral")]
    assert [row[:2] for row in select(rows, stays)] == [
        (1, "a"), (1, "b"), (2, "a"), (2, "b"), (2, "c"), (3, "d")
    ]  # fmt: skip


def test_of_two_admissions_at_the_same_time_one_gets_the_film(select):
    assert len(select([film("a", at(1))], [stay(1), stay(2, hadm=2)])) == 1


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    made = StayCxrEncoder()
    with torch.no_grad():  # BatchNorm as after some training, not at its start
        made.train()(stays_with_films([[1.0]] * 16, seed=9).batch(np.arange(16)), [4.0])
    return made.eval()


@torch.no_grad()
def test_the_last_horizon_is_the_encoder_of_admissions(encoder):
    batch = stays_with_films([[-3.0, 12.0, 40.0], [], [5.0]]).batch(np.arange(3))
    made, present = encoder(batch, [48.0])["c"]
    expected = encoder.films(batch)
    assert not expected[1].any()
    torch.testing.assert_close(made[:, 0], expected, atol=1e-6, rtol=1e-5)
    assert present[:, 0].tolist() == [True, False, True]


def test_weights_are_those_of_admissions():
    batch = stays_with_films([[4.0, 12.0], [30.0], [-9.0, 1.0, 1.0]]).batch(np.arange(3))
    weights = CxrEncoder(48.0).weights(batch)
    each = torch.eye(len(weights))
    made, _ = known_by(each, batch["hours"], batch["owner"], 3, [48.0], 48.0)
    torch.testing.assert_close(made[batch["owner"], 0].diagonal(), weights)


@torch.no_grad()
def test_a_film_taken_at_a_horizon_or_later_changes_no_bit_of_it(encoder):
    hours = [[-20.0, 3.9, 4.0, 11.0], [12.0, 47.0], []]
    data = stays_with_films(hours)
    before, present = encoder(data.batch(np.arange(3)), HORIZONS)["c"]
    assert present.tolist() == [[True] * 3, [False, False, True], [False] * 3]
    original = data.arrays[0].copy()
    for k, horizon in enumerate(HORIZONS[:2]):
        data.arrays[0][:] = original
        data.arrays[0][data.hours >= horizon] = 255
        after, _ = encoder(data.batch(np.arange(3)), HORIZONS)["c"]
        assert torch.equal(after[:, : k + 1], before[:, : k + 1])
        assert not torch.equal(after[:, k + 1 :], before[:, k + 1 :])  # the trap is armed


def test_films_after_the_last_horizon_are_not_even_read(tmp_path):
    rows = [(1, "a", 10, 5, 239), (1, "b", 10, 5, 240), (1, "c", 10, 5, -60)]
    pl.DataFrame(rows, schema=FILMS.columns, orient="row").write_parquet(tmp_path / "f.parquet")
    (tmp_path / "store" / "8" / "p10").mkdir(parents=True)
    np.save(tmp_path / "store" / "8" / "p10" / "x.npy", np.zeros((3, 8, 8), np.uint8))
    places = [("a", "x", 0, None), ("b", "x", 1, None), ("c", "x", 2, None)]
    table = pl.DataFrame(places, schema=DECODED.columns, orient="row")
    table.write_parquet(tmp_path / "p10.parquet")
    paths = tmp_path / "f.parquet", [tmp_path / "p10.parquet"], tmp_path / "store"
    data = dataset.load(*paths, 8, np.array([1]), before=4)
    assert data.row.tolist() == [2, 0]
    assert len(dataset.load(*paths, 8, np.array([1])).row) == 3


def test_gradient_reaches_every_parameter_beside_stays_without_films():
    torch.manual_seed(0)
    made = StayCxrEncoder().train()
    batch = stays_with_films([[1.0, 5.0], [], [2.0]]).batch(np.arange(3))
    made(batch, HORIZONS)["c"][0].sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.parameters())
