"""Files that are either whole or absent, and as they were written."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.stage import digests, owner
from pipeline.stage.errors import InputError

_parts: set[Path] = set()  # temporary paths that this process writes to
WRITTEN = "written"  # attribute of an error: the path that was not finished, and its bytes so far


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `path` and renames it to `path` only if the block succeeds.

    In a job of the workflow only while it holds the token of its outputs, see
    `pipeline.stage.owner`, and with a digest beside it, see `pipeline.stage.digests`.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "counts.txt"
    >>> with whole(target) as part:
    ...     _ = part.write_text("1")
    >>> target.read_text(), len(list(target.parent.iterdir()))
    ('1', 1)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    _parts.add(part)
    try:
        yield part
        put(part, path)
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


def put(part: Path, path: Path) -> None:
    """Gives a finished file its name; its digest is absent for a moment, never wrong."""
    sealed = owner.owned() and path.suffix not in (".part", digests.SOURCE)
    line = f"{digests.digest(part)}  {path.name}\n" if sealed else ""
    owner.check(path)
    digests.beside(path).unlink(missing_ok=True)
    part.replace(path)
    if sealed:
        digests.beside(path).write_text(line)


def write_json(path: str | Path, value: Any) -> None:
    """Writes `value` as indented JSON, in the given key order, whole or not at all."""
    with whole(path) as part:
        part.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Reads a JSON file; `InputError` with its name where it is missing, broken or damaged."""
    digests.check(path)
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable JSON file ({type(error).__name__})") from error
