"""The time of the trainings behind a result: measured steps × the budget, before anything is made.

Steps are measured in a process of its own (`pipeline.training.pace`), for the planner needs no
torch: a few of each encoder, on episodes at random as large as MIMIC's, with the config's sizes,
threads, device and precision. The budget is the upper bound: early stopping mostly ends before it.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from pipeline.fusion import registry
from pipeline.plan import protocols, targets
from pipeline.plan.wiring import Wiring
from pipeline.stage.errors import InputError
from pipeline.stage.faults import size_in_words

TRAINED_TOGETHER = "pipeline.fusion.joint"
ASSUMED = (
    "measured on episodes at random, of MIMIC's size (the hospital's are smaller): 250 times of 5 "
    "tokens, 2 films, 4 reports each; on a CPU in seconds of its threads, whatever else it does",
    "assumed: early stopping saves nothing; validation, embedding by what was trained, and heads "
    "take little beside it",
)


def training_lines(
    config: Mapping[str, Any],
    modalities: str,
    model: str,
    task: str,
    protocol: str,
    words: Callable[[float], str],
) -> list[str]:
    """What the trainings of a target take at most, a line each; `words`: of seconds."""
    if registry.is_decoder(model):
        return [f"train {model}: not measured beforehand"]
    known = registry.models(config, protocol)[model]
    if known.features in ("statistics", "scores"):
        return ["no encoder is trained; a baseline on statistics takes seconds to minutes"]
    schedule = json.loads(schedule_of(config, modalities, task, protocol))
    runs = len(config["seeds"]) * len(protocols.folds(config, protocol))
    measured = measure(config, modalities, task, protocol)
    lines = [encoder_line(name, found, schedule, runs, words) for name, found in measured.items()]
    lines += [frozen_line(name, found["frozen"], words) for name, found in measured.items()
              if "frozen" in found]  # fmt: skip
    each = sum(found.get("seconds", 0.0) for found in measured.values())
    if TRAINED_TOGETHER in known.modules and "steps" in schedule:
        more = words(each * schedule["steps"] * runs)
        lines.append(f"train {model}: at most about {more}, as its encoders together (assumed)")
    return [*lines, *ASSUMED]


def encoder_line(
    name: str,
    found: Mapping[str, Any],
    schedule: Mapping[str, Any],
    runs: int,
    words: Callable[[float], str],
) -> str:
    """The line of one encoder, of so many trainings.

    >>> encoder_line("ehr", {"seconds": 0.5, "gpu_bytes": None}, {"steps": 600}, 2, str)
    'train ehr: at most 600.0: 600 steps of 0.5 s (measured) × 2 trainings'
    """
    if "reason" in found:
        return f"train {name}: not measured: {found['reason']}"
    step, memory = f"{found['seconds']:.2g} s (measured)", ""
    if found["gpu_bytes"]:
        memory = f"; {size_in_words(found['gpu_bytes'])} of the GPU (measured)"
    times = f"{runs} training{'s' * (runs > 1)}"
    if "steps" not in schedule:  # its epochs are passes over a cohort that is not selected yet
        return f"train {name}: {schedule['epochs']} epochs, a step takes {step}; {times}{memory}"
    total = words(schedule["steps"] * found["seconds"] * runs)
    steps = f"{schedule['steps']} steps of {step}"
    return f"train {name}: at most {total}: {steps} × {times}{memory}"


def frozen_line(name: str, found: Mapping[str, Any], words: Callable[[float], str]) -> str:
    """The line of a frozen network.

    >>> frozen_line("cxr", {"items": "films", "seconds": 0.5}, str)
    'embed cxr: 500.0 per thousand films (measured), each once, whatever the task'
    """
    if "reason" in found:
        return f"embed {name}: not measured: {found['reason']}"
    thousand = f"{words(1000 * found['seconds'])} per thousand {found['items']} (measured)"
    return f"embed {name}: {thousand}, each once, whatever the task"


def frozen_settings(merged: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What a frozen network is made of, which trainings on its vectors do not read."""
    section = merged[name]
    if name == "cxr":
        return {**section["backbone"], "pixels": section["pixels"]}
    return {key: section["bert"][key] for key in ("model", "tokens")}


def schedule_of(config: Mapping[str, Any], modalities: str, task: str, protocol: str) -> str:
    """How the encoders are trained, as JSON."""
    merged = protocols.settings(config, protocol)
    return protocols.schedule(merged, modalities, registry.SINGLE, task)


def measure(config: Mapping[str, Any], modalities: str, task: str, protocol: str
            ) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Modality → what `pipeline.training.pace` measures of its encoder on this machine."""
    job = SimpleNamespace(modalities=modalities, model=registry.SINGLE, task=task,
                          protocol=protocol, unit=targets.unit_of(config, task, protocol)
                          )  # fmt: skip
    merged = protocols.settings(config, protocol)
    data, torch = json.loads(Wiring(config).encoder_data()(job)), merged["torch"]
    for name, settings in data.items():
        if settings.get("trained") == "frozen":
            settings |= frozen_settings(merged, name)
    command = [
        *(sys.executable, "-m", "pipeline.training.pace"),
        *("--data", json.dumps(data)),
        *("--schedule", schedule_of(config, modalities, task, protocol)),
        *("--torch-threads", str(torch["threads"]), "--device", torch["device"]),
        *("--precision", torch["precision"]),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"a step of training could not be measured: {last}")
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found
