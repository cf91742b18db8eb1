"""Explains the model of one modality: its frozen encoder with the head of the result.

    python -m pipeline.explain.encoder --data '{"cxr": {…}}' --weights seed0.safetensors …

Of a sample of the test episodes, drawn by a seed, the log odds are computed again without one part
at a time; `pipeline.explain.<modality>` says what a part is and what stands in its place, which is
taken from training patients. Then the attributions are scored (`pipeline.explain.scoring`), and
drawn together into pictures that show no patient. How long each step took is in the log.
"""

import argparse
import time
from importlib import import_module
from pathlib import Path

from pipeline.cohort.rows import TaskRows, read_rows
from pipeline.evaluation.statistics.figures import rounded
from pipeline.explain.causes import Truth
from pipeline.explain.model import Explained, Given, load_feature, load_head, reproduced
from pipeline.explain.parts import attribute
from pipeline.explain.pictures import Shown
from pipeline.explain.scoring import scores
from pipeline.stage.command import pairs, parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.explanations import SCHEMA_VERSION, Explanations
from pipeline.stage.files import write_json
from pipeline.stage.privacy import tell
from pipeline.training.modality import add_data_argument, check_present, read_data
from pipeline.training.processes import add_compute_arguments, make_repeatable, pick_device

SEED = 0  # of the sample
MOST = {"ehr": 128, "cxr": 128, "note": 200}  # items explained: a minute's work on two cores
ELSE = 128


def add_target_arguments(options: argparse.ArgumentParser) -> None:
    """Arguments of every stage that explains one model of one task."""
    options.add_argument("--target", required=True, help="modalities_model_task")
    options.add_argument("--protocol", required=True)
    options.add_argument("--task", required=True)
    options.add_argument("--episodes", required=True)
    options.add_argument("--labels", required=True)
    options.add_argument("--predictions", required=True, type=Path, help="of the result")
    options.add_argument("--seed", required=True, type=int, help="of the training")
    options.add_argument("--truth", type=Path, help="folder of the hospital's truth")
    options.add_argument("--suppress-below", required=True, type=int)
    options.add_argument("--most", type=int, help="items that are explained")
    options.add_argument("--output", required=True)


def arguments_of(description: str | None) -> argparse.Namespace:
    """The arguments of this stage, and of that which explains single patients."""
    options = parser(description)
    add_target_arguments(options)
    add_data_argument(options)
    add_compute_arguments(options)
    options.add_argument("--weights", required=True, type=Path, help="of the encoder")
    options.add_argument("--files", nargs="*", default=[], help="name=path: what is read besides")
    return options.parse_args()


def head_of(given: argparse.Namespace, modality: str, encoder: str, model: str,
            why_none: str | None) -> Explanations:  # fmt: skip
    """What every file says, with nothing explained yet."""
    return {
        "schema_version": SCHEMA_VERSION, "target": given.target, "modality": modality,
        "encoder": encoder, "model": model, "task": given.task, "protocol": given.protocol,
        "seed": given.seed, "suppressed_below": given.suppress_below, "method": None,
        "reason": why_none, "sample": None, "reproduced": None, "cells": None, "film": None,
        "text": None, "columns": None, "signals": None, "scores": None,
    }  # fmt: skip


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


def explained(made: Explanations, rows: TaskRows, model: Explained, predictions: Path,
              seed: int, most: int) -> Explanations:  # fmt: skip
    """The explanations of a model's items."""
    items, suppress = model.items, made["suppressed_below"]
    shown, began = Shown(suppress), time.monotonic()
    whole, value = attribute(model.occluded, items, model.size)
    took, item = time.monotonic() - began, model.method["item"]
    tell(f"attributions of %s parts of %s {item}s: {took:.1f} s", len(value), len(whole))
    began = time.monotonic()
    judged = scores(model.occluded, items, whole, value, SEED, model.cause, model.why_none,
                    suppress, shown, model.size)  # fmt: skip
    tell(f"scores: {time.monotonic() - began:.1f} s; {in_words(judged)}")
    apart = reproduced(predictions, rows.episode[model.row], seed, whole)
    tell(f"largest difference from the result's probabilities: {apart:.2g}")
    made = {
        **made, "method": model.method, "scores": judged, "reproduced": apart,
        "sample": {
            "seed": SEED, "most": most, "of": shown(model.of), "items": shown(len(whole)),
            "parts": shown(len(value)), "episodes": shown(len(set(items.episode.tolist()))),
            "patients": shown(len(set(items.subject.tolist()))),
        },
    }  # fmt: skip
    if len(set(items.subject.tolist())) < shown.least:
        return {**made, "reason": "too few patients for a picture that shows none of them"}
    picture = model.picture
    return {
        **made, "cells": picture.cells(value), "film": picture.film(value),
        "text": picture.text(value), "signals": picture.signals(value),
        "columns": picture.columns(value),
    }  # fmt: skip


def in_words(judged: dict) -> str:  # type: ignore[type-arg]
    """The scores in a line of the log."""
    parts = []
    for name in ("share", "pointing", "deletion"):
        if one := judged[name]:
            value, chance = (one["moved"], one["moved_at_random"]) if name == "deletion" else (
                one["value"], one["chance"])  # fmt: skip
            word = "" if one["informative"] else ", cannot be told from chance"
            parts.append(f"{name} {value['value']:.3f}, by chance {chance['value']:.3f}{word}")
    return "; ".join(parts) or str(judged["reason"])


def main() -> None:
    """Explains, scores, writes."""
    given = arguments_of(__doc__)
    if len(given.data) != 1:
        raise InputError("--data: expected one modality")
    ((name, settings),) = given.data.items()
    rows, model = prepare(given)
    made = head_of(given, name, settings["encoder"], "unimodal",
                   model if isinstance(model, str) else None)  # fmt: skip
    if isinstance(model, str):
        tell(f"not explained: {model}")
    else:
        most = given.most or MOST.get(name, ELSE)
        made = explained(made, rows, model, given.predictions, given.seed, most)
    write_json(given.output, rounded(made))


if __name__ == "__main__":
    run(main)
