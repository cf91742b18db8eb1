"""A stage that is told to stop does, whatever it is waiting for.

SIGTERM (a cancelled job) and SIGINT (Ctrl-C) raise an exception, so that files that are not whole
are removed. It is raised between two steps of Python: a query that does not come back, such as
DuckDB's deadlock where a partitioned write is interrupted, would wait for ever. So a thread, which
the signal reaches at once, ends the process `GRACE` seconds later; where no thread can run, either,
the kernel's timer does.
"""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType

from pipeline.stage.errors import BY_SIGNAL
from pipeline.stage.files import remove_parts

GRACE = 5.0  # seconds; Slurm kills 30 s after SIGTERM
STOPS = (signal.SIGTERM, signal.SIGINT)

_received: list[int] = []  # the signals that told this process to stop


def stopped() -> int | None:
    """The exit status of a process that was told to stop (143, 130); None where it was not."""
    return BY_SIGNAL + _received[0] if _received else None


def obey() -> None:
    """From now on SIGTERM and SIGINT end this process, within `GRACE` seconds or a little more."""
    for number in STOPS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # of nohup, or of a shell's `&`
            signal.signal(number, _stop)
    receiver, sender = os.pipe()
    os.set_blocking(sender, False)
    signal.set_wakeup_fd(sender, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(receiver,), daemon=True).start()


def _stop(number: int, _: FrameType | None) -> None:
    """Raises once: a second signal must not interrupt the removal of files."""
    _arm_timer()
    if not _received:
        _received.append(number)
        sys.exit(BY_SIGNAL + number)


def _watch(receiver: int) -> None:
    """Waits for the first signal to stop, then for its consequence, then ends the process."""
    number = 0
    while signal.getsignal(number or signal.SIGALRM) is not _stop:
        number = os.read(receiver, 1)[0]
    _arm_timer()
    time.sleep(GRACE)
    remove_parts()
    with suppress(OSError):
        os.write(2, f"stopped: no end within {GRACE:.0f} s of the signal\n".encode())
    os._exit(BY_SIGNAL + number)


def _arm_timer() -> None:
    """The kernel ends the process, by SIGALRM, some seconds after `_watch` should have."""
    signal.setitimer(signal.ITIMER_REAL, GRACE + 3)
