"""After a failure no old result passes as a new one, whatever was changed and wherever it failed.

Left alone, Snakemake says "nothing to be done" once an upstream job has failed: its outputs are
gone, and an intermediate file that is missing asks for nothing. See `withdraw_stale_outputs`.
"""

import importlib
import inspect
import json
import os
import signal
import time

import pytest
from changes import comment, setting
from checkout import MAIN, SINGLE
from edits import EDITS, TASK, TOKENS, TRAIN
from test_workflow_reruns import cases

WEIGHTS = "results/corrected/admission/models/mortality/ehr/seed0.safetensors"
EHR_LOG = "logs/pretrain_ehr/corrected/admission/mortality.log"


KINDS = {  # what is changed, the module that fails, the rules that ran before
    "parameter": (EDITS["ehr.start_by_value"][0], "training.pretrain", "pretrain_ehr"),
    "rule": (TOKENS, "ehr.tokens", "tokenise_events"),
    "code": (comment("pipeline/ehr/events.py"), "ehr.events", "select_events"),
    "query": (comment(TASK), "cohort.labels", "label_task"),
    "code far upstream": (comment("pipeline/ehr/events.sql"), "training.pretrain", "pretrain_ehr"),
    "source file": (EDITS["row of a source table"][0], "extract.tables", "extract_table"),
    "new input": (EDITS["cohort.ids"][0], "cohort.episodes", "select_episodes"),
    "outputs": (setting("seeds", [0, 1]), "training.pretrain", "pretrain_ehr"),
}
QUICK = ["rule", "query"]


@pytest.mark.parametrize("kind", cases(QUICK, [kind for kind in KINDS if kind not in QUICK]))
def test_a_failure_withdraws_the_results_that_waited_for_it(copied, kind):
    change, module, rule = KINDS[kind]
    change(copied)
    wanted = copied.plan(MAIN).planned
    # with cores enough for every job that can start: which of them come first is not our matter
    failed = copied.snakemake("--cores", "4", MAIN, broken=f"pipeline.{module}")
    assert failed.status == 1
    assert rule in failed.ran
    assert "broken on purpose" in failed.text
    for target in (MAIN, SINGLE):  # the second was not asked for, but rests on the same jobs
        for path in (copied / target, (copied / target).with_suffix(".svg")):
            assert not path.exists()
            assert path.with_name(f"{path.name}.stale").exists()
    left = copied.plan(MAIN).planned
    assert {rule, "embed_ehr", "fuse_early", "evaluate_model"} <= set(left) <= set(wanted)
    assert {rule, "embed_ehr", "evaluate_model"} <= set(copied.plan(SINGLE).planned)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_next_run_makes_what_an_undisturbed_run_makes(finished, tmp_path, kind):
    change, module, _ = KINDS[kind]
    disturbed, smooth = finished.copy(tmp_path / "disturbed"), finished.copy(tmp_path / "smooth")
    for checkout in (disturbed, smooth):
        if kind == "source file":  # its bytes hold the time at which it was compressed
            continue
        change(checkout)
    if kind == "source file":
        change(disturbed)
        subpath = "results/hospital/mimiciv/3.1/hosp/labevents.csv.gz"
        (smooth / subpath).write_bytes((disturbed / subpath).read_bytes())
    assert disturbed.snakemake(MAIN, broken=f"pipeline.{module}").status == 1
    disturbed.make(MAIN, SINGLE)
    smooth.make(MAIN, SINGLE)
    for target in (MAIN, SINGLE):
        assert (disturbed / target).read_bytes() == (smooth / target).read_bytes()


@pytest.mark.slow
def test_without_the_hook_an_old_result_would_stand(copied):
    TOKENS(copied)
    assert copied.snakemake("--no-hooks", MAIN, broken="pipeline.ehr.tokens").status == 1
    assert (copied / MAIN).exists()
    assert copied.plan(MAIN).planned == {}  # if this fails the hook may go


def test_the_parts_of_snakemake_that_the_hook_uses_are_there():
    importlib.import_module("snakemake.api")  # first: the others import one another
    dag = importlib.import_module("snakemake.dag").DAG
    base = importlib.import_module("snakemake.persistence").PersistenceBase
    assert "exclude_finished" in inspect.signature(dag.needrun_jobs).parameters
    assert list(inspect.signature(base._read_record).parameters) == ["self", "key"]


def wait_for(checkout, running, text, log):
    """Waits until the log of a job holds a text."""
    while text not in ((checkout / log).read_text() if (checkout / log).exists() else ""):
        assert running.poll() is None, running.communicate()[0]
        time.sleep(0.1)


LONGER = {"schedule.steps": 30, "schedule.check": 10, "schedule.patience": 9}


def train_longer(checkout):
    (checkout / EHR_LOG).unlink()
    checkout.configure(LONGER)


@pytest.mark.slow
def test_a_killed_training_resumes_from_its_last_check(finished, copied, tmp_path):
    train_longer(copied)
    running = copied.start(SINGLE)
    wait_for(copied, running, "step 10/30", EHR_LOG)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    assert not (copied / WEIGHTS).exists()
    for target in (MAIN, SINGLE):  # nobody was left to withdraw them, but they do not pass as new:
        assert (copied / target).exists()
    assert set(copied.plan(SINGLE).planned) == {"pretrain_ehr", "embed_ehr", "evaluate_model"}
    assert set(copied.plan(MAIN).planned) == TRAIN
    copied.make("--", WEIGHTS)
    told = (copied / EHR_LOG).read_text()
    assert "step 10/30" not in told
    assert "step 30/30" in told
    smooth = finished.copy(tmp_path / "smooth")
    smooth.configure(LONGER)
    smooth.make(WEIGHTS)
    assert (copied / WEIGHTS).read_bytes() == (smooth / WEIGHTS).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_run_withdraws_the_results_that_waited(copied, name):
    train_longer(copied)
    running = copied.start(MAIN)
    wait_for(copied, running, "step 10/30", EHR_LOG)
    if name == "SIGINT":
        os.killpg(running.pid, signal.SIGINT)  # as Ctrl-C does
    else:
        os.kill(running.pid, signal.SIGTERM)
    text, _ = running.communicate()
    assert running.returncode != 0
    for target in (MAIN, SINGLE):
        assert not (copied / target).exists(), text
    copied.make(MAIN)
    result = json.loads((copied / MAIN).read_text())
    assert result["settings"]["schedule"]["steps"] == 30
