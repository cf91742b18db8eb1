"""Who may read what a run writes: its owner alone, or a Unix group under one agreement, too.

MIMIC's data use agreement binds persons. A group whose members have all signed it may share
results: the config names it (`group:`), and jobs are told by the environment.
"""

import grp
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from pipeline.stage.errors import InputError

GROUP = "PIPELINE_GROUP"  # in the environment: the group's name
OWNER_ONLY, GROUP_READS = 0o077, 0o027
FOLDER = stat.S_ISGID | 0o050  # new files in it belong to its group, which may list and enter it


def umask() -> int:
    """The umask of this process: what it writes is for the owner, or for the group to read, too."""
    return GROUP_READS if os.environ.get(GROUP) else OWNER_ONLY


def begin(group: str | None, folders: Iterable[Path], private: Path) -> None:
    """Tells jobs of the group and gives it the folders, with those below, but for `private`.

    Files that are there already keep their mode. `InputError` where there is no such group, or
    the folders cannot be given to it.
    """
    os.environ.pop(GROUP, None)
    if group is None:
        return
    try:
        number = grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise InputError(f"config.group: this machine has no Unix group {group}") from error
    os.environ[GROUP] = group
    os.umask(umask())
    for folder in folders:
        folder.mkdir(exist_ok=True)
        inner = (Path(path) for path, _, _ in os.walk(folder))
        for path in (one for one in inner if one != private and private not in one.parents):
            _give(path, number, group)


def _give(path: Path, number: int, group: str) -> None:
    """A folder to the group; nothing where it is the group's already."""
    now = path.stat()
    if now.st_gid == number and now.st_mode & FOLDER == FOLDER:
        return
    try:
        os.chown(path, -1, number)
        path.chmod(stat.S_IMODE(now.st_mode) | FOLDER)
    except PermissionError as error:
        raise InputError(
            f"config.group: {path} cannot be given to {group}: you must own it and be a member"
        ) from error
