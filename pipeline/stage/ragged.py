"""Rows of unequal length, stored flat with offsets."""

import numpy as np


def take(start: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flat positions of the given rows, and how many each has.

    `start` (rows + 1): where each row begins.

    >>> take(np.array([0, 2, 2, 5]), np.array([2, 0, 1]))
    (array([2, 3, 4, 0, 1]), array([3, 2, 0]))
    """
    count = start[rows + 1] - start[rows]
    first = np.repeat(start[rows] - np.concatenate([[0], np.cumsum(count)[:-1]]), count)
    return first + np.arange(count.sum()), count


def offsets(count: np.ndarray) -> np.ndarray:
    """Where each row begins, given how many each has; one more than rows.

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
    found = np.full(len(start) - 1, np.inf)
    some = np.flatnonzero(np.diff(start))
    if len(some):
        found[some] = np.minimum.reduceat(hours, start[some])
    return found
