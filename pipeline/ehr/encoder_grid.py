"""Encoder `grid` of the EHR: a regular grid of values, masks and times, by a GRU or a TCN.

Of each bin and signal: the last value that was read so far, whether it was read in the bin, and the
time since (as Che et al. 2018, GRU-D, without its decay; Lipton et al. 2016); of each interval the
share of the bin in which it ran, and whether it ran at all. Each horizon has a grid of its own, of
what was known by then, which ends there; horizons that are equal share it.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.ehr.grid import READ, RUN, Bins, Grid, read_grid
from pipeline.ehr.settings import GridSettings
from pipeline.ehr.signals import classes
from pipeline.ehr.steps import NEVER
from pipeline.ehr.summary import beside, with_statistics
from pipeline.training.batches import Batch
from pipeline.training.modality import ModalityData, Settings, Tokens, horizon_of

CLIP = 5.0  # standard deviations
LONGEST = 72 * 60  # minutes: no time since a reading counts as longer
DROPOUT = 0.2
CONVOLUTIONS = (1, 2, 4, 8)  # dilations, of kernels of 3: the last bin sees 30 before it


def last_readings(batch: Batch, hours: float, bins: Bins, signals: int
                  ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Of each bin and signal the last reading so far, and whether it was read in the bin.

    (B, L, S) both; a reading is its place in the batch plus one, 0 where there is none so far.
    """
    size, count = len(batch["demographics"]), bins.count(hours)
    place = (batch["reading_minute"].long() + bins.before) // bins.length
    cell = batch["reading_owner"] * count + place.clamp(0, count - 1)
    cell = cell * signals + batch["reading_signal"]
    kept = known(batch, "reading", hours)
    number = torch.where(kept, torch.arange(1, len(cell) + 1, device=cell.device), 0)
    latest = number.new_zeros(size * count * signals)
    latest = latest.scatter_reduce(0, torch.where(kept, cell, 0), number, "amax")
    latest = latest.view(size, count, signals)
    return latest.cummax(dim=1).values, latest > 0


def known(batch: Batch, kind: str, hours: float) -> torch.Tensor:
    """Which rows (R) of a kind were known before a horizon, and not void by then."""
    minute = 60 * hours if math.isfinite(hours) else NEVER
    return (batch[f"{kind}_known"] < minute) & (batch[f"{kind}_until"] >= minute)


def edges(bins: Bins, hours: float, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Minutes at which the bins of a horizon begin and end: (L) each; the last ends with it."""
    begin = torch.arange(bins.count(hours), device=device) * bins.length - bins.before
    return begin.float(), (begin + bins.length).clamp(max=bins.end(hours)).float()


def running(batch: Batch, hours: float, bins: Bins, signals: int) -> torch.Tensor:
    """The share of each bin in which an interval ran: (B, L, I).

    An end that is not known at the horizon has not come. A procedure lasts for a minute at least.
    ASSUME two of a signal at once count twice, up to the whole bin.
    """
    size, (left, right) = (
        len(batch["demographics"]),
        edges(bins, hours, batch["demographics"].device),
    )
    begin, end = batch["interval_minute"].float(), batch["interval_end"].float()
    end = torch.where(end < 60 * hours, torch.maximum(end, begin + 1), bins.end(hours))
    overlap = torch.minimum(end[:, None], right) - torch.maximum(begin[:, None], left)  # (R, L)
    kept = known(batch, "interval", hours)[:, None]
    share = torch.where(kept, overlap.clamp(min=0) / (right - left), 0.0)
    cell = batch["interval_owner"] * signals + batch["interval_signal"]
    total = share.new_zeros(size * signals, len(left)).index_add(0, cell, share)
    return total.clamp(max=1).view(size, signals, -1).transpose(1, 2)


class Convolutions(nn.Module):
    """A TCN (Bai et al. 2018): residual blocks of causal convolutions, (B, L, D) → (B, L, D)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv1d(width, width, 3, dilation=d) for d in CONVOLUTIONS)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in CONVOLUTIONS)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        """Each block adds to what it was given."""
        for layer, norm, dilation in zip(self.layers, self.norms, CONVOLUTIONS, strict=True):
            before = F.pad(norm(steps).transpose(1, 2), (2 * dilation, 0))  # (B, D, 2d + L)
            steps = steps + self.dropout(layer(before).transpose(1, 2).relu())
        return steps


class GridNetwork(nn.Module):
    """Batch of `Grid`, K horizons → token e: (B, K, 2 · width), present for every episode.

    The feature is the state of the last bin beside the maximum over all bins. `mean`, `scale`: of
    each signal's readings in training.
    """

    record = True
    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, bins: Bins, network: str, width: int, codes: list[int],
                 read: int = len(READ), run: int = len(RUN)) -> None:  # fmt: skip
        super().__init__()
        self.bins, self.read, self.run = bins, read, run
        self.widths = {"e": 2 * width}
        self.register_buffer("mean", torch.zeros(read))
        self.register_buffer("scale", torch.ones(read))
        self.linear = nn.Linear(3 * read + 2 * run, width)
        demographics = [nn.Embedding(n, width) for n in codes]
        for embedding in demographics:
            nn.init.normal_(embedding.weight, std=0.1)  # in every bin: they must not hide readings
        self.demographics = nn.ModuleList(demographics)
        self.dropout = nn.Dropout(DROPOUT)
        self.gru = nn.GRU(width, width, batch_first=True) if network == "gru" else None
        self.convolutions = Convolutions(width) if network == "tcn" else None

    def learn(self, data: Grid, rows: np.ndarray) -> None:
        """Takes mean and scale of each signal from the readings of `rows`, void ones left out."""
        batch = data.readings.batch(rows, "reading")
        lasts = (batch["reading_until"] == NEVER).numpy()
        signal = batch["reading_signal"].numpy()[lasts].astype(np.int64)
        value = batch["reading_value"].numpy()[lasts].astype(np.float64)
        count = np.maximum(np.bincount(signal, minlength=self.read), 1)
        mean = np.bincount(signal, value, self.read) / count
        spread = np.sqrt(np.bincount(signal, (value - mean[signal]) ** 2, self.read) / count)
        self.mean.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(np.where(spread > 0, spread, 1)))

    def forward(self, batch: Batch, horizons: Sequence[float]) -> Tokens:
        """One pass per horizon."""
        features = {}
        fixed = torch.stack([
            embed(batch["demographics"][:, k]) for k, embed in enumerate(self.demographics)
        ]).sum(dim=0)  # fmt: skip
        for horizon in dict.fromkeys(horizons):
            cells = self.cells(batch, horizon)  # (B, L, 3 S + 2 I)
            inputs = self.linear(cells).float() + fixed[:, None]
            features[horizon] = self._over_bins(self.dropout(inputs.relu()))
        feature = torch.stack([features[horizon] for horizon in horizons], dim=1)
        present = torch.ones(feature.shape[:2], dtype=torch.bool, device=feature.device)
        return {"e": (feature, present)}

    def cells(self, batch: Batch, horizon: float) -> torch.Tensor:
        """The grid of a horizon, (B, L, 3 S + 2 I): values, masks, times since, shares, whether."""
        latest, here = last_readings(batch, horizon, self.bins, self.read)
        signal = batch["reading_signal"].long()
        standard = (batch["reading_value"] - self.mean[signal]) / self.scale[signal]
        value = F.pad(standard.clamp(-CLIP, CLIP), (1, 0))[latest]
        minute = F.pad(batch["reading_minute"].float(), (1, 0))[latest]
        end = edges(self.bins, horizon, minute.device)[1][:, None]
        since = torch.where(latest > 0, end - minute, float(LONGEST)).clamp(0, LONGEST)
        since = since.log1p() / math.log1p(LONGEST)
        share = running(batch, horizon, self.bins, self.run)
        return torch.cat([value, here.float(), since, share, (share > 0).float()], dim=2)

    def _over_bins(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, L, width) → (B, 2 · width)."""
        if self.gru is not None:
            states = self.gru(inputs)[0]
        else:
            assert self.convolutions is not None
            states = self.convolutions(inputs)
        return torch.cat([states[:, -1], states.amax(dim=1)], dim=1)


class EhrGrid:
    """Readings, intervals and demographics; statistics beside them, where the settings say so."""

    def data(self, settings: Settings, episodes: np.ndarray) -> ModalityData:
        """Settings: events and episodes (tables), grid (JSON of `GridSettings`), before; statistics
        (`with_statistics`)."""
        length = GridSettings.model_validate_json(settings["grid"]).minutes
        data = read_grid(settings["events"], settings["episodes"], episodes, length,
                         horizon_of(settings))  # fmt: skip
        return with_statistics(data, settings, episodes)

    def network(self, settings: Settings, data: ModalityData, train: np.ndarray) -> nn.Module:
        """Settings: grid, window_hours; standardised by the readings of the rows `train`."""
        grid = GridSettings.model_validate_json(settings["grid"])
        bins = Bins(grid.minutes, settings["window_hours"])

        def build(own: ModalityData) -> GridNetwork:
            assert isinstance(own, Grid)
            network = GridNetwork(bins, grid.network, grid.width, [*classes().values()])
            network.learn(own, train)
            return network

        return beside(build, data, train)


ENCODER = EhrGrid()
