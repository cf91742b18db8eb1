"""Models of text by name: whose tokens, padding and positions; each report embedded once."""

import json
import sys
from shutil import copytree
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from text_models import FAMILIES, MOST, TEXTS, WIDTH, text_model
from transformers import AutoModel, AutoTokenizer

from pipeline.note import embed, pieces
from pipeline.note.bert import LearningText, TextModel, last_layer, load_text_model
from pipeline.note.embed import widths
from pipeline.note.encoder_bert import ENCODER
from pipeline.note.notes import NOTES
from pipeline.note.pieces import load_tokenizer, windows
from pipeline.note.reports import padded
from pipeline.stage.errors import InputError
from pipeline.training import pace

LONG = " ".join(TEXTS * 3)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {family: text_model(family, folder / family) for family in FAMILIES}


@pytest.fixture(params=FAMILIES)
def folder(request, folders):
    return folders[request.param]


def cut(folder, texts, tokens=MOST):
    table = pl.DataFrame({"note_id": [f"{k:04}" for k in range(len(texts))], "text": texts})
    return windows(load_tokenizer(str(folder)), table, tokens)


def test_pieces_are_those_of_the_folders_tokenizer_with_its_special_tokens(folder):
    table = cut(folder, [LONG], 12)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    each = table["tokens"].to_list()
    assert len(each) > 3
    assert all(len(t) <= 12 for t in each)
    assert {(t[0], t[-1]) for t in each} == {(tokenizer.cls_token_id, tokenizer.sep_token_id)}
    whole = tokenizer(LONG, add_special_tokens=False)["input_ids"]
    assert [piece for t in each for piece in t[1:-1]] == whole


@torch.no_grad()
def test_a_windows_vector_is_the_first_token_alone_whatever_the_padding(folder):
    model = load_text_model(str(folder))
    plain = AutoModel.from_pretrained(folder).eval()
    tokens = cut(folder, [LONG, "Clear lungs."])["tokens"].to_list()
    length = torch.tensor([len(t) for t in tokens])
    assert length.max() == MOST  # the longest that it takes
    assert length.min() < MOST - 4
    flat = torch.tensor([piece for t in tokens for piece in t])
    made = model(*padded(flat, length))
    alone = [plain(input_ids=torch.tensor([t])).last_hidden_state[0, 0] for t in tokens]
    torch.testing.assert_close(made, torch.stack(alone), atol=1e-5, rtol=1e-4)
    assert made.std(dim=0).mean() > 1e-3  # the windows differ, so do their vectors


def test_windows_that_a_model_does_not_take_are_refused(folder):
    model = load_text_model(str(folder))
    model.check(np.array([5]), MOST)
    with pytest.raises(InputError, match=f"note.bert.tokens: {MOST + 1}, but this model takes 24"):
        model.check(np.array([5]), MOST + 1)
    with pytest.raises(InputError, match="its tokenizer has more pieces than the"):
        model.check(np.array([5, 9999]), MOST)


@torch.no_grad()
def test_without_a_token_for_the_window_it_is_the_mean_of_its_tokens(folders, tmp_path):
    folder = copytree(folders["roberta"], tmp_path / "plain")
    for name, keys in (("tokenizer.json", ["post_processor"]),
                       ("tokenizer_config.json", ["cls_token", "bos_token"])):  # fmt: skip
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(content | dict.fromkeys(keys)))
    model = load_text_model(str(folder))
    assert not model.first
    tokens, mask = padded(torch.tensor([5, 6, 7, 8, 9]), torch.tensor([2, 3]))
    plain = AutoModel.from_pretrained(folder).eval()
    alone = [plain(input_ids=torch.tensor([t])).last_hidden_state[0].mean(dim=0)
             for t in ([5, 6], [7, 8, 9])]  # fmt: skip
    torch.testing.assert_close(model(tokens, mask), torch.stack(alone), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("part", ["last", "all"])
def test_the_last_layer_or_all_of_a_model_learns(folder, part):
    torch.manual_seed(0)
    learning = LearningText(load_text_model(str(folder)), part).train()
    tokens = cut(folder, [LONG, "Clear lungs."])["tokens"]
    length = torch.from_numpy(tokens.list.len().to_numpy().astype(int))
    flat = torch.from_numpy(tokens.explode().to_numpy().astype(int))
    owner = torch.tensor([*[0] * (len(tokens) - 1), 1])
    learning(*padded(flat, length), owner, 2).square().sum().backward()
    moved = {name for name, p in learning.model.net.named_parameters() if p.grad is not None}
    last = {id(p) for p in last_layer(learning.model.net).parameters()}
    expected = {name for name, p in learning.model.net.named_parameters()
                if part == "all" or id(p) in last}  # fmt: skip
    assert moved == expected
    assert moved
    assert learning.eval() is learning
    assert not any(module.training for module in learning.modules())


def test_files_that_are_no_tokenizer_are_refused_in_one_line(folders, tmp_path):
    folder = copytree(folders["roberta"], tmp_path / "broken")
    (folder / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "none"}}')
    with pytest.raises(InputError, match="has no tokenizer that can be read") as error:
        load_tokenizer(str(folder))
    assert "\n" not in str(error.value)


def test_lengths_are_padded_to_few_widths_that_fit():
    length = np.arange(1, 513)
    width = widths(length, 510 + 2)
    assert (width >= length).all()
    assert len(np.unique(width)) < 24
    assert ((width - length)[length > 64] <= length[length > 64] / 4).all()
    assert widths(np.array([21]), 22).tolist() == [22]


class Cohort:
    """Reports of the source, and the stages that cut and embed those of a cohort."""

    def __init__(self, folder, monkeypatch, model, texts):
        self.folder, self.monkeypatch, self.model = folder, monkeypatch, model
        table = pl.DataFrame({"note_id": list(texts), "text": list(texts.values())})
        table.write_parquet(folder / "radiology.parquet")

    def stage(self, module, **flags):
        words = [f"{x}" for key, value in flags.items() for x in (f"--{key.replace('_', '-')}",
                                                                  value)]  # fmt: skip
        self.monkeypatch.setattr(sys, "argv", [module.__name__, *words])
        module.main()

    def embed(self, used, store="store", tokens=12, **change):
        """Vectors by report; how many arrays the store has."""
        rows = [(1, name, k) for k, name in enumerate(used)]
        used = self.folder / "used.parquet"
        pl.DataFrame(rows, schema=NOTES.columns, orient="row").write_parquet(used)
        made = {name: self.folder / f"{name}.parquet" for name in ("tokens", "bert")}
        self.stage(pieces, radiology=self.folder / "radiology.parquet", episode_notes=used,
                   model=self.model, tokens=tokens, output=made["tokens"])  # fmt: skip
        flags = {"tokens": made["tokens"], "model": self.model, "torch_threads": 1, "device": "cpu",
                 "store": self.folder / store, "output": made["bert"],
                 "facts": self.folder / "bert.json"}  # fmt: skip
        self.stage(embed, **flags | change)
        return dict(pl.read_parquet(made["bert"]).rows())

    def arrays(self):
        return {path.name: path.stat().st_mtime_ns for path in self.folder.glob("store/*/*.npy")}


@pytest.fixture
def cohort(folders, tmp_path, monkeypatch):
    words = LONG.split()
    random = np.random.default_rng(0)
    texts = {f"{k:03}": " ".join(random.choice(words, random.integers(2, 60))) for k in range(70)}
    return Cohort(tmp_path, monkeypatch, folders["roberta"], texts)


def test_a_changed_cohort_embeds_new_reports_alone_and_deletes_none(cohort):
    names = [f"{k:03}" for k in range(70)]
    first = cohort.embed(names[:50])
    before = cohort.arrays()
    again = cohort.embed(names[20:50])
    assert cohort.arrays() == before  # nothing was embedded
    assert again == {name: first[name] for name in names[20:50]}
    more = cohort.embed(names[30:])
    after = cohort.arrays()
    assert before.items() < after.items()
    assert len(after) == 2
    assert list(more) == names[30:]
    facts = json.loads((cohort.folder / "bert.json").read_text())
    assert (facts["width"], facts["precision"], facts["first_token"]) == (WIDTH, "fp32", True)


def test_a_vector_is_the_same_to_the_bit_whichever_reports_are_new_with_it(cohort, monkeypatch):
    """Batches have few shapes, on which alone the last bits depend."""
    names, words, shapes = [f"{k:03}" for k in range(70)], LONG.split(), set()
    short = [" ".join(words[: k % 5 + 1]) for k in range(70)]  # of one window, of many lengths
    radiology = cohort.folder / "radiology.parquet"
    pl.DataFrame({"note_id": names, "text": short}).write_parquet(radiology)
    plain = TextModel.forward

    def forward(self, tokens, mask):
        shapes.add(tuple(tokens.shape))
        return plain(self, tokens, mask)

    monkeypatch.setattr(TextModel, "forward", forward)
    together = cohort.embed(names, tokens=MOST)
    for few in (names[:1], names[1:3], names[1:40]):
        cohort.embed(few, store="other", tokens=MOST)
    assert cohort.embed(names, store="other", tokens=MOST) == together
    assert len(shapes) > 1
    assert shapes <= {(embed.BATCH, width) for width in (8, 16, 24)}


def test_a_report_whose_text_changes_and_other_weights_are_embedded_anew(cohort, folders):
    names = ["000", "001"]
    first = cohort.embed(names)
    table = pl.read_parquet(cohort.folder / "radiology.parquet")
    other = pl.when(note_id="001").then(pl.lit("Effusion.")).otherwise("text").alias("text")
    table.with_columns(other).write_parquet(cohort.folder / "radiology.parquet")
    second = cohort.embed(names)
    assert second["000"] == first["000"]
    assert second["001"] != first["001"]
    assert len(cohort.arrays()) == 2
    cohort.embed(names, precision="bf16")
    assert len(list((cohort.folder / "store").iterdir())) == 2
    cohort.model = folders["modernbert"]
    cohort.embed(names)
    assert len(list((cohort.folder / "store").iterdir())) == 3


@pytest.mark.parametrize("trained", ["frozen", "last", "all"])
def test_the_encoder_gives_a_token_of_reports_known_by_each_horizon(cohort, trained):
    cohort.embed(["000", "001", "002"])
    rows = [(1, "000", 60), (1, "001", 600), (2, "002", 60)]
    notes = cohort.folder / "notes.parquet"
    pl.DataFrame(rows, schema=NOTES.columns, orient="row").write_parquet(notes)
    settings = {"trained": trained, "before": 48, "notes": notes, "model": str(cohort.model)}
    settings |= {name: cohort.folder / f"{name}.parquet" for name in ("tokens", "bert")}
    data = ENCODER.data(settings, np.array([1, 2, 3]))
    torch.manual_seed(0)
    network = ENCODER.network(settings, data, np.arange(3)).eval()
    made, present = network(data.batch(np.arange(3)), [4.0, 48.0])["n"]
    assert made.shape == (3, 2, WIDTH)
    assert present.tolist() == [[True, True], [True, True], [False, False]]
    assert not torch.equal(made[0, 0], made[0, 1])
    assert torch.equal(made[1, 0], made[1, 1])


@pytest.mark.parametrize(
    ("words", "settings", "read"),
    [
        (["Lungs", "lungs"], None, ["Lungs", "lungs"]),
        (["lungs"], None, ["lungs", "lungs"]),
        (["Lungs", "lungs"], {"do_lower_case": True}, ["lungs", "lungs"]),
    ],
)
def test_upper_case_is_kept_where_the_vocabulary_has_it_and_nothing_says_otherwise(
    folders, tmp_path, words, settings, read
):
    copytree(folders["bert"], tmp_path / "bert")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "bert" / name).unlink(missing_ok=True)
    pieces_of = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (tmp_path / "bert/vocab.txt").write_text("\n".join(pieces_of) + "\n")
    if settings:
        (tmp_path / "bert/tokenizer_config.json").write_text(json.dumps(settings))
    assert load_tokenizer(str(tmp_path / "bert")).tokenize("Lungs lungs") == read


def test_what_embedding_takes_is_measured_of_a_frozen_model(folders):
    asked = SimpleNamespace(device="cpu", torch_threads=1, precision="fp32")
    settings = {"encoder": "bert", "model": str(folders["bert"]), "tokens": 256}
    found = pace.frozen("note", settings, asked)
    assert found["items"] == "windows of reports" and found["seconds"] > 0
    assert "small BERT" in pace.frozen("note", settings | {"model": None}, asked)["reason"]
