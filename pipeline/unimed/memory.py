"""The memory of a stay: a token per kind of data and task, each of what was known by then."""

import torch
from torch import nn

from pipeline.training.batches import Batch, within
from pipeline.training.modality import Tokens


class Memory(nn.Module):
    """Batch → memory (B, K, M, D): for each of K horizons M tokens of width D.

    A token that is not there is a learnt one, so that no stay is left out (Zhao et al. 2022 have
    complete cases). `names`: the tokens in order. `features`: encoder → what it made of the last
    batch in training, so that its gradient can be another than that of the rest.
    """

    def __init__(self, encoders: dict[str, nn.Module], width: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        widths = {token: size for own in encoders.values() for token, size in own.widths.items()}  # type: ignore[operator, union-attr]
        self.names = list(widths)
        self.features: dict[str, list[torch.Tensor]] = {}
        self.project = nn.ModuleDict({token: nn.Linear(n, width) for token, n in widths.items()})
        self.missing = nn.ParameterDict(
            {token: nn.Parameter(torch.randn(width) * width**-0.5) for token in widths}
        )

    def forward(self, batch: Batch, horizons: list[int]) -> torch.Tensor:
        """(B, K, M, D)."""
        found: Tokens = {}
        for name, encoder in self.encoders.items():
            own = encoder(within(batch, name), horizons)
            self.features[name] = [x for x, _ in own.values() if self.training and x.requires_grad]
            found |= own
        tokens = []
        for name in self.names:
            feature, present = found[name]
            token = self.project[name](feature)
            tokens.append(
                torch.where(present[..., None], token, self.missing[name].to(token.dtype))
            )
        return torch.stack(tokens, dim=2)
