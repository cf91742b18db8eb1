"""Encoder `resnet18` of films: ResNet-18 on every film once, films weighted by recency, summed.

Wang et al. 2024, section 2.3. The published weights are softmax(hours): two films 8 h apart get
.0003 and .9997. In the corrected protocol they are softmax(hours / 48): the last film counts most,
none is lost. At each horizon they are those of the films taken before it. The published network
meets films one at a time, in training too: each is normalised by its own mean and variance
(`one_by_one`), in evaluation by the running ones. Else BatchNorm takes its statistics in training
from all films of a batch: data hold none from after the last horizon. Weights of ImageNet get films
standardised by its mean and SD (`standardise`; the published code divides by 255 alone).
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet18

from pipeline.cxr.augment import Augment
from pipeline.cxr.backbone import IMAGENET, PART, AsShown, Shown
from pipeline.cxr.film_data import Films, decoded_places, read_films
from pipeline.cxr.settings import Augmentation, read_augmentation
from pipeline.stage.store import open_chunks, size_folder
from pipeline.training.batches import Batch
from pipeline.training.checkpoint import load_pretrained
from pipeline.training.items import mean_by_horizon
from pipeline.training.modality import Settings, Tokens, horizon_of

WIDTH = 512


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
    together. `shown`: how the weights in use expect films; None: divided by 255 alone.
    """

    widths = {"c": WIDTH}  # noqa: RUF012 — of the class, never changed

    def __init__(self, hours_scale: float = 1.0, one_by_one: bool = False,
                 shown: Shown | None = None,
                 augmentation: Augmentation | None = None) -> None:  # fmt: skip
        super().__init__()
        self.hours_scale, self.one_by_one = hours_scale, one_by_one
        self.augment = Augment(augmentation) if augmentation else nn.Identity()
        self.show = AsShown(shown)
        self.net = resnet18(weights=None, norm_layer=OneByOneNorm if one_by_one else None)
        self.net.fc = nn.Linear(self.net.fc.in_features, WIDTH)

    def forward(self, batch: Batch, horizons: Sequence[float]) -> Tokens:
        """The features of each episode's films before each horizon, weighted and summed."""
        feature = self.features(batch["film"])  # (F, 512)
        return {"c": mean_by_horizon(feature, batch, horizons, self.hours_scale)}

    def features(self, film: torch.Tensor) -> torch.Tensor:
        """Films (F, P, P) uint8 → (F, 512). In training all pass together, if not one by one."""
        if not len(film):
            return torch.zeros(0, WIDTH, device=film.device)
        image = self.show(self.augment(film))  # (F, 3, P, P)
        together = self.training and not self.one_by_one
        parts = [image] if together else image.split(PART)
        return torch.cat([self.net(part).float() for part in parts])


class ResNet18:
    """Films of the store."""

    def data(self, settings: Settings, episodes: np.ndarray) -> Films:
        """Settings: films, decoded (a table per shard), store, pixels, full (decoded at full
        scale), before."""
        folder = size_folder(Path(settings["store"]), settings["pixels"], settings["full"])
        return read_films(settings["films"], decoded_places(settings["decoded"]),
                          partial(open_chunks, folder), (settings["pixels"],) * 2, episodes,
                          horizon_of(settings))  # fmt: skip

    def network(self, settings: Settings, data: Films, train: np.ndarray) -> FilmsNetwork:
        """Settings: hours_scale, one_by_one, pretrained (ImageNet weights, or none), standardise,
        augment; imagenet: true of a stored model that started from such weights."""
        pretrained = settings["pretrained"]
        started = pretrained or settings.get("imagenet")
        shown = IMAGENET if started and settings["standardise"] else None
        augmentation = read_augmentation(settings["augment"])
        network = FilmsNetwork(settings["hours_scale"], settings["one_by_one"], shown, augmentation)
        if pretrained:
            load_pretrained(network.net, pretrained, but="fc.")
        return network


ENCODER = ResNet18()
