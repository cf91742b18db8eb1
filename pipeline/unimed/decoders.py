"""Decoders: one step per task. A step sees its query, its memory and the steps before it.

    hidden, state, attention = decoder(query, memory, state)

query (B, D); memory (B, M, D) of this task's horizon; state of the steps before, None at the first;
hidden (B, D). attention: over memory tokens (B, M) and over steps up to this one (B, k), None where
a decoder has none. Zhao et al. 2022, section 3.3 and Table III.
"""

from typing import Any

import torch
from torch import nn

Attention = dict[str, torch.Tensor | None]
Step = tuple[torch.Tensor, Any, Attention]


class Layer(nn.Module):
    """A transformer decoder layer for one new step; post-norm, as torch's own.

    Written out for its attention, and so that earlier steps are kept and not computed again.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.steps = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.memory = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(4 * width, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, past: torch.Tensor | None, memory: torch.Tensor
                ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
        """x (B, 1, D), past (B, k, D) → x, past with this step, and the two attentions."""
        seen = x if past is None else torch.cat([past, x], dim=1)
        read, over_steps = self.steps(x, seen, seen)
        x = self.norms[0](x + self.dropout(read))
        read, over_memory = self.memory(x, memory, memory)
        x = self.norms[1](x + self.dropout(read))
        x = self.norms[2](x + self.dropout(self.feed(x)))
        return x, seen, over_steps[:, 0], over_memory[:, 0]


class Transformer(nn.Module):
    """Causal self-attention over steps, cross-attention to the memory.

    The paper says 3 layers, width 512 and "6 heads"; 512 / 6 is no integer: 8 heads.
    """

    def __init__(self, width: int, tokens: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(width, heads, dropout) for _ in range(layers))

    def forward(self, query: torch.Tensor, memory: torch.Tensor, state: Any = None) -> Step:
        """See the module. Attention: mean over layers and heads."""
        past = state or [None] * len(self.layers)
        x, kept, steps, tokens = query.unsqueeze(1), [], [], []
        for layer, before in zip(self.layers, past, strict=True):
            x, seen, over_steps, over_memory = layer(x, before, memory)
            kept.append(seen)
            steps.append(over_steps)
            tokens.append(over_memory)
        mean = {"memory": torch.stack(tokens).mean(0), "steps": torch.stack(steps).mean(0)}
        return x[:, 0], kept, {**mean}


class Gru(nn.Module):
    """A GRU over steps; the memory is one vector, a linear layer on all its tokens."""

    def __init__(self, width: int, tokens: int, dropout: float) -> None:
        super().__init__()
        self.read = nn.Sequential(nn.Linear(tokens * width, width), nn.ReLU(), nn.Dropout(dropout))
        self.cell = nn.GRUCell(2 * width, width)

    def forward(self, query: torch.Tensor, memory: torch.Tensor, state: Any = None) -> Step:
        """See the module; without attention."""
        read = self.read(memory.flatten(1))
        hidden = self.cell(torch.cat([query, read], dim=1), state)
        return hidden, hidden, {"memory": None, "steps": None}


class GruAttention(nn.Module):
    """A GRU over steps that attends to the memory tokens, additively (Bahdanau et al. 2015)."""

    def __init__(self, width: int, tokens: int, dropout: float) -> None:
        super().__init__()
        self.of_state, self.of_token = nn.Linear(2 * width, width), nn.Linear(width, width)
        self.energy = nn.Linear(width, 1, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.cell = nn.GRUCell(2 * width, width)

    def forward(self, query: torch.Tensor, memory: torch.Tensor, state: Any = None) -> Step:
        """See the module. Attention over memory tokens."""
        before = torch.zeros_like(query) if state is None else state
        asked = self.of_state(torch.cat([query, before], dim=1)).unsqueeze(1)
        weight = self.energy(torch.tanh(asked + self.of_token(memory))).softmax(dim=1)  # (B, M, 1)
        read = self.dropout((weight * memory).sum(dim=1))
        hidden = self.cell(torch.cat([query, read], dim=1), state)
        return hidden, hidden, {"memory": weight[..., 0], "steps": None}


def build(name: str, width: int, tokens: int, layers: int, heads: int, dropout: float
          ) -> nn.Module:  # fmt: skip
    """The decoder of this name for a memory of so many tokens."""
    if name == "transformer":
        return Transformer(width, tokens, layers, heads, dropout)
    return {"gru": Gru, "gru-attention": GruAttention}[name](width, tokens, dropout)
