"""Encoder `tokens` of the EHR: per event time the maximum of its tokens, BiLSTM, maximum over time.

Wang et al. 2024, section 2.3. A token is Linear([variable; value]). Since variables and bins are
few, W·[variable; value] = W₁·variable + W₂·value is computed once per table row and batch, not once
per token: the same numbers for a fraction of the work. Each horizon has a pass of its own over the
tokens that were known by then; horizons that are equal share it.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from pipeline.ehr.signals import BINS, Vocabulary, classes, vocabulary
from pipeline.ehr.steps import known_before, read_steps
from pipeline.ehr.summary import beside, with_statistics
from pipeline.training.batches import Batch
from pipeline.training.modality import ModalityData, Settings, Tokens, horizon_of

WIDTH = 256
ALIKE = 8  # episodes of similar lengths that a CPU takes together: little padding, still matrices
LSTM_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
SMALL = 0.05  # initial scale of what must not hide the values


def sinusoid() -> torch.Tensor:
    """The frozen table of bins and times, (200, 256): row j = [sin, cos](i · j / (127 · 199)).

    Row 0 is zeros: no value.
    """
    i = torch.arange(WIDTH // 2, dtype=torch.float64)
    angle = torch.arange(BINS, dtype=torch.float64)[:, None] * i / ((WIDTH // 2 - 1) * (BINS - 1))
    table = torch.cat([angle.sin(), angle.cos()], dim=1).float()
    table[0] = 0
    return table


class ValueTokens(nn.Module):
    """All possible tokens of one kind (chart or lab) as one table, (rows, 256).

    `blocks`: (signal, kind, rows, is numeric), as in the vocabulary.
    """

    number: torch.Tensor
    row: torch.Tensor

    def __init__(self, blocks: list[tuple[str, str, int, bool]]) -> None:
        super().__init__()
        self.blocks = blocks
        self.linear = nn.Linear(2 * WIDTH, WIDTH)
        self.variable = nn.Embedding(len(blocks), WIDTH)
        scores = {name: nn.Embedding(rows, WIDTH) for name, _, rows, num in blocks if not num}
        self.scores = nn.ModuleDict(scores)
        self.values = nn.Parameter(sinusoid(), requires_grad=False)
        number = [k for k, (_, _, rows, _) in enumerate(blocks) for _ in range(rows)]
        self.register_buffer("number", torch.tensor(number), persistent=False)
        self.register_buffer("row", torch.cat(self._rows()), persistent=False)

    def _rows(self) -> list[torch.Tensor]:
        """Per block, the rows of [the sinusoids; the scores' tables] that its tokens stand for."""
        places, first = [], BINS
        for _, _, rows, numeric in self.blocks:
            places.append(torch.arange(rows) + (0 if numeric else first))
            first += 0 if numeric else rows
        return places

    def forward(self) -> torch.Tensor:
        """(rows, 256), in the order of the blocks."""
        values = torch.cat([self.values, *self.scores.parameters()])  # (200 + scores, 256)
        of_variable, of_value = self.linear.weight.split(WIDTH, dim=1)
        variables = F.linear(self.variable.weight, of_variable, self.linear.bias)
        return F.embedding(self.number, variables) + F.embedding(
            self.row, F.linear(values, of_value)
        )


class TokensNetwork(nn.Module):
    """Batch of `Steps`, K horizons → token e: (B, K, 512), present for every episode."""

    widths = {"e": 2 * WIDTH}  # noqa: RUF012 — of the class, never changed
    record = True

    def __init__(self, words: Vocabulary, classes: list[int]) -> None:
        super().__init__()
        by_kind = {k: [b for b in words.blocks if b[1] == k] for k in ("chart", "lab")}
        self.chart, self.lab = ValueTokens(by_kind["chart"]), ValueTokens(by_kind["lab"])
        intervals = sum(rows for _, kind, rows, _ in words.blocks if kind == "interval")
        self.interval = nn.Embedding(intervals, WIDTH)
        self.demographics = nn.ModuleList(nn.Embedding(n, WIDTH) for n in classes)
        self.times = nn.Parameter(sinusoid(), requires_grad=False)
        self.lstm = nn.LSTM(2 * WIDTH, WIDTH, batch_first=True, bidirectional=True)

    def forward(self, batch: Batch, horizons: Sequence[float]) -> Tokens:
        """The maximum over the steps of the BiLSTM's output."""
        table = torch.cat([self.chart(), self.lab(), self.interval.weight])  # (V, 256)
        features = {}
        for horizon in dict.fromkeys(horizons):
            known = batch if math.isinf(horizon) else known_before(batch, horizon)
            features[horizon] = self._feature(known, table)
        feature = torch.stack([features[horizon] for horizon in horizons], dim=1)
        present = torch.ones(feature.shape[:2], dtype=torch.bool, device=feature.device)
        return {"e": (feature, present)}

    def _feature(self, batch: Batch, table: torch.Tensor) -> torch.Tensor:
        """(B, 512) of all tokens of a batch; `table` (V, 256) of every possible token."""
        lengths, steps = batch["lengths"], len(batch["time_bin"])
        token = batch["token"].long()  # as wide as where each bag begins
        readings = F.embedding_bag(token, table, batch["bag"], mode="max")  # (S, 256)
        empty = torch.diff(batch["bag"], append=batch["bag"].new_tensor([len(batch["token"])])) == 0
        readings = readings.masked_fill(empty[:, None], -math.inf)
        fixed = torch.stack([
            embed(batch["demographics"][:, k]) for k, embed in enumerate(self.demographics)
        ]).amax(dim=0)  # fmt: skip
        fixed = fixed.repeat_interleave(lengths, dim=0, output_size=steps)  # (S, 256)
        value = torch.cat([torch.maximum(readings, fixed), self.times[batch["time_bin"]]], dim=1)
        return self.over_time(value, lengths)

    def over_time(self, steps: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Flat steps (S, 512) of episodes of `lengths` (B) → feature (B, 512)."""
        return self._packed(steps, lengths) if steps.is_cuda else self._padded(steps, lengths)

    def _packed(self, steps: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """On a GPU: cuDNN takes unequal lengths and both directions at once."""
        here = lengths.cpu()  # all that the host waits for
        owner = torch.arange(len(lengths), device=lengths.device).repeat_interleave(
            lengths, output_size=len(steps)
        )
        place = torch.arange(len(steps), device=lengths.device)
        place = place - (lengths.cumsum(0) - lengths)[owner]  # of a step in its episode
        padded = steps.new_zeros(len(here), int(here.max()), steps.shape[1])
        padded = padded.index_put((owner, place), steps)
        packed = pack_padded_sequence(padded, here, batch_first=True, enforce_sorted=False)
        output, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return _over_steps(output, lengths)

    def _padded(self, steps: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """On a CPU: a few episodes of similar lengths at a time, each direction by itself.

        Packed steps would be taken one by one there, with a backward pass that grows with the
        square of their number; padded ones are one call of oneDNN.
        """
        by_length, first = lengths.argsort(stable=True), lengths.cumsum(0) - lengths
        parts = by_length.split(ALIKE)
        orders = [_both_ways(first[part], lengths[part]) for part in parts]
        at = torch.cat([order.flatten() for order in orders])
        taken = F.embedding(at, steps).split([order.numel() for order in orders])
        features = []
        for part, order, value in zip(parts, orders, taken, strict=True):
            forth, back = value.view(*order.shape, -1)  # (B, steps, 512) each
            output = [self._one_way(forth, ""), self._one_way(back, "_reverse")]
            features.append(torch.cat([_over_steps(o, lengths[part]) for o in output], dim=1))
        return torch.cat(features)[by_length.argsort()]

    def _one_way(self, padded: torch.Tensor, suffix: str) -> torch.Tensor:
        """One direction of the LSTM, from the first step to the last: (B, steps, 256)."""
        weights = [getattr(self.lstm, f"{name}_l0{suffix}") for name in LSTM_WEIGHTS]
        state = padded.new_zeros(1, len(padded), WIDTH)
        output, _, _ = torch.lstm(padded, (state, state), weights, has_biases=True, num_layers=1,
                                  dropout=0.0, train=self.training, bidirectional=False,
                                  batch_first=True)  # fmt: skip
        return output


def _both_ways(first: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Which steps to read, from the first to the last and back: (2, B, steps).

    What fills a shorter episode up comes after it in both directions, and reaches nothing.

    >>> _both_ways(torch.tensor([5, 0]), torch.tensor([3, 1])).tolist()
    [[[5, 6, 7], [0, 0, 0]], [[7, 6, 5], [0, 0, 0]]]
    """
    place = torch.minimum(torch.arange(int(lengths.max())), lengths[:, None] - 1)
    first = first[:, None]
    return torch.stack([first + place, first + (lengths[:, None] - 1 - place)])


def _over_steps(output: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The maximum of (B, steps, D) over the steps of each episode: (B, D)."""
    position = torch.arange(output.shape[1], device=output.device)
    beyond = position[None, :] >= lengths[:, None]
    return output.masked_fill(beyond[..., None], -math.inf).amax(dim=1)


@torch.no_grad()
def start_by_value(network: TokensNetwork) -> None:
    """Initial weights under which a token depends on its value, not on its variable alone.

    The whole range of a value turns the sinusoids by at most one radian: with default weights it
    moves a token 15 times less than a change of variable does, the element-wise maximum hides it,
    and the encoder is slow to find it. So the value half of the Linear starts large and centred,
    variables, scores and demographics start small (corrected protocol; measured: AUROC .65 against
    .73).
    """
    for tokens in (network.chart, network.lab):
        tokens.linear.weight[:, WIDTH:].mul_(8)
        tokens.linear.bias.sub_(tokens.linear.weight[:, WIDTH:] @ tokens.values[1:].mean(dim=0))
        for weight in (tokens.variable.weight, *tokens.scores.parameters()):
            weight.mul_(SMALL)
    for weight in network.demographics.parameters():  # in every step: they must not hide readings
        weight.mul_(SMALL)


class EhrTokens:
    """Tokens and demographics; statistics beside them, where the settings say so."""

    def data(self, settings: Settings, episodes: np.ndarray) -> ModalityData:
        """Settings: tokens and demographics (tables), window_hours, before; statistics
        (`with_statistics`)."""
        data = read_steps(settings["tokens"], settings["demographics"], episodes,
                          settings["window_hours"], horizon_of(settings))  # fmt: skip
        return with_statistics(data, settings, episodes)

    def network(self, settings: Settings, data: ModalityData, train: np.ndarray) -> nn.Module:
        """The network over a catalogue. Settings: signals (its name), start_by_value."""
        name = settings["signals"]

        def build(_: ModalityData) -> TokensNetwork:
            network = TokensNetwork(vocabulary(name), list(classes(name).values()))
            if settings["start_by_value"]:
                start_by_value(network)
            return network

        return beside(build, data, train)


ENCODER = EhrTokens()
