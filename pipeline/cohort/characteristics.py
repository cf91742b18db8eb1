"""What describes the episodes of a unit and is no input of any model: the care unit.

    python -m pipeline.cohort.characteristics --episodes … --stays icustays.parquet --output …

A table of its own: what stands in the episodes is at hand for every training. The care unit is that
of the episode's ICU stay, of an admission its first, whenever that began: it may be later than the
prediction, and describes alone.
"""

import polars as pl

from pipeline.stage.command import parser, run
from pipeline.stage.privacy import tell
from pipeline.stage.tables import Contract, read_table, write_table

CHARACTERISTICS = Contract(
    columns={"episode_id": pl.Int64, "care_unit": pl.String},
    key=("episode_id",),
    nullable=("care_unit",),
    units={"care_unit": "first_careunit of the stay; null without an ICU stay"},
)


def characteristics(episodes: pl.DataFrame, stays: pl.DataFrame) -> pl.DataFrame:
    """The care unit of each episode (contract `CHARACTERISTICS`).

    >>> episodes = pl.DataFrame({"episode_id": [1, 2], "stay_id": [31, None]})
    >>> stays = pl.DataFrame({"stay_id": [31, 32], "first_careunit": ["Medical ICU", "Other"]})
    >>> characteristics(episodes, stays).rows()
    [(1, 'Medical ICU'), (2, None)]
    """
    units = stays.select("stay_id", care_unit="first_careunit").unique("stay_id", keep="first")
    joined = episodes.join(units, on="stay_id", how="left", maintain_order="left")
    return joined.select(list(CHARACTERISTICS.columns))


def main() -> None:
    """Reads the episodes and the ICU stays of the source, writes the table."""
    arguments = parser(__doc__)
    arguments.add_argument("--episodes", required=True, help="of the unit, parquet")
    arguments.add_argument("--stays", required=True, help="icustays of the source, parquet")
    arguments.add_argument("--output", required=True, help="characteristics, parquet")
    args = arguments.parse_args()
    episodes = read_table(args.episodes, ["episode_id", "stay_id"])
    made = characteristics(episodes, read_table(args.stays, ["stay_id", "first_careunit"]))
    write_table(made, args.output, CHARACTERISTICS)
    tell(
        "%s episodes, %s with a care unit",
        made.height,
        made.height - made["care_unit"].null_count(),
    )


if __name__ == "__main__":
    run(main)
