"""The CXR encoder: ResNet-18 on every film, films of an episode weighted by recency, summed.

Wang et al. 2024, section 2.3. The published weights are softmax(hours): two films 8 h apart get
.0003 and .9997. In the corrected protocol they are softmax(hours / 48): the last film counts most,
none is lost. The published network meets films one at a time, in training too: each is normalised
by its own mean and variance (`one_by_one`), in evaluation by the running ones.
"""

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet18

WIDTH = 512
PART = 64  # films that pass the network together in evaluation: bounds memory


class OneByOneNorm(nn.InstanceNorm2d):
    """BatchNorm2d as if each film of a batch passed alone, one after another; state as its own.

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
            for running, own in ((self.running_mean, mean), (self.running_var, variance)):
                running.mul_(keep ** len(input)).add_(weight.to(own.dtype) @ own)
            self.num_batches_tracked += len(input)
        return F.instance_norm(input, weight=self.weight, bias=self.bias, eps=self.eps)


class CxrEncoder(nn.Module):
    """Batch of `pipeline.cxr.dataset` → feature (B, 512); zeros for an episode without films.

    `hours_scale`: hours over which a film's weight grows e-fold; 1 as published. `one_by_one`:
    films pass the network one at a time, as published; else those of a batch are normalised
    together.
    """

    width = WIDTH

    def __init__(self, hours_scale: float = 1.0, one_by_one: bool = False) -> None:
        super().__init__()
        self.hours_scale, self.one_by_one = hours_scale, one_by_one
        self.net = resnet18(weights=None, norm_layer=OneByOneNorm if one_by_one else None)
        self.net.fc = nn.Linear(self.net.fc.in_features, WIDTH)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """(B, 512): the features of each episode's films, weighted and summed."""
        weighted = self.features(batch["film"]) * self.weights(batch)[:, None]  # (F, 512)
        return weighted.new_zeros(len(batch["count"]), WIDTH).index_add(0, batch["owner"], weighted)

    def features(self, film: torch.Tensor) -> torch.Tensor:
        """Films (F, P, P) uint8 → (F, 512). In training all pass together, if not one by one."""
        image = film.float().div(255).unsqueeze(1).expand(-1, 3, -1, -1)  # (F, 3, P, P)
        if not len(image):
            return image.new_zeros(0, WIDTH)
        together = self.training and not self.one_by_one
        parts = [image] if together else image.split(PART)
        return torch.cat([self.net(part).float() for part in parts])

    def weights(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The weight of each film (F): softmax over the films of its episode, they sum to 1."""
        size, owner, raw = len(batch["count"]), batch["owner"], batch["hours"] / self.hours_scale
        top = raw.new_full((size,), -torch.inf).scatter_reduce(0, owner, raw, "amax")
        weight = (raw - top[owner]).exp()
        return weight / raw.new_zeros(size).index_add(0, owner, weight)[owner]
