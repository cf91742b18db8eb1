"""Runs a stage in which something happens in the middle of what it writes.

    python tests/killing.py pipeline.ehr.tokens --events … (see `Checkout.snakemake(killed=…)`)

Its first file has been written and does not have its name yet. The stage is killed, and the
Snakemake that started it; or, with FAULT=deadlock, it waits for ever, as an engine does that has
locked itself up: no signal interrupts that, and no other thread of Python runs.
"""

import ctypes
import os
import runpy
import signal
import sys
from contextlib import contextmanager

sys.path.insert(0, os.getcwd())  # noqa: PTH109 — as `python -m` does

from pipeline.stage import files

written = files.whole


def deadlock():
    print("within a write", file=sys.stderr, flush=True)
    mutex, library = ctypes.create_string_buffer(64), ctypes.PyDLL(None)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)


@contextmanager
def killed(path):
    with written(path) as part:
        yield part
        if os.environ.get("FAULT") == "deadlock":
            deadlock()
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    files.whole = killed
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
