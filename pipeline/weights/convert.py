"""Weights as safetensors, and the digests of a folder.

Pickles are read with torch's `weights_only`, which builds tensors alone: one that holds anything
else, as code that would run, is refused.
"""

import hashlib
import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from pipeline.stage.errors import InputError
from pipeline.stage.files import whole

SUMS = "SHA256SUMS"


def to_safetensors(pickles: Sequence[Path], target: Path) -> None:
    """The tensors of some pickles (parts of one model) as one safetensors file.

    Tensors that share memory are written each: safetensors knows no sharing.
    """
    state: dict[str, torch.Tensor] = {}
    for path in pickles:
        try:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise InputError(f"{path.name} is refused: it holds more than weights (as code that "
                             "runs when it is read), or is broken") from error  # fmt: skip
        except (OSError, RuntimeError, EOFError, ValueError) as error:
            raise InputError(f"{path.name} is no file of weights") from error
        if not isinstance(loaded, dict) or not all(
            isinstance(name, str) and isinstance(value, torch.Tensor)
            for name, value in loaded.items()
        ):
            raise InputError(f"{path.name} is refused: expected a name and a tensor each")
        state |= loaded
    with whole(target) as part:
        save_file({name: value.detach().clone().contiguous() for name, value in state.items()},
                  part, metadata={"format": "pt"})  # fmt: skip


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_sums(folder: Path) -> None:
    """Writes the digests of all files of a folder, as `sha256sum --check` reads them."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    with whole(folder / SUMS) as part:
        part.write_text("".join(f"{digest(path)}  {path.name}\n" for path in files))


def check_sums(folder: Path) -> None:
    """`InputError` where a file of the folder is not the one that was fetched."""
    again = f"remove {folder} and call `make weights` again"
    try:
        lines = (folder / SUMS).read_text().splitlines()
    except OSError as error:
        raise InputError(f"{folder} has no {SUMS}, so nothing tells what it holds; {again}"
                         ) from error  # fmt: skip
    for line in lines:
        known, _, name = line.partition("  ")
        path = folder / name
        if not path.is_file():
            raise InputError(f"{path} is missing; {again}")
        if digest(path) != known:
            raise InputError(f"{path} differs from its digest in {SUMS}; {again}")
