"""What the explanation of any model is made of, and what is written of it; no torch."""

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipeline.cohort.rows import TaskRows
from pipeline.explain.parts import COPIES, Items, Occluded, attribute, in_batches
from pipeline.explain.pictures import Shown
from pipeline.explain.scoring import over_patients, scores
from pipeline.stage.errors import InputError
from pipeline.stage.explanations import (
    SCHEMA_VERSION,
    Explanations,
    Method,
)
from pipeline.stage.privacy import tell
from pipeline.stage.tables import read_table

SEED = 0  # of the sample
NEAR = 0.01  # difference of probabilities from which on a model is not that of the result


@dataclass(frozen=True)
class Explained:
    """Items of a modality, what the model makes of them without some parts, and the pictures.

    `row`: the row of each item's episode. `of`: items that could have been drawn, `most` at most
    are. `picture`: attributions (parts,) → the global pictures of the modality, fields of
    `Explanations`. `of_item`: what one item is, for its private picture. `size`: copies that pass
    the model together. `again`: where the model draws at random, the same with other draws; the
    deletion curve is made with it, so that no part seems strong by its own draws. `predicted`: log
    odds (I,) of the items as the result has them, where `occluded` gives others.
    """

    items: Items
    row: np.ndarray
    of: int
    occluded: Occluded
    method: Method
    cause: str | None
    why_none: str | None
    picture: Callable[[np.ndarray], Mapping[str, Any]]
    most: int
    of_item: Callable[[int], Mapping[str, Any]] = lambda item: {}
    size: int = COPIES
    again: Occluded | None = None
    predicted: Callable[[], np.ndarray] | None = None

    def whole(self, occluded: Occluded) -> np.ndarray:
        """The log odds (I,) of the items with all of their parts."""
        everyone = np.arange(len(self.items.subject))
        return in_batches(occluded, everyone, np.zeros((len(everyone), self.items.widest), bool),
                          self.size)  # fmt: skip


def add_target_arguments(options: argparse.ArgumentParser) -> None:
    """Arguments of every stage that explains models of one task."""
    options.add_argument("--protocol", required=True)
    options.add_argument("--task", required=True)
    options.add_argument("--episodes", required=True)
    options.add_argument("--labels", required=True)
    options.add_argument("--seed", required=True, type=int, help="of the training")
    options.add_argument("--truth", type=Path, help="folder of the hospital's truth")
    options.add_argument("--suppress-below", required=True, type=int)
    options.add_argument("--most", type=int, help="items that are explained")


def head_of(given: argparse.Namespace, target: str, modality: str, encoder: str, model: str,
            explained: Explained | str) -> Explanations:  # fmt: skip
    """What every file says, with nothing explained yet; where nothing can be, why."""
    return {
        "schema_version": SCHEMA_VERSION, "target": target, "modality": modality,
        "encoder": encoder, "model": model, "task": given.task, "protocol": given.protocol,
        "seed": given.seed, "suppressed_below": given.suppress_below, "method": None,
        "reason": explained if isinstance(explained, str) else None, "sample": None,
        "reproduced": None, "floor": None, "cells": None, "film": None, "text": None,
        "columns": None, "signals": None, "scores": None,
    }  # fmt: skip


def explained(made: Explanations, rows: TaskRows, model: Explained, predictions: Path, seed: int
              ) -> Explanations:  # fmt: skip
    """The explanations of a model's items; none, with the reason, where it is not the result's."""
    items, suppress = model.items, made["suppressed_below"]
    shown, began = Shown(suppress), time.monotonic()
    odds = model.predicted() if model.predicted else model.whole(model.occluded)
    apart = reproduced(predictions, rows.episode[model.row], seed, odds)
    tell(f"largest difference from the result's probabilities: {apart:.2g}")
    made = {**made, "method": model.method, "reproduced": apart}
    if apart > NEAR:
        return {**made, "reason": f"its probabilities differ from those of the result, by up to "
                f"{apart:.2g}: it is not the model behind the result"}  # fmt: skip
    whole, value = attribute(model.occluded, items, model.size)
    took, item = time.monotonic() - began, model.method["item"]
    tell(f"attributions of %s parts of %s {item}s: {took:.1f} s", len(value), len(whole))
    began = time.monotonic()
    judge, floor = model.occluded, None
    if model.again:
        judge, before = model.again, whole
        whole = model.whole(judge)
        floor = over_patients(np.abs(whole - before)[:, None], items.subject)[0]
        tell(f"attribution of nothing, by other draws alone: {floor['value']:.3f}")
    judged = scores(judge, items, whole, value, SEED, model.cause, model.why_none,
                    suppress, shown, model.size)  # fmt: skip
    tell(f"scores: {time.monotonic() - began:.1f} s; {in_words(judged)}")
    few = len(set(items.subject.tolist())) < shown.least
    made = {
        **made, "scores": judged, "floor": None if few else floor,
        "sample": {
            "seed": SEED, "most": model.most, "of": shown(model.of), "items": shown(len(whole)),
            "parts": shown(len(value)), "episodes": shown(len(set(items.episode.tolist()))),
            "patients": shown(len(set(items.subject.tolist()))),
        },
    }  # fmt: skip
    if few:
        return {**made, "reason": "too few patients for a picture that shows none of them"}
    return {**made, **model.picture(value)}  # type: ignore[typeddict-item]


def in_words(judged: Mapping[str, Any]) -> str:
    """The scores in a line of the log."""
    parts = []
    for name in ("share", "pointing", "deletion"):
        if one := judged[name]:
            value, chance = (one["moved"], one["moved_at_random"]) if name == "deletion" else (
                one["value"], one["chance"])  # fmt: skip
            word = "" if one["informative"] else ", cannot be told from chance"
            parts.append(f"{name} {value['value']:.3f}, by chance {chance['value']:.3f}{word}")
    return "; ".join(parts) or str(judged["reason"])


def probabilities(predictions: Path, episode: np.ndarray, seed: int) -> np.ndarray:
    """The result's probabilities (I,) of episodes; `InputError` where it lacks some of them."""
    table = read_table(predictions).filter(pl.col("seed") == seed)
    asked = pl.DataFrame({"episode_id": episode})
    both = asked.join(table, on="episode_id", how="left", maintain_order="left")
    if both["probability"].null_count():
        raise InputError(f"{predictions}: lacks some of the episodes; make it again")
    return both["probability"].to_numpy()


def reproduced(predictions: Path, episode: np.ndarray, seed: int, odds: np.ndarray) -> float:
    """The largest difference between the result's probabilities and those of these log odds."""
    own = 1 / (1 + np.exp(-odds))
    return float(np.abs(own - probabilities(predictions, episode, seed)).max(initial=0))
