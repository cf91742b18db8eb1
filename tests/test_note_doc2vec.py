"""Doc2Vec: repeatable to the bit in training and inference, fitted on training subjects only."""

import json
import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

from pipeline.cohort.settings import Fold
from pipeline.cohort.split import split_of
from pipeline.note import clean, doc2vec, vectors
from pipeline.stage.errors import InputError

SPLIT = {"salt": "words", "train": 0.5, "fusion": 0.2, "val": 0.1, "test": 0.2}
SETTINGS = {"dm": 0, "epochs": 10, "min_count": 2, "seed": 0, "vector_size": 24, "workers": 1}
TOPICS = [
    "effusion pleural layering bilateral basal fluid meniscus",
    "fracture femur displaced cortex alignment callus bone",
    "clear lungs normal heart unremarkable study mediastinum",
]


def texts(count, seed=0):
    """Reports of 8 to 60 words, each of one topic."""
    random = np.random.default_rng(seed)
    words = [TOPICS[k % 3].split() for k in range(count)]
    return [" ".join(random.choice(w, random.integers(8, 60))) for w in words]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model, and the folder that it was saved to."""
    folder = tmp_path_factory.mktemp("model")
    trained = doc2vec.train(texts(120), SETTINGS)
    doc2vec.save(trained, folder, SETTINGS)
    return trained, folder


@pytest.mark.parametrize("dm", [0, 1])
def test_training_is_repeatable_to_the_bit_and_the_kept_model_infers_like_the_trained(tmp_path, dm):
    settings = SETTINGS | {"dm": dm}
    for name in ("first", "second"):
        trained = doc2vec.train(texts(60), settings)
        doc2vec.save(trained, tmp_path / name, settings)
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()
    loaded = doc2vec.load(tmp_path / "first")
    for text in texts(6, seed=9):
        kept = doc2vec.infer(loaded, text, 0)
        np.testing.assert_array_equal(kept, doc2vec.infer(trained, text, 0))


def test_several_workers_train_a_model_that_is_kept_and_finds_topics_too(tmp_path):
    settings = SETTINGS | {"workers": 2}
    doc2vec.save(doc2vec.train(texts(120), settings), tmp_path, settings)
    loaded = doc2vec.load(tmp_path)
    assert loaded.workers == 2
    assert same_topic(loaded) > 0.6  # chance: a third


def same_topic(model):
    """How often the nearest of 60 new reports is of the same topic."""
    made = np.stack([doc2vec.infer(model, text, 0) for text in texts(60, seed=4)])
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    alike = made @ made.T - 2 * np.eye(60)
    return (alike.argmax(axis=1) % 3 == np.arange(60) % 3).mean()


def test_words_of_equal_frequency_keep_their_place(tmp_path):
    ties = " ".join(f"{first}{second}" for first in "abcdef" for second in "ghijkl")
    trained = doc2vec.train([ties] * 3, SETTINGS)
    doc2vec.save(trained, tmp_path, SETTINGS)
    loaded = doc2vec.load(tmp_path)
    assert loaded.wv.index_to_key == trained.wv.index_to_key
    np.testing.assert_array_equal(doc2vec.infer(loaded, ties, 0), doc2vec.infer(trained, ties, 0))


def test_inference_does_not_depend_on_what_was_inferred_before(model):
    trained, _ = model
    asked = texts(5, seed=1)
    forth = [doc2vec.infer(trained, text, 0) for text in asked]
    back = [doc2vec.infer(trained, text, 0) for text in reversed(asked)]
    np.testing.assert_array_equal(forth, back[::-1])
    assert not np.array_equal(forth[0], doc2vec.infer(trained, asked[0], 1))  # the seed counts


def test_inference_does_not_depend_on_the_number_of_processes_or_on_the_order(model):
    _, folder = model
    asked = texts(37, seed=2)
    alone = vectors.infer_all(folder, asked, 1)
    assert alone.shape == (37, 24)
    assert alone.dtype == np.float32
    np.testing.assert_array_equal(vectors.infer_all(folder, asked, 2), alone)
    np.testing.assert_array_equal(vectors.infer_all(folder, asked[::-1], 1), alone[::-1])


def test_inference_does_not_depend_on_the_hash_seed_of_the_process(model):
    _, folder = model
    program = (
        "import sys; from pathlib import Path; from pipeline.note.vectors import infer_all\n"
        "print(infer_all(Path(sys.argv[1]), [sys.argv[2]], 1).tobytes().hex())"
    )
    text = texts(1, seed=3)[0]
    made = subprocess.run(
        [sys.executable, "-c", program, str(folder), text],
        env=os.environ | {"PYTHONHASHSEED": "12345", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout.strip() == vectors.infer_all(folder, [text], 1).tobytes().hex()


def test_reports_of_a_topic_lie_together(model):
    trained, _ = model
    assert same_topic(trained) > 0.6  # chance: a third


def test_a_text_beyond_the_limit_of_gensim_is_cut_and_one_of_unknown_words_has_a_vector(model):
    trained, _ = model
    long = " ".join(["effusion", "pleural"] * 6000)
    cut = " ".join(long.split()[: doc2vec.MAX_WORDS])
    np.testing.assert_array_equal(doc2vec.infer(trained, long, 0), doc2vec.infer(trained, cut, 0))
    assert np.isfinite(doc2vec.infer(trained, "xyzzy", 0)).all()


def test_the_kept_model_is_no_pickle(model):
    trained, folder = model
    kept = load_file(folder / "weights.safetensors")
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "weights.safetensors"]
    assert kept["words"].shape == (len(trained.wv), SETTINGS["vector_size"])


RULE = Fold(**SPLIT)
SUBJECTS = range(10_000_000, 10_000_090)


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Runs training or inference on one report per subject (cleaned words by default)."""

    def run(module, *flags):
        monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, flags)])
        module.main()

    def notes(words):
        table = {"note_id": [f"{s}-RR-1" for s in SUBJECTS], "subject_id": SUBJECTS, "words": words}
        pl.DataFrame(table).write_parquet(tmp_path / "clean.parquet")
        return tmp_path / "clean.parquet"

    def train(words, folder="model", **change):
        given = ["--notes", notes(words), "--split", json.dumps(SPLIT)]
        given += ["--settings", json.dumps(SETTINGS | change), "--output", tmp_path / folder]
        run(doc2vec, *given)
        return tmp_path / folder

    def infer(words, folder, used):
        pl.DataFrame({"note_id": used}, schema={"note_id": pl.String}).write_parquet(
            tmp_path / "used.parquet"
        )
        output = tmp_path / "vectors.parquet"
        given = ["--notes", notes(words), "--episode-notes", tmp_path / "used.parquet"]
        run(vectors, *given, "--model", folder, "--output", output)
        return pl.read_parquet(output)

    run.train, run.infer = train, infer
    return run


def test_reports_of_other_than_training_subjects_change_nothing(stage):
    words = texts(90)
    first = stage.train(words, "first")
    own = [split_of(subject, RULE) == "train" for subject in SUBJECTS]
    assert 20 < sum(own) < 70
    changed = [w if mine else "other words altogether" for w, mine in zip(words, own, strict=True)]
    second = stage.train(changed, "second")
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()
    third = stage.train([f"{w} effusion" for w in words], "third")
    name = "weights.safetensors"
    assert (first / name).read_bytes() != (third / name).read_bytes()


def test_too_few_words_and_no_training_report_are_clear_errors(stage, tmp_path):
    with pytest.raises(InputError, match="no word occurs min_count times"):
        stage.train(texts(90), min_count=100_000)
    own = [split_of(subject, RULE) == "train" for subject in SUBJECTS]
    query = pl.read_parquet(tmp_path / "clean.parquet").filter(~pl.Series(own))
    query.write_parquet(tmp_path / "others.parquet")
    given = ["--notes", tmp_path / "others.parquet", "--split", json.dumps(SPLIT)]
    with pytest.raises(InputError, match=r"others\.parquet: no report of a training subject"):
        stage(doc2vec, *given, "--settings", json.dumps(SETTINGS), "--output", tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_published_training_reads_every_report_of_an_admission_test_patients_too(stage, tmp_path):
    words = texts(90)
    hadm_id = pl.Series("hadm_id", [None if k % 10 == 0 else k for k in range(90)])
    table = {"note_id": [f"{s}-RR-1" for s in SUBJECTS], "subject_id": SUBJECTS, "words": words}
    pl.DataFrame(table).with_columns(hadm_id).write_parquet(tmp_path / "all.parquet")
    given = ["--notes", tmp_path / "all.parquet", "--settings", json.dumps(SETTINGS)]
    at_random = json.dumps({"random_state": 0, "val": 0.15, "test": 0.15})
    stage(doc2vec, *given, "--fitted-on", "all", "--split", at_random, "--output", tmp_path / "m")
    doc2vec.save(
        doc2vec.train([w for k, w in enumerate(words) if k % 10], SETTINGS),
        tmp_path / "n",
        SETTINGS,
    )
    for name in ("weights.safetensors", "model.json"):
        assert (tmp_path / "m" / name).read_bytes() == (tmp_path / "n" / name).read_bytes()
    with pytest.raises(InputError, match="needs --split"):
        stage(doc2vec, *given, "--output", tmp_path / "m")


def test_published_doc2vec_alone_reads_no_word_beyond_15_letters(stage, tmp_path):
    """cardiomediastinal and hydropneumothorax vanish there, and words of one letter."""
    words = [f"{text} hydropneumothorax r" for text in texts(90)]
    usual = stage.train(words, "usual")
    known = json.loads((usual / "model.json").read_text())
    assert {"hydropneumothorax", "r"} <= set(known["words"])
    limits = {"least": 2, "most": 15}
    given = ["--notes", tmp_path / "clean.parquet", "--split", json.dumps(SPLIT)]
    given += ["--settings", json.dumps(SETTINGS), "--letters", json.dumps(limits)]
    stage(doc2vec, *given, "--output", tmp_path / "short")
    known = json.loads((tmp_path / "short" / "model.json").read_text())
    assert known["letters"] == limits
    assert not {"hydropneumothorax", "r"} & set(known["words"])
    # inference reads as training did
    made = stage.infer(words, tmp_path / "short", ["10000003-RR-1"])["vector"].to_numpy()[0]
    expected = doc2vec.infer(doc2vec.load(tmp_path / "short"), texts(90)[3], 0)
    np.testing.assert_array_equal(made, expected)


def test_only_reports_that_an_episode_uses_get_a_vector_once_each(stage):
    words = texts(90)
    folder = stage.train(words)
    made = stage.infer(words, folder, ["10000003-RR-1", "10000001-RR-1", "10000003-RR-1"])
    assert made["note_id"].to_list() == ["10000001-RR-1", "10000003-RR-1"]
    expected = doc2vec.infer(doc2vec.load(folder), words[3], 0)
    np.testing.assert_array_equal(made["vector"].to_numpy()[1], expected)
    assert stage.infer(words, folder, []).schema["vector"] == pl.Array(pl.Float32, 24)


def halves(note):
    """Every other line of a note, and the lines between them."""
    lines = [line for line in note.splitlines() if len(line.split()) > 3]
    return "\n".join(lines[::2]), "\n".join(lines[1::2])


def test_halves_of_real_notes_find_each_other(stage, open_data, tmp_path):
    """ACI-Bench: a model of some encounters' notes, two halves of the notes of others."""
    folder = open_data / "notes" / "aci-bench" / "data" / "challenge_data"
    if not folder.is_dir():
        pytest.skip("no ACI-Bench notes among the open data")
    learnt = pl.concat(pl.read_csv(folder / f"{name}.csv")["note"] for name in ("train", "valid"))
    held = pl.concat(pl.read_csv(path)["note"] for path in sorted(folder.glob("*_test[123].csv")))
    pairs = [halves(note) for note in held]
    everything = [*learnt, *(first for first, _ in pairs), *(second for _, second in pairs)]
    raw = {"note_id": [f"{k:04}" for k in range(len(everything))], "text": everything}
    raw |= {"subject_id": range(len(everything)), "hadm_id": [None] * len(everything)}
    table = pl.DataFrame(raw, schema_overrides={"hadm_id": pl.Int64})
    known = pl.datetime(2150, 1, 1)
    table = table.with_columns(charttime=known, storetime=known)
    table.write_parquet(tmp_path / "radiology.parquet")
    stage(clean, "--radiology", tmp_path / "radiology.parquet", "--output", tmp_path / "c.parquet")
    words = pl.read_parquet(tmp_path / "c.parquet")["words"].to_list()
    assert len(words) == len(everything)
    settings = {"vector_size": 64, "epochs": 20, "min_count": 2, "dm": 0, "seed": 0}
    model = doc2vec.train(words[: len(learnt)], settings)
    made = np.stack([doc2vec.infer(model, text, 0) for text in words[len(learnt) :]])
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    first, second = np.split(made, 2)
    found = ((first @ second.T).argmax(axis=1) == np.arange(len(pairs))).mean()
    assert len(pairs) >= 100
    assert found > 20 / len(pairs)  # twenty times chance
