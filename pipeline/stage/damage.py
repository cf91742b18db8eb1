"""Which input of a stage that failed is damaged: a line that names the file and the remedy.

Readers fail on damage in words of their own, or read tables too large to check before. So after an
error the files that a command line names are looked at: those that a job wrote by their digests,
others by reading them to their end. No library is imported before.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.stage import digests
from pipeline.stage.arguments import files_among
from pipeline.stage.errors import InputError
from pipeline.stage.faults import disk_is_full, size_in_words
from pipeline.stage.privacy import tell

LONG = 1e9  # bytes; reading more takes a while
_OF_DAMAGE = {  # what DuckDB, Polars, Arrow, safetensors and json raise of a damaged file
    "IOException", "InvalidInputException", "SerializationException", "ComputeError",
    "PanicException", "ArrowInvalid", "SafetensorError", "JSONDecodeError", "UnicodeDecodeError",
}  # fmt: skip


def damaged(error: BaseException, arguments: Sequence[str]) -> list[str]:
    """A line for each file named on a command line whose damage may be behind an error.

    Files that are not as they were written are set aside. Those without a digest are read to their
    end where the error is one that readers raise of damage.
    """
    files = _suspects(error, arguments)
    if (size := sum(path.stat().st_size for path in files)) > LONG:
        tell("an error: looking for damage among its inputs, %s", size_in_words(size))
    return list(filter(None, map(_examined, files)))


def _suspects(error: BaseException, arguments: Sequence[str]) -> list[Path]:
    """The files among the arguments that are worth reading after an error."""
    if disk_is_full(error) or getattr(error, "filename", None):  # it could not even be opened
        return []
    files = files_among(arguments)
    sealed = [path for path in files if digests.recorded(path)]
    if isinstance(error, InputError):  # it names the file that it is about
        return [path for path in sealed if str(path) in str(error)]
    of_damage = type(error).__name__ in _OF_DAMAGE or isinstance(error, OSError)
    return files if of_damage else sealed


def _examined(path: Path) -> str:
    """The line about a file that is damaged or cannot be read; empty where it is neither."""
    try:
        if digests.recorded(path):
            return "" if digests.is_intact(path) else digests.set_aside(path)
        why = _damage(path)
    except OSError as error:
        return f"{path}: {error.strerror}"
    again = "delete it, and the same command makes it again"
    return f"{path}: {why}: {again if 'results' in path.parts else 'copy it again'}" if why else ""


def _damage(path: Path) -> str | None:
    """What is wrong with a file; None where it can be read to its end, or is of another kind.

    OSError where the system does not let it be read.
    """
    if not path.is_file():
        return "not a file"
    if path.suffix not in _CHECKS:
        return None
    try:
        _CHECKS[path.suffix](path)
    except Exception as error:  # whatever a reader raises of its content
        if getattr(error, "errno", None):
            raise
        return f"a damaged {path.suffix[1:]} file ({type(error).__name__})"
    return None


def _read_parquet(path: Path) -> None:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            file.read_row_group(group)


def _read_safetensors(path: Path) -> None:
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        file.keys()


def _read_json(path: Path) -> None:
    json.loads(path.read_bytes())


def _read_npy(path: Path) -> None:
    import numpy as np

    np.load(path, mmap_mode="r", allow_pickle=False)


_CHECKS = {
    ".parquet": _read_parquet,
    ".safetensors": _read_safetensors,
    ".json": _read_json,
    ".npy": _read_npy,
}
