"""Who may write the outputs of a job: the job that was started last, and no other.

A job may outlive the Snakemake that started it (killed alone, or on a cluster), while a later run
makes the same outputs again, perhaps by other settings. So a job takes a token when it starts, and
gives no file its name unless the token is still its own. A token is a file on the disk that holds
the outputs, with the number of the run (`pipeline.plan.locks.number_of_run`) and of the attempt:
neither clocks nor process numbers are compared, so that jobs of several nodes may meet. A job of an
older run never takes the token of a newer one, however late the cluster starts it. A run takes the
tokens of all that it is to make as it starts (`reserve`): else a job of an older run could write
after the newer run's had failed before it took its own, and Snakemake had forgotten both.

ASSUME no job stands still between the check and the renaming that follows (microseconds) for as
long as the next one takes from its start to its end.
"""

import hashlib
import os
import secrets
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.stage.arguments import value_of
from pipeline.stage.errors import InputError

RUN = "PIPELINE_RUN"  # set by the Snakefile; jobs inherit it, on clusters too
TOKENS = Path(".snakemake/owners")
REMOTE = b"--target-jobs"  # an argument of the Snakemake that runs one job for another one
_held: tuple[Path, str] | None = None  # of this process: the token's file and what it must hold


class NotOwnerError(InputError):
    """A later job makes the same outputs."""


def output_of(arguments: Sequence[str]) -> str:
    """What a job makes, as its command line says; empty where it does not.

    >>> output_of(["python", "-m", "pipeline.training.pretrain", "--output", "results/models"])
    'results/models'
    """
    return value_of(arguments, "--output") or value_of(arguments, "--markdown")


def owned() -> bool:
    """Whether this process is a job of a workflow that holds the token of its outputs."""
    return _held is not None


def take(output: str) -> None:
    """Takes the token of the job that makes `output`; nothing where no workflow runs this process.

    Raises `NotOwnerError` where a newer run has it.
    """
    global _held
    if not os.environ.get(RUN) or not output or os.environ.get("RANK", "0") != "0":
        return  # of several processes that torchrun started the first alone writes
    _held = _write_token(output, int(os.environ[RUN]))


def reserve(outputs: Iterable[str]) -> None:
    """Takes the tokens of jobs that this run is to start, by what their `--output` names."""
    for output in outputs:
        _write_token(output, int(os.environ[RUN]))


def _write_token(output: str, run: int) -> tuple[Path, str]:
    """The token's file and what it holds now; `NotOwnerError` where a newer run has it."""
    name = hashlib.sha256(os.path.normpath(output).encode()).hexdigest()[:20]
    file, mine = (TOKENS / name).absolute(), f"{run} {secrets.token_hex(8)}"
    file.parent.mkdir(parents=True, exist_ok=True)
    if int((_read(file) or "0").split()[0]) > run:
        raise NotOwnerError(f"{output}: a newer run makes it: this job of an older one ends")
    part = file.with_name(f".{name}.{secrets.token_hex(4)}")
    part.write_text(mine)
    part.replace(file)
    return file, mine


def check(path: str | Path) -> None:
    """Raises `NotOwnerError` where another job has taken the token since: `path` is left to it."""
    if _held is not None and _read(_held[0]) != _held[1]:
        raise NotOwnerError(f"{path}: a job that was started later makes it: this one leaves it be")


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def end_remote_job() -> None:
    """Ends the Snakemakes of the cluster job that this process is part of, if it is, at once.

    They would take the failure for their own: remove the outputs of the later job, and record the
    settings of the earlier one beside them (so would they at a signal that they can answer, such
    as scancel's). Slurm's plugin runs one within another, which is no ancestor of this process but
    has the same SLURM_JOB_ID. A Snakemake that was started by hand is left alone.
    """
    above, job = _ancestors(), os.environ.get("SLURM_JOB_ID")
    beside = [process for process in _processes() if job and _job(process) == job]
    for process in dict.fromkeys([*(set(beside) - set(above)), *reversed(above)]):  # outer first
        if REMOTE in _read_bytes(process, "cmdline").split(b"\0"):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def _ancestors() -> list[int]:
    """The processes above this one, the nearest first."""
    above, process = [], os.getppid()
    while process > 1:
        above.append(process)
        try:
            status = Path(f"/proc/{process}/stat").read_text()
        except OSError:
            break
        process = int(status.rpartition(")")[2].split()[1])
    return above


def _processes() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]


def _job(process: int) -> str | None:
    """The job of Slurm that a process was started in, of those whose environment may be read."""
    variables = _read_bytes(process, "environ").split(b"\0")
    jobs = (v.partition(b"=")[2].decode() for v in variables if v.startswith(b"SLURM_JOB_ID="))
    return next(jobs, None)


def _read_bytes(process: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{process}/{name}").read_bytes()
    except OSError:
        return b""
