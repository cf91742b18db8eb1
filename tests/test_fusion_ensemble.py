"""The mean of the seeds: one prediction per episode, compared with models of single seeds."""

import sys

import numpy as np
import polars as pl
import pytest

from pipeline.cohort.rows import ABSENT, ALL_SEEDS, PREDICTIONS, TaskRows, predictions
from pipeline.evaluation.panel import aurocs, read_panels
from pipeline.evaluation.predictions import samples
from pipeline.evaluation.sections.comparisons import comparisons
from pipeline.evaluation.statistics.bootstrap import Resampling
from pipeline.fusion import ensemble
from pipeline.stage.errors import InputError
from pipeline.stage.tables import read_table, write_table

IDS = np.arange(100, 160)
LABEL = np.arange(60) % 2
ROWS = TaskRows("mortality", IDS, IDS, np.where(np.arange(60) < 20, "val", "test"), LABEL)


@pytest.fixture
def averaged(tmp_path, monkeypatch):
    """Runs the stage on predictions of so many seeds: the path of its predictions."""

    def run(seeds=3):
        random = np.random.default_rng(0)
        each = [0.3 * LABEL + 0.6 * random.random(60) for _ in range(seeds)]
        table = pl.concat(predictions(ROWS, seed, one) for seed, one in enumerate(each))
        write_table(table, tmp_path / "ecn_early_mortality.parquet", PREDICTIONS)
        absent = table.filter(split="test").select(
            "episode_id", "seed", modality=pl.lit("e"), rate=0.5, probability="probability"
        )
        write_table(absent, tmp_path / "absent.parquet", ABSENT)
        output = tmp_path / "ecn_early-ensemble_mortality.parquet"
        given = ["--predictions", tmp_path / "ecn_early_mortality.parquet", "--output", output]
        given += ["--missing", tmp_path / "absent.parquet"]
        given += ["--absent", tmp_path / "absent-ensemble.parquet"]
        monkeypatch.setattr(sys, "argv", ["ensemble", *map(str, given)])
        ensemble.main()
        return table, output

    return run


def test_an_episode_has_one_prediction_the_mean_of_its_seeds(averaged, tmp_path):
    table, output = averaged()
    made = read_table(output)
    assert made["seed"].unique().to_list() == [ALL_SEEDS]
    assert made["episode_id"].to_list() == IDS.tolist()
    by_seed = table["probability"].to_numpy().reshape(3, 60)
    np.testing.assert_allclose(made["probability"], by_seed.mean(axis=0), atol=1e-6)
    absent = read_table(tmp_path / "absent-ensemble.parquet")
    np.testing.assert_allclose(absent["probability"], by_seed[:, 20:].mean(axis=0), atol=1e-6)


def test_one_seed_is_no_ensemble(averaged, tmp_path):
    with pytest.raises(InputError, match=r"absent\.parquet: predictions of 1 training seed"):
        averaged(seeds=1)
    assert not (tmp_path / "ecn_early-ensemble_mortality.parquet").exists()


def test_an_ensemble_is_compared_with_each_seed_of_another_model(averaged):
    table, output = averaged()
    names = [path.stem for path in (output, output.with_name("ecn_early_mortality.parquet"))]
    panel = read_panels({name: [str(output.with_name(f"{name}.parquet"))] for name in names})
    figures = aurocs(panel["mortality"], Resampling(50))
    of_ensemble, of_seeds = figures.each.T  # by seed
    assert len(of_ensemble) == 3 and len(set(of_ensemble)) == 1 and len(set(of_seeds)) > 1
    assert of_ensemble[0] > of_seeds.mean()
    test = samples([read_table(output).drop("task")], "test")
    singles = comparisons({"e_unimodal_mortality": [table.drop("task")]}, test, Resampling(50))
    gain = singles["singles"]["e_unimodal_mortality"]["model_minus_single"]["value"]
    assert gain == pytest.approx(of_ensemble[0] - of_seeds.mean(), abs=1e-6)
