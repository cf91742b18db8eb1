"""What a step of an encoder's training takes on this machine, and how much memory of a GPU.

    python -m pipeline.training.pace --data '{"ehr": {"encoder": "tokens", …}}' --schedule … \
        --torch-threads 1

A few steps of the training loop on episodes at random, as large as MIMIC's (`samples.py` of a
modality). Prints JSON: modality → seconds per step, gpu_bytes (null on a CPU), or why it is not
measured. No data are read.
"""

import argparse
import json
import sys
import time
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
    on_gpu = device.type == "cuda"

    def seconds(steps: int) -> float:
        parts = [everyone[: schedule.batch_size]] * steps
        rates, started = [schedule.learning_rate] * steps, _clock(on_gpu)
        train_steps(model, examples, parts, schedule, rates, optimiser, device, averaged)
        if on_gpu:
            torch.cuda.synchronize(device)
        return _clock(on_gpu) - started

    seconds(1)
    taken = seconds(STEPS) / STEPS / (1 if on_gpu else arguments.torch_threads)
    memory = torch.cuda.max_memory_allocated(device) if on_gpu else None
    return {"seconds": taken, "gpu_bytes": memory}


def _clock(on_gpu: bool) -> float:
    """Seconds: of the processor, whatever else it does meanwhile; with a GPU those that pass."""
    return time.perf_counter() if on_gpu else time.process_time()


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
    json.dump(measured, sys.stdout)


if __name__ == "__main__":
    run(main)
