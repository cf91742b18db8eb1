"""What the screen of a run shows: a line as a job starts, one as it ends, errors, the result.

Takes the place of Snakemake's own handler on the screen; Snakemake's log file, below
`.snakemake/log`, keeps every detail. Snakemake's means for it, a logger plugin, must be installed
beside Snakemake: a folder of this repository is not found when `snakemake` starts, and a profile
that names a plugin stops every run where it is not installed. A dry run, --verbose,
--printshellcmds, --debug-dag and a plugin (--logger) show what Snakemake shows.
"""

import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake.logging import ColorizingTextHandler, get_event, logger
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent

from pipeline.stage.progress import CLOCK, EVERY, duration

USUAL = {"protocol": "corrected", "unit": "admission"}  # wildcards that the screen leaves out
TAIL = 12  # lines of a failed job's log, at least
RESULT = re.compile(r"results/(?!external/)(?:[^/]+/){0,2}[^/_.]+_[^/_.]+_[^/.]+\.json")
WARNING = re.compile(r"(?<=^\d\d:\d\d:\d\d )warning: .*")  # in a job's log
NOTHING = "Nothing to be done"
# of Snakemake and its executors, without an event: what it has set up, and what it does next
CHATTER = re.compile(
    r"Building DAG|Using shell|Assuming unrestricted|Select jobs|Conda environments|Group jobs"
    r"|Singularity|Storing output|Removing (output files|temporary)|Elapsed time|SLURM run ID"
    r"|Trying to restart|Job \d+ has been submitted|Submitted (job|array)|Cleaning up SLURM"
    r"|.*for status queries"
)
DROPPED = {LogEvent.PROGRESS, LogEvent.JOB_STARTED, LogEvent.RESOURCES_INFO,
           LogEvent.WORKFLOW_STARTED, LogEvent.RULEGRAPH}  # fmt: skip
ERRORS = {LogEvent.JOB_ERROR, LogEvent.GROUP_ERROR}
# what Snakemake makes of a mistake that a rule's function found in a target, a query or a registry
REFUSED = re.compile(
    r"InputFunctionException in rule .*?\n  InputError: (.*?)\nWildcards:", re.DOTALL
)


@dataclass
class Job:
    """A job that was started: its place among all, its name, its logs, and when."""

    number: int
    name: str
    logs: Sequence[str]
    began: float


class Screen(ColorizingTextHandler):
    """Writes a record of Snakemake's as the lines for a reader, if it has any.

    `replaced`: Snakemake's handler, whose stream, colours and filter (--quiet) stay. `on_nodes`:
    whether jobs run where they cannot write to this screen. `ending`: lines once there is nothing
    to do.
    """

    def __init__(self, replaced: ColorizingTextHandler, quiet: Sequence[Any],
                 on_nodes: Callable[[], bool], ending: Callable[[], str]) -> None:  # fmt: skip
        super().__init__(replaced.nocolor, replaced.stream, replaced.formatter)
        self.silent, self.on_nodes, self.ending = Quietness.ALL in quiet, on_nodes, ending
        self.wanted = list(replaced.filters)
        self.jobs: dict[int, Job] = {}
        self.total, self.last = 0, ""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the lines of a record; of errors also under --quiet, but for --quiet all."""
        try:
            text = self.lines(record)  # counts jobs, whether they are shown or not
            shown = all(one.filter(record) for one in self.wanted)
            repeated = text == self.last and get_event(record) is None  # while it waits to stop
            self.last = text or self.last
            if (
                text
                and not repeated
                and (shown or (get_event(record) in ERRORS and not self.silent))
            ):
                self.stream.write(self.decorate(record, text) + self.terminator)
                self.flush()
        except BrokenPipeError:
            raise
        except Exception:
            self.handleError(record)

    def lines(self, record: logging.LogRecord) -> str:
        """The text of a record; empty where the screen shows nothing of it."""
        event = get_event(record)
        makers = {LogEvent.RUN_INFO: self._run, LogEvent.JOB_INFO: self._started,
                  LogEvent.JOB_FINISHED: self._finished, LogEvent.JOB_ERROR: self._failed,
                  **dict.fromkeys(DROPPED, lambda _: "")}  # fmt: skip
        if event in makers:
            return makers[event](vars(record))
        text = self.format(record)
        if event == LogEvent.ERROR and "CalledProcessError in file" in text:
            return ""  # the command of a failed job, whose own error follows
        if record.levelno < logging.WARNING and event is None and CHATTER.match(text):
            return ""
        return f"{text}\n{self.ending()}".rstrip() if text.startswith(NOTHING) else text

    def _run(self, values: Mapping[str, Any]) -> str:
        """How many jobs there are."""
        self.total = values["stats"]["total"]
        return f"{self.total} jobs; the log of each is below logs/"

    def _started(self, values: Mapping[str, Any]) -> str:
        """`[17/41] pretrain_cxr mortality`; a job that starts again keeps its number."""
        before = self.jobs.get(values["jobid"])
        number = before.number if before else len(self.jobs) + 1
        job = Job(number, name_of(values), values["log"], time.monotonic())
        self.jobs[values["jobid"]] = job
        return f"{self._head(job)}{', once more' if before else ''}"

    def _finished(self, values: Mapping[str, Any]) -> str:
        """How long a job took, if it was long, and, of one on a node, what it warns of."""
        job = self.jobs.get(values["job_id"])
        if job is None:
            return ""
        seconds = time.monotonic() - job.began
        lines = [f"{self._head(job)}: {line}" for line in self._warnings(job)]
        if seconds >= EVERY:
            lines.append(f"{self._head(job)}: done {time.strftime(CLOCK)}, {duration(seconds)}")
        return "\n".join(lines)

    def _warnings(self, job: Job) -> list[str]:
        """The warnings in a job's log that the screen has not shown already."""
        lines = lines_of(job.logs[:1]) if self.on_nodes() else []
        return list(dict.fromkeys(found[0] for line in lines if (found := WARNING.search(line))))

    def _failed(self, values: Mapping[str, Any]) -> str:
        """The name of a failed job, the end of its log, and where that is."""
        job = self.jobs.get(values["jobid"])
        head = self._head(job) if job else name_of(values)
        told: list[str] = []
        for path in values["log"]:
            told = told or end_of(lines_of([path]))
        facts = [f"{key}: {value}" for key, value in (values["aux"] or {}).items() if value]
        where = ", ".join(values["log"]) or "none"
        lines = [f"{head}: failed", *(f"    {line}" for line in told),
                 *(f"    {fact}" for fact in facts), f"    its log: {where}"]  # fmt: skip
        return "\n".join(lines)

    def _head(self, job: Job) -> str:
        return f"[{job.number}/{max(self.total, job.number)}] {job.name}"


def name_of(values: Mapping[str, Any]) -> str:
    """What a job is called: its rule, and those of its wildcards that differ from the usual.

    >>> wildcards = {"protocol": "corrected", "unit": "admission", "task": "mortality"}
    >>> name_of({"rule_name": "pretrain_cxr", "wildcards": wildcards})
    'pretrain_cxr mortality'
    """
    wildcards = dict(values.get("wildcards") or {})
    shown = [str(value) for key, value in wildcards.items() if USUAL.get(key) != value]
    return " ".join([values["rule_name"], *shown])


def lines_of(paths: Sequence[str]) -> list[str]:
    """The lines of text files; none of files that are not there."""
    lines: list[str] = []
    for path in filter(Path.is_file, map(Path, paths)):
        lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines


def end_of(log: Sequence[str]) -> list[str]:
    """The last lines of a failed job's log: from its last error on, at least `TAIL` if there are.

    >>> end_of(["read", "error: no episode is left", *["condition"] * 20])[0]
    'error: no episode is left'
    """
    errors = [place for place, line in enumerate(log) if line.startswith("error: ")]
    return list(log[min([max(len(log) - TAIL, 0), *errors[-1:]]) :])


def plain(record: logging.LogRecord) -> bool:
    """Leaves of an `InputError` in a rule's function what it says; always True, for a filter.

    >>> head, end = "InputFunctionException in rule a:\\nError:\\n  ", "\\nWildcards:\\n  b"
    >>> record = logging.makeLogRecord({"msg": f"{head}InputError: no such task{end}"})
    >>> plain(record), record.msg
    (True, 'no such task')
    """
    if refused := REFUSED.search(str(record.msg)):
        record.msg = refused[1]
    return True


def install(workflow: Any, words: Callable[[], str]) -> None:
    """Puts the screen in the place of Snakemake's handler, where a run's is to be seen.

    `words`: what modalities are called, as JSON.
    """
    settings = workflow.output_settings
    if not settings.verbose:
        logger.addFilter(plain)
    as_ever = (settings.dryrun, settings.verbose, settings.printshellcmds, settings.debug_dag)
    if any(as_ever) or not workflow.is_main_process:
        return
    for handler in list(logger.handlers):
        if handler.name == "DefaultStreamHandler":
            screen = Screen(handler, settings.quiet or (), lambda: not workflow.local_exec,
                            lambda: results_in_words(workflow, words()))  # fmt: skip
            screen.name = handler.name
            logger.removeHandler(handler)
            logger.addHandler(screen)


def results_in_words(workflow: Any, words: str) -> str:
    """What the command line asked for: results in words, other files by their path.

    In a process of its own: what goes wrong there is told, and the run stays a success.
    """
    asked = sorted(map(str, workflow.dag.derived_targetfiles))
    there = [path for path in asked if Path(path).is_file()]
    results = [path for path in there if RESULT.fullmatch(path)]
    others = [path for path in there if path not in results]
    text = "\n".join(f"made: {path}" for path in others)
    if results:
        command = [sys.executable, "-m", "pipeline.report.words", "--words", words, "--result"]
        told = subprocess.run([*command, *results], capture_output=True, text=True)
        text = f"{text}\n\n{told.stdout or told.stderr}".strip()
    return text
