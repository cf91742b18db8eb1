"""Tokens of episodes as tensors, step by step; no loop over episodes."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch

from pipeline.ehr.signals import BINS, CLASSES
from pipeline.ehr.tokens import at_horizon
from pipeline.stage.tables import read_table
from pipeline.training.batches import Batch
from pipeline.training.items import offsets, take

NEVER = 2**31 - 1  # minutes


@dataclass
class Steps:
    """Episodes in a fixed order. Steps and tokens of episode i lie between its offsets.

    A step is a time of charting. `time_bin` (steps), `token`, `known` and `until` (tokens, int32;
    minutes from clock zero to the moment of knowledge, and until they turn out void, `NEVER` of
    most), `step_start` (steps + 1) into tokens, `episode_start` (episodes + 1) into steps,
    `demographics` (episodes, variables).
    """

    time_bin: np.ndarray
    token: np.ndarray
    known: np.ndarray
    until: np.ndarray
    step_start: np.ndarray
    episode_start: np.ndarray
    demographics: np.ndarray

    def batch(self, rows: np.ndarray) -> Batch:
        """token, known, until (T); bag (S) start of each step's tokens, time_bin (S), lengths (B).

        Steps of an episode follow one another in time; demographics (B, variables).
        """
        steps, lengths = take(self.episode_start, rows)
        tokens, sizes = take(self.step_start, steps)
        return {
            "token": torch.from_numpy(self.token[tokens]),
            "known": torch.from_numpy(self.known[tokens]),
            "until": torch.from_numpy(self.until[tokens]),
            "bag": torch.from_numpy(offsets(sizes)[:-1]),
            "time_bin": torch.from_numpy(self.time_bin[steps]),
            "lengths": torch.from_numpy(lengths),
            "demographics": torch.from_numpy(self.demographics[rows]),
        }

    def present(self) -> np.ndarray:
        """Every episode has this modality, if only its demographics (bool)."""
        return np.ones(len(self.demographics), bool)

    def known_by(self, hours: float) -> np.ndarray:
        """Every episode, by any horizon (bool)."""
        return self.present()


def read_steps(tokens: str | Path, demographics: str | Path, episodes: np.ndarray,
               window_hours: float, before: float) -> Steps:  # fmt: skip
    """The steps of `episodes` (ids, any order), of tokens known before so many hours.

    Those that turn out void are kept for earlier horizons, unless the hours are infinite. An
    episode without tokens is one step at time 0 that holds its demographics only.
    """
    order = pl.DataFrame({"episode_id": episodes}).with_row_index("row")
    known = read_table(tokens).filter(pl.col("known") < 60 * before)
    known = at_horizon(known, before) if math.isinf(before) else known
    table = order.join(known, on="episode_id", how="left")
    table = table.sort("row", "minute", "token", "known")
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
    each = table.drop_nulls("token").cast(dict.fromkeys(("token", "known", "until"), pl.Int32))
    return Steps(
        time_bin=steps.select(bins).to_series().to_numpy(),
        token=each["token"].to_numpy(),
        known=each["known"].to_numpy(),
        until=each["until"].fill_null(NEVER).to_numpy(),
        step_start=offsets(steps["tokens"].to_numpy()),
        episode_start=offsets(per_episode),
        demographics=statics.select(codes).cast(pl.Int64).to_numpy(),
    )


def known_before(batch: Batch, hours: float) -> Batch:
    """The batch as it was known before a horizon: its later tokens are gone, and void ones.

    So are steps that are left without a token; an episode that is left without a step is one step
    at time 0.
    """
    size, steps = len(batch["lengths"]), len(batch["time_bin"])
    device = batch["lengths"].device
    kept = (batch["known"] < 60 * hours) & (batch["until"] >= 60 * hours)  # (T)
    episode = torch.arange(size, device=device).repeat_interleave(
        batch["lengths"], output_size=steps
    )
    ends = torch.cat([batch["bag"][1:], batch["bag"].new_tensor([len(kept)])])
    before = torch.nn.functional.pad(kept.cumsum(0), (1, 0))  # tokens kept before each place
    tokens = before[ends] - before[batch["bag"]]  # (S)
    some = batch["lengths"].new_zeros(size).index_add(0, episode, (tokens > 0).long())  # (B)
    place = torch.arange(steps, device=device)
    first = place == (batch["lengths"].cumsum(0) - batch["lengths"])[episode]
    stay = (tokens > 0) | (first & (some == 0)[episode])
    return {
        "token": batch["token"][kept],
        "known": batch["known"][kept],
        "until": batch["until"][kept],
        "bag": before[batch["bag"]][stay],
        "time_bin": torch.where(tokens > 0, batch["time_bin"], 0)[stay],
        "lengths": some.clamp(min=1),
        "demographics": batch["demographics"],
    }
