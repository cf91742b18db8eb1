"""Cuts every report that some ICU stay uses into windows of WordPieces, once.

python -m pipeline.note.tokens_bert --radiology results/source/radiology.parquet
    --episode-notes … --model DIR --tokens 128 --output tokens.parquet

Reports as they were written: numbers, signs and removed spans (___) included.
"""

import tempfile

from pipeline.note.notes import as_written
from pipeline.note.wordpiece import TOKENS, load_tokenizer, windows
from pipeline.stage.command import log, parser, run
from pipeline.stage.database import connect
from pipeline.stage.tables import write_table


def main() -> None:
    """Parses the arguments, cuts the reports, writes the windows."""
    options = parser(__doc__)
    options.add_argument("--radiology", required=True, help="reports of the source")
    options.add_argument("--episode-notes", required=True)
    options.add_argument("--model", required=True, help="folder or hub name of a BERT")
    options.add_argument("--tokens", type=int, required=True, help="of a window")
    options.add_argument("--output", required=True)
    arguments = options.parse_args()
    chosen = "SELECT note_id FROM read_parquet($notes)"
    with connect(1, 2000, tempfile.gettempdir()) as database:
        notes = as_written(
            database, arguments.radiology, chosen, {"notes": arguments.episode_notes}
        )
    made = windows(load_tokenizer(arguments.model), notes.sort("note_id"), arguments.tokens)
    write_table(made, arguments.output, TOKENS)
    log.info(
        "%d reports, %d windows of at most %d tokens", notes.height, made.height, arguments.tokens
    )


if __name__ == "__main__":
    run(main)
