"""Runs that meet: the lock of one that was killed, and numbers that tell which came later.

Snakemake's lock of a run that was killed would stand and refuse the same command.

The kernel's own lock ends with its process, whatever ended that: where no other process of the
workflow holds it, what Snakemake left is stale. Not seen: runs on another node where the file
system keeps locks to itself. Jobs that outlive a killed Snakemake cannot write what a later run
makes: runs have numbers (`pipeline.stage.owner`).
"""

import fcntl
from contextlib import suppress
from pathlib import Path
from typing import TextIO

KEPT = 50  # numbers of earlier runs: of those that might start at the same moment


def release_stale(folder: Path) -> TextIO:
    """Removes Snakemake's locks below `folder` (.snakemake) unless another run is alive.

    Returns the file that tells others that this one is: keep it open. A file system that has no
    such locks keeps Snakemake's.
    """
    alive = (folder / "alive").open("w")
    with suppress(OSError):  # held by another
        fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for stale in (folder / "locks").glob("*"):
            stale.unlink(missing_ok=True)
    with suppress(OSError):
        fcntl.flock(alive, fcntl.LOCK_SH)
    return alive


def number_of_run(folder: Path) -> int:
    """A number above that of every earlier run of this folder (.snakemake), on whatever node.

    It is the name of a folder, which a shared disk makes only once.
    """
    runs = folder / "runs"
    runs.mkdir(exist_ok=True)
    number = max(map(_number, runs.iterdir()), default=0) + 1
    while True:
        try:
            (runs / str(number)).mkdir()
            break
        except FileExistsError:
            number += 1
    for path in runs.iterdir():
        if _number(path) <= number - KEPT:
            with suppress(OSError):  # another run's work
                path.rmdir()
    return number


def _number(path: Path) -> int:
    return int(path.name) if path.name.isdigit() else 0
