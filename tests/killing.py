"""Runs a stage and kills it, and the Snakemake that started it, in the middle of what it writes.

    python tests/killing.py pipeline.ehr.tokens --events … (see `Checkout.snakemake(killed=…)`)

Its first file has been written and does not have its name yet.
"""

import os
import runpy
import signal
import sys
from contextlib import contextmanager

sys.path.insert(0, os.getcwd())  # noqa: PTH109 — as `python -m` does

from pipeline.stage import files

written = files.whole


@contextmanager
def killed(path):
    with written(path) as part:
        yield part
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    files.whole = killed
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
