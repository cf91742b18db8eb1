"""Pretrains the encoder of modality `note` on a task: weights and history per seed.

python -m pipeline.note.pretrain --help
"""

from pipeline.common.command import run
from pipeline.note.modality import Note
from pipeline.training.pretrain import pretrain


def main() -> None:
    """Runs the shared stage for this modality."""
    pretrain(Note(), __doc__)


if __name__ == "__main__":
    run(main)
