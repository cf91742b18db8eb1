"""The model beside the best that is reachable and beside single modalities, paired by episode."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.evaluation.bootstrap import (
    NOTHING,
    Resampling,
    auroc_difference,
    auroc_estimate,
    differences,
    per_run,
    same_seeds,
)
from pipeline.evaluation.folds import read_folds, samples
from pipeline.evaluation.metrics import auroc, unit_weights
from pipeline.evaluation.predictions import Sample, pair
from pipeline.evaluation.significance import holm
from pipeline.evaluation.suppression import shown_each
from pipeline.stage.files import read_json
from pipeline.stage.tables import read_table


def mean_auroc(part: Sample, least: int = 1) -> float | None:
    """The AUROC, mean over runs; None with fewer than `least` episodes of a class."""
    if part.fewest < least:
        return None
    return float(per_run(auroc, part, unit_weights(part.label)).mean())


def read_oracle(truth: str | Path, task: str, modalities: str, test: Sample) -> Sample | None:
    """The oracle's probabilities of the test episodes: what their modalities make reachable.

    None where no truth is known for this task and modality set. Episodes that the oracle does not
    know are left out, and counted by the comparison. One file per task, `oracle_<task>.parquet`:
    the source's key of an episode (stay_id of an ICU stay, else hadm_id) and a column of
    probabilities per modality set.
    """
    path = Path(truth) / f"oracle_{task}.parquet"
    table = read_table(path) if path.is_file() else pl.DataFrame()
    if modalities not in table.columns:
        return None
    key = "stay_id" if "stay_id" in table.columns else "hadm_id"
    known = table.select(episode_id=key, best=modalities).drop_nulls()
    index = pl.DataFrame({"episode_id": test.episode}).with_row_index("row")
    joined = index.join(known, on="episode_id").sort("row")
    chosen = test.rows(joined["row"].cast(pl.Int64).to_numpy())
    return chosen.saying(joined["best"].to_numpy()[None])


def ceiling(
    truth: str | Path,
    names: tuple[str, str],
    test: Sample,
    oracle: Sample,
    resampling: Resampling,
    smallest: int = 0,
) -> dict[str, Any]:
    """What is reachable for a (task, modality set): in the population, and on the test episodes.

    `oracle`: its probabilities of the test episodes. The AUROC in the population is read from
    `ceilings.json` in the folder `truth`: {task: {modality set: AUROC}}.
    """
    task, modalities = names
    path = Path(truth) / "ceilings.json"
    ceilings = read_json(path) if path.is_file() else {}
    model, best, left_out = pair(test, oracle, f"{truth}: oracle of {task}")
    return {
        "population_auroc": ceilings.get(task, {}).get(modalities),
        "oracle_auroc": auroc_estimate(best, resampling),
        "oracle_minus_model": auroc_difference(best, model, resampling),
        "left_out": shown_each(left_out, smallest),
    }


def compare_single(
    paths: list[str],
    test: Sample,
    resampling: Resampling,
    smallest: int,
    within: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """One single-modality model: its AUROC on validation and test, and model − single on test.

    `paths`: its predictions, a table per fold. `within`: the episodes that count; else all.
    """
    frames = read_folds(paths)
    val, own = (samples(frames, name).among(within) for name in ("val", "test"))
    model, single, left_out = pair(test, own, paths[0])
    same_seeds(model, single, paths[0])
    found = differences(model, single, resampling)
    return {
        "validation_auroc": mean_auroc(val, resampling.least),
        "test_auroc": mean_auroc(single, resampling.least),
        "model_minus_single": found.difference() if found else {**NOTHING, "seed_sd": None},
        "p": found.p() if found else None,
        "left_out": shown_each(left_out, smallest),
    }


def comparisons(
    tables: Mapping[str, list[str]],
    test: Sample,
    resampling: Resampling,
    smallest: int = 0,
    within: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Every single-modality model by name, and which of them is best.

    The best is chosen by *validation* AUROC: the best of several on the test episodes would be
    chosen by the same luck that it is judged by. Ties go to the first name. `tables`: name → a
    table per fold. P-values are corrected for the number of models compared with. `within`: the
    episodes of the singles that count, those of `test` among them; else all.
    """
    singles = {
        name: compare_single(tables[name], test, resampling, smallest, within)
        for name in sorted(tables)
    }
    corrected = holm([single["p"] for single in singles.values()])
    for single, p in zip(singles.values(), corrected, strict=True):
        single["p_holm"] = p
    ranked = [name for name in singles if singles[name]["validation_auroc"] is not None]
    best = max(ranked, key=lambda name: singles[name]["validation_auroc"], default=None)
    return {"best_single": best, "singles": singles}
