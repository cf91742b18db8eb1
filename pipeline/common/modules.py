"""Which files of this package a module consists of: its own and those it imports, by AST.

Snakemake takes them as `input:`, so that an edit reruns exactly the rules that use the code
(touching is free: inputs are compared by checksum). Imports nothing heavy: it is used while the
workflow is planned.
"""

import ast
import hashlib
from collections.abc import Iterable
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


@cache
def _imports(path: Path) -> frozenset[str]:
    names = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def _data_beside(path: Path) -> list[Path]:
    # `episodes.py` owns `episodes*.sql` and `episodes*.csv` beside it
    files = sorted((ROOT / path).parent.glob(f"{path.stem}*.*"))
    return [file.relative_to(ROOT) for file in files if file.suffix in {".sql", ".csv"}]


def source_files(module: str) -> list[str]:
    """The module's own file first, then every first-party file it imports, directly or not.

    A path (with a slash) stands for that file alone, such as a task's query.

    >>> source_files("pipeline.common.files")
    ['pipeline/common/files.py', 'pipeline/common/errors.py']
    >>> source_files("pipeline.common.database")
    ['pipeline/common/database.py', 'pipeline/common/progress.py']
    """
    first = Path(module) if "/" in module else path_of(module)
    if first is None or not (ROOT / first).is_file():
        raise ValueError(f"no module {module} in this package")
    seen, waiting = {first}, [first] if first.suffix == ".py" else []
    while waiting:
        path = waiting.pop()
        found = {file for name in _imports(path) if (file := path_of(name))}
        seen |= set(_data_beside(path))
        waiting += [file for file in found - seen if file.name != "__init__.py"]
        seen |= {file for file in found if file.name != "__init__.py"}
    return [first.as_posix(), *sorted(path.as_posix() for path in seen - {first})]


def digest_of_code(modules: Iterable[str]) -> str:
    """SHA-256 over path and content of every file that the modules consist of (`source_files`)."""
    digest = hashlib.sha256()
    for file in sorted({file for module in modules for file in source_files(module)}):
        content = hashlib.sha256((ROOT / file).read_bytes()).hexdigest()
        digest.update(f"{file} {content}\n".encode())
    return digest.hexdigest()
