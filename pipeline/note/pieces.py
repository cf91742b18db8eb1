"""Pieces of reports, in windows as long as a model takes; also the pieces of a small BERT.

python -m pipeline.note.pieces --radiology results/source/radiology.parquet
    --episode-notes … --model DIR --tokens 128 --output tokens.parquet

cuts every report that some episode uses, once, as it was written: numbers, signs and removed spans
(___) included, by the tokenizer of the model's folder. A report of n pieces makes
ceil(n / (tokens - 2)) windows, each with special tokens of its own ([CLS] and [SEP] of BERT, <s>
and </s> of RoBERTa), so no part of a long report is lost.

>>> tokenizer = train_tokenizer(["clear lungs", "clear heart"], 60)
>>> reports = pl.DataFrame({"note_id": ["a"], "text": ["Clear lungs clear"]})
>>> for row in windows(tokenizer, reports, 4).select("window", pl.col("tokens").list.len()).rows():
...     print(row)
(0, 4)
(1, 3)
"""

import os
import re
import tempfile
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from string import punctuation
from typing import Any

import duckdb
import polars as pl
from transformers import AutoTokenizer, BertTokenizer
from transformers.utils import logging

from pipeline.stage import digests
from pipeline.stage.command import parser, run
from pipeline.stage.database import connect
from pipeline.stage.errors import InputError
from pipeline.stage.model_folders import KEY, model_folder, read_mapping
from pipeline.stage.privacy import tell
from pipeline.stage.tables import Contract, reading, write_table

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a job keeps to its threads
logging.set_verbosity_error()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
UPPER = re.compile(r"[^\[]*[A-Z]")  # a piece with upper case; [PAD] and its like are none
CHUNK = 10_000  # reports tokenised at a time: bounds memory
TOKENS = Contract(
    {"note_id": pl.String, "window": pl.Int16, "tokens": pl.List(pl.Int32)},
    key=("note_id", "window"),
)


def as_written(
    database: duckdb.DuckDBPyConnection, radiology: str, chosen: str, values: Mapping[str, object]
) -> pl.DataFrame:
    """note_id and text of the source's reports that the query `chosen` names (column note_id).

    `values`: the query's parameters.
    """
    query = (
        "SELECT note_id, text FROM read_parquet($radiology) AS reports"
        f" SEMI JOIN ({chosen}) AS chosen USING (note_id) WHERE text IS NOT NULL"
    )
    with reading(radiology, duckdb.Error):
        return database.sql(query, params={"radiology": radiology, **values}).pl()


def train_tokenizer(texts: list[str], size: int) -> BertTokenizer:
    """A tokenizer of at most `size` WordPieces, learnt from texts as they were written.

    It has fewer where the texts have fewer; all their letters and signs are among them. Upper case
    and accents are ignored. Repeatable.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    pieces = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    pieces.normalizer = normalizers.BertNormalizer(lowercase=True)
    pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # The library numbers letters within words as it meets them, in an order that differs each time,
    # and breaks ties by these numbers. As special tokens they are numbered first, in our order.
    used = set().union(*map(pieces.normalizer.normalize_str, texts))
    letters = sorted(sign for sign in used if not _stands_alone(sign))
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=[*SPECIAL, *(f"##{letter}" for letter in letters)],
        show_progress=False,
    )
    pieces.train_from_iterator(texts, trainer)
    return BertTokenizer(vocab=dict(sorted(pieces.get_vocab().items(), key=lambda item: item[1])))


def _stands_alone(sign: str) -> bool:
    """Whether BERT's words end at this sign: punctuation (of ASCII all signs), or a blank.

    >>> [sign for sign in "a1é°±×$+ .\u2013" if _stands_alone(sign)]
    ['$', '+', ' ', '.', '\u2013']
    """
    return sign.isspace() or sign in punctuation or unicodedata.category(sign).startswith("P")


def load_tokenizer(model: str) -> Any:
    """The fast tokenizer of a folder or hub name; `InputError` where there is none."""
    folder = model_folder(model)
    digests.check_folder(folder)
    options = {"do_lower_case": False} if keeps_case(folder) else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, **options
        )
    except Exception as error:  # the library raises plain exceptions for broken files
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{KEY}: {model} has no tokenizer that can be read: {why}") from error
    if not tokenizer.is_fast:
        raise InputError(f"{KEY}: {model} has no fast tokenizer; save one as tokenizer.json")
    tokenizer.truncation_side = "right"  # what is cut off a window starts the next
    return tokenizer


def keeps_case(folder: Path) -> bool:
    """Whether a model reads upper case, where its folder does not say so itself.

    transformers lowers the case of a vocab.txt without settings. ASSUME a vocabulary with upper
    case was learnt from text as written: that of Bio_ClinicalBERT was (its authors' issue 26).
    """
    vocabulary, settings = folder / "vocab.txt", folder / "tokenizer_config.json"
    if (folder / "tokenizer.json").is_file() or not vocabulary.is_file():
        return False
    if settings.is_file() and "do_lower_case" in read_mapping(settings):
        return False
    return any(UPPER.match(line) for line in vocabulary.read_text(encoding="utf-8").splitlines())


def starts_with_class(tokenizer: Any) -> bool:
    """Whether each window starts with a token that stands for it ([CLS] of BERT, <s> of RoBERTa).

    >>> starts_with_class(train_tokenizer(["clear lungs"], 60))
    True
    """
    special = tokenizer.cls_token_id
    return special is not None and tokenizer("a")["input_ids"][:1] == [special]


def windows(tokenizer: Any, reports: pl.DataFrame, tokens: int) -> pl.DataFrame:
    """Reports (note_id, text) in windows of at most `tokens` tokens, as `TOKENS` says."""
    parts = [_windows(tokenizer, part, tokens) for part in reports.iter_slices(CHUNK)]
    return pl.concat(parts or [pl.DataFrame(schema=dict(TOKENS.columns))])


def _windows(tokenizer: Any, reports: pl.DataFrame, tokens: int) -> pl.DataFrame:
    encoded = tokenizer(
        reports["text"].to_list(), truncation=True, max_length=tokens,
        return_overflowing_tokens=True, return_attention_mask=False, return_token_type_ids=False,
    )  # fmt: skip
    frame = pl.DataFrame(
        {"row": encoded["overflow_to_sample_mapping"], "tokens": encoded["input_ids"]},
        schema={"row": pl.UInt32, "tokens": pl.List(pl.Int32)},
    )
    window = pl.int_range(pl.len(), dtype=pl.Int16).over("row").alias("window")
    named = frame.with_columns(window, note_id=reports["note_id"].gather(frame["row"]))
    return named.select(*TOKENS.columns)


def main() -> None:
    """Cuts the reports, writes the windows."""
    options = parser(__doc__)
    options.add_argument("--radiology", required=True, help="reports of the source")
    options.add_argument("--episode-notes", required=True)
    options.add_argument("--model", required=True, help="folder or hub name of a text model")
    options.add_argument("--tokens", type=int, required=True, help="of a window")
    options.add_argument("--output", required=True)
    arguments = options.parse_args()
    chosen = "SELECT note_id FROM read_parquet($notes)"
    with connect(1, 2000, tempfile.gettempdir()) as database:
        notes = as_written(
            database, arguments.radiology, chosen, {"notes": arguments.episode_notes}
        )
    table = windows(load_tokenizer(arguments.model), notes.sort("note_id"), arguments.tokens)
    write_table(table, arguments.output, TOKENS)
    tell(f"%s reports, %s windows of at most {arguments.tokens} tokens", notes.height, table.height)


if __name__ == "__main__":
    run(main)
