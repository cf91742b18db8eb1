"""Which files of this package a module consists of: its own and those it imports, by AST.

Snakemake takes them as `input:`, so that an edit reruns exactly the rules that use the code
(touching is free: inputs are compared by checksum). Imports nothing heavy: it is used while the
workflow is planned.
"""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def path_of(module: str) -> Path | None:
    """The file of a first-party module or package, relative to the repository; None if foreign.

    >>> path_of("pipeline.common.modules").as_posix()
    'pipeline/common/modules.py'
    >>> path_of("polars") is None
    True
    """
    base = Path(*module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if module.split(".")[0] == "pipeline" and (ROOT / candidate).is_file():
            return candidate
    return None


def _imports(file: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _data_beside(file: str) -> list[str]:
    # `episodes.py` owns `episodes*.sql` and `episodes*.csv` beside it
    path = ROOT / file
    found = sorted(path.parent.glob(f"{path.stem}*.*"))
    return [own.relative_to(ROOT).as_posix() for own in found if own.suffix in {".sql", ".csv"}]


# cached, as all that reads the package: a plan of the full grid asks thousands of times
@cache
def _direct(file: str) -> frozenset[str]:
    """The data beside a module, and the first-party files that it imports itself."""
    found = {path for name in _imports(file) if (path := path_of(name))}
    imported = {path.as_posix() for path in found if path.name != "__init__.py"}
    return frozenset([*imported, *_data_beside(file)])


@cache
def _consists_of(file: str) -> frozenset[str]:
    """All that a module consists of, itself among it."""
    seen, waiting = {file}, [file]
    while waiting:
        own = waiting.pop()
        more = _direct(own) - seen if own.endswith(".py") else frozenset()
        seen |= more
        waiting += more
    return frozenset(seen)


def source_files(module: str) -> list[str]:
    """The module's own file first, then every first-party file it imports, directly or not.

    A path (with a slash) stands for that file alone, such as a task's query.

    >>> source_files("pipeline.common.files")
    ['pipeline/common/files.py', 'pipeline/common/errors.py']
    >>> source_files("pipeline.common.command")
    ['pipeline/common/command.py', 'pipeline/common/errors.py', 'pipeline/common/files.py']
    """
    first = Path(module) if "/" in module else path_of(module)
    if first is None or not (ROOT / first).is_file():
        raise ValueError(f"no module {module} in this package")
    return [first.as_posix(), *sorted(_consists_of(first.as_posix()) - {first.as_posix()})]
