"""Calibration slope and intercept against known values and scikit-learn's logistic regression."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pipeline.evaluation.statistics.calibration import slope_and_intercept


def example(n=500, slope=1.0, shift=0.0):
    random = np.random.default_rng(3)
    eta = random.normal(-1, 1.2, n)
    label = random.random(n) < 1 / (1 + np.exp(-eta))
    return label, 1 / (1 + np.exp(-(eta - shift) / slope)), random.integers(0, 3, (4, n)) * 1.0


def test_slope_is_scikit_learns_coefficient():
    label, score, weights = example()
    logit = np.log(score / (1 - score))[:, None]
    fits = [
        LogisticRegression(C=np.inf, tol=1e-10, max_iter=500).fit(logit, label, sample_weight=row)
        for row in weights
    ]
    ours = slope_and_intercept(label, score, weights)[:, 0]
    np.testing.assert_allclose(ours, [fit.coef_[0, 0] for fit in fits], atol=1e-5)


def test_intercept_makes_the_mean_prediction_right():
    label, score, weights = example(shift=0.7)
    intercept = slope_and_intercept(label, score, weights)[:, 1]
    moved = 1 / (1 + np.exp(-np.log(score / (1 - score)) - intercept[:, None]))
    np.testing.assert_allclose((weights * (moved - label)).sum(axis=1), 0, atol=1e-6)


def test_known_distortions_are_recovered():
    once = np.ones((1, 200_000))
    label, score, _ = example(200_000, slope=0.5)
    assert slope_and_intercept(label, score, once)[0, 0] == pytest.approx(0.5, abs=0.02)
    label, score, _ = example(200_000, shift=0.7)
    assert slope_and_intercept(label, score, once)[0] == pytest.approx([1, 0.7], abs=0.03)


@pytest.mark.parametrize(("slope", "shift"), [(-1.0, 5.0), (0.4, 0.0), (8.0, 5.0), (1.0, -9.0)])
def test_badly_calibrated_scores_converge(slope, shift):
    label, score, weights = example(slope=slope, shift=shift)
    fitted = slope_and_intercept(label, score, weights)
    well = slope_and_intercept(label, example()[1], weights)
    assert np.isfinite(fitted).all()
    np.testing.assert_allclose(fitted[:, 0], slope * well[:, 0], rtol=1e-5)


def test_no_finite_slope_is_nan_and_leaves_other_rows_alone():
    label = np.array([True, True, False, False, True, False])
    score = np.array([0.9, 0.8, 0.2, 0.1, 0.3, 0.6])
    weights = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]], dtype=float)
    result = slope_and_intercept(label, score, weights)
    assert np.isnan(result[0, 0])
    assert np.isfinite(result[0, 1])
    assert np.isfinite(result[1]).all()
    assert np.isnan(slope_and_intercept(label, np.full(6, 0.4), weights)[:, 0]).all()
