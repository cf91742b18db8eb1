"""Trains Doc2Vec on the reports of the source's training subjects, whatever the cohort.

    python -m pipeline.note.doc2vec --notes clean.parquet --split '{…}' --settings '{…}' --output …

With `--fitted-on all` it trains on every report that has a hadm_id, those of test patients too, as
Wang et al. 2024 do (wang2024.md 6.6); `--split` is then ignored. The paper reads words of 2 to 15
letters only (gensim's simple_preprocess), so neither cardiomediastinal nor hydropneumothorax: see
`--letters`. ASSUME words are runs of letters; the paper's may hold an underscore.

It is repeatable with one worker and a fixed seed. More workers (`workers` of the settings) are
faster, but update the weights at once, in an order that differs from run to run, as the weights do.

The texts go from the table to a file that gensim reads, so they are never all in memory; the
vectors of the reports are, while it trains. The model is written as safetensors and a table of word
counts, because gensim's own format is a pickle.
"""

import functools
import logging
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import gensim.models.doc2vec
import numpy as np
from duckdb import DuckDBPyConnection
from gensim.models.callbacks import CallbackAny2Vec
from gensim.models.doc2vec import Doc2Vec
from safetensors.numpy import load_file, save_file

from pipeline.cohort import eras
from pipeline.cohort.settings import Fold
from pipeline.note.settings import Doc2VecSettings, Letters
from pipeline.stage import digests
from pipeline.stage.command import parser, run
from pipeline.stage.database import connect
from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json, whole, write_json
from pipeline.stage.privacy import tell
from pipeline.stage.progress import JobProgress
from pipeline.stage.settings import json_argument

logging.getLogger("gensim").setLevel(logging.WARNING)
FITTED_ON = {"train": "trained_on(subject_id, charttime)", "all": "hadm_id IS NOT NULL"}
ALL = Letters(least=1, most=None)
AT_ONCE = 4096  # reports fetched from the table
MAX_WORDS = 10_000  # gensim's limit per text; it ignores further words silently

# gensim starts the vector of a text from Python's hash of the text, which differs from process to
# process (unless PYTHONHASHSEED is set); a checksum does not
gensim.models.doc2vec.pseudorandom_weak_vector = functools.partial(
    gensim.models.doc2vec.pseudorandom_weak_vector, hashfxn=lambda text: zlib.crc32(text.encode())
)


class EpochProgress(CallbackAny2Vec):
    """Reports the progress of the training, epoch by epoch."""

    def __init__(self, epochs: int) -> None:
        self.progress = JobProgress("training Doc2Vec", epochs)

    def on_epoch_end(self, model: Doc2Vec) -> None:
        """One epoch more is done."""
        self.progress.add()


def train(texts: Iterable[str], settings: dict[str, int | float]) -> Doc2Vec:
    """A Doc2Vec model of texts (words joined by blanks).

    `settings`: gensim's parameters; one worker, unless they name more. Raises `InputError` where no
    word is frequent enough.
    """
    model = Doc2Vec(**{"workers": 1} | settings)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as corpus:  # the fast path reads a file
        corpus.writelines(f"{text}\n" for text in texts)
        corpus.flush()
        model.build_vocab(corpus_file=corpus.name)
        if not len(model.wv):
            raise InputError("Doc2Vec: no word occurs min_count times in the training reports: "
                             "too few reports, or lower note.doc2vec.min_count")  # fmt: skip
        model.train(corpus_file=corpus.name, total_words=model.corpus_total_words,
                    total_examples=model.corpus_count, epochs=model.epochs,
                    callbacks=[EpochProgress(model.epochs)])  # fmt: skip
    return model


def words_read(letters: Letters) -> str:
    """SQL for what Doc2Vec reads of the column `words`: the words of so many letters.

    >>> import duckdb
    >>> row = "SELECT 'a heart hydropneumothorax' AS words"
    >>> duckdb.sql(f"SELECT {words_read(Letters(least=2, most=15))} FROM ({row})").fetchall()
    [('heart',)]
    """
    if letters == ALL:
        return "words"
    most = "" if letters.most is None else f" AND length(word) <= {letters.most:d}"
    fits = f"lambda word: length(word) >= {letters.least:d}{most}"
    return f"array_to_string(list_filter(string_split(words, ' '), {fits}), ' ')"


def save(
    model: Doc2Vec,
    folder: Path,
    settings: dict[str, int | float],
    letters: Letters = ALL,
) -> None:
    """Writes what inference needs: vectors and counts of words, the output layer, the settings, and
    how many letters a word may have."""
    folder.mkdir(parents=True, exist_ok=True)
    words = model.wv.index_to_key
    counts = [int(model.wv.get_vecattr(word, "count")) for word in words]
    with whole(folder / "weights.safetensors") as part:
        save_file({"words": model.wv.vectors, "output": model.syn1neg}, part)
    kept = {"settings": settings, "words": words, "counts": counts, "texts": model.corpus_count}
    write_json(folder / "model.json", {**kept, "letters": letters.dump()})


def load(folder: Path) -> Doc2Vec:
    """A model for inference from what `save` wrote."""
    kept = read_json(folder / "model.json")
    model = Doc2Vec(**kept["settings"])
    words = kept["words"]
    counts = dict(zip(words, kept["counts"], strict=True))
    model.build_vocab_from_freq(counts, corpus_count=kept["texts"])
    # the order of training: gensim reverses words of equal frequency, and negative samples are
    # drawn by the position of a word
    model.wv.index_to_key, model.wv.key_to_index = words, {w: k for k, w in enumerate(words)}
    digests.check(folder / "weights.safetensors")
    weights = load_file(folder / "weights.safetensors")
    model.wv.vectors, model.syn1neg = weights["words"], weights["output"]
    return model


def infer(model: Doc2Vec, text: str, seed: int) -> np.ndarray:
    """The vector of one text, (vector_size,) float32; the same in every call.

    gensim draws negative samples from a generator that moves on with every text: without a new seed
    the same text would get another vector each time.
    """
    model.random.seed(seed)
    return model.infer_vector(text.split()[:MAX_WORDS])


def texts_of(rows: DuckDBPyConnection) -> Iterator[str]:
    """The texts that a query returned, fetched a few thousand at a time."""
    while part := rows.fetchmany(AT_ONCE):
        yield from (text for (text,) in part)


def main() -> None:
    """Trains on the chosen reports, writes the model."""
    options = parser(__doc__)
    options.add_argument("--notes", required=True, help="cleaned reports")
    options.add_argument("--fitted-on", choices=list(FITTED_ON), default="train")
    options.add_argument("--split", help="JSON, see config; not read for all")
    options.add_argument("--eras", nargs="+", default=[], help=eras.HELP)
    parse_settings = json_argument("note.doc2vec", Doc2VecSettings)
    options.add_argument("--settings", type=parse_settings, required=True, help="JSON, see config")
    add = options.add_argument
    parse_letters = json_argument("note.letters", Letters)
    add("--letters", type=parse_letters, default=ALL, help="JSON: least and most of a word")
    options.add_argument("--output", required=True, type=Path, help="folder of the model")
    arguments = options.parse_args()
    of_all = arguments.fitted_on == "all"
    split = None if of_all else json_argument("split", Fold)(arguments.split or "null")
    if split is None and not of_all:
        raise InputError("Doc2Vec on the training subjects needs --split")
    settings = dict(sorted(arguments.settings.dump().items()))
    with connect(1, 2000, tempfile.gettempdir()) as database:
        if split is not None:
            eras.prepare_fit(database, split, arguments.eras)
        chosen = f"FROM read_parquet($notes) WHERE {FITTED_ON[arguments.fitted_on]}"
        notes = {"notes": arguments.notes}
        if not database.execute(f"SELECT count(*) {chosen}", notes).fetchall()[0][0]:
            who = {"train": "of a training subject", "all": "with a hadm_id"}[arguments.fitted_on]
            raise InputError(f"{arguments.notes}: no report {who} to train Doc2Vec on")
        database.execute(f"SELECT {words_read(arguments.letters)} {chosen} ORDER BY note_id", notes)
        model = train(texts_of(database), settings)
    save(model, arguments.output, settings, arguments.letters)
    tell("%s reports, %s words in the vocabulary", model.corpus_count, len(model.wv))


if __name__ == "__main__":
    run(main)
