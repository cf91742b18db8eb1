"""Interpreters that have imported the large libraries, from which tests fork: seconds of each job.

In tests a training takes most of its time to import torch. In checkouts with `Checkout.warm` a
`python -m` of a module that needs torch, and a dry run of snakemake, is a fork of a process that
has imported what others wrote; what is tested is imported in the fork. It has the arguments,
folder, environment, umask, input and output of the `python` that was asked for, it ends when that
is killed, and its exit status is passed on. Where threads or hash seed are not those of the process
(they are read once, as it starts) a new interpreter is started.

    python tests/warm.py SOCKET MODULE …  (ends with its standard input)
"""

import atexit
import gc
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

FIXED = {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}  # of every job that is not given more
# not polars and not duckdb: they start threads, which a fork has not
OF_JOBS = ("pydantic.main", "sklearn.linear_model", "torch", "torch._dynamo", "torchvision")
OF_PLANS = ("pydantic.main", "requests", "snakemake.cli", "snakemake.report.html_reporter")
CLIENT = Path(__file__).with_name("asking.py")
SHIM = """#!/bin/sh
case "$OMP_NUM_THREADS $PYTHONHASHSEED $1 $2" in
"{OMP_NUM_THREADS} {PYTHONHASHSEED} -m pipeline."*)
    case "${{2#pipeline.}}" in {with_torch})
        exec "{python}" -IS "{client}" "{socket}" "$@" ;;
    esac ;;
esac
exec "{python}" "$@"
"""
WITH_TORCH = "training.*|fusion.*|unimed.*|cxr.embed|note.embed|note.pieces|note.train_bert"


@cache
def started(modules, **fixed):
    """The socket of a process with these modules, to be forked from; it ends with this one."""
    path = Path(tempfile.mkdtemp(prefix="warm")) / "socket"
    command = [sys.executable, __file__, str(path), *modules]
    environment = {name: value for name, value in os.environ.items() if name not in FIXED}
    server = subprocess.Popen(
        command, env=environment | fixed, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdout.readline(), "the process that is forked from did not start"
    atexit.register(end, server, path.parent)
    return path


def end(server, folder):
    """Ends a process that is forked from, whose time is then counted with that of this process."""
    server.communicate()
    shutil.rmtree(folder)


@cache
def folder_of_python():
    """A folder with a `python` whose jobs are forks."""
    path = started(OF_JOBS, **FIXED)
    shim = path.parent / "bin" / "python"
    shim.parent.mkdir()
    paths = {"python": sys.executable, "client": CLIENT, "socket": path}
    shim.write_text(SHIM.format(with_torch=WITH_TORCH, **paths, **FIXED))
    shim.chmod(0o755)
    return shim.parent


def snakemake(*arguments):
    """The command of a snakemake that is a fork."""
    return [sys.executable, "-IS", CLIENT, started(OF_PLANS), "-m", "snakemake", *arguments]


def serve(path, *modules):
    """Forks for whoever asks, until its standard input ends."""
    for name in modules:
        import_module(name)
    gc.collect()
    gc.freeze()  # else collections write to, and so copy, what forks share
    signal.signal(signal.SIGCHLD, reap)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(64)
        print("ready", flush=True)
        while server in select.select([server, sys.stdin], [], [])[0]:
            connection, _ = server.accept()
            if not os.fork():
                server.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                attend(connection)
            connection.close()
    os._exit(0)


def reap(*_):
    """Waits for forks that have ended."""
    with suppress(ChildProcessError):  # none is left
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def attend(connection):
    """Forks once more for the module, waits for it, and passes its exit status on."""
    size, files, _, _ = socket.recv_fds(connection, 8, 3)
    asked = json.loads(connection.makefile("rb").read(int(size)))
    job = get_context("fork").Process(target=become, args=(asked, files))
    job.start()
    for file in (0, 1, 2, *files):
        os.close(file)
    if connection in select.select([job.sentinel, connection], [], [])[0]:
        job.kill()  # who asked was killed
    job.join()
    status = job.exitcode if job.exitcode >= 0 else 128 - job.exitcode
    with suppress(OSError):
        connection.sendall(b"%d" % status)
    os._exit(0)


def become(asked, files):
    """Runs a module as `python -m` does."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 — multiprocessing took the server's away
    os.chdir(asked["folder"])
    os.umask(asked["umask"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    tempfile.tempdir = None
    _, module, *sys.argv[1:] = asked["arguments"]
    sys.path[0] = asked["folder"]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
