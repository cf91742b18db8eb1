"""What tells one training from another: everything that decides its weights, as one digest.

What came of a training is kept (`Progress` in checkpoint.py). A rerun of the same fingerprint,
schedule, seed and processes would make the same weights: it trains no epoch. Row numbers do not
count, only what the rows hold, in their order: whoever comes to or leaves other splits changes
nothing.
"""

import dataclasses
import hashlib
import sys

import numpy as np
import sklearn
import torch
from torch import nn

from pipeline.stage.modules import digest_of_code, path_of
from pipeline.stage.settings import Section
from pipeline.training.checkpoint import digest
from pipeline.training.examples import Examples
from pipeline.training.precision import precision_of

PLAIN = (bool, int, float, str, tuple, list, dict, type(None), np.generic, Section)


def fingerprint(model: nn.Module, examples: Examples, device: torch.device) -> str:
    """A digest of data, labels, start and make-up of the model, generators, code and versions."""
    start = dict(model.named_parameters()) | dict(model.named_buffers())
    tensors = {name: value.detach().cpu() for name, value in start.items()}
    tensors["generator"] = torch.get_rng_state()
    if device.type == "cuda":
        tensors["generator.cuda"] = torch.cuda.get_rng_state(device)
    facts = [
        examples.digest, digest(tensors), make_up(model), loaded_code(), device.type,
        precision_of(device), f"{torch.get_num_threads()} threads", torch.__version__,
        np.__version__, sklearn.__version__,
    ]  # fmt: skip
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def make_up(model: nn.Module) -> str:
    """Every layer with its plain settings, such as rates of dropout: its weights do not tell them.

    >>> make_up(nn.Dropout(0.1)) == make_up(nn.Dropout(0.2))
    False
    """
    layers = []
    for name, layer in model.named_modules():
        plain = {
            key: value
            for key, value in sorted(vars(layer).items())
            # but for torch's own, and its mode, which the training sets by itself
            if not key.startswith("_")
            and key != "training"
            and (isinstance(value, PLAIN) or dataclasses.is_dataclass(value))
        }
        layers.append((name, type(layer).__qualname__, plain))
    return repr(layers)


def loaded_code() -> str:
    """A digest of the code of this package that the process has loaded: stage, modalities, all."""
    names = set(sys.modules)
    if stage := sys.modules["__main__"].__spec__:  # of `python -m`
        names.add(stage.name)
    return digest_of_code([name for name in names if path_of(name)])
