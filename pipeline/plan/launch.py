"""How a training is started: by Python, by torchrun on one node, by torchrun on each node of a job.

Read while the workflow is planned: it knows command lines, not torch.
"""

import shutil

# Its rendezvous is on the first node, where a job's commands run. The port follows the job, so
# that two jobs on one node do not meet; it lies below those that Linux gives to others.
_RENDEZVOUS = (
    "--rdzv-backend c10d --rdzv-id $SLURM_JOB_ID"
    " --rdzv-endpoint $(hostname):$((10000 + SLURM_JOB_ID % 20000))"
)
_TORCHRUN = "python -m torch.distributed.run"


def command(nodes: int, processes: int) -> str:
    """What stands before the module of a training: `processes` on each of `nodes`.

    >>> command(1, 1)
    'python -m'
    >>> command(1, 4)
    'python -m torch.distributed.run --standalone --nproc-per-node 4 -m'
    """
    if nodes == processes == 1:
        return "python -m"
    each = f"--nproc-per-node {processes} -m"
    if nodes == 1:
        return f"{_TORCHRUN} --standalone {each}"
    # a torchrun that fails ends those that wait for it
    srun = (
        f"srun --nodes {nodes} --ntasks {nodes} --ntasks-per-node 1"
        " --cpus-per-task $OMP_NUM_THREADS --kill-on-bad-exit"
    )
    return f"{srun} {_TORCHRUN} --nnodes {nodes} {_RENDEZVOUS} {each}"


def refusal(nodes: int) -> list[str]:
    """Why a training cannot run on so many nodes here."""
    if nodes == 1 or shutil.which("srun"):
        return []
    return [f"config.torch.nodes: {nodes} nodes need Slurm's srun, which is not here; set 1"]


def resources(nodes: int, gpus: int) -> dict[str, int | str]:
    """Resources of a training: its GPUs on each node, and what the Slurm plugin needs to know.

    >>> resources(1, 4)
    {'gpu': 4}
    """
    if nodes == 1:
        return {"gpu": gpus}
    # mpi: the rule's command calls srun, so that the plugin must not; one such call per node,
    # however many GPUs it has
    return {"gpu": gpus * nodes, "nodes": nodes, "tasks": nodes, "tasks_per_gpu": 0, "mpi": "srun"}
