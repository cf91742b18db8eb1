"""Encoders of notes: an LSTM over an episode's reports, or the mean of their BERT vectors."""

import numpy as np
import polars as pl
import pytest
import torch
from encoder_data import reports as reports_at

from pipeline.note import encoder_doc2vec
from pipeline.note.encoder_bert import BertNetwork, fit_scale
from pipeline.note.encoder_doc2vec import Doc2VecNetwork
from pipeline.note.notes import NOTES
from pipeline.note.pieces import TOKENS
from pipeline.note.reports import (
    Pieces,
    Reports,
    Vectors,
    read_pieces,
    read_reports,
    read_vectors,
)
from pipeline.training.items import mean_by_horizon
from pipeline.training.modality import Feature

SIZE = 512
HORIZONS = [4.0, 12.0, 48.0]


def reports(counts):
    """Episodes with so many reports each, one an hour."""
    return reports_at([range(count) for count in counts])


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    encoder = Doc2VecNetwork(SIZE)
    encoder.mean.fill_(2.0)
    encoder.scale.fill_(3.0)
    return Feature(encoder).eval()


@torch.no_grad()
def slow_feature(encoder, data, episode):
    """One episode's feature, report by report through a plain LSTM cell."""
    lstm, best = encoder.network.lstm, torch.full((512,), -torch.inf)
    hidden = cell = torch.zeros(512)
    for use in range(*data.start[episode : episode + 2]):
        vector = (torch.from_numpy(data.content.vector[data.which[use]]) - 2) / 3
        gates = lstm.weight_ih_l0 @ vector + lstm.bias_ih_l0
        gates = gates + lstm.weight_hh_l0 @ hidden + lstm.bias_hh_l0
        enter, forget, new, out = gates.split(512)
        cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
        hidden = out.sigmoid() * cell.tanh()
        best = torch.maximum(best, hidden)
    return best


def test_parameter_count_of_the_paper(encoder):
    assert sum(p.numel() for p in encoder.parameters()) == 2_101_248


@torch.no_grad()
def test_the_encoder_equals_a_plain_lstm_report_by_report(encoder):
    data = reports([3, 1, 5])
    slow = torch.stack([slow_feature(encoder, data, k) for k in range(3)])
    torch.testing.assert_close(encoder(data.batch(np.arange(3))), slow, atol=1e-5, rtol=0)


@torch.no_grad()
def test_an_episode_without_reports_is_zeros_and_does_not_change_the_others(encoder):
    data = reports([2, 0, 4, 0])
    made = encoder(data.batch(np.arange(4)))
    assert data.present().tolist() == [True, False, True, False]
    assert not made[[1, 3]].any()
    alone = torch.cat([encoder(data.batch(np.array([k]))) for k in (0, 2)])
    torch.testing.assert_close(made[[0, 2]], alone, atol=1e-5, rtol=0)
    assert not encoder(data.batch(np.array([1, 3]))).any()


def test_gradient_reaches_every_parameter_beside_episodes_without_reports(encoder):
    encoder.train()(reports([2, 0, 3]).batch(np.arange(3))).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in encoder.parameters())
    assert all(p.grad.isfinite().all() for p in encoder.parameters())


def test_vectors_are_standardised_by_the_training_episodes_reports_alone():
    data = reports([2, 3, 1, 4])
    encoder = encoder_doc2vec.ENCODER.network({"standardise": True}, data, np.array([0, 2]))
    used = data.content.vector[data.which[[0, 1, 5]]]
    np.testing.assert_allclose(encoder.mean, used.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(encoder.scale, used.std(axis=0), rtol=1e-4)


def test_published_vectors_are_taken_as_they_are():
    data = reports([2, 3])
    encoder = encoder_doc2vec.ENCODER.network({"standardise": False}, data, np.arange(2))
    assert not encoder.mean.any()
    assert (encoder.scale == 1).all()


def test_a_horizon_is_the_softmax_of_what_it_knew_by_hand():
    hours = torch.tensor([-30.0, 3.0, 12.0, 47.0])
    value = torch.tensor([[1.0], [2.0], [4.0], [8.0]])
    batch = {"hours": hours, "owner": torch.zeros(4, dtype=int), "count": torch.tensor([4, 0])}
    made, present = mean_by_horizon(value, batch, HORIZONS, 48.0)
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
    encoder = BertNetwork(16).eval()

    def made(change):
        value = np.where(change[:, None], np.float32(planted), vector)
        data = Reports(known, start, Vectors(value), np.arange(8))
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
    data = Reports(np.array([1, 5], np.float32), np.array([0, 2]), Vectors(vector), np.arange(2))
    batch = data.batch(np.array([0]))
    batch["vector"].requires_grad_()
    made, _ = BertNetwork(2)(batch, [4.0])["n"]
    made.sum().backward()
    assert batch["vector"].grad.tolist() == [[1.0, 1.0], [0.0, 0.0]]


def test_stays_come_in_the_order_asked_with_reports_in_the_order_of_time(tmp_path):
    rows = [(1, "c", 60), (1, "a", 600), (2, "a", -5), (1, "b", 60), (2, "b", 720), (3, "z", 1)]
    pl.DataFrame(rows, schema=NOTES.columns, orient="row").write_parquet(tmp_path / "n.parquet")
    vector = pl.Series([[1.0, 1], [2, 2], [3, 3]], dtype=pl.Array(pl.Float32, 2))
    names = pl.DataFrame({"note_id": ["a", "b", "c"]})
    names.with_columns(vector=vector).write_parquet(tmp_path / "v.parquet")
    content = read_vectors(tmp_path / "v.parquet")
    data = read_reports(tmp_path / "n.parquet", content, np.array([2, 3, 1]), before=12)
    assert data.present().tolist() == [True, False, True]  # z has no vector
    batch = data.batch(np.array([2, 1, 0]))
    assert batch["count"].tolist() == [3, 0, 1]  # b at 12 h is out
    assert batch["vector"][:, 0].tolist() == [2, 3, 1, 1]
    assert batch["hours"].tolist() == pytest.approx([1, 1, 10, -5 / 60])
    assert batch["owner"].tolist() == [0, 0, 0, 2]
    empty = data.batch(np.array([1]))
    made, present = BertNetwork(2)(empty, HORIZONS)["n"]
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
    data = Reports(known, np.array([0, 2, 4, 5]), Vectors(vector), which)
    encoder = BertNetwork(3)
    fit_scale(encoder, data, np.array([0, 1]))
    np.testing.assert_allclose(encoder.mean, vector[:3].mean(0), rtol=1e-5)
    np.testing.assert_allclose(encoder.scale, vector[:3].std(0), rtol=1e-4)
    untouched = BertNetwork(3)
    fit_scale(untouched, data, np.array([], int))
    assert not untouched.mean.any()
    pieces = Pieces(np.array([2, 3]), np.array([0, 2]), np.array([0, 1]))
    fit_scale(untouched, Reports(known, data.start, pieces, which * 0), np.array([0]))
    assert not untouched.mean.any()


@torch.no_grad()
def test_each_horizon_is_the_feature_of_the_reports_known_by_then(encoder):
    hours = [[-2.0, 3.0, 11.0, 40.0], [], [5.0], [3.9, 4.0]]
    made, present = encoder.network(reports_at(hours).batch(np.arange(4)), HORIZONS)["n"]
    data = reports_at(hours)
    for k, horizon in enumerate(HORIZONS):
        fewer = [[hour for hour in times if hour < horizon] for times in hours]
        kept = np.flatnonzero(data.hours < horizon)
        soon = Reports(data.hours[kept], np.cumsum([0, *map(len, fewer)]), data.content,
                       data.which[kept])  # fmt: skip
        expected = encoder(soon.batch(np.arange(4)))
        torch.testing.assert_close(made[:, k], expected, atol=1e-6, rtol=0)
        assert present[:, k].tolist() == [bool(times) for times in fewer]


@torch.no_grad()
def test_a_horizon_after_all_reports_is_the_feature_of_admissions_to_the_bit(encoder):
    batch = reports([3, 0, 5]).batch(np.arange(3))
    made, _ = encoder.network(batch, [48.0, torch.inf])["n"]
    assert torch.equal(made[:, 0], made[:, 1])
    assert torch.equal(made[:, 0], encoder(batch))
