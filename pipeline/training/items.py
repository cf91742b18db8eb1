"""Items of episodes, such as films and reports: stored flat with offsets, and their means.

An episode has any number of items, from none on. Items with a time are known from then on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch


def take(start: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flat positions of the items of these rows, and how many each row has.

    `start` (rows + 1): where each row begins.

    >>> take(np.array([0, 2, 2, 5]), np.array([2, 0, 1]))
    (array([2, 3, 4, 0, 1]), array([3, 2, 0]))
    """
    count = start[rows + 1] - start[rows]
    first = np.repeat(start[rows] - np.concatenate([[0], np.cumsum(count)[:-1]]), count)
    return first + np.arange(count.sum()), count


def offsets(count: np.ndarray) -> np.ndarray:
    """Where each row begins, by the number of items of each; one more than rows.

    >>> offsets(np.array([2, 0, 3])).tolist()
    [0, 2, 2, 5]
    """
    return np.concatenate([[0], np.cumsum(count)]).astype(np.int64)


def earliest(hours: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The smallest of the hours of each row (N), infinite of a row without any.

    `start` (N + 1): where the hours of each row begin.

    >>> earliest(np.array([5.0, 3.0, 8.0]), np.array([0, 2, 2, 3]))
    array([ 3., inf,  8.])
    """
    first = np.full(len(start) - 1, np.inf)
    some = np.flatnonzero(np.diff(start))
    if len(some):
        first[some] = np.minimum.reduceat(hours, start[some])
    return first


@dataclass
class TimedItems:
    """Episodes in a fixed order; the items of episode i lie between its offsets.

    `hours` (items) float32: from clock zero to the moment from which each is known. `start`
    (episodes + 1). `item`: what one of them is called.
    """

    item: ClassVar[str]
    hours: np.ndarray
    start: np.ndarray

    def timed(self, rows: np.ndarray) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
        """Positions of the items (R) of these rows, and of a batch hours (R), owner (R) and
        count (B): the owner of an item is its episode's place in the batch."""
        position, count = take(self.start, rows)
        return position, {
            "hours": torch.from_numpy(self.hours[position]),
            "owner": torch.from_numpy(np.repeat(np.arange(len(rows)), count)),
            "count": torch.from_numpy(count),
        }

    def present(self) -> np.ndarray:
        """Which episodes have an item (bool)."""
        return np.diff(self.start) > 0

    def known_by(self, hours: float) -> np.ndarray:
        """Which episodes have an item that was known before so many hours (bool)."""
        return earliest(self.hours, self.start) < hours


def mean_by_horizon(
    value: torch.Tensor, batch: dict[str, torch.Tensor], horizons: Sequence[float], scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Means of the items that each of B episodes had before each of K horizons; the latest weigh
    most.

    value (R, D) of the items of a batch (`TimedItems.timed`) → (B, K, D), and whether there was any
    (B, K). Weights are softmax(hours / scale): e-fold after `scale` hours. What was known at a
    horizon or later changes no bit of its mean: it is zeroed before it is weighted.

    >>> batch = {"hours": torch.tensor([1.0, 1.0, 5.0]), "owner": torch.tensor([0, 0, 1]),
    ...          "count": torch.tensor([2, 1])}
    >>> mean, present = mean_by_horizon(torch.tensor([[2.0], [4.0], [8.0]]), batch, [1.0, 4.0], 48)
    >>> mean[..., 0].tolist(), present.tolist()
    ([[0.0, 3.0], [0.0, 0.0]], [[False, True], [False, False]])
    """
    hours, owner, size = batch["hours"], batch["owner"], len(batch["count"])
    known = hours[:, None] < hours.new_tensor(horizons)  # (R, K)
    hidden = (hours / scale)[:, None].expand_as(known).masked_fill(~known, -torch.inf)
    top = hours.new_full((size, len(horizons)), -torch.inf)
    top = top.scatter_reduce(0, owner[:, None].expand_as(known), hidden, "amax")  # (B, K)
    weight = torch.where(known, (hidden - top[owner]).exp(), 0.0)
    total = torch.zeros_like(top).index_add(0, owner, weight)
    share = torch.where(known, weight / total[owner], 0.0)
    seen = torch.where(known[..., None], value.float()[:, None, :], 0.0)  # (R, K, D); NaN is gone
    mean = seen.new_zeros(size, *seen.shape[1:]).index_add(0, owner, share[..., None] * seen)
    return mean, top > -torch.inf
