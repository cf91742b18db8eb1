"""Before anything long starts: is all there that the asked target needs, and does it fit?

Looks at folders, header lines and file sizes only, so it takes a second for the full MIMIC. Names
every missing data set, file and column at once, with the path where it was expected; a target
without `c` needs no films, nor does the list of films to download. Logs the releases found and an
estimate of disk and time.
"""

import json
import logging
import shutil
from collections.abc import Iterable
from pathlib import Path

from pipeline.extract import contracts, release
from pipeline.extract.costs import Cost, Needs, Settings, costs, files_found, total
from pipeline.extract.csvfile import read_header
from pipeline.extract.release import DATASETS, Release, Source, exists
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError

log = logging.getLogger("pipeline.extract")


def _table_problems(found: Release, name: str) -> list[str]:
    """What is wrong with one table: absent, unreadable, or columns missing from its header."""
    contract, path = contracts.table(name), release.path_in(found, name)
    users = "every target" if "core" in contract.needed_by else ", ".join(contract.needed_by)
    users = users or "labels of tasks"
    if not exists(path):
        either = path.name.removesuffix(".gz")
        return [f"{path}: missing table {name} (for {users}); {either} would do as well"]
    try:
        header = read_header(path)
    except InputError as error:
        return [f"{error} (table {name}, for {users})"]
    columns = contracts.columns_found(contract, header)
    missing = [column for column, there in columns.items() if there is None]
    names = [" or ".join(contract.found_as.get(column, (column,))) for column in missing]
    return [f"{path}: column {column} of {name} (for {users}) is missing" for column in names]


def not_at_hand(letters: Iterable[str], source: Source) -> dict[str, str]:
    """Modalities whose tables the source lacks, with the first table that is why.

    Results count who has which modality, those that they do not read among them, where they can.
    """
    core = set(contracts.tables_for(""))
    lacking: dict[str, str] = {}
    for letter in letters:
        for name in contracts.tables_for(letter):
            if name not in core and not _at_hand(name, source):
                lacking.setdefault(letter, f"the source has no table {name} that can be read")
    return lacking


def _at_hand(name: str, source: Source) -> bool:
    """Whether a table can be read; it cannot where the source names no folder of its data set."""
    try:
        found = release.locate(source, contracts.table(name).dataset)
    except InputError:
        return False
    return found.found and not _table_problems(found, name)


def _dataset_problems(
    source: Source, dataset: str, tables: list[str], films_needed: bool
) -> list[str]:
    """What is wrong with one data set: its folder, its tables, its films."""
    found = release.locate(source, dataset)
    lines = []
    if not found.found:
        lines.append(
            f"{found.folder}: no {DATASETS[dataset].title} here; "
            f"set source.root or source.{dataset} in config.yaml to where it is"
        )
    lines += [line for name in tables for line in _table_problems(found, name)]
    if (
        films_needed
        and dataset == "mimic_cxr_jpg"
        and not _any_film_folder(release.films_folder(source))
    ):
        films = release.films_folder(source)
        lines.append(
            f"{films}: no films here; expected are the folders p10 … p19 of the JPEGs: "
            "results/download/films.txt lists those to fetch, targets without c need none"
        )
    return lines


def _any_film_folder(films: Path) -> bool:
    try:
        return any(films.glob("p1*"))
    except OSError:
        return False


def free_bytes(results: Path) -> int:
    """What is free on the disk of the results, which may not exist yet."""
    folder = results.absolute()
    folder = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(folder).free


def _disk_problems(needed: float, results: Path) -> list[str]:
    """Whether the disk of the results holds `needed` bytes."""
    free = free_bytes(results)
    if free >= needed:
        return []
    return [
        f"{results}: about {in_words(needed)} of disk are needed, {in_words(free)} are free; "
        "free some, put the results elsewhere, or try a share of the subjects (sample: 0.01)"
    ]


def problems(asked: Needs, source: Source, results: str | Path, sample: float = 1.0) -> list[str]:
    """Every reason why what is asked for cannot be made; empty if there is none.

    Each line begins with the path at which something is wrong, and says what to do.
    """
    tables = contracts.tables_for(asked)
    lines = []
    for dataset in dict.fromkeys(contracts.table(name).dataset for name in tables):
        mine = [name for name in tables if contracts.table(name).dataset == dataset]
        lines += _dataset_problems(source, dataset, mine, "c" in asked)
    needed = estimate(asked, source, results, sample).disk
    return lines + _disk_problems(needed, Path(results).absolute())


def check(asked: Needs, source: Source, results: str | Path, sample: float = 1.0) -> None:
    """Raises one `InputError` that lists all `problems`."""
    if lines := problems(asked, source, results, sample):
        listed = "".join(f"\n  - {line}" for line in lines)
        raise InputError(f"{len(lines)} problem(s) before anything starts:{listed}")


def estimate(asked: Needs, source: Source, results: str | Path, sample: float = 1.0) -> Cost:
    """Disk and time of the data stages, from the sizes of the files that are there."""
    return total(costs(asked, files_found(asked, source), results, Settings(sample)))


def in_words(count: float) -> str:
    """Bytes for a reader.

    >>> in_words(3.3e9), in_words(5e8), in_words(3e6), in_words(9e3)
    ('3.3 GB', '0.5 GB', '3 MB', '< 1 MB')
    """
    if 0 < count < 1e6:
        return "< 1 MB"
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"


def report(asked: Needs, source: Source, results: str | Path, sample: float = 1.0) -> list[str]:
    """Lines for the log: each data set with its release, then the estimate of disk and time."""
    tables = contracts.tables_for(asked)
    datasets = dict.fromkeys(contracts.table(name).dataset for name in tables)
    found = [release.describe(release.locate(source, dataset)) for dataset in datasets]
    needs = estimate(asked, source, results, sample)
    minutes = f"{max(needs.seconds / 60, 1):.0f} min"
    cost = f"estimate: {in_words(needs.disk)} of disk; {minutes} of one core before training"
    cost += f", {needs.films:,} films among it" if needs.films else ""
    return [*found, cost]


def main() -> None:
    """Logs the releases and the estimate, then fails if anything is missing."""
    arguments = parser(__doc__)
    arguments.add_argument("--modalities", required=True, help="letters of the target, e.g. ecn")
    arguments.add_argument("--source", type=json.loads, required=True, help="the config's source")
    arguments.add_argument("--results", default="results", help="folder that will be written")
    arguments.add_argument("--sample", type=float, default=1.0, help="share of subjects kept")
    given = arguments.parse_args()
    for line in report(given.modalities, given.source, given.results, given.sample):
        log.info(line)
    check(given.modalities, given.source, given.results, given.sample)


if __name__ == "__main__":
    run(main)
