"""The metrics on the test episodes that each sensitivity analysis keeps."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.evaluation.bootstrap import NOTHING, Resampling, auroc_estimate
from pipeline.evaluation.predictions import Sample
from pipeline.evaluation.suppression import hides, shown_counts, why_no_metrics
from pipeline.stage.errors import InputError
from pipeline.stage.tables import read_table


def sensitivity(
    test: Sample, marks: str | Path, resampling: Resampling, smallest: int
) -> list[dict[str, Any]]:
    """Counts and AUROC of each analysis, without the episodes that it leaves out.

    `marks`: the table of `pipeline.cohort.without`: episode_id, and a boolean column per analysis
    that says in words who is left out. Where 1 to `smallest` − 1 positives or negatives are left
    out, or are all in which an analysis differs from one that is shown, their number would follow
    from the counts of both: nothing is said. Raises `InputError` where a test episode has no mark.
    """
    table = read_table(marks)
    found = pl.DataFrame({"episode_id": test.episode}).join(
        table, on="episode_id", how="left", maintain_order="left"
    )
    if unmarked := found.filter(~pl.col("episode_id").is_in(table["episode_id"].implode())).height:
        raise InputError(f"{marks}: {unmarked} test episode(s) without a mark; make it again")
    analyses: list[dict[str, Any]] = []
    counted: list[NDArray[np.bool_]] = []  # who is left out of those whose counts are shown
    for text in table.columns[1:]:
        out = found[text].to_numpy()
        few = _tells(test, out, counted, smallest)
        kept = test.rows(np.flatnonzero(~out))
        reason = few or why_no_metrics(kept, smallest)
        counts = shown_counts(kept, smallest)
        if few:
            counts = dict.fromkeys(("n", "patients", "positives", "prevalence"))
        else:
            counted.append(out)
        auroc = dict(NOTHING) if reason else auroc_estimate(kept, resampling)
        analyses.append({"left_out": text, **counts, "reason": reason, "auroc": auroc})
    return analyses


def _tells(
    test: Sample, out: NDArray[np.bool_], counted: list[NDArray[np.bool_]], smallest: int
) -> str | None:
    """Why the counts of an analysis are not shown; None where they are."""
    if hides(test.rows(np.flatnonzero(out)), smallest):
        return f"fewer than {smallest} positive or negative episodes are left out"
    for other in counted:
        nested = not (out & ~other).any() or not (other & ~out).any()
        if nested and hides(test.rows(np.flatnonzero(out ^ other)), smallest):
            return f"fewer than {smallest} positive or negative episodes more or less are left out"
    return None
