"""Temporary files of jobs: a folder per job, in one private folder below results/.

Reports in plain text, charted values and what DuckDB spills lie there while a job runs. A job that
ends, or is stopped, removes its folder; of one that was killed by SIGKILL the next run on the same
node does (`sweep`). A job holds a lock of the kernel's on a file of its folder, which ends with the
process: folders of living jobs stay. Many shared disks keep such locks to each node, so the file
holds the node's name: a folder of another node is never removed.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from pipeline.stage.errors import InputError

FOLDER = Path("results/.temp")  # below the folder in which Snakemake, or a stage, is started
JOB, ALIVE = "job-", "alive"  # folders of jobs; the file that a job locks


def use(folder: Path = FOLDER) -> Path:
    """Makes `folder`, owner-only, the one that this process and its jobs use; its absolute path.

    A profile may name another for the jobs: `default-resources: tmpdir`. `InputError` where the
    folder is another user's, or cannot be made.
    """
    path = folder.absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        if stat.S_IMODE(path.stat().st_mode) & 0o777 != 0o700:
            path.chmod(0o700)
    except OSError as error:
        raise InputError(_unusable(path, error.strerror)) from error
    if not os.access(path, os.R_OK | os.X_OK):
        raise InputError(_unusable(path, "it belongs to another user"))
    os.environ["TMPDIR"] = tempfile.tempdir = str(path)
    return path


def _unusable(path: Path, why: str | None) -> str:
    return (
        f"{path}: no folder for temporary files that nobody else can read ({why}): work in a folder"
        " of your own, or have its owner remove this one"
    )


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
    folder, kept, alive = _hold(known, parent)
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


def _hold(known: Path, parent: Path) -> tuple[Path, Path, TextIO]:
    """Makes a job's folder in `parent`, and one in `known` with the locked file that tells of it.

    The latter gets its name last: as long as it has it, the file in it is locked and complete.
    """
    new = Path(tempfile.mkdtemp(prefix="new-", dir=known))
    kept = new.with_name(new.name.replace("new-", JOB, 1))
    folder = kept if known.samefile(parent) else Path(tempfile.mkdtemp(prefix=JOB, dir=parent))
    alive = (new / ALIVE).open("w")
    with suppress(OSError):  # a file system without locks
        fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
    alive.write(f"{os.uname().nodename}\n{folder}")
    alive.flush()
    new.rename(kept)
    return folder, kept, alive


def sweep(folder: Path) -> int:
    """Removes what jobs of this node that were killed left in `folder`, or where TMPDIR was.

    Where no job lives, halves of files (`*.part`) beside the folder, too. Living jobs keep theirs.
    Returns how many folders of jobs stay because nobody can tell whether theirs live: those of
    other nodes, and all where the file system has no locks.
    """
    # listed before the jobs are: a job that starts meanwhile writes none of these
    halves = list(folder.parent.rglob(".*.part"))
    living = unknown = 0
    for path in folder.glob(f"{JOB}*"):
        alive = _is_alive(path)
        living += alive is True
        unknown += alive is None
        if alive is False:
            _remove(path)
    if not living and not unknown:
        for part in halves:
            part.unlink(missing_ok=True)
    return unknown


def _remove(path: Path) -> None:
    """Removes what a dead job left: its folder, and that of its files, if it had another."""
    with suppress(OSError):
        elsewhere = Path((path / ALIVE).read_text().partition("\n")[2])
        if elsewhere.name.startswith(JOB):
            shutil.rmtree(elsewhere, ignore_errors=True)
    shutil.rmtree(path, ignore_errors=True)


def _is_alive(path: Path) -> bool | None:
    """Whether a process holds the folder of a job; None where nobody can tell."""
    try:
        with (path / ALIVE).open("r+") as alive:
            fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            node = alive.readline().rstrip("\n")
    except FileNotFoundError:  # its removal was begun
        return False
    except BlockingIOError:
        return True
    except OSError:  # a disk without locks
        return None
    return False if node == os.uname().nodename else None
