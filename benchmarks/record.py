"""How every benchmark measures and what it leaves: processes in turn, one JSON per question.

A benchmark is a script `benchmarks/<question>.py --size small|full --folder DIR --output JSON`.
Figures are of whole processes, as the operating system counts them; what is compared runs in turn
(A B A B …), so that a machine that grows slower does so for both; ratios are taken pair by pair.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
Command = Sequence[str | Path]


@dataclass
class Runs:
    """What the runs of one command took: wall and CPU seconds, the largest process in MB."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak_mb: list[int] = field(default_factory=list)

    def over(self, other: "Runs", what: str = "seconds") -> list[float]:
        """The ratio to another command, pair by pair."""
        own, others = getattr(self, what), getattr(other, what)
        return [a / b for a, b in zip(own, others, strict=True)]


def python(module: str, *arguments: str | Path) -> list[str]:
    """The command of a stage of the pipeline."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def once(command: Command, runs: Runs, env: Mapping[str, str] | None = None) -> None:
    """Runs a command once and adds what it took; what it printed is shown where it fails."""
    started = time.perf_counter()
    with subprocess.Popen(
        list(map(str, command)), cwd=REPOSITORY, env=os.environ | (env or {}),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as running:  # fmt: skip
        assert running.stderr
        said = running.stderr.read()
        _, status, usage = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{said.decode()}")
    runs.seconds.append(round(time.perf_counter() - started, 3))
    runs.cpu.append(round(usage.ru_utime + usage.ru_stime, 3))
    runs.peak_mb.append(usage.ru_maxrss // 1024)


def in_turn(commands: Mapping[str, Command], count: int) -> dict[str, Runs]:
    """Runs the commands in turn, `count` times each."""
    found = {name: Runs() for name in commands}
    for _ in range(count):
        for name, command in commands.items():
            once(command, found[name])
    return found


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median with minimum and maximum.

    >>> spread([1.0, 3.0, 2.0])
    '2.00 (1.00–3.00)'
    >>> spread([1.5])
    '1.50'
    """
    middle = f"{statistics.median(values):.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):.{digits}f}–{max(values):.{digits}f})"


@dataclass
class Record:
    """The answer to one question.

    `rows`: what was measured, with every run's value. `asked`: what was asked for, what was found.
    `limit`: what limits it now.
    """

    title: str
    rows: list[dict[str, object]] = field(default_factory=list)
    asked: list[dict[str, object]] = field(default_factory=list)
    limit: str = ""

    def add(self, what: str, values: Sequence[float], unit: str = "s",
            peak_mb: Sequence[int] = (), note: str = "") -> None:  # fmt: skip
        """A row of the table; `peak_mb`: of each run, the largest is shown."""
        self.rows.append({"what": what, "unit": unit, "values": list(values),
                          "peak_mb": max(peak_mb, default=None), "note": note})  # fmt: skip

    def ask(self, asked: str, found: str, met: bool) -> None:
        """What was asked for, and whether it is so."""
        self.asked.append({"asked": asked, "found": found, "met": bool(met)})

    def write(self, output: Path) -> None:
        """Leaves the record as JSON, and prints it."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text + "\n")
        print(text)


def parser(description: str | None) -> argparse.ArgumentParser:
    """What every benchmark is given."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--size", choices=["small", "full"], default="small")
    parser.add_argument("--folder", type=Path, required=True, help="for what it makes")
    parser.add_argument("--output", type=Path, required=True, help="the record, JSON")
    return parser


def arguments(description: str | None) -> argparse.Namespace:
    """The arguments of a benchmark."""
    return parser(description).parse_args()
