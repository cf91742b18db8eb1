"""Checks, before anything long starts, that the source has what a target needs and that it fits.

It looks at folders, header lines and file sizes only, so it takes a second for the full MIMIC. It
names every missing data set, file and column at once, with the path where each was expected; a
target without `c` needs no films, nor does the list of films to download. It logs the releases and
an estimate of disk and time.
"""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from pipeline.extract import contracts
from pipeline.extract.costs import Cost, Needs, Settings, costs, source_files, total
from pipeline.extract.csvfile import read_header
from pipeline.extract.release import (
    DATASETS,
    Release,
    Source,
    describe,
    exists,
    films_folder,
    locate,
    path_in,
)
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.faults import size_in_words
from pipeline.stage.privacy import shown, tell


def _table_problems(release: Release, name: str) -> list[str]:
    """What is wrong with one table: absent, unreadable, or columns missing from its header."""
    contract, path = contracts.table(name), path_in(release, name)
    users = "every target" if "core" in contract.needed_by else ", ".join(contract.needed_by)
    users = users or "labels of tasks"
    if not exists(path):
        either = path.name.removesuffix(".gz")
        return [f"{path}: missing table {name} (for {users}); {either} would do as well"]
    if not path.is_file():  # a pipe would be waited for
        return [f"{path}: not a file (table {name}, for {users}): put the csv.gz or csv there"]
    try:
        header = read_header(path)
    except InputError as error:
        return [f"{error} (table {name}, for {users})"]
    in_file = contracts.names_in_file(contract, header)
    missing = [column for column, name in in_file.items() if name is None]
    names = [" or ".join(contract.found_as.get(column, (column,))) for column in missing]
    return [f"{path}: column {column} of {name} (for {users}) is missing" for column in names]


def lacking_modalities(letters: Iterable[str], source: Source) -> dict[str, str]:
    """Letter → why the source has none of the modality: the first table that it lacks.

    Results count who has which modality, also of those that they do not read, where they can.
    """
    core = set(contracts.tables_for(""))
    lacking: dict[str, str] = {}
    for letter in letters:
        for name in contracts.tables_for(letter):
            if name not in core and (why := lacking_table([name], source)):
                lacking.setdefault(letter, why)
    return lacking


def lacking_table(names: Iterable[str], source: Source) -> str:
    """Why the source lacks one of these tables, the first; empty where it has all."""
    lacking = next((name for name in names if not _readable(name, source)), None)
    return f"the source has no table {lacking} that can be read" if lacking else ""


def _readable(name: str, source: Source) -> bool:
    """Whether a table can be read; it cannot where the source names no folder of its data set."""
    try:
        release = locate(source, contracts.table(name).dataset)
    except InputError:
        return False
    return release.found and not _table_problems(release, name)


def _dataset_problems(
    source: Source, dataset: str, tables: list[str], films_needed: bool
) -> list[str]:
    """What is wrong with one data set: its folder, its tables, its films."""
    release = locate(source, dataset)
    lines = []
    if not release.found:
        lines.append(
            f"{release.folder}: no {DATASETS[dataset].title} here; "
            f"set source.root or source.{dataset} in config.yaml to where it is"
        )
    lines += [line for name in tables for line in _table_problems(release, name)]
    films = films_folder(source) if films_needed and dataset == "mimic_cxr_jpg" else None
    if films and not any(map(_any_film, (films, films.parent))):
        lines.append(
            f"{films}: no films here; expected are the folders p10 … p19 of the JPEGs, or resized "
            f"ones, <dicom_id>.jpg, there or in {release.folder}: results/download/films.txt lists "
            "those to fetch, targets without c need none"
        )
    return lines


def _any_film(folder: Path) -> bool:
    """Whether a folder holds films, or folders of patients with films: by its first such entry."""
    try:
        return any(path.suffix == ".jpg" or path.name[:2] == "p1" for path in folder.iterdir())
    except OSError:
        return False


def free_bytes(results: Path) -> int:
    """Free bytes on the disk of the results, whose folder may not exist yet."""
    folder = results.absolute()
    folder = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(folder).free


def _disk_problems(needed: float, results: Path) -> list[str]:
    """Whether the disk of the results holds `needed` bytes."""
    free = free_bytes(results)
    if free >= needed:
        return []
    there = size_in_words(free)
    return [
        f"{results}: about {size_in_words(needed)} of disk are needed, {there} are free; "
        "free some, put the results elsewhere, or try a share of the subjects (sample: 0.01)"
    ]


def problems(needs: Needs, source: Source, results: str | Path, sample: float = 1.0) -> list[str]:
    """Every reason why the target cannot be made; empty if there is none.

    Each line begins with the path at which something is wrong, and says what to do.
    """
    tables = contracts.tables_for(needs)
    lines = []
    for dataset in dict.fromkeys(contracts.table(name).dataset for name in tables):
        names = [name for name in tables if contracts.table(name).dataset == dataset]
        lines += _dataset_problems(source, dataset, names, "c" in needs)
    needed = estimate(needs, source, results, sample).disk
    return lines + _disk_problems(needed, Path(results).absolute())


def check(needs: Needs, source: Source, results: str | Path, sample: float = 1.0) -> None:
    """Raises one `InputError` that lists all `problems`."""
    if lines := problems(needs, source, results, sample):
        listed = "".join(f"\n  - {line}" for line in lines)
        raise InputError(f"{len(lines)} problem(s) before anything starts:{listed}")


def estimate(needs: Needs, source: Source, results: str | Path, sample: float = 1.0) -> Cost:
    """Disk and time of the data stages, from the sizes of the files that are there."""
    return total(costs(needs, source_files(needs, source), results, Settings(sample)))


def report(needs: Needs, source: Source, results: str | Path, sample: float = 1.0) -> list[str]:
    """Lines for the log: each data set with its release, then the estimate of disk and time."""
    tables = contracts.tables_for(needs)
    datasets = dict.fromkeys(contracts.table(name).dataset for name in tables)
    releases = [describe(locate(source, dataset)) for dataset in datasets]
    needed = estimate(needs, source, results, sample)
    minutes = f"{max(needed.seconds / 60, 1):.0f} min"
    cost = f"estimate: {size_in_words(needed.disk)} of disk; {minutes} of one core before training"
    cost += f", {shown(needed.films)} films included" if needed.films else ""
    return [*releases, cost]


def main() -> None:
    """Logs the releases and the estimate, then fails if anything is missing."""
    options = parser(__doc__)
    options.add_argument("--modalities", required=True, help="letters of the target, e.g. ecn")
    options.add_argument("--source", type=json.loads, required=True, help="the config's source")
    options.add_argument("--results", default="results", help="folder that will be written")
    options.add_argument("--sample", type=float, default=1.0, help="share of subjects kept")
    arguments = options.parse_args()
    for line in report(arguments.modalities, arguments.source, arguments.results, arguments.sample):
        tell(line)
    check(arguments.modalities, arguments.source, arguments.results, arguments.sample)


if __name__ == "__main__":
    run(main)
