"""Trains UniMed on one task of ICU stays or on several, and says what it predicts.

    python -m pipeline.unimed.train --tasks shock_4h arf_12h --model '{"decoder": …}' …

Every part is trained together, encoders included (frozen BERT vectors aside), on the train and
fusion shares: nothing is fitted on its features afterwards. `--labels task=table …`, `--data` as
for every training: modality → files and settings.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from pipeline.stage.command import log, pairs, parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.training.arguments import add_compute_arguments
from pipeline.training.checkpoint import progress_file, save_weights
from pipeline.training.device import make_repeatable, pick_device
from pipeline.training.loop import fit
from pipeline.training.modality import (
    add_data_argument,
    check_present,
    find_stays,
    reading,
)
from pipeline.training.processes import from_environment
from pipeline.training.schedule import add_schedule_argument
from pipeline.unimed.data import Stays, read_stays
from pipeline.unimed.examples import StayExamples
from pipeline.unimed.model import UniMed
from pipeline.unimed.said import Said, write_said
from pipeline.unimed.settings import parse


def _arguments() -> argparse.Namespace:
    arguments = parser(__doc__)
    add_compute_arguments(arguments)
    add_data_argument(arguments)
    add_schedule_argument(arguments)
    add = arguments.add_argument
    add("--episodes", required=True, help="ICU stays")
    add("--tasks", nargs="+", required=True, help="in the order of time")
    add("--told", nargs="*", default=[], help="earlier tasks whose outcomes are told, not learnt")
    add("--labels", nargs="+", required=True, metavar="TASK=PATH", help="of them")
    add("--groups", help="diagnoses of stays, for the task diagnoses")
    add("--vocabulary", help="groups of diagnoses")
    add("--model", type=parse, required=True, help="JSON, config unimed.model")
    add("--weights", type=Path, required=True, help="folder of weights")
    add("--output", required=True, help="predictions of binary tasks")
    add("--diagnoses", required=True, help="predictions of diagnoses")
    add("--attention", required=True, help="mean attention of tasks, JSON")
    return arguments.parse_args()


def build(given: argparse.Namespace, stays: Stays, train: np.ndarray) -> UniMed:
    """A fresh model; `train`: rows for statistics."""
    encoders = {
        name: find_stays(name).encoder(given.data[name], data, train)
        for name, data in stays.each.items()
    }
    return UniMed(encoders, stays.tasks, stays.groups, given.model)


def read(given: argparse.Namespace) -> Stays:
    """The stays with every modality that is asked for."""
    tasks = given.model.tasks(given.tasks, given.told)
    labels = pairs(given.labels, "--labels")
    stays = read_stays(given.episodes, labels, tasks, given.groups, given.vocabulary)
    each = {}
    for name, own in given.data.items():
        with reading(name):
            each[name] = find_stays(name).data(own, stays.episode)
    stays.each = each
    return stays


def check_classes(stays: Stays, train: np.ndarray) -> None:
    """`InputError` where a task cannot be learnt from these rows."""
    for k in stays.asked:
        own, task = train[stays.eligible[train, k]], stays.tasks[k]
        if not len(own) or (not task.several and len(np.unique(stays.label[own, k])) < 2):
            raise InputError(f"task {task.name}: not both classes among the training stays; "
                             "enlarge the cohort")  # fmt: skip


def main() -> None:
    """Trains one model per seed; predicts every eligible stay."""
    given = _arguments()
    stays = read(given)
    train = stays.some(stays.of("train", "fusion"), given.model.training_share)
    examples = StayExamples(stays, stays.label, train, stays.of("val"), given.model)
    for name, own in stays.each.items():
        check_present(name, own, train, "training stays")
    check_classes(stays, train)
    device = pick_device(given.device)
    histories, said = {}, []
    with from_environment(device) as processes:
        for seed in given.seeds:
            make_repeatable(seed, given.torch_threads)
            model = build(given, stays, train).to(device)
            progress = progress_file(given.weights, seed)
            name = f"unimed of {len(stays.asked)} task(s)"
            epochs = fit(model, examples, given.schedule, seed, device, progress, name, processes)
            histories[seed] = {"trained_on": len(train), "epochs": epochs}
            if processes.first:
                said.append(Said.of(model, stays, seed, device))
                save_weights(model, given.weights / f"seed{seed}.safetensors")
    if processes.first:
        write_json(given.weights / "history.json", {"seeds": histories})
        write_said(said, stays, given.output, given.diagnoses, given.attention)
        log.info("unimed: %s", json.dumps(given.tasks))


if __name__ == "__main__":
    run(main)
