"""Weights and the state of a training as safetensors: no pickles, whole or absent, undamaged."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from pipeline.stage import digests
from pipeline.stage.errors import InputError
from pipeline.stage.files import whole
from pipeline.stage.privacy import warn
from pipeline.training.budget import Check

Weights = dict[str, torch.Tensor]


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Writes the state of `model` (parameters and buffers)."""
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    with whole(path) as part:
        save_file(state, part)


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Loads what `save_weights` wrote; `InputError` naming the file where it is damaged or does not
    fit."""
    digests.check(path)
    try:
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise InputError(
            f"{path}: weights do not fit this model ({type(error).__name__})"
        ) from error


def digest(values: Mapping[str, np.ndarray | torch.Tensor]) -> str:
    """A digest of named arrays: names, types, shapes, contents.

    >>> digest({"a": np.array([1, 2])}) == digest({"a": torch.tensor([1, 2])})
    True
    >>> digest({"a": np.array([1, 2])}) == digest({"a": np.array([[1, 2]])})
    False
    """
    total = hashlib.sha256()
    for name, value in values.items():
        array = np.asarray(value)
        total.update(f"{name} {array.dtype} {array.shape} ".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def progress_file(folder: Path, seed: int) -> Path:
    """Where the training of a seed leaves its state, beside its weights."""
    return folder / f".seed{seed}.progress"


class Progress:
    """The resumable state of one training: model, best model, optimiser, generator, history.

    A killed training resumes from its last check; of a finished one best model and history stay, so
    that a rerun of the same training has nothing to do. The file is no rule's output: Snakemake
    does not delete it. `settings` tell one training from another: where they differ from the
    file's, the file is ignored.
    """

    def __init__(self, path: Path, settings: Mapping[str, object]) -> None:
        self.path = path
        self.settings = json.dumps(settings, sort_keys=True)

    def save(self, model: nn.Module, averaged: AveragedModel | None, best: Weights,
             optimiser: torch.optim.Optimizer, checks: list[Check], last: bool
             ) -> None:  # fmt: skip
        """Writes everything after a check; after the `last` one no more than its outcome."""
        tensors = {f"best.{k}": v for k, v in best.items()}
        if not last:
            tensors |= {f"model.{k}": v for k, v in model.state_dict().items()}
            if averaged is not None:
                tensors |= {f"averaged.{k}": v for k, v in averaged.state_dict().items()}
            for index, state in optimiser.state_dict()["state"].items():
                tensors |= {f"optimiser.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
        tensors["generator"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["generator.cuda"] = torch.cuda.get_rng_state()
        notes = {"settings": self.settings, "checks": json.dumps(checks)}
        ready = {k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}
        with whole(self.path) as part:
            save_file(ready, part, metadata=notes)

    def load(self, model: nn.Module, averaged: AveragedModel | None,
             optimiser: torch.optim.Optimizer) -> tuple[Weights, list[Check]]:  # fmt: skip
        """Restores model, its mean, optimiser and generator; returns (best weights, checks).

        A damaged file is ignored: the training starts anew.
        """
        if not digests.is_intact(self.path):
            warn(f"{self.path}: damaged: the training does not resume, it starts anew")
            return {}, []
        try:
            with safe_open(self.path, "pt") as file:
                notes = file.metadata() or {}
                if notes.get("settings") != self.settings:
                    return {}, []
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError):  # none, or half-written
            return {}, []
        if weights := _part(tensors, "model."):
            model.load_state_dict(weights)
            if averaged is not None:
                averaged.load_state_dict(_part(tensors, "averaged."))
            state: dict[int, Weights] = {}
            for name, value in _part(tensors, "optimiser.").items():
                index, key = name.split(".")
                state.setdefault(int(index), {})[key] = value
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": state, "param_groups": groups})
        torch.set_rng_state(tensors["generator"])
        if "generator.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["generator.cuda"])
        return _part(tensors, "best."), json.loads(notes["checks"])


def _part(tensors: Weights, prefix: str) -> Weights:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def load_auto_model(folder: Path, name: str, fits: Callable[[Any], bool], expected: str) -> Any:
    """The AutoModel of a folder that was looked at (`pipeline.stage.model_folders`).

    From safetensors alone, offline, without code of the folder's. `name`: the key of the config and
    the model that it names, for messages; `fits`: whether a model is what is `expected`.
    transformers would draw weights that a file lacks at random: here such a file is an
    `InputError`, but for those of a pooler, which nobody reads.
    """
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging as transformers_logging

    digests.check_folder(folder)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # what is missing is told below
    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        kind = AutoConfig.from_pretrained(folder, **safe).model_type
        net, report = AutoModel.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, **safe
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise InputError(f"{name} is not {expected}: {why}") from error
    if not fits(net):
        raise InputError(f"{name} is a {kind}, expected {expected}")
    if lost := [weight for weight in report["missing_keys"] if "pooler" not in weight]:
        raise InputError(f"{name} lacks {len(lost)} weights of a {kind}")
    return net


def load_pretrained(model: nn.Module, path: str | Path, but: str,
                    expected: str = "torchvision's resnet18") -> None:  # fmt: skip
    """Starts `model` from the weights of another task; parameters named `but`… keep their start.

    Raises `InputError` naming the file where it is missing, damaged or of another architecture.
    """
    digests.check(path)
    try:
        state = {k: v for k, v in load_file(path).items() if not k.startswith(but)}
        report = model.load_state_dict(state, strict=False)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise InputError(
            f"{path}: not the weights of this network ({type(error).__name__})"
        ) from error
    lost = [k for k in report.missing_keys if not k.startswith(but)]
    if lost or report.unexpected_keys:
        raise InputError(f"{path}: {len(lost)} weights missing, {len(report.unexpected_keys)} "
                         f"unknown; expected {expected}")  # fmt: skip
