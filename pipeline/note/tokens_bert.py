"""Cuts every report that some ICU stay uses into windows of WordPieces, once.

python -m pipeline.note.tokens_bert --notes clean.parquet --episode-notes … --model DIR
    --tokens 128 --output tokens.parquet

ASSUME cleaned words stand for the text: without numbers and layout, as Doc2Vec reads it.
"""

from pipeline.common.command import log, parser, run
from pipeline.common.tables import read_table, write_table
from pipeline.note.wordpiece import TOKENS, load_tokenizer, windows


def main() -> None:
    """Parses the arguments, cuts the reports, writes the windows."""
    arguments = parser(__doc__)
    arguments.add_argument("--notes", required=True, help="cleaned reports")
    arguments.add_argument("--episode-notes", required=True)
    arguments.add_argument("--model", required=True, help="folder or hub name of a BERT")
    arguments.add_argument("--tokens", type=int, required=True, help="of a window")
    arguments.add_argument("--output", required=True)
    given = arguments.parse_args()
    used = read_table(given.episode_notes, ["note_id"]).unique()
    notes = read_table(given.notes, ["note_id", "words"]).join(used, on="note_id", how="semi")
    made = windows(load_tokenizer(given.model), notes.sort("note_id"), given.tokens)
    write_table(made, given.output, TOKENS)
    log.info("%d reports, %d windows of at most %d tokens", notes.height, made.height, given.tokens)


if __name__ == "__main__":
    run(main)
