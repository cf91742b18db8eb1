"""The lock of a run that was killed: Snakemake's would stand and refuse the same command.

The kernel's own lock ends with its process, whatever ended that: where no other process of the
workflow holds it, what Snakemake left is stale. Not seen: jobs that outlive a killed Snakemake, and
runs on another node where the file system keeps locks to itself.
"""

import fcntl
from contextlib import suppress
from pathlib import Path
from typing import TextIO


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
