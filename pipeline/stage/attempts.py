"""Starts a job, and says why it ended where it could not do so itself: a job killed for memory.

    python -m pipeline.stage.attempts -m pipeline.extract.tables --table … (what follows `python`)

A process that the kernel kills leaves an empty log. This one, which takes 10 MB, waits for it: it
says how much memory the job held, how much is free, and what to set. Where more memory is free than
the job had, it is tried once more, with twice the limit that it was given. Not where somebody
counts what all jobs take, a cluster or Snakemake with `--resources mem_mb=…`: there `retries` start
it again with more, and count that. A job that is told to stop and does not, in spite of
`stage.stopping`, is killed. Knows no library.
"""

import ctypes
import os
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from pipeline.stage.arguments import value_of
from pipeline.stage.errors import BY_SIGNAL, OUT_OF_MEMORY

TRIES = "PIPELINE_TRIES"  # environment: how often a job that lacked memory is started here
LIMIT = "--memory-mb"
MORE = 1.25  # free memory as a share of what was held, from which another try is worth it
PATIENCE = 10.0  # seconds from a signal to stop to SIGKILL
_ENDS_WITH_PARENT = 1  # PR_SET_PDEATHSIG of linux/prctl.h


_told: list[int] = []  # signals that told this process to stop


def main(arguments: Sequence[str]) -> int:
    """Runs `python` with the arguments, again where it lacked memory; returns its exit status."""
    arguments, tries = list(arguments), int(os.environ.get(TRIES, "1"))
    while True:
        kills, (ended, held_mb) = _kernel_kills(), _run(["python", *arguments])
        if _told or (ended >= 0 and ended != OUT_OF_MEMORY):
            return BY_SIGNAL + _told[0] if _told else ended
        by_kernel = ended == -signal.SIGKILL and _kernel_kills() > kills
        short, tries = ended == OUT_OF_MEMORY or by_kernel, tries - 1
        larger = _with_more(arguments, held_mb) if short and tries > 0 else None
        why = f"{_job(arguments)}: {_reason(ended, by_kernel)}; it held {held_mb:,} MB"
        if larger is None:
            prefix = "" if ended == OUT_OF_MEMORY else "error: "  # the job has said so itself
            _tell(
                f"{prefix}{why}, {_free_mb():,} MB are free: {_advice(arguments, held_mb, short)}"
            )
            return ended if ended >= 0 else BY_SIGNAL - ended
        _tell(f"warning: {why}, {_free_mb():,} MB are free: it is tried once more")
        arguments = larger


def _run(command: list[str]) -> tuple[int, int]:
    """Runs a command, passing signals on; its exit status (-n: by signal n) and peak memory, MB."""
    child = os.fork()
    if not child:
        with suppress(OSError, AttributeError):  # Linux alone: no job outlives who waits for it
            ctypes.CDLL(None).prctl(_ENDS_WITH_PARENT, signal.SIGTERM)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it stops by SIGTERM, also while it imports
        os.execvp(command[0], command)

    def send(number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(child, number)

    def pass_on(number: int, _: FrameType | None) -> None:
        _told.append(number)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        send(signal.SIGTERM)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    signal.signal(signal.SIGALRM, lambda *_: send(signal.SIGKILL))
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_maxrss // 1024


def _reason(ended: int, by_kernel: bool) -> str:
    if ended == OUT_OF_MEMORY:
        return "its memory was too little"
    if by_kernel:
        return "killed by the kernel, whose memory was used up"
    if ended == -signal.SIGKILL:
        return "killed (signal 9) by a user, or by a scheduler for its memory or time"
    return f"ended by signal {-ended} ({signal.strsignal(-ended)})"


def _advice(arguments: Sequence[str], held_mb: int, short: bool) -> str:
    if not short:
        return "run the same command again; if it ends here again, with more memory or fewer jobs"
    wanted = 2 * max(held_mb, int(value_of(arguments, LIMIT) or 0))
    return (
        "run fewer jobs at once (--cores 1, or --resources mem_mb=…: what all jobs may take, with "
        "--retries 1, so that one that fails is started again with more), or "
        f"give this one more: --set-resources {_rule()}:mem_mb={wanted}"
    )


def _rule() -> str:
    """The rule of this job, which names the folder of its log; `RULE` where that is a pipe."""
    with suppress(OSError):
        if match := re.search(r"/logs/(\w+)", str(Path("/proc/self/fd/2").readlink())):
            return match[1]
    return "RULE"


def _job(arguments: Sequence[str]) -> str:
    """The module that ran, and what it was to make."""
    return f"{value_of(arguments, '-m')} {value_of(arguments, '--output')}".strip()


def _with_more(arguments: list[str], held_mb: int) -> list[str] | None:
    """The arguments with twice the limit; None where no more memory is free than the job had."""
    limit, free = int(value_of(arguments, LIMIT) or 0), _free_mb()
    if free < max(MORE * held_mb, 2 * limit):
        return None
    if not limit:
        return arguments
    place = arguments.index(LIMIT) + 1
    return [*arguments[:place], str(2 * limit), *arguments[place + 1 :]]


def _free_mb() -> int:
    """Memory that a new process could take: of the machine, less where a limit is set for it."""
    import resource

    meminfo = Path("/proc/meminfo").read_text()
    free = int(re.search(r"MemAvailable: +(\d+)", meminfo)[1]) // 1024  # type: ignore[index]
    limits = _cgroup_free(Path("/proc/self/cgroup").read_text(), Path("/sys/fs/cgroup"))
    if (address := resource.getrlimit(resource.RLIMIT_AS)[0]) != resource.RLIM_INFINITY:
        limits.append(address)
    return min([free, *(limit // 1024**2 for limit in limits)])


def _cgroup_free(groups: str, root: Path) -> list[int]:
    """Bytes that control groups, and those above them, have left, where they are limited.

    `groups`: as in /proc/<process>/cgroup. Files that the kernel could drop count as free.
    """
    left = []
    for line in groups.splitlines():
        _, kinds, name = line.split(":", 2)
        of_v1 = "memory" in kinds.split(",")
        top = root / "memory" if of_v1 else root
        files = ("limit_in_bytes", "usage_in_bytes") if of_v1 else ("max", "current")
        cached = re.compile(rf"^{'total_' if of_v1 else ''}inactive_file (\d+)", re.M)
        folder = top / name.lstrip("/")
        while folder.is_relative_to(top):
            with suppress(OSError, ValueError):  # no such group here, or "max": without a limit
                limit, used = (int((folder / f"memory.{file}").read_text()) for file in files)
                files_kept = cached.search((folder / "memory.stat").read_text())
                left.append(max(0, limit - used + int(files_kept[1] if files_kept else 0)))
            folder = folder.parent
    return left


def _kernel_kills() -> int:
    """How many processes the kernel has killed for want of memory since the machine started."""
    with suppress(OSError):
        if match := re.search(r"^oom_kill (\d+)", Path("/proc/vmstat").read_text(), re.M):
            return int(match[1])
    return 0


def _tell(line: str) -> None:
    """Into the job's log, which Snakemake shows after a failure."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
