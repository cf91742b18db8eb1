"""From source files to results: the rooms of the workflow, one folder each.

No job makes a network call: transformers and the hub's client read these switches when they are
imported, which no module of this package does before this file has run.

An import of a stage that fails for want of memory is told in one line: `stage.command.run`, which
tells all else, has not begun then.
"""

import os
import sys
from types import TracebackType

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_DATASETS_OFFLINE="1")


def _import_failed(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Ends a stage whose libraries do not fit into memory with the status of such a job, 137."""
    from pipeline.stage.errors import MemoryShortError
    from pipeline.stage.faults import explained

    if isinstance(short := explained(error, sys.argv[1:]), MemoryShortError):
        print("error: memory: too little to import its libraries", file=sys.stderr, flush=True)
        os._exit(short.status)
    sys.__excepthook__(kind, error, trace)


if any(word.startswith("pipeline.") for word in sys.orig_argv[1:4]):  # python -m pipeline.…
    sys.excepthook = _import_failed
