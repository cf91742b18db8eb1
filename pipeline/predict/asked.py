"""Whom a prediction is asked for: a list of ids, the time now, and who of them has no risk."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipeline.cohort import attrition, inputs
from pipeline.evaluation.sections.suppression import hidden
from pipeline.evaluation.sections.suppression import shown as shown_from
from pipeline.stage.errors import InputError
from pipeline.stage.prediction import Listed
from pipeline.stage.privacy import shown
from pipeline.stage.sections import Count

NAMES = {"admission": ("hadm_id", "episode_id"), "stay": ("stay_id", "episode_id")}


@dataclass(frozen=True)
class Asked:
    """`ids` (ascending) of who has a risk, how many are `waiting` for their prediction time; rows
    of an attrition table; of a list how many it names, and why who has no risk."""

    ids: np.ndarray
    waiting: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    listed: dict[str, int] | None = None


def read_ids(path: Path, unit: str) -> list[int]:
    """The ids of a csv's column hadm_id (of ICU stays stay_id) or episode_id, the first it has.

    `InputError` as of the list of a cohort (`inputs.read_ids`).
    """
    return inputs.read_ids(path, NAMES[unit]).to_series().to_list()


def checked_ids(ids: Sequence[int]) -> pl.Series:
    """The distinct ids; `InputError` where one is no whole number.

    >>> checked_ids([3, 3, 1]).to_list()
    [1, 3]
    >>> checked_ids(["3"])
    Traceback (most recent call last):
    pipeline.stage.errors.InputError: ids: expected whole numbers
    """
    try:
        made = pl.Series("episode_id", list(ids))
        whole = made.dtype.is_integer() or made.is_empty()
        made = made.cast(pl.Int64)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        whole = False
    if not whole or made.null_count():
        raise InputError("ids: expected whole numbers")
    return made.unique().sort()


def checked_now(now: datetime | None) -> datetime | None:
    """The time now; `InputError` where it has a zone, which the source's times have not.

    >>> checked_now(datetime(2150, 1, 31, 12))
    datetime.datetime(2150, 1, 31, 12, 0)
    """
    if now is not None and now.tzinfo is not None:
        raise InputError("now: it has a time zone; the times of a source have none: give the local "
                         "time of the hospital, as 2150-01-31T12:00")  # fmt: skip
    return now


def choose(
    risk: pl.DataFrame, episodes: pl.DataFrame, source_ids: pl.Series, hours: int,
    ids: Sequence[int] | None = None, now: datetime | None = None,
) -> Asked:  # fmt: skip
    """Who gets a risk: who is at risk, listed, and has reached the prediction time by now.

    `risk`: as `labels.at_risk`; `episodes`: of the cohort; `source_ids`: of all admissions (or ICU
    stays) of the source; `hours`: from clock zero to the prediction. `InputError` where nobody is
    left.
    """
    there, rows, listed = risk.filter("eligible"), [], None
    if ids is not None:
        wanted = checked_ids(ids)
        at_risk, there = there, there.filter(pl.col("episode_id").is_in(wanted.implode()))
        rows.append({"condition": "on the list of ids", **attrition.size(there)})
        known, cohort = (
            wanted.is_in(source_ids.implode()),
            wanted.is_in(risk["episode_id"].implode()),
        )
        eligible = wanted.is_in(at_risk["episode_id"].implode())
        listed = {"asked": wanted.len(), "unknown": int((~known).sum()),
                  "outside": int((known & ~cohort).sum()),
                  "not_at_risk": int((cohort & ~eligible).sum())}  # fmt: skip
    ready = there
    if checked_now(now) is not None:
        reached = pl.col("clock_zero") + pl.duration(hours=hours) <= now
        ready = there.join(episodes.filter(reached), on="episode_id", how="semi")
        rows.append({"condition": "at the prediction time by now", **attrition.size(ready)})
    if ready.is_empty():
        raise InputError("nobody to predict: no episode of the cohort is at risk at the prediction "
                         "time" + " and among the ids" * (ids is not None)
                         + f"; {shown(there.height)} have not reached it" * bool(there.height)
                         )  # fmt: skip
    return Asked(ready["episode_id"].sort().to_numpy(), there.height - ready.height, rows, listed)


def told(asked: Asked, least: int) -> tuple[Count, Listed | None]:
    """How many wait, and the parts of the list, as far as they may be shown.

    No part of fewer than `least` follows from the list's total and what else is shown: then the
    next part is null, or, where all parts together are few, the total.
    """
    predicted, waiting = len(asked.ids), asked.waiting
    if asked.listed is None:
        return shown_from(waiting, least), None
    parts = {name: count for name, count in asked.listed.items() if name != "asked"}
    small = {"waiting": waiting, "predicted": predicted}
    every = parts | {name: count for name, count in small.items() if 0 < count < least}
    secret = hidden({name: (count,) for name, count in every.items()}, least)
    few = 0 < sum(every.values()) < least

    def one(name: str, count: int) -> Count:
        return None if name in secret and count >= least else shown_from(count, least)

    total = None if few else shown_from(asked.listed["asked"], least)
    listed: Any = {"asked": total, **{name: one(name, count) for name, count in parts.items()}}
    return shown_from(waiting, least), listed
