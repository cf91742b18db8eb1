"""Statistics of the EHR beside the sequence that an encoder of it reads (`ehr.statistics`).

The 11 statistics per signal (`pipeline.ehr.statistics`) of a horizon become a token of their own,
by a small network: what a summary tells at once, a network over time need not find. Each horizon
reads the table made for its hours.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from pipeline.stage.errors import InputError
from pipeline.stage.tables import read_values
from pipeline.training.batches import Batch
from pipeline.training.modality import ModalityData, Settings, Tokens

CLIP = 5.0  # standard deviations
WIDTH = 128
DROPOUT = 0.3
# scale of the inputs: of unit variance so many move the token far in one step of the optimiser, and
# it has overfitted before the first check (docs/choices.md: AUROC for the known risk .703 to .737)
SMALL = 0.1


@dataclass
class WithStatistics:
    """The data of an encoder, and statistics `value` (N, K, F) float32, NaN where undefined.

    `hours`: the K horizons of the tables, ascending.
    """

    sequence: ModalityData
    value: np.ndarray
    hours: list[float]

    def batch(self, rows: np.ndarray) -> Batch:
        """The batch of the sequence, and statistics (B, K, F)."""
        return {**self.sequence.batch(rows), "statistics": torch.from_numpy(self.value[rows])}

    def present(self) -> np.ndarray:
        """Every episode has statistics: who has the sequence (bool)."""
        return self.sequence.present()

    def known_by(self, hours: float) -> np.ndarray:
        """Likewise, before so many hours (bool)."""
        return self.sequence.known_by(hours)


def with_statistics(data: ModalityData, settings: Settings, episodes: np.ndarray) -> ModalityData:
    """The data with statistics of `episodes` (ids), where the settings name tables of them.

    Settings: statistics, hours from clock zero → table; none or absent: no statistics.
    """
    tables = settings.get("statistics")
    if not tables:
        return data
    hours = sorted(tables, key=float)
    value = [read_values(tables[one], episodes).astype(np.float32) for one in hours]
    return WithStatistics(data, np.stack(value, axis=1), [float(one) for one in hours])


class StatisticsNetwork(nn.Module):
    """Statistics (B, K, F) with NaN, of tables of K hours → their token (B, horizons, `WIDTH`).

    Imputed by the training median, standardised and clipped per horizon; what is undefined is an
    input, too. `fill`, `mean`, `scale` (K, F).
    """

    fill: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, hours: list[float], columns: int) -> None:
        super().__init__()
        self.hours = hours
        for name in ("fill", "mean", "scale"):
            self.register_buffer(name, torch.zeros(len(hours), columns))
        self.layers = nn.Sequential(
            nn.Linear(2 * columns, WIDTH), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(WIDTH, WIDTH)
        )

    def learn(self, value: np.ndarray) -> None:
        """Takes median, mean and scale from the statistics (n, K, F) of training episodes.

        What none of them has is 0, and tells nothing.
        """
        defined = ~np.isnan(value).all(axis=0)  # (K, F)
        fill = np.nanmedian(np.where(defined, value, 0), axis=0)
        full = np.where(np.isnan(value), fill, value).astype(np.float64)
        spread = full.std(axis=0)
        self.fill.copy_(torch.from_numpy(fill))
        self.mean.copy_(torch.from_numpy(full.mean(axis=0)))
        self.scale.copy_(torch.from_numpy(np.where(spread > 0, 1 / np.maximum(spread, 1e-9), 0)))

    def forward(self, batch: Batch, horizons: Sequence[float]) -> torch.Tensor:
        """The tables of these horizons; infinite: the last one. `InputError` where one has none."""
        places = [self._place(horizon) for horizon in horizons]
        undefined = batch["statistics"].isnan()
        full = torch.where(undefined, self.fill, batch["statistics"])
        standard = ((full - self.mean) * self.scale).clamp(-CLIP, CLIP)
        inputs = torch.cat([standard, undefined.float()], dim=2)
        made = self.layers(SMALL * inputs)  # (B, K, WIDTH)
        return made[:, places]

    def _place(self, horizon: float) -> int:
        if math.isinf(horizon):
            return len(self.hours) - 1
        if horizon not in self.hours:
            raise InputError(f"no statistics of the EHR at {horizon:g} hours, only at "
                             f"{', '.join(f'{one:g}' for one in self.hours)}")  # fmt: skip
        return self.hours.index(horizon)


class Beside(nn.Module):
    """The tokens of a network over time, and one of the statistics."""

    def __init__(self, sequence: nn.Module, statistics: StatisticsNetwork) -> None:
        super().__init__()
        self.sequence, self.statistics = sequence, statistics
        self.widths = {**sequence.widths, "statistics": WIDTH}  # type: ignore[dict-item]
        self.record = True

    def forward(self, batch: Batch, horizons: Sequence[float]) -> Tokens:
        """Present for every episode."""
        tokens: Tokens = self.sequence(batch, horizons)
        feature = self.statistics(batch, horizons)
        present = torch.ones(feature.shape[:2], dtype=torch.bool, device=feature.device)
        return {**tokens, "statistics": (feature, present)}


def beside(
    build: Callable[[ModalityData], nn.Module], data: ModalityData, train: np.ndarray
) -> nn.Module:
    """The network that `build` makes of the sequence, with statistics where the data have them.

    `train`: rows by which statistics are imputed and scaled.
    """
    if not isinstance(data, WithStatistics):
        return build(data)
    sequence = build(data.sequence)
    statistics = StatisticsNetwork(data.hours, data.value.shape[2])
    statistics.learn(data.value[train])
    return Beside(sequence, statistics)
