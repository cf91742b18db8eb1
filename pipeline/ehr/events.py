"""Selects what the EHR tells about each episode and was known before its prediction time.

    python -m pipeline.ehr.events --episodes episodes.parquet --source results/source
        --availability '{…}' --output events.parquet

One row per reading (minute since admission, value) or interval (minute, end_minute); values outside
the limits of `signals.csv` are dropped and counted. Rows stream through in the order of episodes:
those of a full release are more than memory holds.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import polars as pl

from pipeline.cohort.attrition import shown
from pipeline.ehr.signals import INTUBATED, catalogue
from pipeline.stage.availability import Availability, add_availability_argument
from pipeline.stage.command import log, parser, run
from pipeline.stage.database import add_resource_arguments, connect, sql_beside
from pipeline.stage.parts import query_parts, write_parts
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
    },
    nullable=("end_minute", "value"),
    units={"minute": "minutes since admission", "value": "unit of signals.csv"},
)


def query(availability: Availability) -> str:
    """`events.sql` under an availability rule."""
    rule = {f"known_{kind}": availability.known_from(kind) for kind in KINDS}
    rule |= {f"stands_in_{kind}": availability.stands_in(kind) for kind in KINDS}
    return sql_beside(__file__, "events.sql").format(cut=availability.cut, **rule)


CATALOGUE = catalogue()
# names as numbers, in the order of the alphabet: a fraction of the cost where millions are sorted
CODES: Mapping[Any, pl.DataType] = {
    name: pl.Enum(CATALOGUE[name].unique().sort()) for name in ("kind", "signal")
}


def once(parts: Iterable[pl.DataFrame], seen: Counter[str]) -> Iterator[pl.DataFrame]:
    """The plausible events, each once: a reading that the source repeats is one reading.

    `seen` counts events, episodes, events whose first time of knowledge is null in every row, and
    per signal the values that are outside its limits.
    """
    columns = list(EVENTS.columns)
    new = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift()) for name in columns)
    for part in parts:
        rows = part.cast(dict(CODES)).sort(*columns, "stood_in")
        distinct = rows.filter(new | (pl.int_range(pl.len()) == 0))
        for signal, count in distinct.filter("outside")["signal"].value_counts().rows():
            seen[f"outside {signal}"] += count
        events = distinct.filter(~pl.col("outside")).drop("outside")
        seen["events"] += events.height
        seen["episodes"] += events["episode_id"].n_unique()
        seen["stood_in"] += int(events["stood_in"].sum())
        yield events.cast(dict.fromkeys(CODES, pl.String))


def log_counts(seen: Counter[str]) -> None:
    """What `once` counted; small counts are hidden."""
    log.info("%d events of %d episodes", seen["events"], seen["episodes"])
    log.info("%d of them have no storetime: charttime counts", seen["stood_in"])
    dropped = sorted(name for name in seen if name.startswith("outside "))
    by_signal = ", ".join(f"{name[8:]} {shown(seen[name])}" for name in dropped)
    log.info("dropped, outside the limits of signals.csv: %s", by_signal or "none")


def main() -> None:
    """Parses the arguments, runs `events.sql`, writes the events."""
    arguments = parser(__doc__)
    arguments.add_argument("--episodes", required=True)
    arguments.add_argument("--source", required=True, help="folder of the source tables")
    add_availability_argument(arguments)
    arguments.add_argument("--output", required=True)
    add_resource_arguments(arguments)
    given = arguments.parse_args()
    seen: Counter[str] = Counter()
    with connect(given.threads, given.memory_mb, given.temp) as database:
        database.execute(INTUBATED)
        database.register("catalogue", CATALOGUE.cast(dict(CODES)).to_arrow())
        database.execute(f"CREATE VIEW episodes AS FROM '{given.episodes}'")
        for table in TABLES:
            database.execute(f"CREATE VIEW {table} AS FROM '{given.source}/{table}.parquet'")
        parts = query_parts(database, query(given.availability))
        write_parts(once(parts, seen), given.output, EVENTS)
    log_counts(seen)


if __name__ == "__main__":
    run(main)
