"""Finds the data sets of a source, and the release of each.

A source is the mapping `{root, mimic_iv, mimic_cxr_jpg, mimic_note}` of the config: `root` is the
folder that holds the data sets, the others name the folder of one data set (each may lie on its own
disk and be read-only). Of several version folders (`mimiciv/3.1`) the newest is taken; of a table
that lies there as .csv.gz and as .csv, the .csv.gz.
Imports nothing heavy: it is used while the workflow is planned.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.extract.contracts import TABLES, table
from pipeline.extract.csvfile import SUFFIXES, read_rows
from pipeline.stage.errors import InputError

Source = Mapping[str, str | None]
_VERSION = re.compile(r"(?:^|[-_ ])v?(\d+(?:\.\d+)+)$")
_ROWS_FOR_FACTS = 500  # the first rows of admissions: their language column tells 2.x from 3.x


@dataclass(frozen=True)
class Dataset:
    """A data set of PhysioNet.

    `names`: of its folder, as wget and as PhysioNet's zip files make it. `holds`: files or folders
    of which it has at least one. `newest`: the version under which it is expected where it is not
    found.
    """

    title: str
    names: tuple[str, ...]
    holds: tuple[str, ...]
    newest: str


DATASETS: Mapping[str, Dataset] = {
    "mimic_iv": Dataset(
        "MIMIC-IV",
        ("mimiciv", "mimic-iv", "mimic_iv", "mimic-iv-clinical-database-demo", "mimic-iv-demo"),
        ("hosp", "icu", "core"),
        "3.1",
    ),
    "mimic_cxr_jpg": Dataset(
        "MIMIC-CXR-JPG",
        (
            "mimic-cxr-jpg",
            "mimic_cxr_jpg",
            "mimic-cxr-jpg-chest-radiographs-with-structured-labels",
        ),
        tuple(f"mimic-cxr-2.0.0-metadata{suffix}" for suffix in SUFFIXES),
        "2.1.0",
    ),
    "mimic_note": Dataset(
        "MIMIC-IV-Note",
        (
            "mimic-iv-note",
            "mimic-note",
            "mimic_note",
            "mimic-iv-note-deidentified-free-text-clinical-notes",
        ),
        ("note", *(f"radiology{suffix}" for suffix in SUFFIXES)),
        "2.2",
    ),
}


@dataclass(frozen=True)
class Release:
    """One data set of a source and its folder (where it is not `found`: the expected one).

    `version`: in the folder's name, None where it has none. `passed_over`: folders of older
    versions of the data set.
    """

    dataset: str
    folder: Path
    found: bool
    version: str | None = None
    passed_over: tuple[Path, ...] = ()


def version_in_name(folder: Path) -> str | None:
    """The version at the end of a folder's name.

    >>> [version_in_name(Path(name)) for name in ("mimiciv/3.1", "mimic-iv-demo-2.2", "mimiciv")]
    ['3.1', '2.2', None]
    """
    match = _VERSION.search(folder.name)
    return match.group(1) if match else None


def _order(folder: Path) -> tuple[list[int], str]:
    version = version_in_name(folder) or ""
    return [int(part) for part in version.split(".") if part], str(folder)


def exists(path: Path) -> bool:
    """Whether the path exists and may be read (`Path.exists` raises where it may not)."""
    try:
        return path.exists()
    except OSError:
        return False


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(child for child in folder.iterdir() if child.is_dir())
    except OSError:
        return []


def _candidates(base: Path, names: tuple[str, ...]) -> Iterator[Path]:
    """The base, its folders that have a name of the data set, and version folders in all these."""
    named = re.compile(rf"(?:{'|'.join(names)})(?:[-_ ]v?\d+(?:\.\d+)+)?", re.IGNORECASE)
    children = [child for child in _subfolders(base) if named.fullmatch(child.name)]
    for folder in (base, *children):
        yield folder
        yield from (child for child in _subfolders(folder) if version_in_name(child))


def locate(source: Source, dataset: str) -> Release:
    """Finds a data set: under its own path where the source names one, else under `root`.

    `InputError` where the source names neither.
    """
    facts, own_path = DATASETS[dataset], source.get(dataset)
    base = own_path or source.get("root")
    if not base:
        raise InputError(
            f"source: neither root nor {dataset} is set: name the folder that holds it"
        )
    holding = {
        folder
        for folder in _candidates(Path(base), facts.names)
        if any(exists(folder / name) for name in facts.holds)
    }
    if not holding:
        expected = Path(base) if own_path else Path(base, facts.names[0], facts.newest)
        return Release(dataset, expected, found=False)
    newest, *older = sorted(holding, key=_order, reverse=True)
    return Release(dataset, newest, True, version_in_name(newest), tuple(older))


def table_path(source: Source, name: str) -> Path:
    """The file of a table; where it is missing, the path at which it is expected (csv.gz)."""
    return path_in(locate(source, table(name).dataset), name)


def path_in(release: Release, name: str) -> Path:
    """The same in a release that is already located."""
    contract = table(name)
    for folder in contract.folders:
        for suffix in SUFFIXES:
            path = release.folder / folder / f"{contract.file}{suffix}"
            if exists(path):
                return path
    old_layout = "core" in contract.folders and exists(release.folder / "core")
    folder = "core" if old_layout else contract.folders[0]
    return release.folder / folder / f"{contract.file}{SUFFIXES[0]}"


def passed_over(path: Path) -> Path | None:
    """The plain csv that lies beside a csv.gz, which is read; None where there is none."""
    plain = path.with_name(path.name.removesuffix(".gz"))
    return plain if path.suffix == ".gz" and exists(path) and exists(plain) else None


def films_folder(source: Source) -> Path:
    """The folder of the films, `files/p10/p…/s…/<dicom_id>.jpg` below it; it may be absent."""
    return locate(source, "mimic_cxr_jpg").folder / "files"


def _version_by_facts(release: Release) -> str:
    """The version of a release whose folder does not name it, as far as its files tell."""
    if release.dataset != "mimic_iv":
        return "2.x"  # the headers of their releases do not differ
    header, *rows = read_rows(path_in(release, "admissions"), _ROWS_FOR_FACTS) or [[]]
    columns = [name.lower() for name in header]
    if "ethnicity" in columns or exists(release.folder / "core"):
        return "1.0"
    position = columns.index("language") if "language" in columns else len(columns)
    languages = {row[position] for row in rows if len(row) > position}
    if any(language != language.upper() for language in languages):
        return "3.x"  # spelt out, "English"; before it was "ENGLISH" or "?"
    return "2.x" if languages - {""} else "2.0 or later"


def version_of(release: Release) -> str:
    """The version of a release; `demo 2.2` of the open demo, `3.x` where no more can be told.

    `InputError` where its folder names none and its admissions cannot be read.
    """
    version = release.version or _version_by_facts(release)
    named = (release.folder.name, release.folder.parent.name)  # …/mimic-iv-demo/2.2
    demo = exists(release.folder / "demo_subject_id.csv") or any("demo" in name for name in named)
    return f"demo {version}" if demo and release.dataset == "mimic_iv" else version


def versions(source: Source) -> dict[str, str]:
    """Title → version of each data set that the source has; `unknown` where nothing tells it."""
    by_title = {}
    for name, dataset in DATASETS.items():
        try:
            release = locate(source, name)
            if release.found:
                by_title[dataset.title] = version_of(release)
        except InputError:  # not named by the source; or unreadable, which extraction refuses
            if source.get(name) or source.get("root"):
                by_title[dataset.title] = "unknown"
    return by_title


def last_year(source: Source) -> int:
    """The last calendar year of the source's MIMIC-IV: 2019 up to release 2.2, from 3.0 on 2022.

    The folder's name tells the version, or else its files. Source: the release notes of MIMIC-IV;
    the last anchor_year_group is 2017 - 2019 up to 2.2, 2020 - 2022 in 3.x.
    """
    release = locate(source, "mimic_iv")
    version = version_in_name(release.folder)
    try:
        version = version or _version_by_facts(release)
        if version != "2.0 or later":
            return 2019 if int(version.split(".")[0]) <= 2 else 2022
        patients = read_rows(path_in(release, "patients"), _ROWS_FOR_FACTS)
    except InputError:  # extraction refuses what cannot be read
        return 2022
    return 2022 if any("2020 - 2022" in row for row in patients) else 2019


def describe(release: Release) -> str:
    """One line for the log: data set, release, folder and kind of files."""
    title = DATASETS[release.dataset].title
    if not release.found:
        return f"{title}: not found, expected at {release.folder}"
    try:
        version = release.version or f"{_version_by_facts(release)} (by its columns and values)"
    except InputError:
        version = "unknown release"
    tables = (name for name, contract in TABLES.items() if contract.dataset == release.dataset)
    files = [file for file in (path_in(release, name) for name in tables) if exists(file)]
    kinds = sorted({"csv.gz" if file.suffix == ".gz" else "csv" for file in files})
    line = f"{title} {version}: {release.folder}, files {' and '.join(kinds) or 'of no table'}"
    twice = sorted(path.name for file in files if (path := passed_over(file)))
    if twice:
        line += f"; both .csv.gz and .csv are there of {', '.join(twice)}: the .csv.gz is read"
    if release.passed_over:
        line += f"; the newest is taken, not {', '.join(map(str, release.passed_over))}"
    return line
