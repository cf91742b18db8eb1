"""Wrong numbers that would pass as right: jobs that outlive their Snakemake, damaged files."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from checkout import MAIN, SINGLE
from test_stage_digests import flip
from test_workflow_stale import EHR_LOG, WEIGHTS, wait_for

EPISODES = "results/corrected/admission/episodes.parquet"
LONG = {"schedule.steps": 3000, "schedule.check": 10, "schedule.patience": 999}
FOLDER = Path(WEIGHTS).parent


def processes(checkout, module):
    """The Python processes that run a module in a checkout."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            here = (folder / "cwd").samefile(checkout.root)
        except OSError:
            continue
        if here and command[1:3] == [b"-m", module.encode()]:
            found.append(int(folder.name))
    return found


def contents(checkout):
    """What lies beside the weights, the digests included."""
    files = [path for path in (checkout / FOLDER).iterdir() if path.is_file()]
    return {path.name: path.read_bytes() for path in files}


def wait_for_end(process):
    while Path(f"/proc/{process}").exists():
        time.sleep(0.1)


@pytest.mark.slow
def test_a_training_that_outlives_its_snakemake_leaves_the_next_run_s_outputs_alone(copied):
    (copied / EHR_LOG).unlink()
    copied.configure(LONG)
    first = copied.start("--", WEIGHTS)
    wait_for(copied, first, "step 10/3000", EHR_LOG)
    (orphan,) = processes(copied, "pipeline.training.pretrain")
    log = os.open(f"/proc/{orphan}/fd/2", os.O_RDONLY)  # the next run has another of this name
    os.kill(orphan, signal.SIGSTOP)  # for as long as the next run takes
    os.kill(first.pid, signal.SIGKILL)  # Snakemake's main process alone
    first.wait()
    copied.configure({"schedule.steps": 5, "schedule.check": 5})
    copied.make("--", WEIGHTS)
    made = contents(copied)
    os.kill(orphan, signal.SIGCONT)
    wait_for_end(orphan)
    assert contents(copied) == made
    with os.fdopen(log) as text:
        assert "a job that was started later makes it" in text.read()
    assert copied.plan(WEIGHTS).planned == {}


@pytest.mark.slow
def test_a_flipped_bit_in_weights_is_named_and_the_same_command_makes_them_again(copied):
    before, result = (copied / WEIGHTS).read_bytes(), (copied / SINGLE).read_bytes()
    flip(copied / WEIGHTS)
    command = ("--forcerun", "embed_ehr", "--", SINGLE)
    failed = copied.snakemake(*command)
    assert failed.status == 1 and "Traceback" not in failed.text
    assert f"error: {WEIGHTS}: damaged" in failed.text
    assert set(copied.make(*command).ran) == {"pretrain_ehr", "embed_ehr", "evaluate_model"}
    assert (copied / WEIGHTS).read_bytes() == before
    assert (copied / SINGLE).read_bytes() == result


@pytest.mark.slow
def test_a_flipped_bit_in_the_film_store_is_named_and_the_same_command_decodes_again(copied):
    chunk = max((copied / "results/cxr/store").rglob("*.npy"), key=lambda path: path.stat().st_size)
    before = chunk.read_bytes()
    flip(chunk)
    command = ("--forcerun", "pretrain_cxr", "--", "results/c_unimodal_mortality.json")
    failed = copied.snakemake(*command)
    assert failed.status == 1 and "Traceback" not in failed.text
    assert f"{chunk.relative_to(copied.root)}: damaged" in failed.text
    assert copied.make(*command).ran.count("decode_films") == 1
    assert chunk.read_bytes() == before


@pytest.mark.parametrize("damage", [lambda text: text[:-40], lambda text: text.replace("8", "9")])
def test_a_damaged_result_does_not_stand(copied, damage):
    content = (copied / SINGLE).read_text()
    (copied / SINGLE).write_text(damage(content))
    assert f"{SINGLE}: damaged" in copied.plan(SINGLE).text
    made = copied.make(SINGLE)
    assert made.ran == ["evaluate_model"]
    assert (copied / SINGLE).read_text() == content
    assert json.loads((copied / MAIN).read_text())


def test_a_cut_table_that_duckdb_reads_is_named_and_made_again(copied):
    table = copied / "results/source/admissions.parquet"
    content = table.read_bytes()
    table.write_bytes(content[: len(content) // 2])
    command = ("--forcerun", "select_episodes", "--", EPISODES)
    failed = copied.snakemake(*command)
    assert failed.status == 1 and "Traceback" not in failed.text
    assert "error: results/source/admissions.parquet: damaged" in failed.text
    assert copied.make(*command).ran == ["extract_table", "select_episodes"]
    assert table.read_bytes() == content
