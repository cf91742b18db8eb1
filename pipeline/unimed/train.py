"""Trains UniMed on one task or on several of a unit, admissions or ICU stays, and predicts them.

    python -m pipeline.unimed.train --tasks shock_4h arf_12h --model '{"decoder": …}' …

Every part is trained together, encoders included (frozen BERT vectors aside), on the train and
fusion shares: nothing is fitted on its features afterwards. `--labels task=table …`, `--data` as
for every training: modality → encoder, files and settings.
"""

import argparse
import json
import math
from pathlib import Path
from typing import cast

import numpy as np

from pipeline.cohort.counts import ENLARGE
from pipeline.cohort.task import find
from pipeline.stage.command import pairs, parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import tell
from pipeline.stage.settings import json_argument
from pipeline.training.modality import (
    add_data_argument,
    check_present,
    network_of,
    read_data,
)
from pipeline.training.processes import add_compute_arguments
from pipeline.training.seeds import train_seeds
from pipeline.training.settings import add_schedule_argument
from pipeline.unimed.data import Episodes, read_episodes, window_hours
from pipeline.unimed.examples import TasksExamples
from pipeline.unimed.model import UniMed
from pipeline.unimed.predictions import predict, write_predictions
from pipeline.unimed.settings import UnimedModel


def _arguments() -> argparse.Namespace:
    options = parser(__doc__)
    add_compute_arguments(options)
    add_data_argument(options)
    add_schedule_argument(options)
    add = options.add_argument
    add("--seeds", type=int, nargs="+", required=True)
    add("--episodes", required=True, help="admissions or ICU stays")
    add("--tasks", nargs="+", required=True, help="of that unit, in the order of time")
    add("--told", nargs="*", default=[], help="earlier tasks whose outcomes are told, not learnt")
    add("--labels", nargs="+", required=True, metavar="TASK=PATH", help="of them")
    add("--groups", help="labels of a task of many, such as diagnoses")
    add("--vocabulary", help="what these labels are")
    parse_model = json_argument("unimed.model", UnimedModel)
    add("--model", type=parse_model, required=True, help="JSON, config unimed.model")
    add("--weights", type=Path, required=True, help="folder of weights")
    add("--output", required=True, help="predictions of binary tasks")
    add("--diagnoses", required=True, help="predictions of a task of many labels")
    add("--attention", required=True, help="mean attention of tasks, JSON")
    return options.parse_args()


def build(arguments: argparse.Namespace, data: Episodes, train: np.ndarray) -> UniMed:
    """A fresh model; `train`: rows for statistics."""
    encoders = {
        name: network_of(name, arguments.data[name], modality, train)
        for name, modality in data.each.items()
    }
    return UniMed(encoders, data.tasks, data.groups, arguments.model)


def read(arguments: argparse.Namespace) -> Episodes:
    """The episodes with every modality that is asked for."""
    names = [*arguments.told, *arguments.tasks]
    timed = all(find(name).hours for name in names)
    window = math.inf if timed else window_hours(arguments.episodes)
    tasks = arguments.model.tasks(arguments.tasks, arguments.told, window)
    labels = pairs(arguments.labels, "--labels")
    data = read_episodes(arguments.episodes, labels, tasks, arguments.groups, arguments.vocabulary)
    data.each = read_data(arguments.data, data.episode)
    return data


def check_classes(data: Episodes, train: np.ndarray) -> None:
    """`InputError` where a task cannot be learnt from these rows."""
    for k in data.asked:
        rows, task = train[data.eligible[train, k]], data.tasks[k]
        if not len(rows) or (not task.many and len(np.unique(data.label[rows, k])) < 2):
            raise InputError(f"task {task.name}: not both classes among the training episodes; "
                             f"{ENLARGE}")  # fmt: skip


def main() -> None:
    """Trains one model per seed; predicts every eligible episode."""
    arguments = _arguments()
    data = read(arguments)
    train = data.of_share(data.of("train", "fusion"), arguments.model.training_share)
    examples = TasksExamples(data, data.label, train, data.of("val"), arguments.model)
    for name, modality in data.each.items():
        check_present(name, modality, train, "training episodes")
    check_classes(data, train)
    made = train_seeds(
        arguments, f"unimed of {len(data.asked)} task(s)", arguments.weights,
        lambda seed: (build(arguments, data, train), examples),
        lambda model, seed, device: predict(cast(UniMed, model), data, seed, device),
    )  # fmt: skip
    if made:  # in the first process
        write_predictions(made, arguments.output, arguments.diagnoses, arguments.attention)
        tell("unimed: %s", json.dumps(arguments.tasks))


if __name__ == "__main__":
    run(main)
