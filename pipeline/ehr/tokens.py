"""Turns events into tokens: what the encoder reads at each event time, and the demographics.

    python -m pipeline.ehr.tokens --episodes … --events … --bins … --output tokens.parquet
        --demographics demographics.parquet

A step is a time (minute) at which something was read or started. Its tokens: the readings of that
minute and every interval that runs then (start ≤ t < end). One table serves every horizon of h
hours: the tokens known before it have known < 60 h ≤ until. `until` is null, or the end of an
interval that turned out void then: before, it ran like any other.
"""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from pipeline.ehr.bins import bin_of
from pipeline.ehr.signals import Vocabulary, classes, vocabulary
from pipeline.stage.command import parser, run
from pipeline.stage.parts import read_parts, write_parts
from pipeline.stage.privacy import tell
from pipeline.stage.tables import Contract, read_table, write_table

TOKENS = Contract(
    {
        "episode_id": pl.Int64,
        "minute": pl.Int32,
        "token": pl.Int32,
        "known": pl.Int32,
        "until": pl.Int32,
    },
    key=("episode_id", "minute", "token", "known"),
    nullable=("until",),
    units={
        "minute": "minutes from clock zero to charting",
        "token": "row of the vocabulary",
        "known": "minutes from clock zero to the moment of knowledge",
        "until": "minutes from clock zero until it turns out void; null: never",
    },
)
CODES: Mapping[str, Mapping[str, int]] = {  # the first beginning that fits; "" fits every text
    "sex": {"F": 0, "": 1},
    "insurance": {"MEDICARE": 0, "MEDICAID": 1, "": 2},
    "language": {"ENGLISH": 0, "": 1},
    "marital_status": {"MARRIED": 0, "SINGLE": 1, "WIDOWED": 2, "DIVORCED": 3, "": 4},
    "race": {"WHITE": 0, "BLACK": 1, "HISPANIC": 2, "ASIAN": 3, "AMERICAN INDIAN": 4,
             "NATIVE HAWAIIAN": 5, "OTHER": 6, "": 7},
}  # fmt: skip


def demographics_contract(name: str = "corrected") -> Contract:
    """A code per demographic variable of the protocol."""
    codes = dict.fromkeys(classes(name), pl.Int32)
    return Contract({"episode_id": pl.Int64, **codes}, key=("episode_id",))


DEMOGRAPHICS = demographics_contract()


def tokenise(events: pl.DataFrame, bounds: pl.DataFrame, words: Vocabulary) -> pl.DataFrame:
    """(episode_id, minute, token, known, until) of `TOKENS`. Signals without a fitted range have no
    token.

    >>> events = pl.DataFrame({"episode_id": 7, "minute": [5, 9], "end_minute": [None, 60],
    ...     "kind": ["chart", "interval"], "signal": ["spo2", "eeg"], "value": [95.0, None],
    ...     "void": [False, True], "known": [8, 9]})
    >>> bounds = pl.DataFrame({"signal": ["spo2"], "low": [80.0], "high": [100.0]})
    >>> words = Vocabulary((("spo2", "chart", 200, True), ("eeg", "interval", 1, False)))
    >>> sorted(tokenise(events, bounds, words).rows())
    [(7, 5, 149, 8, None), (7, 9, 200, 9, 60)]
    """
    offsets = pl.DataFrame(
        {
            "signal": [block[0] for block in words.blocks],
            "numeric": [block[3] for block in words.blocks],
            "offset": list(words.offsets().values()),
        },
        schema_overrides={"offset": pl.Int32},
    )
    until = pl.when("void").then("end_minute").alias("until")
    named = events.join(offsets, on="signal").with_columns(until)
    points = _points(named.filter(pl.col("kind") != "interval"), bounds)
    intervals = named.filter(pl.col("kind") == "interval")
    times = ["episode_id", "minute", "known", "until"]
    steps = fewest(pl.concat([part.select(times) for part in (points, intervals)]))
    return fewest(pl.concat([points, _running(steps, intervals)]))


def at_horizon(tokens: pl.DataFrame, hours: float) -> pl.DataFrame:
    """The tokens known before a horizon, hours from clock zero; infinite: all that is not void.

    >>> tokens = pl.DataFrame({"token": [1, 2, 3, 4], "known": [5, 240, 8, 9],
    ...     "until": [None, None, 240, 200]})
    >>> [at_horizon(tokens, hours)["token"].to_list() for hours in (4, float("inf"))]
    [[1, 3], [1, 2]]
    """
    lasts = pl.col("until").is_null() | (pl.col("until") >= 60 * hours)
    return tokens.filter(pl.col("known") < 60 * hours, lasts)


def fewest(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows that differ in `known` and `until` alone, as few as tell the same at every horizon.

    >>> rows = pl.DataFrame({"step": 1, "known": [4, 3, 8, 3, 9], "until": [None, 9, 9, 6, None]})
    >>> sorted(fewest(rows).rows())
    [(1, 3, 9), (1, 4, None)]
    """
    same = [name for name in rows.columns if name not in ("known", "until")]
    until = pl.col("until")
    lasting = rows.filter(until.is_null()).group_by(same).agg(pl.col("known").min(), until.min())
    void = rows.filter(until.is_not_null())
    if void.is_empty():
        return lasting
    void = void.group_by(*same, "known").agg(until.max())
    lasts = lasting.select(*same, pl.col("known").alias("lasts"))
    void = void.join(lasts, on=same, how="left").filter(
        pl.col("lasts").is_null() | (pl.col("known") < pl.col("lasts"))
    )
    return pl.concat([lasting, void.select(lasting.columns)])


def _points(readings: pl.DataFrame, bounds: pl.DataFrame) -> pl.DataFrame:
    """One token per reading: the bin of its value, or its category."""
    category = pl.col("value").round().cast(pl.Int32) - 1
    row = pl.when("numeric").then(bin_of(pl.col("value"), pl.col("low"), pl.col("high")))
    placed = readings.join(bounds, on="signal", how="left")
    token = (pl.col("offset") + row.otherwise(category)).alias("token")
    return placed.filter(~pl.col("numeric") | pl.col("low").is_not_null()).select(
        "episode_id", "minute", token, "known", "until"
    )


def _running(steps: pl.DataFrame, intervals: pl.DataFrame) -> pl.DataFrame:
    """The tokens of the intervals that run at each step (start ≤ t < end): known once both the step
    and the interval are, until either is void.

    An end that is not known at a horizon changes nothing there: it lies after all steps known then.
    """
    begun = pl.col("minute_start") <= pl.col("minute")
    over = pl.col("end_minute") <= pl.col("minute")
    within = pl.col("minute") == pl.col("minute_start")  # over within its minute: seen once
    return (
        steps.lazy()
        .join(intervals.lazy(), on="episode_id", suffix="_start")
        .filter(begun & (pl.col("end_minute").is_null() | ~over | within))
        .select(
            "episode_id",
            "minute",
            pl.col("offset").alias("token"),
            pl.max_horizontal("known", "known_start").alias("known"),
            pl.min_horizontal("until", "until_start").alias("until"),  # skips null
        )
        .filter(pl.col("until").is_null() | (pl.col("known") < pl.col("until")))
        .collect(engine="streaming")  # steps × intervals of an episode never lie in memory at once
    )


def demographics(
    episodes: pl.DataFrame, codes: Mapping[str, Mapping[str, int]] = CODES
) -> pl.DataFrame:
    """Category codes, known at admission. The lists are fixed: nothing is fitted, nothing is new.

    Classes as in Wang et al. 2024 (age decade 9, insurance 3, language 2, marital status 4 and
    missing, ethnicity 8), and sex (corrected protocol). `codes`: as `CODES`.
    """

    def code(column: str, beginnings: Mapping[str, int]) -> pl.Expr:
        text = pl.col(column).fill_null("").str.to_uppercase()
        expression = pl.lit(None, pl.Int32)
        for start, number in reversed(list(beginnings.items())):
            expression = pl.when(text.str.starts_with(start)).then(number).otherwise(expression)
        return expression.cast(pl.Int32).alias(column)

    age = (pl.col("age") // 10 - 1).clip(0, 8).cast(pl.Int32).alias("age")
    return episodes.select("episode_id", age, *(code(*item) for item in codes.items()))


def write_tokens(
    episodes: str | Path, events: str | Path, bins: str | Path, output: str | Path,
    codes: str | Path,
) -> tuple[int, int]:  # fmt: skip
    """Writes the tokens of a table of events and, as `codes`, the demographics of the episodes.

    Returns the numbers of tokens and of episodes.
    """
    bounds, words = read_table(bins), vocabulary()
    parts = (tokenise(part, bounds, words) for part in read_parts(events))
    tokens = write_parts(parts, output, TOKENS)
    table = read_table(episodes)
    write_table(demographics(table), codes, DEMOGRAPHICS)
    return tokens, table.height


def main() -> None:
    """Parses the arguments, reads the tables, writes tokens and demographics."""
    command = parser(__doc__)
    for name in ("episodes", "events", "bins", "output", "demographics"):
        command.add_argument(f"--{name}", required=True)
    arguments = command.parse_args()
    tell("%s tokens of %s episodes", *write_tokens(
        arguments.episodes, arguments.events, arguments.bins, arguments.output,
        arguments.demographics,
    ))  # fmt: skip


if __name__ == "__main__":
    run(main)
