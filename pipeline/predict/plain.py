"""Baselines as numbers: a regression and boosted trees without scikit-learn and without pickles.

What scikit-learn fitted is written as safetensors: of a regression how inputs are filled and
scaled, and its coefficients; of trees their nodes, one after the other. Reading them back needs
numpy alone. Both give the probabilities of the fitted object to the last bit that tables keep.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.special import expit

from pipeline.fusion.baselines import Fitted
from pipeline.fusion.inputs import Known, Scaling
from pipeline.stage.errors import InputError
from pipeline.stage.files import whole

SCALING = ("fill", "mean", "scale", "markers")
NODES: dict[str, Any] = {
    "value": np.float64,
    "feature": np.int64,
    "threshold": np.float64,
    "left": np.int64,
    "right": np.int64,
    "leaf": np.bool_,
    "missing_left": np.bool_,
}


@dataclass(frozen=True)
class Regression:
    """A logistic regression on scaled inputs: values (n, F) with NaN → probabilities (n,)."""

    prepare: Scaling
    coefficient: np.ndarray
    intercept: float

    def __call__(self, value: np.ndarray) -> np.ndarray:
        """(n,)."""
        odds: np.ndarray = self.prepare(value) @ self.coefficient + self.intercept
        return expit(odds)


@dataclass(frozen=True)
class Trees:
    """Boosted trees: values (n, F) with NaN → probabilities (n,).

    `nodes`: name → array over the nodes of all trees; `start` (T + 1): where each tree begins.
    Children are numbered within their tree.
    """

    prepare: Known
    nodes: Mapping[str, np.ndarray]
    start: np.ndarray
    baseline: float

    def __call__(self, value: np.ndarray) -> np.ndarray:
        """(n,)."""
        known = self.prepare(value).astype(np.float64)
        odds = np.full(len(known), self.baseline)
        for first, end in zip(self.start[:-1], self.start[1:], strict=True):
            tree = {name: array[first:end] for name, array in self.nodes.items()}
            odds += tree["value"][leaves(tree, known)]
        return expit(odds)


def leaves(tree: Mapping[str, np.ndarray], value: np.ndarray) -> np.ndarray:
    """The leaf (n,) of each row (n, F) in a tree; NaN goes where training sent it.

    >>> tree = {"leaf": np.array([False, True, True]), "feature": np.array([0, 0, 0]),
    ...         "threshold": np.array([1.0, 0, 0]), "left": np.array([1, 0, 0]),
    ...         "right": np.array([2, 0, 0]), "missing_left": np.array([False] * 3)}
    >>> leaves(tree, np.array([[0.5], [2.0], [np.nan]])).tolist()
    [1, 2, 2]
    """
    at, row = np.zeros(len(value), np.int64), np.arange(len(value))
    while not (done := tree["leaf"][at]).all():
        own = value[row, tree["feature"][at]]
        left = np.where(np.isnan(own), tree["missing_left"][at], own <= tree["threshold"][at])
        following = np.where(left, tree["left"][at], tree["right"][at])
        at = np.where(done, at, following)
    return at


def save(fitted: Fitted, path: Path) -> None:
    """Writes a fitted baseline."""
    arrays = _of_regression(fitted) if isinstance(fitted.prepare, Scaling) else _of_trees(fitted)
    with whole(path) as part:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, part)


def load(path: Path) -> Regression | Trees:
    """Reads what `save` wrote; `InputError` where it is neither."""
    arrays = load_file(path)
    if "coefficient" in arrays:
        prepare = Scaling(**{name: arrays[name] for name in SCALING})
        return Regression(prepare, arrays["coefficient"], float(arrays["intercept"][0]))
    if "start" in arrays:
        nodes = {name: arrays[name].astype(kind) for name, kind in NODES.items()}
        known = Known(arrays["known"].astype(bool))
        return Trees(known, nodes, arrays["start"], float(arrays["baseline"][0]))
    raise InputError(f"{path}: neither a regression nor trees")


def _of_regression(fitted: Fitted) -> dict[str, np.ndarray]:
    one = fitted.estimator
    scaled = {name: getattr(fitted.prepare, name) for name in SCALING}
    return {**scaled, "coefficient": one.coef_[0], "intercept": one.intercept_}


def _of_trees(fitted: Fitted) -> dict[str, np.ndarray]:
    """The nodes of scikit-learn's predictors, in the order of boosting."""
    assert isinstance(fitted.prepare, Known)
    one = fitted.estimator
    trees = [stage[0].nodes for stage in one._predictors]
    nodes = np.concatenate(trees)
    if nodes["is_categorical"].any():
        raise InputError("trees with categories cannot be stored")
    names = {"value": "value", "feature": "feature_idx", "threshold": "num_threshold",
             "left": "left", "right": "right", "leaf": "is_leaf",
             "missing_left": "missing_go_to_left"}  # fmt: skip
    # booleans as bytes: safetensors reads them whatever its version
    made = {own: nodes[theirs].astype(np.uint8 if NODES[own] is np.bool_ else NODES[own])
            for own, theirs in names.items()}  # fmt: skip
    start = np.concatenate([[0], np.cumsum([len(tree) for tree in trees])])
    return {**made, "start": start, "known": fitted.prepare.columns.astype(np.uint8),
            "baseline": np.atleast_1d(one._baseline_prediction.ravel()[:1])}  # fmt: skip
