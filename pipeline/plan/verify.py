"""Whether every byte is as it was (`make verify`): of what the pipeline wrote, of the source files
since they were read, of the config's data sets against the SHA256SUMS.txt that PhysioNet has.

    python -m pipeline.plan.verify --threads 4

An ordinary run finds truncated and damaged csv files, wrong counts of rows and films that are no
whole JPEG; of 60 single bits flipped in JPEGs it noticed none. This reads everything that the list
names and that is there, as fast as the disk gives it. Prints what differs or cannot be read, what
is missing (films are copied in part by design) and what no list vouches for; films by their number,
their paths are in `--output`. Damaged results and intermediates are set aside, see
`pipeline.stage.digests`. Exit status 1 where a file differs.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.extract.release import DATASETS, exists
from pipeline.plan import configuration
from pipeline.plan.checksums import SUMS, as_text, compare, data_sets, described, read_sums
from pipeline.stage import digests
from pipeline.stage.command import parser, run
from pipeline.stage.digests import digest
from pipeline.stage.files import whole
from pipeline.stage.progress import JobProgress

FINAL = {".json", ".svg", ".md", ".csv", ".html"}  # suffixes of what is read by people


def verify_results(folder: Path, threads: int) -> tuple[int, list[str]]:
    """Sets aside what is not as a job wrote it; the number of the others, and a line for each.

    Also a line for each source file that is not the one that was extracted, and for each file that
    cannot be read, which stays.
    """
    outputs = list(digests.with_digests(folder.rglob(f".*{digests.SUFFIX}")))
    sources = sorted(folder.rglob(f".*{digests.SOURCE}"))
    progress = JobProgress("verifying results", len(outputs) + len(sources))
    with ThreadPoolExecutor(threads) as pool:
        told = [*progress.each(pool.map(_changed, outputs))]
        told += progress.each(pool.map(_changed_source, sources))
    lines = list(filter(None, told))
    return len(told) - len(lines), lines


def _changed(path: Path, keep: bool = False) -> str:
    """A line where a file is not as it was written (it is set aside) or cannot be read."""
    try:
        if digests.is_intact(path):
            return ""
    except OSError as error:
        return f"{path}: cannot be read ({error.strerror})"
    if keep:
        return f"{path}: damaged: a run sets it aside and makes it again"
    return digests.set_aside(path)


def check_results(folder: Path, *, look: bool) -> list[str]:
    """A line for each final file that is not as it was written; set aside, but not in a mere look.

    No job need read them: damaged ones would stand. There are some hundred, of at most a few MB.
    `look`: the command runs no jobs, as `--dry-run` and `--summary` do not.
    """
    there = [
        file for of in ("", "*/", "external/*/") for file in folder.glob(f"{of}.*{digests.SUFFIX}")
    ]
    final = [path for path in digests.with_digests(there) if path.suffix in FINAL]
    return list(filter(None, (_changed(path, keep=look) for path in final)))


def _changed_source(record: Path) -> str:
    """What to do about a source file that is not as it was read; empty where it is, or is gone."""
    sha256, _, name = record.read_text().strip().partition("  ")
    table = record.with_name(record.name[1:].removesuffix(digests.SOURCE))
    try:
        if not (table.is_file() and exists(Path(name))) or digest(Path(name)) == sha256:
            return ""
    except OSError as error:
        return f"{name}: cannot be read ({error.strerror})"
    return (
        f"{name}: not the file that {table} was made of, whatever its size and time: run the same"
        f" command with '--forcerun {table} --' before its targets, or copy the file again"
    )


def main() -> None:
    """Verifies every data set of the config, prints and writes what is not as listed."""
    arguments = parser(__doc__)
    arguments.add_argument("--config", type=Path, default=Path("config.yaml"))
    arguments.add_argument("--source", type=json.loads, help="JSON instead of the config's source")
    arguments.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    arguments.add_argument("--output", type=Path, default=Path("results/verify.txt"))
    arguments.add_argument("--results", type=Path, default=Path("results"))
    given = arguments.parse_args()
    config = configuration.read(given.config).dump()
    source = given.source or configuration.source(config)
    whole_files, lines = verify_results(given.results, given.threads)
    print(f"{given.results}: files that are as they were written or read: {whole_files:,}")
    print(*(f"  {line}" for line in lines), sep="\n", end="\n" if lines else "", flush=True)
    listed_by_none = not given.source and configuration.kind(config) in configuration.ADAPTERS
    if listed_by_none or source == configuration.source(
        {"source": {"root": configuration.SYNTHETIC}}
    ):
        sys.exit(1 if lines else 0)  # no list of checksums comes with it
    releases = data_sets(source)
    sums = [read_sums(release.folder / SUMS) for release in releases]  # all, before anything long
    found = []
    for release, listed in zip(releases, sums, strict=True):
        title = DATASETS[release.dataset].title
        found.append(compare(release.folder, listed, given.threads, title))
        print(*described(found[-1], title), sep="\n", flush=True)
    with whole(given.output) as part:
        part.write_text(as_text(found))
    print(f"{given.output} lists all that is not as listed; it may name patients: keep it here")
    sys.exit(1 if lines or any(each.differing for each in found) else 0)


if __name__ == "__main__":
    run(main)
