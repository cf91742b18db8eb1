"""The CXR encoder: ResNet-18 on every film, films of an episode weighted by recency, summed.

Wang et al. 2024, section 2.3. The published weights are softmax(hours): two films 8 h apart get
.0003 and .9997. Here they are softmax(hours / window): the last film counts most, none is lost.
"""

import torch
from torch import nn
from torchvision.models import resnet18

WIDTH = 512


class CxrEncoder(nn.Module):
    """Batch of `pipeline.cxr.dataset` → feature (B, 512); zeros for an episode without films.

    `weights`: a file of torchvision ResNet-18 weights as safetensors, or None to start from random
    weights. `hours_scale`: hours over which a film's weight grows e-fold.
    """

    width = WIDTH

    def __init__(self, hours_scale: float) -> None:
        super().__init__()
        self.hours_scale = hours_scale
        self.net = resnet18(weights=None)
        self.net.fc = nn.Linear(self.net.fc.in_features, WIDTH)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """(B, 512). All films of the batch pass the network together."""
        films = batch["film"].float().div(255).unsqueeze(1).expand(-1, 3, -1, -1)  # (F, 3, P, P)
        size = len(batch["count"])
        feature = self.net(films).float() if len(films) else films.new_zeros(0, WIDTH)
        raw = batch["hours"] / self.hours_scale
        owner = batch["owner"]
        top = raw.new_full((size,), -torch.inf).scatter_reduce(0, owner, raw, "amax")
        weight = (raw - top[owner]).exp()
        total = raw.new_zeros(size).index_add(0, owner, weight)
        weighted = feature * (weight / total[owner])[:, None]
        return weighted.new_zeros(size, WIDTH).index_add(0, owner, weighted)
