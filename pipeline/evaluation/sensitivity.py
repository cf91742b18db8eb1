"""The metrics on the test episodes that a sensitivity analysis keeps."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipeline.common.errors import InputError
from pipeline.common.tables import read_table
from pipeline.evaluation.bootstrap import NOTHING, Resampling, auroc_estimate
from pipeline.evaluation.predictions import Sample
from pipeline.evaluation.suppression import hides, shown_counts, why_no_metrics


def sensitivity(
    test: Sample, labels: str | Path, text: str, resampling: Resampling, smallest: int
) -> dict[str, Any]:
    """Counts and AUROC without the episodes that the labels mark as `left_out`.

    `text` says in words who they are. Where 1 to `smallest` − 1 positives or negatives are left
    out, their number would follow from the counts of all test episodes: nothing is said. Raises
    `InputError` where the labels lack the column.
    """
    table = read_table(labels)
    if "left_out" not in table.columns:
        raise InputError(f"{labels}: no column left_out, but the attrition names who is left out")
    marked = table.filter(pl.col("left_out").fill_null(False))["episode_id"].to_numpy()
    inside = np.isin(test.episode, marked)
    kept = test.rows(np.flatnonzero(~inside))
    reason = why_no_metrics(kept, smallest)
    if hides(test.rows(np.flatnonzero(inside)), smallest):
        reason = f"fewer than {smallest} positive or negative episodes are left out"
        counts = dict.fromkeys(("n", "patients", "positives", "prevalence"))
    else:
        counts = shown_counts(kept, smallest)
    auroc = dict(NOTHING) if reason else auroc_estimate(kept, resampling)
    return {"left_out": text, **counts, "reason": reason, "auroc": auroc}
