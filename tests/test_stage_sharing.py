"""`group:` lets a Unix group read results; without it nobody but the owner can."""

import grp
import os
import stat
import subprocess
import sys

import pytest

from pipeline.stage import sharing
from pipeline.stage.errors import InputError
from pipeline.stage.modules import ROOT

STAGE = """
from pathlib import Path
from pipeline.stage.command import run
from pipeline.stage.files import write_json

run(lambda: write_json("results/made/table.json", {}))
"""


@pytest.fixture
def group():
    """A group of this user's, another than that of new files, if there is one."""
    own = {one.gr_gid for one in grp.getgrall()} if os.geteuid() == 0 else {*os.getgroups()}
    names = sorted(grp.getgrgid(number).gr_name for number in own - {os.getegid()})
    return names[0] if names else grp.getgrgid(os.getegid()).gr_name


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Starts a run of a group in a folder with an earlier one's folders; umask is put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(sharing.GROUP, "earlier")
    for name in ("results/.temp", "results/made", "results/.temp/job-1"):
        (tmp_path / name).mkdir(parents=True, mode=0o700)
    before = os.umask(0o077)
    (tmp_path / "results").chmod(0o700)

    def begin(name):
        results = tmp_path / "results"
        sharing.begin(name, [results, tmp_path / "logs"], private=results / ".temp")
        subprocess.run(
            [sys.executable, "-c", STAGE], check=True, capture_output=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        return results

    yield begin
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_group_may_read_what_is_written_and_not_what_is_temporary(started, group):
    results = started(group)
    table = results / "made/table.json"
    assert mode(table) == 0o640
    for path in (results, results / "made", results.parent / "logs", table):
        assert grp.getgrgid(path.stat().st_gid).gr_name == group, path
    assert mode(results) == mode(results / "made") == stat.S_ISGID | 0o750
    assert mode(results / ".temp") & 0o077 == mode(results / ".temp/job-1") & 0o077 == 0


def test_without_a_group_everything_is_the_owner_s_alone(started):
    results = started(None)
    assert mode(results / "made/table.json") == 0o600
    assert mode(results) == 0o700
    assert sharing.GROUP not in os.environ  # of the shell that started it: not the config's


def test_a_group_that_is_not_there_is_named(started):
    with pytest.raises(InputError, match=r"config\.group: this machine has no Unix group nobodies"):
        started("nobodies")


def test_a_folder_of_others_cannot_be_given(started, group, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(InputError, match=f"cannot be given to {group}: you must own it"):
        started(group)


def test_the_workflow_refuses_an_unknown_group_before_anything_starts(fresh):
    outcome = fresh.snakemake("--dry-run", "--config", "group=nobodies")
    assert outcome.status
    assert "this machine has no Unix group nobodies" in outcome.text
