"""The note encoder: LSTM over an episode's reports, maximum over them; its data by episode."""

import numpy as np
import polars as pl
import pytest
import torch

from pipeline.note.dataset import NoteData, load
from pipeline.note.encoder import NoteEncoder
from pipeline.note.modality import Note
from pipeline.note.notes import NOTES

SIZE = 512


def reports(counts, seed=0):
    """Episodes with so many reports each."""
    random = np.random.default_rng(seed)
    vector = random.normal(2, 3, (sum(counts), SIZE)).astype(np.float32)
    start = np.concatenate([[0], np.cumsum(counts)])
    return NoteData(vector=vector, which=random.permutation(sum(counts)), start=start)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    encoder = NoteEncoder(SIZE)
    encoder.mean.fill_(2.0)
    encoder.scale.fill_(3.0)
    return encoder.eval()


@torch.no_grad()
def slow_feature(encoder, data, episode):
    """One episode's feature, report by report through a plain LSTM cell."""
    lstm, best = encoder.lstm, torch.full((512,), -torch.inf)
    hidden = cell = torch.zeros(512)
    for use in range(*data.start[episode : episode + 2]):
        vector = (torch.from_numpy(data.vector[data.which[use]]) - 2) / 3
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
    encoder = Note().encoder({"standardise": True}, data, np.array([0, 2]))
    used = data.vector[data.which[[0, 1, 5]]]
    np.testing.assert_allclose(encoder.mean, used.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(encoder.scale, used.std(axis=0), rtol=1e-4)


def test_published_vectors_are_taken_as_they_are():
    encoder = Note().encoder({"standardise": False}, reports([2, 3]), np.array([0, 1]))
    assert not encoder.mean.any()
    assert (encoder.scale == 1).all()


def test_reports_of_an_episode_come_in_the_order_of_time(tmp_path):
    rows = [(1, "c", 60), (1, "a", 600), (2, "a", 5), (1, "b", 60)]
    table = pl.DataFrame(rows, schema=NOTES.columns, orient="row")
    table.write_parquet(tmp_path / "notes.parquet")
    vector = pl.Series([[1.0, 1], [2, 2], [3, 3]], dtype=pl.Array(pl.Float32, 2))
    made = pl.DataFrame({"note_id": ["a", "b", "c"], "vector": vector})
    made.write_parquet(tmp_path / "vectors.parquet")
    paths = tmp_path / "notes.parquet", tmp_path / "vectors.parquet"
    data = load(*paths, np.array([2, 3, 1]))
    assert data.present().tolist() == [True, False, True]
    batch = data.batch(np.array([2, 1, 0]))
    assert batch["count"].tolist() == [3, 0, 1]
    assert batch["vector"][:, 0].tolist() == [2, 3, 1, 1]
