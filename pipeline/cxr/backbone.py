"""Vision networks by name: torchvision's, or an AutoModel of a folder; films → a vector each.

A torchvision network is named as torchvision does (`densenet121`); its weights are a safetensors
file, or random. A folder (RAD-DINO, ViT) holds its weights itself. The layer that tells ImageNet's
classes apart is taken away. Films are shown as the weights expect them: brightness standardised by
the mean and SD that torchvision (the weights' meta; the default ones' for a file of another name)
or the folder (preprocessor_config.json) names, at the size that they name. Weights of random start
take films as they are, divided by 255.

ASSUME films become square without keeping their aspect ratio, where some folders crop the centre: a
chest film's edges hold lung.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from pipeline.cxr.registry import KEY
from pipeline.stage.errors import InputError
from pipeline.stage.model_folders import (
    PICTURES,
    digest_of_files,
    files_of_model,
    model_folder,
    read_mapping,
)
from pipeline.stage.privacy import warn
from pipeline.training.checkpoint import load_auto_model, load_pretrained

PART = 64  # films that pass a network together in evaluation: bounds memory
IMAGENET_MEAN, IMAGENET_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Shown:
    """How weights expect films: `scale` of the grey levels 0-255, mean and SD per channel, edge in
    pixels (None: as decoded)."""

    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    sd: tuple[float, ...] = (1.0, 1.0, 1.0)
    size: int | None = None


IMAGENET = Shown(mean=IMAGENET_MEAN, sd=IMAGENET_SD)  # at whatever size


class AsShown(nn.Module):
    """Grey films (F, P, P) → (F, 3, S, S) as `Shown`; without it they are divided by 255 alone.

    Under bfloat16 channels are last in memory: convolutions are a sixth faster so; in float32 they
    are not (benchmarks/precision.py), and keep their order of sums.
    """

    mean: torch.Tensor
    sd: torch.Tensor

    def __init__(self, shown: Shown | None = None) -> None:
        super().__init__()
        self.shown = shown
        plain = shown or Shown()
        # of the weights in use, not learnt: in no file of weights
        for name, value in (("mean", plain.mean), ("sd", plain.sd)):
            self.register_buffer(name, torch.tensor(value).view(1, -1, 1, 1), persistent=False)

    def forward(self, film: torch.Tensor) -> torch.Tensor:
        """film: grey levels 0-255, of any type."""
        image = film.float().unsqueeze(1)
        if self.shown is None:
            image = image.div(255).expand(-1, 3, -1, -1)
        else:
            size = self.shown.size
            if size and size != image.shape[-1] and len(image):
                image = F.interpolate(image, size=(size, size), mode="bilinear", antialias=True)
            image = (image * self.shown.scale).expand(-1, 3, -1, -1)
            image = (image - self.mean) / self.sd
        if torch.is_autocast_enabled(image.device.type):
            image = image.contiguous(memory_format=torch.channels_last)
        return image


class Backbone(nn.Module):
    """Films (F, P, P), grey levels 0-255 → vectors (F, width) float32.

    `net`: (F, 3, S, S) → (F, width). In training all films pass together, else in parts.
    """

    def __init__(self, net: nn.Module, width: int, shown: Shown) -> None:
        super().__init__()
        self.net, self.width, self.shown, self.show = net, width, shown, AsShown(shown)

    def forward(self, film: torch.Tensor) -> torch.Tensor:
        """The vectors."""
        if not len(film):
            return torch.zeros(0, self.width, device=film.device)
        parts = [film] if self.training else film.split(PART)
        return torch.cat([self.net(self.show(part)).float() for part in parts])


class FirstToken(nn.Module):
    """An AutoModel's last layer → (F, width): its class token, else the mean over the places."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        pooler = getattr(model, "pooler", None)
        if isinstance(pooler, nn.Module) and any(True for _ in pooler.parameters()):
            model.pooler = nn.Identity()  # its output is not read
        names = (name.rsplit(".", 1)[-1] for name, _ in model.named_parameters())
        self.has_class = any(name in ("cls_token", "class_embedding") for name in names)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(F, 3, S, S) → (F, width)."""
        state = self.model(pixel_values=image).last_hidden_state
        if state.ndim == 4:  # a convolutional network's (F, width, h, w)
            return state.mean(dim=(2, 3))
        return state[:, 0] if self.has_class else state.mean(dim=1)


def is_folder(model: str) -> bool:
    """Whether a name is a folder's or a hub's, not torchvision's.

    >>> is_folder("densenet121"), is_folder("microsoft/rad-dino")
    (False, True)
    """
    return "/" in model


def load_backbone(model: str, weights: str | None) -> Backbone:
    """The network of that name in evaluation mode; `InputError` where it cannot be loaded.

    `weights`: safetensors of a torchvision network; None starts it from random.
    """
    backbone = _of_folder(model) if is_folder(model) else _of_torchvision(model, weights)
    return backbone.eval()


@cache
def warn_if_enlarged(shown: Shown, pixels: int, model: str) -> None:
    """Warns, once, of films smaller than the weights expect: enlarged, they show no more."""
    if (size := shown.size) and size > pixels:
        warn(
            f"cxr.pixels: films are decoded at {pixels} pixels and enlarged to the {size} that "
            f"{model} expects; set cxr.pixels to {size}"
        )


def digest_of_weights(model: str, weights: str | None) -> str | None:
    """SHA-256 of the weights in use; None where they start from random."""
    if is_folder(model):
        return digest_of_files(files_of_model(model_folder(model, f"{KEY}.model", PICTURES)))
    return digest_of_files([Path(weights)]) if weights else None


def _of_torchvision(name: str, weights: str | None) -> Backbone:
    from torchvision import models

    if name not in models.list_models(module=models):
        raise InputError(f"{KEY}.model: torchvision knows no network {name}; expected a name such "
                         "as densenet121, or a folder (with a / in its name)")  # fmt: skip
    net = models.get_model(name, weights=None)
    layers = [(at, layer) for at, layer in net.named_modules() if isinstance(layer, nn.Linear)]
    if not layers or getattr(net, "aux_logits", False):
        raise InputError(f"{KEY}.model: {name} does not end in one linear layer of classes; choose "
                         "another network")  # fmt: skip
    head, last = layers[-1]
    width = last.in_features
    shown = Shown(size=getattr(net, "image_size", None))  # vision transformers take one size
    if weights:
        load_pretrained(net, weights, but=f"{head}.", expected=f"torchvision's {name}")
        meta = _meta(name, weights)
        shown = Shown(mean=tuple(meta.mean), sd=tuple(meta.std), size=shown.size
                      or int(meta.crop_size[0]))  # fmt: skip
    net.set_submodule(head, nn.Identity())
    return Backbone(net, width, shown)


def _meta(name: str, weights: str) -> Any:
    """How torchvision shows pictures to weights: to those that the file is named after (as by
    `make weights`: regnet_y_16gf-IMAGENET1K_SWAG_E2E_V1), else to the network's default ones."""
    from torchvision import models

    known = models.get_model_weights(name)
    version = Path(weights).stem.removeprefix(f"{name}-")
    return known.__members__.get(version, known.DEFAULT).transforms()


def _of_folder(model: str) -> Backbone:
    key = f"{KEY}.model"
    folder = model_folder(model, key, PICTURES)
    shown = read_shown(folder / PICTURES[0], key)
    net = load_auto_model(folder, f"{key}: {model}", _takes_pictures, "a model of pictures")
    first = FirstToken(net.float().eval())
    try:
        with torch.no_grad():
            tried = first(torch.zeros(1, 3, shown.size or 224, shown.size or 224))
    except (ValueError, RuntimeError, AttributeError, TypeError) as error:
        why = str(error).splitlines()[0]
        raise InputError(f"{key}: {model} takes no picture of {shown.size} pixels: {why}"
                         ) from error  # fmt: skip
    return Backbone(first, tried.shape[1], shown)


def _takes_pictures(net: Any) -> bool:
    return bool(net.main_input_name == "pixel_values")


def read_shown(path: Path, key: str) -> Shown:
    """How a folder's preprocessor_config.json says that pictures are shown to its weights."""
    told = read_mapping(path, key)
    size = told.get("crop_size") if told.get("do_center_crop") else None
    size = size or told.get("size")
    if isinstance(size, dict):
        size = next((size[name] for name in ("height", "shortest_edge") if name in size), None)
    mean, sd = told.get("image_mean"), told.get("image_std")
    standard = told.get("do_normalize", True)
    numbers = isinstance(size, int) and size > 0
    if standard:
        numbers = numbers and _three(mean) and _three(sd) and min(sd or [0]) > 0
    if not numbers:
        raise InputError(f"{key}: {path}: expected size (pixels), image_mean and image_std (three "
                         "numbers each)")  # fmt: skip
    scale = told.get("rescale_factor", 1 / 255) if told.get("do_rescale", True) else 1.0
    if not standard:
        return Shown(float(scale), size=size)
    return Shown(float(scale), tuple(mean or ()), tuple(sd or ()), size)


def _three(values: object) -> bool:
    return (
        isinstance(values, list)
        and len(values) == 3
        and all(isinstance(value, int | float) for value in values)
    )
