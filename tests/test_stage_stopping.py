"""A stage that is told to stop does; one that lacks memory, disk or a file says so in a line."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file, save_file

from pipeline.stage import attempts
from pipeline.stage.attempts import _advice, _cgroup_free, _with_more
from pipeline.stage.damage import damaged
from pipeline.stage.errors import MemoryShortError
from pipeline.stage.faults import explained
from pipeline.stage.files import whole

REPOSITORY = Path(__file__).parents[1]
STAGE = """
import ctypes, sys, time
from pipeline.stage import attempts, stopping
from pipeline.stage.command import parser, run
from pipeline.stage.files import whole

stopping.GRACE = 0.3
_, how, *rest = sys.argv

def lock(library):
    mutex = ctypes.create_string_buffer(64)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)

def main():
    with whole("out/made.txt") as part:
        part.write_text("half")
        print("waiting", flush=True)
        if how == "wait":
            time.sleep(60)
        if how == "a library turns the exception into its own":
            try:
                time.sleep(60)
            except BaseException as error:
                raise RuntimeError("Query interrupted") from error
        if how == "the exception is lost":
            while True:
                try:
                    time.sleep(60)
                except BaseException:
                    pass
        if how == "a deadlock":
            lock(ctypes.CDLL(None))
        if how == "a deadlock in which no thread runs":
            lock(ctypes.PyDLL(None))
        if how == "memory":
            bytearray(1 << 50)

run(main)
"""


@pytest.fixture
def start(tmp_path):
    """Starts the stage in a folder of its own, by another module where one is named."""
    (tmp_path / "stage.py").write_text(textwrap.dedent(STAGE))

    def started(how, *options, through=(), **variables):
        own = os.environ | {"PYTHONPATH": str(REPOSITORY)} | variables
        own["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
        return subprocess.Popen(
            [sys.executable, *through, "stage.py", how, *options],
            cwd=tmp_path, env=own, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    return started


ATTEMPTS = ("-m", "pipeline.stage.attempts")
STOPS = [
    "wait",
    "a library turns the exception into its own",
    "the exception is lost",
    "a deadlock",
]


@pytest.mark.parametrize("how", STOPS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stage_ends_by_the_signal_without_a_traceback_whatever_it_waits_for(
    start, tmp_path, how, number
):
    running = start(how)
    assert running.stdout.readline() == "waiting\n"
    running.send_signal(number)
    _, log = running.communicate()
    assert running.returncode == 128 + number
    assert "Traceback" not in log
    assert not list((tmp_path / "out").iterdir())


def test_a_deadlock_in_which_no_thread_runs_is_ended_from_outside(start, tmp_path):
    (tmp_path / "patience.py").write_text(
        "import sys; from pipeline.stage import attempts; attempts.PATIENCE = 0.5\n"
        "sys.exit(attempts.main(sys.argv[1:]))\n"
    )
    running = start("a deadlock in which no thread runs", through=["patience.py"])
    assert running.stdout.readline() == "waiting\n"
    running.send_signal(signal.SIGTERM)
    running.communicate()
    assert running.returncode == 143


def test_a_job_ends_with_the_process_that_started_it(start, tmp_path):
    running = start("wait", through=ATTEMPTS)
    assert running.stdout.readline() == "waiting\n"
    running.kill()
    running.communicate()  # until the job has closed its output, too
    assert not list((tmp_path / "out").iterdir())


def child_of(running):
    """The job that `pipeline.stage.attempts` started."""
    return int(Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()[0])


def test_a_killed_job_says_what_it_held_and_is_not_tried_again(start):
    running = start("wait", through=ATTEMPTS, PIPELINE_TRIES="2")
    assert running.stdout.readline() == "waiting\n"
    os.kill(child_of(running), signal.SIGKILL)
    _, log = running.communicate()
    assert running.returncode == 137
    assert re.search(r"error: .*killed \(signal 9\) by a user.* it held \d+ MB", log)
    assert "once more" not in log


def test_too_little_memory_is_tried_once_more_with_twice_the_limit(start):
    running = start("memory", "--memory-mb", "100", through=ATTEMPTS, PIPELINE_TRIES="2")
    printed, log = running.communicate()
    assert running.returncode == 137
    assert printed == "waiting\n" * 2
    assert "Traceback" not in log
    tried = re.findall(r"error: memory: the (.*) GB of --memory-mb were too little", log)
    assert tried == ["0.1", "0.2"]
    assert "--set-resources RULE:mem_mb=400" in log


def test_on_a_cluster_the_profile_tries_again_and_no_job_here(start):
    running = start("memory", through=ATTEMPTS, PIPELINE_TRIES="1")
    printed, log = running.communicate()
    assert (running.returncode, printed) == (137, "waiting\n")
    assert "once more" not in log


def test_more_memory_is_taken_only_where_it_is_free():
    assert _with_more(["-m", "x", "--memory-mb", "100"], 50)[-1] == "200"
    assert _with_more(["-m", "x", "--memory-mb", str(10**9)], 50) is None
    assert _with_more(["-m", "x"], 10**9) is None
    assert "mem_mb=4000" in _advice(["--memory-mb", "1000"], 2000, short=True)


@pytest.mark.parametrize("version", [1, 2])
def test_a_control_group_and_those_above_it_bound_what_is_free(tmp_path, version):
    top = tmp_path / "memory" if version == 1 else tmp_path
    limit, used = ("limit_in_bytes", "usage_in_bytes") if version == 1 else ("max", "current")
    cached = "total_inactive_file" if version == 1 else "inactive_file"
    groups = {"": (900, 100, 50), "a": ("max", 500, 0), "a/full": (200, 300, 40)}
    for name, numbers in groups.items():
        (top / name).mkdir(parents=True, exist_ok=True)
        for file, number in zip((limit, used), numbers, strict=False):
            (top / name / f"memory.{file}").write_text(f"{number}\n")
        (top / name / "memory.stat").write_text(f"anon 7\n{cached} {numbers[2]}\n")
    line = {1: "3:cpu:/x\n4:memory:{}\n", 2: "0::{}\n"}[version]
    assert _cgroup_free(line.format("/a/full"), tmp_path) == [0, 850]  # none, not unbounded
    assert _cgroup_free(line.format("/of the host"), tmp_path) == [850]


def test_a_full_control_group_gives_no_second_try(monkeypatch):
    monkeypatch.setattr(attempts, "_cgroup_free", lambda *_: [0])
    assert attempts._free_mb() == 0
    assert _with_more(["-m", "x"], 50) is None


GROUPS = Path("/sys/fs/cgroup/memory")  # version 1 of control groups


@pytest.mark.skipif(not os.access(GROUPS, os.W_OK), reason="no control group may be made here")
def test_a_job_that_the_kernel_kills_says_what_it_held_and_what_to_set(tmp_path):
    group = GROUPS / f"test{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(80 << 20))
        (tmp_path / "eat.py").write_text("held = [bytearray(10 << 20) for _ in range(30)]\n")
        command = f"echo $BASHPID > {group}/cgroup.procs; python -m pipeline.stage.attempts eat.py"
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = os.environ | {"PYTHONPATH": str(REPOSITORY), "PATH": path, "PIPELINE_TRIES": "2"}
        ended = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=own, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
    finally:
        time.sleep(0.1)
        group.rmdir()
    assert ended.returncode == 137
    assert re.search(
        r"killed by the kernel, whose memory was used up; it held \d+ MB", ended.stderr
    )
    assert "--set-resources RULE:mem_mb=" in ended.stderr


def test_a_full_disk_names_the_file_what_was_written_and_what_is_free(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=100k", "none", str(folder)]
    if not shutil.which("mount") or subprocess.run(mounted, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    rows = pl.DataFrame({"x": np.random.default_rng(0).random(100_000)})
    try:
        with pytest.raises(Exception) as caught, whole(folder / "x.parquet") as part:
            rows.write_parquet(part)
        line = str(explained(caught.value, ["--temp", "/tmp"]))
        assert not list(folder.iterdir())
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    assert line.startswith(f"{folder}/x.parquet: no space left: 0.1 MB of it were written")
    assert f"are free in {folder}" in line


@pytest.mark.parametrize(
    "error",
    [
        "IO Error: Could not write file: No space left on device",  # DuckDB
        "failed to offload data block of size 256.0 KiB: max_temp_directory_size",
        "parquet: underlying IO error: No space left on device (os error 28)",  # Polars
    ],
)
def test_each_library_says_a_full_disk_in_its_own_words(error):
    assert "no space left" in str(explained(RuntimeError(error), []))


OF_THREADS = [  # as they were seen under ulimit -v and -u
    "can't start new thread",  # Python
    "could not spawn threads: ThreadPoolBuildError { kind: IOError(Os { code: 11, kind: "
    'WouldBlock, message: "Resource temporarily unavailable" }) }',  # Polars
    "OS can't spawn worker thread: Resource temporarily unavailable (os error 11)",
    "libgomp: Thread creation failed: Resource temporarily unavailable",
    "OpenBLAS blas_thread_init: pthread_create failed for thread 1 of 2: Resource temporarily"
    " unavailable",
]


@pytest.mark.parametrize("message", OF_THREADS)
def test_a_thread_that_finds_no_room_is_too_little_memory(message):
    assert isinstance(explained(RuntimeError(message), []), MemoryShortError)


def test_what_is_unavailable_for_a_while_is_not_taken_for_memory():
    assert explained(BlockingIOError(11, "Resource temporarily unavailable"), []) is None
    error = explained(BlockingIOError(11, "Resource temporarily unavailable", "a.parquet"), [])
    assert str(error) == "a.parquet: Resource temporarily unavailable"


def test_a_damaged_file_is_named_with_its_remedy(tmp_path):
    names = ["whole.parquet", "cut.parquet", "cut.safetensors", "cut.json"]
    paths = {name: tmp_path / "results" / name for name in names}
    paths["cut.json"].parent.mkdir()
    for name in names[:2]:
        pl.DataFrame({"x": range(1000)}).write_parquet(paths[name])
    save_file({"x": np.zeros(1000)}, paths["cut.safetensors"])
    paths["cut.json"].write_text('{"x": 1}')
    for name in names[1:]:
        data = paths[name].read_bytes()
        paths[name].write_bytes(data[: len(data) // 2])
    data = json.dumps({"note": str(paths["cut.safetensors"])})
    arguments = ["--table", str(paths["whole.parquet"]), f"shock_4h={paths['cut.parquet']}"]
    arguments += ["--data", data, str(paths["cut.json"])]
    lines = damaged(duckdb.IOException(), arguments)
    assert [line.split(":")[0] for line in lines] == sorted(str(paths[name]) for name in names[1:])
    assert all("the same command makes it again" in line for line in lines)


ABSENT = {
    "duckdb": lambda path: duckdb.sql(f"FROM '{path}'"),
    "polars, at once": pl.read_parquet,
    "polars, as a stream": lambda path: pl.scan_parquet(path).collect(),
    "safetensors": load_file,
    "python": lambda path: Path(path).read_bytes(),
}


@pytest.mark.parametrize("reader", ABSENT)
def test_a_file_that_is_not_there_is_named(tmp_path, reader):
    path = str(tmp_path / "absent.parquet")
    with pytest.raises(Exception) as caught:  # whatever a library raises
        ABSENT[reader](path)
    assert (
        str(explained(caught.value, ["--table", path])).lower().startswith(f"{path}: no such file")
    )


def test_a_defect_is_no_damaged_file(tmp_path):
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "x.parquet")
    error = pl.exceptions.ColumnNotFoundError("y")
    arguments = ["--table", str(tmp_path / "x.parquet")]
    assert explained(error, arguments) is None and damaged(error, arguments) == []


def test_libraries_that_do_not_fit_into_memory_are_told_in_one_line():
    job = f"ulimit -v 1500000; {sys.executable} -m pipeline.fusion.early --help"
    ended = subprocess.run(["bash", "-c", job], cwd=REPOSITORY, capture_output=True, text=True)
    told = "error: memory: too little to import its libraries\n"
    assert (ended.returncode, ended.stderr) == (137, told)
