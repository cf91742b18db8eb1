"""Which episodes lose a modality in the scenarios of missing data: a share of them, by their id.

The choice depends on the episode alone, not on model, seed or modality: every model is scored on
the same scenario, and an episode that loses a modality at one rate loses it at every higher one.
"""

import argparse
from collections.abc import Iterator
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


def cases(here: np.ndarray, episode: np.ndarray, letters: str
          ) -> Iterator[tuple[str, float, np.ndarray]]:  # fmt: skip
    """Every scenario: the letter, the rate, and `here` (N, M) without what is lost."""
    for position, letter in enumerate(letters):
        for rate in RATES:
            left = here.copy()
            left[lost(episode, rate), position] = False
            yield letter, rate, left


def frame(episode: np.ndarray, seed: int, letter: str, rate: float, probability: np.ndarray
          ) -> pl.DataFrame:  # fmt: skip
    """One scenario in the form of the contract `ABSENT`."""
    said = {"episode_id": episode, "probability": probability.astype(np.float64).round(7)}
    return pl.DataFrame(said).with_columns(
        pl.lit(seed, pl.Int64).alias("seed"), pl.lit(letter).alias("modality"),
        pl.lit(rate).alias("rate"),
    ).select(list(ABSENT.columns))  # fmt: skip


def scenarios(head: "nn.Module", data: Embeddings, rows: TaskRows, letters: str, seed: int,
              device: "torch.device") -> pl.DataFrame:  # fmt: skip
    """What a head says of the test episodes when a modality is missing (contract `ABSENT`)."""
    from pipeline.training.batches import evaluate

    test = rows.of("test")
    if not len(test):
        return pl.DataFrame(schema=dict(ABSENT.columns))
    parts = []
    for letter, rate, here in cases(data.here, rows.episode, letters):
        logits = evaluate(head, Embeddings(data.value, here), test, 1024, device)
        said = logits.softmax(dim=1)[:, 1].numpy()
        parts.append(frame(rows.episode[test], seed, letter, rate, said))
    return pl.concat(parts)
