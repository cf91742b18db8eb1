"""What a run that was killed left of patients' data on the disk, removed as the next run starts."""

import sys

from snakemake.logging import logger

from pipeline.plan.locks import looks_only
from pipeline.stage import temporary
from pipeline.stage.errors import InputError


def clear(*, main: bool) -> None:
    """Makes one private folder below results/ that of all temporary files, and sweeps it.

    `main`: whether this process plans the run, not a job of it on another node. A command that only
    looks, such as `--summary`, sweeps nothing.
    """
    try:
        folder = temporary.use()
    except InputError as error:
        sys.exit(str(error))
    if main and not looks_only() and (unknown := temporary.sweep(folder)):
        logger.warning(
            f"{folder} holds temporary files of {unknown} jobs that may have been killed, on other "
            "nodes or where the file system has no locks to tell: delete the folder when no run is "
            "alive"
        )
