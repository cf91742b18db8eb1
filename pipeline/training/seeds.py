"""What every training shares: its arguments, and one model per seed."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from pipeline.cohort.rows import add_row_arguments
from pipeline.stage.files import write_json
from pipeline.training.budget import History
from pipeline.training.checkpoint import progress_file, save_weights
from pipeline.training.examples import Examples
from pipeline.training.loop import fit
from pipeline.training.precision import precision_of
from pipeline.training.processes import (
    add_compute_arguments,
    from_environment,
    make_repeatable,
    pick_device,
)

Outcome = TypeVar("Outcome")


def add_training_arguments(arguments: argparse.ArgumentParser) -> None:
    """Arguments of every stage that trains on one task, or embeds for it."""
    add_row_arguments(arguments)
    add_compute_arguments(arguments)


def add_head_argument(arguments: argparse.ArgumentParser) -> None:
    """`--head-on`: whom the heads of all models are fitted on, a choice of the protocol."""
    arguments.add_argument("--head-on", choices=["fusion", "train"], required=True,
                           help="fusion: patients unknown to the encoders; train: as published"
                           )  # fmt: skip


def train_seeds(
    arguments: argparse.Namespace, name: str, folder: Path,
    build: Callable[[int], tuple[nn.Module, Examples]],
    finish: Callable[[nn.Module, int, torch.device], Outcome],
) -> list[Outcome]:  # fmt: skip
    """Trains one model per seed; writes their weights and history into `folder`.

    `arguments`: seeds, schedule and those of `add_compute_arguments`. `build`: seed → a fresh model
    and its examples; called when the generators are seeded. `finish`: a trained model, its seed and
    device → an outcome, before its weights are written. Returns the outcomes by seed; of several
    processes (torchrun) the first alone writes, and the others return none.
    """
    device = pick_device(arguments.device)
    histories: dict[int, History] = {}
    outcomes = []
    with from_environment(device) as processes:
        for seed in arguments.seeds:
            make_repeatable(seed, arguments.torch_threads, arguments.precision)
            model, examples = build(seed)
            progress = progress_file(folder, seed)
            histories[seed] = fit(model.to(device), examples, arguments.schedule, seed, device,
                                  progress, name, processes)  # fmt: skip
            if processes.first:
                outcomes.append(finish(model, seed, device))
                save_weights(model, folder / f"seed{seed}.safetensors")
    if processes.first:
        history = {"part": name, "precision": precision_of(device), "seeds": histories}
        write_json(folder / "history.json", history)
    return outcomes
