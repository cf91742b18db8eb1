"""Where tensors are computed, and how to make it repeatable."""

import contextlib
import os
from contextlib import AbstractContextManager

import numpy as np
import torch

from pipeline.stage.errors import InputError


def pick_device(name: str = "auto") -> torch.device:
    """CUDA if there is one, else the CPU; `name` may also be a device such as `cpu` or `cuda:1`.

    >>> pick_device("gpu")
    Traceback (most recent call last):
    pipeline.stage.errors.InputError: config: torch.device: no device 'gpu'; auto takes one
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"  # of torchrun: a GPU per process
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        message = f"config: torch.device: no device '{name}'; auto takes one"
        raise InputError(message) from error
    return torch.device(name)


def half_precision(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 autocast on CUDA; full precision on a CPU, where half precision is slower."""
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return contextlib.nullcontext()


def make_repeatable(seed: int, threads: int) -> None:
    """Seeds every generator, fixes torch's threads: weights depend on both."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 — libraries that use the global generator
    torch.use_deterministic_algorithms(True, warn_only=True)
    # lest an operation reads what none wrote: none does, and it took up to 16 % of a training
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
