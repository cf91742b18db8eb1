"""What a stored model copies or fits again: weights, baselines, Doc2Vec, bins, the reference."""

import argparse
import shutil
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.cohort.rows import TaskRows, predictions
from pipeline.fusion.baselines import fit_best, fitted_rows, limited
from pipeline.fusion.inputs import of_embeddings, of_statistics
from pipeline.predict import plain, reference
from pipeline.predict.folder import MODEL, README
from pipeline.stage import digests
from pipeline.stage.command import parsed
from pipeline.stage.errors import InputError
from pipeline.stage.files import whole
from pipeline.stage.prediction import SeedFacts
from pipeline.training.embeddings import read_embeddings

OWN = ("weights", "ehr", "note", "reference", README, MODEL)  # what the folder of a model holds


def emptied(folder: Path) -> None:
    """Removes a model that was stored in a folder, or begun; `InputError` where it holds more."""
    there = list(folder.iterdir()) if folder.is_dir() else []
    known = {*OWN, *(digests.beside(folder / name).name for name in OWN)}
    other = sorted(path.name for path in there if path.name not in known
                   and not path.name.endswith(".part"))  # fmt: skip
    if other:
        raise InputError(f"--output: {folder} holds {other[0]}, which is of no stored model, and "
                         "would be removed: name a folder of its own")  # fmt: skip
    shutil.rmtree(folder, ignore_errors=True)


def copy_weights(asked: argparse.Namespace, facts: SeedFacts, kept: str, model: str,
                 names: list[str], folder: Path) -> None:  # fmt: skip
    """Copies the weights of a seed's encoders and heads; damaged ones are refused."""
    seed = facts["seed"]
    own = f"{asked.target.split('_')[0]}_{model}/seed{seed}.safetensors"
    files: dict[str, str] = {}
    if kept in ("single", "late", "fused", "baseline"):
        files |= {f"{name}.safetensors": f"{name}/seed{seed}.safetensors" for name in names}
    if kept in ("single", "late"):
        files |= {
            f"{name}_head.safetensors": f"{name}/head_seed{seed}.safetensors" for name in names
        }
    if kept in ("fused", "joint"):
        files[f"{model}.safetensors"] = own
    for name, path in files.items():
        copied(asked.weights / path, folder / name)


def copied(path: Path, to: Path) -> None:
    """Copies a file that is as it was written."""
    digests.check(path)
    with whole(to) as part:
        shutil.copyfile(path, part)


def store_baseline(asked: argparse.Namespace, rows: TaskRows, model: str, seed: int,
                   table: pl.DataFrame, folder: Path) -> None:  # fmt: skip
    """Fits a baseline once more and stores it; `InputError` where it predicts otherwise."""
    with limited(1):
        if asked.features:
            inputs = of_statistics(asked.features, rows.episode)
        else:
            inputs = of_embeddings(read_embeddings(asked.embeddings, seed, rows.episode))
        plainly = model.removesuffix("-stats")
        fitted = fit_best(plainly, inputs, rows, fitted_rows(rows, not asked.features), seed)
        path = folder / "weights" / f"seed{seed}" / f"{model}.safetensors"
        plain.save(fitted, path)
        again = predictions(rows, seed, plain.load(path)(inputs.value))
    before = table.filter(seed=seed).sort("episode_id")["probability"].to_numpy()
    if not np.array_equal(again["probability"].to_numpy(), before):
        raise InputError(f"{asked.predictions}: {model}, fitted again, predicts otherwise: make "
                         "the result again on this machine")  # fmt: skip


def copy_fits(asked: argparse.Namespace, names: list[str], kept: str, folder: Path) -> None:
    """Copies what was fitted on the training patients of the source."""
    if "ehr" in names and kept != "statistics" and asked.bins:
        copied(asked.bins, folder / "ehr" / "bins.parquet")
    if "note" in names:
        for name in ("weights.safetensors", "model.json"):
            copied(asked.doc2vec / name, folder / "note" / "doc2vec" / name)


def write_reference(asked: argparse.Namespace, rows: TaskRows, names: list[str], folder: Path
                    ) -> None:  # fmt: skip
    """Writes what new data are compared with."""
    if "ehr" not in names:
        return
    training = pl.Series(rows.episode[rows.of("train")])
    reference.write_signals(asked.events, training, folder / "signals.parquet")
    own = parsed(asked.data, "--data").get("ehr", {})
    if "tokens" in own:
        reference.write_tokens(Path(own["tokens"]), training, folder / "tokens.parquet")
    there = [name for name in reference.ITEMS if (asked.source / f"{name}.parquet").is_file()]
    reference.write_items(asked.source, there, folder / "items.parquet")
