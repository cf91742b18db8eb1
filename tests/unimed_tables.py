"""Made-up predictions of UniMed with labels, groups and vocabulary, for tests of evaluation."""

import json

import numpy as np
import polars as pl
from prediction_tables import DEFINITION

from pipeline.cohort.rows import MANY_PREDICTIONS, PREDICTIONS
from pipeline.stage.tables import write_table

BINARY = ("shock_4h", "arf_12h", "mortality_48h")
TASKS = (*BINARY, "diagnoses_48h")
SPLITS = np.array(["train", "fusion", "val", "test", "test"])
GROUPS = 12


def stays(n=400):
    """Facts of n stays of n / 2 patients, a label per task, and a matrix of true groups.

    Every seventh stay has no group, and each task has stays that are not eligible.
    """
    random = np.random.default_rng(3)
    latent = random.normal(size=n)
    patient = np.arange(n) // 2
    facts = {
        "episode_id": np.arange(n) + 30_000_000,
        "subject_id": patient + 10_000_000,
        "split": SPLITS[patient % 5],
    }
    chance = 1 / (1 + np.exp(1 - 1.5 * latent))
    labels = {task: random.random(n) < chance for task in BINARY}
    eligible = {task: random.random(n) < 0.9 for task in TASKS}
    share = np.linspace(0.6, 0.05, GROUPS)
    truth = random.random((n, GROUPS)) < share
    truth[::7] = False
    return pl.DataFrame(facts), latent, labels, eligible, truth, share


def write(folder, target="en_unimed_all", n=400, seeds=2, noise=1.0, tasks=TASKS, number=0):
    """All files of a target; returns the folder. `noise` of the scores: less is better."""
    facts, latent, labels, eligible, truth, share = stays(n)
    random = np.random.default_rng(100 + number)
    tables = [pl.DataFrame(schema=PREDICTIONS.columns)]
    for task in BINARY:
        own = facts.with_columns(label=pl.Series(labels[task]).cast(pl.Int8), task=pl.lit(task))
        own.select(
            "episode_id",
            eligible=pl.Series(eligible[task]),
            label=pl.when(pl.Series(eligible[task])).then("label"),
            onset_hours=pl.lit(None, pl.Float64),
        ).write_parquet(folder / f"labels_{task}.parquet")
        for seed in range(seeds if task in tasks else 0):
            score = latent + noise * random.normal(size=n)
            said = pl.Series((1 / (1 + np.exp(1 - score))).round(7))
            table = own.with_columns(seed=pl.lit(seed, pl.Int64), probability=said)
            tables.append(table.filter(pl.Series(eligible[task])).select(list(PREDICTIONS.columns)))
    write_table(pl.concat(tables), folder / f"{target}.parquet", PREDICTIONS)
    many = "diagnoses_48h"
    own = facts.with_columns(eligible=pl.Series(eligible[many]))
    version = pl.when(pl.col("episode_id") % 3 == 0).then(pl.lit("10")).otherwise(pl.lit("9"))
    own.select("episode_id", "eligible", icd_version=version).write_parquet(
        folder / f"labels_{many}.parquet"
    )
    kept = eligible[many] & np.isin(facts["split"].to_numpy(), ["val", "test"])
    wide = pl.Array(pl.Float64, GROUPS)
    tables = [pl.DataFrame(schema={**MANY_PREDICTIONS.columns, "probability": wide})]
    for seed in range(seeds if many in tasks else 0):
        score = np.clip(share + 0.2 * truth + 0.2 * noise * random.random((n, GROUPS)), 0, 1)
        said = pl.Series(score[kept].round(2), dtype=wide)  # two digits: ties
        table = facts.filter(pl.Series(kept)).with_columns(seed=pl.lit(seed, pl.Int64))
        tables.append(table.with_columns(probability=said).select(list(MANY_PREDICTIONS.columns)))
    write_table(pl.concat(tables), folder / f"{target}.diagnoses.parquet", MANY_PREDICTIONS)
    row, group = np.nonzero(truth & eligible[many][:, None])
    pl.DataFrame(
        {"episode_id": facts["episode_id"].to_numpy()[row], "group": group.astype(np.int32)}
    ).write_parquet(folder / "groups.parquet")
    names = [f"G{g:02}" for g in range(GROUPS)]
    pl.DataFrame(
        {"group": np.arange(GROUPS, dtype=np.int32), "code": names, "title": names, "share": share}
    ).write_parquet(folder / "vocabulary.parquet")
    facts.with_columns(sex=pl.lit("F"), age=pl.lit(70)).write_parquet(folder / "episodes.parquet")
    shares = {"S": 0.25, "X": 0.5, "n": 0.25}
    own = {
        "modality": dict.fromkeys(tasks, shares),
        "task": {task: dict.fromkeys(tasks[:k], 1 / max(k, 1)) for k, task in enumerate(tasks)},
        "stays": dict.fromkeys(tasks, 150),
    }
    attention = {"seeds": {str(seed): own for seed in range(seeds)}}
    (folder / f"{target}.attention.json").write_text(json.dumps(attention))
    rows = [{"condition": "in the ICU at T", "episodes": n, "subjects": n // 2}]
    (folder / "attrition.json").write_text(
        json.dumps({"conditions": rows, "definition": DEFINITION})
    )
    oracle = 1 / (1 + np.exp(1 - 1.5 * latent))
    table = {"stay_id": facts["episode_id"], "hadm_id": np.zeros(n, dtype=int), "en": oracle}
    pl.DataFrame(table).write_parquet(folder / "oracle_arf_12h.parquet")
    table["en"] = labels["arf_12h"].astype(float)
    pl.DataFrame(table).write_parquet(folder / "oracle_arf_12h_forced.parquet")
    known = {"arf_12h": {"en": 0.85}, "arf_12h_forced": {"en": 0.95}}
    (folder / "ceilings.json").write_text(json.dumps(known))
    return folder
