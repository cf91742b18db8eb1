"""Which encoder of the EHR predicts best: docs/choices.md, the EHR encoder.

    python benchmarks/ehr_encoders.py --hospitals FOLDER … --seeds 0 1 2 --output figures.csv

Each folder is one of a checkout in which a hospital was made (`hospital: { patients: 2500, seed:
101 }`), up to the tables of the EHR:

    snakemake results/corrected/admission/ehr/tokens.parquet \\
        results/corrected/admission/ehr/statistics/48h.parquet \\
        results/corrected/admission/labels/mortality.parquet \\
        results/hospital/truth/oracle_mortality.parquet

Each variant is trained and its head fitted as the workflow does for `e_unimodal_mortality`, but in
float32 on any processor. `auroc` is of the labels of the test patients, `known` for their known
risk itself: every patient counts as both, with the oracle's probability, so that figures lack the
noise of labels. Seconds are those of the processor, one thread.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import torch
import yaml
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.cohort.rows import TaskRows, read_rows
from pipeline.fusion.baselines import fit_best, fitted_rows, limited
from pipeline.fusion.inputs import of_statistics
from pipeline.stage.command import log, parser, run
from pipeline.stage.modules import ROOT
from pipeline.training.batches import evaluate
from pipeline.training.embed import as_embeddings, embed
from pipeline.training.examples import Examples
from pipeline.training.features import Unimodal
from pipeline.training.fitted import AdditiveHead
from pipeline.training.loop import fit
from pipeline.training.modality import ModalityData, feature_of, read_data
from pipeline.training.processes import CPU, make_repeatable
from pipeline.training.settings import Training
from pipeline.training.shape import SHAPES, choose

TASK, HOURS = "mortality", 48
NETWORKS = {"tokens": {}, "gru": {"network": "gru"}, "tcn": {"network": "tcn"}}


def settings_of(variant: str, folder: Path, grid: dict[str, Any]) -> dict[str, Any]:
    """What a stage is told of the EHR; a variant is a network, `-stats` with statistics beside."""
    network, _, beside = variant.partition("-")
    base = {"before": None, "window_hours": HOURS}
    if beside:
        base["statistics"] = {str(HOURS): str(folder / f"ehr/statistics/{HOURS}h.parquet")}
    if network == "tokens":
        files = {name: str(folder / f"ehr/{name}.parquet") for name in ("tokens", "demographics")}
        own = {"encoder": "tokens", "signals": "corrected", "start_by_value": True}
        return {**base, **own, **files}
    files = {"events": str(folder / "ehr/events.parquet"),
             "episodes": str(folder / "episodes.parquet")}  # fmt: skip
    return {**base, "encoder": "grid", "grid": json.dumps({**grid, "network": network}), **files}


def scores(label: np.ndarray, risk: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    """AUROC of labels, and for the known risk."""
    both = np.repeat([1, 0], len(risk))
    weight = np.concatenate([risk, 1 - risk])
    known = roc_auc_score(both, np.tile(score, 2), sample_weight=weight)
    return float(roc_auc_score(label, score)), float(known)


def trained(rows: TaskRows, data: ModalityData, settings: dict[str, Any], schedule: Training,
            seed: int) -> tuple[np.ndarray, dict[str, float]]:  # fmt: skip
    """Logit of every episode by the head of the fusion share; steps and seconds."""
    train = rows.of("train")
    make_repeatable(seed, 1)
    model = Unimodal(feature_of("ehr", settings, data, train))
    examples = Examples(data, rows.label, train, rows.of("val"))
    with TemporaryDirectory() as folder:
        begin = time.process_time()
        history = fit(model, examples, schedule, seed, CPU, Path(folder) / "progress", "ehr")
        seconds = time.process_time() - begin
        model.both = True
        how = argparse.Namespace(device="cpu", schedule=schedule)
        value, _ = embed(model, data, rows, how)
    alone = as_embeddings(value, data.present())
    fusion, val = rows.of("fusion"), rows.of("val")
    head, _ = choose(AdditiveHead, SHAPES, alone, rows, fusion, val, 0.0, seed, "ehr")
    logits = evaluate(head, alone, np.arange(len(rows.label)), 1024, CPU)
    score = (logits[:, 1] - logits[:, 0]).numpy()
    return score, {"steps": history["steps"], "best_step": history["best_step"], "s": seconds}


def figures(folder: Path, variants: list[str], seeds: list[int], grid: dict[str, Any],
            schedule: Training) -> Iterator[dict[str, Any]]:  # fmt: skip
    """A row per variant and seed of one hospital."""
    tables = folder / "results/corrected/admission"
    rows = read_rows(tables / "episodes.parquet", tables / f"labels/{TASK}.parquet", TASK)
    truth = pl.read_parquet(folder / f"results/hospital/truth/oracle_{TASK}.parquet")
    risk = pl.DataFrame({"hadm_id": rows.episode}).join(
        truth, on="hadm_id", how="left", maintain_order="left"
    )["e"].to_numpy()  # fmt: skip
    test, val = rows.of("test"), rows.of("val")

    def row(variant: str, seed: int, score: np.ndarray, facts: dict[str, float]) -> dict[str, Any]:
        auroc, known = scores(rows.label[test], risk[test], score[test])
        made = {"hospital": folder.name, "variant": variant, "seed": seed, **facts,
                "val": float(roc_auc_score(rows.label[val], score[val])),
                "auroc": auroc, "known": known}  # fmt: skip
        log.info("%s", made)
        return made

    none = {"steps": 0, "best_step": 0, "s": 0.0}
    yield row("oracle", 0, risk, none)
    path = str(tables / f"ehr/statistics/{HOURS}h.parquet")
    inputs = of_statistics(path, rows.episode)
    for model in ("gbdt", "logistic"):
        with limited(1):
            predict = fit_best(model, inputs, rows, fitted_rows(rows, False), 0)
            yield row(f"{model}-stats", 0, predict(inputs.value), none)
    for variant in variants:
        settings = settings_of(variant, tables, grid)
        data = read_data({"ehr": settings}, rows.episode)["ehr"]
        for seed in seeds:
            yield row(variant, seed, *trained(rows, data, settings, schedule, seed))


def main() -> None:
    """Writes the figures of every hospital, variant and seed; says means of each variant."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    options = parser(__doc__)
    options.add_argument("--hospitals", type=Path, nargs="+", required=True)
    every = [f"{name}{end}" for name in NETWORKS for end in ("", "-stats")]
    options.add_argument("--variants", nargs="+", default=every)
    options.add_argument("--seeds", type=int, nargs="+", required=True)
    for name in ("hours", "width"):
        options.add_argument(f"--{name}", type=type(config["ehr"]["grid"][name]),
                             default=config["ehr"]["grid"][name])  # fmt: skip
    options.add_argument("--output", type=Path, required=True)
    arguments = options.parse_args()
    grid = {"hours": arguments.hours, "width": arguments.width}
    schedule = Training.model_validate(config["schedule"])
    torch.set_num_threads(1)
    made: list[dict[str, Any]] = []
    for folder in arguments.hospitals:
        for one in figures(folder, arguments.variants, arguments.seeds, grid, schedule):
            made.append(one)
            pl.DataFrame(made).write_csv(arguments.output)
    numbers = pl.col("val", "auroc", "known", "s", "best_step").mean().round(4)
    log.info("%s", pl.DataFrame(made).group_by("variant", maintain_order=True).agg(numbers))


if __name__ == "__main__":
    run(main)
