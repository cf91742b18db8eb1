"""UniMed: memory, decoder, a head per task, and what a task tells the next.

The query of a step is the embedding of the outcome of the task before it and that of its own task.
Fed back are predictions, as embeddings weighted by their probability. In training the truth takes
their place in a share of the stays that falls from 1 to 0 over the epochs (scheduled sampling), and
of the truth only what was known when the later task is predicted: an onset before it. Feedback
teaches the later task: no gradient flows back through it.
"""

import torch
from torch import nn

from pipeline.training.batches import Batch
from pipeline.unimed import decoders
from pipeline.unimed.decoders import Attention
from pipeline.unimed.memory import Memory
from pipeline.unimed.settings import Settings, Task

NO, YES, UNKNOWN = range(3)  # outcomes of a task; unknown: the stay was not eligible for it
# ASSUME an infusion that will turn out void is none from its start: eligibility knows it, if fed.


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
            said = self.labels(share)
        else:
            said = torch.lerp(self.embedding[NO], self.embedding[YES], share[:, None])
        return torch.where(eligible[:, None], said, self.embedding[UNKNOWN].to(said.dtype))


class UniMed(nn.Module):
    """Batch of `Stays` → logits, a column per binary task and one per diagnosis, tasks in order.

    Where the weights of the losses are learnt, a column of log σ² per task follows. `sampling`:
    the share of stays that are told the truth in training.
    """

    sampling = 0.0

    def __init__(self, encoders: dict[str, nn.Module], tasks: list[Task], groups: int,
                 settings: Settings) -> None:  # fmt: skip
        super().__init__()
        own, width = settings, settings.width
        self.tasks, self.settings, self.steps = tasks, settings, settings.steps(tasks)
        self.memory = Memory(encoders, width)
        self.decoder = decoders.build(
            own.decoder, width, len(self.memory.names), own.layers, own.heads, own.dropout
        )
        self.begin = nn.Parameter(torch.randn(width) * width**-0.5)
        self.index = nn.Embedding(len(tasks), width)
        nn.init.normal_(self.index.weight, std=width**-0.5)
        self.outcome = nn.ModuleList(Outcome(width, groups if t.several else None) for t in tasks)
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, width), nn.ReLU(), nn.Dropout(own.dropout),
                nn.Linear(width, groups if task.several else 1),
            )
            for task in tasks
        )  # fmt: skip
        learnt = own.weights == "uncertainty"
        self.log_variance = nn.Parameter(torch.zeros(len(tasks))) if learnt else None

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits (B, columns)."""
        return self.decode(batch)[0]

    def decode(self, batch: Batch) -> tuple[torch.Tensor, list[Attention]]:
        """Logits, and the attention of each task, tasks in order."""
        memory = self.memory(batch, [task.horizon for task in self.tasks])  # (B, K, M, D)
        said: dict[int, torch.Tensor] = {}
        attention: dict[int, Attention] = {}
        state, before = None, None
        for k in self.steps:
            query = self.index.weight[k] + self._fed(before, k, said, batch)
            hidden, state, attention[k] = self.decoder(query, memory[:, k], state)
            said[k], before = self.heads[k](hidden), k
            if self.settings.parallel:
                state = None
        columns = [said[k] for k in range(len(self.tasks))]
        if self.log_variance is not None:
            columns.append(self.log_variance.expand(len(memory), -1))
        return torch.cat(columns, dim=1), [attention[k] for k in range(len(self.tasks))]

    def _fed(self, before: int | None, now: int, said: dict[int, torch.Tensor], batch: Batch
             ) -> torch.Tensor:  # fmt: skip
        """The outcome (B, D) of the task `before` as task `now` may know it."""
        size = len(batch["eligible"])
        if before is None or self.settings.parallel or self.settings.feedback == "none":
            return self.begin.expand(size, -1)
        share, several = said[before].detach().float(), self.tasks[before].several
        soft = several and self.settings.diagnoses == "softmax"
        share = share.softmax(1) if soft else share.sigmoid()
        if self.settings.feedback == "truth":
            share = batch["groups"] if several else batch["label"][:, before]
        elif not several:
            share = share[:, 0]
            if self.training and self.sampling:  # of codes nothing is ever known
                known = batch["onset"][:, before] < self.tasks[now].horizon
                told = torch.rand(size, device=share.device) < self.sampling
                share = torch.where(told, batch["label"][:, before] * known, share)
        return self.outcome[before](share, self._status(before, now, batch))

    def _status(self, before: int, now: int, batch: Batch) -> torch.Tensor:
        """Who was eligible for task `before` (B): alive, in the ICU, without an onset so far.

        Known to task `now` where its horizon reaches to that task's time, and to a model that reads
        the record: reports and films do not tell it. Elsewhere all count as eligible.
        """
        reads = "ehr" in self.memory.encoders
        if reads and self.tasks[before].hours <= self.tasks[now].horizon:
            return batch["eligible"][:, before]
        return torch.ones_like(batch["eligible"][:, before])
