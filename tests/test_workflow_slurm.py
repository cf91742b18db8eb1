"""A real Slurm of this machine runs the main job through profiles/slurm, as a cluster would."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import slurm
from checkout import MAIN, Checkout
from slurm import Slurm
from test_workflow_damage import LONG, processes
from test_workflow_stale import wait_for

NOTE = "results/corrected/admission/models/mortality/note"
NOTE_LOG = "logs/pretrain_note/corrected/admission/mortality.log"
QUICK = ("--slurm-init-seconds-before-status-checks", "5")  # 40 s: jobs here take seconds
KILLED = "pretrain_cxr"  # the longest training

pytestmark = pytest.mark.skipif(slurm.missing() is not None, reason=str(slurm.missing()))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two nodes with a GPU each."""
    try:
        with Slurm(tmp_path_factory.mktemp("slurm"), "one", "two") as running:
            yield running
    except OSError as error:
        pytest.skip(f"Slurm cannot be started here: {error}")


def rule(job):
    """The rule of a Slurm job: the plugin's comment is rule_NAME_wildcards_…"""
    return re.sub(r"^rule_|_wildcards_.*$", "", job.get("Comment", ""))


def submit(cluster, checkout, *arguments, cancel=None):
    """Runs snakemake through the profile; `cancel`: a rule whose first job is cancelled once."""
    log = checkout.root.parent / f"{checkout.root.name}.log"
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm"]
    with log.open("w") as printed:
        running = subprocess.Popen(
            [*command, *QUICK, *arguments], cwd=checkout.root, env=cluster.environment,
            stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT,
        )  # fmt: skip
    while running.poll() is None:
        time.sleep(1)
        started = [job for job in cluster.jobs() if job["JobState"] == "RUNNING"]
        if own := [job["JobId"] for job in started if rule(job) == cancel]:
            cluster.run("scancel", own[0])
            cancel = None
    assert running.returncode == 0, log.read_text()
    return log.read_text()


def test_a_cancelled_training_runs_again_on_a_gpu_with_more_memory(cluster, copied):
    before = (copied / f"{NOTE}/seed0.safetensors").read_bytes()
    own = ("--forcerun", "pretrain_note", "--", f"{NOTE}/history.json")
    earlier = len(cluster.jobs())
    submit(cluster, copied, *own, cancel="pretrain_note")
    first, again = cluster.jobs()[earlier:]
    assert (first["JobState"], again["JobState"]) == ("CANCELLED", "COMPLETED")
    assert (first["TresPerJob"], again["TresPerJob"]) == ("gres:gpu:1", "gres:gpu:1")
    assert (first["MinMemoryNode"], again["MinMemoryNode"]) == ("4000M", "8000M")
    assert (copied / f"{NOTE}/seed0.safetensors").read_bytes() == before


@pytest.mark.slow
def test_a_job_that_outlives_its_submitter_leaves_the_next_run_s_outputs_alone(cluster, copied):
    command = ("--forcerun", "pretrain_note", "--", f"{NOTE}/history.json")
    copied.configure(LONG)
    (copied / NOTE_LOG).unlink()
    earlier = len(cluster.jobs())
    first = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm", *command],
        cwd=copied.root, env=cluster.environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (stages := processes(copied, "pipeline.training.pretrain")):
        assert first.poll() is None
        time.sleep(0.1)
    wait_for(copied, first, "step", NOTE_LOG)  # it has its token
    os.kill(stages[0], signal.SIGSTOP)  # for as long as the next run takes
    first.kill()
    first.wait()
    copied.configure(LONG | {"schedule.steps": 10})
    submit(cluster, copied, *command)
    made = {path: path.read_bytes() for path in (copied / NOTE).iterdir() if path.is_file()}
    os.kill(stages[0], signal.SIGCONT)
    while (orphan := cluster.jobs()[earlier])["JobState"] in ("RUNNING", "COMPLETING"):
        time.sleep(0.5)
    assert orphan["JobState"] in ("CANCELLED", "FAILED")
    assert {path: path.read_bytes() for path in made} == made
    # nor does Snakemake's record hold the orphan's settings
    assert copied.plan(f"{NOTE}/history.json").planned == {}
    copied.configure(LONG)
    assert copied.plan(f"{NOTE}/history.json").planned == {"pretrain_note": 1}


@pytest.mark.slow
def test_a_training_over_two_nodes_gives_the_weights_of_two_processes_on_one(
    cluster, copied, tmp_path
):
    """The profile is edited as it says itself."""
    alone = copied.copy(tmp_path / "alone")
    alone.configure({"torch.processes": 2})
    alone.make(f"{NOTE}/history.json")
    copied.configure({"torch.nodes": 2})
    one, per_node = "&training\n    gpu: 1", "&training\n    gpu: 0\n    gres: gpu:1"
    copied.edit("profiles/slurm/profile.yaml", one, per_node)
    earlier = len(cluster.jobs())
    submit(cluster, copied, f"{NOTE}/history.json")
    (job,) = cluster.jobs()[earlier:]
    assert (rule(job), job["NumNodes"], job["NodeList"]) == ("pretrain_note", "2", "one,two")
    assert job["TresPerNode"] == "gres:gpu:1"
    weights = [folder / f"{NOTE}/seed0.safetensors" for folder in (copied, alone)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.fixture(scope="module")
def submitted(cluster, tmp_path_factory):
    """The main job; a training was cancelled as it ran."""
    checkout = Checkout.fresh(tmp_path_factory.mktemp("submitted") / "checkout")
    earlier = len(cluster.jobs())
    checkout.printed = submit(cluster, checkout, MAIN, cancel=KILLED)
    checkout.jobs = cluster.jobs()[earlier:]
    return checkout


@pytest.mark.slow
def test_every_job_went_to_slurm_with_the_memory_and_time_of_its_rule(submitted):
    planned = submitted.printed.count("has been submitted with SLURM jobid")
    assert len(submitted.jobs) == planned > 30
    assert {job["Partition"] for job in submitted.jobs} == {"main"}
    limits = {rule(job): job["TimeLimit"] for job in submitted.jobs}
    memory = {rule(job): job["MinMemoryNode"] for job in submitted.jobs if rule(job) != KILLED}
    assert (limits["pretrain_ehr"], limits["embed_ehr"]) == ("04:00:00", "01:00:00")
    assert (memory["make_hospital"], memory["select_episodes"]) == ("1500M", "2000M")


@pytest.mark.slow
def test_trainings_have_a_gpu_and_nothing_else_has(submitted):
    asked = {rule(job) for job in submitted.jobs if "gpu" in job.get("TresPerJob", "")}
    assert asked == {"pretrain_ehr", "pretrain_cxr", "pretrain_note", "embed_cxr"}


@pytest.mark.slow
def test_a_cancelled_job_is_submitted_again_with_more_memory(submitted):
    first, *again = [job for job in submitted.jobs if rule(job) == KILLED]
    assert first["JobState"] == "CANCELLED"
    assert [job["JobState"] for job in again] == ["COMPLETED"]
    assert (first["MinMemoryNode"], again[0]["MinMemoryNode"]) == ("4000M", "8000M")
    others = [job["JobState"] for job in submitted.jobs if rule(job) != KILLED]
    assert set(others) == {"COMPLETED"}


@pytest.mark.slow
def test_the_result_is_the_local_one(submitted, finished):
    assert (submitted / MAIN).read_bytes() == (finished / MAIN).read_bytes()
    sidecar = json.loads((submitted / MAIN.replace(".json", ".run.json")).read_text())
    assert {row["stage"] for row in sidecar["stages"]} >= {"pipeline.training.pretrain"}
    assert not list((submitted / "results").rglob("*.stale"))
