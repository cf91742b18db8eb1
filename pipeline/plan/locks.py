"""Runs that meet: the lock of one that was killed, and numbers that tell which came later.

Snakemake's lock of a run that was killed would stand and refuse the same command. And the lock
within Snakemake that SIGTERM takes.

The kernel's own lock ends with its process, whatever ended that: where no other process of the
workflow holds it, what Snakemake left is stale. Not seen: runs on another node where the file
system keeps locks to itself. Jobs that outlive a killed Snakemake cannot write what a later run
makes: runs have numbers (`pipeline.stage.owner`).
"""

import fcntl
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from snakemake.cli import get_argument_parser
from snakemake.scheduling.job_scheduler import JobScheduler

KEPT = 50  # numbers of earlier runs: of those that might start at the same moment

# options of snakemake under which no job runs
_LOOKING = (
    "archive", "containerize", "d3dag", "dag", "detailed_summary", "dryrun", "filegraph", "lint",
    "list_changes", "list_rules", "list_target_rules", "list_untracked", "print_compilation",
    "report", "rulegraph", "summary", "unlock",
)  # fmt: skip


def runs_jobs(command: Sequence[str]) -> bool:
    """Whether a command line of snakemake runs jobs, rather than tells about them.

    >>> runs_jobs(["--cores", "2", "all"]), runs_jobs(["-n", "all"]), runs_jobs(["--lint"])
    (True, False, False)
    """
    asked, _ = get_argument_parser().parse_known_args(list(command))
    return all(getattr(asked, name, None) in (None, False) for name in _LOOKING)


def looks_only() -> bool:
    """Whether this process is a snakemake whose command runs no jobs."""
    return Path(sys.argv[0]).stem in ("snakemake", "__main__") and not runs_jobs(sys.argv[1:])


def release_stale(folder: Path, command: Sequence[str] | None = None) -> TextIO | None:
    """Removes Snakemake's locks below `folder` (.snakemake) unless another run is alive.

    Returns the file that tells others that this one is: keep it open. A command that runs no jobs
    holds and removes nothing, so that a plan in another shell does not keep a killed run from going
    on. A file system that has no such locks keeps Snakemake's.
    """
    if looks_only() if command is None else not runs_jobs(command):
        return None
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


def stop_beside() -> None:
    """Lets Snakemake take SIGTERM while it chooses jobs: without this it waits for itself for ever.

    Its handler interrupts the main thread and takes a lock that this thread holds while jobs are
    chosen or their outputs are recorded (9.27.1). In a thread of its own it waits until then.
    """
    handler = JobScheduler.exit_gracefully
    if handler.__module__ == __name__:
        return

    def in_a_thread(self: JobScheduler, *signal: Any) -> None:
        threading.Thread(target=handler, args=(self, *signal), daemon=True).start()

    JobScheduler.exit_gracefully = in_a_thread
