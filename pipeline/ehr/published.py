"""Tokens and demographics of the published protocol (Wang et al. 2024), flaws included.

    python -m pipeline.ehr.published --episodes episodes.parquet --source results/source
        --output tokens.parquet --demographics demographics.parquet

One stage from source tables to tokens, as bins and means are fitted on all episodes;
`published.sql` is written to be read. The two tables are those of `pipeline.ehr.tokens`, in the
vocabulary of `signals_published.csv`; demographics have no sex.
"""

from collections.abc import Mapping

import polars as pl

from pipeline.ehr.signals import Vocabulary, catalogue, vocabulary
from pipeline.ehr.tokens import TOKENS, demographics, demographics_contract
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect, sql_beside
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import tell
from pipeline.stage.tables import read_table, write_table

CATALOGUE = "signals_published.csv"  # what `catalogue("published")` reads
TABLES = ["chartevents", "labevents", "procedureevents", "d_items", "d_labitems"]
# ASSUME alphabetical codes of the classes of MIMIC-IV 1.0. Later releases have more of them: those
# that begin alike are one class, what is left is OTHER (for language: not English).
CODES: Mapping[str, Mapping[str, int]] = {
    "insurance": {"MEDICAID": 0, "MEDICARE": 1, "": 2},
    "language": {"ENGLISH": 1, "": 0},
    "marital_status": {"DIVORCED": 0, "MARRIED": 1, "SINGLE": 2, "WIDOWED": 3, "": 4},
    "race": {"AMERICAN INDIAN": 0, "ASIAN": 1, "BLACK": 2, "HISPANIC": 3, "UNABLE TO OBTAIN": 5,
             "UNKNOWN": 6, "WHITE": 7, "": 4},
}  # fmt: skip


def first_rows(words: Vocabulary) -> pl.DataFrame:
    """Each signal's first row in the vocabulary, and how many rows it has.

    >>> first_rows(Vocabulary((("spo2", "chart", 200, True), ("eeg", "interval", 1, False)))).rows()
    [('spo2', 0, 200), ('eeg', 200, 1)]
    """
    return pl.DataFrame(
        {
            "signal": [block[0] for block in words.blocks],
            "first_row": list(words.offsets().values()),
            "rows": [block[2] for block in words.blocks],
        }
    )


def check_categories(tokens: pl.DataFrame, rows: pl.DataFrame) -> None:
    """`InputError` where a score has more texts than the encoder's table has rows."""
    beyond = tokens.join(rows, on="signal").filter(
        pl.col("token") - pl.col("first_row") >= pl.col("rows")
    )
    if beyond.height:
        named = ", ".join(sorted(beyond["signal"].unique()))
        raise InputError(f"chartevents: more texts than categories in {CATALOGUE}: {named}")


def main() -> None:
    """Parses the arguments, runs `published.sql`, writes tokens and demographics."""
    command = parser(__doc__)
    command.add_argument("--episodes", required=True)
    command.add_argument("--source", required=True, help="folder of the source tables")
    command.add_argument("--output", required=True, help="tokens")
    command.add_argument("--demographics", required=True)
    add_resource_arguments(command)
    arguments = command.parse_args()
    rows = first_rows(vocabulary("published"))
    with connect(arguments.threads, arguments.memory_mb, arguments.temp) as database:
        database.register("catalogue", catalogue("published").to_arrow())
        database.register("words", rows.to_arrow())
        database.execute(f"CREATE VIEW episodes AS FROM '{arguments.episodes}'")
        for table in TABLES:
            database.execute(f"CREATE VIEW {table} AS FROM '{arguments.source}/{table}.parquet'")
        tokens = database.sql(sql_beside(__file__, "published.sql")).pl()
    check_categories(tokens, rows)
    # charttime decides, and no procedure turns out void
    tokens = tokens.with_columns(pl.col("minute").alias("known"), until=pl.lit(None, pl.Int32))
    write_table(tokens, arguments.output, TOKENS)
    codes = demographics(read_table(arguments.episodes), CODES)
    write_table(codes, arguments.demographics, demographics_contract("published"))
    tell("%s tokens of %s episodes", tokens.height, tokens["episode_id"].n_unique())


if __name__ == "__main__":
    run(main)
