"""What the command line of a job says: the values of its options, the files that it names.

Read where no parser of the job's is at hand: after a failure, and by who waits for the job. Knows
no library.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path


def value_of(arguments: Sequence[str], option: str) -> str:
    """The value of an option, the last where it stands twice; empty where it does not stand there.

    >>> value_of(["-m", "torch.distributed.run", "-m", "pipeline.training.pretrain"], "-m")
    'pipeline.training.pretrain'
    """
    return next((v for name, v in reversed([*pairwise(arguments)]) if name == option), "")


def files_among(arguments: Iterable[str]) -> list[Path]:
    """What a command's arguments name and is there, also as task=path or within JSON, each once.

    Of a folder the files directly in it, hidden ones left out. A pipe counts as a file.
    """
    files: set[Path] = set()
    for path in {Path(name) for argument in arguments for name in _texts_of(argument)}:
        with suppress(OSError):  # a long text that is no path
            if path.is_dir():
                inside = (file for file in path.iterdir() if not file.name.startswith("."))
                files.update(file for file in inside if file.is_file())
            elif path.exists():
                files.add(path)
    return sorted(files)


def _texts_of(argument: str) -> Iterator[str]:
    """What may be paths in an argument: itself, of `task=path` the path, the texts of JSON."""
    texts: Iterable[str] = (argument, argument.partition("=")[2])
    if argument.startswith(("{", "[")):
        try:
            texts = _texts(json.loads(argument))
        except ValueError:
            return
    yield from filter(None, texts)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
