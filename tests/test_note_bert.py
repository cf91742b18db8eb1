"""BERT of reports: pieces, windows, a small one trained twice, vectors, the last layer alone."""

import json
import os
import subprocess
import sys
from shutil import copy

import numpy as np
import polars as pl
import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
)

from pipeline.cohort.settings import Fold
from pipeline.cohort.split import split_of
from pipeline.note import embed, pieces, train_bert
from pipeline.note.bert import LearningText, load_text_model, mean_by
from pipeline.note.encoder_bert import BertNetwork
from pipeline.note.pieces import SPECIAL, load_tokenizer, train_tokenizer, windows
from pipeline.note.reports import Reports, padded, read_pieces
from pipeline.note.settings import TinyBert
from pipeline.stage.errors import InputError

SPLIT = {"salt": "test", "train": 0.5, "fusion": 0.2, "val": 0.1, "test": 0.2}
TINY = {"layers": 2, "width": 16, "heads": 2, "vocabulary": 200, "reports": 60, "epochs": 2}
TINY |= {"seed": 0}
TEXTS = [
    "clear lungs normal heart unremarkable study mediastinum",
    "effusion pleural layering bilateral basal fluid meniscus",
    "fracture femur displaced cortex alignment callus bone",
]
SUBJECTS = range(10_000_000, 10_000_060)
TABLES = ["clean.parquet", "radiology.parquet"]


def texts(count, seed=0):
    """Reports of 5 to 40 words."""
    random = np.random.default_rng(seed)
    words = " ".join(TEXTS).split()
    return [" ".join(random.choice(words, random.integers(5, 40))) for _ in range(count)]


def small_bert(vocabulary, layers=2):
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=vocabulary, hidden_size=16, num_hidden_layers=layers, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=24,
    )  # fmt: skip
    return BertModel(config, add_pooling_layer=False).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A BERT of random weights, as a user may have one: weights, and a list of pieces."""
    made = tmp_path_factory.mktemp("bert")
    tokenizer = train_tokenizer(TEXTS, 80)
    small_bert(len(tokenizer)).save_pretrained(made)
    pieces = sorted(tokenizer.get_vocab().items(), key=lambda piece: piece[1])
    (made / "vocab.txt").write_text("".join(f"{piece}\n" for piece, _ in pieces))
    return made


@pytest.fixture
def stage(monkeypatch):
    """Runs a stage with these flags and gives the path of its output."""

    def run(module, **given):
        flags = [str(x) for k, v in given.items() for x in (f"--{k.replace('_', '-')}", v)]
        monkeypatch.setattr(sys, "argv", [module.__name__, *flags])
        module.main()
        return given["output"]

    return run


@pytest.fixture
def train(stage, tmp_path):
    """Trains on one report per subject."""

    def run(reports, name="model", **change):
        rows = pl.DataFrame({"note_id": [f"{s}-RR-1" for s in SUBJECTS], "subject_id": SUBJECTS})
        rows.write_parquet(tmp_path / "clean.parquet")
        rows.with_columns(text=pl.Series(reports)).write_parquet(tmp_path / "radiology.parquet")
        given = {"split": json.dumps(SPLIT), "settings": json.dumps(TINY | change), "tokens": 24}
        given |= {"torch_threads": 1, "device": "cpu", "output": tmp_path / name}
        paths = dict(zip(("notes", "radiology"), (tmp_path / name for name in TABLES), strict=True))
        return stage(train_bert, **paths, **given)

    return run


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_training_is_repeatable_to_the_byte_and_leaves_no_pickle(train, tmp_path):
    first, second = train(texts(60), "a"), train(texts(60), "b")
    names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert list(bytes_of(first)) == names
    assert bytes_of(first) == bytes_of(second)
    other = train(texts(60), "c", seed=1)
    assert bytes_of(other)["model.safetensors"] != bytes_of(first)["model.safetensors"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "c", *TABLES]


def test_pieces_do_not_depend_on_the_process():
    """Signs that are no punctuation stand within words, as in 37°c or 5±2."""
    code = (
        "import sys; from pipeline.note.pieces import train_tokenizer\n"
        "for words in sys.argv[1:]:\n"
        "    print(sorted(train_tokenizer(words.split(), 60).get_vocab().items()))"
    )
    signs = [("mnop", "abcdefgh"), ("°±×¬", "12345678")]
    ties = [[f"{a}{b}{c}" for a in first for b in last for c in "ijkl"] for last, first in signs]
    command = [sys.executable, "-c", code, *map(" ".join, ties)]
    path = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    run = {"capture_output": True, "text": True, "check": True, "env": path}
    first, second = (subprocess.run(command, **run).stdout for _ in range(2))
    assert first == second
    assert [line.count(",") > 100 for line in first.splitlines()] == [True, True]


def test_all_signs_within_words_are_numbered_first():
    """Else in the order in which the library meets them, which differs each time."""
    tokenizer = train_tokenizer(["Temp 37°C, 5±2 – ok"], 60)
    pieces = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    assert pieces[5:18] == [f"##{sign}" for sign in "2357cekmopt°±"]
    assert "##," not in pieces and "##–" not in pieces


def test_reports_of_other_than_training_subjects_change_nothing(train):
    own = [split_of(subject, Fold(**SPLIT)) == "train" for subject in SUBJECTS]
    assert 15 < sum(own) < 45
    words = texts(60)
    changed = [w if mine else "xylophone" for w, mine in zip(words, own, strict=True)]
    assert bytes_of(train(words, "a")) == bytes_of(train(changed, "b"))
    changed = [w if not mine else "xylophone " + w for w, mine in zip(words, own, strict=True)]
    assert bytes_of(train(words, "a")) != bytes_of(train(changed, "c"))


def test_no_more_reports_than_asked_and_none_is_a_clear_error(train, tmp_path):
    train(texts(60))
    radiology = str(tmp_path / "radiology.parquet")

    def sample(name):
        return train_bert.sample(str(tmp_path / name), radiology, Fold(**SPLIT), 7)

    some = sample("clean.parquet")
    assert some.height == 7
    reverse = pl.read_parquet(tmp_path / "clean.parquet").reverse()
    reverse.write_parquet(tmp_path / "reverse.parquet")
    again = sample("reverse.parquet")
    assert again.equals(some)
    reverse.clear().write_parquet(tmp_path / "none.parquet")
    with pytest.raises(InputError, match=r"none\.parquet: no report of a training subject"):
        sample("none.parquet")


def test_hidden_pieces_are_never_special_and_in_the_shares_of_bert():
    torch.manual_seed(0)
    tokens = torch.randint(5, 1000, (200, 100))
    tokens[:, :2] = torch.tensor([2, 0])
    shown, asked = train_bert.hide(tokens, 1000)
    assert not asked[:, :2].any()
    assert torch.equal(shown[~asked], tokens[~asked])
    assert asked[:, 2:].float().mean().item() == pytest.approx(0.15, abs=0.01)
    masked, kept = shown[asked] == SPECIAL.index("[MASK]"), shown[asked] == tokens[asked]
    assert masked.float().mean().item() == pytest.approx(0.8, abs=0.03)
    assert kept.float().mean().item() == pytest.approx(0.1, abs=0.03)


def test_training_learns_to_guess():
    tokenizer = train_tokenizer(TEXTS, 200)
    table = windows(
        tokenizer, pl.DataFrame({"note_id": [*map(str, range(96))], "text": TEXTS * 32}), 40
    )
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1,
                        num_attention_heads=2, intermediate_size=32)  # fmt: skip
    torch.manual_seed(0)
    tokens = torch.tensor(table["tokens"].to_list()[:1])
    hidden = tokens.clone()
    hidden[0, 2] = SPECIAL.index("[MASK]")

    def chance(model):
        return model(hidden).logits[0, 2].softmax(0)[tokens[0, 2]].item()

    before = chance(BertForMaskedLM(config).eval())
    settings = TinyBert(**TINY | {"epochs": 40})
    after = chance(train_bert.train(table, config, settings, torch.device("cpu")))
    assert after > 5 * before


def test_nothing_of_a_long_report_is_cut_away_and_every_window_fits(folder):
    tokenizer = load_tokenizer(str(folder))
    words = [" ".join(TEXTS * 3), "lungs", "xyzzy " * 3]
    table = windows(tokenizer, pl.DataFrame({"note_id": [*"abc"], "text": words}), 12)
    assert table.group_by("note_id").len().sort("note_id")["len"].to_list()[1:] == [1, 1]
    for name, text in zip("abc", words, strict=True):
        own = table.filter(note_id=name)
        assert own["window"].to_list() == [*range(own.height)]
        every = own["tokens"].to_list()
        assert all(len(t) <= 12 and (t[0], t[-1]) == (2, 3) for t in every)
        whole = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert [piece for t in every for piece in t[1:-1]] == whole
    assert windows(tokenizer, pl.DataFrame({"note_id": [], "text": []}), 12).is_empty()


@pytest.fixture
def embedded(stage, tmp_path, folder):
    """Cuts and embeds these reports (name → text), of which `used` are used."""

    def run(words, used, tokens=12, name="x"):
        table = pl.DataFrame({"note_id": list(words), "text": list(words.values())})
        table.write_parquet(tmp_path / "radiology.parquet")
        uses = pl.DataFrame({"note_id": used}, schema={"note_id": pl.String})
        uses.write_parquet(tmp_path / "used.parquet")
        paths = {"radiology": tmp_path / "radiology.parquet"}
        paths |= {"episode_notes": tmp_path / "used.parquet"}
        cut = tmp_path / "t.parquet"
        stage(pieces, **paths, model=folder, tokens=tokens, output=cut)
        output = tmp_path / f"{name}.parquet"
        flags = {"model": folder, "torch_threads": 1, "device": "cpu", "output": output}
        flags |= {"store": tmp_path / "store", "facts": tmp_path / "facts.json"}
        return pl.read_parquet(stage(embed, tokens=cut, **flags)), cut

    return run


@torch.no_grad()
def test_a_vector_is_the_mean_of_the_cls_of_its_windows_alone(embedded, folder):
    words = {"b": TEXTS[0], "a": " ".join(TEXTS), "c": "lungs", "d": "heart"}
    made, cut = embedded(words, ["a", "c", "b", "a"])
    assert made["note_id"].to_list() == [*"abc"]
    assert made.schema["vector"] == pl.Array(pl.Float32, 16)
    model, table = load_text_model(str(folder)).net, pl.read_parquet(cut)
    assert table.filter(note_id="a").height > 2
    for name, vector in made.iter_rows():
        own = table.filter(note_id=name)["tokens"].to_list()
        each = [model(torch.tensor([t])).last_hidden_state[0, 0] for t in own]
        torch.testing.assert_close(torch.tensor(vector), sum(each) / len(each))


def test_reports_are_read_as_they_were_written(embedded, train):
    """Removed spans, numbers and long words included: all that Doc2Vec does not read."""
    report = "Dr. ___ on ___:\nNaïve Hydropneumothorax, 2.5 cm. "
    folder = train([report] * 60, vocabulary=300)
    tokenizer = load_tokenizer(str(folder))
    _, cut = embedded({"a": report}, ["a"], tokens=24)
    made = windows(tokenizer, pl.DataFrame({"note_id": ["a"], "text": [report]}), 64)
    pieces = tokenizer.convert_ids_to_tokens(made["tokens"][0].to_list())
    assert "".join(pieces[1:-1]).replace("##", "") == "dr.___on___:naivehydropneumothorax,2.5cm."
    assert "[UNK]" not in pieces
    plain = windows(load_tokenizer(str(folder)), pl.DataFrame(
        {"note_id": ["a"], "text": ["dr on naïve hydropneumothorax cm"]}), 64)  # fmt: skip
    assert pl.read_parquet(cut)["tokens"].list.len().sum() > plain["tokens"].list.len().sum()


def test_embedding_nothing_gives_an_empty_table(embedded):
    none, cut = embedded({"a": TEXTS[0]}, [])
    assert none.is_empty()
    assert none.schema["vector"] == pl.Array(pl.Float32, 16)
    assert pl.read_parquet(cut).is_empty()


def test_what_is_no_bert_is_a_clear_error(folder, tmp_path):
    with pytest.raises(InputError, match=r"holds no config\.json"):
        load_text_model(str(tmp_path))
    DistilBertModel(DistilBertConfig(vocab_size=50, dim=8, n_layers=1, n_heads=2, hidden_dim=8)
                    ).save_pretrained(tmp_path / "other")  # fmt: skip
    with pytest.raises(InputError, match=r"other has no tokenizer\.json or vocab\.txt"):
        load_tokenizer(str(tmp_path / "other"))
    small_bert(30, layers=1).save_pretrained(tmp_path / "short")
    copy(folder / "vocab.txt", tmp_path / "short")
    text = (tmp_path / "short" / "config.json").read_text()
    deep = text.replace('"num_hidden_layers": 1', '"num_hidden_layers": 2')
    (tmp_path / "short" / "config.json").write_text(deep)
    with pytest.raises(InputError, match="lacks 16 weights of a bert"):  # else filled at random
        load_text_model(str(tmp_path / "short"))
    (tmp_path / "short" / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"short has no model\.safetensors$"):
        load_text_model(str(tmp_path / "short"))


@pytest.mark.parametrize("name", ["/no/such/folder", "./bert", "~/x", "bert", "a/b/c"])
def test_what_is_neither_folder_nor_hub_name_never_reaches_the_hub(monkeypatch, name):
    monkeypatch.setattr(AutoModel, "from_pretrained", None)
    with pytest.raises(InputError, match=r"no folder .* and no hub name"):
        load_text_model(name)


def test_a_bert_saved_for_masked_language_modelling_loads_the_same(folder, tmp_path):
    full = BertForMaskedLM(load_text_model(str(folder)).net.config)
    full.save_pretrained(tmp_path)
    copy(folder / "vocab.txt", tmp_path)
    loaded = load_text_model(str(tmp_path)).net
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, full.bert.state_dict()[name])


@pytest.fixture
def learning(folder, tmp_path):
    """A stay encoder whose BERT's last layer learns, and reports of three stays."""
    tokenizer = load_tokenizer(str(folder))
    names = [f"{k}" for k in range(5)]
    windows(tokenizer, pl.DataFrame({"note_id": names, "text": texts(5)}), 12).write_parquet(
        tmp_path / "t.parquet"
    )
    known = np.array([-5, 4, 1, 20, 47], np.float32)
    pieces = read_pieces(tmp_path / "t.parquet")[1]
    data = Reports(known, np.array([0, 2, 2, 5]), pieces, np.arange(5))
    torch.manual_seed(0)
    return BertNetwork(16, LearningText(load_text_model(str(folder)), "last")), data


def test_only_the_last_layer_learns_and_only_it_drops_out(learning):
    encoder, data = learning
    batch = data.batch(np.arange(3))
    encoder.train()
    made, _ = encoder(batch, [4.0, 48.0])["n"]
    made.sum().backward()
    moved = {n for n, p in encoder.learning.model.net.named_parameters() if p.grad is not None}
    assert moved
    assert all(name.startswith("encoder.layer.1.") for name in moved)
    assert [m.training for m in encoder.learning.model.net.encoder.layer] == [False, True]
    assert not encoder.learning.model.net.embeddings.dropout.training
    assert not torch.equal(encoder(batch, [48.0])["n"][0], encoder(batch, [48.0])["n"][0])
    encoder.eval()
    assert torch.equal(encoder(batch, [48.0])["n"][0], encoder(batch, [48.0])["n"][0])


@torch.no_grad()
def test_pieces_give_what_the_frozen_vectors_give(learning):
    encoder, data = learning
    encoder.eval()
    batch = data.batch(np.array([2, 1, 0]))
    made, present = encoder(batch, [4.0, 48.0])["n"]
    assert present.tolist() == [[True, True], [False, False], [True, True]]
    frozen = BertNetwork(16).eval()
    cls = encoder.learning.model(batch["tokens"], batch["mask"])
    vectors = {**batch, "vector": mean_by(cls, batch["report"], len(batch["hours"]))}
    torch.testing.assert_close(frozen(vectors, [4.0, 48.0])["n"][0], made)


@torch.no_grad()
def test_pieces_of_a_report_known_at_the_horizon_change_no_bit_before_it(learning):
    encoder, data = learning
    encoder.eval()
    before, _ = encoder(data.batch(np.arange(3)), [4.0, 48.0])["n"]
    pieces = data.content
    for report in np.flatnonzero(data.hours >= 4):
        first, last = pieces.tokens[pieces.windows[[report, report + 1]]]
        pieces.token = pieces.token.copy()
        pieces.token[first:last] = 9
    after, _ = encoder(data.batch(np.arange(3)), [4.0, 48.0])["n"]
    assert torch.equal(after[:, 0], before[:, 0])
    assert not torch.equal(after[:, 1], before[:, 1])


@torch.no_grad()
def test_a_stay_without_reports_alone_is_zeros(learning):
    encoder, data = learning
    made, present = encoder.eval()(data.batch(np.array([1])), [4.0])["n"]
    assert not made.any()
    assert not present.any()


def test_padding_is_never_attended_to(folder):
    model = load_text_model(str(folder))
    tokens, mask = padded(torch.tensor([2, 9, 3, 2, 8, 8, 7, 3]), torch.tensor([3, 5]))
    other = torch.where(mask, tokens, 11)
    with torch.no_grad():
        made = model(tokens, mask)
        assert torch.equal(made, model(other, mask))
        alone = model(tokens[:1, :3], mask[:1, :3])
    torch.testing.assert_close(made[:1], alone)
