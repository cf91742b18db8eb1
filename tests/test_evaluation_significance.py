"""P-values: two-sided, never 0, corrected for their number."""

import numpy as np
import pytest

from pipeline.evaluation.statistics.significance import holm, p_value


@pytest.mark.parametrize("sign", [1, -1])
def test_p_counts_both_sides_alike_and_is_never_0(sign):
    values = sign * np.r_[np.full(10, -1.0), np.full(989, 1.0)]
    assert p_value(values) == pytest.approx(2 * 11 / 1000)
    assert p_value(sign * np.ones(999)) == pytest.approx(0.002)


def test_ties_with_0_and_missing_replicates_prove_nothing():
    assert p_value(np.zeros(100)) == 1
    assert p_value(np.full(5, np.nan)) == 1
    assert p_value(np.r_[np.ones(99), np.full(50, np.nan)]) == p_value(np.ones(99))


def test_p_of_a_normal_difference_is_near_the_exact_one():
    replicates = np.random.default_rng(0).normal(2, 1, 40_000)  # z = 2: two-sided p = .0455
    assert p_value(replicates) == pytest.approx(0.0455, abs=0.004)


def test_holm_steps_down_keeps_order_and_skips_missing():
    assert holm([0.01, 0.02, 0.03]) == pytest.approx([0.03, 0.04, 0.04])
    assert holm([0.03, None, 0.01, 0.02]) == pytest.approx([0.04, None, 0.03, 0.04], nan_ok=True)
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([None]) == [None]
