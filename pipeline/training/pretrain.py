"""Pretrains the encoder of a modality on a task: weights and history per seed.

    python -m pipeline.training.pretrain --data '{"note": {"notes": "…", "vectors": "…"}}' …

Encoders see the train share only; the fusion share stays unseen, so that heads fitted on it meet
features as they are on new patients. Episodes that lack the modality are in no batch and do not
count in the loss, a mean over those that have it. Under torchrun several processes train together.
"""

from pathlib import Path

import numpy as np

from pipeline.cohort.rows import TaskRows, read_rows
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.training.arguments import add_training_arguments
from pipeline.training.checkpoint import progress_file, save_weights
from pipeline.training.device import make_repeatable, pick_device
from pipeline.training.loop import Examples, fit
from pipeline.training.modality import (
    ModalityData,
    add_data_argument,
    check_present,
    find,
    read_data,
)
from pipeline.training.processes import from_environment
from pipeline.training.schedule import add_schedule_argument
from pipeline.training.unimodal import Unimodal


def main() -> None:
    """Trains the modality's encoder with a linear head, one model per seed."""
    arguments = parser(__doc__)
    add_training_arguments(arguments)
    add_data_argument(arguments)
    add_schedule_argument(arguments)
    arguments.add_argument("--output", type=Path, required=True, help="folder of weights")
    given = arguments.parse_args()
    ((name, own),) = given.data.items()
    rows = read_rows(given.episodes, given.labels)
    data = read_data(given.data, rows.episode)[name]
    train, val = (_present(data, rows, split) for split in ("train", "val"))
    check_present(name, data, rows.of("train"), "training episodes")
    if len(np.unique(rows.label[train])) < 2:
        raise InputError(f"pretraining {name}: the training episodes that have this "
                         "modality are all of one class; enlarge the cohort")  # fmt: skip
    device = pick_device(given.device)
    examples = Examples(data, rows.label, train, val)
    histories = {}
    with from_environment(device) as processes:
        for seed in given.seeds:
            make_repeatable(seed, given.torch_threads)
            model = Unimodal(find(name).encoder(own, data, train)).to(device)
            progress = progress_file(given.output, seed)
            epochs = fit(model, examples, given.schedule, seed, device, progress, name, processes)
            histories[seed] = {"trained_on": len(train), "epochs": epochs}
            if processes.first:
                save_weights(model, given.output / f"seed{seed}.safetensors")
    if processes.first:
        write_json(given.output / "history.json", {"seeds": histories})


def _present(data: ModalityData, rows: TaskRows, split: str) -> np.ndarray:
    own = rows.of(split)
    return own[data.present()[own]]


if __name__ == "__main__":
    run(main)
