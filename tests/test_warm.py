"""A fork of a warm interpreter is what a new one would be; see tests/warm.py."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import warm

MODULE = """
import json, os, sys, time
if "wait" in sys.argv:
    print(os.getpid(), flush=True)
    time.sleep(600)
mask = os.umask(0)
own = [os.environ.get(name) for name in ("OWN", "HOME", "OMP_NUM_THREADS", "PYTHONHASHSEED")]
print(json.dumps([sys.argv[1:], os.getcwd(), sys.path[0], own, mask, __name__, hash("a")]))
print("sklearn" in sys.modules)
print(sys.stdin.read(), file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def module(tmp_path):
    """A folder with a module that says how it was started."""
    (tmp_path / "pipeline" / "fusion").mkdir(parents=True)
    (tmp_path / "pipeline" / "fusion" / "told.py").write_text(MODULE)
    return tmp_path


def started(folder, python, *arguments, **more):
    path = f"{python}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        ["python", "-m", "pipeline.fusion.told", *arguments], cwd=folder, text=True, umask=0o27,
        env=os.environ | {"PATH": path, "OWN": "1"} | warm.FIXED | more,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def printed(*arguments, **more):
    """Output, warnings and exit status; whether libraries were there before it imported any."""
    job = started(*arguments, **more)
    out, said = job.communicate("asked")
    told, forked = out.splitlines()
    return told, said, job.returncode, forked == "True"


def test_a_fork_has_what_a_new_interpreter_has(module):
    fork = printed(module, warm.folder_of_python(), "7", "é")
    new = printed(module, Path(sys.executable).parent, "7", "é")
    assert (fork[3], new[3]) == (True, False)
    assert fork[:3] == new[:3]
    assert fork[1:3] == ("asked\n", 7)


@pytest.mark.parametrize("name", warm.FIXED)
def test_other_threads_or_another_hash_seed_have_an_interpreter_of_their_own(module, name):
    assert not printed(module, warm.folder_of_python(), "0", **{name: "2"})[3]


def test_a_fork_ends_with_who_asked_for_it(module):
    job = started(module, warm.folder_of_python(), "wait")
    fork = int(job.stdout.readline())
    job.kill()
    job.communicate()
    for _ in range(600):
        try:
            os.kill(fork, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("the fork goes on")
