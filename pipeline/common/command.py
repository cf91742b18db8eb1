"""How every stage is started from a shell: arguments, log lines, privacy of files, clear errors."""

import argparse
import logging
import os
import sys
from collections.abc import Callable

from pipeline.common.errors import InputError

log = logging.getLogger("pipeline")


def parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser that shows defaults and keeps the module docstring's line breaks.

    >>> parser("Select episodes.").description
    'Select episodes.'
    """

    class Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
        pass

    return argparse.ArgumentParser(description=description, formatter_class=Formatter)


def run(main: Callable[[], None]) -> None:
    """Runs a stage's `main`: owner-only files, log lines on stderr, one line for an `InputError`.

    Exit status: 0, or 1 after an `InputError`. Any other exception is a defect of the pipeline and
    keeps its traceback.
    """
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
