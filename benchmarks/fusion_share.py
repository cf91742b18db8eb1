"""Which patients a head is fitted on: a fusion share, the encoders' own share, or all by folds.

    python benchmarks/fusion_share.py --folder PROJECT --seeds 0 1 --output fusion_share.csv

PROJECT is a checkout in which `results/ecn_early_mortality.json` was made. `early` is fitted on the
same training patients (train and fusion share together) in three ways; validation and test are the
same in all, and what is fitted without labels (bins, Doc2Vec) is left as the project has it:

* `fusion share`: the project's own encoders, trained on train; the head on fusion.
* `one share`: encoders and head on both. What such a head loses on patients of its own says
  nothing, so its shape is chosen on validation alone, among strengths down to .0001.
* `cross-fitted`: in each of three folds, by patient, encoders are trained on the two others (as
  many patients as train has). The head reads one number a modality, the logit, of patients that its
  encoder never saw: of training patients by the fold's encoder, of others the mean over the folds.
  The logits of each encoder have mean 0 and SD 1 on validation: as they are, their scale differs
  between folds by a factor of ten (films, 1,500 patients).

Figures: oracle − model in AUROC on the test patients, for their labels and for their known risk.
"""

import argparse
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from ehr_encoders import scores
from missing_films import NAMES, Project
from scipy.special import logit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.cohort.rows import TaskRows
from pipeline.stage.command import log, parser, run
from pipeline.training.embeddings import Embeddings, read_embeddings
from pipeline.training.fitted import AdditiveHead, FittedHead, Known, odds_of, principal
from pipeline.training.shape import SHAPES, STRENGTHS, choose, losses_of, path, shapes

FOLDS = 3
STRONG = shapes([0], [0.0001, 0.0003, 0.001, 0.003, *STRENGTHS])
EPSILON = 1e-6  # predictions are rounded
WAYS = ("fusion share", "one share", "cross-fitted")


def labels_of(project: Project, held: np.ndarray | None, to: Path) -> Path:
    """Labels with splits of their own: training patients are train, but those held are fusion."""
    rows = project.rows()
    split = rows.split.astype(object)
    split[np.isin(split, ["train", "fusion"])] = "train"
    if held is not None:
        split[held] = "fusion"
    other = pl.DataFrame({"episode_id": rows.episode, "split": split.astype(str)})
    to.mkdir(parents=True, exist_ok=True)
    table = pl.read_parquet(project.labels).join(other, on="episode_id")
    table.write_parquet(to / "labels.parquet")
    return to / "labels.parquet"


def encoded(project: Project, held: np.ndarray | None, to: Path) -> dict[str, tuple[Path, Path]]:
    """Encoders of all modalities on the other training patients: embeddings and predictions."""
    labels, found = labels_of(project, held, to), {}
    for letter, name in NAMES.items():
        folder = to / name
        made = folder / f"{name}.parquet", folder / "unimodal.parquet"
        if not all(one.exists() for one in made):
            project.encode(letter, project.data(letter), folder, labels, head_on="train")
        found[letter] = made
    return found


def odds(head: FittedHead, data: Embeddings) -> np.ndarray:
    """The log odds of all episodes."""
    batch = data.batch(np.arange(len(data.here)))
    with torch.no_grad():
        logits = head(batch)
    return (logits[:, 1] - logits[:, 0]).numpy()


def on_validation(data: Embeddings, rows: TaskRows, fitted: np.ndarray, rate: float) -> FittedHead:
    """A linear head whose strength is chosen by the log loss on validation alone."""
    mean, directions = principal(data, fitted)

    def build(hidden: int) -> FittedHead:
        return AdditiveHead(mean, directions, hidden, torch.Generator())

    def known(some: np.ndarray) -> Known:
        label = torch.from_numpy(rows.label[some]).double()
        return Known(build(0).directed(data.batch(some)), torch.from_numpy(data.here[some]), label)

    heads, val = path(build, known(fitted), STRONG, rate), known(rows.of("val"))
    losses = losses_of(torch.stack([odds_of(head, val) for head in heads]), val.label)
    best = int(np.argmin(losses))
    log.info("one share: strength %g", STRONG[best].strength)
    return heads[best].float()


def folds(rows: TaskRows, fitted: np.ndarray) -> np.ndarray:
    """The fold of each training episode, a patient's together; −1 of the others."""
    patients = np.unique(rows.subject[fitted])
    number = np.random.default_rng(0).permutation(len(patients)) % FOLDS
    fold = np.full(len(rows.episode), -1)
    fold[fitted] = number[np.searchsorted(patients, rows.subject[fitted])]
    return fold


def cross_fitted(project: Project, rows: TaskRows, fold: np.ndarray, seed: int, to: Path
                 ) -> Embeddings:  # fmt: skip
    """One number a modality: the logit of encoders that never saw the episode."""
    size = (len(rows.episode), len(NAMES))
    each = np.full((FOLDS, *size), np.nan, np.float32)
    here = np.zeros(size, bool)
    order = pl.DataFrame({"episode_id": rows.episode}).with_row_index("row")
    for one in range(FOLDS):
        made = encoded(project, np.flatnonzero(fold == one), to / f"fold{one}")
        for place, (embeddings, predictions) in enumerate(made.values()):
            there = read_embeddings([embeddings], seed, rows.episode).here[:, 0]
            table = pl.read_parquet(predictions).filter(pl.col("seed") == seed).join(
                order, on="episode_id").sort("row")  # fmt: skip
            risk = logit(table["probability"].to_numpy().clip(EPSILON, 1 - EPSILON))
            val = risk[there & (rows.split == "val")]
            each[one, :, place], here[:, place] = (risk - val.mean()) / val.std(), there
    own = each[fold.clip(0), np.arange(size[0])]
    value = np.where((fold >= 0)[:, None], own, each.mean(axis=0)) * here
    return Embeddings(value[..., None].astype(np.float32), here)


def head_of(project: Project, way: str, seed: int, to: Path) -> tuple[FittedHead, Embeddings]:
    """The head of a way of sharing, and what it reads of all episodes."""
    rows, rate = project.rows(), project.config["modality_dropout"]
    fitted = np.flatnonzero(np.isin(rows.split, ["train", "fusion"]))
    if way == "one share":
        made = encoded(project, None, to / "one")
        data = read_embeddings([path for path, _ in made.values()], seed, rows.episode)
        return on_validation(data, rows, fitted, rate), data
    if way == "fusion share":
        fitted = rows.of("fusion")
        data = read_embeddings([project.embeddings(one) for one in NAMES], seed, rows.episode)
    else:
        data = cross_fitted(project, rows, folds(rows, fitted), seed, to)
    val = rows.of("val")
    return choose(AdditiveHead, SHAPES, data, rows, fitted, val, rate, seed, way)[0], data


def scored(project: Project, ways: list[str], seeds: list[int], to: Path
           ) -> Iterator[dict[str, Any]]:  # fmt: skip
    """A row per way and seed: oracle − model."""
    rows = project.rows()
    test, label = rows.of("test"), rows.label[rows.of("test")]
    path = project.folder / f"results/hospital/truth/oracle_{project.task}.parquet"
    risk = pl.DataFrame({"hadm_id": rows.episode}).join(
        pl.read_parquet(path), on="hadm_id", how="left", maintain_order="left"
    )["ecn"].to_numpy()[test]  # fmt: skip
    oracle = scores(label, risk, risk)
    for seed, way in product(seeds, ways):
        head, data = head_of(project, way, seed, to)
        reached = scores(label, risk, odds(head, data)[test])
        row = {"hospital": project.folder.name, "seed": seed, "way": way,
               "labels": oracle[0] - reached[0], "known": oracle[1] - reached[1]}  # fmt: skip
        log.info("%s", row)
        yield row


def main() -> None:
    """Fits in all ways; writes and says the figures."""
    options = parser(__doc__)
    options.add_argument("--folder", type=Path, required=True, help="a checkout with its results")
    options.add_argument("--seeds", type=int, nargs="+", required=True)
    options.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    options.add_argument("--output", type=Path, required=True, help="figures, CSV")
    arguments = options.parse_args()
    torch.set_num_threads(1)
    project = Project(argparse.Namespace(folder=arguments.folder, task="mortality"))
    project.seeds = arguments.seeds
    to = arguments.output.resolve().parent / f"fusion_share/{arguments.folder.name}"
    made = []
    for row in scored(project, arguments.ways, arguments.seeds, to):
        made.append(row)
        pl.DataFrame(made).write_csv(arguments.output)


if __name__ == "__main__":
    run(main)
