"""Recalibration: known distortions undone, refusals, nothing fitted on test, no ranking changed."""

import json

import numpy as np
import polars as pl
import pytest
from measured_kits import hospital, made_kit, made_result, predictions
from prediction_tables import fold
from sklearn.linear_model import LogisticRegression

from pipeline.cohort.rows import PREDICTIONS
from pipeline.evaluation.sections.calibrated import _slope_after
from pipeline.evaluation.sections.recalibrated import FALLS, SEPARATED, apply, fit_runs, recalibrate
from pipeline.evaluation.statistics.calibration import slope_and_intercept
from pipeline.evaluation.statistics.metrics import CLIP
from pipeline.evaluation.statistics.recalibration import fit_recalibration, recalibrated, smooth
from pipeline.stage.errors import InputError
from pipeline.stage.tables import write_table


def example(n=2000):
    random = np.random.default_rng(1)
    odds = random.normal(-1, 1.5, n)
    return random.random(n) < 1 / (1 + np.exp(-odds)), 1 / (1 + np.exp(-(odds - 0.7) / 0.5))


def test_platt_is_scikit_learns_regression_and_repairs_its_own_sample():
    label, score = example()
    intercept, slope = fit_recalibration(label, score, "platt")
    odds = np.log(score / (1 - score))[:, None]
    fit = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(odds, label)
    assert slope == pytest.approx(fit.coef_[0, 0], abs=1e-5)
    assert intercept == pytest.approx(fit.intercept_[0], abs=1e-5)
    assert (intercept, slope) == pytest.approx((0.7, 0.5), abs=0.12)
    made = recalibrated(score, intercept, slope)
    assert slope_and_intercept(label, made, np.ones((1, len(label))))[0] == pytest.approx(
        [1, 0], abs=1e-6
    )
    assert np.array_equal(np.argsort(made), np.argsort(score))


def test_temperature_minimises_the_log_loss():
    label, score = example()
    intercept, slope = fit_recalibration(label, score, "temperature")
    assert intercept == 0

    def loss(factor):
        made = recalibrated(score, 0.0, factor)
        return -np.log(np.where(label, made, 1 - made)).mean()

    assert loss(slope) < min(loss(slope * 1.01), loss(slope * 0.99))


def test_the_smooth_curve_is_the_truth_of_a_distortion():
    label, score = example(50_000)
    at = np.quantile(score, [0.1, 0.3, 0.5, 0.7, 0.9])
    truth = recalibrated(at, 0.7, 0.5)
    curve = smooth(label, score, np.ones((1, len(label))), at)[0]
    np.testing.assert_allclose(curve, truth, atol=0.02)
    few = np.where(score > 0.5, 0.6, 0.2)  # two values: no spline
    assert np.isnan(smooth(label, few, np.ones((2, len(label))), at)).all()


def test_what_is_fitted_is_of_validation_alone():
    frame = fold(0, seeds=2)
    own = fit_runs([frame], "platt", 0)
    other = pl.when(pl.col("split") == "val").then("label").otherwise(1 - pl.col("label"))
    assert fit_runs([frame.with_columns(label=other.cast(pl.Int8))], "platt", 0) == own
    changed = frame.with_columns(label=(1 - pl.col("label")).cast(pl.Int8))
    assert fit_runs([changed], "platt", 0) != own
    assert [(run["fold"], run["seed"]) for run in own] == [(0, 0), (0, 1)]


def test_each_run_has_its_own_line():
    frames = [fold(0, seeds=2), fold(1, seeds=2, shift=1.0)]
    made, fitted = recalibrate(frames, "platt", "mortality", 0)
    assert len({run["slope"] for run in fitted}) == 4
    for run in fitted:
        before, after = (
            one[run["fold"]].filter(seed=run["seed"])["probability"].to_numpy()
            for one in (frames, made)
        )
        np.testing.assert_allclose(after, recalibrated(before, run["intercept"], run["slope"]))
    assert made[0].drop("probability").equals(frames[0].drop("probability"))


@pytest.mark.parametrize(
    ("change", "smallest", "reason"),
    [
        ({"probability": 1 - pl.col("probability")}, 0, FALLS),
        ({"probability": 0.2 + 0.6 * pl.col("label")}, 0, SEPARATED),
        ({"label": pl.lit(0, pl.Int8)}, 0, "validation has one class only"),
        ({}, 10, "fewer than 10 positive or negative validation episodes"),
    ],
)
def test_a_run_that_cannot_be_recalibrated_keeps_its_predictions(change, smallest, reason):
    frame = fold(0, n=200, seeds=1).with_columns(**change)
    fitted = fit_runs([frame], "platt", smallest)
    assert [run["reason"] for run in fitted] == [reason]
    assert fitted[0]["slope"] is fitted[0]["intercept"] is None
    assert apply([frame], fitted)[0].equals(frame)


def test_a_result_records_it_and_its_rankings_stay(monkeypatch, tmp_path):
    folder = hospital(tmp_path, n=1500, slope=2.0)
    plain = made_result(monkeypatch, folder)
    made = made_result(monkeypatch, folder, "--recalibration", "platt")
    assert "recalibration" not in plain
    assert made["recalibration"]["method"] == "platt"
    assert made["metrics"]["test"]["auroc"] == plain["metrics"]["test"]["auroc"]
    assert made["metrics"]["test"]["brier"]["value"] < plain["metrics"]["test"]["brier"]["value"]
    slopes = [one["calibration"]["slope"]["value"] for one in (plain, made)]
    assert slopes[0] < 0.65 < 0.8 < slopes[1]
    figures = made_kit(monkeypatch, folder)
    assert figures["head"]["recalibration"] == "platt"
    ways = {way["method"]: way for way in figures["calibration"]}
    assert ways["platt"]["slope"] == made["calibration"]["slope"]
    assert ways["none"]["slope"] == plain["calibration"]["slope"]
    threshold = made["threshold"]["by_run"][0]["threshold"]
    assert figures["operating_points"][-1]["by_run"][0]["threshold"] == threshold


def test_a_kit_of_other_predictions_than_the_result_is_refused(monkeypatch, tmp_path):
    folder = hospital(tmp_path, n=600)
    made_result(monkeypatch, folder, "--recalibration", "temperature")
    table = pl.read_parquet(predictions(folder)[0])
    changed = table.with_columns(probability=pl.col("probability") ** 2)
    write_table(changed, predictions(folder)[0], PREDICTIONS)
    with pytest.raises(InputError, match="of other predictions"):
        made_kit(monkeypatch, folder)
    assert json.loads((folder / "result.json").read_text())["recalibration"]["by_run"]


@pytest.mark.parametrize(("slope", "share"), [(5.0, 0.03), (0.2, 0.0)])
def test_predictions_rounded_to_0_and_1_are_recalibrated_like_their_neighbours(
    monkeypatch, tmp_path, slope, share
):
    folder = hospital(tmp_path, n=2000, slope=slope, draw=1)
    table = pl.read_parquet(predictions(folder)[0])
    table = table.with_columns(pl.col("probability").round(7))
    write_table(table, predictions(folder)[0], PREDICTIONS)
    rounded = table.filter(pl.col("probability").is_in([0.0, 1.0])).height
    assert rounded >= share * table.height
    raw = made_result(monkeypatch, folder)
    made = made_result(monkeypatch, folder, "--recalibration", "platt")
    frames, _ = recalibrate([table], "platt", "mortality", 0)
    assert frames[0]["probability"].min() > 1e-6 or not rounded
    val = frames[0].filter(split="val")
    again = fit_recalibration(val["label"].to_numpy() == 1, val["probability"].to_numpy(), "platt")
    assert again == pytest.approx((0, 1), abs=1e-5)  # all of validation is on the fitted line
    ways = {way["method"]: way for way in made_kit(monkeypatch, folder)["calibration"]}
    for way, result in (("platt", made), ("none", raw)):
        assert ways[way]["slope"] == result["calibration"]["slope"]
        assert ways[way]["brier"]["value"] == result["metrics"]["test"]["brier"]["value"]
    loss = [one["metrics"]["test"]["log_loss"]["value"] for one in (made, raw)]
    assert loss[0] < loss[1]


@pytest.mark.parametrize("clipped", [False, True])
def test_the_slope_after_a_line_is_that_of_its_risks_clipped_or_not(clipped):
    """Extreme logits are clipped: the slope is then not the old one by the factor."""
    random = np.random.default_rng(3)
    odds = random.normal(0, 4 if clipped else 1, 3000)
    label, score = random.random(3000) < 1 / (1 + np.exp(-odds)), 1 / (1 + np.exp(-odds))
    weights = np.stack([np.ones(3000), random.integers(0, 3, 3000)]).astype(float)
    own, risk = slope_and_intercept(label, score, weights)[:, 0], recalibrated(score, 0.0, 3.0)
    after = _slope_after(own, 3.0, label, risk, weights)
    odds_after = np.log(risk.clip(CLIP, 1 - CLIP) / (1 - risk.clip(CLIP, 1 - CLIP)))[:, None]
    for slope, weight in zip(after, weights, strict=True):
        fit = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000)
        assert slope == pytest.approx(fit.fit(odds_after, label, weight).coef_[0, 0], abs=1e-5)
    assert (np.abs(after - own / 3).min() > 1e-3) == clipped
