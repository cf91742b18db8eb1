"""What a run that was killed left of patients' data on the disk, removed as the next run starts."""

from snakemake.logging import logger

from pipeline.stage import temporary


def clear(*, main: bool) -> None:
    """Makes one private folder below results/ that of all temporary files, and sweeps it.

    `main`: whether this process plans the run, not a job of it on another node.
    """
    folder = temporary.use()
    if main and (unknown := temporary.sweep(folder)):
        logger.warning(
            f"{folder} holds temporary files of {unknown} jobs that may have been killed, and this "
            "file system has no locks to tell: delete the folder when no run is alive"
        )
