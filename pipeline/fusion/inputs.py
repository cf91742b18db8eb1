"""What baselines read, as one matrix: embeddings of modalities side by side, or EHR statistics.

Trees take it as it is, NaN where a value is unknown; a regression takes it scaled and filled.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipeline.stage.errors import InputError
from pipeline.stage.tables import read_values
from pipeline.training.embeddings import Embeddings


@dataclass(frozen=True)
class Inputs:
    """What the models read: `value` (N, F) float32, NaN where unknown.

    `width`: columns per modality of embeddings, None for statistics, each of which has its unit.
    """

    value: np.ndarray
    width: int | None

    def without(self, modality: int, rows: np.ndarray) -> np.ndarray:
        """The values of `rows` as if they lacked a modality (its position): (len(rows), F)."""
        assert self.width
        value = self.value[rows]
        value[:, modality * self.width : (modality + 1) * self.width] = np.nan
        return value


def of_statistics(path: str, episodes: np.ndarray) -> Inputs:
    """Statistics of `episodes` (ids, any order); `InputError` where one is not in the table."""
    return Inputs(read_values(path, episodes).astype(np.float32), None)


def of_embeddings(data: Embeddings) -> Inputs:
    """Embeddings (N, M, D) side by side."""
    value = np.where(data.here[..., None], data.value, np.float32(np.nan))
    return Inputs(value.reshape(len(value), -1), value.shape[2])


@dataclass(frozen=True)
class Scaling:
    """From values with NaN to columns for the regression, by the moments of the fitted rows.

    `fill`, `mean`, `scale` (F,); `markers` (K,): columns whose absence, which varies, is a column.
    """

    fill: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    markers: np.ndarray

    def __call__(self, value: np.ndarray) -> np.ndarray:
        """(N, F) with NaN → (N, F + K) float64 without."""
        unknown = np.isnan(value)
        standard = (np.where(unknown, self.fill, value) - self.mean) / self.scale
        return np.hstack([standard, unknown[:, self.markers]])


def scaling(inputs: Inputs, fitted: np.ndarray) -> Scaling:
    """Moments over the known values of the `fitted` rows.

    The total variance of a modality is 1: embeddings share one scale, so that directions in which
    they hardly vary stay small; statistics are standardised one by one and then share it.
    """
    value = inputs.value[fitted].astype(np.float64)
    unknown = np.isnan(value)
    count = np.maximum((~unknown).sum(axis=0), 1)
    mean = np.nansum(value, axis=0) / count
    variance = np.nansum((value - mean) ** 2, axis=0) / count
    if inputs.width:
        total = variance.reshape(-1, inputs.width).sum(axis=1).repeat(inputs.width)
        fill, markers = mean, np.arange(0, len(mean), inputs.width)
    else:
        total = variance * len(mean)
        medians = pl.from_numpy(value).fill_nan(None).median().row(0)  # None: never known
        fill = np.nan_to_num(np.array(medians, dtype=float))
        _, markers = np.unique(unknown, axis=1, return_index=True)  # one per pattern of absence
    share = unknown[:, markers].mean(axis=0)
    markers = np.sort(markers[(share > 0) & (share < 1)])
    return Scaling(fill, mean, np.sqrt(np.where(total > 0, total, 1)), markers)


@dataclass(frozen=True)
class Known:
    """Keeps some columns of values: `columns` (F,) bool."""

    columns: np.ndarray

    def __call__(self, value: np.ndarray) -> np.ndarray:
        """(N, F) → (N, fewer)."""
        return value[:, self.columns]


def known_columns(inputs: Inputs, fitted: np.ndarray) -> Known:
    """Keeps the columns of which the `fitted` rows know a value: trees find no bins for others.

    Raises `InputError` where there is none.
    """
    known = ~np.isnan(inputs.value[fitted]).all(axis=0)
    if not known.any():
        raise InputError("baselines: none of the episodes to fit on has the modality")
    return Known(known)
