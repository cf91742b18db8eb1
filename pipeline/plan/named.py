"""Pretrained weights that the config names, and where `make weights` puts them.

A model of the hub is named owner/name@revision, weights of torchvision by their own name (such as
IMAGENET1K_V1). Below the folder `weights` of the config each has a folder of its own. For the jobs
a name is replaced by what lies there: they read files alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.stage.errors import InputError

HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+@[\w.-]+")
OPEN = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")  # a hub's model without a revision, or a folder
TORCHVISION = re.compile(r"[A-Z][A-Z0-9_]*")
Keys = tuple[str, ...]
MODELS: tuple[Keys, ...] = (("note", "bert", "model"), ("cxr", "backbone", "model"))
WEIGHTS: tuple[Keys, ...] = (("cxr", "pretrained"), ("cxr", "backbone", "weights"))


@dataclass(frozen=True)
class Named:
    """Weights that a key of the config names.

    `model`: owner/name or a torchvision network; `version`: the revision, or the name of the
    weights; `path`: the folder, or the file of torchvision's weights, that jobs read.
    """

    keys: Keys
    source: Literal["hub", "torchvision"]
    model: str
    version: str
    path: Path

    def __str__(self) -> str:
        return f"{self.model}@{self.version}"

    @property
    def key(self) -> str:
        """The key as messages have it."""
        return ".".join(self.keys)

    @property
    def folder(self) -> Path:
        """Where all its files lie."""
        return self.path if self.source == "hub" else self.path.parent


def named_weights(config: Mapping[str, Any]) -> list[Named]:
    """What the config names to be fetched, in the order of its keys.

    >>> config = {"weights": "w", "note": {"bert": {"model": "a/b@main"}},
    ...           "cxr": {"pretrained": "IMAGENET1K_V1",
    ...                   "backbone": {"model": "densenet121", "weights": None}}}
    >>> [(str(one), one.path.as_posix()) for one in named_weights(config)]
    [('a/b@main', 'w/a/b@main'), ('resnet18@IMAGENET1K_V1', \
'w/torchvision/resnet18@IMAGENET1K_V1/resnet18-IMAGENET1K_V1.safetensors')]
    """
    folder, made = Path(config["weights"]).expanduser(), []
    for keys in MODELS:
        value = _at(config, keys)
        if value and HUB.fullmatch(value) and not Path(value).is_dir():
            model, _, version = value.partition("@")
            made.append(Named(keys, "hub", model, version, folder / value))
    for keys in WEIGHTS:
        value = _at(config, keys)
        model = config["cxr"]["backbone"]["model"] if "backbone" in keys else "resnet18"
        if "/" in model:  # holds its weights itself
            continue
        if value and TORCHVISION.fullmatch(value) and not Path(value).is_file():
            file = f"torchvision/{model}@{value}/{model}-{value}.safetensors"
            made.append(Named(keys, "torchvision", model, value, folder / file))
    return made


def locate(config: dict[str, Any]) -> None:
    """Replaces the names by the paths that jobs read, in place."""
    for one in named_weights(config):
        section = config
        for key in one.keys[:-1]:
            section = section[key]
        section[one.keys[-1]] = str(one.path)


def missing(config: Mapping[str, Any]) -> list[str]:
    """A line for each name whose weights were not fetched; of unused film encoders none."""
    used = {*config["encoders"].values(), *config["unimed"]["encoders"].values()}
    return [
        f"{one.key}: {one} is not below {config['weights']}; fetch it with `make weights` (CONFIG= "
        "the file that names it) on a machine with a net, or set weights to the folder that has it"
        for one in named_weights(config)
        if not one.path.exists() and ("backbone" not in one.keys or "backbone" in used)
    ]


def without_revision(config: Mapping[str, Any]) -> None:
    """Refuses a hub's model that is named without its revision: another call would fetch others.

    A folder of that path is none.
    """
    for keys in MODELS:
        value = _at(config, keys)
        if value and OPEN.fullmatch(value) and not Path(value).is_dir():
            raise InputError(f"config.{'.'.join(keys)}: {value} names no revision; name a commit, "
                             f"as in {value}@0123abc: a branch moves on")  # fmt: skip


def _at(config: Mapping[str, Any], keys: Keys) -> str | None:
    value: Any = config
    for key in keys:
        value = value[key]
    return value if isinstance(value, str) else None
