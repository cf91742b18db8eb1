"""Pretrains the encoder of modality `cxr` on a task: weights and history per seed.

python -m pipeline.cxr.pretrain --help
"""

from pipeline.common.command import run
from pipeline.cxr.modality import Cxr
from pipeline.training.pretrain import pretrain


def main() -> None:
    """Runs the shared stage for this modality."""
    pretrain(Cxr(), __doc__)


if __name__ == "__main__":
    run(main)
