"""Death in the ICU, open eICU demo: our models beside LightGBM and a plain GRU on the same grid.

    python benchmarks/eicu.py --size full --folder /tmp/eicu --output eicu.json

Needs the hourly concept tables (YAIB's demo data) in `yaib/mortality24/eicu_demo` below
MIMIC_OPEN_DATA (else below ../shared/data beside the repository); they are copied. Ours run through
the workflow (`source.kind: hourly`, five folds, config.yaml's settings but the encoder grid with
bins of an hour). The others get the same concepts, hours, folds and labels: LightGBM, in an
environment of its own, the minimum, maximum, mean, last value and count of each concept; the GRU of
each hour the last value so far, standardised, and whether it was read. Both stop early on
validation; nothing was tuned. Every model is trained with five seeds in each fold (but our
baselines on statistics, whose fits draw nothing). Few deaths: the intervals are wide. The table of
docs/hourly.md is made from the record by eicu_page.py.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from record import REPOSITORY, machine, parser
from workflow_runs import project, run, snakemake

sys.path.insert(0, str(REPOSITORY))

from pipeline.evaluation.predictions import read_task, samples
from pipeline.evaluation.statistics.bootstrap import (
    Resampling,
    auroc_difference,
    auroc_estimate,
    per_seed,
    replicate,
)
from pipeline.evaluation.statistics.calibration import slope_and_intercept
from pipeline.evaluation.statistics.figures import SHARE, rounded
from pipeline.evaluation.statistics.metrics import average_precision
from pipeline.evaluation.statistics.sample import Sample
from pipeline.hourly.given import concepts, read

TASK, FOLDS, HOURS = "icumortality_24h", 5, 24
SEEDS = [0, 1, 2, 3, 4]
OURS = {
    "encoder grid (GRU) and head": "e_unimodal",
    "logistic regression on statistics": "e_logistic-stats",
    "boosted trees on statistics": "e_gbdt-stats",
}
FIRST = next(iter(OURS))
SETTINGS: dict[str, Any] = {
    "encoders": {"e": "grid"},
    "ehr": {"grid": {"hours": 1, "network": "gru", "width": 128}},
    "folds": FOLDS,
    "split": {"salt": "eicu", "train": 0.42, "fusion": 0.2, "val": 0.18, "test": 0.2},
    "seeds": SEEDS,
}
TRY = {"schedule": {"steps": 10, "check": 5, "patience": 2}, "seeds": SEEDS[:1]}  # of size small
LIGHTGBM = "lightgbm==4.6.0"
FIT = """
import sys
import lightgbm
import numpy as np

given = np.load(sys.argv[1])
train = lightgbm.Dataset(given["train"], given["train_label"])
val = lightgbm.Dataset(given["val"], given["val_label"], reference=train)
settings = {"objective": "binary", "learning_rate": 0.02, "num_leaves": 15, "min_data_in_leaf": 20,
            "bagging_fraction": 0.8, "bagging_freq": 1, "feature_fraction": 0.5,
            "num_threads": 1, "deterministic": True, "verbosity": -1}
made = []
for seed in map(int, sys.argv[3:]):
    model = lightgbm.train({**settings, "seed": seed}, train, 1000, [val],
                           callbacks=[lightgbm.early_stopping(50, verbose=False)])
    made.append(model.predict(given["test"], num_iteration=model.best_iteration))
np.save(sys.argv[2], made)
"""


def demo() -> Path:
    """Where the concept tables are expected."""
    beside = REPOSITORY.parent / "shared" / "data"
    return Path(os.environ.get("MIMIC_OPEN_DATA", beside)) / "yaib" / "mortality24" / "eicu_demo"


def ours(folder: Path, data: Path, small: bool) -> tuple[dict[str, Sample], list[pl.DataFrame]]:
    """The test predictions of our models, and per fold the split of every stay with its label."""
    place = folder / "workflow"
    project(place)
    settings = SETTINGS | {"source": {"kind": "hourly", "root": str(data)}} | (TRY if small else {})
    targets = [f"results/{model}_{TASK}.json" for model in OURS.values()]
    if run(snakemake(place, settings, targets, 1), place):
        sys.exit("the workflow failed")
    base = place / "results/corrected"
    folds = [base / (f"fold{k}" if k else "") / "stay" for k in range(FOLDS)]
    frames = {
        name: read_task([str(f / f"predictions/{model}_{TASK}.parquet") for f in folds], TASK)
        for name, model in OURS.items()
    }
    found = {name: samples(each, "test") for name, each in frames.items()}
    keys = ["episode_id", "split", "label"]
    return found, [frame.select(keys).unique().sort("episode_id") for frame in frames[FIRST]]


def grid(data: Path, stays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values (N, 24, S), NaN where nothing was read, and demographics (N, 2): age, sex."""
    found = read(data)
    names = [name for name in concepts()["concept"] if name in found["dyn"].columns]
    rows = found["dyn"]
    place = {stay: k for k, stay in enumerate(stays.tolist())}
    rows = rows.filter(pl.col("stay_id").is_in(stays.tolist()))
    values = np.full((len(stays), HOURS, len(names)), np.nan)
    at = [place[stay] for stay in rows["stay_id"]]
    values[at, rows["hour"].to_numpy()] = rows.select(names).cast(pl.Float64).to_numpy()
    order = pl.DataFrame({"stay_id": stays}).join(
        found["sta"].cast({"stay_id": pl.Int64}), on="stay_id", how="left", maintain_order="left"
    )
    fixed = order.select(pl.col("age").cast(pl.Float64), (pl.col("sex") == "Male").cast(pl.Float64))
    return values, fixed.to_numpy()


def summarised(values: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Minimum, maximum, mean, last value and count of each concept beside the demographics."""
    lowest, highest = np.fmin.reduce(values, axis=1), np.fmax.reduce(values, axis=1)
    count = (~np.isnan(values)).sum(axis=1)
    mean = np.divide(np.nansum(values, axis=1), count, out=np.full(count.shape, np.nan),
                     where=count > 0)  # fmt: skip
    return np.concatenate([lowest, highest, mean, carried(values)[:, -1], count, fixed], axis=1)


def carried(values: np.ndarray) -> np.ndarray:
    """Each hour's last value so far."""
    filled = values.copy()
    for hour in range(1, values.shape[1]):
        nothing = np.isnan(filled[:, hour])
        filled[:, hour][nothing] = filled[:, hour - 1][nothing]
    return filled


def by_lightgbm(folder: Path, values: np.ndarray, fixed: np.ndarray, label: np.ndarray,
                parts: Mapping[str, np.ndarray], seeds: Sequence[int]) -> np.ndarray:  # fmt: skip
    """Probabilities of the test stays by each seed (S, n)."""
    python = folder / "lightgbm-environment" / "bin" / "python"
    if not python.is_file():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, python.parents[1]],
                       check=True)  # fmt: skip
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, LIGHTGBM, "numpy"],
                       check=True)  # fmt: skip
    table = summarised(values, fixed)
    arrays = {name: table[rows] for name, rows in parts.items()}
    arrays |= {f"{name}_label": label[rows] for name, rows in parts.items()}
    np.savez(folder / "fold.npz", **arrays)
    files = [folder / "fold.npz", folder / "fold.npy"]
    subprocess.run([python, "-c", FIT, *files, *map(str, seeds)], check=True)
    found: np.ndarray = np.load(folder / "fold.npy")
    return found


def by_gru(values: np.ndarray, fixed: np.ndarray, label: np.ndarray,
           parts: Mapping[str, np.ndarray], seed: int) -> np.ndarray:  # fmt: skip
    """Probabilities of the test stays (n,) by a GRU of 64 units: the epoch best on validation."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    inputs = torch.from_numpy(standardised(values, fixed, parts["train"])).float()
    target = torch.from_numpy(label).float()
    gru, head = nn.GRU(inputs.shape[2], 64, batch_first=True), nn.Linear(64, 1)
    weights = [*gru.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=1e-3, weight_decay=1e-2)

    def logits(rows: np.ndarray) -> torch.Tensor:
        return head(F.dropout(gru(inputs[rows])[0][:, -1], 0.2, gru.training))[:, 0]

    best, waited, made = np.inf, 0, np.zeros(len(parts["test"]))
    random = np.random.default_rng(seed)
    for _ in range(100):
        gru.train()
        order = random.permutation(parts["train"])
        for start in range(0, len(order), 64):
            rows = order[start : start + 64]
            optimiser.zero_grad()
            F.binary_cross_entropy_with_logits(logits(rows), target[rows]).backward()
            nn.utils.clip_grad_norm_(weights, 1.0)
            optimiser.step()
        gru.eval()
        with torch.no_grad():
            val = parts["val"]
            loss = F.binary_cross_entropy_with_logits(logits(val), target[val]).item()
            waited += 1
            if loss < best:
                best, waited = loss, 0
                made = logits(parts["test"]).sigmoid().numpy()
        if waited == 10:
            break
    return made


def standardised(values: np.ndarray, fixed: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Of each hour: last values, whether read, demographics; (N, 24, 2 S + 2), no NaN."""
    mean, spread = np.nanmean(values[train], axis=(0, 1)), np.nanstd(values[train], axis=(0, 1))
    scaled = (carried(values) - mean) / np.where(spread > 0, spread, 1.0)
    scaled = np.nan_to_num(np.clip(scaled, -5, 5))
    own = np.nan_to_num(
        (fixed - np.nanmean(fixed[train], axis=0)) / np.nanstd(fixed[train], axis=0)
    )
    repeated = np.repeat(own[:, None], values.shape[1], axis=1)
    return np.concatenate([scaled, ~np.isnan(values), repeated], axis=2)


def others(folder: Path, data: Path, folds: list[pl.DataFrame], like: Sample,
           seeds: Sequence[int]) -> dict[str, Sample]:  # fmt: skip
    """LightGBM and the GRU on every fold: predictions of the test stays of `like`."""
    stays, label = folds[0]["episode_id"].to_numpy(), folds[0]["label"].to_numpy().astype(float)
    values, fixed = grid(data, stays)
    made: dict[str, list[np.ndarray]] = {"LightGBM": [], "plain GRU": []}
    for fold in folds:
        split = fold["split"].to_numpy()
        parts = {
            "train": np.flatnonzero(np.isin(split, ["train", "fusion"])),
            "val": np.flatnonzero(split == "val"),
            "test": np.flatnonzero(split == "test"),
        }
        made["LightGBM"].append(by_lightgbm(folder, values, fixed, label, parts, seeds))
        each = [by_gru(values, fixed, label, parts, seed) for seed in seeds]
        made["plain GRU"].append(np.stack(each))
    return {name: like.scored(np.concatenate(each, axis=1)) for name, each in made.items()}


def measured(name: str, one: Sample, first: Sample, draws: Resampling) -> dict[str, Any]:
    """The figures of a model, and its difference from our encoder, on the same stays and folds."""
    weak = replicate(one, per_seed(slope_and_intercept, one), draws)
    return rounded({
        "model": name, "ours": name in OURS,
        "auroc": auroc_estimate(one, draws),
        "average_precision": replicate(one, per_seed(average_precision, one), draws,
                                       SHARE).estimate(),
        "slope": weak.estimate(0),
        "encoder_minus_model": None if one is first else auroc_difference(first, one, draws),
    })  # fmt: skip


def main() -> None:
    """Makes the record, where the data are at hand."""
    given = parser(__doc__).parse_args()
    folder, source = given.folder.resolve(), demo()
    if not source.is_dir():
        sys.exit(f"no concept tables at {source}; set MIMIC_OPEN_DATA")
    data = folder / "eicu_demo"
    folder.mkdir(parents=True, exist_ok=True)
    if not data.is_dir():
        shutil.copytree(source, data)
    small = given.size == "small"
    seeds = TRY["seeds"] if small else SEEDS
    found, folds = ours(folder, data, small)
    first = found[FIRST]
    found |= others(folder, data, folds, first, seeds)
    draws = Resampling()
    counts = first.counts
    made = {
        "title": "Death in the ICU after 24 h, open eICU demo",
        "stays": counts["n"], "deaths": counts["positives"], "folds": FOLDS, "seeds": seeds,
        "models": [measured(name, one, first, draws) for name, one in found.items()],
        "machine": machine(),
    }  # fmt: skip
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
