"""Films: occlusion of patches, of any encoder that reads the films themselves.

A film has 8 × 8 patches. Taken away, a patch becomes the mean of that place over films of training
episodes. What the model makes of an episode with one film changed follows from that film's feature:
the others' are computed once.
"""

from pathlib import Path

import numpy as np
import polars as pl
import torch

from pipeline.cxr.encoder_backbone import BackboneNetwork
from pipeline.cxr.encoder_resnet18 import FilmsNetwork
from pipeline.cxr.film_data import Films, decoded_places
from pipeline.explain.common import Explained
from pipeline.explain.model import Given
from pipeline.explain.parts import Items
from pipeline.explain.pictures import Shown
from pipeline.stage.explanations import Film, Method
from pipeline.stage.tables import read_table
from pipeline.training.items import mean_by_horizon, take

PATCHES = 8  # down and across; the truth of the hospital has as many
TRAINING = 500  # films of training episodes, at most, of which patches are the mean
CAUSE = "the patches that change most with the planted severity"
METHOD: Method = {
    "name": "occlusion",
    "item": "film",
    "part": "patch, one of 8 × 8",
    "baseline": "the mean of that place over films of training episodes",
    "words": "The change of the log odds of the film's episode when one patch of the film is "
    "replaced; its other films stay. One patch is changed at a time: what needs several of them "
    "at once, or is told by either of two, counts too little.",
}


def films_of(films: str | Path, decoded: list[str], episodes: np.ndarray, before: float
             ) -> pl.DataFrame:  # fmt: skip
    """dicom_id of the films of `episodes`, in the order of `read_films`."""
    order = pl.DataFrame({"episode_id": episodes}).with_row_index("position")
    taken = read_table(films).filter(pl.col("minute") < 60 * before)
    table = order.join(taken, on="episode_id").join(decoded_places(decoded), on="dicom_id")
    return table.sort("position", "minute", "dicom_id").select("dicom_id")


class FilmModel:
    """The films of some episodes, and what the model makes of them without some patches."""

    def __init__(self, given: Given, network: FilmsNetwork | BackboneNetwork, data: Films,
                 film: np.ndarray) -> None:  # fmt: skip
        """`film`: positions of the explained films in `data`."""
        self.given, self.network, self.data, self.film = given, network, data, film
        owner = np.repeat(np.arange(len(data.start) - 1), np.diff(data.start))
        self.row = owner[film]
        self.patch = np.minimum(np.arange(data.shape[0]) * PATCHES // data.shape[0], PATCHES - 1)
        self.mean = self._mean(owner)
        rows, self.item_row = np.unique(self.row, return_inverse=True)
        batch = data.batch(rows)
        self.hours, count = batch["hours"], batch["count"].numpy()
        self.first = np.concatenate([[0], np.cumsum(count)])
        self.pixels = data.batch(rows)["film"]
        self.known = self.features(self.pixels)
        self.own = film - data.start[self.row] + self.first[self.item_row]

    def _mean(self, owner: np.ndarray) -> torch.Tensor:
        """(P, P): the mean over films of training episodes."""
        train = np.isin(owner, self.given.rows.of("train"))
        random = np.random.default_rng([self.given.seed, 2])
        some = np.sort(random.permutation(np.flatnonzero(train))[:TRAINING])
        rows = owner[some]
        position, _ = take(self.data.start, rows)
        film = self.data.batch(rows)["film"].float()
        own = torch.from_numpy(np.isin(position, some))
        return film[own].mean(dim=0).round()

    @torch.no_grad()
    def features(self, film: torch.Tensor) -> torch.Tensor:
        """Films (F, P, P), grey levels → (F, 512) on the CPU."""
        film = film.to(self.given.device)
        if isinstance(self.network, FilmsNetwork):
            return self.network.features(film).float().cpu()
        return self.network.project(self.network.backbone(film)).float().cpu()

    def covered(self, film: torch.Tensor, removed: np.ndarray) -> torch.Tensor:
        """Films (C, P, P) without the patches `removed` (C, 64)."""
        gone = removed.reshape(-1, PATCHES, PATCHES)[:, self.patch][:, :, self.patch]
        return torch.where(torch.from_numpy(gone), self.mean, film.float())

    @torch.no_grad()
    def occluded(self, item: np.ndarray, removed: np.ndarray) -> np.ndarray:
        """Log odds (C,) of the episodes of films without the patches `removed` (C, 64)."""
        own = self.own[item]
        changed = self.features(self.covered(self.pixels[torch.from_numpy(own)], removed))
        place, count = take(self.first, self.item_row[item])
        owner = np.repeat(np.arange(len(item)), count)
        value = self.known[torch.from_numpy(place)]
        which = torch.from_numpy(place == own[owner])
        value[which] = changed[torch.from_numpy(owner)[which]]
        batch = {"hours": self.hours[torch.from_numpy(place)], "owner": torch.from_numpy(owner),
                 "count": torch.from_numpy(count)}  # fmt: skip
        horizon = [self.given.feature.horizon]
        mean, _ = mean_by_horizon(value, batch, horizon, self.network.hours_scale)
        feature = self.given.feature.combine(mean[:, 0].to(self.given.device))
        return self.given.log_odds(feature)


def mean_film(items: Items, value: np.ndarray, suppress: int) -> Film:
    """The mean map over films."""
    cause = items.cause

    def square(flat: np.ndarray) -> list[list[float]]:
        return flat.reshape(-1, PATCHES, PATCHES).mean(axis=0).tolist()

    return {"rows": PATCHES, "columns": PATCHES, "mean": square(value),
            "strength": square(np.abs(value)),
            "patients": Shown(suppress)(len(set(items.subject.tolist()))),
            "cause": None if cause is None else square(cause.astype(float))}  # fmt: skip


def explain(given: Given) -> Explained | str:
    """A sample of the films of test episodes; why not, where the encoder reads no films."""
    network, data = given.feature.network, given.data
    if not isinstance(network, FilmsNetwork | BackboneNetwork) or data.content != "film":
        return f"the encoder {given.settings['encoder']} reads vectors of films, not films"
    rows = given.rows
    owner = np.repeat(np.arange(len(data.start) - 1), np.diff(data.start))
    test = np.flatnonzero(np.isin(owner, rows.of("test")))
    film = test[given.drawn(len(test))]
    model = FilmModel(given, network, data, film)
    named = films_of(given.settings["films"], given.settings["decoded"], rows.episode,
                     given.feature.horizon)["dicom_id"].gather(film).to_list()  # fmt: skip
    why_none = given.truth.why_none("c") if given.truth else None
    told = given.truth is not None and why_none is None
    cause = given.truth.films(named).ravel() if told and given.truth else None
    start = np.arange(len(film) + 1) * PATCHES**2
    row = model.row
    items = Items(rows.episode[row], rows.subject[row], rows.label[row], start, cause)
    return Explained(
        items=items, row=row, of=len(test), occluded=model.occluded, method=METHOD,
        cause=CAUSE if told else None, why_none=why_none,
        picture=lambda value: {"film": mean_film(items, value, given.suppress)},
        most=given.most, size=256,
        of_item=lambda item: {"film": model.pixels[model.own[item]].numpy()},
    )  # fmt: skip
