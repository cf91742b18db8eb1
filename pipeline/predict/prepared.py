"""A source of any kind, brought into the tables that a prediction reads.

A source is a section as `source` of the config: MIMIC's files (`{root: …}`, or each data set by
itself), a MEDS data set (`{kind: meds, root: …}`) or hourly concept tables (`{kind: hourly, …}`).
The tables are those of the rules extract_table, adapt_meds and adapt_hourly; a table that the
source lacks is not written.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.cohort.task import find
from pipeline.extract import release
from pipeline.extract.settings import Source as Section
from pipeline.extract.settings import expanded
from pipeline.extract.tables import extract
from pipeline.hourly import adapt as hourly
from pipeline.hourly import source as hourly_source
from pipeline.meds import adapt as meds
from pipeline.meds import source as meds_source
from pipeline.predict.source import ENDS, LAST_YEAR, Prepared
from pipeline.stage.command import parsed
from pipeline.stage.errors import InputError
from pipeline.stage.modules import ROOT

ADAPTERS: dict[str, Any] = {"meds": meds_source, "hourly": hourly_source}


def section_of(text: str, kind: str = "mimic", codes: str | None = None) -> Section:
    """The section of a source by an option: its JSON, or its folder with a kind and codes.

    >>> section_of(".").root, section_of('{"kind": "hourly", "root": "."}').kind
    ('.', 'hourly')
    >>> section_of('{"kind": "meds"}')
    Traceback (most recent call last):
    pipeline.stage.errors.InputError: --source: root: Field required
    """
    told: Any = {"kind": kind, "root": text, "codes": codes}
    if text.lstrip().startswith("{"):
        told = parsed(text, "--source")
    try:
        section = Section.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InputError(f"--source: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    for name, path in section.folders.items():
        if path and not Path(path).is_dir():
            raise InputError(f"--source: {name}: no folder {path}")
    return section


def facts(section: Section) -> dict[str, Any]:
    """Kind and releases of a source, as a result says them."""
    adapter = ADAPTERS.get(section.kind)
    releases = (
        adapter.facts(section.folders["root"]) if adapter else release.versions(section.folders)
    )
    return {"kind": section.kind, "releases": releases}


def check_offered(section: Section, task: str) -> None:
    """`InputError` where a source of MEDS or hourly tables does not have what a task asks for."""
    if section.kind == "hourly" and task != hourly_source.TASK:
        raise InputError(f"{section.folders['root']}: hourly tables have the outcomes of "
                         f"{hourly_source.TASK} alone, and the model is of {task}")  # fmt: skip
    if section.kind == "meds" and (items := meds_source.unknown_items(find(task).asked.files)):
        raise InputError(f"{section.folders['root']}: the task {task} reads items that are no "
                         f"signals of a MEDS source: {', '.join(map(str, items))}")  # fmt: skip


def prepare(section: Section, names: Iterable[str], folder: Path, threads: int, memory_mb: int
            ) -> Prepared:  # fmt: skip
    """Writes `<name>.parquet` of the named tables that the source has into `folder`.

    `InputError` where a file cannot be read.
    """
    folders = section.folders
    root = folders["root"] or ""
    folder.mkdir(parents=True, exist_ok=True)
    if adapter := ADAPTERS.get(section.kind):
        outputs = [folder / f"{name}.parquet" for name in names if name in adapter.OFFERED]
        if lines := adapter.problems(root, ()):
            raise InputError(lines[0])
        if section.kind == "meds":
            codes = expanded(section.codes or str(ROOT / meds_source.SHIPPED))
            meds.adapt(root, codes, outputs, threads, memory_mb, folder)
        else:
            hourly.adapt(Path(root), outputs)
        return Prepared(folder, None, LAST_YEAR, root)
    for name in names:
        if path := table_path(folders, name):
            extract(name, path, folder / f"{name}.parquet", threads=threads, memory_mb=memory_mb,
                    temp=folder, may_lack=ENDS.get(name, ()))  # fmt: skip
    return Prepared(folder, films_of(folders), release.last_year(folders), root or "the source")


def table_path(folders: release.Source, name: str) -> Path | None:
    """The file of a table of MIMIC's; None where the source has none."""
    try:
        path = release.table_path(folders, name)
    except InputError:  # neither root nor its data set is named
        return None
    return path if release.exists(path) else None


def films_of(folders: release.Source) -> Path | None:
    """The folder of the data set of films; None where the source has none."""
    try:
        found = release.locate(folders, "mimic_cxr_jpg")
    except InputError:
        return None
    return found.folder if found.found else None
