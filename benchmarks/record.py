"""How every benchmark measures and what it leaves: processes in turn, one JSON per question.

A benchmark is a script `benchmarks/<question>.py --size small|full --folder DIR --output JSON`.
Figures are of whole processes, as the operating system counts them; what is compared runs in turn
(A B A B …), so that a machine that grows slower does so for both; ratios are taken pair by pair.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import distributions
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
Command = Sequence[str | Path]
PACKAGES = ("snakemake", "duckdb", "polars", "pyarrow", "torch", "torchvision", "gensim", "pillow")


@dataclass
class Runs:
    """What the runs of one command took: wall and CPU seconds, the largest process in MB.

    `written_mb`: given to a file system on disk, temporary files too: at most so much lay there.
    """

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak_mb: list[int] = field(default_factory=list)
    written_mb: list[int] = field(default_factory=list)

    def over(self, other: "Runs", what: str = "seconds") -> list[float]:
        """The ratio to another command, pair by pair."""
        own, others = getattr(self, what), getattr(other, what)
        return [a / b for a, b in zip(own, others, strict=True)]

    def minus(self, other: "Runs", what: str = "seconds") -> list[float]:
        """What it takes more than another command, pair by pair."""
        own, others = getattr(self, what), getattr(other, what)
        return [a - b for a, b in zip(own, others, strict=True)]


def python(module: str, *arguments: str | Path) -> list[str]:
    """The command of a stage of the pipeline."""
    return [sys.executable, "-m", module, *map(str, arguments)]


# Linux counts the memory of who starts a process as the process's own, at the least: so a small one
# starts and watches it
WATCH = """
import json, os, sys, time
began = time.perf_counter()
running = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(running, 0)
found = {"status": os.waitstatus_to_exitcode(status), "seconds": time.perf_counter() - began,
         "cpu": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss * 1024 // 10**6,
         "written_mb": usage.ru_oublock * 512 // 10**6}
os.write(int(sys.argv[1]), json.dumps(found).encode())
"""


def once(command: Command, runs: Runs, env: Mapping[str, str] | None = None) -> None:
    """Runs a command once and adds what it took; what it printed is shown where it fails."""
    words, (read_end, write_end) = list(map(str, command)), os.pipe()
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", WATCH, str(write_end), *words], cwd=REPOSITORY,
        env=os.environ | (env or {}), pass_fds=[write_end], stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(write_end)
    with os.fdopen(read_end) as answer:
        found = json.loads(answer.read() or '{"status": 1}')
    if found["status"]:
        sys.exit(f"{' '.join(words)}\n{done.stderr.decode()}")
    runs.seconds.append(round(found["seconds"], 3))
    runs.cpu.append(round(found["cpu"], 3))
    runs.peak_mb.append(found["peak_mb"])
    runs.written_mb.append(found["written_mb"])


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


def machine() -> str:
    """The machine, the versions of what is measured, the day."""
    model = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        named = re.search(r"model name\s*:\s*(.+)", info.read_text())
        model = named[1] if named else model
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    installed = {each.name.lower(): each.version for each in distributions()}
    versions = ", ".join(f"{name} {installed[name]}" for name in PACKAGES if name in installed)
    return (
        f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB; {platform.system()} "
        f"{platform.release()}; Python {platform.python_version()}, {versions}; "
        f"{time.strftime('%Y-%m-%d')}"
    )


@dataclass
class Record:
    """The answer to one question.

    `rows`: what was measured, with every run's value. `asked`: what was asked for, what was found.
    `limit`: what limits it now. `machine`: where, with what, when.
    """

    title: str
    rows: list[dict[str, object]] = field(default_factory=list)
    asked: list[dict[str, object]] = field(default_factory=list)
    limit: str = ""
    machine: str = ""

    def add(self, what: str, values: Sequence[float], unit: str = "s",
            peak_mb: Sequence[int] = (), note: str = "") -> None:  # fmt: skip
        """A row of the table; `peak_mb`: of each run, the largest is shown."""
        self.rows.append({"what": what, "unit": unit, "values": list(values),
                          "peak_mb": max(peak_mb, default=None), "note": note})  # fmt: skip

    def stage(self, name: str, runs: Runs) -> None:
        """A row of a stage of the pipeline, with what it wrote."""
        written = f"writes {max(runs.written_mb):,} MB"
        self.add(name, runs.seconds, "s", runs.peak_mb, written)

    def ask(self, asked: str, found: str, met: bool) -> None:
        """What was asked for, and whether it is so."""
        self.asked.append({"asked": asked, "found": found, "met": bool(met)})

    def write(self, output: Path) -> None:
        """Leaves the record as JSON, and prints it."""
        self.machine = machine()
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
