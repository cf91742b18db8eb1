"""Cleans the radiology reports for Doc2Vec: each text becomes words, whatever the cohort.

python -m pipeline.note.clean --radiology results/source/radiology.parquet --output notes.parquet
"""

from pathlib import Path

import duckdb

from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect, sql_beside, watched
from pipeline.stage.files import whole
from pipeline.stage.privacy import shown_part, tell


def clean(
    database: duckdb.DuckDBPyConnection, radiology: str | Path, output: str | Path
) -> tuple[int, int]:
    """Streams the answer of `clean.sql` into parquet; how many reports there are, and are kept."""
    database.execute(f"CREATE VIEW radiology AS FROM '{radiology}'")
    query = sql_beside(__file__, "clean.sql")
    with whole(output) as part:
        with watched(database, "cleaning reports"):
            database.execute(f"COPY ({query}) TO '{part}' (FORMAT parquet, COMPRESSION zstd)")
        reports, kept = (
            database.execute(f"SELECT count(*) FROM {rows}").fetchall()[0][0]
            for rows in ("radiology", f"read_parquet('{part}')")
        )
    return reports, kept


def main() -> None:
    """Writes the cleaned reports."""
    options = parser(__doc__)
    options.add_argument("--radiology", required=True)
    options.add_argument("--output", required=True)
    add_resource_arguments(options)
    arguments = options.parse_args()
    with connect(arguments.threads, arguments.memory_mb, arguments.temp) as database:
        reports, kept = clean(database, arguments.radiology, arguments.output)
    dropped = shown_part(reports - kept, reports)
    tell("%s reports; %s without a word or a time are dropped", reports, dropped)


if __name__ == "__main__":
    run(main)
