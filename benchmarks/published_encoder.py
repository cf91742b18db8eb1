"""The published encoders, read literally: admission by admission, time by time, token by token.

Wang et al. 2024, section 2.3. The weights are those of the pipeline's encoders, so that both
compute the same features; the arithmetic is written anew, as a definition would be typed in.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.cxr.encoder_resnet18 import FilmsNetwork
from pipeline.cxr.film_data import Films
from pipeline.ehr.encoder_tokens import TokensNetwork, ValueTokens
from pipeline.ehr.steps import Steps
from pipeline.note.encoder_doc2vec import Doc2VecNetwork
from pipeline.note.reports import Reports, Vectors

Token = Callable[[], torch.Tensor]


def token_makers(encoder: TokensNetwork) -> list[Token]:
    """For every token of the vocabulary, what computes it: Linear([variable; value])."""
    return [
        *_value_makers(encoder.chart), *_value_makers(encoder.lab),
        *(_row(encoder.interval, row) for row in range(encoder.interval.num_embeddings)),
    ]  # fmt: skip


def _row(table: nn.Embedding, row: int) -> Token:
    number = torch.tensor(row)
    return lambda: table(number)


def _value_makers(tokens: ValueTokens) -> list[Token]:
    found: list[Token] = []
    for variable, (name, _, rows, numeric) in enumerate(tokens.blocks):
        table = tokens.values if numeric else tokens.scores[name].weight
        found += [_linear(tokens, table, variable, row) for row in range(rows)]
    return found


def _linear(tokens: ValueTokens, table: torch.Tensor, variable: int, row: int) -> Token:
    which, value = torch.tensor(variable), torch.tensor(row)
    return lambda: tokens.linear(torch.cat([tokens.variable(which), F.embedding(value, table)]))


class PublishedEhr(nn.Module):
    """Admissions of `Steps`, one after the other → features (B, 512)."""

    width = 512

    def __init__(self, encoder: TokensNetwork) -> None:
        super().__init__()
        self.encoder = encoder
        self.tokens = token_makers(encoder)

    def forward(self, data: Steps, rows: np.ndarray) -> torch.Tensor:
        """(B, 512)."""
        return torch.stack([self._admission(data, row) for row in rows])

    def _admission(self, data: Steps, row: int) -> torch.Tensor:
        demographics = torch.from_numpy(data.demographics[row])
        fixed = [embed(d) for embed, d in zip(self.encoder.demographics, demographics, strict=True)]
        steps = []
        for step in range(data.episode_start[row], data.episode_start[row + 1]):
            tokens = data.token[data.step_start[step] : data.step_start[step + 1]]
            known = torch.stack(fixed + [self.tokens[token]() for token in tokens]).amax(dim=0)
            steps.append(torch.cat([known, self.encoder.times[int(data.time_bin[step])]]))
        output, _ = self.encoder.lstm(torch.stack(steps)[None])
        return output[0].amax(dim=0)


class PublishedCxr(nn.Module):
    """Films of `Films`, one after the other → features (B, 512).

    Each film passes ResNet-18 alone: BatchNorm sees one, as in the published embedding.
    """

    width = 512

    def __init__(self, encoder: FilmsNetwork) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, data: Films, rows: np.ndarray) -> torch.Tensor:
        """(B, 512)."""
        return torch.stack([self._admission(data, row) for row in rows])

    def _admission(self, data: Films, row: int) -> torch.Tensor:
        films = range(data.start[row], data.start[row + 1])
        hours = torch.tensor([data.hours[film] for film in films])
        weights = torch.softmax(hours / self.encoder.hours_scale, dim=0)
        feature = torch.zeros(self.width)
        for weight, film in zip(weights, films, strict=True):
            image = np.array(data.arrays[data.chunk[film]][data.row[film]])
            grey = torch.from_numpy(image).float() / 255
            feature = feature + weight * self.encoder.net(grey.expand(1, 3, -1, -1))[0]
        return feature


class PublishedNote(nn.Module):
    """Reports of `Reports`, admission by admission → features (B, 512)."""

    width = 512

    def __init__(self, encoder: Doc2VecNetwork) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, data: Reports, rows: np.ndarray) -> torch.Tensor:
        """(B, 512)."""
        return torch.stack([self._admission(data, row) for row in rows])

    def _admission(self, data: Reports, row: int) -> torch.Tensor:
        uses = data.which[data.start[row] : data.start[row + 1]]
        assert isinstance(data.content, Vectors)
        vectors = torch.stack([torch.from_numpy(data.content.vector[use]) for use in uses])
        standard = (vectors - self.encoder.mean) / self.encoder.scale
        return self.encoder.lstm(standard[None])[0][0].amax(dim=0)
