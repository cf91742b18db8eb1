"""What a rerun costs after each edit of the table in docs/editing.md, against a run from nothing.

    python benchmarks/reruns.py --size full --folder /tmp/reruns --output reruns.json

The main job runs once on two cores; its log tells how long the jobs of each rule took. A rerun
costs the jobs that the tests find to run after the edit, at most: a training that is kept and films
that are decoded already end sooner. The full size fills its column "time saved".
"""

import re
import shutil
import sys
import time
from collections import defaultdict
from pathlib import Path

from record import REPOSITORY, Record, arguments

sys.path.insert(0, str(REPOSITORY / "tests"))

from checkout import MAIN, Checkout
from edits import EDITS, TABLE, in_words, jobs

PATIENTS = {"small": 200, "full": 700}
PAGE = REPOSITORY / "docs/editing.md"
MARK = "<!-- reruns -->"
HEAD = "| edit | what runs, and nothing else | jobs | time saved |\n|---|---|---|---|\n"
STARTED = re.compile(r"^\[(.+)\]\n(?:local)?rule (\w+):\n(?:    .*\n)*?    jobid: (\d+)$", re.M)
FINISHED = re.compile(r"^\[(.+)\]\nFinished jobid: (\d+) ", re.M)


def seconds_of(log: str) -> dict[str, list[float]]:
    """Rule → seconds of each of its jobs, as Snakemake's log tells (whole seconds).

    >>> log = "[Sat Nov 28 10:46:08 2026]\\nrule a:\\n    output: b\\n    jobid: 4\\n"
    >>> seconds_of(log + "[Sat Nov 28 10:46:22 2026]\\nFinished jobid: 4 (Rule: a)")
    {'a': [14.0]}
    """
    over = {number: time.mktime(time.strptime(when)) for when, number in FINISHED.findall(log)}
    found: dict[str, list[float]] = defaultdict(list)
    for when, rule, number in STARTED.findall(log):
        found[rule].append(over[number] - time.mktime(time.strptime(when)))
    return dict(found)


def measure(folder: Path, patients: int) -> tuple[Record, dict[str, float]]:
    """Runs the main job; the record, and edit → the share of its time that is not spent again."""
    shutil.rmtree(folder / "done", ignore_errors=True)
    done = Checkout.fresh(folder / "done", {"hospital.patients": patients})
    done.make(MAIN)
    (log,) = (done / ".snakemake/log").glob("*.log")
    took = seconds_of(log.read_text())
    full, saved = sum(map(sum, took.values())), {}
    title = "Partial reruns: jobs that run again × their mean time in one run from nothing"
    record = Record(f"{title}, {patients} patients, ten steps")
    record.add("the main job from nothing", [full], note=f"{sum(map(len, took.values()))} jobs")
    for name in TABLE:
        again = jobs(EDITS[name][1])
        spent = sum(count * sum(took[rule]) / len(took[rule]) for rule, count in again.items())
        saved[name] = 1 - spent / full
        record.add(
            TABLE[name], [spent], note=f"{sum(again.values())} jobs, {saved[name]:.0%} saved"
        )
    longest = max(took, key=lambda rule: sum(took[rule]))
    record.limit = (
        f"The longest rule is {longest}, {sum(took[longest]):.0f} of {full:.0f} s. Films that are "
        "decoded and trainings that are kept end sooner than is counted here."
    )
    return record, saved


def filled(text: str, saved: dict[str, float]) -> str:
    """The page with its table of reruns."""
    before, _, after = text.split(MARK)
    lines = []
    for name, label in TABLE.items():
        expected = EDITS[name][1]
        count, share = sum(jobs(expected).values()), f"{100 * saved[name]:.0f} %"
        lines.append(f"| {label} | {in_words(expected)} | {count} | {share} |\n")
    return f"{before}{MARK}\n{HEAD}{''.join(lines)}{MARK}{after}"


def main() -> None:
    """Measures, leaves the record, fills the table."""
    given = arguments(__doc__)
    given.folder.mkdir(parents=True, exist_ok=True)
    record, saved = measure(given.folder, PATIENTS[given.size])
    record.write(given.output)
    if given.size == "full":
        PAGE.write_text(filled(PAGE.read_text(), saved))


if __name__ == "__main__":
    main()
