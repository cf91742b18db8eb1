"""Point metrics against scikit-learn: ties, weights, many weight vectors at once."""

import numpy as np
import pytest
from sklearn import metrics as sklearn

from pipeline.evaluation.statistics.metrics import CLIP, METRICS, auroc, average_precision, log_loss

REFERENCE = {
    "auroc": sklearn.roc_auc_score,
    "auprc": sklearn.average_precision_score,
    "brier": sklearn.brier_score_loss,
    "log_loss": sklearn.log_loss,
}


def example(kind, n=300):
    random = np.random.default_rng(7)
    label = random.random(n) < 0.2
    score = np.clip(random.beta(2, 5, n) + 0.15 * label, 0.001, 0.999)
    if kind == "ties":
        score = np.round(score, 1).clip(0.1, 0.9)
    elif kind == "constant":
        score = np.full(n, 0.3)
    weights = np.stack([np.ones(n), random.integers(0, 4, n), random.random(n)])
    return label, score, weights


@pytest.mark.parametrize("kind", ["distinct", "ties", "constant"])
@pytest.mark.parametrize("name", METRICS)
def test_agrees_with_scikit_learn(name, kind):
    label, score, weights = example(kind)
    ours = METRICS[name](label, score, weights)
    theirs = [REFERENCE[name](label, score, sample_weight=row) for row in weights]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_whole_weights_are_repeated_rows(name):
    label, score, _ = example("ties")
    times = np.random.default_rng(1).integers(0, 4, len(label))
    repeated = label.repeat(times), score.repeat(times)
    once = np.ones((1, times.sum()))
    weighted = METRICS[name](label, score, times[None].astype(float))
    np.testing.assert_allclose(weighted, METRICS[name](*repeated, once), rtol=0, atol=1e-12)


@pytest.mark.parametrize("metric", [auroc, average_precision])
def test_rows_with_one_class_have_no_ranking(metric):
    label = np.array([True, True, False, False])
    score = np.array([0.9, 0.2, 0.4, 0.1])
    weights = np.array([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 1], [0, 0, 0, 0]], dtype=float)
    result = metric(label, score, weights)
    assert np.isnan(result).tolist() == [True, True, False, True]
    assert result[2] == 1


def test_certain_errors_cost_what_the_documented_clip_says():
    label, score = np.array([True, False, True]), np.array([0.0, 1.0, 1.0])
    ours = log_loss(label, score, np.ones((1, 3)))[0]
    assert ours == pytest.approx(sklearn.log_loss(label, np.clip(score, CLIP, 1 - CLIP)), abs=1e-12)
    assert ours == pytest.approx(2 / 3 * 15.942385, abs=1e-5)
