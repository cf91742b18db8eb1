"""How far a long job is: now and then a line, with the share done and the time left.

In the job's log and, where that is a file, on the screen of the run too. Lines, no bar: a log stays
readable, and jobs side by side do not overwrite each other.
"""

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from pipeline.stage.privacy import Formatter

FIRST, EVERY = 10.0, 30.0  # seconds until the first line, and from one to the next
FORMAT, CLOCK = "%(asctime)s %(kind)s%(message)s", "%H:%M:%S"  # of every line of a log
Item = TypeVar("Item")

log = logging.getLogger("pipeline.progress")


def reach_screen() -> None:
    """Sends progress and warnings to standard output, too, unless the log goes there anyway."""
    if os.path.sameopenfile(1, 2):
        return
    for name, least, form in (
        ("pipeline.progress", logging.INFO, FORMAT),
        ("pipeline", logging.WARNING, "%(kind)s%(message)s"),
    ):
        screen = logging.StreamHandler(sys.stdout)
        screen.setLevel(least)
        screen.setFormatter(Formatter(form, CLOCK))
        logging.getLogger(name).addHandler(screen)


class JobProgress:
    """Counts what is done of `total`; says nothing in a job of less than 10 s.

    Percent only: counts may be of a few patients.
    """

    def __init__(self, name: str, total: float) -> None:
        self.name, self.total, self.done = name, total, 0.0
        self.began = time.monotonic()
        self.next = self.began + FIRST

    def add(self, done: float = 1) -> None:
        """So much more is done."""
        self.reach(self.done + done)

    def reach(self, done: float) -> None:
        """So much is done in all."""
        self.done = done
        now = time.monotonic()
        if now < self.next or not 0 < self.done < self.total:
            return
        self.next = now + EVERY
        left = (now - self.began) * (self.total - self.done) / self.done
        log.info("%s: %.0f %%, %s left", self.name, 100 * self.done / self.total, duration(left))

    def each(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items; each counts as one when the next is asked for."""
        for item in items:
            yield item
            self.add()


def duration(seconds: float) -> str:
    """A time span in words.

    >>> duration(44.6), duration(100), duration(7500)
    ('45 s', '2 min', '2 h 05 min')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
