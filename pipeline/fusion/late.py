"""Late fusion: the mean of the probabilities of one classifier per modality.

    python -m pipeline.fusion.late --predictions e_unimodal_mortality.parquet … --letters ec …

Wang et al. 2024, text and figure of section 2.4 (their code trains the branches together, see
`late-averaged`). Nothing is trained here. Of an episode that lacks a modality the others are
averaged; of one that has none the guess is the share of positives among training episodes.
"""

import numpy as np
import polars as pl

from pipeline.cohort.definitions import VERSION
from pipeline.cohort.rows import (
    ABSENT,
    PREDICTIONS,
    TaskRows,
    add_row_arguments,
    predictions,
    read_rows,
)
from pipeline.fusion.absent import add_absent_arguments, hidden, scenarios
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import shown, tell
from pipeline.stage.tables import one_version, read_table, version_of_tables, write_table


def mean_of(probability: np.ndarray, here: np.ndarray, prior: float) -> np.ndarray:
    """Mean over the modalities that are there, `prior` where none is: (N, M), (N, M) → (N,).

    >>> here = np.array([[True, True], [False, True], [False, False]])
    >>> mean_of(np.array([[0.2, 0.4]] * 3), here, prior=0.1)
    array([0.3, 0.4, 0.1])
    """
    count = here.sum(axis=1)
    return np.where(count, (probability * here).sum(axis=1) / np.maximum(count, 1), prior)


def _aligned(path: str, episode: np.ndarray, seed: int, column: str) -> np.ndarray:
    """A column of one seed in the order of the episodes; null where a table lacks one."""
    order = pl.DataFrame({"episode_id": episode})
    table = read_table(path, ["episode_id", "seed", column]).filter(pl.col("seed") == seed)
    return order.join(table, on="episode_id", how="left", maintain_order="left")[column].to_numpy()


def read_single(paths: list[str], rows: TaskRows, seed: int) -> np.ndarray:
    """Probabilities (N, M) of the single models; `InputError` where one lacks an episode."""
    each = [_aligned(path, rows.episode, seed, "probability") for path in paths]
    for path, values in zip(paths, each, strict=True):
        if missing := int(np.isnan(values).sum()):
            raise InputError(
                f"{path}: {shown(missing)} of the episodes have no prediction of seed {seed}"
            )
    return np.stack(each, axis=1)


def check_version(paths: list[str], output: str) -> None:
    """`InputError` where predictions are of other definitions than `output` is going to name."""
    one_version({output: VERSION, ", ".join(paths): version_of_tables(paths)}, "late fusion")


def read_here(paths: list[str], rows: TaskRows, seed: int) -> np.ndarray:
    """Which modalities each episode has (N, M): those of which there is an embedding."""
    tables = [
        read_table(path, ["episode_id", "seed"]).filter(pl.col("seed") == seed)["episode_id"]
        for path in paths
    ]
    return np.stack([np.isin(rows.episode, table.to_numpy()) for table in tables], axis=1)


def main() -> None:
    """Averages the predictions of the single models, per seed."""
    options = parser(__doc__)
    add_row_arguments(options)
    options.add_argument("--predictions", nargs="+", required=True, help="of single models")
    options.add_argument("--embeddings", nargs="+", required=True, help="which modality is where")
    add_absent_arguments(options)
    options.add_argument("--output", required=True, help="predictions")
    arguments = options.parse_args()
    check_version(arguments.predictions, arguments.output)
    rows = read_rows(arguments.episodes, arguments.labels, arguments.task)
    test, tables, absent = rows.of("test"), [], []
    prior = rows.label[rows.of("train")].mean()
    for seed in arguments.seeds:
        each = read_single(arguments.predictions, rows, seed)
        here = read_here(arguments.embeddings, rows, seed)
        tables.append(predictions(rows, seed, mean_of(each, here, prior)))
        absent.append(scenarios(
            rows.episode[test], seed, arguments.letters, mean_of(each, here, prior)[test],
            lambda place: mean_of(each, hidden(here, place), prior)[test],  # noqa: B023
        ))  # fmt: skip
    write_table(pl.concat(absent), arguments.absent, ABSENT)
    write_table(pl.concat(tables), arguments.output, PREDICTIONS)
    tell("late fusion of %s: %s episodes", arguments.letters, len(rows.episode))


if __name__ == "__main__":
    run(main)
