"""Explanations of reports: sentences, planted words, what is shown of a text."""

import json
import zlib
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from hospital_files import files, table
from pydantic import TypeAdapter
from torch import nn

from pipeline.explain import common, note
from pipeline.explain.model import Given
from pipeline.explain.note import mean_text, read_parts, sentences, worded
from pipeline.explain.parts import Items, attribute
from pipeline.explain.scoring import scores
from pipeline.note import doc2vec
from pipeline.note.encoder_doc2vec import Doc2VecNetwork
from pipeline.note.reports import Reports, Vectors
from pipeline.note.settings import Letters
from pipeline.stage.errors import InputError
from pipeline.stage.explanations import Explanations
from pipeline.training.items import offsets

ALL = Letters(least=1, most=None)
TELLS = "Severe cardiomegaly has progressed."
REPORTS = [
    f"EXAMINATION: CHEST\n\nFINDINGS: \n\nClear lungs {'ab'[k // 15]}{chr(97 + k % 15)}. "
    f"{TELLS if k % 2 else 'Heart is normal.'} No effusion{' at all' if k == 3 else ''}."
    "\n\nIMPRESSION: \n\nAs above."
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
    judged = scores(made.occluded, items, whole, value, 0, "planted", None, 0, lambda n: n)
    assert judged["pointing"]["value"]["value"] == 1 and judged["items"] == 15
    assert judged["share"]["value"]["value"] == 1 and judged["informative"]


def noise(model, text, seed):
    """A vector that says nothing of its text."""
    drawn = np.random.default_rng([seed, zlib.crc32(text.encode())])
    return drawn.normal(size=4).astype(np.float32)


def told(given, folder, off=0.0):
    """What is written of the model, whose result is `off` by so much."""
    made = note.explain(given)
    odds = pl.DataFrame({"episode_id": given.rows.episode[made.row], "odds": made.predicted()})
    by_episode = odds.unique("episode_id", maintain_order=True)  # all reports of one: the same
    chance = 1 / (1 + np.exp(-by_episode["odds"].to_numpy())) + off
    table = by_episode.select("episode_id", pl.Series("probability", chance),
                              pl.lit(0).alias("seed"))  # fmt: skip
    table.write_parquet(folder / "predictions.parquet")
    asked = SimpleNamespace(task="mortality", protocol="corrected", seed=0, suppress_below=0)
    head = common.head_of(asked, "n_unimodal_mortality", "note", "doc2vec", "unimodal", made)
    written = common.explained(head, given.rows, made, folder / "predictions.parquet", 0)
    TypeAdapter(Explanations).validate_python(written)
    return written


def test_of_a_text_that_moves_by_draws_alone_nothing_is_informative(given, tmp_path, monkeypatch):
    """The strongest parts are those with the largest noise: by the same draws they would move it
    most. The floor says how much of an attribution is noise."""
    monkeypatch.setattr(note, "infer", noise)
    # every text's first inference is that of the result
    words = pl.read_parquet(tmp_path / "clean.parquet")["words"]
    given.data.content.vector[:] = np.stack([noise(None, text, 0) for text in words])
    made = told(given, tmp_path)
    kinds = made["text"]["kinds"]
    strength = np.average([k["strength"] for k in kinds], weights=[k["parts"] for k in kinds])
    assert made["floor"]["low"] <= strength <= made["floor"]["high"]
    assert 0.2 < strength < 0.6  # one draw: 2 / sqrt(pi) = 1.13, the mean of 8: 0.4
    assert made["scores"]["deletion"]["informative"] is False


def test_a_text_that_draws_nothing_has_no_floor(given, tmp_path):
    made = told(given, tmp_path)
    assert made["floor"]["value"] == 0 and made["scores"]["deletion"]["informative"]
    assert made["reproduced"] < 1e-6 and made["reason"] is None


def test_another_model_than_that_of_the_result_is_not_explained(given, tmp_path):
    assert told(given, tmp_path, 0.009)["text"]
    made = told(given, tmp_path, 0.011)
    assert "by up to 0.011" in made["reason"] and made["reproduced"] == pytest.approx(0.011)
    assert made["text"] is made["scores"] is made["sample"] is None


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
