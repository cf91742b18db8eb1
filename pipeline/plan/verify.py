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
import re
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.extract.release import DATASETS, Release, Source, exists, locate
from pipeline.plan import configuration
from pipeline.stage import digests
from pipeline.stage.command import parser, run
from pipeline.stage.digests import digest
from pipeline.stage.errors import InputError
from pipeline.stage.files import whole
from pipeline.stage.progress import JobProgress

SUMS = "SHA256SUMS.txt"
MANY = 1000  # files handed to the threads at once: bounds memory
LISTED = 20  # files printed of a kind; all are in the output
FINAL = {".json", ".svg", ".md", ".csv", ".html"}  # suffixes of what is read by people
_LINE = re.compile(r"([0-9a-fA-F]{64})[ \t]+\*?(\S.*?)\s*")
_FILM = re.compile(r"(?:^|/)files/p1\d/")


@dataclass
class Found:
    """Paths below a data set's folder, by what was found of them."""

    folder: Path
    whole: int = 0
    differing: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)


def read_sums(path: Path) -> dict[str, str]:
    """Path below the folder → SHA-256, as `sha256sum` writes them.

    `InputError` where there is no such file, or it is none of checksums.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: no readable list of checksums ({type(error).__name__}): PhysioNet has it "
            "beside the files of the data set, copy it there"
        ) from error
    matches = [(number, _LINE.fullmatch(line)) for number, line in enumerate(lines, 1) if line]
    if wrong := [number for number, match in matches if not match]:
        raise InputError(f"{path}: line {wrong[0]} is no checksum and file name: copy it again")
    if not matches:
        raise InputError(f"{path}: it lists no file: copy it again")
    return {match[2].removeprefix("./"): match[1].lower() for _, match in matches if match}


def files_below(folder: Path) -> Iterator[str]:
    """Every file below a folder, by its path in it."""
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent, name).relative_to(folder).as_posix()


def verify(folder: Path, sums: Mapping[str, str], threads: int, name: str = "files") -> Found:
    """Compares every file below `folder` with its checksum; `name`: for the lines of progress."""
    there = {path: (folder / path).stat().st_size for path in sums if exists(folder / path)}
    found = Found(folder, missing=sorted(sums.keys() - there.keys()))
    found.unlisted = sorted(path for path in files_below(folder) if path not in sums)
    found.unlisted = [path for path in found.unlisted if path != SUMS]
    progress = JobProgress(f"verifying {name}", sum(there.values()))
    with ThreadPoolExecutor(threads) as pool:
        paths = list(there)
        for some in (paths[first : first + MANY] for first in range(0, len(paths), MANY)):
            made = pool.map(digest, [folder / path for path in some])
            for path, sha256 in zip(some, made, strict=True):
                found.differing += [path] * (sha256 != sums[path])
                progress.add(there[path])
    found.whole = len(there) - len(found.differing)
    return found


def verify_results(folder: Path, threads: int) -> tuple[int, list[str]]:
    """Sets aside what is not as a job wrote it; the number of the others, and a line for each.

    Also a line for each source file that is not the one that was extracted.
    """
    outputs = list(digests.with_digests(folder.rglob(f".*{digests.SUFFIX}")))
    sources = sorted(folder.rglob(f".*{digests.SOURCE}"))
    progress = JobProgress("verifying results", len(outputs) + len(sources))
    lines = []
    with ThreadPoolExecutor(threads) as pool:
        for path, same in zip(
            outputs, progress.each(pool.map(digests.is_intact, outputs)), strict=True
        ):
            lines += [] if same else [digests.set_aside(path)]
        for line in progress.each(pool.map(_changed_source, sources)):
            lines += [line] * bool(line)
    return len(outputs) + len(sources) - len(lines), lines


def check_results(folder: Path, *, look: bool) -> list[str]:
    """A line for each final file that is not as it was written; set aside, but not in a mere look.

    No job need read them: damaged ones would stand. There are some hundred, of at most a few MB.
    `look`: the command runs no jobs, as `--dry-run` and `--summary` do not.
    """
    there = [*folder.glob(f".*{digests.SUFFIX}"), *folder.glob(f"*/.*{digests.SUFFIX}")]
    final = [path for path in digests.with_digests(there) if path.suffix in FINAL]
    damaged = [path for path in final if not digests.is_intact(path)]
    if look:
        return [f"{path}: damaged: a run sets it aside and makes it again" for path in damaged]
    return [digests.set_aside(path) for path in damaged]


def _changed_source(record: Path) -> str:
    """What to do about a source file that is not as it was read; empty where it is, or is gone."""
    sha256, _, name = record.read_text().strip().partition("  ")
    table = record.with_name(record.name[1:].removesuffix(digests.SOURCE))
    if not (table.is_file() and exists(Path(name))) or digest(Path(name)) == sha256:
        return ""
    return (
        f"{name}: not the file that {table} was made of, whatever its size and time: run the same"
        f" command with '--forcerun {table} --' before its targets, or copy the file again"
    )


def described(found: Found, title: str) -> list[str]:
    """What to print of a data set: counts, and the first files of each kind but films."""
    lines = [f"{title}, {found.folder}: files that are as listed in {SUMS}: {found.whole:,}"]
    for what, paths in (
        ("differ from their checksum or cannot be read (copy them again)", found.differing),
        ("are listed and not here", found.missing),
        ("are in no list, so nothing vouches for them", found.unlisted),
    ):
        films = sum(bool(_FILM.search(path)) for path in paths)
        if films:
            lines.append(f"  films that {what}: {films:,}")
        others = [path for path in paths if not _FILM.search(path)]
        if others:
            lines.append(f"  files that {what}: {len(others):,}")
            lines += [f"    {path}" for path in others[:LISTED]]
            lines += [f"    and {len(others) - LISTED:,} more"] * (len(others) > LISTED)
    return lines


def as_text(found: list[Found]) -> str:
    """Every file that is not as listed, one a line, with what was found of it."""
    return "".join(
        f"{what} {each.folder / path}\n"
        for each in found
        for what in ("differing", "missing", "unlisted")
        for path in getattr(each, what)
    )


def data_sets(source: Source) -> list[Release]:
    """The data sets of a source that are there; `InputError` where none is."""
    found = []
    for name in DATASETS:
        try:
            found.append(locate(source, name))
        except InputError:  # the config names no place for it
            continue
    if there := [release for release in found if release.found]:
        return there
    places = ", ".join(str(release.folder) for release in found) or "none is named"
    raise InputError(f"config: source: no data set there ({places}): set source.root to your copy")


def main() -> None:
    """Verifies every data set of the config, prints and writes what is not as listed."""
    arguments = parser(__doc__)
    arguments.add_argument("--config", type=Path, default=Path("config.yaml"))
    arguments.add_argument("--source", type=json.loads, help="JSON instead of the config's source")
    arguments.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    arguments.add_argument("--output", type=Path, default=Path("results/verify.txt"))
    arguments.add_argument("--results", type=Path, default=Path("results"))
    given = arguments.parse_args()
    source = given.source or configuration.source(configuration.read(given.config).dump())
    whole_files, lines = verify_results(given.results, given.threads)
    print(f"{given.results}: files that are as they were written or read: {whole_files:,}")
    print(*(f"  {line}" for line in lines), sep="\n", end="\n" if lines else "", flush=True)
    if source == configuration.source({"source": {"root": configuration.SYNTHETIC}}):
        sys.exit(1 if lines else 0)  # no list of checksums comes with it
    releases = data_sets(source)
    sums = [read_sums(release.folder / SUMS) for release in releases]  # all, before anything long
    found = []
    for release, listed in zip(releases, sums, strict=True):
        title = DATASETS[release.dataset].title
        found.append(verify(release.folder, listed, given.threads, title))
        print(*described(found[-1], title), sep="\n", flush=True)
    with whole(given.output) as part:
        part.write_text(as_text(found))
    print(f"{given.output} lists all that is not as listed; it may name patients: keep it here")
    sys.exit(1 if lines or any(each.differing for each in found) else 0)


if __name__ == "__main__":
    run(main)
