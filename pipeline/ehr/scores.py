"""Clinical scores at the prediction time: SOFA (Vincent et al. 1996), OASIS (Johnson et al. 2013).

    python -m pipeline.ehr.scores --score sofa --query pipeline/ehr/scores_sofa.sql
        --episodes … --tables chartevents.parquet … --availability '{…}' --hours 48
        --output sofa_48h.parquet

One row per episode: the points of each component by the worst value known in the 24 hours before
the prediction time, `hours` from clock zero; their sum; and how many components had no value. What
is shared is `scores.sql`, a score is its query. Nothing that is coded at discharge is read.
"""

from pathlib import Path

import duckdb
import polars as pl

from pipeline.cohort.inputs import open_tables
from pipeline.ehr.signals import INTUBATED
from pipeline.stage.availability import Availability, add_availability_argument, observed
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect, sql_beside
from pipeline.stage.privacy import shown_part, tell, warn
from pipeline.stage.tables import Contract, write_table

COMPONENTS = {  # score → component → the most points that it gives
    "sofa": dict.fromkeys(
        ("respiration", "coagulation", "liver", "cardiovascular", "cns", "renal"), 4
    ),
    "oasis": {"before_icu": 5, "age": 9, "consciousness": 10, "heart_rate": 6, "pressure": 4,
              "respiratory_rate": 10, "temperature": 6, "urine": 10, "ventilation": 9,
              "no_elective_surgery": 6},
}  # fmt: skip
KINDS = ("vitals", "outputs", "labs", "infusions")
COUNTED = """
    SELECT
        count(*) FILTER (stood_in) AS stood_in, count(*) FILTER (outside) AS outside,
        (SELECT count(*) FROM ventilated) AS ventilated
    FROM charted
"""


def contract(score: str) -> Contract:
    """What the table of a score promises: points of its components, null where there is no value.

    >>> list(contract("sofa").columns)[-3:]
    ['renal', 'total', 'without_value']
    """
    names = list(COMPONENTS[score])
    return Contract(
        {"episode_id": pl.Int64, **dict.fromkeys([*names, "total", "without_value"], pl.Int32)},
        key=("episode_id",),
        nullable=tuple(names),
        units={"total": "points; a component without a value has 0", "without_value": "components"},
    )


def added(points: pl.DataFrame, score: str) -> pl.DataFrame:
    """The points of each component with their sum and the number of components without a value.

    ASSUME what nobody measured is normal: it adds no points, as in the papers.

    >>> names = dict.fromkeys(COMPONENTS["sofa"], None)
    >>> row = pl.DataFrame([{"episode_id": 7, **names, "liver": 2, "cns": 4}])
    >>> added(row, "sofa").select("total", "without_value").row(0)
    (6, 4)
    """
    names = list(COMPONENTS[score])
    points = points.with_columns(pl.col(names).cast(pl.Int32))
    return points.with_columns(
        total=pl.sum_horizontal(names),
        without_value=pl.sum_horizontal(pl.col(names).is_null().cast(pl.Int32)).cast(pl.Int32),
    )


def log_counts(table: pl.DataFrame, score: str, seen: dict[str, int]) -> None:
    """What was assumed, by component; small counts are hidden.

    A component that nobody has a value of is a warning: the source does not tell the whole score.
    """
    names = list(COMPONENTS[score])
    lacking = {name: table[name].null_count() for name in names}
    tell(
        f"{score} of %s episodes; without a value, so counted as normal: %s",
        table.height,
        ", ".join(f"{name} {shown_part(count, table.height)}" for name, count in lacking.items()),
    )
    tell(
        "charted rows: %s have no storetime, charttime counts; %s are no possible value",
        seen["stood_in"],
        seen["outside"],
    )
    never = [name for name, count in lacking.items() if table.height and count == table.height]
    if never:
        warn(
            "%s: no episode has a value of %s: it counts as normal for all", score, ", ".join(never)
        )
    if table.height and not seen["ventilated"]:
        warn(
            "%s: no mode of ventilation is charted as text (items 223849, 229314, 226732): "
            "all count as not ventilated",
            score,
        )


def describe(
    database: duckdb.DuckDBPyConnection,
    score: str,
    query: str,
    availability: Availability,
    hours: int,
) -> tuple[pl.DataFrame, dict[str, int]]:
    """The score of every episode (`contract`), and counts of what was read.

    The database has episodes, and the tables of the source that `scores.sql` and the `query` (the
    text of the score's) name.
    """
    rule = {f"known_{kind}": availability.known_from(kind) for kind in KINDS}
    rule |= {f"stands_in_{kind}": availability.stands_in(kind) for kind in KINDS}
    shared = sql_beside(__file__, "scores.sql")
    database.execute(INTUBATED)
    database.execute(
        shared.format(cut=availability.cut, admissions=observed(), hours=hours, **rule)
    )
    points = database.sql(query.format(**rule)).pl()
    seen = database.sql(COUNTED).pl().row(0, named=True)
    return added(points, score), seen


def main() -> None:
    """Parses the arguments, asks the query of the score, writes one row per episode."""
    command = parser(__doc__)
    command.add_argument("--score", choices=COMPONENTS, required=True)
    command.add_argument("--query", type=Path, required=True, help="its SQL")
    command.add_argument("--episodes", required=True)
    command.add_argument("--tables", nargs="+", required=True, help="of the source, parquet")
    command.add_argument("--output", required=True)
    command.add_argument("--hours", type=int, required=True, help="from clock zero")
    add_availability_argument(command)
    add_resource_arguments(command)
    arguments = command.parse_args()
    score = arguments.score
    with connect(arguments.threads, arguments.memory_mb, arguments.temp) as database:
        tables = {Path(path).stem: path for path in arguments.tables}
        open_tables(database, {**tables, "episodes": arguments.episodes})
        query, rule = arguments.query.read_text(), arguments.availability
        table, seen = describe(database, score, query, rule, arguments.hours)
    log_counts(table, score, seen)
    write_table(table, arguments.output, contract(score))


if __name__ == "__main__":
    run(main)
