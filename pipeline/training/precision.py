"""In what precision layers are computed: float32, or bfloat16 where a processor has it natively.

bfloat16 is torch's autocast: weights, their gradients, the optimiser and losses stay float32.
"""

import argparse
import contextlib
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path

import torch

PRECISIONS = ("auto", "fp32", "bf16")
# what a processor of x86 or ARM lists where it multiplies bfloat16 by itself
NATIVE_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}
_precision = ["fp32"]  # of this process, as torch's number of threads


def add_precision_argument(arguments: argparse.ArgumentParser) -> None:
    """`--precision`: a setting, as the threads: weights depend on it."""
    arguments.add_argument("--precision", choices=PRECISIONS, default="fp32")


def native_bf16(flags: str) -> bool:
    """Whether a processor multiplies bfloat16 by itself, by its flags (/proc/cpuinfo).

    >>> native_bf16("flags\t: fma avx512f avx512_bf16"), native_bf16("flags\t: fma avx512f")
    (True, False)
    """
    return not NATIVE_BF16.isdisjoint(flags.split())


def use_precision(setting: str) -> str:
    """What this process computes in: one of `PRECISIONS`. Returns what it computed in before."""
    before, _precision[0] = _precision[0], setting
    return before


@cache
def _this_processor() -> bool:
    try:
        return native_bf16(Path("/proc/cpuinfo").read_text(errors="replace"))
    except OSError:  # no Linux
        return False


def precision_of(device: torch.device) -> str:
    """fp32 or bf16, as layers that can be are computed on a device; auto: by what it has."""
    if _precision[0] != "auto":
        return _precision[0]
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = device.type == "cpu" and _this_processor()
    return "bf16" if native else "fp32"


def half_precision(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 autocast where the precision says so; weights and their gradients are float32."""
    if precision_of(device) == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()
