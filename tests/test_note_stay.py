"""Reports of ICU stays: those known before each horizon, to the second, and no later ones."""

import numpy as np
import polars as pl
import pytest
import torch

from pipeline.note.notes import NOTES
from pipeline.note.stay_data import Pieces, StayNotes, Vectors, load, read_pieces, read_vectors
from pipeline.note.stays import StayNoteEncoder, fit_scale
from pipeline.note.wordpiece import TOKENS
from pipeline.training.recency import known_by

HORIZONS = [4.0, 12.0, 48.0]


def test_a_horizon_is_the_softmax_of_what_it_knew_by_hand():
    hours = torch.tensor([-30.0, 3.0, 12.0, 47.0])
    value = torch.tensor([[1.0], [2.0], [4.0], [8.0]])
    made, present = known_by(value, hours, torch.zeros(4, dtype=int), 2, HORIZONS, 48.0)
    for k, own in enumerate([hours[:2], hours[:2], hours]):
        expected = (own / 48).softmax(0) @ value[: len(own), 0]
        assert made[0, k, 0].item() == pytest.approx(expected.item(), rel=1e-6)
    assert present.tolist() == [[True] * 3, [False] * 3]
    assert not made[1].any()


@torch.no_grad()
@pytest.mark.parametrize("planted", [9.0, 1e30, np.nan, np.inf])
def test_what_is_known_at_a_horizon_or_later_changes_no_bit_of_it(planted):
    known = np.array([-20, 239 / 60, 4, 11, 12, 47.9, 1, 4], np.float32)
    random = np.random.default_rng(0)
    vector = random.normal(size=(8, 16)).astype(np.float32)
    start = np.array([0, 6, 6, 8])
    torch.manual_seed(0)
    encoder = StayNoteEncoder(16).eval()

    def made(change):
        value = np.where(change[:, None], np.float32(planted), vector)
        data = StayNotes(Vectors(value), np.arange(8), known, start)
        return encoder(data.batch(np.array([2, 0, 1])), HORIZONS)["n"]

    before, present = made(np.zeros(8, bool))
    assert present.tolist() == [[True] * 3, [True] * 3, [False] * 3]
    assert not before[2].any()
    for k, horizon in enumerate(HORIZONS):
        after, also = made(known >= horizon)
        assert torch.equal(after[:, : k + 1], before[:, : k + 1])
        assert torch.equal(also, present)
        if (known >= horizon).any():
            assert not torch.equal(after[:, -1], before[:, -1])  # the trap is armed
    sprung, _ = made(known < 4)
    assert not torch.equal(sprung[:, 0], before[:, 0])


def test_a_broken_report_after_the_horizon_breaks_no_gradient():
    vector = np.array([[1.0, 2.0], [np.nan, np.nan]], np.float32)
    data = StayNotes(Vectors(vector), np.arange(2), np.array([1, 5], np.float32), np.array([0, 2]))
    batch = data.batch(np.array([0]))
    batch["vector"].requires_grad_()
    made, _ = StayNoteEncoder(2)(batch, [4.0])["n"]
    made.sum().backward()
    assert batch["vector"].grad.tolist() == [[1.0, 1.0], [0.0, 0.0]]


def test_stays_come_in_the_order_asked_with_reports_in_the_order_of_time(tmp_path):
    rows = [(1, "c", 60), (1, "a", 600), (2, "a", -5), (1, "b", 60), (2, "b", 720), (3, "z", 1)]
    pl.DataFrame(rows, schema=NOTES.columns, orient="row").write_parquet(tmp_path / "n.parquet")
    vector = pl.Series([[1.0, 1], [2, 2], [3, 3]], dtype=pl.Array(pl.Float32, 2))
    names = pl.DataFrame({"note_id": ["a", "b", "c"]})
    names.with_columns(vector=vector).write_parquet(tmp_path / "v.parquet")
    content = read_vectors(tmp_path / "v.parquet")
    data = load(tmp_path / "n.parquet", content, np.array([2, 3, 1]), before=12)
    assert data.present().tolist() == [True, False, True]  # z has no vector
    batch = data.batch(np.array([2, 1, 0]))
    assert batch["count"].tolist() == [3, 0, 1]  # b at 12 h is out
    assert batch["vector"][:, 0].tolist() == [2, 3, 1, 1]
    assert batch["known"].tolist() == pytest.approx([1, 1, 10, -5 / 60])
    assert batch["owner"].tolist() == [0, 0, 0, 2]
    empty = data.batch(np.array([1]))
    made, present = StayNoteEncoder(2)(empty, HORIZONS)["n"]
    assert made.shape == (1, 3, 2)
    assert not present.any()


def test_pieces_of_reports_come_window_by_window(tmp_path):
    rows = [("a", 0, [2, 7, 8, 3]), ("b", 1, [2, 5, 3]), ("b", 0, [2, 6, 6, 6, 3])]
    table = pl.DataFrame(rows, schema=TOKENS.columns, orient="row")
    table.write_parquet(tmp_path / "t.parquet")
    names, pieces = read_pieces(tmp_path / "t.parquet")
    assert names.to_list() == ["a", "b"]
    batch = pieces.of(np.array([1, 0, 1]))
    assert batch["tokens"].tolist() == [
        [2, 6, 6, 6, 3], [2, 5, 3, 0, 0], [2, 7, 8, 3, 0], [2, 6, 6, 6, 3], [2, 5, 3, 0, 0]
    ]  # fmt: skip
    assert batch["mask"].sum(1).tolist() == [5, 3, 4, 5, 3]
    assert batch["report"].tolist() == [0, 0, 1, 2, 2]
    nothing = pieces.of(np.array([], int))
    assert len(nothing["tokens"]) == len(nothing["mask"]) == 0


def test_vectors_are_standardised_by_reports_of_training_stays_each_once():
    vector = np.random.default_rng(0).normal(5, 2, (4, 3)).astype(np.float32)
    which, known = np.array([0, 1, 1, 2, 3]), np.zeros(5, np.float32)
    data = StayNotes(Vectors(vector), which, known, np.array([0, 2, 4, 5]))
    encoder = StayNoteEncoder(3)
    fit_scale(encoder, data, np.array([0, 1]))
    np.testing.assert_allclose(encoder.mean, vector[:3].mean(0), rtol=1e-5)
    np.testing.assert_allclose(encoder.scale, vector[:3].std(0), rtol=1e-4)
    untouched = StayNoteEncoder(3)
    fit_scale(untouched, data, np.array([], int))
    assert not untouched.mean.any()
    pieces = Pieces(np.array([2, 3]), np.array([0, 2]), np.array([0, 1]))
    fit_scale(untouched, StayNotes(pieces, which * 0, known, data.start), np.array([0]))
    assert not untouched.mean.any()
