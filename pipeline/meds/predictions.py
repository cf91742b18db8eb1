"""Writes the predictions of a result for its test patients as MEDS, for meds-evaluation.

    python -m pipeline.meds.predictions --result results/ecn_early_mortality.json --task mortality
        --seed 0 --episodes episodes.parquet --predictions predictions/ecn_early_mortality.parquet
        --output results/meds/predictions/ecn_early_mortality.parquet

One training seed, and of several folds the first, whose test patients are the held_out of
subject_splits.parquet. Probabilities are recalibrated where the result is, as it recorded it.
predicted_boolean_value is always there: at or above the threshold that the result chose on
validation, where it could choose none at or above one half.
"""

from typing import ClassVar, cast

import polars as pl
import pyarrow as pa
from flexible_schema import Required
from meds import LabelSchema

from pipeline.evaluation.sections.recalibrated import apply
from pipeline.meds.labels import prediction_time
from pipeline.meds.parquet import write_frame
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import tell, warn
from pipeline.stage.result import Binary, read_result
from pipeline.stage.tables import read_table

HALF = 0.5


class PredictionSchema(LabelSchema):
    """MEDS' labels with predictions, as meds-evaluation 0.0.6 reads them, but for its options."""

    allow_extra_columns: ClassVar[bool] = False

    predicted_boolean_value: Required(pa.bool_(), nullable=False)  # type: ignore[valid-type]
    predicted_boolean_probability: Required(pa.float32(), nullable=False)  # type: ignore[valid-type]


def as_measured(
    path: str, predictions: pl.DataFrame, task: str, seed: int
) -> tuple[pl.DataFrame, float | None]:
    """The predictions (of the first fold) as the result at `path` measured them, its threshold.

    None where it could choose no threshold. `InputError` where the result lacks the task or seed.
    """
    result = read_result(path)
    if task not in result["tasks"]:
        raise InputError(f"{path}: no task {task}")
    if seed not in result["seeds"]:
        raise InputError(f"{path}: no training seed {seed}, only {result['seeds']}")
    part = cast(Binary, result["tasks"][task])
    fits = part["recalibration"]["by_run"] if "recalibration" in part else []
    runs = part["threshold"]["by_run"]
    chosen = [run["threshold"] for run in runs if (run["seed"], run["fold"]) == (seed, 0)]
    if result["folds"] > 1:
        tell(f"of the first of {result['folds']} folds, as subject_splits.parquet is")
    return apply([predictions.filter(seed=seed)], fits)[0], next(iter(chosen), None)


def as_meds(
    predictions: pl.DataFrame, episodes: pl.DataFrame, task: str, threshold: float
) -> pl.DataFrame:
    """The test patients' predictions of one training, with MEDS' columns."""
    test = predictions.filter(task=task, split="test")
    joined = test.join(episodes.drop("subject_id", "split"), on="episode_id", validate="1:1")
    return joined.select(
        "subject_id",
        prediction_time(task),
        boolean_value=pl.col("label").cast(pl.Boolean),
        predicted_boolean_value=pl.col("probability") >= threshold,
        predicted_boolean_probability=pl.col("probability").cast(pl.Float32),
    )


def main() -> None:
    """Reads a result and its predictions, writes those of its test patients."""
    arguments = parser(__doc__)
    for name in ("result", "task", "episodes", "output"):
        arguments.add_argument(f"--{name}", required=True)
    arguments.add_argument("--seed", type=int, required=True, help="of the training")
    arguments.add_argument("--predictions", required=True, help="of the first fold")
    asked = arguments.parse_args()
    predictions, threshold = as_measured(
        asked.result, read_table(asked.predictions), asked.task, asked.seed
    )
    if threshold is None:
        warn(f"the result has no threshold: predicted_boolean_value is of {HALF}")
        threshold = HALF
    table = as_meds(predictions, read_table(asked.episodes), asked.task, threshold)
    write_frame(table, asked.output, PredictionSchema)
    tell("%s predictions", table.height)


if __name__ == "__main__":
    run(main)
