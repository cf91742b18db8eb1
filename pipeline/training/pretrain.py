"""Pretrains the encoder of a modality on a task: weights and history per seed.

    python -m pipeline.training.pretrain --data '{"note": {"encoder": "doc2vec", …}}' …

Encoders see the train share only; the fusion share stays unseen, so that heads fitted on it meet
features as they are on new patients. Episodes that lack the modality are in no batch and do not
count in the loss, a mean over those that have it. Under torchrun several processes train together.
"""

from pathlib import Path

from torch import nn

from pipeline.cohort.rows import check_classes, read_rows
from pipeline.stage.command import parser, run
from pipeline.training.examples import Examples
from pipeline.training.features import Unimodal
from pipeline.training.modality import add_data_argument, check_present, feature_of, read_data
from pipeline.training.seeds import add_training_arguments, train_seeds
from pipeline.training.settings import add_schedule_argument


def main() -> None:
    """Trains the modality's encoder with a linear head, one model per seed."""
    options = parser(__doc__)
    add_training_arguments(options)
    add_data_argument(options)
    add_schedule_argument(options)
    options.add_argument("--output", type=Path, required=True, help="folder of weights")
    arguments = options.parse_args()
    ((name, settings),) = arguments.data.items()
    rows = read_rows(arguments.episodes, arguments.labels, arguments.task)
    data = read_data(arguments.data, rows.episode)[name]
    check_present(name, data, rows.of("train"), "training episodes")
    have = data.present()
    train, val = (part[have[part]] for part in (rows.of("train"), rows.of("val")))
    check_classes(rows, have, name, ["train"], ["fusion"])  # heads are fitted on fusion, later
    examples = Examples(data, rows.label, train, val)

    def build(seed: int) -> tuple[nn.Module, Examples]:
        return Unimodal(feature_of(name, settings, data, train)), examples

    train_seeds(arguments, name, arguments.output, build, lambda *_: None)


if __name__ == "__main__":
    run(main)
