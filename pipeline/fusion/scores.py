"""Clinical scores as models: the points of a score, calibrated on the training patients.

    python -m pipeline.fusion.scores --episodes … --labels … --task mortality
        --scores results/corrected/admission/ehr/scores/sofa_48h.parquet --seeds 0
        --output predictions.parquet

The score is the only input of a logistic regression that is fitted on train and fusion, so the
AUROC is that of the score itself: a probability rises with the points, always. Nothing is drawn at
random: every seed has the same predictions.
"""

import math

import numpy as np
import polars as pl

from pipeline.cohort.rows import PREDICTIONS, TaskRows, add_row_arguments, predictions, read_rows
from pipeline.fusion.baselines import fitted_rows
from pipeline.stage.command import parser, run
from pipeline.stage.privacy import tell, warn
from pipeline.stage.tables import read_values, write_table

LEAST_SLOPE = 0.01  # log odds per point, where the fit finds none or that risk falls with points


def calibrated(points: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Intercept and slope of the log odds by the points; `points`, `label` (N,) of both classes.

    A weak penalty (C = 1 on standardised points) keeps the slope finite where points tell the two
    classes apart. ASSUME that risk never falls with points: a slope below `LEAST_SLOPE` is raised
    to it, at the prevalence of the fitted rows, and said on the screen.

    >>> label = np.array([0, 1] * 50)
    >>> [round(value, 2) for value in calibrated(-4.0 * label, label)]
    [0.02, 0.01]
    """
    from sklearn.linear_model import LogisticRegression

    mean, spread = float(points.mean()), float(points.std()) or 1.0
    model = LogisticRegression().fit((points - mean)[:, None] / spread, label)
    slope = float(model.coef_[0, 0]) / spread
    if slope >= LEAST_SLOPE:
        return float(model.intercept_[0]) - slope * mean, slope
    warn(
        "the risk does not rise with the score among the episodes that it is calibrated "
        "on: its probabilities are the prevalence, in the order of the score"
    )
    return math.log(label.mean() / (1 - label.mean())) - LEAST_SLOPE * mean, LEAST_SLOPE


def fit(points: np.ndarray, rows: TaskRows) -> np.ndarray:
    """The probability (N,) of every episode, by a fit on the rows of train and fusion."""
    fitted = fitted_rows(rows, embedded=False)
    intercept, slope = calibrated(points[fitted], rows.label[fitted])
    tell("log odds %.4f + %.4f per point, fitted on %s", intercept, slope, len(fitted))
    probability: np.ndarray = 1 / (1 + np.exp(-(intercept + slope * points)))
    return probability


def main() -> None:
    """Fits once; writes the same predictions for every seed."""
    options = parser(__doc__)
    add_row_arguments(options)
    options.add_argument("--scores", required=True, help="points, one row per episode")
    options.add_argument("--output", required=True, help="predictions")
    arguments = options.parse_args()
    rows = read_rows(arguments.episodes, arguments.labels, arguments.task)
    points = read_values(arguments.scores, rows.episode, ["total"])[:, 0]
    probability = fit(points, rows)
    tables = [predictions(rows, seed, probability) for seed in arguments.seeds]
    write_table(pl.concat(tables), arguments.output, PREDICTIONS)


if __name__ == "__main__":
    run(main)
