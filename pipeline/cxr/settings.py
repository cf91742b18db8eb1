"""Settings of films, as the config and the stages that train on them know them."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from pipeline.stage.settings import Number, Section, Text, key


class Augmentation(Section):
    """How films are changed in training, each by itself; never a flip. 0: not at all."""

    shift: Number = key("largest shift, as a share of the edge", ge=0, le=0.5)
    degrees: Number = key("largest rotation, degrees", ge=0, le=45)
    contrast: Number = key("largest change of the contrast, as a share", ge=0, lt=1)


class BackboneSettings(Section):
    """The film encoder `backbone`."""

    model: Text = key(
        "a torchvision network (densenet121), or an AutoModel of pictures (RAD-DINO, a ViT) by its "
        "folder or as owner/name@revision, which `make weights` fetches"
    )
    weights: Text | None = key(
        "safetensors of the torchvision network, or their name, such as IMAGENET1K_V1, which `make "
        "weights` fetches; null: random, or those of the folder"
    )
    trained: Literal["frozen", "finetuned"] = key(
        "`frozen`: each film is embedded once and kept; `finetuned`: trained with the task"
    )


def read_augmentation(section: str | Mapping[str, Any] | None) -> Augmentation | None:
    """The settings of augmentation, from JSON or as a mapping; none where films are not changed."""
    values = json.loads(section) if isinstance(section, str) else section
    return Augmentation.model_validate(values) if values and any(values.values()) else None
