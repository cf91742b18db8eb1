"""Temporary files of jobs: a folder per job, in one private folder below results/.

Reports in plain text, charted values and what DuckDB spills lie there while a job runs. A job that
ends, or is stopped, removes its folder; of one that was killed by SIGKILL the next run does
(`sweep`). A job holds a lock of the kernel's on a file of its folder, which ends with the process,
on other nodes of a shared disk, too: folders of living jobs stay. Not seen: jobs on another node
where the file system keeps locks to itself.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FOLDER = Path("results/.temp")  # below the folder in which Snakemake, or a stage, is started
JOB, ALIVE, SWEEPING = "job-", "alive", "sweeping"  # folders of jobs; files that are locked


def use(folder: Path = FOLDER) -> Path:
    """Makes `folder`, owner-only, the one that this process and its jobs use; its absolute path.

    A profile may name another for the jobs: `default-resources: tmpdir`.
    """
    path = folder.absolute()
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    os.environ["TMPDIR"] = tempfile.tempdir = str(path)
    return path


@contextmanager
def of_job() -> Iterator[Path]:
    """The folder of all temporary files of this process and its children, removed at the end.

    It is made where TMPDIR says, which Snakemake sets for a job; without it, as where somebody
    starts a stage by hand, in `FOLDER`. If that is elsewhere, the lock is in `FOLDER` nevertheless,
    if there is a results/, so that the next run knows of the job.
    """
    before = os.environ.get("TMPDIR"), tempfile.tempdir
    beside = FOLDER.parent.is_dir()
    if beside:
        FOLDER.mkdir(mode=0o700, exist_ok=True)
    if before[0] is None and beside:
        use()
    parent = Path(tempfile.gettempdir()).absolute()
    known = FOLDER.absolute() if beside else parent
    with _no_sweep(known):
        kept = Path(tempfile.mkdtemp(prefix=JOB, dir=known))
        alive = (kept / ALIVE).open("w")
        with suppress(OSError):  # a file system without locks
            fcntl.flock(alive, fcntl.LOCK_EX)
        folder = kept if known == parent else Path(tempfile.mkdtemp(prefix=JOB, dir=parent))
        alive.write(str(folder))
        alive.flush()
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        os.environ.pop("TMPDIR")
        tempfile.tempdir = before[1]
        if before[0] is not None:
            os.environ["TMPDIR"] = before[0]
        for path in (folder, kept):
            shutil.rmtree(path, ignore_errors=True)
        alive.close()


def sweep(folder: Path) -> int:
    """Removes what jobs that were killed left in `folder`, or in that of a node which is this one.

    Where no job lives, halves of files (`*.part`) beside the folder, too. Living jobs keep theirs.
    Returns how many folders of jobs stay because nobody can tell whether theirs live: all, where
    the file system has no locks.
    """
    living = unknown = 0
    with _no_sweep(folder):
        for path in folder.glob(f"{JOB}*"):
            try:
                dead = _is_dead(path)
            except OSError:
                unknown += 1
                continue
            living += not dead
            if dead:
                _remove(path)
        if not living and not unknown:
            for part in folder.parent.rglob(".*.part"):
                part.unlink(missing_ok=True)
    return unknown


def _remove(path: Path) -> None:
    """Removes what a dead job left: its folder, and that of its files, if it had another."""
    with suppress(OSError):
        elsewhere = Path((path / ALIVE).read_text())
        if elsewhere.name.startswith(JOB):
            shutil.rmtree(elsewhere, ignore_errors=True)
    shutil.rmtree(path, ignore_errors=True)


def _is_dead(path: Path) -> bool:
    """Whether no process holds the folder of a job; OSError where the disk has no locks."""
    try:
        with (path / ALIVE).open("r+") as alive:
            fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:  # killed before it held anything
        return True
    except BlockingIOError:
        return False
    return True


@contextmanager
def _no_sweep(folder: Path) -> Iterator[None]:
    """No job makes its folder while another process sweeps, and none sweeps while one does."""
    if folder.name != FOLDER.name:  # a folder of others, which nobody sweeps
        yield
        return
    with (folder / SWEEPING).open("w") as lock:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
