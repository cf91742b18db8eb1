"""Encoder `backbone` of films: a vision network by its name, frozen or fine-tuned.

Frozen, each film's vector was made once (`pipeline.cxr.embed`) and a small network on it is
trained. Fine-tuned, the network is trained whole, with a linear layer to the width of heads. Films
are averaged as `resnet18` does it: at each horizon those taken before, the latest counting most.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from torch import nn

from pipeline.cxr.augment import Augment
from pipeline.cxr.backbone import Backbone, load_backbone, warn_if_enlarged
from pipeline.cxr.film_data import Films, decoded_places, read_films
from pipeline.cxr.settings import Augmentation, read_augmentation
from pipeline.stage.store import open_chunks, size_folder
from pipeline.stage.tables import read_table
from pipeline.training.batches import Batch
from pipeline.training.items import mean_by_horizon
from pipeline.training.modality import WIDTH, Settings, Tokens, horizon_of
from pipeline.training.vectors import vector_network


class BackboneNetwork(nn.Module):
    """Batch of `Films`, K horizons → token c: (B, K, 512), present (B, K); zeros without a film."""

    widths = {"c": WIDTH}  # noqa: RUF012 — of the class, never changed

    def __init__(self, backbone: Backbone, hours_scale: float,
                 augmentation: Augmentation | None) -> None:  # fmt: skip
        super().__init__()
        self.backbone, self.hours_scale = backbone, hours_scale
        self.augment = Augment(augmentation) if augmentation else nn.Identity()
        self.project = nn.Linear(backbone.width, WIDTH)

    def forward(self, batch: Batch, horizons: Sequence[float]) -> Tokens:
        """The features of each episode's films before each horizon, weighted and summed."""
        feature = self.project(self.backbone(self.augment(batch["film"])))  # (F, 512)
        return {"c": mean_by_horizon(feature, batch, horizons, self.hours_scale)}


class BackboneEncoder:
    """Films of the store, or their vectors."""

    def data(self, settings: Settings, episodes: np.ndarray) -> Films:
        """Settings: films, before; frozen: embedded (where each vector lies), store (of vectors);
        fine-tuned: decoded, store, pixels, full, as `resnet18`."""
        before, store = horizon_of(settings), Path(settings["store"])
        if settings["trained"] == "frozen":
            places = read_table(settings["embedded"])
            opened = partial(open_chunks, store)
            width = opened(places["chunk"][:1])[0].shape[1:] if len(places) else (1,)
            return read_films(settings["films"], places, opened, width, episodes, before, "vector")
        folder = size_folder(store, settings["pixels"], settings["full"])
        shape = (settings["pixels"], settings["pixels"])
        places = decoded_places(settings["decoded"])
        opened = partial(open_chunks, folder)
        return read_films(settings["films"], places, opened, shape, episodes, before)

    def network(self, settings: Settings, data: Films, train: np.ndarray) -> nn.Module:
        """Settings: trained, hours_scale; fine-tuned: model, weights, pixels, augment."""
        if settings["trained"] == "frozen":
            return vector_network("c", data, train, settings["hours_scale"])
        augment = settings["augment"]
        backbone = load_backbone(settings["model"], settings["weights"])
        warn_if_enlarged(backbone.shown, settings["pixels"], settings["model"])
        return BackboneNetwork(backbone, settings["hours_scale"], read_augmentation(augment))


ENCODER = BackboneEncoder()
