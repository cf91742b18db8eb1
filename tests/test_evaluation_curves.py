"""Curves on grids against scikit-learn; bins that hide small groups."""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve

from pipeline.evaluation.sections.curves import bin_members, curves, observed
from pipeline.evaluation.statistics.bootstrap import Resampling
from pipeline.evaluation.statistics.curves import GRID, precision_recall, roc
from pipeline.evaluation.statistics.metrics import auroc, average_precision
from pipeline.evaluation.statistics.sample import Sample


def example(n=600, seeds=1, decimals=9):
    random = np.random.default_rng(2)
    label = random.random(n) < 0.2
    score = 1 / (1 + np.exp(1.5 - random.normal(size=(seeds, n)) - 1.2 * label))
    return Sample(np.arange(n), np.arange(n) // 2, label, np.round(score, decimals))


@pytest.mark.parametrize("decimals", [9, 1])
def test_curves_are_scikit_learns(decimals):
    part = example(decimals=decimals)
    weights = np.random.default_rng(0).integers(0, 3, (5, 600)).astype(float)
    ours = roc(part.label, part.probability[0], weights)
    precision = precision_recall(part.label, part.probability[0], weights)
    for row in range(5):
        false, true, _ = roc_curve(part.label, part.probability[0], sample_weight=weights[row])
        inner = slice(1, None)  # at 0 the curve is vertical
        np.testing.assert_allclose(ours[row, inner], np.interp(GRID, false, true)[inner], atol=1e-9)
        p, r, _ = precision_recall_curve(
            part.label, part.probability[0], sample_weight=weights[row]
        )
        expected = [p[np.flatnonzero(r >= at - 1e-12)[-1]] for at in GRID[1:]]
        np.testing.assert_allclose(precision[row, 1:], expected, atol=1e-9)


def test_areas_are_the_metrics():
    part, once = example(n=5000), np.ones((1, 5000))
    label, score = part.label, part.probability[0]
    area = np.trapezoid(roc(label, score, once)[0], GRID)
    assert area == pytest.approx(auroc(label, score, once)[0], abs=2e-3)
    mean = precision_recall(label, score, once)[0, 1:].mean()
    assert mean == pytest.approx(average_precision(label, score, once)[0], abs=5e-3)


def test_bins_have_equal_counts_and_true_shares():
    part = example()
    members = bin_members(part, smallest=0)
    assert members.shape == (1, 10, 600)
    assert members[0].sum(axis=1).tolist() == [60] * 10
    lowest = np.argsort(part.probability[0])[:60]
    assert observed(members, part.label, np.ones((1, 600)))[0, 0, 0] == part.label[lowest].mean()


def test_equal_predictions_share_a_bin():
    part = example(decimals=1)
    members = bin_members(part, smallest=0)[0]
    for value in np.unique(part.probability):
        assert (members[:, part.probability[0] == value].any(axis=1)).sum() == 1
    assert members.sum() == 600
    constant = Sample(part.episode, part.subject, part.label, np.full((1, 600), 0.2))
    assert bin_members(constant, smallest=0).sum(axis=2).tolist() == [[600]]


def test_bins_merge_until_no_group_is_small_under_any_seed():
    part = example(seeds=3)
    fine, coarse = bin_members(part, smallest=0), bin_members(part, smallest=10)
    assert min((fine @ part.label).min(), (fine @ ~part.label).min()) < 10
    assert min((coarse @ part.label).min(), (coarse @ ~part.label).min()) >= 10
    assert 1 < coarse.shape[1] < 10
    assert (coarse.sum(axis=1) == 1).all()


def test_bands_hold_the_curve_and_seeds_are_averaged():
    part = example(seeds=2)
    both = curves("e_x_t", None, part, part.rows(np.arange(600)), Resampling(200), smallest=0)
    for name, y in (("roc", "tpr"), ("pr", "precision"), ("calibration", "observed")):
        low, at, high = (np.array(both[name][key]) for key in ("low", y, "high"))
        assert ((low <= at + 1e-9) & (at <= high + 1e-9)).mean() > 0.95
        assert (low < high).mean() > 0.8
    each = [roc(part.label, score, np.ones((1, 600)))[0] for score in part.probability]
    np.testing.assert_allclose(both["roc"]["tpr"], np.mean(each, axis=0))
    assert both["roc"]["oracle"] == both["roc"]["tpr"]
    assert both["pr"]["prevalence"] == part.label.mean()


@pytest.mark.parametrize("seeds", [1, 2])
def test_curves_of_real_data_are_of_rounded_counts_and_hide_small_cells(seeds):
    part = example(n=600, seeds=seeds)
    both = curves("e_x_t", None, part, None, Resampling(200), smallest=10)
    cases, controls = int(part.label.sum()), int((~part.label).sum())
    whole = [round(n / 10) * 10 for n in (cases, controls)]
    for name, x, y in (("roc", "fpr", "tpr"), ("pr", "recall", "precision")):
        at, value, low, high = (np.array(both[name][key], dtype=float)
                                for key in (x, y, "low", "high"))  # fmt: skip
        shown = ~np.isnan(value)
        assert 5 < shown.sum() < len(value)
        assert (np.diff(at) > 0).all()
        assert (np.isnan(low) == ~shown).all() and (np.isnan(high) == ~shown).all()
        assert (low <= value)[shown].all() and (value <= high)[shown].all()
        ends = (low if name == "roc" else at)[shown] * whole[0] / 10
        if name == "pr" or cases == whole[0]:
            assert np.abs(ends - np.round(ends)).max() < 1e-6
        if seeds > 1:
            continue
        for place in np.flatnonzero(shown):
            hit = (value if name == "roc" else at)[place] * whole[0]
            alarm = at[place] * whole[1] if name == "roc" else hit / value[place] - hit
            assert all(abs(n - round(n / 10) * 10) < 1e-6 for n in (hit, alarm))
            if name == "roc":  # the threshold that has as many false positives
                score = part.probability[0]
                others = np.append(np.sort(score[~part.label])[::-1], -1)
                found = int((part.label & (score > others[min(round(alarm), controls)])).sum())
                assert abs(found - hit) <= 5
                assert not 0 < found < 10 and not 0 < cases - found < 10


def test_curves_without_hiding_are_whole():
    part = example()
    both = curves("e_x_t", None, part, None, Resampling(50), smallest=0)
    assert len(both["roc"]["tpr"]) == len(GRID) and None not in both["roc"]["tpr"]
