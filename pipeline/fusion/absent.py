"""Which episodes lose a modality in the scenarios of missing data: a share of them, by their id.

The choice depends on the episode alone, not on model, seed or modality: every model is scored on
the same scenario, and an episode that loses a modality at one rate loses it at every higher one.
"""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pipeline.cohort.rows import ABSENT, TaskRows
from pipeline.training.embeddings import Embeddings

if TYPE_CHECKING:
    import torch
    from torch import nn

RATES = (0.25, 0.5, 0.75, 1.0)


def lost(episode: np.ndarray, rate: float) -> np.ndarray:
    """Which of the episodes (ids, N) lose the modality at `rate`: bool (N,).

    >>> bool(lost(np.arange(9), 1.0).all()), bool(lost(np.arange(9), 0.0).any())
    (True, False)
    """
    return _uniform(episode) < rate


def _uniform(episode: np.ndarray) -> np.ndarray:
    """A number in [0, 1) per id: the top 53 bits of its splitmix64 hash (Steele et al. 2014)."""
    state = episode.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)  # arrays wrap silently
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(11)).astype(np.float64) / 2.0**53


def add_absent_arguments(arguments: argparse.ArgumentParser) -> None:
    """Arguments of every fusion that is also scored with a modality missing."""
    arguments.add_argument("--letters", required=True, help="of the modalities, in their order")
    arguments.add_argument("--modality-dropout", type=float, default=0.0,
                           help="chance that training hides a modality of an episode")  # fmt: skip
    arguments.add_argument("--absent", required=True,
                           help="predictions of test episodes with a modality missing")  # fmt: skip


def hidden(here: np.ndarray, place: int) -> np.ndarray:
    """`here` (N, M) without the modality at `place`, a copy."""
    left = here.copy()
    left[:, place] = False
    return left


def scenarios(episode: np.ndarray, seed: int, letters: str, whole: np.ndarray,
              without: Callable[[int], np.ndarray]) -> pl.DataFrame:  # fmt: skip
    """Predictions with a modality missing (contract `ABSENT`), for every letter and rate.

    `whole`: probabilities (N,) with everything; `without`: place of a modality → those without it.
    A model is asked once per modality: an episode has one or the other, whatever the rate.
    """
    tables = []
    for place, letter in enumerate(letters):
        lacking = without(place)
        for rate in RATES:
            probability = np.where(lost(episode, rate), lacking, whole).astype(np.float64).round(7)
            one = pl.DataFrame({"episode_id": episode, "probability": probability})
            keys = {
                "seed": pl.lit(seed, pl.Int64),
                "modality": pl.lit(letter),
                "rate": pl.lit(rate),
            }
            tables.append(one.with_columns(**keys).select(list(ABSENT.columns)))
    return pl.concat(tables)


def scenarios_of_head(head: "nn.Module", data: Embeddings, rows: TaskRows, letters: str, seed: int,
                      device: "torch.device") -> pl.DataFrame:  # fmt: skip
    """The scenarios of a head on embeddings, of the test episodes."""
    from pipeline.training.batches import evaluate

    test = rows.of("test")

    def predict(here: np.ndarray) -> np.ndarray:
        if not len(test):
            return np.zeros(0)
        logits = evaluate(head, Embeddings(data.value, here), test, 1024, device)
        return logits.softmax(dim=1)[:, 1].numpy()

    return scenarios(rows.episode[test], seed, letters, predict(data.here),
                     lambda place: predict(hidden(data.here, place)))  # fmt: skip
