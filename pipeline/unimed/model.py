"""UniMed: memory, decoder, a head per task, and what a task is told of the one before it.

The query of a step is the embedding of the outcome of the task before it and that of its own task.
Fed back are predictions, as embeddings weighted by their probability. In training the truth takes
their place in a share of the stays that falls from 1 to 0 (scheduled sampling), and of the truth
only what was known when the later task is predicted: an onset before it. Feedback teaches the later
task: no gradient flows back through it.
"""

from collections.abc import Sequence

import torch
from torch import nn

from pipeline.stage.errors import InputError
from pipeline.training.batches import Batch, within
from pipeline.training.modality import Tokens, tokens_of
from pipeline.unimed import decoders
from pipeline.unimed.decoders import Attention
from pipeline.unimed.settings import Step, UnimedModel

NO, YES, UNKNOWN = range(3)  # outcomes of a task; unknown: the episode was not eligible for it
# ASSUME an infusion that will turn out void is none from its start: eligibility knows it, if fed.


def widths_of(encoders: dict[str, nn.Module]) -> dict[str, int]:
    """Token → its width, of the encoders of all modalities.

    Raises `InputError` where two of them name a token alike: one would hide the other.
    """
    widths: dict[str, int] = {}
    for name, encoder in encoders.items():
        tokens: dict[str, int] = dict(encoder.widths)  # type: ignore[arg-type]
        if repeated := sorted(widths.keys() & tokens.keys()):
            raise InputError(
                f"unimed: the encoder of {name} calls a token {', '.join(repeated)}, as that of "
                "another modality does; rename it in the encoder's widths"
            )
        widths |= tokens
    return widths


class Memory(nn.Module):
    """Batch → memory (B, K, M, D): for each of K horizons M tokens of width D.

    A token is what one encoder knew by a horizon. One that is not there is a learnt one, so that no
    episode is left out (Zhao et al. 2022 have complete cases). `names`: the tokens in order.
    `features`: encoder → what it made of the last batch in training, so that its gradient can be
    another than that of the rest. `reads_record`: whether one of the encoders reads the EHR.
    """

    def __init__(self, encoders: dict[str, nn.Module], width: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.reads_record = any(getattr(net, "record", False) for net in encoders.values())
        widths = widths_of(encoders)
        self.names = list(widths)
        self.features: dict[str, list[torch.Tensor]] = {}
        self.project = nn.ModuleDict({token: nn.Linear(n, width) for token, n in widths.items()})
        self.missing = nn.ParameterDict(
            {token: nn.Parameter(torch.randn(width) * width**-0.5) for token in widths}
        )

    def forward(self, batch: Batch, horizons: Sequence[float]) -> torch.Tensor:
        """(B, K, M, D)."""
        all_tokens: Tokens = {}
        for name, encoder in self.encoders.items():
            made = tokens_of(encoder, within(batch, name), horizons)
            self.features[name] = [x for x, _ in made.values() if self.training and x.requires_grad]
            all_tokens |= made
        tokens = []
        for name in self.names:
            feature, present = all_tokens[name]
            token = self.project[name](feature)
            tokens.append(
                torch.where(present[..., None], token, self.missing[name].to(token.dtype))
            )
        return torch.stack(tokens, dim=2)


class Outcome(nn.Module):
    """The outcome of a task as a query (B, D): a share of yes, or of each of many labels."""

    def __init__(self, width: int, labels: int | None) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(3, width) * width**-0.5)
        # many labels: the sum over those that are there, some ten of them
        self.labels = None if labels is None else nn.Linear(max(1, labels), width, bias=False)

    def forward(self, share: torch.Tensor, eligible: torch.Tensor) -> torch.Tensor:
        """share (B) or (B, labels), eligible (B) → (B, D)."""
        if self.labels is not None:
            query = self.labels(share)
        else:
            query = torch.lerp(self.embedding[NO], self.embedding[YES], share[:, None])
        return torch.where(eligible[:, None], query, self.embedding[UNKNOWN].to(query.dtype))


class UniMed(nn.Module):
    """Batch of `Episodes` → logits, a column per binary task and per label of many, tasks in order.

    Where the weights of the losses are learnt, a column of log σ² per task follows. `sampling`:
    the share of episodes that are told the truth in training.
    """

    sampling = 0.0

    def __init__(self, encoders: dict[str, nn.Module], tasks: list[Step], groups: int,
                 settings: UnimedModel) -> None:  # fmt: skip
        super().__init__()
        width = settings.width
        self.tasks, self.settings, self.order = tasks, settings, settings.order_of(tasks)
        self.memory = Memory(encoders, width)
        self.decoder = decoders.build(
            settings.decoder,
            width,
            len(self.memory.names),
            settings.layers,
            settings.heads,
            settings.dropout,
        )
        self.begin = nn.Parameter(torch.randn(width) * width**-0.5)
        self.index = nn.Embedding(len(tasks), width)
        nn.init.normal_(self.index.weight, std=width**-0.5)
        self.outcome = nn.ModuleList(Outcome(width, groups if t.many else None) for t in tasks)
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, width), nn.ReLU(), nn.Dropout(settings.dropout),
                nn.Linear(width, groups if task.many else 1),
            )
            for task in tasks
        )  # fmt: skip
        learnt = settings.weights == "uncertainty"
        self.log_variance = nn.Parameter(torch.zeros(len(tasks))) if learnt else None

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits (B, columns)."""
        return self.decode(batch)[0]

    def decode(self, batch: Batch) -> tuple[torch.Tensor, list[Attention]]:
        """Logits, and the attention of each task, tasks in order."""
        memory = self.memory(batch, [task.horizon for task in self.tasks])  # (B, K, M, D)
        logits: dict[int, torch.Tensor] = {}
        attention: dict[int, Attention] = {}
        state, before = None, None
        for k in self.order:
            query = self.index.weight[k] + self._fed(before, k, logits, batch)
            hidden, state, attention[k] = self.decoder(query, memory[:, k], state)
            logits[k], before = self.heads[k](hidden), k
            if self.settings.parallel:
                state = None
        columns = [logits[k] for k in range(len(self.tasks))]
        if self.log_variance is not None:
            columns.append(self.log_variance.expand(len(memory), -1))
        return torch.cat(columns, dim=1), [attention[k] for k in range(len(self.tasks))]

    def _fed(self, before: int | None, now: int, logits: dict[int, torch.Tensor], batch: Batch
             ) -> torch.Tensor:  # fmt: skip
        """The outcome (B, D) of the task `before` as task `now` may know it."""
        size = len(batch["eligible"])
        if before is None or self.settings.parallel or self.settings.feedback == "none":
            return self.begin.expand(size, -1)
        share, many = logits[before].detach().float(), self.tasks[before].many
        share = share.softmax(1) if many and self.settings.softmax else share.sigmoid()
        if self.settings.feedback == "truth":
            share = batch["groups"] if many else batch["label"][:, before]
        elif not many:
            share = share[:, 0]
            if self.training and self.sampling:  # of codes nothing is ever known
                known = batch["onset"][:, before] < self.tasks[now].horizon
                told = torch.rand(size, device=share.device) < self.sampling
                share = torch.where(told, batch["label"][:, before] * known, share)
        return self.outcome[before](share, self._eligible(before, now, batch))

    def _eligible(self, before: int, now: int, batch: Batch) -> torch.Tensor:
        """Who counts as eligible for task `before` (B), as far as task `now` may know it.

        Known is what is decided by the time of that task (`Step.eligibility_known`: alive, in the
        ICU, without an onset so far), to a model that reads the record (reports and films do not
        tell it), where the horizon of `now` is later: at the time itself nobody knows yet whether
        an infusion that has begun will last. Elsewhere all count.
        """
        task, reads = self.tasks[before], self.memory.reads_record
        if reads and task.eligibility_known and task.hours < self.tasks[now].horizon:
            return batch["eligible"][:, before]
        return torch.ones_like(batch["eligible"][:, before])
