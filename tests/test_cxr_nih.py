"""Real films (NIH ChestX-ray14): decoded by the stage, read by the encoder, told apart."""

import sys
from functools import partial

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from pipeline.cxr import decode, film_files
from pipeline.cxr.encoder_resnet18 import FilmsNetwork
from pipeline.cxr.film_data import decoded_places, read_films
from pipeline.cxr.films import FILMS
from pipeline.evaluation.statistics.bootstrap import Resampling, auroc_estimate
from pipeline.evaluation.statistics.sample import Sample
from pipeline.stage.store import open_chunks, size_folder
from pipeline.training.batches import evaluate
from pipeline.training.features import Unimodal
from pipeline.training.loop import Examples, fit
from pipeline.training.modality import Feature
from pipeline.training.processes import make_repeatable
from pipeline.training.settings import Training

CPU = torch.device("cpu")
FINDINGS_FROM = 7  # columns before the 14 findings
FIRST_SUBJECT = 10_000_000  # NIH patients get ids of shard p10


@pytest.fixture(scope="module")
def labels(open_data):
    """Films with Effusion and films without any finding: patient_id, path, effusion."""
    folder = open_data / "cxr" / "nih1000"
    if not folder.is_dir():
        pytest.skip("no NIH films among the open data")
    table = pl.read_csv(folder / "nih1000_labels.csv")
    findings = pl.sum_horizontal(table.columns[FINDINGS_FROM:])
    chosen = table.filter((pl.col("Effusion") == 1) | (findings == 0)).sort("path")
    path = pl.format(f"{folder}/{{}}", "path")
    return chosen.select("patient_id", path.alias("path"), pl.col("Effusion").alias("effusion"))


@pytest.fixture(scope="module")
def data(labels, tmp_path_factory):
    """The films as JPEGs in MIMIC-CXR's tree, decoded by the stage; a film is an episode."""
    folder = tmp_path_factory.mktemp("nih")
    episodes = np.arange(labels.height)
    rows = pl.DataFrame(
        {
            "episode_id": episodes,
            "dicom_id": [f"film{k:04}" for k in episodes],
            "subject_id": labels["patient_id"] + FIRST_SUBJECT,
            "study_id": episodes,
            "minute": 60,
        }
    ).cast(FILMS.columns)
    rows.write_parquet(folder / "films.parquet")
    places = rows.select(film_files.path_of(folder / "jpg")).to_series()
    for source, place in zip(labels["path"], map(type(folder), places), strict=True):
        place.parent.mkdir(parents=True)
        with Image.open(source) as image:
            image.convert("L").save(place, quality=95)
    given = ["--films", folder / "films.parquet", "--root", folder / "jpg", "--pixels", 64]
    given += ["--shard", "p10", "--store", folder / "store", "--output", folder / "p10.parquet"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["decode", *map(str, given)])
        decode.main()
    places = decoded_places([str(folder / "p10.parquet")])
    opened = partial(open_chunks, size_folder(folder / "store", 64, False))
    return read_films(folder / "films.parquet", places, opened, (64, 64), episodes, np.inf)


def test_every_real_film_is_decoded(labels, data):
    assert labels.height > 600
    assert data.present().all()
    for film in (0, labels.height // 2, labels.height - 1):
        with Image.open(labels["path"][film]) as image:
            original = np.asarray(image.convert("L"), int)
        decoded = data.batch(np.array([film]))["film"][0].numpy().astype(int)
        assert np.abs(decoded - original).mean() < 2  # JPEG against PNG, of 255


@pytest.mark.slow
def test_effusion_is_told_from_no_finding_in_patients_never_seen(labels, data, tmp_path):
    """Two halves of the patients, each judged by an encoder trained on the other, from scratch.

    Portable (AP) films are more frequent with effusion: a share of what is told apart may be that.
    """
    patient = labels["patient_id"].to_numpy()
    effusion = labels["effusion"].to_numpy()
    shuffled = np.random.default_rng(0).permutation(np.unique(patient))
    half = np.isin(patient, shuffled[::2])
    rank = np.zeros(len(patient))
    for seen in (half, ~half):
        train, unseen = np.flatnonzero(seen), np.flatnonzero(~seen)
        assert not set(patient[train]) & set(patient[unseen])
        make_repeatable(0, threads=1)
        model = Unimodal(Feature(FilmsNetwork(48.0)))
        given = Examples(data, effusion, train, train[:0])  # no validation: the last epoch
        schedule = Training(epochs=3, batch_size=16, learning_rate=0.001, weight_decay=0.01)
        fit(model, given, schedule, 0, CPU, tmp_path / "progress", "nih")
        said = evaluate(model, data, unseen, 64, CPU).diff(dim=1)[:, 0].numpy()
        rank[unseen] = said.argsort().argsort() / len(unseen)  # two models, two scales
    judged = Sample(np.arange(len(patient)), patient, effusion.astype(bool), rank[None])
    auroc = auroc_estimate(judged, Resampling(count=1000))
    assert auroc["low"] > 0.5, auroc
    assert auroc["value"] > 0.6, auroc
