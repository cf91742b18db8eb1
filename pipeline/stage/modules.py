"""Which files of this package a module consists of: its own, its data, and those it imports.

Snakemake takes them as `input:`, so that an edit reruns exactly the rules that use the code
(touching is free: inputs are compared by checksum). Imports nothing heavy: it is used while the
workflow is planned.

A query or catalogue belongs to the module that names it in a string: `"events.sql"`. Where a job
reads one of several, the module takes the path as an argument and names none: the rule that
chooses has the chosen file as an input, so that an edit of the others does not rerun the job.
"""

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pipeline.stage.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
# imports of this package are absolute; a test compares what is found with Python's own parser,
# which takes a second for all files
IMPORT = re.compile(
    r"^[ \t]*(?:from (pipeline[\w.]*) import (\([^)]*\)|.*)|import (pipeline[\w.]*))", re.MULTILINE
)
DATA = re.compile(
    r"""["'](\w[\w/]*\.(?:sql|csv|html|css|js))["']"""
)  # relative to the module's folder


@cache  # as all that reads the package: a plan of the full grid asks thousands of times
def path_of(module: str) -> Path | None:
    """The file of a first-party module or package, relative to the repository; None if foreign.

    >>> path_of("pipeline.stage.modules").as_posix()
    'pipeline/stage/modules.py'
    >>> path_of("polars") is None
    True
    """
    if module.split(".")[0] != "pipeline":
        return None
    base = Path(*module.split("."))
    found = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in found if (ROOT / path).is_file()), None)


@cache
def _text(file: str) -> str:
    return (ROOT / file).read_text()


def _imports(file: str) -> set[str]:
    names = set()
    for base, what, whole in IMPORT.findall(_text(file)):
        names |= {base or whole} | {f"{base}.{name}" for name in re.findall(r"\w+", what)}
    return names


def _data(file: str) -> set[str]:
    named = {Path(file).parent / name for name in DATA.findall(_text(file))}
    return {path.as_posix() for path in named if (ROOT / path).is_file()}


@cache
def _direct(file: str) -> frozenset[str]:
    """The queries and catalogues that a module names, and the first-party files it imports."""
    paths = {path for name in _imports(file) if (path := path_of(name))}
    imported = {path.as_posix() for path in paths if path.name != "__init__.py"}
    return frozenset(imported | _data(file))


@cache
def _consists_of(module: str) -> tuple[str, ...]:
    first = Path(module) if "/" in module else path_of(module)
    if first is None or not (ROOT / first).is_file():
        file = module if "/" in module else f"{module.replace('.', '/')}.py"
        raise InputError(f"no module {module} in this package; expected in {file}")
    own = first.as_posix()
    seen, waiting = {own}, [own]
    while waiting:
        file = waiting.pop()
        more = _direct(file) - seen if file.endswith(".py") else frozenset()
        seen |= more
        waiting += more
    return (own, *sorted(seen - {own}))


def source_files(module: str) -> list[str]:
    """The module's own file first, then every first-party file that it imports, directly or not,
    and the queries and catalogues that they name.

    A path (with a slash) stands for that file alone, such as a task's query.

    >>> source_files("pipeline.stage.owner")
    ['pipeline/stage/owner.py', 'pipeline/stage/arguments.py', 'pipeline/stage/errors.py']
    >>> source_files("pipeline.stage.database")
    ['pipeline/stage/database.py', 'pipeline/stage/privacy.py', 'pipeline/stage/progress.py']
    """
    return list(_consists_of(module))


def digest_of_code(modules: Iterable[str]) -> str:
    """SHA-256 over path and content of every file that the modules consist of (`source_files`)."""
    files = sorted({file for module in modules for file in source_files(module)})
    return hashlib.sha256("".join(map(_line, files)).encode()).hexdigest()


@cache
def _line(file: str) -> str:
    content = hashlib.sha256((ROOT / file).read_bytes()).hexdigest()
    return f"{file} {content}\n"
