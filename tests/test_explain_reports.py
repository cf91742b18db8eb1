"""Explanations of reports: sentences, planted words, what is shown of a text."""

import json
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from hospital_files import files, table
from torch import nn

from pipeline.explain import note
from pipeline.explain.model import Given
from pipeline.explain.note import mean_text, read_parts, sentences, worded
from pipeline.explain.parts import Items, attribute
from pipeline.explain.scoring import scores
from pipeline.note import doc2vec
from pipeline.note.encoder_doc2vec import Doc2VecNetwork
from pipeline.note.reports import Reports, Vectors
from pipeline.note.settings import Letters
from pipeline.stage.errors import InputError
from pipeline.training.items import offsets

ALL = Letters(least=1, most=None)
TELLS = "Severe cardiomegaly has progressed."
REPORTS = [
    f"EXAMINATION: CHEST\n\nFINDINGS: \n\nClear lungs. {TELLS if k % 2 else 'Heart is normal.'} "
    f"No effusion{' at all' if k == 3 else ''}.\n\nIMPRESSION: \n\nAs above."
    for k in range(30)
]


class First(nn.Module):
    def forward(self, batch):
        odds = batch["embedding"][:, 0, 0]
        return torch.stack([torch.zeros_like(odds), odds], dim=1)


class Sees(Doc2VecNetwork):
    """The sum of the first number over an episode's reports."""

    def forward(self, batch, horizons):
        owner, size = batch["owner"], len(batch["count"])
        total = torch.zeros(size).index_add(0, owner, batch["vector"][:, 0].float())
        feature = torch.zeros(size, 1, 512)
        feature[:, 0, 0] = total
        return {"n": (feature, torch.ones(size, 1, dtype=torch.bool))}


class Feature(nn.Module):
    def __init__(self):
        super().__init__()
        self.network, self.horizon = Sees(4), float("inf")

    def forward(self, batch):
        return self.network(batch, [self.horizon])["n"][0][:, 0]


@pytest.fixture
def given(tmp_path, monkeypatch):
    """Twenty episodes with one or two reports; a vector counts the word cardiomegaly."""
    names = [f"10000032-RR-{k}" for k in range(len(REPORTS))]
    pl.DataFrame({"note_id": names, "text": REPORTS}).write_parquet(tmp_path / "radiology.parquet")
    words = worded(pl.DataFrame({"sentence": REPORTS}), ALL)["words"]
    pl.DataFrame({"note_id": names, "words": words}).write_parquet(tmp_path / "clean.parquet")
    pl.DataFrame({"note_id": names}).write_parquet(tmp_path / "vectors.parquet")
    (tmp_path / "model.json").write_text(json.dumps({"letters": {"least": 1, "most": None}}))

    def infer(model, text, seed):
        return np.array([text.split().count("cardiomegaly"), 0, 0, 0], np.float32)

    monkeypatch.setattr(note, "infer", infer)
    monkeypatch.setattr(note, "load", lambda folder: None)
    count = np.array([2] * 10 + [1] * 10)
    vector = np.stack([infer(None, text, 0) for text in words])
    data = Reports(np.arange(30, dtype=np.float32), offsets(count), Vectors(vector), np.arange(30))
    ids = np.arange(20)
    rows = SimpleNamespace(episode=ids, subject=ids, label=ids % 2, of=lambda name: ids)
    paths = {"doc2vec": tmp_path / "model.json", "radiology": tmp_path / "radiology.parquet",
             "clean": tmp_path / "clean.parquet"}  # fmt: skip
    settings = {"vectors": tmp_path / "vectors.parquet", "encoder": "doc2vec"}
    return Given("note", settings, data, rows, Feature(), First(), torch.device("cpu"), paths,
                 None, 0, 99, 0)  # fmt: skip


def test_a_model_that_reads_one_word_is_explained_by_its_sentences(given):
    made = note.explain(given)
    whole, value = attribute(made.occluded, made.items)
    parts = [one for item in range(30) for one in made.of_item(item)["sentences"]]
    cause = np.array([one == TELLS for one in parts])
    assert np.array_equal(value != 0, cause) and (value[cause] == 1).all()
    old = made.items
    items = Items(old.episode, old.subject, old.label, old.start, cause)
    told = scores(made.occluded, items, whole, value, 0, "planted", None, 0, lambda n: n)
    assert told["pointing"]["value"]["value"] == 1 and told["items"] == 15
    assert told["share"]["value"]["value"] == 1 and told["informative"]


def test_parts_are_sentences_of_reports_not_of_episodes(given):
    made = note.explain(given)
    assert len(made.items.subject) == 30 and len(set(made.items.subject)) == 20
    assert made.items.start[-1] == 30 * 7  # two headings are sentences of their own


def test_words_are_shown_of_ten_patients_and_no_sentence_is(given):
    made = note.explain(given)
    _, value = attribute(made.occluded, made.items)
    shown = made.picture(value)["text"]
    names = {one["name"] for one in shown["words"]}
    assert {"cardiomegaly", "severe", "progressed", "effusion"} <= names
    assert "all" not in names and "at" not in names  # of one patient
    assert all(one["patients"] >= 10 for one in shown["words"])
    assert TELLS not in json.dumps(shown) and "has progressed" not in json.dumps(shown)
    hidden = mean_text(made.items, read_parts(given, given.data, np.arange(30), ALL), value, 21)
    assert hidden == {"words": [], "kinds": []}


def test_other_words_than_those_of_the_vectors_are_refused(given, tmp_path):
    changed = pl.read_parquet(tmp_path / "clean.parquet").with_columns(words=pl.lit("other"))
    changed.write_parquet(tmp_path / "clean.parquet")
    with pytest.raises(InputError, match="not the words that its vector was made from"):
        note.explain(given)


def test_sentences_of_the_hospital_hold_all_words_of_a_report():
    texts = table("note/radiology", files(500, films=False))["text"].drop_nulls().to_list()
    split = [(k, one) for k, text in enumerate(texts) for one, _ in sentences(text)]
    parts = worded(pl.DataFrame(split, schema=["item", "sentence"], orient="row"), ALL)
    joined = parts.group_by("item", maintain_order=True).agg(pl.col("words").str.join(" "))
    whole = worded(pl.DataFrame({"sentence": texts}), ALL)["words"]
    assert len(texts) > 300 and joined["words"].to_list() == whole.to_list()


def test_a_report_without_any_sentence_is_the_same_in_every_call(given, monkeypatch):
    """gensim itself starts an empty text from another random vector each time."""
    settings = {"dm": 0, "epochs": 2, "min_count": 1, "seed": 0, "vector_size": 4, "workers": 1}
    model = doc2vec.train(["clear lungs", "severe edema"] * 5, settings)
    monkeypatch.setattr(note, "infer", doc2vec.infer)
    monkeypatch.setattr(note, "load", lambda folder: model)
    made = note.explain(given)
    gone = np.ones((30, made.items.widest), bool)
    first, second = (made.occluded(np.arange(30), gone) for _ in range(2))
    assert (first == second).all()
