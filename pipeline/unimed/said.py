"""What a trained UniMed says: predictions of every task, and where it looked."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch

from pipeline.cohort.rows import UNIMED, UNIMED_DIAGNOSES
from pipeline.stage.files import write_json
from pipeline.stage.tables import write_table
from pipeline.training.batches import ahead, batches
from pipeline.training.device import half_precision
from pipeline.unimed.data import Stays
from pipeline.unimed.examples import columns
from pipeline.unimed.model import UniMed

BATCH = 256
Weights = dict[str, dict[str, Any]]


@dataclass
class Said:
    """Of one seed: `binary` (contract UNIMED), `diagnoses` (contract of its width), `attention`."""

    seed: int
    binary: pl.DataFrame
    diagnoses: pl.DataFrame
    attention: Weights

    @classmethod
    @torch.no_grad()
    def of(cls, model: UniMed, stays: Stays, seed: int, device: torch.device) -> "Said":
        """Asks the model about every stay; attention is the mean over the test stays."""
        model.eval()
        rows = np.arange(len(stays.episode))
        parts, logits = batches(rows, BATCH), []
        looked = Looked(model, stays)
        for part, batch in zip(parts, ahead(stays, parts, device), strict=True):
            with half_precision(device):
                output, attention = model.decode(batch)
            logits.append(output.float().cpu())
            looked.add(part, attention)
        said = torch.cat(logits)
        return cls(seed, _binary(said, stays, seed), _diagnoses(said, stays, seed, model),
                   looked.mean())  # fmt: skip


class Looked:
    """Sums of attention over the test stays that are eligible for each task."""

    def __init__(self, model: UniMed, stays: Stays) -> None:
        self.model, self.stays = model, stays
        size = len(stays.tasks)
        self.count = np.zeros(size, dtype=int)
        self.sums: dict[str, list[np.ndarray | float]] = {
            "memory": [0.0] * size,
            "steps": [0.0] * size,
        }

    def add(self, rows: np.ndarray, attention: list) -> None:
        """Adds a batch: `rows` of the stays and what each task looked at."""
        test = self.stays.split[rows] == "test"
        for k, own in enumerate(attention):
            here = torch.from_numpy(test & self.stays.eligible[rows, k])
            self.count[k] += int(here.sum())
            for kind, weight in own.items():
                if weight is not None:
                    self.sums[kind][k] = (
                        self.sums[kind][k] + weight.float().cpu()[here].sum(0).numpy()
                    )

    def mean(self) -> Weights:
        """modality: task → token → weight; task: task → earlier task → weight; stays: task → n."""
        names = [task.name for task in self.stays.tasks]
        stays = dict(zip(names, self.count.tolist(), strict=True))
        found: Weights = {"modality": {}, "task": {}, "stays": stays}
        for position, k in enumerate(self.model.steps):
            met = [names[j] for j in self.model.steps[: position + 1]]
            met = [names[k]] if self.model.settings.parallel else met
            for kind, label, over in (("memory", "modality", self.model.memory.names),
                                      ("steps", "task", met)):  # fmt: skip
                total = self.sums[kind][k]
                if isinstance(total, np.ndarray) and self.count[k]:
                    mean = (total / self.count[k]).round(6).tolist()
                    found[label][names[k]] = dict(zip(over, mean, strict=True))
        return found


def _frame(stays: Stays, seed: int, rows: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "episode_id": stays.episode[rows],
            "subject_id": stays.subject[rows],
            "seed": np.full(len(rows), seed),
            "split": stays.split[rows],
        }
    )


def _binary(logits: torch.Tensor, stays: Stays, seed: int) -> pl.DataFrame:
    """The probability of each binary task for every eligible stay."""
    frames = []
    for k, (task, part) in enumerate(
        zip(stays.tasks, columns(stays.tasks, stays.groups), strict=True)
    ):
        if task.several or task.told:
            continue
        rows = np.flatnonzero(stays.eligible[:, k])
        said = logits[rows, part].double().sigmoid()[:, 0].numpy().round(7)
        frames.append(
            _frame(stays, seed, rows).with_columns(
                pl.lit(task.name).alias("task"),
                pl.Series("label", stays.label[rows, k].astype(np.int8)),
                pl.Series("probability", said),
            )
        )
    return pl.concat(frames) if frames else pl.DataFrame(schema=dict(UNIMED.columns))


def _diagnoses(logits: torch.Tensor, stays: Stays, seed: int, model: UniMed) -> pl.DataFrame:
    """The probability of each group for the eligible stays of val and test."""
    kind = pl.Array(pl.Float64, stays.groups)
    for k, (task, part) in enumerate(
        zip(stays.tasks, columns(stays.tasks, stays.groups), strict=True)
    ):
        if task.several and not task.told:
            rows = np.flatnonzero(stays.eligible[:, k] & np.isin(stays.split, ["val", "test"]))
            own = logits[rows, part].double()
            soft = model.settings.diagnoses == "softmax"
            share = own.softmax(1) if soft else own.sigmoid()
            values = pl.Series("probability", share.numpy().round(7), dtype=kind)
            return _frame(stays, seed, rows).with_columns(values)
    return pl.DataFrame(schema={**UNIMED_DIAGNOSES.columns, "probability": kind})


def write_said(said: list[Said], stays: Stays, binary: str, diagnoses: str, attention: str) -> None:
    """Writes the tables of all seeds and the attention."""
    write_table(pl.concat(own.binary.select(list(UNIMED.columns)) for own in said), binary, UNIMED)
    frames = [own.diagnoses.select(list(UNIMED_DIAGNOSES.columns)) for own in said]
    write_table(pl.concat(frames), diagnoses, UNIMED_DIAGNOSES)
    write_json(attention, {"seeds": {str(own.seed): own.attention for own in said}})
