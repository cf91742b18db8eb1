"""Selects what the EHR tells about each episode and was known before its prediction time.

    python -m pipeline.ehr.events --episodes episodes.parquet --source results/source
        --availability '{…}' --output events.parquet

One row per reading (minute, value) or interval (minute, end_minute); values outside the limits of
`signals.csv` are dropped and counted. One table serves every earlier horizon: `at_horizon`. Rows
stream through in the order of episodes: those of a full release are more than memory holds.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipeline.ehr.signals import ARTERIAL, INTUBATED, NUMBERS, catalogue
from pipeline.stage.availability import Availability, add_availability_argument, observed
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect, sql_beside
from pipeline.stage.parts import query_parts, write_parts
from pipeline.stage.privacy import shown, shown_part, tell
from pipeline.stage.tables import Contract

TABLES = ["chartevents", "labevents", "outputevents", "procedureevents", "inputevents",
          "d_items", "d_labitems"]  # fmt: skip
KINDS = ("vitals", "outputs", "labs", "procedures", "infusions")
EVENTS = Contract(
    {
        "episode_id": pl.Int64,
        "minute": pl.Int32,
        "end_minute": pl.Int32,
        "kind": pl.String,
        "signal": pl.String,
        "value": pl.Float64,
        "void": pl.Boolean,
        "known": pl.Int32,
    },
    nullable=("end_minute", "value"),
    units={
        "minute": "minutes from clock zero to charting",
        "end_minute": "minutes from clock zero; null: not over before the prediction time, of "
        "readings: not void by then",
        "value": "unit of signals.csv",
        "void": "whether an interval, or a reading, turned out at its end to be void",
        "known": "minutes from clock zero to the moment of knowledge",
    },
)


def query(availability: Availability) -> str:
    """`events.sql` under an availability rule."""
    rule = {f"known_{kind}": availability.known_from(kind) for kind in KINDS}
    rule |= {f"stands_in_{kind}": availability.stands_in(kind) for kind in KINDS}
    return sql_beside(__file__, "events.sql").format(
        cut=availability.cut, admissions=observed(), **rule
    )


CATALOGUE = catalogue()
# names as numbers, in the order of the alphabet: a fraction of the cost where millions are sorted
CODES: Mapping[Any, pl.DataType] = {
    name: pl.Enum(CATALOGUE[name].unique().sort()) for name in ("kind", "signal")
}


def at_horizon(events: pl.DataFrame, hours: float) -> pl.DataFrame:
    """The events as they were known before a horizon: without later ones and later ends.

    An interval that turns out void runs like any other until its end is known; then it never was.
    So are a rate of such an infusion, and urine to which a part is added later, without which it
    was read until then.

    >>> events = pl.DataFrame({"signal": ["read", "late", "runs", "void", "void"],
    ...     "minute": [5, 6, 7, 8, 9], "end_minute": [None, None, 300, 300, 200],
    ...     "void": [False, False, False, True, True], "known": [5, 240, 7, 8, 9]})
    >>> at_horizon(events, hours=4).select("signal", "minute", "end_minute").rows()
    [('read', 5, None), ('runs', 7, None), ('void', 8, None)]
    """
    over = pl.col("end_minute") < 60 * hours
    return events.filter(pl.col("known") < 60 * hours, ~(pl.col("void") & over)).with_columns(
        end_minute=pl.when(over).then("end_minute"), void=False
    )


def once(parts: Iterable[pl.DataFrame], seen: Counter[str]) -> Iterator[pl.DataFrame]:
    """The plausible events, each once: a reading that the source repeats is one reading, known
    when the first of its rows is.

    `seen` counts events (void intervals apart), episodes, events whose first time of knowledge is
    null in every row, and per signal the values that are outside its limits.
    """
    same = [name for name in EVENTS.columns if name != "known"]
    new = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift()) for name in same)
    for part in parts:
        rows = part.cast(dict(CODES)).sort(*same, "known")
        rows = rows.with_columns(new=new | (pl.int_range(pl.len()) == 0))
        rows = rows.with_columns(event=pl.col("new").cum_sum())
        sure = rows.filter(~pl.col("stood_in"))["event"].unique()
        distinct = rows.filter("new")
        for signal, count in distinct.filter("outside")["signal"].value_counts().rows():
            seen[f"outside {signal}"] += count
        events = distinct.filter(~pl.col("outside"))
        valid = events.filter(~pl.col("void"))
        seen["events"] += valid.height
        seen["episodes"] += valid["episode_id"].n_unique()
        seen["stood_in"] += valid.join(sure.to_frame(), on="event", how="anti").height
        yield events.cast(dict.fromkeys(CODES, pl.String))


def log_counts(seen: Counter[str]) -> None:
    """What `once` counted; small counts are hidden."""
    tell("%s events of %s episodes", seen["events"], seen["episodes"])
    tell("%s of them have no storetime: charttime counts",
         shown_part(seen["stood_in"], seen["events"]))  # fmt: skip
    dropped = sorted(name for name in seen if name.startswith("outside "))
    by_signal = ", ".join(f"{name[8:]} {shown(seen[name])}" for name in dropped)
    tell("dropped, outside the limits of signals.csv: %s", by_signal or "none")


def select_events(
    database: duckdb.DuckDBPyConnection, episodes: str | Path, source: str | Path,
    availability: Availability, output: str | Path,
    look: Callable[[pl.DataFrame], None] | None = None,
) -> Counter[str]:  # fmt: skip
    """Writes the events of the episodes; what `once` counted.

    `source`: folder of the source tables. `look`: is shown every part before implausible values
    are dropped (`EVENTS`, `stood_in`, `outside`).
    """
    seen: Counter[str] = Counter()
    database.register("catalogue", CATALOGUE.cast(dict(CODES)).to_arrow())
    database.execute(f"CREATE VIEW episodes AS FROM '{episodes}'")
    for table in TABLES:
        database.execute(f"CREATE VIEW {table} AS FROM '{source}/{table}.parquet'")
    database.execute(";".join((INTUBATED, NUMBERS, ARTERIAL)))
    parts = query_parts(database, query(availability))
    write_parts(once(shown_to(look, parts), seen), output, EVENTS)
    return seen


def shown_to(
    look: Callable[[pl.DataFrame], None] | None, parts: Iterable[pl.DataFrame]
) -> Iterator[pl.DataFrame]:
    """The parts, each shown to a reader, if there is one, before it goes on."""
    for part in parts:
        if look is not None:
            look(part)
        yield part


def main() -> None:
    """Parses the arguments, runs `events.sql`, writes the events."""
    command = parser(__doc__)
    command.add_argument("--episodes", required=True)
    command.add_argument("--source", required=True, help="folder of the source tables")
    add_availability_argument(command)
    command.add_argument("--output", required=True)
    add_resource_arguments(command)
    arguments = command.parse_args()
    with connect(arguments.threads, arguments.memory_mb, arguments.temp) as database:
        seen = select_events(database, arguments.episodes, arguments.source,
                             arguments.availability, arguments.output)  # fmt: skip
    log_counts(seen)


if __name__ == "__main__":
    run(main)
