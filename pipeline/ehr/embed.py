"""Embeds every episode with the frozen encoder of modality `ehr`.

python -m pipeline.ehr.embed --help
"""

from pipeline.common.command import run
from pipeline.ehr.modality import Ehr
from pipeline.training.embed import embed


def main() -> None:
    """Runs the shared stage for this modality."""
    embed(Ehr(), __doc__)


if __name__ == "__main__":
    run(main)
