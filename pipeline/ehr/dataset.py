"""Tokens of episodes as tensors, by row numbers, without a loop over episodes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch

from pipeline.ehr.signals import BINS, CLASSES
from pipeline.stage.ragged import offsets, take
from pipeline.stage.tables import read_table


@dataclass
class EhrData:
    """Episodes in a fixed order. Steps and tokens of episode i lie between its offsets.

    `time_bin` (steps), `token` (tokens), `step_start` (steps + 1) into tokens, `episode_start`
    (episodes + 1) into steps, `demographics` (episodes, variables).
    """

    time_bin: np.ndarray
    token: np.ndarray
    step_start: np.ndarray
    episode_start: np.ndarray
    demographics: np.ndarray

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """token (T), bag (S) start of each step's tokens, time_bin (S), lengths (B), demographics.

        Steps of an episode follow one another in time; demographics (B, variables).
        """
        steps, lengths = take(self.episode_start, rows)
        tokens, sizes = take(self.step_start, steps)
        bag = np.concatenate([[0], np.cumsum(sizes)[:-1]]) if len(sizes) else np.zeros(0, int)
        return {
            "token": torch.from_numpy(self.token[tokens]),
            "bag": torch.from_numpy(bag.astype(np.int64)),
            "time_bin": torch.from_numpy(self.time_bin[steps]),
            "lengths": torch.from_numpy(lengths),
            "demographics": torch.from_numpy(self.demographics[rows]),
        }

    def present(self) -> np.ndarray:
        """Every episode has this modality, if only its demographics (bool)."""
        return np.ones(len(self.demographics), bool)


def load(tokens: str | Path, demographics: str | Path, episodes: np.ndarray, window_hours: float
         ) -> EhrData:  # fmt: skip
    """The data of `episodes` (ids, any order).

    An episode without events is one step at time 0 that holds its demographics only.
    """
    order = pl.DataFrame({"episode_id": episodes}).with_row_index("row")
    table = order.join(read_table(tokens), on="episode_id", how="left").sort(
        "row", "minute", "token"
    )
    step = (pl.struct("row", "minute").rle_id()).alias("step")
    table = table.with_columns(step, pl.col("minute").fill_null(0))
    steps = table.group_by("step", maintain_order=True).agg(
        pl.first("row", "minute"), pl.col("token").count().alias("tokens")
    )
    window = round(window_hours * 60)
    # ASSUME time 0 before admission (emergency department); the order of steps tells the rest
    bins = (pl.col("minute").cast(pl.Int64) * BINS // window).clip(0, BINS - 1)  # trunc(t/48·200)
    statics = order.join(read_table(demographics), on="episode_id", how="left").sort("row")
    codes = [name for name in CLASSES if name in statics.columns]  # sex is not in every protocol
    per_episode = np.bincount(steps["row"].to_numpy(), minlength=len(episodes))
    return EhrData(
        time_bin=steps.select(bins).to_series().to_numpy(),
        token=table["token"].drop_nulls().cast(pl.Int64).to_numpy(),
        step_start=offsets(steps["tokens"].to_numpy()),
        episode_start=offsets(per_episode),
        demographics=statics.select(codes).cast(pl.Int64).to_numpy(),
    )
