"""Pretrains the encoder of a modality on a task; every modality's `pretrain` runs this.

Encoders see the train share only; the fusion share stays unseen, so that heads fitted on it meet
features as they are on new patients.
"""

import json
from pathlib import Path

import numpy as np

from pipeline.cohort.rows import TaskRows, read_rows
from pipeline.common.command import parser
from pipeline.common.errors import InputError
from pipeline.common.files import write_json
from pipeline.training.arguments import add_training_arguments
from pipeline.training.checkpoint import progress_file, remove_progress, save_weights
from pipeline.training.device import make_repeatable, pick_device
from pipeline.training.loop import Examples, Schedule, fit
from pipeline.training.modality import Modality, ModalityData
from pipeline.training.unimodal import Unimodal


def pretrain(modality: Modality, doc: str | None) -> None:
    """Trains the modality's encoder with a linear head; weights and history per seed."""
    arguments = parser(doc)
    add_training_arguments(arguments)
    modality.arguments(arguments)
    arguments.add_argument("--schedule", type=json.loads, required=True, help="JSON, see config")
    arguments.add_argument("--output", type=Path, required=True, help="folder of weights")
    given = arguments.parse_args()
    rows = read_rows(given.episodes, given.labels)
    data = modality.data(given, rows.episode)
    train, val = (_present(data, rows, split) for split in ("train", "val"))
    if len(np.unique(rows.label[train])) < 2:
        raise InputError(f"pretraining {modality.name}: the training episodes that have this "
                         "modality are all of one class; enlarge the cohort")  # fmt: skip
    device, schedule = pick_device(given.device), Schedule(**given.schedule)
    examples = Examples(data, rows.label, train, val)
    histories = {}
    for seed in given.seeds:
        make_repeatable(seed, given.torch_threads)
        model = Unimodal(modality.encoder(given, data, train)).to(device)
        progress = progress_file(given.output, seed)
        epochs = fit(model, examples, schedule, seed, device, progress, modality.name)
        histories[seed] = {"trained_on": len(train), "epochs": epochs}
        save_weights(model, given.output / f"seed{seed}.safetensors")
    write_json(given.output / "history.json", {"seeds": histories})
    remove_progress(given.output, given.seeds)


def _present(data: ModalityData, rows: TaskRows, split: str) -> np.ndarray:
    own = rows.of(split)
    return own[data.present()[own]]
