"""Names that rooms share: protocols, fusions, sets of modalities."""

from collections.abc import Iterable
from itertools import combinations

PROTOCOLS = ("corrected", "published")
FUSIONS = ("early", "joint", "late", "late-averaged")


def subsets(letters: Iterable[str]) -> list[str]:
    """Every non-empty set of the letters, small ones first, letters in the order given.

    >>> subsets("ecn")
    ['e', 'c', 'n', 'ec', 'en', 'cn', 'ecn']
    """
    known = list(letters)
    sizes = range(1, len(known) + 1)
    return ["".join(chosen) for size in sizes for chosen in combinations(known, size)]
