"""What a killed run leaves behind stands in nobody's way; what a living one holds, stands."""

import errno
import fcntl

import pytest

from pipeline.plan.locks import release_stale

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
