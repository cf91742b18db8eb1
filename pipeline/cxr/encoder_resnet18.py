"""Encoder `resnet18` of films: ResNet-18 on every film once, films weighted by recency, summed.

Wang et al. 2024, section 2.3. The published weights are softmax(hours): two films 8 h apart get
.0003 and .9997. In the corrected protocol they are softmax(hours / 48): the last film counts most,
none is lost. At each horizon they are those of the films taken before it. The published network
meets films one at a time, in training too: each is normalised by its own mean and variance
(`one_by_one`), in evaluation by the running ones. Else BatchNorm takes its statistics in training
from all films of a batch: data hold none from after the last horizon.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet18

from pipeline.cxr.store import open_chunk, size_folder
from pipeline.stage.tables import read_table
from pipeline.training.batches import Batch
from pipeline.training.checkpoint import load_pretrained
from pipeline.training.items import TimedItems, mean_by_horizon, offsets
from pipeline.training.modality import Settings, Tokens, horizon_of

WIDTH = 512
PART = 64  # films that pass the network together in evaluation: bounds memory


@dataclass
class Films(TimedItems):
    """Films of episodes. `arrays`: the chunks of the store, mapped. `chunk`, `row`: where each film
    lies."""

    item: ClassVar[str] = "film"
    arrays: list[np.ndarray]
    chunk: np.ndarray
    row: np.ndarray
    pixels: int

    def batch(self, rows: np.ndarray) -> Batch:
        """film (F, P, P) uint8, and hours (F), owner (F), count (B) of `TimedItems`."""
        films, times = self.timed(rows)
        image = np.empty((len(films), self.pixels, self.pixels), np.uint8)
        chunk, row = self.chunk[films], self.row[films]
        for number in np.unique(chunk):  # one gather per array of the store
            here = chunk == number
            image[here] = self.arrays[number][row[here]]
        return {"film": torch.from_numpy(image), **times}


def read_films(films: str | Path, decoded: list[str], folder: Path, pixels: int,
               episodes: np.ndarray, before: float) -> Films:  # fmt: skip
    """The films of `episodes` (ids, any order) that were taken before so many hours and could be
    decoded. `folder`: of the store, with films of this size."""
    shards = [Path(path).stem for path in decoded]
    places = pl.concat(
        read_table(path).with_columns(pl.lit(shard).alias("shard"))
        for path, shard in zip(decoded, shards, strict=True)
    ).drop_nulls("chunk")  # what could not be read is missing
    order = pl.DataFrame({"episode_id": episodes}).with_row_index("position")
    taken = read_table(films).filter(pl.col("minute") < 60 * before)
    table = order.join(taken, on="episode_id").join(places, on="dicom_id")
    table = table.sort("position", "minute", "dicom_id")
    chunks = table.select("shard", "chunk").unique().sort("shard", "chunk").with_row_index("number")
    table = table.join(chunks, on=["shard", "chunk"], how="left", maintain_order="left")
    return Films(
        hours=(table["minute"] / 60).cast(pl.Float32).to_numpy(),
        start=offsets(np.bincount(table["position"].to_numpy(), minlength=len(episodes))),
        arrays=[open_chunk(folder / shard, chunk) for _, shard, chunk in chunks.rows()],
        chunk=table["number"].to_numpy(),
        row=table["row"].to_numpy(),
        pixels=pixels,
    )


class OneByOneNorm(nn.InstanceNorm2d):
    """BatchNorm2d as if each film of a batch passed alone, one after another; the same state.

    In training a film is normalised over its own pixels, and moves the running statistics by one
    step: m of its mean and of its unbiased variance, m the momentum. In evaluation it is BatchNorm.
    """

    momentum: float

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True, track_running_stats=True)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(F, C, H, W) → the same shape; F steps of the running statistics in training."""
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None
        with torch.no_grad():
            variance, mean = torch.var_mean(input.float(), dim=(2, 3))  # (F, C), unbiased
            keep = 1 - self.momentum
            steps = torch.arange(len(input) - 1, -1, -1, device=input.device)
            weight = self.momentum * keep**steps  # (F): the last film counts most
            for running, new in ((self.running_mean, mean), (self.running_var, variance)):
                running.mul_(keep ** len(input)).add_(weight.to(new.dtype) @ new)
            self.num_batches_tracked += len(input)
        return F.instance_norm(input, weight=self.weight, bias=self.bias, eps=self.eps)


class FilmsNetwork(nn.Module):
    """Batch of `Films`, K horizons → token c: (B, K, 512), present (B, K); zeros without a film.

    `hours_scale`: hours over which a film's weight grows e-fold; 1 as published. `one_by_one`:
    films pass the network one at a time, as published; else those of a batch are normalised
    together.
    """

    widths = {"c": WIDTH}  # noqa: RUF012 — of the class, never changed

    def __init__(self, hours_scale: float = 1.0, one_by_one: bool = False) -> None:
        super().__init__()
        self.hours_scale, self.one_by_one = hours_scale, one_by_one
        self.net = resnet18(weights=None, norm_layer=OneByOneNorm if one_by_one else None)
        self.net.fc = nn.Linear(self.net.fc.in_features, WIDTH)

    def forward(self, batch: Batch, horizons: Sequence[float]) -> Tokens:
        """The features of each episode's films before each horizon, weighted and summed."""
        feature = self.features(batch["film"])  # (F, 512)
        return {"c": mean_by_horizon(feature, batch, horizons, self.hours_scale)}

    def features(self, film: torch.Tensor) -> torch.Tensor:
        """Films (F, P, P) uint8 → (F, 512). In training all pass together, if not one by one."""
        image = film.float().div(255).unsqueeze(1).expand(-1, 3, -1, -1)  # (F, 3, P, P)
        if not len(image):
            return image.new_zeros(0, WIDTH)
        together = self.training and not self.one_by_one
        parts = [image] if together else image.split(PART)
        return torch.cat([self.net(part).float() for part in parts])


class ResNet18:
    """Films of the store."""

    def data(self, settings: Settings, episodes: np.ndarray) -> Films:
        """Settings: films, decoded (a table per shard), store, pixels, full (decoded at full
        scale), before."""
        folder = size_folder(Path(settings["store"]), settings["pixels"], settings["full"])
        return read_films(settings["films"], settings["decoded"], folder, settings["pixels"],
                          episodes, horizon_of(settings))  # fmt: skip

    def network(self, settings: Settings, data: Films, train: np.ndarray) -> FilmsNetwork:
        """Settings: hours_scale, one_by_one, pretrained (ImageNet weights, or none)."""
        network = FilmsNetwork(settings["hours_scale"], settings["one_by_one"])
        if settings["pretrained"]:
            load_pretrained(network.net, settings["pretrained"], but="fc.")
        return network


ENCODER = ResNet18()
