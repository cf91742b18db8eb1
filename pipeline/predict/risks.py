"""The table of risks: of each seed, and of several their mean."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from pipeline.cohort.rows import ALL_SEEDS, rounded
from pipeline.predict import reference
from pipeline.stage.prediction import SeedFacts, StoredModel
from pipeline.stage.tables import Contract, check
from pipeline.training.modality import ModalityData

RISKS = Contract(
    columns={
        "task": pl.String,
        "episode_id": pl.Int64,
        "subject_id": pl.Int64,
        "seed": pl.Int64,
        "prediction_time": pl.Datetime("us"),
        "modalities": pl.String,
        "probability": pl.Float64,
        "risk": pl.Float64,
        "positive": pl.Boolean,
    },
    key=("task", "episode_id", "seed"),
    nullable=("positive",),
    units={
        "seed": "of the training; −1: the mean over all",
        "modalities": "letters of what the episode has",
        "probability": "of the model, as in its table of predictions",
        "risk": "the same, recalibrated where the result is: to be read",
        "positive": "risk at or above the threshold; null where there is none",
    },
)


def described(model: StoredModel, data: Mapping[str, ModalityData], episodes: pl.DataFrame,
              asked: np.ndarray) -> pl.DataFrame:  # fmt: skip
    """What the table says of the `asked` episodes (ids) but their risks: one row each, in order.

    `data`: of the modalities of these; `episodes`: of the cohort.
    """
    time = pl.col("clock_zero") + pl.duration(hours=model["hours"])
    about = episodes.select(
        "episode_id", "subject_id", prediction_time=time.cast(pl.Datetime("us"))
    )
    return pl.DataFrame({"episode_id": asked}).join(
        about, on="episode_id", how="left", maintain_order="left"
    ).with_columns(
        modalities=_letters(model["modalities"], data, len(asked)), task=pl.lit(model["task"])
    )  # fmt: skip


def of_seeds(about: pl.DataFrame, probabilities: Sequence[tuple[SeedFacts, np.ndarray]]
             ) -> pl.DataFrame:  # fmt: skip
    """The table (`RISKS`), by the probabilities (N,) of the described episodes of each seed."""
    each = [_of_seed(about, facts, rounded(made)) for facts, made in probabilities]
    if len(each) > 1:
        mean = {
            name: pl.Series(rounded(np.mean([one[name].to_numpy() for one in each], axis=0)))
            for name in ("probability", "risk")
        }
        each.append(about.with_columns(
            seed=pl.lit(ALL_SEEDS, pl.Int64), positive=pl.lit(None, pl.Boolean), **mean
        ))  # fmt: skip
    return check(pl.concat(each, how="diagonal"), RISKS, "risks")


def _of_seed(about: pl.DataFrame, facts: SeedFacts, probability: np.ndarray) -> pl.DataFrame:
    risk = rounded(reference.recalibrated(probability, facts))
    threshold = facts["threshold"]
    positive = pl.lit(None, pl.Boolean) if threshold is None else pl.Series(risk >= threshold)
    return about.with_columns(
        seed=pl.lit(facts["seed"], pl.Int64), probability=pl.Series(probability),
        risk=pl.Series(risk), positive=positive,
    )  # fmt: skip


def _letters(modalities: Mapping[str, str], data: Mapping[str, ModalityData], count: int
             ) -> pl.Series:  # fmt: skip
    """The letters of what each of `count` episodes has."""
    here = {letter: data[name].present() for letter, name in modalities.items() if name in data}
    if not here:  # statistics of the EHR, which everybody has
        return pl.Series(["".join(modalities)] * count, dtype=pl.String)
    each = ["".join(letter for letter, have in here.items() if have[row]) for row in range(count)]
    return pl.Series(each, dtype=pl.String)
