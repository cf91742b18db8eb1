"""What an error of a library means to whoever runs a stage: one line that names file and remedy.

Known are those that a user can mend: too little memory, a full disk, a file that cannot be opened,
a damaged file among those that a stage was told to read. Anything else is a defect of the pipeline
and keeps its traceback. Errors of libraries are told by the names of their classes: no library is
imported unless a damaged file is looked for.
"""

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from pipeline.stage.errors import InputError, MemoryShortError
from pipeline.stage.files import WRITTEN

_MEMORY_CLASSES = {"MemoryError", "OutOfMemoryException", "ArrowMemoryError"}
_GPU_MEMORY = "OutOfMemoryError"  # of torch
_MEMORY = re.compile(
    r"bad_alloc|[Cc]annot allocate memory|can't allocate memory|Out of Memory"
    r"|Resource temporarily unavailable"  # of a thread that finds no room for its stack
)
_DISK = re.compile(r"No space left on device|Disk quota exceeded|File too large")
_SPILL = re.compile(r"max_temp_directory_size|failed to offload data block")
_ABSENT = re.compile(  # as DuckDB, Polars and safetensors say it
    r"(?:No files found that match the pattern|No such file or directory(?: \(os error 2\))?:)"
    r' ?"?([^"\n]+)'
)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_OF_DAMAGE = {  # what DuckDB, Polars, Arrow, safetensors and json raise of a damaged file
    "IOException", "InvalidInputException", "SerializationException", "ComputeError",
    "PanicException", "ArrowInvalid", "SafetensorError", "JSONDecodeError", "UnicodeDecodeError",
}  # fmt: skip


def explained(error: BaseException, arguments: Sequence[str]) -> InputError | None:
    """The `InputError` that says what an error means; None where it is a defect of the pipeline.

    `arguments`: of the stage's command line, which name the files that it reads.

    >>> explained(ZeroDivisionError(), []) is None
    True
    >>> explained(MemoryError(), ["--memory-mb", "2000"]).args[0]
    'memory: the 2.0 GB of --memory-mb were too little (MemoryError)'
    """
    if isinstance(error, InputError):
        return error
    text = str(error)
    if disk_is_full(error):
        return InputError(_disk_full(error, arguments))
    if type(error).__name__ == _GPU_MEMORY:
        return InputError("memory: the GPU's was too little: set a smaller schedule.batch_size")
    if type(error).__name__ in _MEMORY_CLASSES or _MEMORY.search(text):
        return MemoryShortError(_memory_short(error, arguments))
    if isinstance(error, OSError) and error.filename:
        return InputError(f"{os.fsdecode(error.filename)}: {error.strerror}")
    if match := _ABSENT.search(text):
        return InputError(f"{match[1]}: no such file")
    if type(error).__name__ in _OF_DAMAGE or isinstance(error, OSError):
        return next(map(InputError, damaged(arguments)), None)
    return None


def disk_is_full(error: BaseException) -> bool:
    """Whether a file could not be written for want of space.

    >>> disk_is_full(OSError(28, "No space left on device")), disk_is_full(OSError(2, "No file"))
    (True, False)
    """
    text = str(error)
    full = getattr(error, "errno", None) in _FULL
    return full or bool(_DISK.search(text) or _SPILL.search(text))


def value_of(arguments: Sequence[str], name: str) -> str | None:
    """The value of an option on a command line; None where it has none.

    >>> value_of(["--threads", "2"], "--threads")
    '2'
    """
    return next((value for option, value in pairwise(arguments) if option == name), None)


def _memory_short(error: BaseException, arguments: Sequence[str]) -> str:
    limit = value_of(arguments, "--memory-mb")
    had = f"the {int(limit) / 1000:.1f} GB of --memory-mb were" if limit else "what it has was"
    return f"memory: {had} too little ({type(error).__name__})"


def _disk_full(error: BaseException, arguments: Sequence[str]) -> str:
    """Which file, how much of it was written, how much is free there, and what to do."""
    unfinished, size = getattr(error, WRITTEN, (None, 0))
    temp = value_of(arguments, "--temp") or tempfile.gettempdir()
    path = unfinished or getattr(error, "filename", None) or value_of(arguments, "--output") or "."
    name = os.fsdecode(path)
    folders = dict.fromkeys([Path(name).absolute().parent, Path(temp)])
    free = (f"{_free(folder)} are free in {folder}" for folder in folders)
    return "; ".join([
        f"{name}: no space left: {_size(size)} of it were written, more is needed", *free,
        "free some, or put results and TMPDIR on a larger disk (make estimate tells the need)",
    ])  # fmt: skip


def _free(folder: Path) -> str:
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return _size(shutil.disk_usage(there).free)


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def damaged(arguments: Sequence[str]) -> Iterator[str]:
    """A line for each file named on a command line that is not what its name says."""
    for path in _files(arguments):
        if why := _damage(path):
            again = "delete it, and the same command makes it again"
            advice = again if "results" in path.parts else "copy it again"
            yield f"{path}: {why}: {advice}"


def _files(arguments: Sequence[str]) -> Iterator[Path]:
    """The files that arguments name: alone, in a folder, in JSON, as task=path."""
    names = (name for text in arguments for name in re.split(r'["=,\s]+', text) if "/" in name)
    for path in dict.fromkeys(map(Path, names)):
        if path.is_dir():
            yield from sorted(file for file in path.iterdir() if file.is_file())
        elif path.exists():
            yield path


def _damage(path: Path) -> str | None:
    """What is wrong with a file; None where it can be read to its end, or is of another kind."""
    if not path.is_file():
        return "not a file"
    if path.suffix not in _CHECKS:
        return None
    try:
        _CHECKS[path.suffix](path)
    except Exception as error:  # whatever a reader raises, it cannot be read
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
