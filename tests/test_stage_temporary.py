"""Temporary files of jobs lie in one private folder, and none outlives the next run's start."""

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from snakemake.logging import logger

from pipeline.plan import leftovers
from pipeline.stage import temporary

STAGE = """
import sys, tempfile
from pathlib import Path
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect
from pipeline.stage.errors import InputError

def main():
    arguments = parser("A stage that has reports in plain text on the disk.")
    add_resource_arguments(arguments)
    given = arguments.parse_args()
    with (
        tempfile.NamedTemporaryFile("w", suffix=".txt") as corpus,
        connect(1, 500, given.temp) as database,
    ):
        corpus.write("Ms. ___ fell")
        corpus.flush()
        (spill,) = database.execute("SELECT current_setting('temp_directory')").fetchone()
        print(corpus.name, spill, flush=True)
        if input() == "bad":
            raise InputError("bad")

if __name__ == "__main__":
    run(main)
"""


@pytest.fixture
def start(tmp_path):
    """Starts the stage as a run's job, or by hand; gives it and the paths that it writes to."""
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "results").mkdir()
    kept = {name: value for name, value in os.environ.items() if name != "TMPDIR"}
    kept["PYTHONPATH"] = str(Path(__file__).parents[1])

    def started(**variables):
        stage = subprocess.Popen(
            [sys.executable, tmp_path / "stage.py"], env=kept | variables, cwd=tmp_path,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        return stage, [Path(path) for path in stage.stdout.readline().split()]

    return started


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The private folder below results/, as a run has it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("TMPDIR", os.environ.get("TMPDIR", "/tmp"))
    monkeypatch.setattr("sys.argv", ["snakemake", "--cores", "1", "results/x.json"])
    return tmp_path / temporary.FOLDER


def jobs_in(folder):
    return list(folder.iterdir())


def test_a_folder_of_the_node_is_swept_too_and_halves_of_files_where_no_job_lives(
    start, folder, tmp_path
):
    (tmp_path / "scratch").mkdir()
    killed, of_killed = start(TMPDIR=str(tmp_path / "scratch"))
    living, _ = start()
    assert all(path.is_relative_to(tmp_path / "scratch") for path in of_killed)
    half = tmp_path / "results/corrected/.tokens.parquet.1f.part"
    half.parent.mkdir()
    half.write_text("rows")
    killed.kill()
    killed.communicate()
    leftovers.clear(main=True)
    assert not list((tmp_path / "scratch").iterdir())
    assert half.exists()  # it may be the living job's
    living.communicate("end")
    leftovers.clear(main=True)
    assert not half.exists()


@pytest.mark.parametrize("by_hand", [True, False])
def test_all_temporary_files_lie_in_one_private_folder_of_the_job(start, folder, by_hand):
    folder.mkdir()
    stage, paths = start(**({} if by_hand else {"TMPDIR": str(folder)}))
    (job,) = jobs_in(folder)
    assert len(paths) == 2
    assert all(path.is_relative_to(job) and path.exists() for path in paths)
    assert stat.S_IMODE(job.stat().st_mode) == 0o700
    stage.communicate("end")
    assert not jobs_in(folder)


@pytest.mark.parametrize("how", ["bad", signal.SIGTERM, signal.SIGINT])
def test_a_stage_that_stops_removes_its_folder(start, folder, how):
    stage, _ = start()
    if how == "bad":
        stage.communicate("bad")
    else:
        stage.send_signal(how)
        stage.communicate()
    assert stage.returncode
    assert not jobs_in(folder)


def test_the_next_run_removes_what_a_killed_job_left_and_nothing_of_a_living_one(start, folder):
    killed, of_killed = start()
    living, of_living = start()
    killed.kill()
    killed.communicate()
    assert all(path.exists() for path in of_killed)  # as SIGKILL leaves it
    leftovers.clear(main=False)  # a job on another node
    assert all(path.exists() for path in of_killed)
    leftovers.clear(main=True)
    assert not any(path.exists() for path in of_killed)
    assert all(path.exists() for path in of_living)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    living.communicate("end")
    assert living.returncode == 0
    assert not jobs_in(folder)


def test_a_disk_without_locks_keeps_the_folders_and_the_screen_says_so(start, folder, monkeypatch):
    stage, paths = start()
    stage.kill()
    stage.communicate()

    def flock(*arguments):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", flock)
    lines = []
    monkeypatch.setattr(logger, "warning", lines.append)
    leftovers.clear(main=True)
    assert all(path.exists() for path in paths)
    assert "temporary files of 1 jobs" in lines[0]


def test_a_job_of_another_node_is_not_taken_for_dead(start, folder, monkeypatch):
    """Where locks are local to a node, that of a living job of another one can be had."""
    stage, paths = start()
    (job,) = jobs_in(folder)
    here = job / temporary.ALIVE
    node, _, files = here.read_text().partition("\n")
    assert node == os.uname().nodename and Path(files) == job
    half = folder.parent / ".tokens.parquet.1f.part"
    half.write_text("rows")
    stage.kill()
    stage.communicate()
    here.write_text(f"another\n{files}")
    lines = []
    monkeypatch.setattr(logger, "warning", lines.append)
    leftovers.clear(main=True)
    assert all(path.exists() for path in [*paths, half])
    assert "temporary files of 1 jobs" in lines[0] and "on other nodes" in lines[0]
    here.write_text(f"{node}\n{files}")
    leftovers.clear(main=True)
    assert not job.exists() and not half.exists() and len(lines) == 1


@pytest.mark.parametrize("look", ["--summary", "--dag", "--dry-run", "--lint", "--report"])
def test_a_command_that_only_looks_sweeps_nothing(start, folder, monkeypatch, look):
    stage, paths = start()
    stage.kill()
    stage.communicate()
    monkeypatch.setattr("sys.argv", ["snakemake", look, "--", "results/x.json"])
    leftovers.clear(main=True)
    assert all(path.exists() for path in paths)


def test_a_removal_that_was_cut_short_is_completed(start, folder):
    stage, paths = start()
    stage.kill()
    stage.communicate()
    next(folder.glob(f"*/{temporary.ALIVE}")).unlink()
    leftovers.clear(main=True)
    assert not any(path.exists() for path in paths)


def test_no_job_and_no_start_waits_for_a_lock(folder, monkeypatch):
    """One process that is stopped while it holds a lock would hold all of them up."""
    folder.mkdir(parents=True)
    flock, asked = fcntl.flock, []

    def recording(file, how):
        asked.append(how)
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", recording)
    monkeypatch.setenv("TMPDIR", str(folder))
    with temporary.of_job() as job:
        leftovers.clear(main=True)
        assert job.is_dir()
    assert len(asked) == 2 and all(how & fcntl.LOCK_NB for how in asked)


def test_a_folder_that_is_private_already_is_not_changed(folder, monkeypatch):
    """On a disk that is read-only, or of another user, no mode can be set."""

    def refuse(path, mode):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    folder.mkdir(parents=True, mode=0o700)
    monkeypatch.setattr(Path, "chmod", refuse)
    leftovers.clear(main=False)
    monkeypatch.undo()
    monkeypatch.chdir(folder.parents[1])
    folder.chmod(0o755)
    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(SystemExit) as ended:
        leftovers.clear(main=False)
    line = str(ended.value)
    assert line.startswith(f"{folder}: no folder for temporary files") and "\n" not in line
    assert "Read-only file system" in line


def test_a_private_folder_of_another_user_is_one_line(folder, monkeypatch):
    folder.mkdir(parents=True, mode=0o700)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SystemExit, match="it belongs to another user"):
        leftovers.clear(main=False)
