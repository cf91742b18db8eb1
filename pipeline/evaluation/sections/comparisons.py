"""The model beside the best reachable, single modalities and baselines, paired by episode."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.evaluation.predictions import samples
from pipeline.evaluation.sections.suppression import shown_each
from pipeline.evaluation.statistics.bootstrap import (
    Resampling,
    auroc_difference,
    auroc_estimate,
    differences,
    per_run,
)
from pipeline.evaluation.statistics.figures import NO_DIFFERENCE
from pipeline.evaluation.statistics.metrics import auroc, unit_weights
from pipeline.evaluation.statistics.sample import Ids, Sample, pair, same_seeds
from pipeline.evaluation.statistics.significance import holm
from pipeline.stage.files import read_json
from pipeline.stage.sections import (
    Baseline,
    Ceiling,
    Comparisons,
    Difference,
    OtherModel,
    Single,
    Unpaired,
)
from pipeline.stage.tables import read_table

Tables = Mapping[str, list[pl.DataFrame]]  # name of a model → its predictions, a table per fold


@dataclass(frozen=True)
class Oracle:
    """The best reader of a modality set: what its modalities make reachable of a task.

    `sample`: its probabilities of the test episodes that it knows; `population_auroc`: its AUROC in
    the whole population, where that is known; `name`: for messages.
    """

    sample: Sample
    population_auroc: float | None
    name: str


def mean_auroc(part: Sample, least: int = 1) -> float | None:
    """The AUROC, mean over runs; None with fewer than `least` episodes of a class."""
    if part.fewest < least:
        return None
    return float(per_run(auroc, part, unit_weights(part.label)).mean())


def read_oracle(truth: str | Path, task: str, modalities: str, test: Sample) -> Oracle | None:
    """The oracle of a task and modality set on the test episodes; None where none is known.

    Episodes that the oracle does not know are left out, and counted by the comparison. One file per
    task, `oracle_<task>.parquet`: the source's key of an episode (stay_id of an ICU stay, else
    hadm_id) and a column of probabilities per modality set. The AUROC in the population is read
    from `ceilings.json` in the folder `truth`: {task: {modality set: AUROC}}.
    """
    path, summary = Path(truth) / f"oracle_{task}.parquet", Path(truth) / "ceilings.json"
    table = read_table(path) if path.is_file() else pl.DataFrame()
    if modalities not in table.columns:
        return None
    key = "stay_id" if "stay_id" in table.columns else "hadm_id"
    known = table.select(episode_id=key, best=modalities).drop_nulls()
    index = pl.DataFrame({"episode_id": test.episode}).with_row_index("row")
    joined = index.join(known, on="episode_id").sort("row")
    chosen = test.rows(joined["row"].cast(pl.Int64).to_numpy())
    ceilings = read_json(summary) if summary.is_file() else {}
    return Oracle(
        chosen.scored(joined["best"].to_numpy()[None]),
        ceilings.get(task, {}).get(modalities),
        f"{truth}: oracle of {task}",
    )


def ceiling(
    test: Sample, oracle: Oracle, resampling: Resampling, smallest: int, within: Ids | None = None
) -> Ceiling:
    """What is reachable, in the population and on the test episodes.

    `within`: the episodes that count, those of `test` among them; else all. The population's AUROC
    is that of all episodes, and null for some of them.
    """
    model, best, left_out = pair(test, oracle.sample.among(within), oracle.name)
    return {
        "population_auroc": oracle.population_auroc if within is None else None,
        "oracle_auroc": auroc_estimate(best, resampling),
        "oracle_minus_model": auroc_difference(best, model, resampling),
        "left_out": unpaired(left_out, smallest),
    }


def unpaired(left_out: dict[str, int], smallest: int) -> Unpaired:
    """How many episodes of the model and of the other side were not paired, small counts hidden."""
    counts = shown_each(left_out, smallest)
    return {"model": counts["model"], "other": counts["other"]}


def compare_other(
    name: str,
    frames: list[pl.DataFrame],
    test: Sample,
    resampling: Resampling,
    smallest: int,
    within: Ids | None = None,
) -> tuple[OtherModel, Difference]:
    """Another model: its AUROC on validation and test; the difference model − other on test.

    `frames`: its predictions, a table per fold. `within`: the episodes that count; else all.
    """
    validation, tested = (samples(frames, split).among(within) for split in ("val", "test"))
    model, other, left_out = pair(test, tested, name)
    same_seeds(model, other, name)
    difference = differences(model, other, resampling)
    figures: OtherModel = {
        "validation_auroc": mean_auroc(validation, resampling.least),
        "test_auroc": mean_auroc(other, resampling.least),
        "p": difference.p() if difference else None,
        "left_out": unpaired(left_out, smallest),
        "p_holm": None,
    }
    return figures, difference.difference() if difference else NO_DIFFERENCE


def compare_others(
    tables: Tables,
    test: Sample,
    resampling: Resampling,
    smallest: int,
    within: Ids | None = None,
) -> dict[str, tuple[OtherModel, Difference]]:
    """Every other model by name, p-values corrected for the number of them."""
    each = {
        name: compare_other(name, frames, test, resampling, smallest, within)
        for name, frames in tables.items()
    }
    corrected = holm([figures["p"] for figures, _ in each.values()])
    for (figures, _), p in zip(each.values(), corrected, strict=True):
        figures["p_holm"] = p
    return each


def comparisons(
    singles: Tables,
    test: Sample,
    resampling: Resampling,
    smallest: int = 0,
    within: Ids | None = None,
    baselines: Tables | None = None,
) -> Comparisons:
    """Single-modality models and baselines by name, the best single, and what beats the model.

    The best is chosen by *validation* AUROC: the best of several on the test episodes would be
    chosen by the same luck that it is judged by. Ties go to the first name. P-values are corrected
    for the number of single models, and for that of baselines. `within`: the episodes of the others
    that count, those of `test` among them; else all.
    """
    alone = compare_others(singles, test, resampling, smallest, within)
    simple = compare_others(baselines or {}, test, resampling, smallest, within)
    of_singles: dict[str, Single] = {
        name: {**figures, "model_minus_single": gain} for name, (figures, gain) in alone.items()
    }
    of_baselines: dict[str, Baseline] = {
        name: {**figures, "model_minus_baseline": gain} for name, (figures, gain) in simple.items()
    }
    known = {
        name: validation
        for name, single in of_singles.items()
        if (validation := single["validation_auroc"]) is not None
    }
    best = max(known, key=lambda name: known[name], default=None)
    gains = {name: gain for name, (_, gain) in (alone | simple).items()}
    beaten_by, not_better_than = beaten(gains)
    return {
        "best_single": best,
        "singles": of_singles,
        "baselines": of_baselines,
        "beaten_by": beaten_by,
        "not_better_than": not_better_than,
    }


def beaten(gains: Mapping[str, Difference]) -> tuple[list[str], list[str]]:
    """The names whose gain, model − other, lies below 0; then those whose interval holds 0.

    Each in the order of the gain, the lowest first.

    >>> rows = {"a": (-0.01, -0.03, 0.01), "b": (-0.02, -0.03, -0.01), "c": (0.1, 0.05, 0.15)}
    >>> beaten({name: dict(zip(("value", "low", "high"), row)) for name, row in rows.items()})
    (['b'], ['a'])
    """
    known = {
        name: (value, low, high)
        for name, row in gains.items()
        if (value := row["value"]) is not None
        if (low := row["low"]) is not None and (high := row["high"]) is not None
    }
    ordered = sorted(known, key=lambda name: (known[name][0], name))
    return (
        [name for name in ordered if known[name][2] < 0],
        [name for name in ordered if known[name][1] <= 0 <= known[name][2]],
    )
