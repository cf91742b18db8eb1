"""Where tensors are computed, repeatably: the device, and the processes that train one model.

torchrun starts several, one per GPU or CPU part. Every process works on its part of each batch;
gradients are averaged (DistributedDataParallel). A stage started without it is one process.
"""

import argparse
import math
import os
from contextlib import AbstractContextManager
from datetime import timedelta
from types import TracebackType

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from pipeline.stage.errors import InputError
from pipeline.training.precision import add_precision_argument, use_precision

# the others wait while the first validates or predicts: minutes of films; NCCL's own limit is 10
PATIENCE = timedelta(hours=6)
CPU = torch.device("cpu")


def add_compute_arguments(arguments: argparse.ArgumentParser) -> None:
    """Arguments of every stage that computes with torch, beside its seeds."""
    arguments.add_argument("--torch-threads", type=int, required=True,
                           help="a setting, not a resource: weights depend on it")  # fmt: skip
    arguments.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 …")
    add_precision_argument(arguments)


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


def make_repeatable(seed: int, threads: int, precision: str | None = None) -> None:
    """Seeds every generator, fixes torch's threads and the precision: weights depend on them.

    `precision`: auto, fp32 or bf16; None leaves it as it is.
    """
    if precision is not None:
        use_precision(precision)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 — libraries that use the global generator
    torch.use_deterministic_algorithms(True, warn_only=True)
    # no operation reads what none wrote, and filling it took up to 16 % of a training
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


class Processes(AbstractContextManager["Processes"]):
    """The processes of a training, and which of them this is (`rank`, from 0), on which device."""

    def __init__(self, count: int = 1, rank: int = 0, device: torch.device = CPU) -> None:
        self.count, self.rank, self.device = count, rank, device

    @property
    def first(self) -> bool:
        """Whether this process validates, writes and speaks for all."""
        return self.rank == 0

    def __enter__(self) -> "Processes":
        if self.count > 1:
            cuda = self.device.type == "cuda"
            if cuda:
                torch.cuda.set_device(self.device)
            distributed.init_process_group(
                "nccl" if cuda else "gloo", rank=self.rank, world_size=self.count,
                timeout=PATIENCE, device_id=self.device if cuda else None,
            )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        if self.count > 1:
            distributed.destroy_process_group()

    def share(self, rows: np.ndarray) -> np.ndarray:
        """This process's part of a batch; never empty, BatchNorm needs rows.

        >>> Processes(2, 1).share(np.arange(5)), Processes().share(np.arange(2))
        (array([1, 3]), array([0, 1]))
        """
        return rows[self.rank % len(rows) :: self.count]

    def parallel(self, model: nn.Module, device: torch.device, together: bool = True) -> nn.Module:
        """The model whose gradients are averaged over the processes.

        `together`: on GPUs BatchNorm takes its statistics over all of them; not for a model that
        one process alone runs in training mode, it would wait for the others. gloo has no such
        operation, on CPUs each process normalises by its own part.
        """
        if self.count == 1:
            return model
        if together and device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(model)  # in place: its layers are below it
        # an encoder of a batch without a single film has no gradient: not an error
        return DistributedDataParallel(
            model, device_ids=[device] if device.type == "cuda" else None,
            find_unused_parameters=True,
        )  # fmt: skip

    @staticmethod
    def bare(model: nn.Module) -> nn.Module:
        """The model itself, of one whose gradients are averaged."""
        return model.module if isinstance(model, DistributedDataParallel) else model

    def mean(self, value: float) -> float:
        """The mean of a number over the processes."""
        if self.count == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float32, device=self.device)
        distributed.all_reduce(tensor)
        return tensor.item() / self.count

    def of_first(self, value: float | None) -> float | None:
        """A number, or none, as the first process has it."""
        if self.count == 1:
            return value
        tensor = torch.tensor(math.nan if value is None else value, dtype=torch.float64,
                              device=self.device)  # fmt: skip
        distributed.broadcast(tensor, 0)
        return None if math.isnan(tensor.item()) else tensor.item()

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            distributed.barrier()


SINGLE = Processes()


def from_environment(device: torch.device) -> Processes:
    """The processes that torchrun announced; one where it was not used. `device`: of this one."""
    count, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    return Processes(count, rank, device)
