"""What all rules share: where files lie, how settings reach a job, what is refused.

The only file with functions; those of wildcards alone are in pipeline/plan/wiring.py.
"""

import json
import shutil
import sys
from functools import cache
from pathlib import Path

from snakemake.logging import logger

from pipeline.cohort import task as tasks
from pipeline.plan import configuration, launch, planning
from pipeline.stage import multitask
from pipeline.stage.errors import InputError
from pipeline.stage.modules import digest_of_code
from pipeline.stage.names import FUSIONS
from pipeline.plan.wiring import (
    ABSENT,
    PREDICTIONS,
    STAY,
    UNIT,
    Wiring,
    growing,
    modules,
    only_published,
    option,
    query,
)
from pipeline.extract import contracts, counts, preflight, release
from pipeline.report.headline import headline

LETTERS = config["modalities"]
ENCODERS = {}  # modality → the files and settings that its rules file offers to training
STAYS = {}  # the same, of ICU stays
SYNTHETIC = config["source"]["root"] == configuration.SYNTHETIC
SOURCE = configuration.source(config)
SUPPRESS = 0 if SYNTHETIC else 10  # counts below are hidden
RESULTS = {"corrected": "results", "published": "results/published"}
CORRECTED = "corrected(/fold[0-9]+)?"
UNIMED = f"{multitask.NAME}(-[a-z0-9-]+)?"  # models of ICU stays
NODES, PROCESSES = config["torch"]["nodes"], config["torch"]["processes"]  # of a training
GPU = PROCESSES if shutil.which("nvidia-smi") else 0
TRAINING = launch.resources(NODES, GPU)
LAUNCH = launch.command(NODES, PROCESSES)  # before the module of a training
# of a job on tables: on a few cores one, lest it waits for two while a training keeps the other
# busy
CORES = workflow.resource_settings.cores  # none where jobs go to a cluster (give it none)
THREADS = 1 if CORES and CORES < 4 and workflow.is_main_process else 2

misspelt = [
    *configuration.misspelt(config, set(configuration.schema()["properties"])),
    *configuration.misspelt_tasks(config),
    *configuration.misspelt_variants(config),
    *configuration.misspelt_bert(config),
    *launch.refusal(NODES),
]
if misspelt:
    sys.exit("\n".join(misspelt))

LACKING = {} if SYNTHETIC else preflight.not_at_hand(LETTERS, SOURCE)  # letter → why
wiring = Wiring(config, ENCODERS, STAYS, LACKING)
setting, known_from, schedule = wiring.setting, wiring.known_from, wiring.schedule


def checked(modalities, model, task, protocol):
    """Refuses a target that cannot be made."""
    if why := planning.refusal(config, modalities, model, task, protocol):
        sys.exit(why)
    if why := planning.unmet(config, modalities, protocol):
        sys.exit(
            f"{modalities}_{model}_{task}: {why}: films of 224 pixels and the weights of"
            " ImageNet belong to the paper's film encoder. Set both in config.yaml, or ask for"
            " results of the corrected protocol"
        )
    preflighted(planning.needs(config, modalities, model, protocol, task))


@cache
def preflighted(asked):
    """Refuses a source that lacks what is asked of it; logs what it is."""
    if SYNTHETIC:
        return
    source = (asked, SOURCE, "results", config["sample"])
    try:
        preflight.check(*source)
    except InputError as error:
        sys.exit(str(error))
    for line in preflight.report(*source):
        logger.info(line)


@cache
def source_facts():
    """What a result says of its source: its kind, and the releases of its data sets."""
    kind = "synthetic" if SYNTHETIC else "mimic"
    releases = {} if SYNTHETIC else release.versions(SOURCE)
    return json.dumps({"kind": kind, "releases": releases}, sort_keys=True)


def known_truth(protocol):
    """What is known of the best reachable score; asked for by every result, so it checks targets.

    The published cohort has no known truth: it asks other questions of other patients.
    """

    def of(wildcards):
        checked(wildcards.modalities, wildcards.model, wildcards.task, protocol)
        own = {task: task for task in [wildcards.task] if task in TRUTH}
        if multitask.is_model(wildcards.model):
            own = multitask.truths(config, wildcards.model, wildcards.task, TRUTH)
        known = [*own.values()] * (SYNTHETIC and protocol == "corrected")
        folder = "results/hospital/truth"
        oracles = [f"{folder}/oracle_{name}.parquet" for name in known]
        return [f"{folder}/ceilings.json", *oracles] if known else []

    return of


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
    found = [path for path in map(Path, stale) if path.is_file()]
    for path in found:
        path.replace(f"{path}.stale")
    if found:
        logger.error(f"{len(found)} files that waited for a rerun were set aside as *.stale")
