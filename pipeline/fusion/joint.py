"""Joint and late-averaged fusion: encoders and head trained together, end to end.

    python -m pipeline.fusion.joint --head joint --data '{"ehr": {…}, "note": {…}}' …

Wang et al. 2024, section 2.4. joint: one linear layer on the concatenated features. late-averaged:
one linear layer per modality, logits averaged, trained together (as in the published code; its text
has `late`). No warm start. An encoder's step is that of the episodes of a batch that have its
modality, however many others there are. In the corrected protocol the head is then fitted once more
on the fusion share, as that of every other model is. Under torchrun several processes train
together.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
import torch
from torch import nn

from pipeline.cohort.rows import ABSENT, PREDICTIONS, TaskRows, predictions, read_rows
from pipeline.fusion.absent import add_absent_arguments, scenarios_of_head
from pipeline.fusion.heads import HEADS, Dropping, LateHead
from pipeline.stage.command import log, parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.stage.tables import write_table
from pipeline.training.arguments import add_head_argument, add_training_arguments
from pipeline.training.batches import Batch, evaluate, within
from pipeline.training.checkpoint import progress_file, save_weights
from pipeline.training.device import make_repeatable, pick_device
from pipeline.training.embeddings import Embeddings
from pipeline.training.examples import Examples, more, of_encoders
from pipeline.training.features import Head
from pipeline.training.loop import fit
from pipeline.training.modality import (
    ModalityData,
    add_data_argument,
    check_present,
    find,
    read_data,
)
from pipeline.training.processes import from_environment
from pipeline.training.refit import refit
from pipeline.training.schedule import Schedule, add_schedule_argument


@dataclass
class JointData:
    """The data of several modalities for the same episodes."""

    each: dict[str, ModalityData]
    here: np.ndarray  # (N, M) bool

    def batch(self, rows: np.ndarray) -> Batch:
        """The batch of every modality, keys prefixed by its name and a dot; here (B, M) bool."""
        own = {
            f"{name}.{key}": value
            for name, data in self.each.items()
            for key, value in data.batch(rows).items()
        }
        return own | {"here": torch.from_numpy(self.here[rows])}


@dataclass(frozen=True)
class JointExamples(Examples):
    """Examples of several encoders that train together; `data` are `JointData`."""

    def parts(self, model: nn.Module, whole: np.ndarray, schedule: Schedule
              ) -> Iterator[tuple[list[nn.Parameter], float]]:  # fmt: skip
        """Of each encoder by itself: the rows that lack its modality do not count."""
        joint, data = cast(JointModel, model), cast(JointData, self.data)
        mass = np.array(schedule.class_weights)[self.labels[whole]]
        here = zip(data.each, data.here[whole].T, strict=True)
        return of_encoders(
            joint, joint.encoders.each, {name: more(mass, own) for name, own in here}
        )


class Encoders(nn.Module):
    """One encoder per modality: batch of `JointData` → features (B, M, D), zero where absent."""

    def __init__(self, each: dict[str, nn.Module]) -> None:
        super().__init__()
        self.each = nn.ModuleDict(each)

    def forward(self, batch: Batch) -> torch.Tensor:
        """(B, M, D)."""
        features = [encoder(within(batch, name)) for name, encoder in self.each.items()]
        return torch.stack(features, dim=1) * batch["here"].unsqueeze(-1)


class JointModel(nn.Module):
    """Encoders and a head that train together: batch of `JointData` → logits (B, 2)."""

    def __init__(self, encoders: Encoders, head: Head, modality_dropout: float) -> None:
        super().__init__()
        self.encoders, self.dropping = encoders, Dropping(head, modality_dropout)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits (B, 2)."""
        return self.dropping({"embedding": self.encoders(batch), "here": batch["here"]})


def build(given: argparse.Namespace, data: JointData, train: np.ndarray, prior: float
          ) -> JointModel:  # fmt: skip
    """A fresh model; `train`: rows for statistics; `prior`: share of positives among them."""
    encoders = {
        name: find(name).encoder(given.data[name], own, train[own.present()[train]])
        for name, own in data.each.items()
    }
    head = HEADS[given.head](len(encoders), told=given.head_on == "fusion")
    if isinstance(head, LateHead):
        head.prior.copy_(torch.tensor([1 - prior, prior]).log())
    return JointModel(Encoders(encoders), head, given.modality_dropout)


def predict(model: JointModel, data: JointData, rows: TaskRows, seed: int,
            given: argparse.Namespace, device: torch.device
            ) -> tuple[pl.DataFrame, pl.DataFrame]:  # fmt: skip
    """Predictions of every episode, and of the test episodes without each modality.

    Encoders run once; the head is fitted once more, and asked again for every scenario.
    """
    everyone = np.arange(len(rows.episode))
    features = evaluate(model.encoders, data, everyone, 256, device)  # (N, M, D)
    found = Embeddings(features.numpy(), data.here)
    if given.head_on == "fusion":
        names = " or ".join(data.each)
        refit(model.dropping, found, rows, given.schedule, seed, device, given.weights, names)
    head = model.dropping.head
    logits = evaluate(head, found, everyone, 1024, device)
    said = predictions(rows, seed, logits.softmax(dim=1)[:, 1].numpy())
    return said, scenarios_of_head(head, found, rows, given.letters, seed, device)


def _arguments() -> argparse.Namespace:
    arguments = parser(__doc__)
    add_training_arguments(arguments)
    add_data_argument(arguments)
    add_schedule_argument(arguments)
    add_absent_arguments(arguments)
    arguments.add_argument("--head", choices=list(HEADS), required=True)
    add_head_argument(arguments)
    arguments.add_argument("--weights", type=Path, required=True, help="folder of weights")
    arguments.add_argument("--output", required=True, help="predictions")
    return arguments.parse_args()


def main() -> None:
    """Trains one model per seed; predicts every episode."""
    given = _arguments()
    rows = read_rows(given.episodes, given.labels)
    each = read_data(given.data, rows.episode)
    data = JointData(each, np.stack([own.present() for own in each.values()], axis=1))
    train = rows.of("train")
    for name, own in each.items():
        check_present(name, own, train, "training episodes")
    if len(np.unique(rows.label[train])) < 2:
        raise InputError(f"{given.head} fusion: the training episodes are all of one class; "
                         "enlarge the cohort")  # fmt: skip
    device = pick_device(given.device)
    examples = JointExamples(data, rows.label, train, rows.of("val"))
    histories, said = {}, []
    with from_environment(device) as processes:
        for seed in given.seeds:
            make_repeatable(seed, given.torch_threads)
            model = build(given, data, train, rows.label[train].mean()).to(device)
            progress = progress_file(given.weights, seed)
            epochs = fit(model, examples, given.schedule, seed, device, progress, given.head,
                         processes)  # fmt: skip
            histories[seed] = {"trained_on": len(train), "epochs": epochs}
            if processes.first:
                said.append(predict(model, data, rows, seed, given, device))
                save_weights(model, given.weights / f"seed{seed}.safetensors")
    if processes.first:
        write_json(given.weights / "history.json", {"seeds": histories})
        write_table(pl.concat(without for _, without in said), given.absent, ABSENT)
        write_table(pl.concat(own for own, _ in said), given.output, PREDICTIONS)
        log.info("%s fusion of %s", given.head, given.letters)


if __name__ == "__main__":
    run(main)
