"""Pretrains the encoder of modality `ehr` on a task: weights and history per seed.

python -m pipeline.ehr.pretrain --help
"""

from pipeline.common.command import run
from pipeline.ehr.modality import Ehr
from pipeline.training.pretrain import pretrain


def main() -> None:
    """Runs the shared stage for this modality."""
    pretrain(Ehr(), __doc__)


if __name__ == "__main__":
    run(main)
