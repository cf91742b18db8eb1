"""What all rules share: where files lie, how settings reach a job, what is refused.

The functions are in pipeline/plan: targets, wiring of rules, checks before anything starts.
"""

import json
import shutil
import sys
from pathlib import Path

from pipeline.cohort import task as tasks
from pipeline.extract import contracts, counts, preflight, release
from pipeline.fusion import registry
from pipeline.hourly import source as hourly_source
from pipeline.meds import source as meds_source
from pipeline.plan import configuration, experiments, grids, launch, protocols, targets
from pipeline.plan.checks import (
    Checks,
    outputs_there,
    reserve_outputs,
    withdraw_stale_outputs,
)
from pipeline.plan.wiring import (
    by_task,
    growing,
    headline,
    modules,
    only_published,
    option,
    query,
    source_tables,
)
from pipeline.plan.wiring_results import ResultWiring
from pipeline.stage.modules import digest_of_code

HOME = experiments.home(config)  # results/, or results/<name>/ of an experiment
UNIT = f"{HOME}/{{protocol}}/{{unit}}"
PREDICTIONS, ABSENT = f"{UNIT}/predictions", f"{UNIT}/missing"
KIND = configuration.kind(config)
SYNTHETIC = KIND == configuration.SYNTHETIC
SOURCE = configuration.source(config)
SUPPRESS = 0 if SYNTHETIC else 10  # counts below are hidden
CORRECTED = "corrected(/fold[0-9]+)?"
DECODERS = f"{registry.DECODER}(-[a-z0-9-]+)?"  # UniMed and its variants
NODES, PROCESSES = config["torch"]["nodes"], config["torch"]["processes"]  # of a training
GPU = PROCESSES if shutil.which("nvidia-smi") else 0
TRAINING = launch.resources(NODES, GPU)
LAUNCH = launch.command(NODES, PROCESSES)  # before the module of a training
# of a job on tables: on a few cores one, so that it does not wait for two while a training keeps
# the other busy
CORES = workflow.resource_settings.cores  # none where jobs go to a cluster (give it none)
THREADS = 1 if CORES and CORES < 4 and workflow.is_main_process else 2

# letter → why the source has none of it
LACKING = {} if SYNTHETIC else preflight.lacking_modalities(config["modalities"], SOURCE)
if adapter := configuration.ADAPTERS.get(KIND):
    LACKING = adapter.lacking(config["modalities"])
checks = Checks(config)
wiring = ResultWiring(config, LACKING)
setting, known_from, schedule = wiring.setting, wiring.known_from, wiring.schedule


def known_truth(protocol):
    """The truth behind a result; asked for by every result, so it checks targets."""

    def of(wildcards):
        checks.target(wildcards.modalities, wildcards.model, wildcards.task, protocol)
        return wiring.truth(protocol, TRUTH)(wildcards) if SYNTHETIC else []

    return of
