"""Embeds every episode with the frozen encoder of modality `note`.

python -m pipeline.note.embed --help
"""

from pipeline.common.command import run
from pipeline.note.modality import Note
from pipeline.training.embed import embed


def main() -> None:
    """Runs the shared stage for this modality."""
    embed(Note(), __doc__)


if __name__ == "__main__":
    run(main)
