"""The CXR encoder: ResNet-18 on every film, films of an episode weighted by recency, summed.

Wang et al. 2024, section 2.3. The published weights are softmax(hours): two films 8 h apart get
.0003 and .9997. In the corrected protocol they are softmax(hours / 48): the last film counts most,
none is lost.
"""

import torch
from torch import nn
from torchvision.models import resnet18

WIDTH = 512
PART = 64  # films that pass the network together in evaluation: bounds memory


class CxrEncoder(nn.Module):
    """Batch of `pipeline.cxr.dataset` → feature (B, 512); zeros for an episode without films.

    `hours_scale`: hours over which a film's weight grows e-fold; 1 as published.
    """

    width = WIDTH

    def __init__(self, hours_scale: float = 1.0) -> None:
        super().__init__()
        self.hours_scale = hours_scale
        self.net = resnet18(weights=None)
        self.net.fc = nn.Linear(self.net.fc.in_features, WIDTH)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """(B, 512): the features of each episode's films, weighted and summed."""
        weighted = self.features(batch["film"]) * self.weights(batch)[:, None]  # (F, 512)
        return weighted.new_zeros(len(batch["count"]), WIDTH).index_add(0, batch["owner"], weighted)

    def features(self, film: torch.Tensor) -> torch.Tensor:
        """Films (F, P, P) uint8 → (F, 512). In training all pass together: BatchNorm sees them."""
        image = film.float().div(255).unsqueeze(1).expand(-1, 3, -1, -1)  # (F, 3, P, P)
        if not len(image):
            return image.new_zeros(0, WIDTH)
        parts = [image] if self.training else image.split(PART)
        return torch.cat([self.net(part).float() for part in parts])

    def weights(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The weight of each film (F): softmax over the films of its episode, they sum to 1."""
        size, owner, raw = len(batch["count"]), batch["owner"], batch["hours"] / self.hours_scale
        top = raw.new_full((size,), -torch.inf).scatter_reduce(0, owner, raw, "amax")
        weight = (raw - top[owner]).exp()
        return weight / raw.new_zeros(size).index_add(0, owner, weight)[owner]
