"""Joint, late-averaged and gated-joint fusion: encoders and head trained together, end to end.

    python -m pipeline.fusion.joint --head joint --data '{"ehr": {…}, "note": {…}}' …

Wang et al. 2024, section 2.4. joint: one linear layer on the concatenated features. late-averaged:
one linear layer per modality, logits averaged, trained together (as in the published code; its text
has `late`). gated-joint: attention over one token per modality, an absent one has its own. No warm
start. An encoder's step is that of the episodes of a batch that have its modality, however many
others there are. In the corrected protocol the head is then fitted once more on the fusion share,
as that of every other model is. Under torchrun several processes train together.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
import torch
from torch import nn

from pipeline.cohort.rows import (
    ABSENT,
    PREDICTIONS,
    TaskRows,
    check_classes,
    predictions,
    read_rows,
)
from pipeline.fusion.absent import add_absent_arguments, scenarios_of_head
from pipeline.fusion.heads import HEADS, Dropping, LateHead, family_of
from pipeline.stage.command import parser, run
from pipeline.stage.files import write_json
from pipeline.stage.privacy import tell
from pipeline.stage.tables import write_table
from pipeline.training.batches import Batch, evaluate, within
from pipeline.training.embeddings import Embeddings
from pipeline.training.examples import Examples, growth, of_encoders
from pipeline.training.modality import (
    ModalityData,
    add_data_argument,
    check_present,
    feature_of,
    read_data,
)
from pipeline.training.seeds import add_head_argument, add_training_arguments, train_seeds
from pipeline.training.settings import Training, add_schedule_argument
from pipeline.training.shape import Choice, choose


@dataclass
class JointData:
    """The data of several modalities for the same episodes."""

    each: dict[str, ModalityData]
    here: np.ndarray  # (N, M) bool

    def batch(self, rows: np.ndarray) -> Batch:
        """The batch of every modality, keys prefixed by its name and a dot; here (B, M) bool."""
        tensors = {
            f"{name}.{key}": value
            for name, data in self.each.items()
            for key, value in data.batch(rows).items()
        }
        return tensors | {"here": torch.from_numpy(self.here[rows])}


@dataclass(frozen=True)
class JointExamples(Examples):
    """Examples of several encoders that train together; `data` are `JointData`."""

    def gradient_groups(self, model: nn.Module, whole: np.ndarray, schedule: Training
              ) -> Iterator[tuple[list[nn.Parameter], float]]:  # fmt: skip
        """Of each encoder by itself: the rows that lack its modality do not count."""
        joint, data = cast(JointModel, model), cast(JointData, self.data)
        mass = np.array(schedule.class_weights)[self.labels[whole]]
        here = zip(data.each, data.here[whole].T, strict=True)
        return of_encoders(
            joint, joint.encoders.each, {name: growth(mass, rows) for name, rows in here}
        )


class Encoders(nn.Module):
    """The `Feature` of each modality: batch of `JointData` → (B, M, D), zero where absent."""

    def __init__(self, each: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.each = nn.ModuleDict(each)

    def forward(self, batch: Batch) -> torch.Tensor:
        """(B, M, D)."""
        features = [encoder(within(batch, name)) for name, encoder in self.each.items()]
        return torch.stack(features, dim=1) * batch["here"].unsqueeze(-1)


class JointModel(nn.Module):
    """Encoders and a head that train together: batch of `JointData` → logits (B, 2)."""

    def __init__(self, encoders: Encoders, head: nn.Module, modality_dropout: float) -> None:
        super().__init__()
        self.encoders, self.dropping = encoders, Dropping(head, modality_dropout)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits (B, 2)."""
        return self.dropping({"embedding": self.encoders(batch), "here": batch["here"]})


def build(arguments: argparse.Namespace, data: JointData, rows: TaskRows) -> JointModel:
    """A fresh model; the training episodes that have a modality give its statistics."""
    train, features = rows.of("train"), {}
    for name, modality in data.each.items():
        fitted = train[modality.present()[train]]
        features[name] = feature_of(name, arguments.data[name], modality, fitted)
    head = HEADS[arguments.head](len(features), told=arguments.head_on == "fusion")
    if isinstance(head, LateHead):
        prior = rows.label[train].mean()
        head.prior.copy_(torch.tensor([1 - prior, prior]).log())
    return JointModel(Encoders(features), head, arguments.modality_dropout)


def predict(model: JointModel, data: JointData, rows: TaskRows, seed: int,
            arguments: argparse.Namespace, device: torch.device, choices: dict[int, Choice]
            ) -> tuple[pl.DataFrame, pl.DataFrame]:  # fmt: skip
    """Predictions of every episode, and of the test episodes without each modality.

    Encoders run once; the head is fitted once more, and asked again for every scenario. What was
    chosen for it is added to `choices`.
    """
    everyone = np.arange(len(rows.episode))
    features = evaluate(model.encoders, data, everyone, 256, device)  # (N, M, D)
    embeddings = Embeddings(features.numpy(), data.here)
    if arguments.head_on == "fusion":
        family, tried = family_of(arguments.head)
        chosen, choices[seed] = choose(family, tried, embeddings, rows, rows.of("fusion"),
                                       rows.of("val"), arguments.modality_dropout, seed,
                                       arguments.head)  # fmt: skip
        model.dropping.head = chosen.to(device)
    head = model.dropping.head
    logits = evaluate(head, embeddings, everyone, 1024, device)
    table = predictions(rows, seed, logits.softmax(dim=1)[:, 1].numpy())
    return table, scenarios_of_head(head, embeddings, rows, arguments.letters, seed, device)


def _arguments() -> argparse.Namespace:
    options = parser(__doc__)
    add_training_arguments(options)
    add_data_argument(options)
    add_schedule_argument(options)
    add_absent_arguments(options)
    options.add_argument("--head", choices=list(HEADS), required=True)
    add_head_argument(options)
    options.add_argument("--weights", type=Path, required=True, help="folder of weights")
    options.add_argument("--output", required=True, help="predictions")
    return options.parse_args()


def main() -> None:
    """Trains one model per seed; predicts every episode."""
    arguments = _arguments()
    rows = read_rows(arguments.episodes, arguments.labels, arguments.task)
    each = read_data(arguments.data, rows.episode)
    data = JointData(each, np.stack([one.present() for one in each.values()], axis=1))
    train = rows.of("train")
    for name, modality in each.items():
        check_present(name, modality, train, "training episodes")
    check_classes(rows, np.ones(len(rows.episode), bool), "", ["train"])
    examples = JointExamples(data, rows.label, train, rows.of("val"))
    choices: dict[int, Choice] = {}
    made = train_seeds(
        arguments, arguments.head, arguments.weights,
        lambda seed: (build(arguments, data, rows), examples),
        lambda model, seed, device: predict(
            cast(JointModel, model), data, rows, seed, arguments, device, choices
        ),
    )  # fmt: skip
    if made:  # in the first process
        tables, absent = (pl.concat(tables) for tables in zip(*made, strict=True))
        write_table(absent, arguments.absent, ABSENT)
        write_table(tables, arguments.output, PREDICTIONS)
        if choices:
            write_json(arguments.weights / "heads.json", {"seeds": choices})
        tell("%s fusion of %s", arguments.head, arguments.letters)


if __name__ == "__main__":
    run(main)
