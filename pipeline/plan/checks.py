"""Before anything starts: is a target one, and has the source what it needs?"""

import json
import os
import shlex
import sys
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from snakemake.cli import get_argument_parser
from snakemake.logging import logger

from pipeline.cohort import task as tasks
from pipeline.extract import preflight, release
from pipeline.meds.source import UNKNOWN
from pipeline.plan import experiments, outside, refusals, storing, targets, toys
from pipeline.plan.configuration import ADAPTERS, HOURLY, MEDS, kind, source
from pipeline.plan.locks import looks_only
from pipeline.plan.verify import check_results
from pipeline.stage import owner
from pipeline.stage.digests import SUFFIX
from pipeline.stage.errors import InputError


class Checks:
    """Checks of targets and of the source for a config; a refusal ends the plan with its reason."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config, self.source, self.kind = config, source(config), kind(config)
        self.synthetic, self.said = self.kind == "synthetic", False
        self.needs = cache(self._needs)  # a grid asks for the same again and again
        self.facts = cache(self._facts)

    def target(self, modalities: str, model: str, task: str, protocol: str) -> None:
        """Refuses a target that cannot be made."""
        if why := refusals.refusal(self.config, modalities, model, task, protocol):
            sys.exit(why)
        if why := targets.unmet(self.config, modalities, protocol):
            sys.exit(
                f"{modalities}_{model}_{task}: {why}: films of 224 pixels and the weights of"
                " ImageNet belong to the paper's film encoder. Set both in config.yaml, or ask for"
                " results of the corrected protocol"
            )
        why = targets.uneven(self.config, modalities, model, protocol, task)
        why = why or targets.ahead(self.config, model, protocol, task)
        if why := why or self.beyond(model, protocol, task):
            sys.exit(f"{modalities}_{model}_{task}: {why}")
        self.needs(targets.needs(self.config, modalities, model, protocol, task))

    def beyond(self, model: str, protocol: str, task: str) -> str | None:
        """Why a MEDS data set or hourly tables do not offer what is asked; None where they do."""
        asked = {MEDS: targets.beyond_meds, HOURLY: targets.beyond_hourly}.get(self.kind)
        return asked(self.config, model, protocol, task) if asked else None

    def storable(self, wildcards: Any) -> None:
        """Refuses a target whose model cannot be stored, before it is made."""
        modalities, model, task = (
            getattr(wildcards, name) for name in ("modalities", "model", "task")
        )
        self.target(modalities, model, task, storing.PROTOCOL)
        if why := storing.refusal(self.config, modalities, model):
            sys.exit(f"{modalities}_{model}_{task}: {why}")

    def external(self, wildcards: Any) -> list[str]:
        """The files of another source that a model is validated on; refuses what cannot be."""
        names = (getattr(wildcards, part) for part in ("modalities", "model", "task"))
        modalities, model, task = names
        if why := outside.refusal(self.config, wildcards.source, model, task):
            sys.exit(why)
        self.storable(wildcards)
        asked = targets.needs(self.config, modalities, model, storing.PROTOCOL, task)
        return outside.files(self.config, wildcards.source, asked)

    def requested(self, workflow: Any) -> None:
        """Refuses what the command line asks for and no rule makes; warns of a toy's settings.

        While the workflow is read Snakemake does not yet say what was asked for: its parser does.
        """
        if not workflow.is_main_process or Path(sys.argv[0]).stem not in ("snakemake", "__main__"):
            return
        if not self.synthetic and (warning := toys.warning(self.config)):
            logger.warning(warning)
        asked = get_argument_parser().parse_args(sys.argv[1:])
        home = Path(experiments.home(self.config))
        for line in check_results(home, look=looks_only()):
            logger.warning(line)
        for target in asked.targets:
            path = target if Path(target).is_absolute() else os.path.normpath(target)
            if why := experiments.elsewhere(self.config, path):
                sys.exit(why)
            if workflow.is_rule(target) or Path(path).exists():
                continue
            if not any(rule.is_producer(path) for rule in workflow.rules):
                known = [rule for rule in workflow.rules if not rule.has_wildcards()]
                files = [str(file) for rule in known for file in rule.output]
                sys.exit(refusals.unmade(self.config, path, [*files, *(one.name for one in known)]))

    def task(self, task: str, unit: str, protocol: str) -> list[str]:
        """The query of a task and its views; refuses a task of another unit."""
        one = tasks.find(task, protocol)
        if one.unit != unit:
            folder = f"{experiments.home(self.config)}/{protocol}/{unit}"
            sys.exit(f"{folder}/labels/{task}: a task of the unit {one.unit}")
        if why := self.beyond("", protocol, task):
            sys.exit(f"labels/{task}: {why}")
        return one.asked.files

    def as_meds(self, task: str = "") -> None:
        """Refuses what cannot be written in MEDS: hourly tables, tasks of many labels or of items
        that the source does not have."""
        if self.kind == HOURLY:
            sys.exit("results/meds: of hourly tables the times of admission, discharge and death "
                     "are made up; MEDS data are not written of them")  # fmt: skip
        if not task:
            return
        if tasks.find(task).kind != "binary":
            sys.exit(f"{task}: it has many labels of an episode, and MEDS holds one; ask for a "
                     "task with one outcome")  # fmt: skip
        if why := self.beyond("", "corrected", task):
            sys.exit(f"results/meds/labels/{task}.parquet: {why}")

    def named(self) -> list[str]:
        """Options that name the data set of the source in MEDS, and its version where it is told.

        Of MIMIC the record is that of MIMIC-IV, whatever lies beside it.
        """
        if self.synthetic:
            return ["--name", "synthetic hospital"]
        releases = json.loads(self.facts())["releases"]
        name = "MIMIC-IV" if self.kind not in ADAPTERS else next(iter(releases))
        version = releases.get(name)
        known = version and version != UNKNOWN
        return ["--name", name, *(["--release", version] if known else [])]

    def analyses(self, wildcards: Any) -> tasks.Query:
        """The query of a task's sensitivity analyses; refuses a task without any."""
        task, unit = wildcards.task, wildcards.unit
        self.task(task, unit, "corrected")
        if query := tasks.find(task).left_out:
            return query
        folder = f"{experiments.home(self.config)}/corrected/{unit}"
        sys.exit(f"{folder}/without/{task}: the task has no sensitivity analyses")

    def _needs(self, asked: tuple[str, ...]) -> None:
        """Refuses a source that lacks what is asked of it; logs what it is."""
        if self.synthetic:
            return
        if adapter := ADAPTERS.get(self.kind):
            if lines := adapter.problems(self.source["root"] or "", asked):
                sys.exit("\n".join(lines))
            for line in adapter.report(self.source["root"] or "") * (not self.said):
                logger.warning(line)
            self.said = True
            return
        try:
            preflight.check(asked, self.source, "results", self.config["sample"])
        except InputError as error:
            sys.exit(str(error))
        for line in preflight.report(asked, self.source, "results", self.config["sample"]):
            logger.info(line)

    def _facts(self) -> str:
        """What a result says of its source, as JSON: its kind, and the releases of its data."""
        releases = {} if self.synthetic else release.versions(self.source)
        if adapter := ADAPTERS.get(self.kind):
            releases = adapter.facts(self.source["root"] or "")
        return json.dumps({"kind": self.kind, "releases": releases}, sort_keys=True)


def outputs_there(workflow: Any) -> set[str]:
    """What lies there already, of what a run is to make: as it starts, of earlier runs."""
    return {
        str(output)
        for job in workflow.dag.needrun_jobs()
        for output in job.output
        if Path(output).is_file()
    }


def reserve_outputs(workflow: Any) -> None:
    """Takes what this run is to make from jobs that outlived an earlier one: see `stage.owner`."""
    commands = (job.shellcmd for job in workflow.dag.needrun_jobs() if job.is_shell)
    owner.reserve(filter(None, (owner.output_of(shlex.split(command)) for command in commands)))


def withdraw_stale_outputs(
    workflow: Any, earlier: Collection[str], config: Mapping[str, Any]
) -> None:
    """After a failure: results that wait for the failed job become *.stale: none passes as current.

    A job that was started has lost its outputs, and with them what tells Snakemake to run those
    that read them: the `earlier` outputs of these, and of other targets that were made from them by
    Snakemake's records, are set aside. What waits for a job that was not started stands: the next
    run finds the same reasons. What this run has made is not stale. Nothing of another experiment
    is renamed: what it made of a file that all share, and that is gone, is marked as incomplete, so
    that its own next run makes it again.
    """
    waiting = set(workflow.dag.needrun_jobs(exclude_finished=True))
    started = [job for job in waiting if not all(Path(output).exists() for output in job.output)]
    depending = workflow.dag.bfs(workflow.dag.depending, *started)
    stale = {str(output) for job in depending if job in waiting for output in job.output}
    no_output = (".jpg", "", SUFFIX)
    made = [str(path) for path in Path("results").rglob("*") if path.suffix not in no_output]
    records = {path: workflow.persistence._read_record(path) for path in made}
    inputs = {path: set(record.input or []) for path, record in records.items() if record}
    foreign = {path for path in inputs if not experiments.owns(config, path)} - stale
    for name in (name for name in foreign if inputs[name] & stale):
        workflow.persistence._mark_incomplete(name, None)
    while more := {path for path in inputs if inputs[path] & stale} - stale - foreign:
        stale |= more
        earlier = {*earlier, *more}
    there = [path for path in map(Path, stale & set(earlier)) if path.is_file()]
    for path in there:
        path.replace(f"{path}.stale")
    if there:
        logger.error(f"{len(there)} files that waited for a rerun were set aside as *.stale")
