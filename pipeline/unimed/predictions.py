"""Predictions of a trained UniMed for every task, and where it looked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from pipeline.cohort.rows import MANY_PREDICTIONS, PREDICTIONS
from pipeline.stage.files import write_json
from pipeline.stage.tables import write_table
from pipeline.training.batches import ahead, batches
from pipeline.training.precision import half_precision
from pipeline.unimed.data import Episodes
from pipeline.unimed.examples import columns
from pipeline.unimed.model import UniMed

BATCH = 256
Weights = dict[str, dict[str, Any]]


@dataclass
class SeedPredictions:
    """Of one seed: `binary` (contract PREDICTIONS), `many` (MANY_PREDICTIONS) and `attention`."""

    seed: int
    binary: pl.DataFrame
    many: pl.DataFrame
    attention: Weights


@torch.no_grad()
def predict(model: UniMed, data: Episodes, seed: int, device: torch.device) -> SeedPredictions:
    """Asks the model about every episode; attention is the mean over the test episodes."""
    model.eval()
    rows = np.arange(len(data.episode))
    parts, outputs = batches(rows, BATCH), []
    attention = MeanAttention(model, data)
    for part, batch in zip(parts, ahead(data, parts, device), strict=True):
        with half_precision(device):
            output, weights = model.decode(batch)
        outputs.append(output.float().cpu())
        attention.add(part, weights)
    logits = torch.cat(outputs)
    many = _many(logits, data, seed, model.settings.softmax)
    return SeedPredictions(seed, _binary(logits, data, seed), many, attention.mean())


class MeanAttention:
    """Sums of attention over the test episodes that are eligible for each task."""

    def __init__(self, model: UniMed, data: Episodes) -> None:
        self.model, self.data = model, data
        size = len(data.tasks)
        self.count = np.zeros(size, dtype=int)
        self.sums: dict[str, list[np.ndarray | float]] = {
            "memory": [0.0] * size,
            "steps": [0.0] * size,
        }

    def add(self, rows: np.ndarray, attention: list) -> None:
        """Adds a batch: `rows` of the episodes and what each task looked at."""
        test = self.data.split[rows] == "test"
        for k, kinds in enumerate(attention):
            here = torch.from_numpy(test & self.data.eligible[rows, k])
            self.count[k] += int(here.sum())
            for kind, weight in kinds.items():
                if weight is not None:
                    self.sums[kind][k] = (
                        self.sums[kind][k] + weight.float().cpu()[here].sum(0).numpy()
                    )

    def mean(self) -> Weights:
        """modality: task → token → weight; task: task → earlier task → weight; stays: task → n."""
        names = [task.name for task in self.data.tasks]
        counts = dict(zip(names, self.count.tolist(), strict=True))
        means: Weights = {"modality": {}, "task": {}, "stays": counts}
        for position, k in enumerate(self.model.order):
            met = [names[j] for j in self.model.order[: position + 1]]
            met = [names[k]] if self.model.settings.parallel else met
            for kind, label, over in (("memory", "modality", self.model.memory.names),
                                      ("steps", "task", met)):  # fmt: skip
                total = self.sums[kind][k]
                if isinstance(total, np.ndarray) and self.count[k]:
                    mean = (total / self.count[k]).round(6).tolist()
                    means[label][names[k]] = dict(zip(over, mean, strict=True))
        return means


def _frame(data: Episodes, seed: int, rows: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "episode_id": data.episode[rows],
            "subject_id": data.subject[rows],
            "seed": np.full(len(rows), seed),
            "split": data.split[rows],
        }
    )


def _binary(logits: torch.Tensor, data: Episodes, seed: int) -> pl.DataFrame:
    """The probability of each binary task for every eligible episode."""
    frames = [pl.DataFrame(schema=dict(PREDICTIONS.columns))]
    for k, part in enumerate(columns(data.tasks, data.groups)):
        task = data.tasks[k]
        if task.many or task.told:
            continue
        rows = np.flatnonzero(data.eligible[:, k])
        probability = logits[rows, part].double().sigmoid()[:, 0].numpy().round(7)
        table = _frame(data, seed, rows).with_columns(
            pl.lit(task.name).alias("task"),
            pl.Series("label", data.label[rows, k].astype(np.int8)),
            pl.Series("probability", probability),
        )
        frames.append(table.select(list(PREDICTIONS.columns)))
    return pl.concat(frames)


def _many(logits: torch.Tensor, data: Episodes, seed: int, softmax: bool) -> pl.DataFrame:
    """The probability of each of many labels for the eligible episodes of val and test."""
    kind = pl.Array(pl.Float64, data.groups)
    for k, part in enumerate(columns(data.tasks, data.groups)):
        if data.tasks[k].many and not data.tasks[k].told:
            rows = np.flatnonzero(data.eligible[:, k] & np.isin(data.split, ["val", "test"]))
            output = logits[rows, part].double()
            share = output.softmax(1) if softmax else output.sigmoid()
            values = pl.Series("probability", share.numpy().round(7), dtype=kind)
            return _frame(data, seed, rows).with_columns(values)
    return pl.DataFrame(schema={**MANY_PREDICTIONS.columns, "probability": kind})


def write_predictions(made: list[SeedPredictions], binary: Path, many: Path, attention: Path
                      ) -> None:  # fmt: skip
    """Writes the tables of all seeds and the attention."""
    write_table(pl.concat(seed.binary for seed in made), binary, PREDICTIONS)
    frames = [seed.many.select(list(MANY_PREDICTIONS.columns)) for seed in made]
    write_table(pl.concat(frames), many, MANY_PREDICTIONS)
    write_json(attention, {"seeds": {str(seed.seed): seed.attention for seed in made}})
