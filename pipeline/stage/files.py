"""Files that are either whole or absent."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.stage.errors import InputError

_parts: set[Path] = set()  # temporary paths that this process writes to
WRITTEN = "written"  # attribute of an error: the path that was not finished, and its bytes so far


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `path` and renames it to `path` only if the block succeeds.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "counts.txt"
    >>> with whole(target) as part:
    ...     _ = part.write_text("1")
    >>> target.read_text(), len(list(target.parent.iterdir()))
    ('1', 1)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    _parts.add(part)
    try:
        yield part
        part.replace(path)
    except Exception as error:
        if not hasattr(error, WRITTEN):  # the innermost file is the one that could not be written
            setattr(error, WRITTEN, (path, part.stat().st_size if part.is_file() else 0))
        raise
    finally:
        part.unlink(missing_ok=True)
        _parts.discard(part)


def remove_parts() -> None:
    """Removes what this process has not finished, where it ends without leaving its blocks."""
    for part in list(_parts):
        part.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any) -> None:
    """Writes `value` as indented JSON, in the given key order, whole or not at all."""
    with whole(path) as part:
        part.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Reads a JSON file; `InputError` with its name where it is missing or broken."""
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable JSON file ({type(error).__name__})") from error
