"""Tables of predictions for tests of the evaluation."""

import numpy as np
import polars as pl

from pipeline.cohort.definitions import CLOCKS, VERSION
from pipeline.stage.tables import DEFINITIONS

VERSIONED = {DEFINITIONS: str(VERSION)}  # metadata of a table that a test writes by itself
DEFINITION = {
    "version": VERSION,
    "query": "pipeline/cohort/tasks/admission/mortality.sql",
    "question": "who dies?",
    "unit": "admission",
    "clock_zero": CLOCKS["admission"],
    "hours": 48.0,
    "items": [{"itemid": 220045, "label": "Heart Rate"}],
}


def fold(number, n=240, folds=3, seeds=2, shift=0.0, label=None):
    """Predictions of n episodes of n / 2 patients; a share of the patients is tested."""
    random = np.random.default_rng(5)
    if label is None:
        label = random.random(n) < 0.3
    score = random.normal(size=n) + label
    patient = np.arange(n) // 2
    tested = patient % folds == number
    facts = {
        "task": ["mortality"] * n,
        "episode_id": np.arange(n) + 1000,
        "subject_id": patient,
        "split": np.where(tested, "test", np.where(patient % 7 == 0, "val", "train")),
        "label": label.astype(np.int8),
    }
    noise = np.random.default_rng(number).normal(0, 0.5, (seeds, n))
    probability = 1 / (1 + np.exp(-(score + noise + shift)))
    return pl.concat(
        pl.DataFrame(facts).with_columns(seed=pl.lit(s, pl.Int64), probability=pl.Series(p))
        for s, p in enumerate(probability)
    )
