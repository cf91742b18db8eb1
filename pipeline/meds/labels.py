"""Writes the labels of a task as MEDS: patient, prediction time, outcome.

    python -m pipeline.meds.labels --task mortality --episodes episodes.parquet
        --labels labels/mortality.parquet --output results/meds/labels/mortality.parquet

Of the eligible episodes alone. MEDS lets data of the prediction time itself be used, we do not:
what becomes known at T is not known before it. A label's prediction_time is T less one microsecond.
"""

import polars as pl
from meds import LabelSchema

from pipeline.cohort.task import find
from pipeline.meds.parquet import write_frame
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import tell
from pipeline.stage.tables import read_table

BEFORE = pl.duration(microseconds=1)


def prediction_time(task: str) -> pl.Expr:
    """MEDS' prediction time of an episode: of an admission the end of its window, of an ICU stay so
    many hours after the arrival, less one microsecond.

    >>> from datetime import datetime
    >>> row = pl.DataFrame({"clock_zero": [datetime(2150, 1, 1)],
    ...                     "prediction_time": [datetime(2150, 1, 3)]})
    >>> [str(row.select(prediction_time(task)).item()) for task in ("mortality", "shock_4h")]
    ['2150-01-02 23:59:59.999999', '2150-01-01 03:59:59.999999']
    """
    hours = find(task).hours
    asked = (
        pl.col("prediction_time")
        if hours is None
        else pl.col("clock_zero") + pl.duration(hours=hours)
    )
    return (asked - BEFORE).alias("prediction_time")


def of_task(episodes: pl.DataFrame, labels: pl.DataFrame, task: str) -> pl.DataFrame:
    """subject_id, prediction_time, boolean_value of the eligible episodes.

    `InputError` for a task of many labels, which MEDS' label schema cannot hold.
    """
    if find(task).kind != "binary":
        raise InputError(f"task {task}: it has many labels of an episode, MEDS holds one; ask "
                         "for a task with one outcome")  # fmt: skip
    eligible = labels.filter("eligible").join(episodes, on="episode_id", validate="1:1")
    return eligible.select(
        "subject_id", prediction_time(task), boolean_value=pl.col("label").cast(pl.Boolean)
    )


def main() -> None:
    """Reads episodes and labels, writes those that are eligible."""
    arguments = parser(__doc__)
    for name in ("task", "episodes", "labels", "output"):
        arguments.add_argument(f"--{name}", required=True)
    asked = arguments.parse_args()
    table = of_task(read_table(asked.episodes), read_table(asked.labels), asked.task)
    write_frame(table, asked.output, LabelSchema)
    tell("%s labels", table.height)


if __name__ == "__main__":
    run(main)
