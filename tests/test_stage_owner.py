"""A job that outlives its Snakemake does not write over what a later one made."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from checkout import REPOSITORY

from pipeline.plan.checks import reserve_outputs
from pipeline.plan.locks import KEPT, number_of_run
from pipeline.stage import owner
from pipeline.stage.files import whole

STAGE = """
import sys
from pathlib import Path
from pipeline.stage.command import run
from pipeline.stage.files import whole

def main():
    print("started", flush=True)
    content = sys.stdin.readline()  # until the test lets it go on
    with whole("x.txt") as part:
        part.write_text(content)

run(main)
"""


class Job:
    """A stage of run `number` that waits before it writes."""

    def __init__(self, folder, number, monkeypatch):
        monkeypatch.setenv(owner.RUN, str(number))
        self.process = subprocess.Popen(
            [sys.executable, "-c", STAGE, "--output", "x.txt"], cwd=folder, text=True,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.started = self.process.stdout.readline() == "started\n"

    def end(self, content):
        """Lets it write; its exit status and messages."""
        _, told = self.process.communicate(f"{content}\n")
        return self.process.returncode, told


@pytest.mark.parametrize("number", [1, 2], ids=["the same run", "a later run"])
def test_only_the_job_that_started_last_gives_a_file_its_name(tmp_path, monkeypatch, number):
    orphan = Job(tmp_path, 1, monkeypatch)
    later = Job(tmp_path, number, monkeypatch)
    assert later.end("new")[0] == 0
    status, told = orphan.end("old")
    assert (status, told.count("\n")) == (1, 1)
    assert "error: x.txt: a job that was started later makes it" in told
    assert (tmp_path / "x.txt").read_text() == "new\n"
    assert not list(tmp_path.glob("*.part"))


def test_an_orphan_that_ends_first_is_replaced(tmp_path, monkeypatch):
    orphan, later = Job(tmp_path, 1, monkeypatch), Job(tmp_path, 2, monkeypatch)
    assert orphan.end("old")[0] == 1
    assert not (tmp_path / "x.txt").exists()
    assert later.end("new")[0] == 0


def test_a_job_of_an_older_run_that_starts_late_takes_nothing(tmp_path, monkeypatch):
    assert Job(tmp_path, 2, monkeypatch).end("new")[0] == 0
    late = Job(tmp_path, 1, monkeypatch)
    assert not late.started
    status, told = late.end("old")
    assert status == 1 and "error: x.txt: a newer run makes it" in told
    assert (tmp_path / "x.txt").read_text() == "new\n"


def test_a_stage_that_is_started_by_hand_needs_no_token(tmp_path, monkeypatch):
    monkeypatch.delenv(owner.RUN, raising=False)
    with whole(tmp_path / "x.txt") as part:
        part.write_text("1")
    owner.take("x.txt")
    assert not owner.owned()
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


def test_nothing_ends_where_no_remote_job_is_above(monkeypatch):
    def kill(*_):
        raise AssertionError("killed")

    monkeypatch.setattr(owner.os, "kill", kill)
    monkeypatch.setenv("SLURM_JOB_ID", "1")  # a Snakemake that was started within an allocation
    owner.end_remote_job()


def test_every_run_has_a_number_of_its_own(tmp_path):
    numbers = [number_of_run(tmp_path) for _ in range(KEPT + 5)]
    assert numbers == list(range(1, KEPT + 6))
    assert len(list((tmp_path / "runs").iterdir())) == KEPT


def test_runs_that_start_at_once_do_not_share_a_number(tmp_path):
    code = "from pathlib import Path; from pipeline.plan.locks import number_of_run as n; "
    code += f"print(n(Path({str(tmp_path)!r})))"
    command = [sys.executable, "-c", code]
    started = {"cwd": REPOSITORY, "text": True, "stdout": subprocess.PIPE}
    runs = [subprocess.Popen(command, **started) for _ in range(4)]
    assert sorted(run.communicate()[0] for run in runs) == ["1\n", "2\n", "3\n", "4\n"]


def test_what_a_later_run_is_to_make_no_orphan_writes_though_the_later_job_never_began(
    tmp_path, monkeypatch
):
    """Its job failed before it took the token, say: Snakemake forgets then that it was begun."""
    orphan = Job(tmp_path, 1, monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(owner.RUN, "2")
    owner.reserve(["x.txt"])
    status, told = orphan.end("old")
    assert status == 1 and "a job that was started later makes it" in told
    late = Job(tmp_path, 1, monkeypatch)
    assert not late.started and "a newer run makes it" in late.end("old")[1]
    assert not (tmp_path / "x.txt").exists()
    own = Job(tmp_path, 2, monkeypatch)
    assert own.end("new")[0] == 0 and (tmp_path / "x.txt").read_text() == "new\n"


def test_a_run_reserves_what_its_jobs_are_to_make(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(owner.RUN, "3")
    commands = ["torchrun -m pipeline.training.pretrain --output 'a b/models' 2>&1 | tee x.log",
                "python -m pipeline.report.tables --markdown results/t.md", None]  # fmt: skip
    jobs = [SimpleNamespace(is_shell=bool(one), shellcmd=one) for one in commands]
    reserve_outputs(SimpleNamespace(dag=SimpleNamespace(needrun_jobs=lambda: jobs)))
    assert len(list((tmp_path / owner.TOKENS).iterdir())) == 2
    monkeypatch.setenv(owner.RUN, "2")
    for output in ("a b/models", "results/t.md"):
        with pytest.raises(owner.NotOwnerError, match="newer run"):
            owner.take(output)
