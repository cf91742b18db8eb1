"""Baselines: logistic regression and boosted trees, on frozen embeddings or on EHR statistics.

    python -m pipeline.fusion.baselines --model gbdt --episodes … --labels … --letters ecn
        --embeddings ehr.parquet cxr.parquet note.parquet --seeds 0 1 --output predictions.parquet
        --absent absent.parquet
    python -m pipeline.fusion.baselines --model logistic gbdt … --letters e
        --features statistics.parquet --output logistic.parquet gbdt.parquet

Fitted on the fusion share where embeddings are read (the encoders know the train share; without a
fusion share, as published, on train), on train and fusion where statistics are. Settings: the best
validation AUROC of a fixed list. No class weights. What an episode lacks is NaN to the trees; to
the regression it is the mean (embeddings) or median (statistics) of the fitted rows, and a column
that says so. Nothing is drawn at random below 200,000 rows (more are sampled for the trees' bins):
seeds differ by their embeddings, and statistics give every seed the same.
"""

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pipeline.cohort.rows import (
    ABSENT,
    PREDICTIONS,
    TaskRows,
    add_row_arguments,
    check_classes,
    predictions,
    read_rows,
)
from pipeline.fusion.absent import scenarios
from pipeline.fusion.inputs import (
    Inputs,
    Known,
    Scaling,
    known_columns,
    of_embeddings,
    of_statistics,
    scaling,
)
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import tell
from pipeline.stage.tables import write_table
from pipeline.training.embeddings import read_embeddings

# The first setting stands where validation cannot decide.
STRENGTHS = (1.0, 0.1, 0.01, 10.0, 100.0)  # C of the regression, at total variance 1 per modality
TREES = tuple(  # (depth, rate, iterations)
    (depth, *pace) for depth in (2, 4) for pace in ((0.1, 50), (0.1, 150), (0.03, 150))
)
BINS = 63  # a histogram of 1,536 embedding columns per node: 255 bins take three times as long


@dataclass(frozen=True)
class Fitted:
    """A fitted baseline: values (n, F), NaN where unknown → probabilities (n,)."""

    prepare: Scaling | Known
    estimator: Any

    def __call__(self, value: np.ndarray) -> np.ndarray:
        """(n,)."""
        if not len(value):
            return np.zeros(0)
        return self.estimator.predict_proba(self.prepare(value))[:, 1]


def candidates(model: str, seed: int) -> list[Any]:
    """The scikit-learn classifiers to choose from, not fitted."""
    if model == "logistic":
        from sklearn.linear_model import LogisticRegression

        return [LogisticRegression(C=strength, max_iter=2000) for strength in STRENGTHS]
    from sklearn.ensemble import HistGradientBoostingClassifier

    return [
        HistGradientBoostingClassifier(max_depth=depth, learning_rate=rate, max_iter=iterations,
                                       max_bins=BINS, early_stopping=False, random_state=seed)
        for depth, rate, iterations in TREES
    ]  # fmt: skip


def preparation(model: str, inputs: Inputs, fitted: np.ndarray) -> Scaling | Known:
    """How values are made ready for a model, by the rows `fitted`."""
    return (scaling if model == "logistic" else known_columns)(inputs, fitted)


def fit_best(model: str, inputs: Inputs, rows: TaskRows, fitted: np.ndarray, seed: int) -> Fitted:
    """Fits every candidate on the rows `fitted`; the one with the best validation AUROC."""
    from sklearn.metrics import roc_auc_score

    prepare = preparation(model, inputs, fitted)
    val, tried = rows.of("val"), candidates(model, seed)
    known, truth = prepare(inputs.value[val]), rows.label[val]
    decides = len(np.unique(truth)) == 2
    columns, label = prepare(inputs.value[fitted]), rows.label[fitted]
    score = [0.0] * len(tried)
    for place, one in enumerate(tried if decides else tried[:1]):
        one.fit(columns, label)
        if decides:
            score[place] = round(float(roc_auc_score(truth, one.predict_proba(known)[:, 1])), 6)
    best = int(np.argmax(score))  # the first of equals
    auroc = f"{score[best]:.4f}" if decides else "–"
    tell(
        f"{model} seed {seed}: setting {best + 1} of {len(tried)}, val AUROC {auroc}, fitted on %s",
        len(fitted),
    )
    return Fitted(prepare, tried[best])


def fitted_rows(rows: TaskRows, embedded: bool) -> np.ndarray:
    """The rows to fit on; `InputError` where they are of one class."""
    splits = ["fusion"] if embedded and len(rows.of("fusion")) else ["train", "fusion"]
    check_classes(rows, np.ones(len(rows.episode), bool), "", splits)
    return np.flatnonzero(np.isin(rows.split, splits))


def reader(arguments: argparse.Namespace, episodes: np.ndarray) -> Callable[[int], Inputs]:
    """A function of the seed: its embeddings, or the statistics, which know none: read once."""
    if arguments.features:
        statistics = of_statistics(arguments.features, episodes)
        return lambda seed: statistics
    return lambda seed: of_embeddings(read_embeddings(arguments.embeddings, seed, episodes))


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Trees on `threads` threads; linear algebra on one, so that bytes do not depend on them."""
    # waiting threads that spin make the trees ten times as slow where others share the cores
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when OpenMP is loaded
    import sklearn.ensemble  # noqa: F401  its OpenMP must be loaded to be limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"), threadpool_limits(threads, "openmp"):
        yield


def check(arguments: argparse.Namespace) -> None:
    """`InputError` where the arguments do not fit together."""
    embeddings, letters = arguments.embeddings, arguments.letters
    if arguments.features and arguments.absent:
        raise InputError("--absent needs --embeddings: statistics are of one modality")
    if len(arguments.output) != len(arguments.model):
        raise InputError("--output: expected one table per --model, in the same order")
    if arguments.absent and len(arguments.model) > 1:
        raise InputError("--absent: one table holds those of one --model; give one model")
    if embeddings and len(embeddings) != len(letters):
        raise InputError(f"--letters {letters} names {len(letters)} modalities, "
                         f"--embeddings {len(embeddings)}")  # fmt: skip


def _arguments() -> argparse.Namespace:
    options = parser(__doc__)
    add_row_arguments(options)
    options.add_argument("--model", nargs="+", choices=["logistic", "gbdt"], required=True)
    source = options.add_mutually_exclusive_group(required=True)
    source.add_argument("--embeddings", nargs="+", help="one table per modality")
    source.add_argument("--features", help="EHR statistics")
    options.add_argument("--letters", required=True, help="modalities, in the tables' order")
    options.add_argument("--threads", type=int, default=1, help="of the trees")
    options.add_argument("--output", nargs="+", required=True, help="predictions, per model")
    options.add_argument("--absent", help="predictions with modalities made missing")
    return options.parse_args()


def fit_all(arguments: argparse.Namespace, model: str, rows: TaskRows,
            read: Callable[[int], Inputs]) -> tuple[pl.DataFrame, pl.DataFrame | None]:  # fmt: skip
    """One model, once per seed: predictions of every episode, and of the scenarios if asked for."""
    test = rows.of("test")
    fitted, tables, absent = fitted_rows(rows, bool(arguments.embeddings)), [], []
    for seed in arguments.seeds:
        inputs = read(seed)
        predict = fit_best(model, inputs, rows, fitted, seed)
        tables.append(predictions(rows, seed, predict(inputs.value)))
        if arguments.absent:
            absent.append(scenarios(
                rows.episode[test], seed, arguments.letters, predict(inputs.value[test]),
                lambda place: predict(inputs.without(place, test)),  # noqa: B023
            ))  # fmt: skip
    return pl.concat(tables), pl.concat(absent) if absent else None


def main() -> None:
    """Fits one model per seed, predicts every episode and the scenarios."""
    arguments = _arguments()
    check(arguments)
    rows = read_rows(arguments.episodes, arguments.labels, arguments.task)
    with limited(arguments.threads):
        read = reader(arguments, rows.episode)
        for model, output in zip(arguments.model, arguments.output, strict=True):
            table, absent = fit_all(arguments, model, rows, read)
            if absent is not None:
                write_table(absent, arguments.absent, ABSENT)
            write_table(table, output, PREDICTIONS)


if __name__ == "__main__":
    run(main)
