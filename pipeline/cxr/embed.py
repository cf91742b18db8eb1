"""Embeds every episode with the frozen encoder of modality `cxr`.

python -m pipeline.cxr.embed --help
"""

from pipeline.common.command import run
from pipeline.cxr.modality import Cxr
from pipeline.training.embed import embed


def main() -> None:
    """Runs the shared stage for this modality."""
    embed(Cxr(), __doc__)


if __name__ == "__main__":
    run(main)
