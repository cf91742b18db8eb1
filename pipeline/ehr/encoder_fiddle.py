"""Encoder `fiddle` of the EHR: FIDDLE's binary features as two tokens.

Zhao et al. 2022, Fig. 1: S, what does not change, through a linear layer and ReLU to 64; X, bins of
an hour, through an LSTM to 128, the last state. Both inputs are sparse: a layer on them is a sum
of the rows of its weights.
ASSUME the LSTM reads a learnt projection of X to its own width: the same function as on X itself
but for the rank of its input weights, and no dense (episodes, hours, features) tensor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from pyarrow.parquet import ParquetFile
from torch import nn

from pipeline.ehr.summary import beside, with_statistics
from pipeline.stage.errors import InputError
from pipeline.stage.tables import read_table
from pipeline.training.batches import Batch
from pipeline.training.items import offsets, take
from pipeline.training.modality import ModalityData, Settings, Tokens

STATIC, SERIES = 64, 128
PART = 4 * 1024 * 1024  # rows read at a time


@dataclass
class Features:
    """Episodes in a fixed order. `static`, `series`: features, flat; `static_start` (N + 1) and
    `series_start` (N · bins + 1) tell where each episode and each bin begins. `first` (N): the
    first bin in which anything was recorded, `bins` where nothing ever was."""

    static: np.ndarray
    static_start: np.ndarray
    series: np.ndarray
    series_start: np.ndarray
    first: np.ndarray
    bins: int
    sizes: tuple[int, int]  # number of features of S and X

    def batch(self, rows: np.ndarray) -> Batch:
        """static (nnz), static_count (B); series (nnz), series_count (B, bins), first (B)."""
        static, few = take(self.static_start, rows)
        cells = (rows[:, None] * self.bins + np.arange(self.bins)).ravel()
        series, many = take(self.series_start, cells)
        return {
            "static": torch.from_numpy(self.static[static]),
            "static_count": torch.from_numpy(few),
            "series": torch.from_numpy(self.series[series]),
            "series_count": torch.from_numpy(many).view(len(rows), self.bins),
            "first": torch.from_numpy(self.first[rows]),
        }

    def present(self) -> np.ndarray:
        """Every episode has this modality, if only what does not change (bool)."""
        return np.ones(len(self.first), bool)

    def known_by(self, hours: float) -> np.ndarray:
        """Every episode, by any horizon (bool)."""
        return self.present()


class FiddleNetwork(nn.Module):
    """Batch of `Features`, K horizons → tokens S (B, K, 64) and X (B, K, 128).

    The state after bin T − 1 has read X[0:T) and nothing else: one pass serves every horizon.
    """

    widths = {"S": STATIC, "X": SERIES}  # noqa: RUF012 — of the class, never changed
    record = True

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

    def forward(self, batch: Batch, horizons: Sequence[float]) -> Tokens:
        """X is absent before the first record."""
        static = _bag(self.static, batch["static"], batch["static_count"]) + self.bias["S"]
        count = batch["series_count"]  # (B, L), L bins up to the last horizon or later
        bins = [int(min(horizon / self.step, count.shape[1])) for horizon in horizons]
        if min(bins) < 1:
            raise InputError(f"config: fiddle.step: no bin of {self.step} h ends by a horizon of "
                             f"{min(horizons)} h")  # fmt: skip
        inputs = _bag(self.series, batch["series"], count.flatten()).view(*count.shape, SERIES)
        states, _ = self.lstm(inputs + self.bias["X"])  # (B, L, 128)
        at = torch.tensor(bins, device=count.device) - 1  # the last bin that ends by each horizon
        return {
            "S": (
                static.relu().unsqueeze(1).expand(-1, len(horizons), -1),
                torch.ones_like(at, dtype=torch.bool).expand(len(count), -1),
            ),
            "X": (states[:, at], batch["first"][:, None] <= at),
        }


def _bag(layer: nn.EmbeddingBag, feature: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """The sum of the weights of each row's features: (rows, width)."""
    start = torch.zeros(len(count) + 1, dtype=torch.long, device=count.device)
    torch.cumsum(count, 0, out=start[1:])
    return layer(feature.long(), start)


def read_cells(path: str | Path, episodes: np.ndarray, bins: int, silent: np.ndarray
               ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Features, where each of N · bins cells begins, and each episode's first bin with a record.

    `path`: S or X, ordered by episode, bin and feature, read piece by piece: of all MIMIC it has
    some 10⁹ rows. `episodes`: ascending ids. `silent` (features): those that are there without any
    record. Bins from `bins` on are not kept.
    """
    count = np.zeros(len(episodes) * bins, np.int64)
    first = np.full(len(episodes), bins)
    kept = []
    file = ParquetFile(path)
    for part in file.iter_batches(PART):
        columns = {name: part[name].to_numpy() for name in part.schema.names}
        bin_ = columns.get("bin", np.zeros(part.num_rows, np.int64))
        row = np.searchsorted(episodes, columns["episode_id"])
        mine = (row < len(episodes)) & (bin_ < bins)
        mine[mine] = episodes[row[mine]] == columns["episode_id"][mine]
        row, bin_, feature = row[mine], bin_[mine], columns["feature"][mine]
        count += np.bincount(row * bins + bin_, minlength=len(count))
        recorded = ~silent[feature]
        np.minimum.at(first, row[recorded], bin_[recorded])
        kept.append(feature)
    return np.concatenate([np.empty(0, np.int32), *kept]), offsets(count), first


class Fiddle:
    """FIDDLE's tables; statistics beside them, where the settings say so."""

    def data(self, settings: Settings, episodes: np.ndarray) -> ModalityData:
        """Features of these episodes (ids, ascending). Settings: features, static and series
        (tables of `pipeline.fiddle`), step (hours of a bin), before; statistics
        (`with_statistics`)."""
        names = read_table(settings["features"])
        static, series = (names.filter(table=name).sort("feature") for name in "SX")
        if names.is_empty():
            raise InputError(f"{settings['features']}: FIDDLE kept no feature; enlarge the cohort")
        # hours since a record are 0 where there never was one
        silent = series["name"].str.contains("_delta_time_").to_numpy()
        before, step = settings["before"], settings["step"]
        bins = _all_bins(settings["series"]) if before is None else int(before / step)
        never = np.zeros(max(1, static.height), bool)
        fixed, fixed_start, _ = read_cells(settings["static"], episodes, 1, never)
        cell, cell_start, first = read_cells(settings["series"], episodes, bins, silent)
        sizes = (static.height, series.height)
        features = Features(fixed, fixed_start, cell, cell_start, first, bins, sizes)
        return with_statistics(features, settings, episodes)

    def network(self, settings: Settings, data: ModalityData, train: np.ndarray) -> nn.Module:
        """Linear and LSTM. Settings: step, hours of a bin."""

        def build(own: ModalityData) -> FiddleNetwork:
            assert isinstance(own, Features)
            return FiddleNetwork(own.sizes, settings["step"])

        return beside(build, data, train)


def _all_bins(series: str | Path) -> int:
    """The number of bins of X, at least 1."""
    last = pl.scan_parquet(series).select(pl.col("bin").max()).collect(engine="streaming").item()
    return 1 if last is None else int(last) + 1


ENCODER = Fiddle()
