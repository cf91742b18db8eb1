"""What an error of a library means to whoever runs a stage: one line that names file and remedy.

Known are those that a user can mend: too little memory, a full disk, a file that cannot be opened;
a damaged input is told by `stage.damage`. Anything else is a defect of the pipeline and keeps its
traceback. Errors of libraries are told by the names of their classes: none is imported.
"""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.stage.arguments import value_of
from pipeline.stage.errors import InputError, MemoryShortError
from pipeline.stage.files import WRITTEN

_MEMORY_CLASSES = {"MemoryError", "OutOfMemoryException", "ArrowMemoryError"}
_GPU_MEMORY = "OutOfMemoryError"  # of torch
_MEMORY = re.compile(
    r"bad_alloc|[Cc]annot allocate memory|can't allocate memory|Out of Memory"
    r"|failed to map segment"  # of a library that does not fit
    # of a thread that finds no room for its stack, as Python, libgomp, OpenBLAS and rayon say it
    r"|can't start new thread|(?:[Tt]hread|spawn)[^\n]*Resource temporarily unavailable"
)
_DISK = re.compile(r"No space left on device|Disk quota exceeded|File too large")
_SPILL = re.compile(r"max_temp_directory_size|failed to offload data block")
_ABSENT = re.compile(  # as DuckDB, Polars and safetensors say it
    r"(?:No files found that match the pattern|No such file or directory(?: \(os error 2\))?:)"
    r' ?"?([^"\n]+)'
)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


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
    return None


def disk_is_full(error: BaseException) -> bool:
    """Whether a file could not be written for want of space.

    >>> disk_is_full(OSError(28, "No space left on device")), disk_is_full(OSError(2, "No file"))
    (True, False)
    """
    text = str(error)
    full = getattr(error, "errno", None) in _FULL
    return full or bool(_DISK.search(text) or _SPILL.search(text))


def _memory_short(error: BaseException, arguments: Sequence[str]) -> str:
    limit = value_of(arguments, "--memory-mb")
    had = f"the {int(limit) / 1000:.1f} GB of --memory-mb were" if limit else "what it has was"
    return f"memory: {had} too little ({type(error).__name__})"


def _disk_full(error: BaseException, arguments: Sequence[str]) -> str:
    """Which file, how much of it was written, how much is free there, and what to do."""
    unfinished, size = getattr(error, WRITTEN, (None, 0))
    path = unfinished or getattr(error, "filename", None) or value_of(arguments, "--output") or "."
    name = os.fsdecode(path)
    folders = dict.fromkeys([Path(name).absolute().parent, Path(tempfile.gettempdir())])
    free = (f"{_free(folder)} are free in {folder}" for folder in folders)
    return "; ".join([
        f"{name}: no space left: {size_in_words(size)} of it were written, more is needed", *free,
        "free some, or put results and TMPDIR on a larger disk (make estimate tells the need)",
    ])  # fmt: skip


def _free(folder: Path) -> str:
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return size_in_words(shutil.disk_usage(there).free)


def size_in_words(count: float) -> str:
    """Bytes for a reader.

    >>> size_in_words(3.3e9), size_in_words(5e8), size_in_words(3e6), size_in_words(9e3)
    ('3.3 GB', '0.5 GB', '3.0 MB', '< 0.1 MB')
    """
    if 0 < count < 5e4:
        return "< 0.1 MB"
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
