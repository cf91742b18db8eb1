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

from pipeline.extract import release
from pipeline.extract.tables import extract
from pipeline.hourly import adapt as hourly
from pipeline.hourly import source as hourly_source
from pipeline.meds import adapt as meds
from pipeline.meds import source as meds_source
from pipeline.plan import configuration
from pipeline.plan.sections import Source as Section
from pipeline.predict.source import ENDS, LAST_YEAR, Prepared
from pipeline.stage.command import parsed
from pipeline.stage.errors import InputError


def section_of(text: str, kind: str = "mimic", codes: str | None = None) -> dict[str, Any]:
    """The section of a source by an option: its JSON, or its folder with a kind and codes.

    >>> section_of("/data/new")["root"], section_of('{"root": "/data/new"}')["root"]
    ('/data/new', '/data/new')
    >>> section_of('{"rot": "/data/new"}')
    Traceback (most recent call last):
    pipeline.stage.errors.InputError: --source: root: Field required
    """
    told = {"kind": kind, "root": text, "codes": codes}
    if text.lstrip().startswith("{"):
        told = parsed(text, "--source")
    try:
        return Section.model_validate(told).model_dump()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InputError(f"--source: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def facts(section: dict[str, Any]) -> dict[str, Any]:
    """Kind and releases of a source, as a result says them."""
    kind, folders = section["kind"], configuration.source({"source": section})
    adapter = configuration.ADAPTERS.get(kind)
    releases = adapter.facts(folders["root"]) if adapter else release.versions(folders)
    return {"kind": kind, "releases": releases}


def prepare(section: dict[str, Any], names: Iterable[str], folder: Path, threads: int,
            memory_mb: int) -> Prepared:  # fmt: skip
    """Writes `<name>.parquet` of the named tables that the source has into `folder`.

    `InputError` where a file cannot be read.
    """
    kind, folders = section["kind"], configuration.source({"source": section})
    root = str(folders["root"])
    folder.mkdir(parents=True, exist_ok=True)
    words = "the source" if folders["root"] is None else root
    if kind == configuration.MEDS:
        wanted = [folder / f"{name}.parquet" for name in names if name in meds_source.OFFERED]
        codes = configuration.codes({"source": section})
        meds.adapt(root, codes, wanted, threads, memory_mb, folder)
        return Prepared(folder, None, LAST_YEAR, words)
    if kind == configuration.HOURLY:
        if lines := hourly_source.problems(root, ()):
            raise InputError(lines[0])
        hourly.adapt(Path(root), [folder / f"{name}.parquet" for name in names
                                  if name in hourly_source.OFFERED])  # fmt: skip
        return Prepared(folder, None, LAST_YEAR, words)
    for name in names:
        if path := table_path(folders, name):
            extract(name, path, folder / f"{name}.parquet", threads=threads, memory_mb=memory_mb,
                    temp=folder, may_lack=ENDS.get(name, ()))  # fmt: skip
    return Prepared(folder, films_of(folders), release.last_year(folders), words)


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
