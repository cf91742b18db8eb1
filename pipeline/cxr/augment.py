"""Augmentation of films in training: small shifts, rotations and changes of contrast.

Never a flip: the heart is on the left, and a marker tells sides. Each film of a batch gets its own
draw, from torch's generator, which a training seeds and keeps in its state: the same seed sees the
same films, and so does a training that was killed and resumed.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from pipeline.cxr.settings import Augmentation


class Augment(nn.Module):
    """Films (F, P, P), grey levels 0-255 → the same shape, float32, changed in training alone."""

    def __init__(self, settings: Augmentation) -> None:
        super().__init__()
        self.shift, self.degrees = float(settings.shift), float(settings.degrees)
        self.contrast = float(settings.contrast)

    def forward(self, film: torch.Tensor) -> torch.Tensor:
        """A shift of up to `shift` of the edge in each direction, a rotation of up to `degrees`, a
        contrast about the film's mean of 1 ± `contrast`, all drawn uniformly."""
        if not self.training or not len(film):
            return film
        draw = torch.rand(len(film), 4, device=film.device) * 2 - 1  # (F, 4) in −1 … 1
        image = film.float().unsqueeze(1)
        # edges are repeated: a black border would be new to the network
        image = F.grid_sample(image, self._grid(draw, image.shape), padding_mode="border",
                              align_corners=False).squeeze(1)  # fmt: skip
        mean = image.mean(dim=(1, 2), keepdim=True)
        factor = (1 + self.contrast * draw[:, 3])[:, None, None]
        return ((image - mean) * factor + mean).clamp(0, 255)

    def _grid(self, draw: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """Where each pixel comes from, (F, P, P, 2) in −1 … 1."""
        angle = draw[:, 2] * math.radians(self.degrees)
        cos, sin = angle.cos(), angle.sin()
        across, down = (2 * self.shift * draw[:, :2]).unbind(1)  # an edge is 2 long
        rows = torch.stack([cos, -sin, across]), torch.stack([sin, cos, down])
        theta = torch.stack(rows).permute(2, 0, 1)  # (F, 2, 3)
        return F.affine_grid(theta, list(shape), align_corners=False)
