"""Kills runs of the main job at random moments and goes on with the same command, N times.

    python benchmarks/kills.py --folder /tmp/kills --kills 100 --record kills.json

What is killed takes turns: the whole process group, as a machine that goes down; Snakemake's main
process alone, whose jobs live on while the next run starts; one job alone. The moments follow a
seed. Runs whose main process is killed train at another rate: what their orphans make is wrong for
the next. A run that comes to its end is compared, byte by byte, with one that nothing disturbed,
and the next begins from nothing. The same command goes on where it ended (make faults tells the
outcome in docs/faults.md).
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import yaml
from record import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests"))

from checkout import MAIN, Checkout, environment

CHANGES = {"hospital.patients": 300}
RATE = "schedule.learning_rate"
MAIN_PROCESS = "the main process"
TURNS = ("the group", MAIN_PROCESS, "a job")
MADE = ("*.json", "*.parquet", "*.safetensors", "*.npy", "*.md", "*.svg")
# times and hosts; indices of films, with the times of the files, which each round makes anew
DIFFERING = re.compile(r"results/usage/|\.run\.json$|/store/.*\.parquet$")


def jobs_of(session: int) -> list[int]:
    """The processes of a session that run a stage."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            of_stage = any(word.startswith(b"pipeline.") for word in words[:3])
            of_stage = of_stage and b"pipeline.stage.attempts" not in words
            if of_stage and os.getsid(int(folder.name)) == session:
                found.append(int(folder.name))
    return sorted(found)


def kill(running: subprocess.Popen, what: str, rng: random.Random) -> bool:
    """Kills the group, the main process or one job; whether there was any."""
    if running.poll() is not None:
        return False
    if what == "the group":
        os.killpg(running.pid, signal.SIGKILL)
    elif what == MAIN_PROCESS:
        os.kill(running.pid, signal.SIGKILL)
    elif jobs := jobs_of(running.pid):
        with suppress(ProcessLookupError):
            os.kill(rng.choice(jobs), signal.SIGKILL)
            return True
        return False
    else:
        return False
    return True


def started(checkout: Checkout, log: Path) -> subprocess.Popen:
    """The main job's command. What it prints goes to a file: orphans would keep a pipe open."""
    with log.open("w") as written:
        return subprocess.Popen(
            checkout.command(MAIN), cwd=checkout.root, env=environment(), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=written, stderr=written,
        )  # fmt: skip


def differences(one: Path, other: Path) -> list[str]:
    """Files of results that differ between two runs, or that one of them lacks."""

    def files(root: Path) -> set[str]:
        paths = (path for kind in MADE for path in (root / "results").rglob(kind))
        names = {str(path.relative_to(root)) for path in paths if not path.name.startswith(".")}
        return {name for name in names if not DIFFERING.search(name)}

    both = files(one) | files(other)
    return sorted(
        name
        for name in both
        if not ((one / name).is_file() and (other / name).is_file())
        or (one / name).read_bytes() != (other / name).read_bytes()
    )


def clear(checkout: Checkout) -> None:
    """Removes all that runs made."""
    for name in ("results", "logs", ".snakemake"):
        shutil.rmtree(checkout / name, ignore_errors=True)


def kill_once(
    checkout: Checkout, log: Path, number: int, longest: float
) -> tuple[dict | None, int]:
    """Starts the command and kills it at a moment that the number tells: what was killed, None
    where it ended before; and its exit status."""
    rng, what = random.Random(number), TURNS[number % len(TURNS)]
    running, seconds = started(checkout, log), rng.uniform(5, longest)
    with suppress(subprocess.TimeoutExpired):
        running.wait(seconds)
    while not (hit := kill(running, what, rng)) and running.poll() is None:
        time.sleep(0.2)  # no job yet
    orphans = len(jobs_of(running.pid)) if hit and what == MAIN_PROCESS else 0
    status = running.wait()
    killed = {"what": what, "after": round(seconds, 1), "orphans": orphans}
    return (killed if hit else None), status


def outcome(smooth: Checkout, checkout: Checkout) -> dict:
    """Whether a run that came to its end has the bytes of the undisturbed one."""
    wrong = differences(smooth.root, checkout.root)
    return {"equal": not wrong, "why": ", ".join(wrong[:5])}


def main() -> None:
    """Kills until there were as many as asked for, then runs once more to the end."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, required=True)
    options.add_argument("--kills", type=int, default=100)
    options.add_argument("--record", type=Path, required=True)
    options.add_argument("--longest", type=float, default=40, help="seconds until a kill, at most")
    asked = options.parse_args()
    smooth, checkout = (Checkout(asked.folder / name) for name in ("smooth", "killed"))
    for each in (smooth, checkout):
        if not (each / "Makefile").exists():
            Checkout.fresh(each.root, CHANGES)
    smooth.make("--cores", "2", MAIN)
    rate = yaml.safe_load((smooth / "config.yaml").read_text())["schedule"]["learning_rate"]
    record = {"runs": 0, "kills": [], "rounds": []}
    if asked.record.exists():
        record = json.loads(asked.record.read_text())
    while len(record["kills"]) < asked.kills:
        other = TURNS[record["runs"] % len(TURNS)] == MAIN_PROCESS
        checkout.configure({RATE: 2 * rate if other else rate})
        log = asked.folder / "run.log"
        killed, status = kill_once(checkout, log, record["runs"], asked.longest)
        record["runs"] += 1
        if killed:
            record["kills"].append(killed)
        elif status:
            record["rounds"].append({"equal": False, "why": log.read_text()[-2000:]})
        elif not other:
            record["rounds"].append(outcome(smooth, checkout))
        if not (killed or (other and not status)):
            if not record["rounds"][-1]["equal"]:  # to be looked at
                shutil.copytree(
                    checkout.root, asked.folder / f"wrong{record['runs']}", symlinks=True
                )
            clear(checkout)
        asked.record.write_text(json.dumps(record, indent=1) + "\n")
        print(json.dumps(record["kills"][-1:] + record["rounds"][-1:]), flush=True)
    checkout.configure({RATE: rate})
    checkout.make("--cores", "2", MAIN)
    record["rounds"].append(outcome(smooth, checkout))
    asked.record.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
