"""How every stage is started from a shell: arguments, log lines, privacy of files, clear errors."""

import argparse
import json
import logging
import os
import platform
import resource
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from pipeline.stage import owner, sharing, temporary
from pipeline.stage.arguments import value_of
from pipeline.stage.damage import damaged
from pipeline.stage.errors import InputError
from pipeline.stage.faults import explained
from pipeline.stage.files import write_json
from pipeline.stage.privacy import Formatter, hidden, log
from pipeline.stage.progress import CLOCK, FORMAT, reach_screen
from pipeline.stage.stopping import obey, stopped


def parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser that shows defaults and keeps the module docstring's line breaks.

    >>> parser("Select episodes.").description
    'Select episodes.'
    """

    class Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
        pass

    return argparse.ArgumentParser(description=description, formatter_class=Formatter)


def pairs(texts: Sequence[str], argument: str) -> dict[str, str]:
    """Paths by task, of `task=path` arguments.

    >>> pairs(["shock_4h=a.parquet"], "--labels")
    {'shock_4h': 'a.parquet'}
    """
    found: dict[str, str] = {}
    for text in texts:
        task, equals, path = text.partition("=")
        if not (task and equals and path) or task in found:
            raise InputError(f"{argument} {text}: expected task=path, each task once")
        found[task] = path
    return found


def parsed(text: str, argument: str) -> Any:
    """The JSON of an argument; `InputError` where it is none."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{argument}: not valid JSON ({error})") from error


def run(main: Callable[[], None]) -> None:
    """Runs a stage's `main`: private files, log lines on stderr, one line for an `InputError`.

    Files are for the owner, or for a group to read, too (`stage.sharing`).

    Exit status: 0; 1 after an `InputError` or a fault that a user can mend (`stage.faults`), 137
    where memory was too little; 143 or 130 where it was told to stop (`stage.stopping`). Any other
    exception is a defect of the pipeline and keeps its traceback, unless an input is damaged
    (`stage.digests`). A job of the workflow writes only while nobody else makes its outputs
    (`stage.owner`). No job makes a network call (`pipeline/__init__.py`). Where PIPELINE_USAGE
    names a folder, a stage with an `--output` leaves a record of its time (`seconds`; `cpu`: of the
    processors, imports included), memory and host there: results hold nothing that differs between
    two runs.
    """
    os.umask(sharing.umask())
    obey()
    logging.basicConfig(level=logging.INFO)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(Formatter(FORMAT, CLOCK))
    reach_screen()
    sys.excepthook = _report_defect
    started = time.time()
    try:
        owner.take(owner.output_of(sys.argv))
        with temporary.of_job():
            main()
    except BaseException as error:
        _end(error)
        raise
    record = _usage(main, started)
    if not record["made"] or os.environ.get("RANK", "0") != "0":
        return  # of several processes that torchrun started the first speaks for all
    log.info("finished in %(seconds).1f s, peak memory %(peak_mb)d MB, on %(host)s", record)
    if folder := os.environ.get("PIPELINE_USAGE"):
        name = f"{record['stage']} {record['made']}".replace("/", "_").replace(" ", "@")
        with suppress(owner.NotOwnerError):  # its outputs were whole before
            write_json(Path(folder) / f"{name}.json", record)


def _end(error: BaseException) -> None:
    """Ends the process by the status and the line that an error asks for; returns at a defect."""
    if status := stopped():  # libraries turn the exception of a signal into their own
        sys.exit(status)
    if isinstance(error, SystemExit | KeyboardInterrupt):
        return
    outlived = isinstance(error, owner.NotOwnerError)  # by a later job, which has its outputs
    lines: list[str] = []
    if not outlived:
        with suppress(OSError):  # the error itself matters more
            lines = damaged(error, sys.argv[1:])
    fault = explained(error, sys.argv[1:])
    if lines and not isinstance(error, InputError):
        fault = None  # such as memory that a damaged file asked for
    lines = [*([str(fault)] if fault else []), *lines]
    if not lines:
        return
    print(*(hidden(f"error: {line}") for line in lines), sep="\n", file=sys.stderr)
    if outlived:
        owner.end_remote_job()
    sys.exit(fault.status if fault else 1)


def _report_defect(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """The traceback of a defect, without the ids and dates that a library's message may quote."""
    sys.stderr.write(hidden("".join(traceback.format_exception(kind, error, trace))))


def _usage(main: Callable[[], None], started: float) -> dict[str, str | float | int]:
    spec = sys.modules["__main__"].__spec__
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "stage": spec.name if spec else main.__module__,
        "made": value_of(sys.argv, "--output"),
        "seconds": round(time.time() - started, 2),
        "cpu": round(sum(each.ru_utime + each.ru_stime for each in used), 2),
        "peak_mb": max(each.ru_maxrss for each in used) // 1024,
        "host": platform.node(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(started)),
    }
