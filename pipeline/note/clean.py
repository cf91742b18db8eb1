"""Cleans the radiology reports for Doc2Vec: text to words, per report, knowing no cohort.

python -m pipeline.note.clean --radiology results/source/radiology.parquet --output notes.parquet
"""

from pipeline.stage.command import log, parser, run
from pipeline.stage.database import add_resource_arguments, connect, sql_beside, watched
from pipeline.stage.files import whole


def main() -> None:
    """Parses the arguments and streams `clean.sql` into parquet."""
    arguments = parser(__doc__)
    arguments.add_argument("--radiology", required=True)
    arguments.add_argument("--output", required=True)
    add_resource_arguments(arguments)
    given = arguments.parse_args()
    query = sql_beside(__file__, "clean.sql")
    with connect(given.threads, given.memory_mb, given.temp) as database:
        database.execute(f"CREATE VIEW radiology AS FROM '{given.radiology}'")
        with whole(given.output) as part:
            with watched(database, "cleaning reports"):
                database.execute(f"COPY ({query}) TO '{part}' (FORMAT parquet, COMPRESSION zstd)")
            reports, kept = (
                database.execute(f"SELECT count(*) FROM {rows}").fetchall()[0][0]
                for rows in ("radiology", f"read_parquet('{part}')")
            )
    log.info("%d reports, %d without a word or a time dropped", reports, reports - kept)


if __name__ == "__main__":
    run(main)
