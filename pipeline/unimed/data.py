"""Episodes as data: labels of several tasks, and every modality of the episode."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch

from pipeline.stage.database import in_training_share
from pipeline.stage.errors import InputError
from pipeline.stage.tables import read_table
from pipeline.training.batches import Batch
from pipeline.training.items import offsets, take
from pipeline.training.modality import ModalityData
from pipeline.unimed.settings import Step


@dataclass
class Episodes:
    """Episodes of one unit that are eligible for one of the tasks, in the order of their ids.

    `label`, `eligible` (N, K) 0/1; `onset` (N, K) hours, infinite where there was none or labels
    tell of none. `group`: the labels of a task of many, flat; `group_start` (N + 1); `groups`: how
    many there are. `each`: modality → its data, empty until it is read.
    """

    episode: np.ndarray
    subject: np.ndarray
    split: np.ndarray
    tasks: list[Step]
    label: np.ndarray
    eligible: np.ndarray
    onset: np.ndarray
    group: np.ndarray
    group_start: np.ndarray
    groups: int
    each: Mapping[str, ModalityData]

    def batch(self, rows: np.ndarray) -> Batch:
        """label, eligible, onset (B, K), groups (B, G), and `<modality>.<tensor>` of each."""
        tensors = {
            "label": torch.from_numpy(self.label[rows]),
            "eligible": torch.from_numpy(self.eligible[rows]),
            "onset": torch.from_numpy(self.onset[rows]),
            "groups": torch.from_numpy(self.multi_hot(rows)),
        }
        for name, data in self.each.items():
            tensors |= {f"{name}.{key}": value for key, value in data.batch(rows).items()}
        return tensors

    def multi_hot(self, rows: np.ndarray) -> np.ndarray:
        """The many labels of these episodes (B, G), float32."""
        places, count = take(self.group_start, rows)
        table = np.zeros((len(rows), self.groups), np.float32)
        table[np.repeat(np.arange(len(rows)), count), self.group[places]] = 1
        return table

    @property
    def asked(self) -> list[int]:
        """The tasks, by number, that are learnt and predicted."""
        return [k for k, task in enumerate(self.tasks) if not task.told]

    def of(self, *splits: str) -> np.ndarray:
        """Row numbers of splits."""
        return np.flatnonzero(np.isin(self.split, splits))

    def of_share(self, rows: np.ndarray, share: float) -> np.ndarray:
        """Of `rows` those of a share of all patients: the same ones for every target."""
        return rows[in_training_share(self.subject[rows], share)]


def window_hours(episodes: str) -> float:
    """Hours from clock zero to the prediction of the episodes of a table; infinite of none."""
    table = read_table(episodes, ["clock_zero", "prediction_time"])
    hours = (pl.col("prediction_time") - pl.col("clock_zero")).dt.total_seconds() / 3600
    return float(table.select(hours.median()).item() or np.inf)


def read_episodes(episodes: str, labels: Mapping[str, str], tasks: list[Step], groups: str,
                  vocabulary: str) -> Episodes:  # fmt: skip
    """The episodes that are eligible for a task that is asked; `labels`: task → its table.

    `groups`, `vocabulary`: tables of many labels, read where one of the tasks has them.
    """
    tables = {task.name: read_table(labels[task.name]) for task in tasks}
    anyone = pl.concat(
        tables[task.name].filter("eligible").select("episode_id") for task in tasks if not task.told
    )
    known = read_table(episodes, ["episode_id", "subject_id", "split"])
    known = known.join(anyone.unique(), on="episode_id", how="semi").sort("episode_id")
    if known.is_empty():
        raise InputError(f"{episodes}: no episode is eligible for a task; widen the cohort")
    facts = {
        name: known.join(table, on="episode_id", how="left", maintain_order="left")
        for name, table in tables.items()
    }

    def column(name: str, fill: float) -> np.ndarray:  # (N, K)
        each = [
            table[name].cast(pl.Float32).fill_null(fill).to_numpy()
            if name in table.columns
            else np.full(known.height, fill, np.float32)
            for table in facts.values()
        ]
        return np.stack(each, axis=1)

    start, group, size = np.zeros(known.height + 1, np.int64), np.empty(0, np.int64), 0
    if any(task.many for task in tasks):
        start, group, size = _many(known, groups, vocabulary)
    return Episodes(
        known["episode_id"].to_numpy(), known["subject_id"].to_numpy(), known["split"].to_numpy(),
        tasks, column("label", 0), column("eligible", 0) > 0, column("onset_hours", np.inf),
        group, start, size, {},
    )  # fmt: skip


def _many(known: pl.DataFrame, groups: str, vocabulary: str
          ) -> tuple[np.ndarray, np.ndarray, int]:  # fmt: skip
    order = known.select("episode_id").with_row_index("row")
    labels = order.join(read_table(groups), on="episode_id").sort("row", "group")
    count = np.bincount(labels["row"].to_numpy(), minlength=known.height)
    return offsets(count), labels["group"].to_numpy(), read_table(vocabulary, ["group"]).height
