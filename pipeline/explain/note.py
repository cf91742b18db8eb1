"""Reports: occlusion of sentences, of the encoder `doc2vec`.

A part is a sentence of a report; a heading that stands alone is one, too. Taken away, its words are
gone, and the report's vector is inferred again. Inference draws random numbers, and without some
words the draws of all later words are others: one inference moves the vector by as much as a
sentence does. So the log odds of every text, the whole one too, are the mean over `DRAWS` seeds.
What noise remains is measured: the whole report by other seeds, whose difference is the attribution
that nothing would have (`floor`). The deletion curve is made by these other seeds, too, or the
sentences that seem strong by their noise would move it.
"""

import re
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import torch

from pipeline.explain.common import Explained
from pipeline.explain.model import Given
from pipeline.explain.parts import Items, Occluded
from pipeline.explain.pictures import Shown, grouped, words_shown
from pipeline.note.doc2vec import infer, load, words_read
from pipeline.note.encoder_doc2vec import Doc2VecNetwork
from pipeline.note.reports import Reports, Vectors
from pipeline.note.settings import Letters
from pipeline.stage.database import connect
from pipeline.stage.errors import InputError
from pipeline.stage.explanations import Method, Named, Text
from pipeline.stage.files import read_json
from pipeline.stage.tables import read_table

WORDS = 40  # shown
DRAWS = 8  # seeds that each text is inferred from
# a sentence ends at its point, at an empty line, or where a heading begins
BREAK = re.compile(r"(?<=[.!?])\s+|\n\s*\n")
HEADING = re.compile(r"^\s*([A-Z][A-Z ]{3,30}):")
SECTIONS = ("EXAMINATION", "INDICATION", "TECHNIQUE", "COMPARISON", "FINDINGS", "IMPRESSION",
            "HISTORY", "ADDENDUM", "REASON FOR EXAM", "RECOMMENDATION")  # fmt: skip
# the words of a text, as pipeline/note/clean.sql makes them
CLEAN = r"""array_to_string(regexp_extract_all(
    lower(nfc_normalize(sentence)), '\p{L}[\p{L}\p{M}]*'), ' ')"""
CAUSE = "the sentences of the observations that turn abnormal with the planted severity"
METHOD: Method = {
    "name": "occlusion",
    "item": "report",
    "part": "sentence",
    "baseline": "nothing: the report without the sentence",
    "words": "The change of the log odds of the report's episode when one sentence of the report "
    "is left out and the report's vector is inferred again; its other reports stay. Inference "
    f"draws at random: log odds are means over {DRAWS} inferences of every text, and what the same "
    "report moves when it is inferred from other draws is given beside them; strengths near that "
    "are noise. Sentences that say the same stand in for one another.",
}


def sentences(text: str) -> list[tuple[str, str]]:
    """The sentences of a report, each with the section that it stands in ("other": none known).

    >>> sentences("FINDINGS: \\n\\nLungs are clear. No edema.\\n\\nIMPRESSION: \\n\\nNormal.")[1:4]
    [('Lungs are clear.', 'FINDINGS'), ('No edema.', 'FINDINGS'), ('IMPRESSION: ', 'IMPRESSION')]
    """
    made, section = [], "other"
    for sentence in BREAK.split(text):
        if found := HEADING.match(sentence):
            section = found[1] if found[1] in SECTIONS else "other"
        made.append((sentence, section))
    return made


def worded(table: pl.DataFrame, letters: Letters) -> pl.DataFrame:
    """A table with `sentence`, with its `words` (as a report is cleaned) and what Doc2Vec reads of
    them, `read`; rows without a word are dropped."""
    with connect(1, 2000, tempfile.gettempdir()) as database:
        database.register("given", table.with_row_index("line").to_arrow())
        cleaned = f"SELECT *, {CLEAN} AS words FROM given"
        query = f"SELECT *, {words_read(letters)} AS read FROM ({cleaned}) WHERE words <> ''"
        return database.sql(f"{query} ORDER BY line").pl().drop("line")


class ReportModel:
    """Some reports, and what the model makes of their episodes without some sentences."""

    def __init__(self, given: Given, data: Reports, report: np.ndarray, parts: pl.DataFrame,
                 start: np.ndarray) -> None:  # fmt: skip
        """`report`: positions of the explained reports in `data`; `parts`: their sentences, of
        each report between its `start`."""
        self.given, self.data, self.report = given, data, report
        self.start, self.read = start, parts["read"].to_list()
        self.doc2vec = load(given.files["doc2vec"].parent)
        owner = np.repeat(np.arange(len(data.start) - 1), np.diff(data.start))
        self.row = owner[report]
        assert isinstance(data.content, Vectors)
        self.vector = data.content.vector

    def infer(self, text: str, seed: int) -> np.ndarray:
        """The vector of a text, as the pipeline infers it; zeros of one without a word.

        gensim starts an empty text from another random vector, near zero, in each call.
        """
        if not text.strip():
            return np.zeros(self.vector.shape[1], np.float32)
        return infer(self.doc2vec, text, seed)

    def by(self, first: int, draws: int) -> Occluded:
        """Log odds (C,) of the episodes of reports without some sentences: the mean over `draws`
        seeds from `first` on. The result's vectors are of seed 0."""

        def occluded(item: np.ndarray, removed: np.ndarray) -> np.ndarray:
            texts = [
                " ".join(self.read[self.start[i] + k]
                         for k in range(self.start[i + 1] - self.start[i]) if not gone[k])
                for i, gone in zip(item, removed, strict=True)
            ]  # fmt: skip
            return np.mean([self.log_odds(item, texts, seed)
                            for seed in range(first, first + draws)], axis=0)  # fmt: skip

        return occluded

    @torch.no_grad()
    def log_odds(self, item: np.ndarray, texts: list[str], seed: int) -> np.ndarray:
        """Log odds (C,) of the episodes of reports that say `texts`."""
        inferred = np.stack([self.infer(text, seed) for text in texts])
        position, times = self.data.timed(self.row[item])
        vector = self.vector[self.data.which[position]]
        own = position == self.report[item][times["owner"].numpy()]
        vector[own] = inferred[times["owner"].numpy()[own]]
        batch = {"vector": torch.from_numpy(vector), **times}
        on_device = {name: value.to(self.given.device) for name, value in batch.items()}
        return self.given.log_odds(self.given.feature(on_device))


def mean_text(items: Items, parts: pl.DataFrame, value: np.ndarray, suppress: int) -> Text:
    """Means over the sentences that hold a word, or stand in a section; no sentence."""
    shown, subject = Shown(suppress), items.subject[items.owner]
    kinds = grouped(parts["section"].to_list(), subject, value, items.cause, shown)
    lines = parts.select(pl.col("words").str.split(" ").list.unique().alias("word"))
    flat = lines.with_row_index("part").explode("word").sort("word", "part")
    part = flat["part"].to_numpy()
    cause = None if items.cause is None else items.cause[part]
    words = grouped(flat["word"].to_list(), subject[part], value[part], cause, shown,
                    words_shown(suppress))  # fmt: skip
    most: list[Named] = sorted(words, key=lambda one: (-abs(one["mean"]), one["name"]))
    return {"words": most[:WORDS], "kinds": kinds}


def explain(given: Given) -> Explained | str:
    """A sample of the reports of test episodes; why not, where the encoder is another."""
    data = given.data
    if not isinstance(given.feature.network, Doc2VecNetwork):
        return f"explained is the encoder doc2vec alone, not {given.settings['encoder']}"
    if "doc2vec" not in given.files:
        return "reports are explained in the corrected protocol alone"
    rows = given.rows
    owner = np.repeat(np.arange(len(data.start) - 1), np.diff(data.start))
    test = np.flatnonzero(np.isin(owner, rows.of("test")))
    report = test[given.drawn(len(test))]
    letters = Letters(**read_json(given.files["doc2vec"])["letters"])
    parts = read_parts(given, data, report, letters)
    start = np.searchsorted(parts["item"].to_numpy(), np.arange(len(report) + 1))
    why_none = given.truth.why_none("n") if given.truth else None
    cause = None
    if given.truth and why_none is None:
        told = worded(pl.DataFrame({"sentence": given.truth.sentences}), letters)["words"]
        cause = parts["words"].is_in(told.implode()).to_numpy()
    model = ReportModel(given, data, report, parts, start)
    row = model.row
    items = Items(rows.episode[row], rows.subject[row], rows.label[row], start, cause)
    none = np.zeros((len(report), items.widest), bool)
    return Explained(
        items=items, row=row, of=len(test), occluded=model.by(0, DRAWS),
        again=model.by(DRAWS, DRAWS), method=METHOD,
        predicted=lambda: model.by(0, 1)(np.arange(len(report)), none),
        cause=None if cause is None else CAUSE, why_none=why_none,
        picture=lambda value: {"text": mean_text(items, parts, value, given.suppress)},
        most=given.most,
        of_item=lambda item: {
            "sentences": parts["sentence"][int(start[item]) : int(start[item + 1])].to_list()
        }, size=256,
    )  # fmt: skip


def read_parts(given: Given, data: Reports, report: np.ndarray, letters: Letters
               ) -> pl.DataFrame:  # fmt: skip
    """The sentences of reports with words in them: item (place in `report`), section, words, read.

    `InputError` where their words are not those that the report's vector was inferred from.
    """
    names = read_table(given.settings["vectors"], ["note_id"])["note_id"]
    asked = pl.DataFrame({"note_id": names.gather(data.which[report])}).with_row_index("item")
    radiology = Path(given.files["radiology"])
    text = pl.scan_parquet(radiology).select("note_id", "text").join(
        asked.lazy().select("note_id").unique(), on="note_id", how="semi"
    ).unique("note_id", keep="first", maintain_order=True).collect()  # fmt: skip
    found = asked.join(text, on="note_id", how="left", maintain_order="left")
    split = [(item, *one) for item, words in found.select("item", "text").iter_rows()
             for one in sentences(words or "")]  # fmt: skip
    schema = {"item": pl.Int64, "sentence": pl.String, "section": pl.String}
    parts = worded(pl.DataFrame(split, schema=schema, orient="row"), letters)
    clean = read_table(given.files["clean"], ["note_id", "words"]).unique("note_id", keep="first")
    whole = asked.join(clean, on="note_id", how="left", maintain_order="left")["words"]
    joined = parts.group_by("item", maintain_order=True).agg(pl.col("words").str.join(" "))
    if joined["item"].to_list() != list(range(len(report))) or not (joined["words"] == whole).all():
        raise InputError(f"{radiology}: the sentences of a report are not the words that its "
                         "vector was made from; make the vectors again")  # fmt: skip
    return parts
