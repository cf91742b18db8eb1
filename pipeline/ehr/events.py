"""Selects what the EHR tells about each episode and was known by its prediction time.

    python -m pipeline.ehr.events --episodes episodes.parquet --source results/source
        --availability '{…}' --output events.parquet

One row per reading (minute since admission, value) or interval (minute, end_minute).
"""

import json
from collections.abc import Mapping

import polars as pl

from pipeline.common.availability import cut, known_from, stands_in
from pipeline.common.command import log, parser, run
from pipeline.common.database import add_resource_arguments, connect, sql_beside
from pipeline.common.tables import Contract, write_table
from pipeline.ehr.signals import catalogue

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


def query(availability: Mapping[str, object]) -> str:
    """`events.sql` under an availability rule."""
    rule = {f"known_{kind}": known_from(availability, kind) for kind in KINDS}
    rule |= {f"stands_in_{kind}": stands_in(availability, kind) for kind in KINDS}
    return sql_beside(__file__, "events.sql").format(cut=cut(availability), **rule)


def main() -> None:
    """Parses the arguments, runs `events.sql`, writes the events."""
    arguments = parser(__doc__)
    arguments.add_argument("--episodes", required=True)
    arguments.add_argument("--source", required=True, help="folder of the source tables")
    arguments.add_argument(
        "--availability", type=json.loads, required=True, help="JSON, see config"
    )
    arguments.add_argument("--output", required=True)
    add_resource_arguments(arguments)
    given = arguments.parse_args()
    with connect(given.threads, given.memory_mb, given.temp) as database:
        database.register("catalogue", catalogue().to_arrow())
        database.execute(f"CREATE VIEW episodes AS FROM '{given.episodes}'")
        for table in TABLES:
            database.execute(f"CREATE VIEW {table} AS FROM '{given.source}/{table}.parquet'")
        events = database.sql(query(given.availability)).pl()
    write_table(events, given.output, EVENTS)
    log.info("%d events of %d episodes", events.height, events["episode_id"].n_unique())
    log.info("%d of them have no storetime: charttime counts", events["stood_in"].sum())


if __name__ == "__main__":
    run(main)
