"""The fault matrix: every kind of fault (`fault_kinds.py`) on every stage that it applies to.

    python benchmarks/faults.py --folder results/faults --record benchmarks/records/faults.json
        --page docs/faults.md --minutes 30

A small hospital is run to its results once. Each trial then runs the recorded command of one job
beside a tree of links to those files, with one fault; the undisturbed bytes are compared with. The
trials come in a random order that a seed fixes; what held by the record is not tried again, so the
same command goes on where it ended, and tries again what did not hold. The page is made from the
record (make faults).
"""

import argparse
import base64
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from fault_kinds import FILM, KINDS, Kind
from record import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests"))

sys.path.insert(0, str(REPOSITORY))

from checkout import MAIN, MULTI, Checkout, environment

from pipeline.stage.digests import is_intact, recorded

CHANGES = {"hospital.patients": 300}
FEW = ("results/source/labevents.parquet", "results/source/radiology.parquet",
       "results/source/cxr_metadata.parquet")  # fmt: skip
PREFIX = (
    "set -euo pipefail; export POLARS_MAX_THREADS=$OMP_NUM_THREADS; "
    'python() { command python -m pipeline.stage.attempts "$@"; }; '
)
HELD, WRONG, HUNG, UNCLEAR = "held", "wrong", "hung", "unclear"
VERIFIED = "seen by make verify"
GATE = ("cxr/readable.json",)  # trainings and embeddings wait for it, and read nothing of it
COSTS = ".run.json"  # holds times, which differ
GROUP = Path("/sys/fs/cgroup/memory")  # version 1; else the kernel's limit is not tried


@dataclass(frozen=True)
class Stage:
    """A job of the finished run: its rule, with a table's name, command, inputs and outputs."""

    name: str
    command: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass
class Ended:
    """How a job ended; a status of None: not in time."""

    status: int | None
    log: str
    seconds: float


def stages(base: Checkout) -> list[Stage]:
    """One job of each rule, and of the extraction some tables, by Snakemake's records."""
    jobs: dict[str, tuple[dict, list[str]]] = {}
    for path in sorted((base / ".snakemake/metadata").rglob("*")):
        if not path.is_file():
            continue
        encoded = str(path.relative_to(base / ".snakemake/metadata")).replace("/@", "").lstrip("@")
        record = json.loads(path.read_text())
        output = base64.b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        jobs.setdefault(record["shellcmd"], (record, []))[1].append(output)
    found: dict[str, Stage] = {}
    for command, (record, outputs) in sorted(jobs.items()):
        rule, name = record["rule"], record["rule"]
        if rule == "extract_table":
            if outputs[0] not in FEW:
                continue
            name = f"{rule} {Path(outputs[0]).stem}"
        found.setdefault(name, Stage(name, command, tuple(record["input"]), tuple(outputs)))
    return list(found.values())


def applies(kind: Kind, stage: Stage) -> bool:
    """Whether a stage can meet a fault."""
    if kind.rule and kind.rule != stage.name:
        return False
    if kind.suffix == FILM:
        return stage.name == "decode_films"
    return not kind.suffix or any(path.endswith(kind.suffix) for path in _data(stage))


def _data(stage: Stage) -> list[str]:
    """The inputs below results/ that a stage reads."""
    unread = () if stage.name == "evaluate_model" else GATE
    return [p for p in stage.inputs if p.startswith("results/") and not p.endswith(unread)]


@contextmanager
def linked(base: Checkout, root: Path, left: int | None) -> Iterator[Path]:
    """A tree of links to a finished run; on a disk of its own with so many bytes left."""
    root.mkdir(parents=True)
    if left is not None:
        mounted = ["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(root)]
        subprocess.run(mounted, check=True)
    try:
        code = [f"{base.root}/{name}" for name in ("pipeline", "requirements.lock")]
        subprocess.run(["cp", "-a", *code, str(root)], check=True)
        subprocess.run(["cp", "-as", f"{base.root}/results", f"{root}/results"], check=True)
        for folder in ("logs", "tmp"):
            (root / folder).mkdir()
        if left is not None:
            free = shutil.disk_usage(root).free
            (root / "filler").write_bytes(bytes(max(free - left, 0)))
        yield root
    finally:
        if left is not None:
            subprocess.run(["umount", str(root)], check=True)
        shutil.rmtree(root)


def start(stage: Stage, kind: Kind, root: Path, label: str = "0") -> subprocess.Popen:
    """Starts a job's command as Snakemake does, its log apart."""
    log = f"/tmp/{root.name}.{label}.log" if kind.full_disk else f"{root}/logs/{label}.log"
    command = stage.command.replace(" --temp /tmp", f" --temp {root}/tmp")
    command, _, _ = command.partition(" 2> ")[0].partition(" 2>&1 ")
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    own = environment() | threads | kind.environment
    own |= {"PYTHONHASHSEED": "0", "TMPDIR": f"{root}/tmp", "PYTHONPATH": str(root)}
    if kind.wrapper:
        own["FAULT"] = kind.wrapper
        command = command.replace("python -m", f"python {REPOSITORY}/tests/killing.py", 1)
    if kind.memory:
        (GROUP / root.name).mkdir()
        (GROUP / root.name / "memory.limit_in_bytes").write_text(str(kind.memory << 20))
        command = f"echo $BASHPID > {GROUP / root.name}/cgroup.procs; {command}"
    with Path(log).open("w") as written:
        return subprocess.Popen(
            ["bash", "-c", f"{PREFIX}{kind.prefix}{command}"], cwd=root, env=own,
            stdin=subprocess.DEVNULL, stdout=written, stderr=written, start_new_session=True,
        )  # fmt: skip


def finish(job: subprocess.Popen, log: Path, patience: float) -> Ended:
    """Waits for a job; what does not end in time is killed."""
    began = time.monotonic()
    status: int | None
    try:
        status = job.wait(patience)
    except subprocess.TimeoutExpired:
        status = None
    with suppress(ProcessLookupError):
        os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    return Ended(status, log.read_text(errors="replace"), time.monotonic() - began)


def run_once(stage: Stage, kind: Kind, root: Path, patience: float, rng: random.Random) -> Ended:
    """Runs a job with the fault of a kind, a signal or a second job at the same time."""
    log = Path(f"/tmp/{root.name}.0.log") if kind.full_disk else root / "logs/0.log"
    job = start(stage, kind, root)
    if kind.twice:
        other = finish(start(stage, kind, root, "1"), root / "logs/1.log", patience)
        ended = finish(job, log, patience)
        return ended if other.status == 0 else other
    if kind.wrapper:  # the wrapper itself waits within the write
        while job.poll() is None and "within a write" not in log.read_text():
            time.sleep(0.2)
    elif kind.signal:
        with suppress(subprocess.TimeoutExpired):
            job.wait(rng.uniform(0.2, 4))
    for process in below(job.pid) if kind.signal else []:
        with suppress(ProcessLookupError):
            os.kill(process, kind.signal)
    ended = finish(job, log, 30 if kind.signal else patience)
    if kind.memory:
        (GROUP / root.name).rmdir()
    if kind.full_disk:
        log.unlink()
    return ended


def below(shell: int) -> list[int]:
    """The processes that a shell has started; it tells how they ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getsid(int(folder.name)) == shell and int(folder.name) != shell:
                found.append(int(folder.name))
    return found


def same(stage: Stage, base: Checkout, root: Path) -> bool:
    """Whether the outputs are those of the undisturbed run, byte by byte; but for costs."""
    return all(
        (root / path).is_file()
        and (path.endswith(COSTS) or (root / path).read_bytes() == (base / path).read_bytes())
        for path in stage.outputs
    )


def verdict(stage: Stage, kind: Kind, ended: Ended, base: Checkout, root: Path) -> tuple[str, str]:
    """Whether a stage held, and what it did instead where it did not."""
    if ended.status is None:
        return HUNG, "no end"
    if ended.status == 0:
        if same(stage, base, root):
            return (UNCLEAR, "not refused") if kind.expected == "refused" else (HELD, "")
        if kind.expected == "counted" and _counted(stage, root):
            return HELD, ""
        return WRONG, "other bytes"
    # what a failed job has written Snakemake removes, whole or not
    last = ended.log.strip().splitlines()[-1:] or ["an empty log"]
    if "Traceback" in ended.log:
        return UNCLEAR, f"traceback: {last[0].split(':')[0]}"
    if kind.expected in ("same", "counted"):
        return UNCLEAR, "refused"
    if kind.expected == "ended":
        return (HELD, "") if ended.status else (UNCLEAR, "status")
    told = any(line.startswith("error: ") for line in ended.log.splitlines())
    blind = "/dev/full" in kind.prefix
    return (HELD, "") if told or blind else (UNCLEAR, f"no line: {last[0][:60]}")


def _counted(stage: Stage, root: Path) -> bool:
    """Whether the table of decoded films says of exactly one that it cannot be read."""
    return pl.read_parquet(root / stage.outputs[0])["fault"].drop_nulls().len() == 1


def spoilt(stage: Stage, kind: Kind, root: Path, base: Checkout, rng: random.Random
           ) -> Path | None:  # fmt: skip
    """Spoils one of the inputs that a kind is about; which."""
    if not kind.spoil:
        return None
    if kind.suffix == FILM:
        table = pl.read_parquet(base / stage.outputs[0]).drop_nulls("chunk")
        names = sorted(table["dicom_id"])
        path = next((root / "results/hospital").rglob(f"{rng.choice(names)}.jpg"))
    else:
        fitting = [path for path in _data(stage) if path.endswith(kind.suffix)]
        path = root / rng.choice(sorted(fitting))
    kind.spoil(path)
    return path


def trial(stage: Stage, name: str, base: Checkout, folder: Path, patience: float) -> dict:
    """One fault on one stage; where the process ended, then the same command undisturbed."""
    kind, rng = KINDS[name], random.Random(f"{stage.name} {name}")
    size = sum((base / path).stat().st_size for path in stage.outputs)
    left = size // 2 if kind.full_disk else None
    with linked(base, folder / f"trial{os.getpid()}", left) as root:
        for path in stage.outputs:  # as Snakemake does before a job
            (root / path).unlink()
        path = spoilt(stage, kind, root, base, rng)
        ended = run_once(stage, kind, root, patience, rng)
        outcome, why = verdict(stage, kind, ended, base, root)
        if outcome == WRONG and path and recorded(path) and not is_intact(path):
            outcome = VERIFIED  # tables are compared with their digests by make verify, not by jobs
        if kind.expected == "ended" and outcome == HELD and ended.status:
            for path in stage.outputs:
                (root / path).unlink(missing_ok=True)
            again = finish(start(stage, Kind("same"), root, "2"), root / "logs/2.log", patience)
            if again.status or not same(stage, base, root):
                outcome, why = WRONG, "not the same bytes afterwards"
    return {"stage": stage.name, "kind": name, "outcome": outcome, "why": why,
            "status": ended.status, "seconds": round(ended.seconds, 1)}  # fmt: skip


def page(trials: list[dict], kills: dict | None, mutations: dict | None) -> str:
    """docs/faults.md: per kind how often it was tried and held, and each that did not."""
    tried, held = Counter(), Counter()
    for each in trials:
        tried[each["kind"]] += 1
        held[each["kind"]] += each["outcome"] == HELD
    total = Counter(each["outcome"] for each in trials)
    names = sorted({each["stage"] for each in trials})
    lines = [
        "# Faults", "",
        "Made by `make faults` from `benchmarks/records/faults.json`; each fault is a line of",
        "`benchmarks/fault_kinds.py`, which says what must happen. Held: as it says there.",
        "Wrong: it ended well, with other bytes, and nothing tells. Hung: no end in time.",
        "Seen by make verify: it ended well, with other bytes; the table's digest tells it.",
        "Unclear: stopped, with nothing wrong taken for right, but not in one line.", "",
        f"{len(KINDS)} kinds, {len(tried)} tried; {len(names)} stages; {len(trials)} trials:",
        f"{total[HELD]} held, {total[WRONG]} wrong, {total[HUNG]} hung, {total[UNCLEAR]} unclear, "
        f"{total[VERIFIED]} seen by make verify.",
        "", "| fault | must be | stages | tried | held |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for name, kind in KINDS.items():
        where = {each["stage"] for each in trials if each["kind"] == name}
        shown = ", ".join(sorted(where)) if len(where) < 3 else f"{len(where)}"
        lines.append(f"| {name} | {kind.expected} | {shown} | {tried[name]} | {held[name]} |")
    bad = [each for each in trials if each["outcome"] != HELD]
    if bad:
        lines += ["", "## Did not hold", "", "| fault | stage | outcome | what it did |",
                  "|---|---|---|---|"]  # fmt: skip
        lines += [f"| {e['kind']} | {e['stage']} | {e['outcome']} | {e['why']} |" for e in bad]
    if kills:
        lines += ["", "## Kills of a whole run", "", *kills_in_words(kills)]
    if mutations:
        each = ", ".join(f"{count} {name}" for name, count in mutations["total"].items())
        lines += ["", "## Mutations of source files", "",
                  f"`benchmarks/mutations.py`: {len(mutations['mutations'])} seeded mutations of "
                  f"source files: {each}.",
                  "Seen by make verify: values that could be true ones; it tells that the file was "
                  "replaced."]  # fmt: skip
    return "\n".join(lines) + "\n"


def kills_in_words(kills: dict) -> list[str]:
    """What `benchmarks/kills.py` recorded."""
    by = Counter(each["what"] for each in kills["kills"])
    each = ", ".join(f"{count} of {what}" for what, count in sorted(by.items()))
    equal = sum(each["equal"] for each in kills["rounds"])
    orphans = sum(each["orphans"] for each in kills["kills"])
    return [
        f"`benchmarks/kills.py`: {len(kills['kills'])} SIGKILLs at seeded random moments ({each}),",
        f"each followed by the same command; {equal} of {len(kills['rounds'])} runs that then came "
        "to their end had the bytes of an undisturbed run.",
        f"{orphans} jobs outlived their main process, whose settings were not those of the next.",
    ]


def main() -> None:
    """Tries what was not tried yet, and writes the page."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, required=True, help="for the run and the trials")
    options.add_argument("--record", type=Path, required=True, help="JSON: what was tried")
    options.add_argument("--kills", type=Path, help="JSON that kills.py left")
    options.add_argument("--mutations", type=Path, help="JSON that mutations.py left")
    options.add_argument("--page", type=Path, required=True)
    options.add_argument("--minutes", type=float, default=60, help="no trial starts later")
    options.add_argument("--patience", type=float, default=600, help="seconds of a hung job")
    options.add_argument("--kinds", nargs="*", default=list(KINDS))
    options.add_argument("--stages", nargs="*", help="names as in the page; else all")
    asked = options.parse_args()
    until = time.monotonic() + 60 * asked.minutes
    trials = json.loads(asked.record.read_text()) if asked.record.exists() else []
    base = Checkout(asked.folder / "base")
    if asked.minutes > 0 and not (base / MAIN).exists():
        base = Checkout.fresh(base.root, CHANGES)
        base.make("--cores", "1", MAIN, MULTI)
    known = {(each["stage"], each["kind"]) for each in trials if each["outcome"] == HELD}
    waiting = [
        (stage, kind)
        for stage in (stages(base) if asked.minutes > 0 else [])
        for kind in asked.kinds
        if applies(KINDS[kind], stage) and (stage.name, kind) not in known
        if not asked.stages or stage.name in asked.stages
        if not KINDS[kind].memory or os.access(GROUP, os.W_OK)
    ]
    random.Random(0).shuffle(waiting)
    for stage, kind in waiting:
        if time.monotonic() > until:
            break
        trials = [each for each in trials if (each["stage"], each["kind"]) != (stage.name, kind)]
        trials.append(trial(stage, kind, base, asked.folder, asked.patience))
        print(json.dumps(trials[-1]), flush=True)
        asked.record.write_text(json.dumps(trials, indent=1) + "\n")
    others = (json.loads(path.read_text()) if path and path.exists() else None
              for path in (asked.kills, asked.mutations))  # fmt: skip
    asked.page.write_text(page(trials, *others))


if __name__ == "__main__":
    main()
