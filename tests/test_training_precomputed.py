"""A user's own embeddings: what is wrong with a table is one line, what is right trains."""

import json
import sys

import numpy as np
import polars as pl
import pytest
import torch

from pipeline.cxr.encoder_precomputed import ENCODER as FILM_VECTORS
from pipeline.cxr.films import FILMS
from pipeline.note.encoder_precomputed import ENCODER as REPORT_VECTORS
from pipeline.note.notes import NOTES
from pipeline.stage.errors import InputError
from pipeline.training import precomputed
from pipeline.training.modality import Feature
from pipeline.training.precomputed import read_embeddings

NAN = float("nan")
SETTING = "cxr.precomputed"


def table(path, names, vectors, key="dicom_id", kind=None):
    column = pl.Series("embedding", vectors, dtype=kind)
    pl.DataFrame({key: names}).with_columns(column).write_parquet(path)
    return path


@pytest.mark.parametrize(
    ("names", "vectors", "why"),
    [
        (
            ["a", "b"],
            [[1.0, 2.0], [1.0]],
            "embedding holds lists of 1, 2 numbers; expected one len",
        ),
        (["a", "b"], [[1.0, 2.0], [NAN, 1.0]], "holds <10 numbers that are null, NaN or infinite"),
        (["a", "b"], [[1.0, 2.0], [None, 1.0]], "holds <10 numbers that are null, NaN or infinite"),
        (["a", "b"], [[1.0, 2.0], None], "holds lists of null, 2 numbers"),
        (["a", "b"], [["x"], ["y"]], "embedding is List(String), expected a list of numbers"),
        (["a", "b"], [1.0, 2.0], "embedding is Float64, expected a list of numbers"),
        (["a", "a"], [[1.0], [2.0]], "dicom_id repeats in <10 rows; expected one row each"),
        ([1, 2], [[1.0], [2.0]], "dicom_id is Int64, expected a text"),
        (["a", None], [[1.0], [2.0]], "dicom_id is null"),
        ([], [], "expected"),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(tmp_path, names, vectors, why):
    path = table(tmp_path / "mine.parquet", names, vectors)
    with pytest.raises(InputError) as error:
        read_embeddings(path, "dicom_id", SETTING)
    message = str(error.value)
    assert message.startswith(f"config.{SETTING}: {path}")
    assert why in message
    assert "\n" not in message


def test_a_column_that_is_missing_is_named(tmp_path):
    path = table(tmp_path / "mine.parquet", ["a"], [[1.0]], key="note_id")
    with pytest.raises(InputError, match="has no column dicom_id; expected dicom_id"):
        read_embeddings(path, "dicom_id", SETTING)


@pytest.mark.parametrize("kind", [pl.List(pl.Float64), pl.Array(pl.Float32, 2), pl.List(pl.Int32)])
def test_lists_and_arrays_of_any_numbers_are_read(tmp_path, kind):
    path = table(tmp_path / "mine.parquet", ["a", "b"], [[1, 2], [3, 4]], kind=kind)
    made = read_embeddings(path, "dicom_id", SETTING)
    assert made["vector"].to_numpy().tolist() == [[1, 2], [3, 4]]
    assert made.schema["vector"] == pl.Array(pl.Float32, 2)


def matched(monkeypatch, tmp_path, items):
    given = {
        "setting": SETTING,
        "items": items,
        "embeddings": tmp_path / "mine.parquet",
        "output": tmp_path / "kept.parquet",
        "counts": tmp_path / "counts.json",
    }
    argv = ["precomputed", *(part for k, v in given.items() for part in (f"--{k}", str(v)))]
    monkeypatch.setattr(sys, "argv", argv)
    precomputed.main()
    return json.loads((tmp_path / "counts.json").read_text())


def film_table(path, names):
    rows = [(k % 2, name, 10, 5, 60 * k) for k, name in enumerate(names)]
    pl.DataFrame(rows, schema=FILMS.columns, orient="row").write_parquet(path)
    return path


def test_films_without_an_embedding_count_as_missing_and_are_said(tmp_path, monkeypatch, caplog):
    names = [f"film{k:02}" for k in range(40)]
    items = film_table(tmp_path / "films.parquet", names)
    table(tmp_path / "mine.parquet", [*names[:25], "other"], np.ones((26, 3)).tolist())
    counts = matched(monkeypatch, tmp_path, items)
    assert counts == {"needed": 40, "missing": 15, "width": 3}
    assert "15 of 40 films have no embedding; they count as missing" in caplog.text
    assert pl.read_parquet(tmp_path / "kept.parquet").height == 25
    table(tmp_path / "mine.parquet", names[:37], np.ones((37, 3)).tolist())
    caplog.set_level("INFO")
    assert matched(monkeypatch, tmp_path, items)["missing"] == 3
    assert "all but <10 embeddings of 3 numbers" in caplog.text and "37" not in caplog.text
    table(tmp_path / "mine.parquet", ["other"], [[1.0]])
    with pytest.raises(InputError, match=r"has none of the 40 films that the cohort needs"):
        matched(monkeypatch, tmp_path, items)


def test_embeddings_of_films_and_reports_train_a_small_network(tmp_path, monkeypatch):
    """The network sees an item's own vector, those known before a horizon alone, standardised."""
    names = [f"item{k}" for k in range(4)]
    vectors = np.random.default_rng(0).normal(100, [1, 50, 1e-9], (4, 3))
    films = film_table(tmp_path / "films.parquet", names)
    rows = [(k % 2, name, 60 * k) for k, name in enumerate(names)]
    notes = tmp_path / "notes.parquet"
    pl.DataFrame(rows, schema=NOTES.columns, orient="row").write_parquet(notes)
    tokens = {}
    for encoder, token, key, items in (
        (FILM_VECTORS, "c", "dicom_id", films), (REPORT_VECTORS, "n", "note_id", notes),
    ):  # fmt: skip
        table(tmp_path / "mine.parquet", names[:3], vectors[:3].tolist(), key=key)
        matched(monkeypatch, tmp_path, items)
        settings = {
            "films": films,
            "notes": notes,
            "precomputed": tmp_path / "kept.parquet",
            "hours_scale": 48.0,
            "before": None,
        }
        data = encoder.data(settings, np.array([1, 0, 5]))
        assert data.present().tolist() == [True, True, False]  # episode 1 has item 1 alone
        expected = torch.tensor(vectors[[1, 0, 2]], dtype=torch.float32)
        torch.testing.assert_close(data.batch(np.arange(3))["vector"], expected)
        torch.manual_seed(0)
        network = encoder.network(settings, data, np.array([0, 1]))
        assert network.scale.max() / network.scale.min() < 1e3  # what never varies is no giant
        feature, present = network(data.batch(np.arange(3)), [1.5, torch.inf])[token]
        assert feature.shape == (3, 2, 512)
        assert present.tolist() == [[True, True], [True, True], [False, False]]
        assert not torch.equal(feature[1, 0], feature[1, 1])  # item 2 comes after 1.5 hours
        feature.sum().backward()
        assert all(p.grad.any() for p in network.parameters())
        assert Feature(network)(data.batch(np.arange(3))).shape == (3, 512)
        tokens[token] = feature
    torch.testing.assert_close(tokens["c"], tokens["n"])
