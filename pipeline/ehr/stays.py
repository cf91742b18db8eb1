"""Modality `e` of ICU stays: FIDDLE's binary features as two memory tokens.

Zhao et al. 2022, Fig. 1: S, what does not change, through a linear layer and ReLU to 64; X, bins of
an hour, through an LSTM to 128, the last state. Both inputs are sparse: a layer on them is a sum
of the rows of its weights.
ASSUME the LSTM reads a learnt projection of X to its own width: the same function as on X itself
but for the rank of its input weights, and no dense (stays, hours, features) tensor.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from torch import nn

from pipeline.common.errors import InputError
from pipeline.common.ragged import take
from pipeline.common.tables import read_table
from pipeline.training.modality import Given, Tokens

STATIC, SERIES = 64, 128


@dataclass
class Features:
    """Stays in a fixed order. `static`, `series`: features, flat; `static_start` (N + 1) and
    `series_start` (N · bins + 1) tell where each stay and each bin begins."""

    static: np.ndarray
    static_start: np.ndarray
    series: np.ndarray
    series_start: np.ndarray
    bins: int
    sizes: tuple[int, int]  # number of features of S and X

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """static (nnz), static_count (B); series (nnz), series_count (B, bins)."""
        static, few = take(self.static_start, rows)
        cells = (rows[:, None] * self.bins + np.arange(self.bins)).ravel()
        series, many = take(self.series_start, cells)
        return {
            "static": torch.from_numpy(self.static[static]),
            "static_count": torch.from_numpy(few),
            "series": torch.from_numpy(self.series[series]),
            "series_count": torch.from_numpy(many).view(len(rows), self.bins),
        }


class StayEncoder(nn.Module):
    """Batch of `Features` and horizons (K hours) → tokens S (B, K, 64) and X (B, K, 128).

    The state after bin T − 1 has read X[0:T) and nothing else: one pass serves every horizon.
    """

    widths = {"S": STATIC, "X": SERIES}  # noqa: RUF012 — of the class, never changed

    def __init__(self, sizes: tuple[int, int], step: float) -> None:
        super().__init__()
        self.step = step
        self.static = nn.EmbeddingBag(
            max(1, sizes[0]), STATIC, mode="sum", include_last_offset=True
        )
        self.series = nn.EmbeddingBag(
            max(1, sizes[1]), SERIES, mode="sum", include_last_offset=True
        )
        self.bias = nn.ParameterDict({"S": torch.zeros(STATIC), "X": torch.zeros(SERIES)})
        for layer in (self.static, self.series):  # as a linear layer on some 50 features at once
            nn.init.normal_(layer.weight, std=50**-0.5)
        self.lstm = nn.LSTM(SERIES, SERIES, batch_first=True)

    def forward(self, batch: dict[str, torch.Tensor], hours: list[int]) -> Tokens:
        """Token → (feature (B, K, width), present (B, K)); X is absent before its first feature."""
        static = _bag(self.static, batch["static"], batch["static_count"]) + self.bias["S"]
        last = [int(horizon / self.step) for horizon in hours]  # bins that end by then
        count = batch["series_count"][:, : max(last)]  # (B, L)
        kept = int(count.sum()) == len(batch["series"])
        series = batch["series"] if kept else _of_bins(batch, max(last))
        inputs = _bag(self.series, series, count.flatten()).view(*count.shape, SERIES)
        states, _ = self.lstm(inputs + self.bias["X"])  # (B, L, 128)
        at = torch.tensor(last, device=count.device) - 1
        return {
            "S": (
                static.relu().unsqueeze(1).expand(-1, len(hours), -1),
                torch.ones_like(at, dtype=torch.bool).expand(len(count), -1),
            ),
            "X": (states[:, at], count.cumsum(1)[:, at] > 0),
        }


def _bag(layer: nn.EmbeddingBag, feature: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """The sum of the weights of each row's features: (rows, width)."""
    start = torch.zeros(len(count) + 1, dtype=torch.long, device=count.device)
    torch.cumsum(count, 0, out=start[1:])
    return layer(feature.long(), start)


def _of_bins(batch: dict[str, torch.Tensor], bins: int) -> torch.Tensor:
    """The features of the first bins of every stay."""
    count = batch["series_count"]
    within = torch.arange(count.shape[1], device=count.device) < bins
    return batch["series"][within.repeat(len(count)).repeat_interleave(count.flatten())]


def _starts(table: pl.DataFrame, cells: int) -> np.ndarray:
    found = np.bincount(table["cell"].to_numpy(), minlength=cells)
    return np.concatenate([[0], np.cumsum(found)])


class EhrOfStays:
    """FIDDLE's tables."""

    def data(self, given: Given, episodes: np.ndarray) -> Features:
        """Features of these stays. Given: features, static, series (tables of
        `pipeline.fiddle`), hours and step of its bins."""
        names = read_table(given["features"], ["table"])
        sizes = tuple(names.filter(pl.col("table") == own).height for own in ("S", "X"))
        if not sizes[0] + sizes[1]:
            raise InputError(f"{given['features']}: FIDDLE kept no feature; enlarge the cohort")
        bins = round(given["hours"] / given["step"])
        order = pl.DataFrame({"episode_id": episodes}).with_row_index("row")
        order = order.with_columns(pl.col("row").cast(pl.Int64))
        static = order.join(read_table(given["static"]), on="episode_id")
        static = static.select(pl.col("row").alias("cell"), "feature").sort("cell", "feature")
        series = order.join(read_table(given["series"]), on="episode_id")
        series = series.select((pl.col("row") * bins + pl.col("bin")).alias("cell"), "feature")
        series = series.sort("cell", "feature")
        return Features(
            static["feature"].to_numpy(),
            _starts(static, len(episodes)),
            series["feature"].to_numpy(),
            _starts(series, len(episodes) * bins),
            bins,
            (sizes[0], sizes[1]),
        )

    def encoder(self, given: Given, data: Features, train: np.ndarray) -> StayEncoder:
        """Linear and LSTM. Given: step, hours of a bin."""
        return StayEncoder(data.sizes, given["step"])


STAYS = EhrOfStays()
