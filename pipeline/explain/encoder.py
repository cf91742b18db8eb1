"""Explains the model of one modality: its frozen encoder with the head of the result.

    python -m pipeline.explain.encoder --data '{"cxr": {…}}' --weights seed0.safetensors …

Of a sample of the test episodes, drawn by a seed, the log odds are computed again without one part
at a time; `pipeline.explain.<modality>` says what a part is and what stands in its place, which is
taken from training patients. Then the attributions are scored (`pipeline.explain.scoring`), and
drawn together into pictures that show no patient. How long each step took is in the log.
"""

import argparse
from importlib import import_module
from pathlib import Path

from pipeline.cohort.rows import TaskRows, read_rows
from pipeline.evaluation.statistics.figures import rounded
from pipeline.explain.causes import Truth
from pipeline.explain.common import SEED, Explained, add_target_arguments, explained, head_of
from pipeline.explain.model import Given, load_feature, load_head
from pipeline.stage.command import pairs, parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.stage.privacy import tell
from pipeline.training.modality import add_data_argument, check_present, read_data
from pipeline.training.processes import add_compute_arguments, make_repeatable, pick_device

MOST = {"ehr": 96, "cxr": 96, "note": 96}  # items explained: a minute's work on two cores
ELSE = 128


def arguments_of(description: str | None) -> argparse.Namespace:
    """The arguments of this stage, and of that which explains single patients."""
    options = parser(description)
    add_target_arguments(options)
    add_data_argument(options)
    add_compute_arguments(options)
    options.add_argument("--target", required=True, help="modalities_model_task")
    options.add_argument("--predictions", required=True, type=Path, help="of the result")
    options.add_argument("--output", required=True)
    options.add_argument("--weights", required=True, type=Path, help="of the encoder")
    options.add_argument("--files", nargs="*", default=[], help="name=path: what is read besides")
    return options.parse_args()


def prepare(given: argparse.Namespace) -> tuple[TaskRows, Explained | str]:
    """The items of the modality with the model; or why there are none."""
    ((name, settings),) = given.data.items()
    make_repeatable(given.seed, given.torch_threads, "fp32")
    rows = read_rows(given.episodes, given.labels, given.task)
    try:
        module = import_module(f"pipeline.explain.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"pipeline.explain.{name}":
            raise
        return rows, f"no explanation is made of the modality {name}"
    data = read_data(given.data, rows.episode)[name]
    have, train = data.present(), rows.of("train")
    if not have[rows.of("test")].any():
        return rows, "no test episode has the modality"
    check_present(name, data, train, "training episodes")
    device = pick_device(given.device)
    feature = load_feature(name, settings, data, train[have[train]], given.weights).to(device)
    head = load_head(given.weights.with_name(f"head_{given.weights.name}")).to(device)
    files = {one: Path(path) for one, path in pairs(given.files, "--files").items()}
    files["episodes"] = Path(given.episodes)
    truth = Truth(given.truth, given.task) if given.truth else None
    most = given.most or MOST.get(name, ELSE)
    asked = Given(name, settings, data, rows, feature, head, device, files, truth, SEED, most,
                  given.suppress_below)  # fmt: skip
    return rows, module.explain(asked)


def main() -> None:
    """Explains, scores, writes."""
    given = arguments_of(__doc__)
    if len(given.data) != 1:
        raise InputError("--data: expected one modality")
    ((name, settings),) = given.data.items()
    rows, model = prepare(given)
    made = head_of(given, given.target, name, settings["encoder"], "unimodal", model)
    if isinstance(model, Explained):
        made = explained(made, rows, model, given.predictions, given.seed)
    else:
        tell(f"not explained: {model}")
    write_json(given.output, rounded(made))


if __name__ == "__main__":
    run(main)
