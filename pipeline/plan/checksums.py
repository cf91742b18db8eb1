"""A data set beside the list of checksums that comes with it, as PhysioNet's SHA256SUMS.txt.

Found are files that differ from the list or cannot be read, that are missing (films are copied in
part by design), and that no list vouches for.
"""

import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.extract.release import DATASETS, Release, Source, exists, locate
from pipeline.stage.digests import digest
from pipeline.stage.errors import InputError
from pipeline.stage.progress import JobProgress

SUMS = "SHA256SUMS.txt"
MANY = 1000  # files handed to the threads at once: bounds memory
LISTED = 20  # files printed of a kind; all are in the output
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


def compare(folder: Path, sums: Mapping[str, str], threads: int, name: str = "files") -> Found:
    """Compares every file below `folder` with its checksum; `name`: for the lines of progress."""
    there = {path: (folder / path).stat().st_size for path in sums if exists(folder / path)}
    found = Found(folder, missing=sorted(sums.keys() - there.keys()))
    found.unlisted = sorted(path for path in files_below(folder) if path not in sums)
    found.unlisted = [path for path in found.unlisted if path != SUMS]
    progress = JobProgress(f"verifying {name}", sum(there.values()))
    with ThreadPoolExecutor(threads) as pool:
        paths = list(there)
        for some in (paths[first : first + MANY] for first in range(0, len(paths), MANY)):
            made = pool.map(_digest, [folder / path for path in some])
            for path, sha256 in zip(some, made, strict=True):
                found.differing += [path] * (sha256 != sums[path])
                progress.add(there[path])
    found.whole = len(there) - len(found.differing)
    return found


def _digest(path: Path) -> str:
    """The digest of a file; empty where it cannot be read."""
    try:
        return digest(path)
    except OSError:
        return ""


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
