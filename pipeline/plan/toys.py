"""Settings that suit the synthetic hospital alone: a run on a real source is warned of them.

`config/mimic.yaml` has others, each with its reason.
"""

from collections.abc import Iterator, Mapping
from typing import Any

PIXELS, WIDTH = 224, 512  # as published (Wang et al. 2024; Zhao et al. 2022)
STEPS = 2000  # ASSUME fewer are no pass over the training admissions of a full release
REAL = "config/mimic.yaml"


def toy_settings(config: Mapping[str, Any]) -> list[str]:
    """The settings that are too small for real data, as `key: value (why)`; of encoders in use.

    >>> config = {"encoders": {"e": "tokens"}, "schedule": {"steps": 600},
    ...           "unimed": {"encoders": {}, "model": {"width": 512}, "schedule": {"steps": 9000}}}
    >>> toy_settings(config)
    ['schedule.steps: 600 (less than a pass over the training admissions of a full release)']
    """
    unimed = config["unimed"]
    used = {*config["encoders"].items(), *unimed["encoders"].items()}
    lines = [*_films(config, used), *_reports(config, used)]
    if unimed["model"]["width"] < WIDTH:
        lines.append(f"unimed.model.width: {unimed['model']['width']} ({WIDTH} as published)")
    why = "less than a pass over the training admissions of a full release"
    for key, schedule in (
        ("schedule", config["schedule"]),
        ("unimed.schedule", unimed["schedule"]),
    ):
        if schedule["steps"] < STEPS:
            lines.append(f"{key}.steps: {schedule['steps']} ({why})")
    return lines


def _films(config: Mapping[str, Any], used: set[tuple[str, str]]) -> Iterator[str]:
    """Small films, and networks of films that start from random weights."""
    networks = {name for letter, name in used if letter == "c"} & {"resnet18", "backbone"}
    if not networks:
        return
    cxr = config["cxr"]
    if cxr["pixels"] < PIXELS:
        yield f"cxr.pixels: {cxr['pixels']} ({PIXELS} as published)"
    if "resnet18" in networks and not cxr["pretrained"]:
        yield "cxr.pretrained: null (films start from random weights)"
    backbone = cxr["backbone"]
    if "backbone" in networks and not backbone["weights"] and "/" not in backbone["model"]:
        yield "cxr.backbone.weights: null (films start from random weights)"


def _reports(config: Mapping[str, Any], used: set[tuple[str, str]]) -> Iterator[str]:
    """A small BERT that is trained on a few thousand reports."""
    if ("n", "bert") in used and not config["note"]["bert"]["model"]:
        yield "note.bert.model: null (a tiny BERT is trained on the spot)"


def warning(config: Mapping[str, Any]) -> str:
    """One warning of all of them; empty where there are none."""
    lines = toy_settings(config)
    if not lines:
        return ""
    return (
        f"a real source under settings of the synthetic hospital: {', '.join(lines)}. "
        f"`--configfile {REAL}` has others, each with its reason"
    )
