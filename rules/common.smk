"""The only functions of the workflow: where files lie, what a rule depends on, what is refused."""

import json
import shutil
import sys
from functools import cache
from pathlib import Path

from snakemake.logging import logger

from pipeline.common import planning
from pipeline.common.errors import InputError
from pipeline.common.modules import source_files
from pipeline.extract import contracts, preflight, release

UNIT = "results/corrected/admission"  # {protocol}/{unit}
LETTERS = config["modalities"]
SYNTHETIC = config["source"]["root"] == "synthetic"
SOURCE = {**config["source"], "root": "results/hospital"} if SYNTHETIC else config["source"]
GPU = 1 if shutil.which("nvidia-smi") else 0

if misspelt := planning.misspelt(config):
    sys.exit("\n".join(misspelt))


def setting(*keys):
    """One part of the config as JSON with sorted keys: the only form in which rules get settings."""
    part = config
    for key in keys:
        part = part[key]
    return json.dumps(part, sort_keys=True)


def known_from(*kinds):
    """From when these kinds of rows are known; an edit of another kind reruns nothing."""
    table = config["availability"]
    return json.dumps({kind: table[kind] for kind in ("enforced", *kinds)}, sort_keys=True)


@cache
def checked(modalities, model, task):
    """The letters of a target that can be made; refuses others, and sources that lack files."""
    if why := planning.refusal(config, modalities, model, task):
        sys.exit(why)
    if not SYNTHETIC:
        source = (modalities, SOURCE, "results", config["sample"])
        try:
            preflight.check(*source)
        except InputError as error:
            sys.exit(str(error))
        for line in preflight.report(*source):
            logger.info(line)
    return list(modalities)


def modules(*names):
    """Files of code that are run, as inputs: each module and what it imports from this package."""
    return sorted({file for name in names for file in source_files(name)})


def withdraw_stale_outputs(workflow):
    """After a failure: results that wait for a rerun become *.stale, lest they pass as current.

    So do those of other targets that were made from them, by Snakemake's records.
    """
    jobs = workflow.dag.needrun_jobs(exclude_finished=True)
    stale = {str(output) for job in jobs for output in job.output}
    made = [str(path) for path in Path("results").rglob("*") if path.suffix not in (".jpg", "")]
    records = {path: workflow.persistence._read_record(path) for path in made}
    inputs = {path: set(record.input or []) for path, record in records.items() if record}
    while more := {path for path in inputs if inputs[path] & stale} - stale:
        stale |= more
    for path in filter(Path.is_file, map(Path, stale)):
        path.replace(f"{path}.stale")
