"""Digests of what jobs write, so that damage is seen: a flipped bit, a file that was cut or edited.

Beside each output `x` lies `.x.sha256`, as `sha256sum` writes it. Readers of weights, stores, JSON
and tables that fit into memory check it; `make verify` checks every file. A damaged file is set
aside as `x.damaged`: for Snakemake it is missing then, and the same command makes it again. Files
without a digest (a user's own, or of a stage started by hand) are read as they are.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain, count
from pathlib import Path

from pipeline.stage import owner
from pipeline.stage.errors import InputError

SUFFIX, DAMAGED, SOURCE = ".sha256", ".damaged", ".source"


def beside(path: Path, suffix: str = SUFFIX) -> Path:
    """Where the digest of a file lies.

    >>> beside(Path("a/x.json")).as_posix()
    'a/.x.json.sha256'
    """
    return path.with_name(f".{path.name}{suffix}")


def digest(path: Path) -> str:
    """SHA-256 of a file, a small part of it in memory; OSError where it cannot be read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def recorded(path: Path) -> str:
    """The digest that was written with a file; empty where there is none."""
    try:
        return beside(path).read_text(errors="replace").partition(" ")[0]
    except (FileNotFoundError, NotADirectoryError):
        return ""


def is_intact(path: str | Path) -> bool:
    """Whether a file is as it was written, as far as there is a digest of it.

    OSError where it cannot be read to its end: nobody knows then. A file that is replaced meanwhile
    is looked at again: a writer removes the digest first.
    """
    path = Path(path)
    while wanted := recorded(path):
        try:
            status = path.stat()
            stamp = status.st_ino, status.st_size, status.st_mtime_ns
            if _digest_at(path, *stamp) == wanted:
                return True
        except FileNotFoundError:  # missing, not damaged
            return True
        if recorded(path) == wanted:
            return False
    return True


@cache
def _digest_at(path: Path, *stamp: int) -> str:
    """The digest of a file; a process reads one that stays the same once."""
    return digest(path)


def intact(paths: Iterable[Path]) -> list[Path]:
    """Those of some files for which `is_intact` holds, read by as many threads as a job has."""
    paths = list(paths)
    with ThreadPoolExecutor(int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)) as pool:
        return [p for p, same in zip(paths, pool.map(is_intact, paths), strict=True) if same]


def check(path: str | Path) -> None:
    """Raises `InputError` where a file is not as it was written, and sets it aside."""
    if not is_intact(path):
        raise InputError(set_aside(path))


def check_folder(folder: str | Path) -> None:
    """`check` for every file of a folder that has a digest, such as a model's."""
    for path in with_digests(Path(folder).glob(f".*{SUFFIX}")):
        check(path)


def with_digests(sidecars: Iterable[Path]) -> Iterator[Path]:
    """The files that digests belong to and that are there, in the order of their paths."""
    for sidecar in sorted(sidecars):
        path = sidecar.with_name(sidecar.name[1:].removesuffix(SUFFIX))
        if path.is_file():
            yield path


def set_aside(path: str | Path, *, damaged: bool = True) -> str:
    """Renames a file to `x.damaged`, or `x.damaged.2` and so on; returns the line that says so.

    `damaged`: only if it is so still: another process may have set it aside, or made it again.
    """
    path = Path(path)
    names = (f"{path}{DAMAGED}{number}" for number in chain([""], (f".{n}" for n in count(2))))
    aside = next(name for name in map(Path, names) if not name.exists())
    # ASSUME nobody makes it again between the check and the renaming (microseconds)
    if damaged and is_intact(path):
        return (
            f"{path}: it was damaged when it was read; another process has set it aside or made it"
            " again since: run the same command"
        )
    why = (
        f"{path}: damaged: its bytes are not those that were written (a disk that fails, an edit?)"
    )
    owner.check(path)  # a job that outlived its run leaves files to the later one
    try:
        path.rename(aside)
    except OSError as error:
        return (
            f"{why}. It cannot be set aside ({error.strerror}): delete it, then the same command"
            " makes it again"
        )
    return (
        f"{why}. It was set aside as {aside.name}: the same command makes it again (to keep an edit"
        f" instead, rename it back and delete {beside(path).name})"
    )
