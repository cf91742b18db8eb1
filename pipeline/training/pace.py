"""What a step of an encoder's training takes on this machine, and how much memory of a GPU.

    python -m pipeline.training.pace --data '{"ehr": {"encoder": "tokens", …}}' --schedule … \
        --torch-threads 1

A few steps of the training loop on episodes at random, as large as MIMIC's (`samples.py` of a
modality), and a batch through a frozen network, if there is one. Prints JSON: modality → seconds
per step and gpu_bytes (null on a CPU), or why it is not measured; frozen: items and seconds of one,
or a reason. No data are read.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import torch

from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.training.budget import budget_of
from pipeline.training.examples import Examples
from pipeline.training.features import Unimodal
from pipeline.training.loop import average_of, optimiser_of, train_steps
from pipeline.training.modality import ModalityData, Settings, add_data_argument, feature_of
from pipeline.training.processes import add_compute_arguments, make_repeatable, pick_device
from pipeline.training.settings import add_schedule_argument

STEPS = 3  # measured, after one that starts what starts once


def sample(name: str, settings: Settings, count: int) -> ModalityData:
    """Episodes of a modality at random; `InputError` where its encoder has none to offer."""
    offered = import_module(f"pipeline.{name}.samples").SAMPLES
    if settings["encoder"] not in offered:
        raise InputError(f"the encoder {settings['encoder']} is not measured beforehand")
    data: ModalityData = offered[settings["encoder"]](settings, count, np.random.default_rng(0))
    return data


def measure(name: str, settings: Settings, arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a step of one encoder with its head; weights are random, times are the same."""
    schedule, device = arguments.schedule, pick_device(arguments.device)
    make_repeatable(0, arguments.torch_threads, arguments.precision)
    count = 2 * schedule.batch_size
    bare = {**settings, "pretrained": None, "statistics": None}
    data, everyone = sample(name, bare, count), np.arange(count)
    model = Unimodal(feature_of(name, bare, data, everyone)).to(device)
    labels = np.random.default_rng(0).integers(0, 2, count)
    examples = Examples(data, labels, everyone, np.arange(0))
    optimiser = optimiser_of(schedule, model)
    averaged = average_of(model, budget_of(schedule, count))

    def train(steps: int = 1) -> None:
        parts, rates = [everyone[: schedule.batch_size]] * steps, [schedule.learning_rate] * steps
        train_steps(model, examples, parts, schedule, rates, optimiser, device, averaged)

    train()
    taken = _seconds(lambda: train(STEPS), device, arguments.torch_threads) / STEPS
    memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return {"seconds": taken, "gpu_bytes": memory}


def frozen(name: str, settings: Settings, arguments: argparse.Namespace) -> dict[str, Any]:
    """What a frozen network embeds, and the seconds of one item; or why it is not measured."""
    items, batch = import_module(f"pipeline.{name}.samples").FROZEN[settings["encoder"]]
    device = pick_device(arguments.device)
    make_repeatable(0, arguments.torch_threads, arguments.precision)
    try:
        embed, count = batch(settings, device)
    except InputError as error:
        return {"items": items, "reason": str(error)}
    embed()  # starts what starts once
    return {"items": items, "seconds": _seconds(embed, device, arguments.torch_threads) / count}


def _seconds(call: Callable[[], object], device: torch.device, threads: int) -> float:
    """Of the processor's threads, whatever else it does meanwhile; with a GPU those that pass."""
    if device.type != "cuda":
        started = time.process_time()
        call()
        return (time.process_time() - started) / threads
    started = time.perf_counter()
    call()
    torch.cuda.synchronize(device)
    return time.perf_counter() - started


def main() -> None:
    """Measures one modality after the other and prints what it found."""
    options = parser(__doc__)
    add_data_argument(options)
    add_compute_arguments(options)
    add_schedule_argument(options)
    arguments = options.parse_args()
    measured: dict[str, dict[str, Any]] = {}
    for name, settings in arguments.data.items():
        try:
            measured[name] = measure(name, settings, arguments)
        except (InputError, ModuleNotFoundError) as error:
            measured[name] = {"reason": str(error)}
        if settings.get("trained") == "frozen":
            measured[name]["frozen"] = frozen(name, settings, arguments)
    json.dump(measured, sys.stdout)


if __name__ == "__main__":
    run(main)
