"""What a rerun costs after each edit of the README's table, against a run from nothing.

    python benchmarks/reruns.py --folder /tmp/reruns --output reruns.json [--only film,touched]
        [--patients 700] [--readme README.md]

Each edit is made on a copy of the finished main job, which is then run again on two cores; the jobs
that run are compared with those that the tests expect. Seconds are of processors, of Snakemake and
all jobs: half an hour of runs finds no machine quiet. `--readme` fills the column "time saved" of
the table from the record.
"""

import argparse
import json
import resource
import shutil
import sys
from collections import Counter
from pathlib import Path

from record import REPOSITORY, Record

sys.path.insert(0, str(REPOSITORY / "tests"))

from checkout import MAIN, Checkout
from edits import EDITS, TABLE, in_words, jobs

FULL = "the main job from nothing"
SMALL = ["cohort.min_age", "cohort.ids: fewer test patients", "encoder of films", "touched"]
MARK = "<!-- reruns -->"
HEAD = "| edit | what runs, and nothing else | jobs | time saved |\n|---|---|---|---|\n"


def timed(checkout: Checkout) -> tuple[float, Counter[str]]:
    """Processor seconds of the main job in a checkout, and what ran."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = checkout.make(MAIN).ran
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return round(spent, 1), Counter(ran)


def measure(given: argparse.Namespace, names: list[str]) -> Record:
    """Runs everything once, and once more after each edit."""
    record, right = Record("Partial reruns, seconds of processors"), 0
    done = Checkout.fresh(given.folder / "done", {"hospital.patients": given.patients})
    full, _ = timed(done)
    record.add(FULL, [full], note=f"{given.patients} patients, one epoch, two cores")
    for name in names:
        copy = done.copy(given.folder / "copy")
        EDITS[name][0](copy)
        seconds, ran = timed(copy)
        right += ran == jobs(EDITS[name][1])
        record.add(name, [seconds], note=f"{ran.total()} jobs, {1 - seconds / full:.0%} saved")
        shutil.rmtree(copy.root)
        print(f"{name}: {seconds} s of {full} s, {dict(ran)}", file=sys.stderr)
    took = {str(row["what"]): row["values"][0] for row in record.rows}  # type: ignore[index]
    found = f"{right} of {len(names)} edits"
    record.ask("exactly the jobs of the README's table run", found, right == len(names))
    saved = [1 - seconds / full for name, seconds in took.items() if name != FULL]
    idle = ""
    if "touched" in took:
        idle = f"; to find that nothing is to be done, {took['touched']:.1f} s"
    record.limit = (
        f"A run from nothing takes {full:.0f} s of processors; reruns save {min(saved):.0%} to "
        f"{max(saved):.0%}{idle}. So few patients cost less than starting the jobs does."
    )
    return record


def filled(text: str, record: dict[str, list[dict[str, list[float]]]]) -> str:
    """The README with its table of reruns: shares of time as measured, others as they were."""
    before, table, after = text.split(MARK)
    saved = {cells[1].strip(): cells[4].strip()
             for cells in (line.split("|") for line in table.splitlines()) if len(cells) > 5
             }  # fmt: skip
    took = {str(row["what"]): row["values"][0] for row in record["rows"]}
    for name in TABLE.keys() & took.keys():
        share = round(100 * (1 - took[name] / took[FULL]))
        saved[TABLE[name]] = f"{share} %".replace("-", "−")
    lines = []
    for name, label in TABLE.items():
        expected = EDITS[name][1]
        count = sum(jobs(expected).values())
        lines.append(f"| {label} | {in_words(expected)} | {count} | {saved.get(label, '–')} |\n")
    return f"{before}{MARK}\n{HEAD}{''.join(lines)}{MARK}{after}"


def main() -> None:
    """Measures, leaves the record, fills the README's table."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter
                                     )  # fmt: skip
    parser.add_argument("--size", choices=["small", "full"], default="full")
    parser.add_argument("--folder", type=Path, required=True, help="for what it makes")
    parser.add_argument("--output", type=Path, required=True, help="the record, JSON")
    parser.add_argument("--patients", type=int, default=700)
    parser.add_argument("--only", help="names of edits, separated by commas")
    parser.add_argument("--readme", type=Path, help="fill its table of reruns")
    given = parser.parse_args()
    names = given.only.split(",") if given.only else SMALL if given.size == "small" else [*TABLE]
    if unknown := set(names) - EDITS.keys():
        sys.exit(f"--only: no edit {', '.join(sorted(unknown))}; there are {', '.join(TABLE)}")
    given.folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(given.folder / "done", ignore_errors=True)
    measure(given, names).write(given.output)
    if given.readme:
        record = json.loads(given.output.read_text())
        given.readme.write_text(filled(given.readme.read_text(), record))


if __name__ == "__main__":
    main()
