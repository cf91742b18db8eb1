"""Made-up episodes for tests of selections, and the availability rule; no file is read."""

from datetime import datetime, timedelta

import polars as pl

from pipeline.cohort.settings import DefinedCohort, Fold

ZERO = datetime(2150, 3, 1, 8, 0)
TIME = pl.Datetime("us")
STORED, STARTED = ["storetime", "charttime"], ["starttime"]
RULE = {
    "enforced": True,
    **dict.fromkeys(("vitals", "outputs", "labs", "notes"), STORED),
    **dict.fromkeys(("procedures", "infusions"), STARTED),
    "films": ["film_time"],
}


def at(hours=0, minutes=0, seconds=0):
    """A time by its distance from zero."""
    return ZERO + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def cohort_of(min_age=18, window_hours=48, icu_within_hours=48, ids=None, **more):
    """The settings of a cohort, whatever its films, by the corrected definition."""
    settings = {"films": None, "definition": "corrected", **more}
    return DefinedCohort(min_age=min_age, window_hours=window_hours,
                         icu_within_hours=icu_within_hours, ids=ids, **settings)  # fmt: skip


def split_by(salt, shares, fold=0, folds=1):
    """The settings of a split of the patients."""
    return Fold(salt=salt, **shares, fold=fold, folds=folds)


def admission(number=1, subject=10, start=ZERO, observed_from=None, **change):
    """Its first 48 hours."""
    row = {"episode_id": number, "subject_id": subject, "hadm_id": number, "start": start}
    row |= {"clock_zero": start, "observed_from": observed_from or start}
    return row | {"prediction_time": start + timedelta(hours=48)} | change


def stay(number=1, subject=10, hadm=1, start=ZERO, observed_from=None, arrival=None):
    """Of an ICU: its clock starts when the patient is there; observed for 6 h before, or from."""
    observed_from = observed_from or start - timedelta(hours=6)
    row = admission(number, subject, arrival or start, observed_from)
    return row | {"hadm_id": hadm, "start": start}
