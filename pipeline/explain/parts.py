"""Items and their parts, and what a model's log odds lose where parts are taken away; arrays only.

An item (film, report, record) has a number of parts of its own. What a model makes of items some of
whose parts are taken away is a function `Occluded`; everything here is built on it, in batches of
occluded copies, whatever the modality.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.stage.progress import JobProgress

# which items (C,), and which of their parts are taken away (C, most parts of an item) bool → the
# log odds of each copy (C,)
Occluded = Callable[[np.ndarray, np.ndarray], np.ndarray]
COPIES = 512  # occluded copies that pass a model together


@dataclass(frozen=True)
class Items:
    """Explained items in a fixed order; those of one patient share a `subject`.

    `start` (I + 1): where the parts of each item begin, all parts flat. `cause` (parts) bool: which
    parts carry the planted cause; None where no truth is known.
    """

    episode: np.ndarray
    subject: np.ndarray
    label: np.ndarray
    start: np.ndarray
    cause: np.ndarray | None = None

    @property
    def owner(self) -> np.ndarray:
        """The item of each part."""
        return np.repeat(np.arange(len(self.subject)), np.diff(self.start))

    @property
    def widest(self) -> int:
        """The most parts of an item."""
        return int(np.diff(self.start).max(initial=0))

    @property
    def place(self) -> np.ndarray:
        """The number of each part within its item."""
        return np.arange(self.start[-1]) - self.start[self.owner]

    def dense(self, flat: np.ndarray) -> np.ndarray:
        """Values of parts (parts,) as (I, widest), 0 or false beyond an item's parts."""
        table = np.zeros((len(self.subject), self.widest), flat.dtype)
        table[self.owner, self.place] = flat
        return table


def in_batches(occluded: Occluded, item: np.ndarray, removed: np.ndarray,
               size: int = COPIES) -> np.ndarray:  # fmt: skip
    """The log odds (C,) of copies, a batch at a time."""
    parts = np.array_split(np.arange(len(item)), max(1, -(-len(item) // size)))
    return np.concatenate([occluded(item[some], removed[some]) for some in parts])


def attribute(occluded: Occluded, items: Items, size: int = COPIES
              ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The log odds of each item (I,), and by how much each part raises them (parts,).

    Of each part one copy of its item, without that part alone.

    >>> items = Items(*np.zeros((3, 2), int), np.array([0, 2, 3]))
    >>> worth = np.array([[3.0, -1.0], [2.0, 0.0]])
    >>> attribute(lambda item, removed: (worth[item] * ~removed).sum(axis=1), items)
    (array([2., 2.]), array([ 3., -1.,  2.]))
    """
    everyone = np.arange(len(items.subject))
    whole = in_batches(occluded, everyone, np.zeros((len(everyone), items.widest), bool), size)
    owner, place, made = items.owner, items.place, []
    parts = np.array_split(np.arange(len(owner)), max(1, -(-len(owner) // size)))
    for some in JobProgress("passing occluded copies through the model", len(parts)).each(parts):
        removed = np.arange(items.widest) == place[some, None]
        made.append(occluded(owner[some], removed))
    return whole, whole[owner] - np.concatenate(made)


def ranks(items: Items, strength: np.ndarray) -> np.ndarray:
    """The rank of each part within its item (parts,): 0 of the largest, of equals the first.

    >>> ranks(Items(*np.zeros((3, 2), int), np.array([0, 2, 5])), np.array([1, 2, 7, 9, 8.0]))
    array([1, 0, 2, 0, 1])
    """
    order = np.lexsort((items.place, -strength, items.owner))
    rank = np.empty(len(order), np.int64)
    rank[order] = items.place  # the owners are sorted: places in order
    return rank


def removed_to(items: Items, rank: np.ndarray, share: float) -> np.ndarray:
    """Which parts (I, widest) are taken away when a share of each item's is, by rank.

    Of a share above 0 at least one.
    """
    count = np.diff(items.start)
    number = np.ceil(share * count - 1e-9).astype(int)
    return items.dense(rank < number[items.owner])
