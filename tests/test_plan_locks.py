"""What a killed run leaves behind stands in nobody's way; what a living one holds, stands."""

import errno
import fcntl
import threading
from types import SimpleNamespace

import pytest
from snakemake.scheduling.job_scheduler import JobScheduler

from pipeline.plan.locks import release_stale, stop_beside

RUN = ["--cores", "2", "results/x.json"]


@pytest.fixture
def lock(tmp_path):
    """A lock of Snakemake's."""
    (tmp_path / "locks").mkdir()
    path = tmp_path / "locks" / "0.output.lock"
    path.write_text("results/x.json\n")
    return path


def test_the_lock_of_a_dead_run_is_removed(lock, tmp_path):
    with release_stale(tmp_path, RUN):
        assert not lock.exists()


def test_the_lock_of_a_living_run_stands(lock, tmp_path):
    with release_stale(tmp_path, RUN):
        lock.write_text("results/x.json\n")
        with release_stale(tmp_path, RUN), release_stale(tmp_path, RUN):  # others that try
            assert lock.exists()
        assert lock.exists()
    with release_stale(tmp_path, RUN):
        assert not lock.exists()


@pytest.mark.parametrize("look", [["-n"], ["--lint"], ["--report"], ["--summary"], ["--unlock"]])
def test_a_command_that_runs_no_job_holds_nothing(lock, tmp_path, look):
    """A dry run in another shell would keep a killed run from going on."""
    assert release_stale(tmp_path, [*look, "--", "results/x.json"]) is None
    assert lock.exists()
    with release_stale(tmp_path, RUN):
        assert not lock.exists()


def test_a_file_system_without_locks_keeps_the_one_of_snakemake(lock, tmp_path, monkeypatch):
    def flock(*given):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", flock)
    with release_stale(tmp_path, RUN):
        assert lock.exists()


def test_a_signal_while_snakemake_chooses_jobs_is_taken_afterwards(monkeypatch):
    monkeypatch.setattr(JobScheduler, "exit_gracefully", JobScheduler.exit_gracefully)
    stop_beside()
    stop_beside()  # a job of the workflow reads the Snakefile, too
    scheduler = SimpleNamespace(
        _lock=threading.Lock(), _open_jobs=threading.Semaphore(0), _user_kill=None
    )
    with scheduler._lock:  # the thread that the signal interrupts
        handler = threading.Thread(target=JobScheduler.exit_gracefully, args=(scheduler, 15, None))
        handler.daemon = True
        handler.start()
        handler.join(5)
        assert not handler.is_alive()
    assert scheduler._open_jobs.acquire(timeout=5)
    assert scheduler._user_kill == "graceful"
